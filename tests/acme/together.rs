//! The names of a site in one order.

use crate::absent::Shown;
use crate::authority::Pebble;
use crate::harness::{Folder, Proxy, eventually};
use crate::issuers::{errand, with};
use crate::lens::{Lens, Said};
use crate::renewal::{ca, suggesting};
use crate::{served, told};

const SITES: &str = "a.example.com, b.example.com, c.example.com, d.example.com {\n bind 127.0.0.1\n respond together\n}\n\
                     other.example.com {\n bind 127.0.0.1\n respond other\n}\n";
pub const NAMES: [&str; 4] = ["a.example.com", "b.example.com", "c.example.com", "d.example.com"];

pub fn start(pebble: &Pebble, storage: &Folder) -> Proxy {
    let acme = format!("ca {} {{ root {} }}\n together", pebble.directory(), pebble.root_file());
    with(pebble, storage, &acme, SITES).start()
}

/// The key and the certificates that are kept for a name.
fn kept(directory: &str, storage: &Folder, name: &str) -> String {
    let folder = directory.trim_start_matches("https://").replace([':', '/'], "-");
    std::fs::read_to_string(storage.path().join(format!("acme/{folder}/{name}/certificate.pem"))).unwrap()
}

#[test]
fn one_order_has_the_names_of_a_site() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let proxy = start(&pebble, &storage);
    for name in NAMES {
        assert_eq!(served(&pebble, name), "together");
    }
    assert_eq!(served(&pebble, "other.example.com"), "other");
    assert_eq!(pebble.orders(), 2, "one for each site");
    let first = kept(&pebble.directory(), &storage, NAMES[0]);
    assert!(NAMES.iter().all(|name| kept(&pebble.directory(), &storage, name) == first), "one certificate");
    assert_ne!(kept(&pebble.directory(), &storage, "other.example.com"), first);
    drop(proxy);
    // Each name finds it again.
    let proxy = start(&pebble, &storage);
    for name in NAMES {
        assert_eq!(served(&pebble, name), "together");
    }
    assert_eq!(pebble.orders(), 2);
    // Who is asked for by hand has one of its own from then on.
    let socket = storage.path().join("admin.sock");
    eventually("the socket", || socket.exists().then_some(()));
    let (code, said) = errand(&proxy, &storage, &["renew", "--force", NAMES[1]]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(pebble.orders(), 3);
    assert_ne!(kept(&pebble.directory(), &storage, NAMES[1]), first);
    assert_eq!(kept(&pebble.directory(), &storage, NAMES[0]), first);
}

#[test]
fn a_name_that_fails_keeps_none_of_the_others_waiting() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    pebble.lead_astray("c.example.com");
    let proxy = start(&pebble, &storage);
    for name in ["a.example.com", "b.example.com", "d.example.com"] {
        assert_eq!(served(&pebble, name), "together");
    }
    let said = proxy.said("names cannot be had together: each is asked for by itself");
    assert_eq!(said["names"], 4, "{said}");
    let failed = proxy.said("certificate not obtained");
    assert_eq!(failed["name"], "c.example.com", "{failed}");
    assert!(told(&proxy, &storage, "c.example.com")["error"].as_str().is_some());
    // That of the others, of each by itself, and of the other site.
    assert_eq!(pebble.orders(), 2 + 3 + 2 + 1, "together and the one that fails by each of two challenges");
}

#[test]
fn a_renewal_that_is_due_is_one_order_and_one_certificate() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let lens = suggesting(&pebble, -48, -24);
    let acme = format!("{}\n together", ca(&lens, ""));
    let mut proxy = with(&pebble, &storage, &acme, SITES).start();
    for name in NAMES.iter().chain(&["other.example.com"]) {
        served(&pebble, name);
    }
    proxy.signal(rustix::process::Signal::TERM);
    proxy.wait();
    let kept = |name| kept(&lens.directory(), &storage, name);
    let (first, other) = (kept(NAMES[0]), kept("other.example.com"));
    let proxy = with(&pebble, &storage, &acme, SITES).start();
    eventually("the renewal", || NAMES.iter().all(|name| kept(name) != first).then_some(()));
    eventually("the other renewal", || (kept("other.example.com") != other).then_some(()));
    let second = kept(NAMES[0]);
    assert!(NAMES.iter().all(|name| kept(name) == second), "one certificate");
    assert_eq!(pebble.orders(), 2 + 2, "one for each site, and again");
    assert_eq!(lens.asked("/renewal/"), 2, "each certificate is asked about once");
    // Nobody has a moment of its own for the next time.
    eventually("the end of it", || {
        let told = NAMES.map(|name| told(&proxy, &storage, name));
        told.iter().all(|entry| entry["asking"] == false && entry["renewal"] == told[0]["renewal"]).then_some(())
    });
}

#[test]
fn what_is_revoked_is_taken_from_all_of_its_names() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let proxy = start(&pebble, &storage);
    for name in NAMES.iter().chain(&["other.example.com"]) {
        served(&pebble, name);
    }
    let kept = |name| kept(&pebble.directory(), &storage, name);
    let (first, other) = (kept(NAMES[0]), kept("other.example.com"));
    let (code, said) = errand(&proxy, &storage, &["revoke", NAMES[1], "--reason", "key-compromise"]);
    assert!(code == 0 && said.contains("revoked, and there is another one"), "{said}");
    let second = kept(NAMES[1]);
    assert_ne!(second, first);
    for name in NAMES {
        assert!(kept(name) == second, "{name} is kept with what was revoked");
        assert!(second.contains(Shown::at(&pebble, name).certificate.trim_end()), "{name} shows what was revoked");
    }
    assert_eq!((pebble.asked("POST /revoke-cert"), pebble.orders()), (1, 2 + 1), "another one for all of them");
    assert_eq!(kept("other.example.com"), other);
}

#[test]
fn an_error_of_the_authority_leaves_names_together_and_they_wait() {
    let plain: fn() -> Said = || Said { status: 500, fields: Vec::new(), body: Vec::new() };
    for (reason, answer) in [("500", plain), ("serverInternal", || Said::problem(500, "serverInternal"))] {
        let (pebble, storage) = (Pebble::exact(), Folder::new());
        let failing =
            Lens::before(&pebble, move |asked| if asked.is_for("/order-plz") { answer() } else { asked.pass() });
        let proxy = with(&pebble, &storage, &format!("{}\n together", ca(&failing, "")), SITES).start();
        eventually("the failures", || {
            let mut told = NAMES.iter().chain(&["other.example.com"]).map(|name| told(&proxy, &storage, name));
            told.all(|entry| entry["error"].as_str().is_some_and(|error| error.contains(reason))).then_some(())
        });
        assert_eq!(failing.asked("/order-plz"), 2, "one for each site");
        let told = NAMES.map(|name| told(&proxy, &storage, name));
        assert!(
            told.iter().all(|entry| entry["asking"] == false && entry["renewal"] == told[0]["renewal"]),
            "{told:?}"
        );
        let failed = proxy.said("certificate not obtained");
        assert!((50..70).contains(&failed["retry"].as_u64().unwrap()), "{failed}");
    }
}

#[test]
fn where_one_authority_errs_names_go_to_the_next_together() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let failing = Lens::before(&pebble, |asked| {
        if asked.is_for("/order-plz") { Said::problem(500, "serverInternal") } else { asked.pass() }
    });
    let acme = format!("{}\n ca {} {{ root {} }}\n together", ca(&failing, ""), pebble.directory(), pebble.root_file());
    let _proxy = with(&pebble, &storage, &acme, SITES).start();
    for name in NAMES {
        assert_eq!(served(&pebble, name), "together");
    }
    served(&pebble, "other.example.com");
    assert_eq!((failing.asked("/order-plz"), pebble.orders()), (2, 2), "one for each site at each of them");
}
