//! Renewal when the authority wants it (RFC 9773).

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::authority::Pebble;
use crate::harness::{Folder, eventually};
use crate::issuers::with;
use crate::lens::{Lens, Said};
use crate::{SITE, served, told};

/// An authority that knows of renewal, and suggests this window, in hours from now.
pub fn suggesting(pebble: &Pebble, from: i64, to: i64) -> Lens {
    let hours = |count| (OffsetDateTime::now_utc() + Duration::hours(count)).format(&Rfc3339).unwrap();
    let window = json!({ "suggestedWindow": { "start": hours(from), "end": hours(to) } });
    Lens::before(pebble, move |question| {
        if question.is_for("/renewal/") {
            return Said::json(&window).field("Retry-After", "7200");
        }
        let said = question.pass();
        if question.is_for("/dir") {
            let base = format!("https://{}", question.message.field("host").unwrap());
            return said.change(|directory| {
                directory["renewalInfo"] = format!("{base}/renewal").into();
                directory["meta"]["profiles"] = json!({ "shortlived": "six days" });
            });
        }
        match question.payload() {
            payload if question.is_for("/order-plz") && payload["replaces"].is_string() => {
                said.change(|order| order["replaces"] = payload["replaces"].clone())
            }
            _ => said,
        }
    })
}

fn orders(lens: &Lens) -> Vec<Value> {
    lens.payloads("/order-plz")
}

pub fn ca(lens: &Lens, more: &str) -> String {
    format!("ca {} {{ root {}\n{more} }}", lens.directory(), lens.root_file())
}

#[test]
fn a_window_that_is_over_means_now_and_the_order_says_what_it_replaces() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let lens = suggesting(&pebble, -48, -24);
    let acme = ca(&lens, "");
    let mut proxy = with(&pebble, &storage, &acme, SITE).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    proxy.said("certificate obtained");
    proxy.signal(rustix::process::Signal::TERM);
    proxy.wait();
    assert_eq!(lens.asked("/renewal/"), 0, "one that has just come is not asked about");
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    proxy.said("certificate obtained");
    let orders = orders(&lens);
    assert_eq!((orders.len(), &orders[0]["replaces"]), (2, &Value::Null));
    let replaced = orders[1]["replaces"].as_str().unwrap();
    assert!(lens.asked(&format!("/renewal/{replaced}")) == 1 && replaced.contains('.'), "{replaced}");
    assert_eq!(served(&pebble, "example.com"), "secure");
}

#[test]
fn a_moment_within_the_window_is_chosen() {
    let (pebble, storage) = (Pebble::exact(), Folder::new());
    let lens = suggesting(&pebble, 30, 40);
    let acme = ca(&lens, "profile shortlived");
    drop({
        let proxy = with(&pebble, &storage, &acme, SITE).start();
        proxy.said("certificate obtained");
        proxy
    });
    assert_eq!(orders(&lens)[0]["profile"], "shortlived");
    let proxy = with(&pebble, &storage, &acme, SITE).start();
    let now = OffsetDateTime::now_utc();
    eventually("advice", || {
        let renewal = told(&proxy, &storage, "example.com")["renewal"].as_str().unwrap().to_owned();
        let renewal = OffsetDateTime::parse(&renewal, &Rfc3339).unwrap();
        ((now + Duration::hours(29)..now + Duration::hours(41)).contains(&renewal)).then_some(())
    });
    assert_eq!((lens.asked("/renewal/"), orders(&lens).len()), (1, 1));
}

#[test]
fn an_address_gets_a_certificate_too() {
    for over_http in [true, false] {
        let (pebble, storage) = (Pebble::exact(), Folder::new());
        let site = "127.0.0.1 {\n bind 127.0.0.1\n tls acme\n respond secure\n}\n";
        let acme = format!("ca {} {{ root {} }}", pebble.directory(), pebble.root_file());
        let mut setup = with(&pebble, &storage, &acme, site);
        if !over_http {
            setup = setup.with("HTTP", crate::harness::free_port());
        }
        let proxy = setup.start();
        assert_eq!(served(&pebble, "127.0.0.1"), "secure");
        let obtained = proxy.said("certificate obtained");
        assert_eq!(obtained["challenge"], if over_http { "http-01" } else { "tls-alpn-01" });
        assert_eq!(told(&proxy, &storage, "127.0.0.1")["error"], Value::Null);
    }
}
