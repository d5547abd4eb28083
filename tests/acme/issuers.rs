//! Several authorities: who is asked when, bound accounts, and the patience that they ask for.

use proxyfile::tls::acme::Binding;
use serde_json::json;

use crate::authority::Pebble;
use crate::harness::{self, Folder, Proxy, Setup, of};
use crate::lens::{Lens, Said};
use crate::{SITE, entry, served, told};

const HEAD: &str = "global {
    storage file {$STORAGE}
    admin unix/{$STORAGE}/admin.sock
    http_port {$HTTP}
    https_port {$HTTPS}
";

/// A configuration whose `acme` says this.
pub fn with(pebble: &Pebble, storage: &Folder, acme: &str, sites: &str) -> Setup {
    of(&format!("{HEAD}    acme {{\n{acme}\n    }}\n}}\n{sites}"))
        .with("STORAGE", storage.path().display())
        .with("HTTP", pebble.http)
        .with("HTTPS", pebble.https)
        .with("PEBBLE", format!("{} {{ root {} }}", pebble.directory(), pebble.root_file()))
        .doors(2)
}

/// `rp certs …` of a running process.
pub fn errand(proxy: &Proxy, storage: &Folder, words: &[&str]) -> (i32, String) {
    let mut rp = harness::command(&proxy.folder);
    let output = rp.arg("certs").args(words).arg("--socket").arg(storage.path().join("admin.sock")).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn ca(pebble: &Pebble) -> String {
    format!("ca {} {{ root {} }}\n", pebble.directory(), pebble.root_file())
}

fn refusing(pebble: &Pebble, answer: impl Fn() -> Said + Send + Sync + 'static) -> Lens {
    Lens::before(pebble, move |question| if question.is_for("/order-plz") { answer() } else { question.pass() })
}

#[test]
fn where_one_authority_fails_the_next_is_asked_at_once() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let first = refusing(&pebble, || Said::problem(403, "unauthorized"));
    let acme = format!("ca {} {{ root {} }}\n{}", first.directory(), first.root_file(), ca(&pebble));
    let mut proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    let failed = proxy.said("certificate not obtained");
    assert_eq!(
        (&failed["retry"], failed["reason"].as_str()),
        (&json!(0), Some("the authority refuses (unauthorized): so says the test"))
    );
    assert!(first.directory().contains(failed["authority"].as_str().unwrap()), "{failed}");
    let shown = told(&proxy, &storage, "example.com");
    assert_eq!((&shown["authority"], &shown["error"]), (&json!(pebble.directory()), &json!(null)));
    // The next process takes what there is, and asks nobody.
    proxy.signal(rustix::process::Signal::TERM);
    proxy.wait();
    let orders = (first.asked("/order-plz"), pebble.orders());
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(told(&proxy, &storage, "example.com")["authority"], pebble.directory());
    assert_eq!((first.asked("/order-plz"), pebble.orders()), orders);
}

#[test]
fn an_authority_that_has_had_enough_is_asked_when_it_says() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let busy = refusing(&pebble, || Said::problem(429, "rateLimited").field("Retry-After", "86400"));
    let acme = format!("ca {} {{ root {} }}", busy.directory(), busy.root_file());
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    let failed = proxy.said("certificate not obtained");
    assert_eq!(failed["reason"], "the authority refuses (rateLimited): so says the test");
    assert!((86_000..96_000).contains(&failed["retry"].as_u64().unwrap()), "{failed}");
}

#[test]
fn an_account_can_be_bound_to_one_that_was_made_elsewhere() {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    assert!(Binding::read("kid-1", key).is_some());
    let pebble = Pebble::configured(&json!({
        "externalAccountBindingRequired": true, "externalAccountMACKeys": { "kid-1": key },
    }));
    let storage = Folder::new();
    let acme = |eab: &str| format!("ca {} {{ root {}\n{eab} }}", pebble.directory(), pebble.root_file());
    let mut proxy = with(&pebble, &storage, &acme(""), SITE).start();
    let failed = proxy.said("certificate not obtained");
    assert!(failed["reason"].as_str().unwrap().contains("externalAccountRequired"), "{failed}");
    proxy.signal(rustix::process::Signal::TERM);
    proxy.wait();
    let proxy = with(&pebble, &storage, &acme("eab kid-1 {$HMAC}"), SITE).with("HMAC", key).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert!(!proxy.log_text().contains(key));
}

#[test]
fn after_a_refusal_it_is_tried_out_first() {
    let (pebble, staging, storage) = (Pebble::exact(), Pebble::exact(), Folder::new());
    let production = refusing(&pebble, || Said::problem(403, "unauthorized"));
    // Both are believed by one file.
    let roots = storage.write(
        "roots.pem",
        [production.root_file(), staging.root_file()].map(|file| std::fs::read_to_string(file).unwrap()).concat(),
    );
    let acme = format!("ca {} {{ root {}\n test {} }}", production.directory(), roots.display(), staging.directory());
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    proxy.said("certificate not obtained");
    assert_eq!((production.asked("/order-plz"), staging.orders()), (1, 0));
    // The staging authority comes to ports where nobody is: what is tried out fails, and the real one is left in peace.
    let (code, said) = errand(&proxy, &storage, &["renew", "example.com"]);
    assert!(code == 1 && said.contains("tried out first, http-01: "), "{said}");
    assert_eq!((production.asked("/order-plz"), staging.orders()), (1, 2));
}

#[test]
fn a_certificate_is_renewed_and_revoked_by_hand() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let proxy = with(&pebble, &storage, &format!("{}key_type rsa2048", ca(&pebble)), SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    let (code, said) = errand(&proxy, &storage, &["renew", "example.com"]);
    assert!(code == 1 && said.contains("rp certs renew --force example.com"), "{said}");
    let (code, said) = errand(&proxy, &storage, &["renew", "other.example.com"]);
    assert!(code == 1 && said.contains("no certificate of `other.example.com`"), "{said}");
    let (code, said) = errand(&proxy, &storage, &["renew", "--force", "Example.com"]);
    assert!(code == 0 && said.starts_with("Example.com: renewed, of Pebble"), "{said}");
    assert_eq!(pebble.orders(), 2);
    let kept = || std::fs::read(certificate(&pebble.directory(), &storage)).unwrap();
    let before = kept();
    let (code, said) = errand(&proxy, &storage, &["revoke", "example.com", "--reason", "key-compromise"]);
    assert!(code == 0 && said.contains("revoked, and there is another one"), "{said}");
    assert_eq!((pebble.asked("POST /revoke-cert"), pebble.orders()), (1, 3));
    assert_ne!(before, kept());
    assert_eq!(served(&pebble, "example.com"), "secure");
    let output = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(certificate(&pebble.directory(), &storage))
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Public-Key: (2048 bit)"));
    let mut rp = harness::command(&proxy.folder);
    let output = rp.args(["certs", "--format", "json", "--storage"]).arg(storage.path()).output().unwrap();
    assert_eq!(entry(&output.stdout, "example.com")["error"], json!(null));
}

/// Where a certificate of the authority at `directory` is kept.
pub fn certificate(directory: &str, storage: &Folder) -> std::path::PathBuf {
    let folder = directory.trim_start_matches("https://").replace([':', '/'], "-");
    storage.path().join(format!("acme/{folder}/example.com/certificate.pem"))
}
