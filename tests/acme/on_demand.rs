//! Certificates for names that become known when somebody comes for them.

use serde_json::json;

use crate::authority::{Pebble, secure};
use crate::harness::{Folder, Origin, Proxy, eventually};
use crate::issuers::{errand, with};
use crate::served;

const ANY: &str = "https://:{$HTTPS} {
    bind 127.0.0.1
    respond \"any {host}\"
}
*.shop.example.com {
    bind 127.0.0.1
    respond \"shop {host}\"
}
";

/// Says yes to names that begin with `yes`.
fn permits() -> Origin {
    Origin::new(|request, wire| {
        let yes = request.target().starts_with("/ask?domain=yes");
        wire.say(format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", if yes { 200 } else { 404 }));
    })
}

fn start(pebble: &Pebble, storage: &Folder, ask: &Origin, more: &str) -> Proxy {
    let acme = format!(
        "ca {} {{ root {} }}\n on_demand {{\n ask http://{ask}/ask\n{more}\n }}",
        pebble.directory(),
        pebble.root_file()
    );
    with(pebble, storage, &acme, ANY).doors(1).start()
}

#[test]
fn xt12_a_name_that_somebody_says_yes_to_gets_its_certificate_in_the_handshake() {
    let (pebble, storage, ask) = (Pebble::start(), Folder::new(), permits());
    let mut proxy = start(&pebble, &storage, &ask, "");
    let believer = pebble.believer();
    // All who come at once wait for one order, within their handshakes.
    let served_all: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = secure(&pebble, &believer, "yes.example.com").expect("it waits");
                    client.get("yes.example.com", "/").text().to_owned()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(served_all, vec!["any yes.example.com"; 8]);
    assert_eq!((pebble.orders(), ask.requests().len()), (1, 1));
    // Who comes later waits for nobody.
    assert!(secure(&pebble, &believer, "yes.example.com").is_ok());
    let mut client = secure(&pebble, &believer, "yes.shop.example.com").expect("below a wildcard, too");
    assert_eq!(client.get("yes.shop.example.com", "/").text(), "shop yes.shop.example.com");
    assert_eq!((pebble.orders(), ask.requests().len()), (2, 2));
    // A name that nobody wants is refused, and not asked about again and again.
    for _ in 0..3 {
        let refusal = secure(&pebble, &believer, "no.example.com").err().expect("nobody wants it");
        assert!(refusal.contains("UnrecognisedName"), "{refusal}");
    }
    assert!(secure(&pebble, &believer, "yes").is_err(), "no name that an authority could know");
    assert_eq!((pebble.orders(), ask.requests().len()), (2, 3));
    // A reload keeps what there is, and the next process finds it in storage.
    proxy.signal(rustix::process::Signal::HUP);
    proxy.said("configuration reloaded");
    assert!(secure(&pebble, &believer, "yes.example.com").is_ok());
    assert_eq!(ask.requests().len(), 3);
    proxy.signal(rustix::process::Signal::TERM);
    proxy.wait();
    let proxy = start(&pebble, &storage, &ask, "");
    assert!(secure(&pebble, &believer, "yes.example.com").is_ok());
    assert_eq!((pebble.orders(), ask.requests().len()), (2, 4));
    assert_eq!(errand(&proxy, &storage, &["renew", "--force", "yes.example.com"]).0, 0);
    assert_eq!((pebble.orders(), ask.requests().len()), (3, 5), "it is asked once more before a renewal");
}

#[test]
fn xt12_there_are_only_so_many_orders_and_so_many_names() {
    let (pebble, storage, ask) = (Pebble::start(), Folder::new(), permits());
    let proxy = start(&pebble, &storage, &ask, "limit 1/h\n names 2");
    assert_eq!(served(&pebble, "yes.example.com"), "any yes.example.com");
    let believer = pebble.believer();
    assert!(secure(&pebble, &believer, "yes2.example.com").is_err());
    proxy.said("the limit of certificates on demand is reached");
    assert!(secure(&pebble, &believer, "yes3.example.com").is_err());
    assert_eq!(proxy.said("there are as many names on demand as there may be")["names"], json!(2));
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn a_name_whose_certificate_does_not_come_is_refused_and_harms_no_other() {
    let (pebble, storage, ask) = (Pebble::start(), Folder::new(), permits());
    pebble.lead_astray("yes-astray.example.com");
    let proxy = start(&pebble, &storage, &ask, "");
    let believer = pebble.believer();
    let refusal = secure(&pebble, &believer, "yes-astray.example.com").err().expect("it leads elsewhere");
    assert!(refusal.contains("UnrecognisedName"), "{refusal}");
    proxy.said("certificate not obtained");
    let orders = pebble.orders();
    assert!(secure(&pebble, &believer, "yes-astray.example.com").is_err());
    assert_eq!((pebble.orders(), ask.requests().len()), (orders, 1));
    assert_eq!(served(&pebble, "yes.example.com"), "any yes.example.com");
    drop(ask);
    eventually("nobody to ask", || secure(&pebble, &believer, "yes-late.example.com").err());
    proxy.said("nobody says whether a name may have a certificate");
}

#[test]
fn xt12_a_site_has_terms_of_its_own() {
    let (pebble, storage, all, shop) = (Pebble::start(), Folder::new(), permits(), permits());
    let acme =
        format!("ca {} {{ root {} }}\n on_demand {{ ask http://{all}/ask }}", pebble.directory(), pebble.root_file());
    let own = format!("tls {{ on_demand {{ ask http://{shop}/ask; limit 1/h }} }}\n    respond \"shop");
    let sites = ANY.replace("respond \"shop", &own);
    let proxy = with(&pebble, &storage, &acme, &sites).doors(1).start();
    let believer = pebble.believer();
    let said = |name: &str| {
        let mut client = secure(&pebble, &believer, name).ok()?;
        Some(client.get(name, "/").text().to_owned())
    };
    assert_eq!(said("yes.shop.example.com").as_deref(), Some("shop yes.shop.example.com"));
    assert_eq!((all.requests().len(), shop.requests().len()), (0, 1));
    assert!(said("yes2.shop.example.com").is_none());
    proxy.said("the limit of certificates on demand is reached");
    assert_eq!(said("yes.example.com").as_deref(), Some("any yes.example.com"));
    assert_eq!((all.requests().len(), shop.requests().len(), pebble.orders()), (1, 2, 2));
}
