//! What must not be lost: handshakes while certificates are renewed, and accounts and keys when the process is killed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::authority::{Pebble, secure};
use crate::harness::{self, Folder};
use crate::issuers::{errand, with};
use crate::{SITE, served};

fn acme(pebble: &Pebble) -> String {
    format!("ca {} {{ root {} }}", pebble.directory(), pebble.root_file())
}

#[test]
fn no_handshake_fails_while_a_certificate_is_renewed() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let proxy = with(&pebble, &storage, &acme(&pebble), SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    let (believer, ended, shaken) = (pebble.believer(), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !ended.load(Ordering::SeqCst) {
                        let mut client = secure(&pebble, &believer, "example.com")?;
                        assert_eq!(client.get("example.com", "/").text(), "secure");
                        shaken.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        for _ in 0..3 {
            let (code, said) = errand(&proxy, &storage, &["renew", "--force", "example.com"]);
            assert_eq!(code, 0, "{said}");
        }
        ended.store(true, Ordering::SeqCst);
        assert!(clients.into_iter().all(|client| client.join().unwrap() == Ok(())));
    });
    assert_eq!(pebble.orders(), 4);
    assert!(shaken.load(Ordering::SeqCst) > 20);
    let mut rp = harness::command(&proxy.folder);
    let output = rp.args(["status", "--socket"]).arg(storage.path().join("admin.sock")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("certificates 1 shown, the first to end is that of example.com, in 18"), "{said}");
}

/// Killed at random moments: 5 times, or as often as `RP_KILLS` says.
#[test]
fn a_kill_at_any_moment_loses_neither_account_nor_key() {
    let kills: u32 = std::env::var("RP_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(5);
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let folder = pebble.directory().trim_start_matches("https://").replace([':', '/'], "-");
    let account = storage.path().join(format!("acme/{folder}/account.json"));
    let mut kept: Option<Vec<u8>> = None;
    let mut names = std::collections::BTreeSet::new();
    let began = Instant::now();
    for kill in 0..kills {
        // A name that is new each time, so that something is always under way.
        let sites = format!("n{kill}.example.com {{\n bind 127.0.0.1\n respond secure\n}}\n");
        let mut proxy = with(&pebble, &storage, &acme(&pebble), &sites).start();
        let moment = Instant::now() + Duration::from_micros(u64::from(began.elapsed().subsec_nanos()) % 1_500_000);
        while Instant::now() < moment && !proxy.log_text().contains("certificate obtained") {
            std::thread::yield_now();
        }
        proxy.signal(Signal::KILL);
        proxy.wait();
        let now = std::fs::read(&account).ok();
        if let Some(kept) = &kept {
            assert_eq!(now.as_ref(), Some(kept), "the account is what it was");
        }
        kept = now;
        let mut rp = harness::command(&proxy.folder);
        let output = rp.args(["certs", "--format", "json", "--storage"]).arg(storage.path()).output().unwrap();
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let entries = all["certificates"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry["error"].is_null() && entry["issuer"].is_string()), "{all}");
        let found: std::collections::BTreeSet<String> =
            entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
        assert!(found.is_superset(&names), "none that was there is gone");
        names = found;
    }
    eprintln!("{kills} kills, {} certificates kept", names.len());
    // Whoever comes next goes on with all that there is.
    let _proxy = with(&pebble, &storage, &acme(&pebble), SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    if let Some(kept) = kept {
        let account: Value = serde_json::from_slice(&kept).unwrap();
        assert!(account["credentials"].is_object());
        assert_eq!(std::fs::read(storage.path().join(format!("acme/{folder}/account.json"))).unwrap(), kept);
    }
}
