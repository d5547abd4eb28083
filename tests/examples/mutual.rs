//! `examples/mutual-tls`, with an authority of clients, and a client that it has let go.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

use crate::origin::{answer, origin};
use crate::proxy::{Folder, Rp, curl, tried};

/// An authority, its list of what it has revoked, and what clients show.
struct Staff(CertifiedIssuer<'static, KeyPair>);

impl Staff {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn revoked(&self, serial: u8) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(vec![serial]),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// Key and certificate in one file, as curl takes them.
    fn member(&self, folder: &Folder, name: &str, unit: &str, serial: u8) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(vec![serial]));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let path = folder.path(name);
        fs::write(&path, certificate.pem() + &key.serialize_pem()).unwrap();
        path
    }
}

#[test]
fn mutual_tls() {
    let (folder, staff) = (Folder::new(), Staff::new());
    let app = origin(|request| {
        let told = format!("{} as {}", request.field("x-ssl-client"), request.field("client-cert"));
        answer(200, "", &told)
    });
    let (ca, crl) = (folder.path("ca.pem"), folder.path("clients.crl"));
    fs::write(&ca, staff.0.pem()).unwrap();
    fs::write(&crl, staff.revoked(9)).unwrap();
    let names = ["internal.example.com", "status.example.com"];
    let pair = rcgen::generate_simple_self_signed(names.map(str::to_owned)).unwrap();
    let (certificate, key) = (folder.path("site.pem"), folder.path("site.key"));
    fs::write(&certificate, pair.cert.pem()).unwrap();
    fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let variables =
        [("CERTIFICATE", certificate.as_str()), ("KEY", &key), ("CLIENT_CA", &ca), ("CLIENT_CRL", &crl), ("APP", &app)];
    let rp = Rp::example("mutual-tls", &["HTTPS_PORT", "HTTP_PORT"], &variables);
    let port = rp.port();
    let resolve = names.map(|name| format!("{name}:{port}:127.0.0.1"));
    let fixed = ["--cacert", &certificate, "--resolve", &resolve[0], "--resolve", &resolve[1]];
    let url = |name: &str, path: &str| format!("https://{name}:{port}{path}");
    assert_eq!(curl(&[&fixed[..], &[&url(names[1], "/")]].concat()), "up");
    let alice = staff.member(&folder, "alice", "sales", 1);
    let bob = staff.member(&folder, "bob", "operations", 2);
    let mallory = staff.member(&folder, "mallory", "operations", 9);
    let with = |member: &str, path: &str| {
        let more = ["--cert", member, "--header", "X-SSL-Client: CN=root", "--write-out", " %{http_code}"];
        curl(&[&fixed[..], &more, &[&url(names[0], path)]].concat())
    };
    let seen = with(&alice, "/");
    assert!(seen.ends_with(" 200") && seen.starts_with("CN=alice,OU=sales as :MII"), "{seen}");
    assert!(with(&alice, "/admin/").ends_with(" 403"));
    assert!(with(&bob, "/admin/").ends_with(" 200"));
    let own = url(names[0], "/");
    assert!(!tried(&[&fixed[..], &["--cert", &mallory, &own]].concat()), "who was revoked gets in");
    assert!(!tried(&[&fixed[..], &[&own]].concat()), "who shows nothing gets in");
}
