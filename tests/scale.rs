//! Time for large configurations, measured on the real binary: ten thousand sites are validated, started and reloaded,
//! a hundred thousand lines are formatted.
//!
//! Without optimisation, and beside other tests, everything may take many times as long; `cargo test --release --test
//! scale -- --nocapture --test-threads 1` shows what it really takes.

#[path = "e2e/harness/mod.rs"]
mod harness;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use harness::{Folder, command, get, of};

/// Without optimisation a fifth of them: the other tests want the processor too.
const SITES: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
/// A key pair each: a millisecond of the processor with optimisation, and as many more without.
const CERTIFICATES: usize = 500;

/// What a build without optimisation may take.
fn limit(released: Duration) -> Duration {
    if cfg!(debug_assertions) { released * 30 } else { released }
}

/// Sites as people write them: routes, headers, pools, a snippet.
fn sites(scheme: &str, port: &str) -> String {
    so_many_sites(SITES, scheme, port)
}

fn so_many_sites(count: usize, scheme: &str, port: &str) -> String {
    let mut text = "global { admin unix/{$PLACE}/admin.sock; log off; storage file {$PLACE}/storage }\n\
        snippet secure { header { set X-Content-Type-Options nosniff; remove Server } }\n\
        upstream api { server 10.0.0.1:3000; server 10.0.0.2:3000 }\n"
        .to_owned();
    for site in 0..count {
        let _ = write!(
            text,
            "{scheme}site{site}.example.com{port} {{\n    bind 127.0.0.1\n    use secure\n    encode gzip\n\
             \x20   route /api/* {{\n        rate_limit 100/m\n        reverse_proxy api\n    }}\n\
             \x20   route /old/* {{ redirect https://example.com/new 308 }}\n    respond \"{site}\"\n}}\n\n"
        );
    }
    text
}

fn timed<T>(what: &str, limit: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    let took = start.elapsed();
    println!("{what}: {took:?}");
    assert!(took < limit, "{what} takes {took:?}, and may take {limit:?}");
    value
}

#[test]
fn thousands_of_sites_are_validated_in_a_second() {
    let folder = Folder::new();
    folder.write("Proxyfile", sites("http://", ""));
    let mut command = command(&folder);
    command.arg("validate").env("PLACE", folder.path());
    let output = timed("rp validate of the sites", limit(Duration::from_secs(1)), || command.output().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn thousands_of_mistakes_are_found_in_a_second() {
    let folder = Folder::new();
    folder.write("Proxyfile", sites("http://", "").replace("rate_limit 100/m", "rate_limti 100/m"));
    let mut command = command(&folder);
    command.args(["validate", "--format", "json"]).env("PLACE", folder.path());
    let output = timed("rp validate of the mistakes", limit(Duration::from_secs(1)), || command.output().unwrap());
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found.to_string().matches("E0010").count() >= SITES);
}

#[test]
fn thousands_of_sites_are_reloaded_in_two_seconds() {
    let place = Folder::new();
    let last = format!("site{}.example.com", SITES - 1);
    let proxy = of(&sites("http://", ":0")).with("PLACE", place.path().display()).start();
    assert_eq!(get(proxy.address(), &last, "/").text(), (SITES - 1).to_string());
    let changed = sites("http://", ":0").replace(&format!("respond \"{}\"", SITES - 1), "respond changed");
    std::fs::write(&proxy.config, changed).unwrap();
    for _ in 0..2 {
        let mut command = command(&proxy.folder);
        command.args(["reload", "--socket"]).arg(place.path().join("admin.sock"));
        let output = timed("rp reload of the sites", limit(Duration::from_secs(2)), || command.output().unwrap());
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(get(proxy.address(), &last, "/").text(), "changed");
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    println!("the sites after reloads: {}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap());
}

/// Each has a certificate of our own authority, made once.
#[test]
fn certificates_of_our_own_are_not_made_again() {
    let place = Folder::new();
    let mut proxy = None;
    timed("start of 500 sites with certificates", limit(Duration::from_secs(5)), || {
        let config = so_many_sites(CERTIFICATES, "https://", ":0")
            .replace("    use secure\n", "    use secure\n    tls internal\n");
        proxy = Some(of(&config).with("PLACE", place.path().display()).start());
    });
    let mut command = command(&place);
    command.args(["reload", "--socket"]).arg(place.path().join("admin.sock"));
    let output =
        timed("rp reload of 500 sites with certificates", limit(Duration::from_secs(2)), || command.output().unwrap());
    assert!(output.status.success(), "{output:?}");
}

/// What people wait for while they write: ten thousand lines in a fifth of a second.
#[test]
fn ten_thousand_lines_are_judged_and_explained_at_once() {
    let folder = Folder::new();
    let text = so_many_sites(900, "http://", "");
    assert!(text.lines().count() > 9_900, "{}", text.lines().count());
    folder.write("Proxyfile", text);
    for arguments in
        [&["validate"][..], &["explain", "http://site899.example.com/api/users"], &["diff", "Proxyfile", "Proxyfile"]]
    {
        let mut command = command(&folder);
        command.args(arguments).env("PLACE", folder.path());
        let what = format!("rp {} of ten thousand lines", arguments[0]);
        let output = timed(&what, limit(Duration::from_millis(200)), || command.output().unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_hundred_thousand_lines_are_formatted_in_a_second() {
    let folder = Folder::new();
    let text = so_many_sites(10_000, "http://", "").replace("    ", "  ");
    let lines = text.lines().count();
    assert!(lines > 100_000, "{lines}");
    let file = folder.write("Proxyfile", text);
    let run = || command(&folder).arg("fmt").output().unwrap();
    let output = timed(&format!("rp fmt of {lines} lines"), limit(Duration::from_secs(1)), run);
    assert!(output.status.success(), "{output:?}");
    let formatted = std::fs::read(&file).unwrap();
    assert!(run().status.success());
    assert_eq!(std::fs::read(&file).unwrap(), formatted);
}
