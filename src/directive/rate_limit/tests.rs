//! What the room reads, and what its steps do with requests.

use std::net::IpAddr;
use std::time::Duration;

use http::{Response, StatusCode};

use super::*;
use crate::diagnostic::FileId;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::Cause;
use crate::http::step::Filter as _;
use crate::site::Supplies;
use crate::syntax;

fn read_text(text: &str) -> (Option<Model>, Vec<String>) {
    let (tree, mistakes) = syntax::parse(FileId::default(), text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut cx = Check::default();
    let model = read(&tree.nodes[0], &mut cx).ok();
    let said = cx.finish().sorted().into_iter();
    (model, said.map(|m| format!("{}: {} | {}", m.code, m.text, m.help.unwrap_or_default())).collect())
}

fn model(text: &str) -> Model {
    let (model, said) = read_text(text);
    assert_eq!(said, [""; 0], "{text}");
    model.unwrap()
}

/// The step of a statement, with a table of its own.
fn limit(text: &str) -> Limit {
    let model = model(text);
    Limit {
        pace: model.pace,
        key: model.key.clone(),
        table: Table::new(1000).into(),
        what: model.what().into(),
        told: model.headers.then(|| Told::new(&model.rate, &model.pace)),
    }
}

fn passes(limit: &Limit, exchange: &mut Exchange) -> bool {
    match limit.request(exchange) {
        Ok(answer) => {
            assert!(answer.is_none());
            true
        }
        Err(fault) => {
            assert_eq!(fault.cause, Cause::RateLimited);
            false
        }
    }
}

fn request(fields: &[(&'static str, &str)]) -> Exchange {
    Exchange::sample("/a?token=t", fields)
}

fn from(ip: &str) -> Exchange {
    Exchange { client_ip: ip.parse::<IpAddr>().unwrap(), ..request(&[]) }
}

#[test]
fn statements_are_read() {
    assert_eq!(model("rate_limit 10/s burst 20").what(), "10/s burst 20 by client_ip");
    assert_eq!(model("rate_limit 100/m by header X-Api-Key").what(), "100/m by header x-api-key");
    assert_eq!(model("rate_limit 100/90s burst 0 by cookie sid").what(), "100/90s burst 0 by cookie sid");
    assert_eq!(model("rate_limit 1/s by \"{host} {query.token}\"").what(), "1/s by {host}{query.token}");
    let options = model("rate_limit 1/s { keys 5000; headers off }");
    assert_eq!((options.keys, options.headers), (5000, false));
}

#[test]
fn every_example_is_read_without_a_finding() {
    for example in ROOM.examples {
        model(example);
    }
}

#[test]
fn s03_each_key_has_its_own_limit() {
    let limit = limit("rate_limit 100/h by header X-Api-Key");
    for key in ["one", "two"] {
        let passed = (0..101).filter(|_| passes(&limit, &mut request(&[("x-api-key", key)]))).count();
        assert_eq!(passed, 100, "{key}");
    }
}

#[test]
fn s03_to_leave_the_key_out_lifts_no_limit() {
    let limit = limit("rate_limit 2/m by header X-Api-Key");
    let passed = (0..5).filter(|_| passes(&limit, &mut request(&[]))).count();
    assert_eq!(passed, 2);
    assert!(passes(&limit, &mut from("198.51.100.7")), "another client has its own");
    assert!(passes(&limit, &mut request(&[("x-api-key", "k")])));
    let empty = (0..5).filter(|_| passes(&limit, &mut request(&[("x-api-key", "")]))).count();
    assert_eq!(empty, 0, "an empty key is none");
}

#[test]
fn xl10_an_ipv6_network_is_one_client() {
    let limit = limit("rate_limit 1/m");
    assert!(passes(&limit, &mut from("2001:db8::1")));
    assert!(!passes(&limit, &mut from("2001:db8::ffff:1")));
    assert!(passes(&limit, &mut from("2001:db8:0:1::1")));
    assert!(passes(&limit, &mut from("192.0.2.7")));
    assert!(!passes(&limit, &mut from("::ffff:192.0.2.7")));
    let limit = self::limit("rate_limit 1/m by {client_ip}{path}");
    assert!(passes(&limit, &mut from("2001:db8::1")));
    assert!(!passes(&limit, &mut from("2001:db8::2")));
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    let limit = limit("rate_limit 1/m by {header.A}{header.B}");
    assert!(passes(&limit, &mut request(&[("a", "xy"), ("b", "z")])));
    assert!(passes(&limit, &mut request(&[("a", "x"), ("b", "yz")])));
    assert!(!passes(&limit, &mut request(&[("a", "xy"), ("b", "z")])));
}

fn fields(limit: &Limit, exchange: &mut Exchange, status: u16) -> Vec<String> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    limit.response(exchange, &mut answer);
    let mut fields: Vec<_> =
        answer.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    fields.sort();
    fields
}

#[test]
fn s02_the_client_is_told_where_it_stands_and_when_to_come_back() {
    let limit = limit("rate_limit 2/10s");
    let mut exchange = request(&[]);
    assert!(passes(&limit, &mut exchange));
    let told = fields(&limit, &mut exchange, 200);
    assert_eq!(told, ["ratelimit-policy: \"2/10s\";q=2;w=10", "ratelimit: \"2/10s\";r=1;t=5"]);
    exchange.started += Duration::from_millis(200);
    assert!(passes(&limit, &mut exchange));
    let told = fields(&limit, &mut exchange, 200);
    assert_eq!(told[1], "ratelimit: \"2/10s\";r=0;t=10");
    exchange.started += Duration::from_millis(200);
    assert!(!passes(&limit, &mut exchange));
    let told = fields(&limit, &mut exchange, 429);
    assert_eq!(told, ["ratelimit-policy: \"2/10s\";q=2;w=10", "ratelimit: \"2/10s\";r=0;t=10", "retry-after: 5"]);
}

#[test]
fn s02_retry_after_is_a_second_at_least_and_there_even_where_nothing_else_is() {
    let limit = limit("rate_limit 100/s burst 0 { headers off }");
    let mut exchange = request(&[]);
    assert!(passes(&limit, &mut exchange));
    assert_eq!(fields(&limit, &mut exchange, 200), [""; 0]);
    assert!(!passes(&limit, &mut exchange));
    assert_eq!(fields(&limit, &mut exchange, 429), ["retry-after: 1"]);
    // An error page that hides the refusal asks no one to come back.
    assert!(!passes(&limit, &mut exchange));
    assert_eq!(fields(&limit, &mut exchange, 404), [""; 0]);
}

#[test]
fn several_limits_each_tell_their_own() {
    let (wide, narrow) = (limit("rate_limit 100/m"), limit("rate_limit 1/s burst 0"));
    let mut exchange = request(&[]);
    assert!(passes(&wide, &mut exchange) && passes(&narrow, &mut exchange));
    assert_eq!(fields(&narrow, &mut exchange, 200)[1], "ratelimit: \"1/s\";r=0;t=1");
    assert_eq!(fields(&wide, &mut exchange, 200)[1], "ratelimit: \"100/m\";r=99;t=1");
    assert!(exchange.limits.is_empty());
}

#[test]
fn a_reload_keeps_what_is_known_and_equal_limits_stay_apart() {
    let compile = |supplies: &mut Supplies, name: &str, texts: &[&str]| {
        let mut site = Building::new(supplies).named(name, crate::diagnostic::Span::default());
        for text in texts {
            model(text).compile(&mut site).unwrap();
        }
        site.finish()
    };
    let run = |program: &crate::site::Program| {
        let mut exchange = request(&[]);
        let waker = std::task::Waker::noop();
        let mut run = Box::pin(program.run(&mut exchange));
        match std::future::Future::poll(run.as_mut(), &mut std::task::Context::from_waker(waker)) {
            std::task::Poll::Ready(answer) => answer.status().as_u16(),
            std::task::Poll::Pending => panic!("limits do not wait"),
        }
    };
    let mut first = Supplies::default();
    // Two equal limits: were they one, a request would use it up twice and be refused at once.
    let before = compile(&mut first, "a.example", &["rate_limit 1/h", "rate_limit 1/h"]);
    assert_eq!((run(&before), run(&before)), (404, 429));
    let mut second = Supplies::after(first.legacy());
    let same = compile(&mut second, "a.example", &["rate_limit 1/h", "rate_limit 1/h"]);
    assert_eq!(run(&same), 429);
    let mut third = Supplies::after(second.legacy());
    let other = compile(&mut third, "a.example", &["rate_limit 2/h"]);
    assert_eq!(run(&other), 404, "another limit begins anew");
    let elsewhere = compile(&mut third, "b.example", &["rate_limit 1/h"]);
    assert_eq!(run(&elsewhere), 404, "an equal limit of another site is another limit");
}

#[test]
fn s01_who_waited_before_the_limit_is_not_refused_for_those_who_did_not() {
    let limit = limit("rate_limit 1000/s burst 0");
    let (mut quick, mut waited) = (request(&[]), request(&[]));
    waited.started = quick.started;
    assert!(passes(&limit, &mut quick));
    // By its own time it would come a millisecond too early.
    while waited.started.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    assert!(passes(&limit, &mut waited));
}
