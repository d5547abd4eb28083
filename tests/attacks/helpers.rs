//! Threat XZ07: helpers, of which rp asks something itself, whose answers go on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::harness::{Authority, Client, Folder, Origin, Wire, eventually, free_port, of, responder_at};
use crate::watch::resident;

/// What stands in sockets between the two, and what rp may take.
const MOST: usize = 24 * 1024 * 1024;

/// Says so, and then more of it until nobody listens; counts what was taken.
fn endless(taken: &Arc<AtomicUsize>) -> impl Fn(&mut Wire) + Send + Sync + 'static {
    let taken = taken.clone();
    move |wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        let piece = vec![b'['; 64 * 1024];
        while wire.pipe.send(&piece).is_ok() {
            // Who takes all of it must fail, and not for lack of memory.
            if taken.fetch_add(piece.len(), SeqCst) > 2 * MOST {
                break;
            }
        }
    }
}

#[test]
fn xz07_a_responder_that_goes_on_and_on_is_not_heard_to_its_end() {
    let (authority, folder, taken) = (Authority::new(), Folder::new(), Arc::default());
    let say = endless(&taken);
    let responder = Origin::raw(move |wire| {
        if wire.until(b"\r\n\r\n").is_some() {
            say(wire);
        }
    });
    let mut identity = authority
        .issue_with(&["a.test"], |params| params.custom_extensions.push(responder_at(responder.address.port())));
    identity.certificate += &authority.pem();
    let (certificate, key) = identity.save(&folder, "site");
    let config =
        "global { storage file {$STORAGE} }\nhttps://a.test:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond ok\n}";
    let setup = of(config).with("STORAGE", folder.path().join("storage").display());
    let proxy = setup.with("CERT", certificate.display()).with("KEY", key.display()).arguments(&["--no-watch"]).start();
    let told = proxy.said("nothing is shown of what the responder says");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.starts_with("no answer (")), "{told}");
    eventually("it is left", || (responder.open() == 0).then_some(()));
    assert!((32 * 1024..MOST).contains(&taken.load(SeqCst)), "{} bytes", taken.load(SeqCst));
    let mut client = Client::tls(proxy.address(), "a.test", authority.client(&[])).unwrap();
    assert_eq!(client.get("a.test", "/").text(), "ok");
}

#[test]
fn xz07_an_authority_that_goes_on_and_on_is_not_heard_to_its_end() {
    let (authority, folder, taken) = (Authority::new(), Folder::new(), Arc::default());
    let say = endless(&taken);
    let directory = Origin::tls(authority.issue(&["localhost"]).server(&["http/1.1"]), move |_, wire| {
        say(wire);
        wire.close();
    });
    let root = folder.write("root.pem", authority.pem());
    let config = "global {\n email admin@example.com\n storage file {$STORAGE}\n http_port {$HTTP}\n https_port {$HTTPS}\n \
                  acme {\n ca {$DIRECTORY}\n root {$ROOT}\n }\n}\nexample.com {\n bind 127.0.0.1\n respond ok\n}";
    let setup = of(config).with("STORAGE", folder.path().join("storage").display()).with("ROOT", root.display());
    let setup = setup.with("DIRECTORY", format!("https://localhost:{}/dir", directory.address.port()));
    let setup = setup.with("HTTP", free_port()).with("HTTPS", free_port());
    let proxy = setup.arguments(&["--no-watch"]).doors(2).start();
    let before = resident(&proxy);
    let told = proxy.said("certificate not obtained");
    assert!(told.to_string().contains("no answer from"), "{told}");
    eventually("it is left", || (directory.open() == 0).then_some(()));
    assert!((1024 * 1024..MOST).contains(&taken.load(SeqCst)), "{} bytes", taken.load(SeqCst));
    let growth = resident(&proxy).saturating_sub(before);
    assert!(growth < 8 * 1024, "{growth} KiB");
}
