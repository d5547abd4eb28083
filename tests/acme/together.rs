//! The names of a site in one order.

use crate::authority::Pebble;
use crate::harness::{Folder, Proxy, eventually};
use crate::issuers::{errand, with};
use crate::{served, told};

const SITES: &str = "a.example.com, b.example.com, c.example.com, d.example.com {\n bind 127.0.0.1\n respond together\n}\n\
                     other.example.com {\n bind 127.0.0.1\n respond other\n}\n";
pub const NAMES: [&str; 4] = ["a.example.com", "b.example.com", "c.example.com", "d.example.com"];

pub fn start(pebble: &Pebble, storage: &Folder) -> Proxy {
    let acme = format!("ca {} {{ root {} }}\n together", pebble.directory(), pebble.root_file());
    with(pebble, storage, &acme, SITES).start()
}

/// The key and the certificates that are kept for a name.
fn kept(pebble: &Pebble, storage: &Folder, name: &str) -> String {
    let folder = pebble.directory().trim_start_matches("https://").replace([':', '/'], "-");
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
    let first = kept(&pebble, &storage, NAMES[0]);
    assert!(NAMES.iter().all(|name| kept(&pebble, &storage, name) == first), "one certificate");
    assert_ne!(kept(&pebble, &storage, "other.example.com"), first);
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
    assert_ne!(kept(&pebble, &storage, NAMES[1]), first);
    assert_eq!(kept(&pebble, &storage, NAMES[0]), first);
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
