//! What a collector sees of authorities (requirement T03): what they gave, and what they refused.

use crate::authority::Pebble;
use crate::harness::{Folder, Proxy, eventually, get};
use crate::{GLOBAL, asking, served};

fn page(proxy: &Proxy) -> String {
    let at = proxy.said("metrics are served")["address"].as_str().unwrap().parse().unwrap();
    get(at, "rp", "/metrics").text().to_owned()
}

#[test]
fn t03_what_authorities_give_and_refuse_is_counted() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    pebble.lead_astray("astray.example.com");
    let sites = "example.com, astray.example.com {\n bind 127.0.0.1\n respond secure\n}\n";
    let config = format!("{GLOBAL}{sites}").replacen("global {", "global {\n metrics 127.0.0.1:0", 1);
    let proxy = asking(&pebble, &pebble.directory(), storage.path(), "").config(&config).doors(2).start();
    assert_eq!(served(&pebble, "example.com"), "secure");
    proxy.said("certificate not obtained");
    let page = eventually("both are counted", || {
        Some(page(&proxy)).filter(|page| page.contains("_failing{name=\"astray.example.com\"} 1"))
    });
    let directory = pebble.directory();
    let authority = directory.trim_start_matches("https://").trim_end_matches("/dir");
    for line in [
        format!("rp_certificate_orders_total{{authority=\"{authority}\",result=\"challenge\"}} 1\n"),
        format!("rp_certificate_orders_total{{authority=\"{authority}\",result=\"ok\"}} 1\n"),
        "rp_certificate_failing{name=\"example.com\"} 0\n".to_owned(),
        "rp_certificates_missing 1\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
    let left = page.lines().find(|line| {
        line.starts_with("rp_certificate_remaining_seconds{name=\"example.com\",source=\"acme\",issuer=\"Pebble")
    });
    let left: i64 = left.expect(&page).rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(left > 86_400, "{left}");
}
