//! The internal authority: made once, kept, raced for, refused when half of it is lost.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::tls::resolver::Names;
use crate::tls::storage::tests::Scratch;

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|name| Name::parse(name).unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What `openssl` has to say, both streams.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn pem(der: &[u8]) -> String {
    pem_of("CERTIFICATE", der)
}

fn pem_of(label: &str, der: &[u8]) -> String {
    let output = Command::new("openssl")
        .args(["base64", "-e"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            io::Write::write_all(&mut child.stdin.take().unwrap(), der)?;
            child.wait_with_output()
        })
        .unwrap();
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_root_is_made_once_and_kept_private() {
    let scratch = Scratch::new();
    let storage = scratch.path("data");
    let first = Authority::open(&Storage::file(&storage)).unwrap();
    let again = Authority::open(&Storage::file(&storage)).unwrap();
    assert_eq!(first.root_pem(), again.root_pem());
    let folder = storage.join("internal");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("root.key")), 0o600);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["root.crt", "root.key"]);
}

#[test]
fn many_at_once_end_with_one_root() {
    let scratch = Scratch::new();
    let roots: Vec<String> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Authority::open(&scratch.storage()).unwrap().root_pem().to_owned()))
            .collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]));
    assert_eq!(fs::read_to_string(scratch.path("internal/root.crt")).unwrap(), roots[0]);
}

#[test]
fn a_leaf_is_what_browsers_ask_for() {
    let scratch = Scratch::new();
    let authority = Authority::open(&scratch.storage()).unwrap();
    let certificate = authority.issue(&names(&["localhost", "*.app.internal", "127.0.0.1", "::1"])).unwrap();
    assert_eq!(certificate.notices(), []);
    let life = certificate.not_after() - certificate.not_before();
    assert_eq!(life, LEAF_LIFE + BACKDATED);
    let leaf = scratch.write("leaf.pem", pem(&certificate.key().cert[0]));
    let issuer = scratch.write("issuer.pem", pem(&certificate.key().cert[1]));
    let (leaf, issuer, root) = (leaf.to_str().unwrap(), issuer.to_str().unwrap(), scratch.path("internal/root.crt"));
    let text = openssl(&["x509", "-noout", "-text", "-in", leaf]);
    for wanted in [
        "Issuer: CN = rp local issuer",
        "Subject: CN = localhost",
        "DNS:localhost, DNS:*.app.internal, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
        "TLS Web Server Authentication",
        "CA:FALSE",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "NIST CURVE: P-256",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let text = openssl(&["x509", "-noout", "-text", "-in", root.to_str().unwrap()]);
    let year = OffsetDateTime::now_utc().year();
    for wanted in
        [&format!("Subject: CN = rp local authority {year}"), "CA:TRUE, pathlen:1", "Certificate Sign, CRL Sign"]
    {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let root = root.to_str().unwrap();
    for purpose in [&["-verify_hostname", "x.app.internal"], &["-verify_ip", "127.0.0.1"]] {
        let mut arguments =
            vec!["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root, "-untrusted", issuer];
        arguments.extend(purpose);
        arguments.push(leaf);
        assert!(openssl(&arguments).ends_with("OK\n"), "{}", openssl(&arguments));
    }
}

#[test]
fn numbers_are_long_and_never_the_same() {
    let scratch = Scratch::new();
    let authority = Authority::open(&scratch.storage()).unwrap();
    let serials: Vec<Vec<u8>> = (0..8)
        .map(|_| {
            let certificate = authority.issue(&names(&["localhost"])).unwrap();
            let der = certificate.key().cert[0].clone();
            let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
            parsed.serial.to_bytes_be()
        })
        .collect();
    assert!(serials.iter().any(|serial| serial.len() == 16), "{serials:?}");
    assert!((1..serials.len()).all(|index| !serials[..index].contains(&serials[index])));
}

#[test]
fn the_issuer_outlives_whatever_it_signs() {
    let scratch = Scratch::new();
    let authority = Authority::open(&scratch.storage()).unwrap();
    let now = OffsetDateTime::now_utc();
    let issuer_at = |days: i64| {
        let certificate = authority.issue_at(&names(&["localhost"]), now + Duration::days(days)).unwrap();
        let der = certificate.key().cert[1].clone();
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
        assert!(parsed.validity().not_after.to_datetime() >= certificate.not_after());
        der
    };
    assert_eq!(issuer_at(0), issuer_at(22));
    assert_ne!(issuer_at(22), issuer_at(24));
}

#[test]
fn a_leaf_is_renewed_at_half_of_its_week() {
    let scratch = Scratch::new();
    let certificate = Authority::open(&scratch.storage()).unwrap().issue(&names(&["localhost"])).unwrap();
    let now = OffsetDateTime::now_utc();
    assert!(!certificate.needs_renewal(now + Duration::days(3)));
    assert!(certificate.needs_renewal(now + Duration::days(4)));
}

#[test]
fn long_names_fit_and_no_name_does_not() {
    let scratch = Scratch::new();
    let authority = Authority::open(&scratch.storage()).unwrap();
    let long = format!("{0}.{0}.{0}.test", "a".repeat(60));
    assert!(authority.issue(&names(&[&long])).unwrap().covers(&long));
    assert!(matches!(authority.issue(&[]), Err(Trouble::NoNames)));
}

#[test]
fn a_root_near_its_end_is_replaced_unless_it_is_the_users() {
    let scratch = Scratch::new();
    let old = Authority::open(&scratch.storage()).unwrap().root_pem().to_owned();
    let late = OffsetDateTime::now_utc() + ROOT_LIFE - ROOT_REMAINDER;
    assert_eq!(Authority::open_at(&scratch.storage(), late - Duration::HOUR).unwrap().root_pem(), old);
    let new = Authority::open_at(&scratch.storage(), late + Duration::HOUR).unwrap();
    assert_ne!(new.root_pem(), old);
    assert_eq!(fs::read_to_string(scratch.path("internal/root.crt")).unwrap(), new.root_pem());

    let mut params =
        params("house authority", OffsetDateTime::now_utc(), OffsetDateTime::now_utc() + ISSUER_LIFE).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let house = params.self_signed(&key).unwrap().pem();
    scratch.write("internal/root.crt", &house);
    scratch.write("internal/root.key", key.serialize_pem());
    let authority = Authority::open(&scratch.storage()).unwrap();
    assert_eq!(authority.root_pem(), house);
    assert_eq!(mode(&scratch.path("internal/root.key")), 0o600);
}

#[test]
fn half_an_authority_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let check = |expected: &str| {
        let trouble = Authority::open(&scratch.storage()).unwrap_err().to_string();
        let folder = scratch.path("internal").display().to_string();
        assert_eq!(trouble.replace(&folder, "F"), expected);
    };
    let key =
        Authority::open(&scratch.storage()).map(|_| fs::read(scratch.path("internal/root.key")).unwrap()).unwrap();
    let certificate = fs::read(scratch.path("internal/root.crt")).unwrap();

    fs::remove_file(scratch.path("internal/root.key")).unwrap();
    check(
        "`F/root.crt` is there, but its key `root.key` is not: restore the key, or remove `root.crt` to begin a new authority",
    );
    assert_eq!(fs::read(scratch.path("internal/root.crt")).unwrap(), certificate);

    let remedy = "restore `root.crt` and `root.key` from one backup, or remove both to begin a new authority";
    scratch.write("internal/root.key", KeyPair::generate().unwrap().serialize_pem());
    check(&format!(
        "the internal authority in `F` cannot be used (the key in `root.key` does not belong to the certificate in `root.crt`): {remedy}"
    ));
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["a.test".to_owned()]).unwrap().self_signed(&leaf_key).unwrap();
    scratch.write("internal/root.crt", leaf.pem());
    scratch.write("internal/root.key", leaf_key.serialize_pem());
    check(&format!(
        "the internal authority in `F` cannot be used (the certificate is not one of an authority): {remedy}"
    ));
    // A key alone is what a crash leaves behind, and nobody trusts anything of it yet.
    fs::remove_file(scratch.path("internal/root.crt")).unwrap();
    scratch.write("internal/root.key", key);
    assert_ne!(Authority::open(&scratch.storage()).unwrap().root_pem().as_bytes(), certificate);
}

#[test]
fn a_storage_that_cannot_be_used_is_named() {
    let scratch = Scratch::new();
    let file = scratch.write("file", "");
    let trouble = Authority::open(&Storage::file(&*file)).unwrap_err().to_string();
    assert!(
        trouble.starts_with(&format!("`{}/internal` cannot be used (not a directory)", file.display())),
        "{trouble}"
    );
}

#[test]
fn where_storage_is_away_the_root_that_is_known_signs_on() {
    let scratch = Scratch::new();
    let (last, now) = (Arc::new(Last::default()), OffsetDateTime::now_utc());
    // As each configuration does.
    let open = || Opened::new(scratch.storage(), Arc::clone(&last));
    let chain = |opened: &Opened| opened.authority().unwrap().issue(&names(&["localhost"])).unwrap().key().cert.clone();
    let folder = scratch.path("internal");
    scratch.write("internal", "no folder");
    assert!(open().authority().is_err(), "none is known");
    fs::remove_file(&folder).unwrap();
    let first = open();
    let issuer = chain(&first)[1].clone();
    assert_eq!(chain(&open())[1], issuer, "while the root is the same, so is the issuer");
    fs::remove_dir_all(&folder).unwrap();
    scratch.write("internal", "no folder");
    assert_eq!(chain(&open())[1], issuer);
    fs::remove_file(&folder).unwrap();
    let other = Authority::open(&scratch.storage()).unwrap();
    assert_eq!(chain(&first)[1], issuer, "what is in force asks once");
    assert_eq!(open().authority().unwrap().root_pem(), other.root_pem());
    let issued = Issued::new(Name::parse("localhost").unwrap(), &open()).unwrap();
    renew([&issued, &issued].into_iter(), &open(), now + Duration::days(4));
    let life = issued.certificate().not_after() - now;
    assert!(life > Duration::days(10), "{life}");
}

#[test]
fn what_is_due_is_replaced_where_it_is_shown() {
    let scratch = Scratch::new();
    let (last, now) = (Arc::new(Last::default()), OffsetDateTime::now_utc());
    let opened = Opened::new(scratch.storage(), last);
    let [one, two] = ["a.internal", "b.internal"].map(|name| Issued::new(Name::parse(name).unwrap(), &opened).unwrap());
    let mut shown = Names::new();
    shown.add_slot(&Name::parse("a.internal").unwrap(), Arc::clone(one.slot()));
    let before = one.certificate();
    assert!(Arc::ptr_eq(&shown.find("a.internal").unwrap(), before.key()));
    renew([&one, &two].into_iter(), &opened, now + Duration::days(3));
    assert!(Arc::ptr_eq(&one.certificate(), &before), "it is good for longer");
    renew([&one].into_iter(), &opened, now + Duration::days(4));
    let after = one.certificate();
    assert_ne!(after.fingerprint(), before.fingerprint());
    assert!(Arc::ptr_eq(&shown.find("a.internal").unwrap(), after.key()));
    assert_eq!((after.names(), after.key().cert.len()), (before.names(), 2));
    assert!(after.key().cert[1] == before.key().cert[1], "by the same issuer");
}
