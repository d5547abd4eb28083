//! What the room reads, and what browsers are told.

use http::{HeaderMap, Method};

use crate::directive::testing::{findings, pass};
use crate::http::exchange::Exchange;

const APP: &str = "https://app.example.com";

fn ask(site: &str, method: Method, fields: &[(&str, &str)]) -> (u16, HeaderMap) {
    let mut exchange = Exchange { method, ..Exchange::sample("/x", fields) };
    let answer = pass(site, &mut exchange);
    (answer.status().as_u16(), answer.headers().clone())
}

/// The fields of CORS and `Vary`, by name.
fn told(headers: &HeaderMap) -> Vec<String> {
    let mut told: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| {
            format!("{}: {}", name.as_str().trim_start_matches("access-control-"), value.to_str().unwrap())
        })
        .collect();
    told.sort();
    told
}

fn get(options: &str, origin: &str) -> Vec<String> {
    told(&ask(&format!("cors {{ {options} }}\nrespond ok"), Method::GET, &[("origin", origin)]).1)
}

fn preflight(options: &str, origin: &str) -> (u16, Vec<String>) {
    let fields = [("origin", origin), ("access-control-request-method", "PUT")];
    let (status, headers) = ask(&format!("cors {{ {options} }}\nrespond ok"), Method::OPTIONS, &fields);
    (status, told(&headers))
}

#[test]
fn m10_an_origin_that_is_named_may_read() {
    let options = format!("origins {APP} https://*.example.org");
    assert_eq!(get(&options, APP), [format!("allow-origin: {APP}"), "vary: Origin".to_owned()]);
    assert_eq!(get(&options, "https://a.example.org")[0], "allow-origin: https://a.example.org");
    for other in ["https://example.com", "null", "https://evilexample.org"] {
        assert_eq!(get(&options, other), ["vary: Origin"], "{other}");
    }
    let all = format!("{options}; credentials on; expose X-Total X-Page");
    assert_eq!(
        get(&all, APP),
        [
            "allow-credentials: true",
            "allow-origin: https://app.example.com",
            "expose-headers: x-total, x-page",
            "vary: Origin"
        ]
    );
}

#[test]
fn m10_everybody_gets_the_same_answer() {
    assert_eq!(get("origins *", "https://anybody.example"), ["allow-origin: *"]);
    assert_eq!(get("origins *", "null"), ["allow-origin: *"]);
    assert_eq!(get(&format!("origins {APP} null"), "null"), ["allow-origin: null", "vary: Origin"]);
}

#[test]
fn m10_preflights_are_answered() {
    let options = format!("origins {APP}");
    let expected = [
        "allow-headers: content-type",
        "allow-methods: GET, HEAD, POST",
        "allow-origin: https://app.example.com",
        "max-age: 600",
        "vary: Origin",
    ];
    assert_eq!(preflight(&options, APP), (204, expected.map(str::to_owned).to_vec()));
    assert_eq!(preflight(&options, "https://evil.example"), (204, vec!["vary: Origin".to_owned()]));
    let more = format!("{options}; methods PUT; headers X-A Authorization; expose X-B; credentials on; max_age 2h");
    let expected = [
        "allow-credentials: true",
        "allow-headers: x-a, authorization",
        "allow-methods: PUT",
        "allow-origin: https://app.example.com",
        "max-age: 7200",
        "vary: Origin",
    ];
    assert_eq!(preflight(&more, APP), (204, expected.map(str::to_owned).to_vec()));
}

#[test]
fn an_options_that_is_no_preflight_goes_on() {
    let site = format!("cors {{ origins {APP} }}\nrespond 202");
    assert_eq!(ask(&site, Method::OPTIONS, &[("origin", APP)]).0, 202);
    assert_eq!(ask(&site, Method::OPTIONS, &[("access-control-request-method", "PUT")]).0, 202);
}

#[test]
fn m10_what_stood_there_is_replaced_and_errors_have_it_too() {
    let site = format!("cors {{ origins {APP} }}\nroute /x {{ respond 404 }}\nheader {{ set X-Below y }}");
    let (status, headers) = ask(&site, Method::GET, &[("origin", APP)]);
    assert_eq!((status, told(&headers)[0].as_str()), (404, "allow-origin: https://app.example.com"));
    // Fields of answers run in written order, so this stands for what a server sent.
    let sent = "header { set Access-Control-Allow-Origin *; set Access-Control-Allow-Methods X; set Vary Accept }";
    let site = format!("{sent}\ncors {{ origins {APP} }}\nrespond ok");
    let (_, headers) = ask(&site, Method::GET, &[("origin", "https://evil.example")]);
    assert_eq!(told(&headers), ["vary: Accept, Origin"]);
}

#[test]
fn an_origin_that_is_taken_away_below_is_remembered() {
    let site = format!("cors {{ origins {APP} }}\nheader request remove Origin\nrespond ok");
    let (_, headers) = ask(&site, Method::GET, &[("origin", APP)]);
    assert_eq!(told(&headers)[0], "allow-origin: https://app.example.com");
    let (_, headers) = ask(&site, Method::GET, &[("origin", APP), ("origin", APP)]);
    assert_eq!(told(&headers), ["vary: Origin"], "of two, none is believed");
}

#[test]
fn xa11_what_opens_too_much_is_refused() {
    let said = |options: &str| findings(&format!("cors {{ {options} }}\nrespond ok")).join("\n");
    assert!(said("origins *; credentials on").starts_with("E0028 with `credentials on`, `*` would let any page"));
    assert!(said("origins null; credentials on").starts_with("E0028 with `credentials on`, `null`"));
    assert!(said("origins * https://a.example").starts_with("E0028 `*` is every origin"));
    assert!(said("origins https://a.example; headers *; credentials on").contains("for the name of a field"));
    assert!(said("origins https://a.example; methods *; credentials on").contains("for the name of a method"));
    assert!(said("methods GET").starts_with("E0022 `cors` names no origin"));
    assert!(said("origins a.example b.example").lines().count() == 2, "each one is told");
}
