//! Certificates by ACME, from a real authority on this machine (Pebble), got by the real binary.

#[path = "../e2e/harness/mod.rs"]
mod harness;

mod absent;
mod account;
mod authority;
mod chains;
mod dns;
mod elsewhere;
mod endurance;
mod issuers;
mod lens;
mod metrics;
mod names;
mod on_demand;
mod rehearsal;
mod renewal;
mod shared;
mod staple;
mod together;

use std::path::Path;

use authority::{Gate, Pebble, directory_at, secure};
use harness::{Authority, Folder, Proxy, Setup, eventually, of};
use rustix::process::Signal;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

/// The head of a configuration that asks this authority.
const GLOBAL: &str = "global {
    email admin@example.com
    storage file {$STORAGE}
    admin unix/{$STORAGE}/admin.sock
    http_port {$HTTP}
    https_port {$HTTPS}
    acme {
        ca {$DIRECTORY}
        root {$ROOT}
    }
}
";

const SITE: &str = "example.com {
    bind 127.0.0.1
    respond secure
}
";

/// A configuration that asks `pebble` at `directory` and keeps what it gets in `storage`.
fn asking(pebble: &Pebble, directory: &str, storage: &Path, sites: &str) -> Setup {
    of(&format!("{GLOBAL}{sites}"))
        .with("STORAGE", storage.display())
        .with("HTTP", pebble.http)
        .with("HTTPS", pebble.https)
        .with("DIRECTORY", directory)
        .with("ROOT", pebble.root_file())
}

fn site(pebble: &Pebble, storage: &Folder) -> Proxy {
    asking(pebble, &pebble.directory(), storage.path(), SITE).doors(2).start()
}

/// Waits until clients take the certificate of a name, and says what the site says.
fn served(pebble: &Pebble, name: &str) -> String {
    let believer = pebble.believer();
    let mut client = eventually(name, || secure(pebble, &believer, name).ok());
    client.get(name, "/").text().to_owned()
}

fn challenge(proxy: &Proxy) -> String {
    proxy.said("certificate obtained")["challenge"].as_str().unwrap().to_owned()
}

/// The entry of a name, as `rp certs` tells of the running process.
fn told(proxy: &Proxy, storage: &Folder, name: &str) -> Value {
    let socket = storage.path().join("admin.sock");
    eventually("the socket", || socket.exists().then_some(()));
    let mut rp = harness::command(&proxy.folder);
    let output = rp.args(["certs", "--format", "json", "--socket"]).arg(&socket).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    entry(&output.stdout, name)
}

fn entry(json: &[u8], name: &str) -> Value {
    let all: Value = serde_json::from_slice(json).unwrap();
    let entries = all["certificates"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name} in {all}")).clone()
}

#[test]
fn a_public_name_gets_its_certificate_over_port_80() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let proxy = site(&pebble, &storage);
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(challenge(&proxy), "http-01");
    let told = told(&proxy, &storage, "example.com");
    assert!(told["issuer"].as_str().is_some_and(|issuer| issuer.starts_with("Pebble")), "{told}");
    assert_eq!((&told["source"], &told["error"]), (&"acme".into(), &Value::Null));
    assert!(
        told["renewal"].as_str() > told["not_before"].as_str() && told["renewal"].as_str() < told["not_after"].as_str()
    );
    // What is no token of ours goes on to the site.
    let stranger = harness::get(
        ([127, 0, 0, 1], pebble.http).into(),
        "example.com",
        "/.well-known/acme-challenge/a-token-of-somebody-else",
    );
    assert_eq!(stranger.status(), 308);
}

#[test]
fn without_port_80_it_comes_over_port_443() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let config = format!("{GLOBAL}{SITE}").replace("admin unix", "https_redirect off\n    admin unix");
    let proxy = asking(&pebble, &pebble.directory(), storage.path(), "").config(&config).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(challenge(&proxy), "tls-alpn-01");
}

#[test]
fn where_one_challenge_fails_the_other_is_tried() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    // Somebody listens at what is port 80 to rp, but the authority comes to another one.
    let proxy = asking(&pebble, &pebble.directory(), storage.path(), SITE).with("HTTP", harness::free_port());
    let proxy = proxy.doors(2).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(challenge(&proxy), "tls-alpn-01");
}

#[test]
fn a_restart_and_a_reload_ask_for_nothing() {
    let (mut pebble, storage) = (Pebble::start(), Folder::new());
    let mut proxy = site(&pebble, &storage);
    assert_eq!(served(&pebble, "example.com"), "secure");
    let before = told(&proxy, &storage, "example.com");
    let believer = pebble.believer();
    proxy.signal(Signal::HUP);
    proxy.said("configuration reloaded");
    assert!(secure(&pebble, &believer, "example.com").is_ok());
    assert_eq!(pebble.orders(), 1);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    drop(proxy);
    pebble.stop();
    let proxy = site(&pebble, &storage);
    assert!(secure(&pebble, &believer, "example.com").is_ok(), "the kept certificate is shown at once");
    let after = told(&proxy, &storage, "example.com");
    assert_eq!((&before["not_after"], &after["asking"]), (&after["not_after"], &Value::Bool(false)));
}

#[test]
fn another_certificate_is_shown_until_the_right_one_comes() {
    let (pebble, storage, files) = (Pebble::start(), Folder::new(), Folder::new());
    let gate = Gate::before(pebble.address());
    let own = Authority::new();
    let (certificate, key) = own.issue(&["own.example.com"]).save(&files, "own");
    let other = format!(
        "own.example.com {{\n bind 127.0.0.1\n tls {} {}\n respond own\n}}\n",
        certificate.display(),
        key.display()
    );
    let directory = directory_at(gate.port);
    let setup = asking(&pebble, &directory, storage.path(), &format!("{SITE}{other}")).doors(2);
    // Files that are a moment old are read twice, and that would be a reload.
    let proxy = setup.arguments(&["--no-watch"]).start();
    let believer = pebble.believer();
    let refusal = secure(&pebble, &believer, "example.com").err().expect("nobody trusts it yet");
    assert!(refusal.contains("UnknownIssuer") || refusal.contains("certificate"), "{refusal}");
    let mut open = secure(&pebble, &own.client(&["http/1.1"]), "own.example.com").unwrap();
    let waiting = told(&proxy, &storage, "example.com");
    assert_eq!((&waiting["issuer"], &waiting["asking"]), (&Value::Null, &Value::Bool(true)));
    gate.open();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(open.get("own.example.com", "/").text(), "own");
    assert!(!proxy.log_text().contains("configuration reloaded"));
}

#[test]
fn nonces_that_are_refused_are_no_failure() {
    let (pebble, storage) = (Pebble::with(&[("PEBBLE_WFE_NONCEREJECT", "50")]), Folder::new());
    let proxy = site(&pebble, &storage);
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert!(!proxy.log_text().contains("not obtained"), "{}", proxy.log_text());
}

#[test]
fn a_name_that_fails_is_told_once_and_harms_no_other() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    pebble.lead_astray("astray.example.com");
    let sites = format!("astray.example.com {{\n bind 127.0.0.1\n respond astray\n}}\n{SITE}");
    let proxy = asking(&pebble, &pebble.directory(), storage.path(), &sites).doors(2).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    let failed = proxy.said("certificate not obtained");
    assert_eq!(failed["name"], "astray.example.com");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("http-01: ") && reason.contains("tls-alpn-01: "), "{reason}");
    assert!((50..70).contains(&failed["retry"].as_u64().unwrap()), "{failed}");
    assert_eq!(told(&proxy, &storage, "astray.example.com")["error"], reason);
    let count = proxy.log_text().matches("certificate not obtained").count();
    assert_eq!(count, 1);
    assert!(secure(&pebble, &pebble.believer(), "astray.example.com").is_err());
}

#[test]
fn a_process_that_is_killed_leaves_what_the_next_can_use() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    // The first is killed before it has asked for anything.
    let gate = Gate::before(pebble.address());
    let start = || asking(&pebble, &directory_at(gate.port), storage.path(), SITE).doors(2).start();
    for event in ["listening", "an account with the certificate authority is made", "certificate obtained"] {
        let mut proxy = start();
        proxy.said(event);
        proxy.signal(Signal::KILL);
        proxy.wait();
        gate.open();
    }
    // The last one was killed when it said that it had the certificate: it is kept.
    let before = pebble.orders();
    let proxy = start();
    let believer = pebble.believer();
    assert!(secure(&pebble, &believer, "example.com").is_ok(), "the kept certificate is shown at once");
    assert_eq!(told(&proxy, &storage, "example.com")["error"], Value::Null);
    assert_eq!(pebble.orders(), before);
}

/// Keeps a certificate of which four fifths are over, as an earlier process would have, and gives its authority.
fn aged(storage: &Folder, directory: &str) -> Authority {
    let former = Authority::new();
    let now = OffsetDateTime::now_utc();
    let old = former.issue_with(&["example.com"], |params| {
        (params.not_before, params.not_after) = (now - Duration::days(80), now + Duration::days(20));
    });
    let folder = directory.trim_start_matches("https://").replace([':', '/'], "-");
    storage.write(&format!("acme/{folder}/example.com/certificate.pem"), format!("{}{}", old.key, old.certificate));
    former
}

#[test]
fn a_certificate_near_its_end_is_renewed_under_open_connections() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let gate = Gate::before(pebble.address());
    let directory = directory_at(gate.port);
    let former = aged(&storage, &directory);
    let proxy = asking(&pebble, &directory, storage.path(), SITE).doors(2).start();
    let mut open = secure(&pebble, &former.client(&["http/1.1"]), "example.com").expect("it is still good");
    assert_eq!(open.get("example.com", "/").text(), "secure");
    gate.open();
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(open.get("example.com", "/").text(), "secure");
    assert_eq!(proxy.log_text().matches("certificate obtained").count(), 1);
}

#[test]
fn what_cannot_be_renewed_stays() {
    let (mut pebble, storage) = (Pebble::start(), Folder::new());
    pebble.stop();
    let former = aged(&storage, &pebble.directory());
    let proxy = site(&pebble, &storage);
    let failed = proxy.said("certificate not renewed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.starts_with("no connection to `localhost:"), "{reason}");
    assert!(secure(&pebble, &former.client(&["http/1.1"]), "example.com").is_ok());
    let told = told(&proxy, &storage, "example.com");
    assert_eq!((&told["issuer"], &told["error"]), (&"authority of a test".into(), &reason.into()));
}

#[test]
fn what_is_kept_is_told_where_nobody_runs() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let proxy = site(&pebble, &storage);
    assert_eq!(served(&pebble, "example.com"), "secure");
    let mut rp = harness::command(&proxy.folder);
    let output = rp.args(["certs", "--format", "json", "--storage"]).arg(storage.path()).output().unwrap();
    let kept = entry(&output.stdout, "example.com");
    assert!(kept["issuer"].as_str().is_some_and(|issuer| issuer.starts_with("Pebble")), "{kept}");
    let mut rp = harness::command(&proxy.folder);
    let output = rp.args(["certs", "--storage"]).arg(storage.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("NAME ") && text.contains("\nexample.com  acme  Pebble"), "{text}");
}
