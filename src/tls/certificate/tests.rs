//! Certificates as they come: right, wrong, swapped, encrypted, late and early.

use std::fs::{self, Permissions};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use time::Duration;

use super::*;
use crate::tls::storage::tests::Scratch;

/// A small world: a root, an issuer below it, and what they sign.
pub struct World {
    pub root: CertifiedIssuer<'static, KeyPair>,
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

/// PEM of a leaf, its chain without the root, and its key.
pub struct Signed {
    pub leaf: String,
    pub chain: String,
    pub key: String,
}

impl World {
    pub fn new() -> Self {
        Self::named("test root")
    }

    /// A world of its own. Under the same name it would be one with a forged signature.
    pub fn named(root: &str) -> Self {
        let root = CertifiedIssuer::self_signed(authority(root), KeyPair::generate().unwrap()).unwrap();
        let issuer = CertifiedIssuer::signed_by(authority("test issuer"), KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, issuer }
    }

    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, |_| ())
    }

    pub fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Signed {
        self.sign_key(names, &KeyPair::generate().unwrap(), change)
    }

    fn sign_key(&self, names: &[&str], key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap().pem();
        Signed { chain: leaf.clone() + &self.issuer.pem(), leaf, key: key.serialize_pem() }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

fn trouble(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> String {
    Certificate::from_pem(certificate.as_ref(), key.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_full_chain_reads_without_notice() {
    let signed = World::new().sign(&["Example.com", "*.example.com", "10.0.0.1", "::1"]);
    let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
    assert_eq!(certificate.notices(), []);
    assert_eq!(certificate.key().cert.len(), 2);
    let names: Vec<_> = certificate.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["example.com", "*.example.com", "10.0.0.1", "::1"]);
    for host in ["example.com", "WWW.example.com.", "10.0.0.1", "[::1]"] {
        assert!(certificate.covers(host), "{host}");
    }
    assert!(!certificate.covers("a.b.example.com"));
    assert!(!certificate.covers("10.0.0.2"));
}

#[test]
fn the_fingerprint_is_the_one_that_openssl_prints() {
    let scratch = Scratch::new();
    let signed = World::new().sign(&["a.test"]);
    let path = scratch.write("c.pem", &signed.chain);
    let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
    let output = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(path)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().to_lowercase().replace(':', "");
    let ours: String = certificate.fingerprint().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert!(printed.trim_end().ends_with(&ours), "{printed} {ours}");
}

#[test]
fn keys_come_in_three_wrappings() {
    let scratch = Scratch::new();
    for (kind, wrapping) in [("P-256", "BEGIN EC PRIVATE KEY"), ("RSA", "BEGIN RSA PRIVATE KEY")] {
        let pair = match kind {
            "RSA" => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap(),
            _ => KeyPair::generate().unwrap(),
        };
        let signed = World::new().sign_key(&["a.test"], &pair, |_| ());
        assert!(signed.key.contains("BEGIN PRIVATE KEY"));
        let path = scratch.write("key.pem", &signed.key);
        let output =
            std::process::Command::new("openssl").args(["pkey", "-traditional", "-in"]).arg(path).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(wrapping));
        for key in [signed.key.as_bytes(), &output.stdout] {
            Certificate::from_pem(signed.chain.as_bytes(), key).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_used_says_what_to_do() {
    let world = World::new();
    let (signed, other) = (world.sign(&["a.test"]), world.sign(&["a.test"]));
    let cut = &signed.chain[..signed.chain.len() - 30];
    assert_eq!(
        trouble(&signed.chain, &other.key),
        "the key in `key` does not belong to the certificate in `certificate`: name the key that the certificate was requested with"
    );
    assert_eq!(
        trouble(&signed.key, &signed.chain),
        "`certificate` holds a key and no certificate: write the certificate's path first and the key's behind it"
    );
    assert_eq!(
        trouble(&signed.chain, &signed.chain),
        "`key` holds a certificate and no key: write the certificate's path first and the key's behind it"
    );
    assert_eq!(
        trouble(cut, &signed.key),
        "`certificate` is broken PEM (the `-----END` line is missing): copy it again, with its `-----BEGIN` and `-----END` lines"
    );
    assert_eq!(
        trouble("", &signed.key),
        "`certificate` is empty: write the path of a PEM file with the certificate and its issuers"
    );
    assert_eq!(trouble(&signed.chain, " \n"), "`key` is empty: write the path of a PEM file with the key");
    assert_eq!(
        trouble("hello", &signed.key),
        "`certificate` holds no certificate: write the path of a PEM file with a `BEGIN CERTIFICATE` line"
    );
    assert_eq!(
        trouble(&signed.chain, "x"),
        "`key` holds no key: write the path of a PEM file with a `BEGIN PRIVATE KEY` line"
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for key in [encrypted, old] {
        assert!(trouble(&signed.chain, key).starts_with("the key in `key` is encrypted"));
    }
    let empty_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        trouble(empty_certificate, &signed.key),
        "certificate 1 in `certificate` cannot be read: get it again from whoever issued it"
    );
    assert!(trouble(signed.chain.clone() + empty_certificate, &signed.key).starts_with("certificate 3 in"));
    let junk_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(trouble(&signed.chain, junk_key).starts_with("the key in `key` is not one that TLS can use"));
    let der = CertificateDer::from_pem_slice(signed.leaf.as_bytes()).unwrap();
    assert!(trouble(&der, &signed.key).starts_with("`certificate` is not PEM but DER: convert it with `openssl x509"));
}

#[test]
fn codes_and_parts_point_at_the_right_word() {
    let world = World::new();
    let (signed, other) = (world.sign(&["a.test"]), world.sign(&["a.test"]));
    let of = |certificate: &str, key: &str| {
        let trouble = Certificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        (trouble.code().as_str(), trouble.part())
    };
    assert_eq!(of(&signed.chain, &other.key), ("E0051", Part::Key));
    assert_eq!(of(&signed.chain, ""), ("E0050", Part::Key));
    assert_eq!(of("", &signed.key), ("E0050", Part::Certificate));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new();
    let signed = World::new().sign(&["a.test"]);
    let (chain, key) = (scratch.write("c.pem", &signed.chain), scratch.write("k.pem", &signed.key));
    let gone = scratch.path("gone.pem");
    let message = Certificate::load(&chain, &gone).unwrap_err();
    assert_eq!(message.to_string(), format!("there is no file `{}`: write the path of a PEM file", gone.display()));
    assert_eq!(message.part(), Part::Key);
    let message = Certificate::load(&scratch.0, &key).unwrap_err();
    assert_eq!(
        message.to_string(),
        format!("`{}` is a folder: write the path of a PEM file in it", scratch.0.display())
    );
    let large = scratch.write("large", vec![b'x'; usize::try_from(LARGEST).unwrap() + 1]);
    assert!(matches!(Certificate::load(&large, &key), Err(Trouble::TooLarge { part: Part::Certificate, .. })));
}

#[test]
fn a_key_for_everybody_is_noticed() {
    let scratch = Scratch::new();
    let signed = World::new().sign(&["a.test"]);
    let (chain, key) = (scratch.write("c.pem", &signed.chain), scratch.write("k.pem", &signed.key));
    for (mode, noticed) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let notices = Certificate::load(&chain, &key).unwrap().notices().to_vec();
        assert_eq!(!notices.is_empty(), noticed, "{mode:o}");
    }
    let notice = Certificate::load(&chain, &key).unwrap().notices()[0].clone();
    assert_eq!((notice.code().as_str(), notice.part()), ("W0011", Part::Key));
    let file = key.display();
    assert_eq!(
        notice.to_string(),
        format!("every user of this machine can read the key in `{file}` (mode 0644): run `chmod 600 {file}`")
    );
}

#[test]
fn late_early_and_incomplete_chains_are_noticed() {
    let world = World::new();
    let notices = |chain: &str, key: &str| -> Vec<String> {
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        certificate.notices().iter().map(ToString::to_string).collect()
    };
    let late = world.sign_with(&["a.test"], |params| params.not_after = rcgen::date_time_ymd(2020, 2, 3));
    assert_eq!(notices(&late.chain, &late.key), ["the certificate in `certificate` expired on 2020-02-03: renew it"]);
    let early = world.sign_with(&["a.test"], |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    assert!(
        notices(&early.chain, &early.key)[0]
            .starts_with("the certificate in `certificate` is not valid before 2090-01-01")
    );
    let signed = world.sign(&["a.test"]);
    let alone = notices(&signed.leaf, &signed.key);
    assert!(
        alone[0]
            .starts_with("`certificate` holds the certificate of `a.test` without that of its issuer `test issuer`")
    );
    let disorder = notices(&(signed.leaf.clone() + &world.root.pem() + &world.issuer.pem()), &signed.key);
    assert!(disorder[0].starts_with("certificate 2 in `certificate` did not issue the one before it"));
    let nameless = world.sign(&[]);
    assert!(notices(&nameless.chain, &nameless.key)[0].contains("names no host"));
}

#[test]
fn a_self_signed_certificate_is_whole() {
    let pair = KeyPair::generate().unwrap();
    let pem = CertificateParams::new(["a.test".to_owned()]).unwrap().self_signed(&pair).unwrap().pem();
    let certificate = Certificate::from_pem(pem.as_bytes(), pair.serialize_pem().as_bytes()).unwrap();
    assert_eq!(certificate.notices(), []);
}

#[test]
fn renewal_is_due_with_a_third_of_the_life_left_or_half_of_a_short_one() {
    let begin = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    for (life, due) in [(90, 60), (12, 8), (8, 4), (6, 3)] {
        let signed = World::new().sign_with(&["a.test"], |params| {
            params.not_before = begin;
            params.not_after = begin + Duration::days(life);
        });
        let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
        assert!(!certificate.needs_renewal(begin + Duration::days(due) - Duration::SECOND), "{life}");
        assert!(certificate.needs_renewal(begin + Duration::days(due)), "{life}");
    }
}
