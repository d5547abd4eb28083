//! Which chain is taken, where the authority offers several (RFC 8555, section 7.4.2).

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::{Pebble, secure};
use crate::harness::{Folder, Proxy, eventually};
use crate::issuers::{certificate, errand, with};
use crate::lens::{Lens, Said};
use crate::{SITE, served};

/// Two roots: making their keys takes most of the time. What is asked is counted here, so that nothing is asked twice.
const TWO: [(&str, &str); 2] = [("PEBBLE_ALTERNATE_ROOTS", "1"), ("PEBBLE_WFE_NONCEREJECT", "0")];

fn ca(directory: &str, root: &str, chain: &str) -> String {
    format!("ca {directory} {{ root {root}\n chain {chain} }}")
}

/// The names of those who signed what is kept, that of the site's certificate first.
fn issuers(directory: &str, storage: &Folder) -> Vec<String> {
    let kept = std::fs::read(certificate(directory, storage)).unwrap();
    CertificateDer::pem_slice_iter(&kept)
        .map(|der| {
            let der = der.unwrap();
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            certificate.issuer().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
        })
        .collect()
}

/// Of the roots, by number, those that a client must believe in to take the certificate that is shown.
fn believed(pebble: &Pebble) -> Vec<usize> {
    (0..2).filter(|number| secure(pebble, &pebble.believer_in(*number), "example.com").is_ok()).collect()
}

fn renewed(proxy: &Proxy, storage: &Folder) {
    let (code, said) = errand(proxy, storage, &["renew", "--force", "example.com"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_chain_to_the_root_that_is_preferred_is_taken_each_time() {
    // One nonce in five is refused.
    let pebble = Pebble::with(&[TWO[0], ("PEBBLE_WFE_NONCEREJECT", "20")]);
    let storage = Folder::new();
    let acme = |wanted: &str| ca(&pebble.directory(), &pebble.root_file(), wanted);
    let root = |number| format!("{:?}", pebble.root_name(number));
    let chain = format!("\"Root of Nobody\" {} {}", root(1), root(0));
    let proxy = with(&pebble, &storage, &acme(&chain), SITE).start();
    eventually("the certificate", || (believed(&pebble) == [1]).then_some(()));
    renewed(&proxy, &storage);
    assert_eq!(believed(&pebble), [1]);
    // What another preference holds for is the next certificate.
    let config = std::fs::read_to_string(proxy.folder.path().join("Proxyfile")).unwrap();
    proxy.folder.write("Proxyfile", config.replace(&chain, &root(0)));
    proxy.signal(Signal::HUP);
    proxy.said("configuration reloaded");
    assert_eq!(believed(&pebble), [1]);
    renewed(&proxy, &storage);
    assert_eq!(believed(&pebble), [0]);
    let log = proxy.log_text();
    assert!(!log.contains("not obtained") && !log.contains("cannot be fetched") && !log.contains("preferred"), "{log}");
}

#[test]
fn where_none_is_preferred_the_usual_one_is_taken_and_the_log_says_what_there_is() {
    let (pebble, storage) = (Pebble::with(&TWO), Folder::new());
    let acme = ca(&pebble.directory(), &pebble.root_file(), "\"ISRG Root X1\"");
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    let offered: Vec<String> = (0..2).map(|number| pebble.root_name(number)).collect();
    let said = proxy.said("no chain is a preferred one: the usual one is taken");
    assert_eq!((said["name"].as_str(), said["offered"].as_str()), (Some("example.com"), Some(&*offered.join(", "))));
    assert_eq!(pebble.asked("POST /certZ/"), 2);
}

#[test]
fn whatever_is_wrong_with_other_chains_there_is_a_certificate() {
    let (pebble, storage) = (Pebble::with(&TWO), Folder::new());
    let another = crate::harness::Authority::new().issue(&["example.com"]).certificate;
    let lens = Lens::before(&pebble, move |question| {
        let target = question.message.target();
        match target.rsplit_once('/') {
            Some(("/other", "1")) => Said { status: 200, fields: Vec::new(), body: another.clone().into() },
            Some(("/other", "2")) => Said::problem(500, "serverInternal"),
            Some((before, _)) if before.ends_with("/alternate") => {
                let mut said = question.pass();
                let text = String::from_utf8(said.body).unwrap();
                said.body = text[..text.rfind("-----BEGIN").unwrap()].into();
                said
            }
            _ if question.is_for("/certZ/") => {
                let at = question.message.field("host").unwrap();
                let link = |number| format!("<https://{at}/other/{number}>;rel=\"alternate\"");
                question.pass().field("Link", &format!("{}, {}", link(1), link(2)))
            }
            _ => question.pass(),
        }
    });
    let acme = ca(&lens.directory(), &lens.root_file(), "shortest");
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    proxy.said("certificate obtained");
    let other = proxy.said("what should be another chain is that of another certificate");
    assert!(other["url"].as_str().unwrap().ends_with("/other/1"), "{other}");
    let failed = proxy.said("another chain cannot be fetched");
    assert_eq!(failed["reason"], "the authority refuses (serverInternal): so says the test");
    let issuers = issuers(&lens.directory(), &storage);
    assert_eq!(issuers.len(), 1, "{issuers:?}");
    assert_eq!((lens.asked("/certZ/"), lens.asked("/other/")), (2, 2));
}

#[test]
fn a_chain_that_is_preferred_and_usual_is_taken_without_a_look_at_others() {
    let (pebble, storage) = (Pebble::with(&TWO), Folder::new());
    let acme = ca(&pebble.directory(), &pebble.root_file(), &format!("{:?}", pebble.root_name(0)));
    let _proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(pebble.asked("POST /certZ/"), 1);
    // The root itself is not sent along.
    assert_eq!(issuers(&pebble.directory(), &storage).last(), Some(&pebble.root_name(0)));
}
