//! What the authority's responder says of a certificate that came by ACME, shown beside it (OCSP).

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::{Gate, Pebble};
use crate::harness::{Folder, Responder, eventually, free_port, status};
use crate::issuers::{certificate, errand, with};
use crate::{SITE, served};

/// In hexadecimal, as an index has it: without the byte before a first bit that is set, which only says that it is positive.
fn serial(pebble: &Pebble, storage: &Folder) -> String {
    let kept = std::fs::read(certificate(&pebble.directory(), storage)).unwrap();
    let leaf = CertificateDer::from_pem_slice(&kept).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    leaf.raw_serial().iter().skip_while(|byte| **byte == 0).map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn what_the_responder_of_the_authority_says_is_shown_beside_its_certificate() {
    let (storage, folder, port) = (Folder::new(), Folder::new(), free_port());
    // It can only be told of a certificate that is there, so whoever asks waits for that.
    let gate = Gate::before(([127, 0, 0, 1], port).into());
    let responder = format!("http://127.0.0.1:{}/", gate.port);
    let pebble = Pebble::configured(&json!({ "ocspResponderURL": responder }));
    let (root, issuer, key) = pebble.chain();
    let root = folder.write("root.pem", root);
    folder.write("ca.pem", issuer);
    folder.write("ca.key", key);
    let acme = format!("ca {} {{ root {} }}", pebble.directory(), pebble.root_file());
    let start = || with(&pebble, &storage, &acme, SITE).start();
    let heard = || status(([127, 0, 0, 1], pebble.https).into(), "example.com", &root);
    let proxy = start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert!(heard().contains("OCSP response: no response sent"), "{}", heard());
    proxy.said("certificate obtained");
    let first = serial(&pebble, &storage);
    let started = Responder::start(&folder, port, &[(&first, "V")], "ca");
    gate.open();
    let said = proxy.said("what the responder says is shown");
    assert_eq!((said["name"].as_str(), said["responder"].as_str()), (Some("example.com"), Some(&*responder)));
    let heard_first = eventually("the staple", || Some(heard()).filter(|said| said.contains("Cert Status: good")));
    assert!(heard_first.contains(&format!("Serial Number: {first}")), "{heard_first}");
    // What is said of one certificate is not shown beside the next, of which the responder has not heard yet.
    let (code, said) = errand(&proxy, &storage, &["renew", "--force", "example.com"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        proxy.said("nothing is shown of what the responder says")["reason"],
        "the responder does not know the certificate"
    );
    assert!(heard().contains("OCSP response: no response sent"), "{}", heard());
    drop((started, proxy));
    let second = serial(&pebble, &storage);
    let _started = Responder::start(&folder, port, &[(&first, "V"), (&second, "V")], "ca");
    let _proxy = start();
    let heard = eventually("the next staple", || Some(heard()).filter(|said| said.contains("Cert Status: good")));
    assert!(heard.contains(&format!("Serial Number: {second}")), "{heard}");
}
