//! Requirements L: several servers that stand in for each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Ask, Origin, Protocol, Proxy, each, eventually, of};

fn pool(over: Protocol, servers: &str, more: &str, origins: &[&Origin]) -> Proxy {
    let site = ":0 {\n bind 127.0.0.1\n reverse_proxy pool\n}";
    let mut setup = over.of(&format!("upstream pool {{\n{servers}\n{more}\n}}\n{site}"));
    for (at, origin) in origins.iter().enumerate() {
        setup = setup.with(&format!("S{at}"), origin);
    }
    setup.start()
}

/// How often each text is said.
fn tally(proxy: &Proxy, requests: usize) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    let mut client = proxy.client();
    for _ in 0..requests {
        let response = client.get("example.com", "/");
        assert_eq!(response.status(), 200);
        *tally.entry(response.text().to_owned()).or_default() += 1;
    }
    tally
}

fn counts(tally: &BTreeMap<String, usize>) -> Vec<(&str, usize)> {
    tally.iter().map(|(text, count)| (&**text, *count)).collect()
}

#[test]
fn l01_servers_take_turns() {
    let [a, b, c] = ["a", "b", "c"].map(Origin::saying);
    let proxy = Proxy::site(&format!("reverse_proxy {{$ORIGIN}} {b} {c}"), &a);
    assert_eq!(counts(&tally(&proxy, 30)), [("a", 10), ("b", 10), ("c", 10)]);
}

#[test]
fn l02_weights_are_kept() {
    let [a, b, c] = ["a", "b", "c"].map(Origin::saying);
    let proxy = pool(Protocol::Plain, "server {$S0} weight 3\nserver {$S1} weight 2\nserver {$S2}", "", &[&a, &b, &c]);
    assert_eq!(counts(&tally(&proxy, 600)), [("a", 300), ("b", 200), ("c", 100)]);
}

#[test]
fn l03_the_least_busy_is_asked() {
    let busy = Origin::new(|_, wire| wire.wait_closed());
    let free = Origin::saying("free");
    let proxy = pool(Protocol::Plain, "server {$S0}\nserver {$S1}", "balance least_conn", &[&busy, &free]);
    // Hangs at the busy one, which from then on has one request more than the other.
    let mut held = Vec::new();
    while busy.connections() == 0 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        if client.pipe.fill_within(Duration::from_millis(300)).is_err() {
            held.push(client);
        }
    }
    assert_eq!(counts(&tally(&proxy, 10)), [("free", 10)]);
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn l04_a_backup_is_asked_only_when_all_others_are_out() {
    // A server that can be switched off: it resets whoever connects.
    let is_down = Arc::new(AtomicBool::new(false));
    let down = is_down.clone();
    let primary = Origin::raw(move |wire| {
        while let Some(_request) = (!down.load(Ordering::SeqCst)).then(|| wire.request()).flatten() {
            if down.load(Ordering::SeqCst) {
                break;
            }
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nprimary");
        }
        wire.reset();
    });
    let backup = Origin::saying("backup");
    let proxy = pool(Protocol::Plain, "server {$S0}\nserver {$S1} backup", "timeout connect 1s", &[&primary, &backup]);
    assert_eq!(counts(&tally(&proxy, 20)), [("primary", 20)]);
    is_down.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        let response = proxy.get("/");
        assert_eq!((response.status(), response.text()), (200, "backup"), "one that fails is stood in for at once");
    }
    is_down.store(false, Ordering::SeqCst);
    // Ten seconds after it was put out.
    eventually("it comes back", || (proxy.get("/").text() == "primary").then_some(()));
    assert_eq!(counts(&tally(&proxy, 5)), [("primary", 5)]);
}

#[test]
fn l10_a_server_that_cannot_be_reached_is_put_out() {
    let alive = Origin::saying("alive");
    let dead = Origin::nobody();
    let proxy = Proxy::site(&format!("reverse_proxy {{$ORIGIN}} {dead}"), &alive);
    assert_eq!(counts(&tally(&proxy, 40)), [("alive", 40)]);
    let lines = eventually("40 lines", || Some(proxy.access_lines()).filter(|lines| lines.len() == 40));
    let second = lines.iter().filter(|line| line["attempts"] == 2).count();
    assert_eq!(second, 3, "three failures put it out");
}

#[test]
fn l12_without_any_fit_server_the_answer_is_quick_and_says_so() {
    each(|over| {
        let proxy = over.of("upstream pool { }\n:0 {\n bind 127.0.0.1\n reverse_proxy pool\n}").start();
        let mut speaker = proxy.speaker();
        speaker.get("/warm");
        let start = Instant::now();
        let response = speaker.get("/");
        assert!(start.elapsed() < Duration::from_millis(500));
        assert_eq!(response.status(), 503);
        assert_eq!(response.field("retry-after"), Some("5"));
        assert_eq!(proxy.logged_for(&response)["error"], "no_healthy_upstream");
    });
}

/// Hangs up on every request, and counts them.
fn failing(asked: &Arc<AtomicUsize>) -> Origin {
    let counter = asked.clone();
    Origin::raw(move |wire| {
        if wire.until(b"\r\n\r\n").is_some() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        wire.close();
    })
}

#[test]
fn l13_a_request_that_cannot_have_had_an_effect_is_tried_once_more() {
    each(|over| {
        let asked = Arc::new(AtomicUsize::new(0));
        let (failing, working) = (failing(&asked), Origin::saying("ok"));
        let proxy = over.site(&format!("reverse_proxy {{$ORIGIN}} {working}"), &failing);
        for _ in 0..10 {
            let response = proxy.get("/");
            assert_eq!(response.status(), 200, "GET may be repeated");
            assert!(proxy.logged_for(&response)["attempts"].as_u64().unwrap() <= 2);
        }
        let before = asked.load(Ordering::SeqCst);
        let mut answered = BTreeMap::new();
        for _ in 0..10 {
            let response = proxy.request(Ask::of("POST", "/").body("hi"));
            *answered.entry(response.status()).or_insert(0) += 1;
        }
        let reached = asked.load(Ordering::SeqCst) - before;
        assert_eq!(answered.get(&502).copied().unwrap_or_default(), reached, "POST is not: {answered:?}");
        assert_eq!(working.requests().iter().filter(|request| request.method() == "POST").count(), 10 - reached);
    });
}

#[test]
fn l13_never_more_than_two_attempts() {
    each(|over| {
        let asked = Arc::new(AtomicUsize::new(0));
        let origins: Vec<Origin> = (0..4).map(|_| failing(&asked)).collect();
        let servers = "server {$S0}\nserver {$S1}\nserver {$S2}\nserver {$S3}";
        let proxy = pool(over, servers, "", &origins.iter().collect::<Vec<_>>());
        let response = proxy.get("/");
        assert_eq!(response.status(), 502);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(proxy.logged_for(&response)["attempts"], 2);
    });
}

#[test]
fn n01_a_stale_connection_is_replaced_without_the_client_noticing() {
    each(|over| {
        // Closes each connection right after its answer, without saying so.
        let origin = Origin::raw(|wire| {
            if wire.request().is_some() {
                wire.ok("ok");
            }
            wire.close();
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        for _ in 0..20 {
            assert_eq!(speaker.get("/").text(), "ok");
            let response = speaker.ask(Ask::of("POST", "/").body("hi"));
            // Its bytes may have been written to a connection that was closing: only then it must not be repeated.
            assert!(matches!(response.status(), 200 | 502));
        }
    });
}

#[test]
fn n01_connections_are_used_again() {
    let origin = Origin::saying("ok");
    let proxy =
        of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}").with("ORIGIN", &origin).start();
    for _ in 0..50 {
        assert_eq!(proxy.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn n01_without_keepalive_every_request_has_its_own_connection() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { keepalive off }", &origin);
    for _ in 0..5 {
        assert_eq!(proxy.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 5);
}
