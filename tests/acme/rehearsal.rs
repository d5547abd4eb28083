//! What is tried out where nothing is lost by it: first there, then with the real authority, and shown to nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use serde_json::json;

use crate::absent::{Shown, kept};
use crate::authority::Pebble;
use crate::harness::{Folder, eventually};
use crate::issuers::{errand, with};
use crate::lens::{Lens, Said};
use crate::{SITE, served, told};

/// The chain that is kept of the authority at `directory`; nothing if none is.
fn kept_of(directory: &str, storage: &Folder) -> String {
    let file = crate::issuers::certificate(directory, storage);
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn what_was_tried_out_well_is_asked_for_and_shown_to_nobody() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    // It comes to the same ports, and its certificates are by an authority of its own.
    let staging = Pebble::configured(&json!({ "httpPort": pebble.http, "tlsPort": pebble.https }));
    let (asked, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, gate) = (asked.clone(), released.clone());
    // The first order is refused, and the second waits until the test has looked around.
    let production = Lens::before(&pebble, move |question| {
        if question.is_for("/order-plz") {
            if count.fetch_add(1, SeqCst) == 0 {
                return Said::problem(403, "unauthorized");
            }
            eventually("the test to have looked", || gate.load(SeqCst).then_some(()));
        }
        question.pass()
    });
    let roots = [production.root_file(), staging.root_file()].map(|file| std::fs::read_to_string(file).unwrap());
    let roots = storage.write("roots.pem", roots.concat());
    let acme = format!("ca {} {{ root {}\n test {} }}", production.directory(), roots.display(), staging.directory());
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(proxy.said("certificate not obtained")["name"], "example.com");
    assert_eq!((asked.load(SeqCst), staging.orders()), (1, 0));
    let temporary = Shown::at(&pebble, "example.com");
    assert!(temporary.is_temporary(), "{}", temporary.judgement);
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| errand(&proxy, &storage, &["renew", "example.com"]));
        eventually("the second order", || (asked.load(SeqCst) == 2).then_some(()));
        // Only now, with a certificate given out by the rehearsal, is the real authority asked again.
        assert_eq!((staging.orders(), staging.asked("Issued certificate")), (1, 1));
        assert_eq!(Shown::at(&pebble, "example.com").certificate, temporary.certificate);
        assert_eq!(kept_of(&staging.directory(), &storage), "");
        assert!(!kept(&storage.path().join("acme")).contains("CERTIFICATE"));
        released.store(true, SeqCst);
        let (code, said) = renewing.join().unwrap();
        assert!(code == 0 && said.starts_with("example.com: renewed, of Pebble"), "{said}");
    });
    // Who believes in the real authority alone takes what is shown, and it is what is kept.
    assert_eq!(served(&pebble, "example.com"), "secure");
    let shown = Shown::at(&pebble, "example.com").certificate;
    assert!(kept_of(&production.directory(), &storage).contains(&shown), "{shown}");
    assert_eq!(kept_of(&staging.directory(), &storage), "");
    assert_eq!((asked.load(SeqCst), pebble.orders(), staging.orders()), (2, 1, 1));
    let told = told(&proxy, &storage, "example.com");
    assert_eq!((&told["authority"], &told["error"]), (&json!(production.directory()), &json!(null)));
    assert_eq!(proxy.log_text().matches("certificate obtained").count(), 1);
}
