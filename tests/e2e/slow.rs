//! Requirements N06 and N07, threats XL: who is slow is waited for as long as was said, and not longer.

use std::time::{Duration, Instant};

use crate::harness::{Authority, Client, Folder, H2, Origin, Proxy, eventually, of, run};

/// A proxy whose clients have half a second for this.
fn impatient(kind: &str, origin: &Origin) -> Proxy {
    of(&format!("global {{ timeout {kind} 500ms }}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}}\n}}"))
        .with("ORIGIN", origin)
        .start()
}

/// That something ended after about half a second: not before, and not long after, on a machine that is busy.
fn after_half_a_second(start: Instant) {
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(450) && elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn xl01_a_head_that_never_ends_is_answered_408() {
    let origin = Origin::saying("ok");
    let proxy = impatient("header", &origin);
    let mut client = proxy.client();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\nX-");
    assert_eq!(client.response().status(), 408);
    client.assert_closed();
    after_half_a_second(start);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn xl01_drops_of_a_head_do_not_put_the_end_off() {
    let origin = Origin::saying("ok");
    let proxy = impatient("header", &origin);
    let mut client = proxy.client();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n");
    // One line every 100 ms, for as long as the other side listens.
    let response = loop {
        client.send("X-A: b\r\n");
        match client.pipe.fill_within(Duration::from_millis(100)) {
            Ok(_) => break client.response(),
            Err(_) => assert!(start.elapsed() < Duration::from_secs(5), "still listened to"),
        }
    };
    assert_eq!(response.status(), 408);
    after_half_a_second(start);
}

#[test]
fn xl01_who_says_nothing_is_left_without_a_word() {
    let origin = Origin::saying("ok");
    let proxy = impatient("header", &origin);
    let start = Instant::now();
    proxy.client().assert_closed();
    after_half_a_second(start);
}

#[test]
fn n06_a_connection_is_kept_for_the_next_request_for_a_while() {
    let origin = Origin::saying("ok");
    let proxy = impatient("idle", &origin);
    let mut client = proxy.client();
    assert_eq!(client.get("example.com", "/").status(), 200);
    client.assert_silent(Duration::from_millis(250));
    assert_eq!(client.get("example.com", "/").status(), 200);
    let start = Instant::now();
    client.assert_closed();
    after_half_a_second(start);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        assert_eq!(client.get("example.com", "/").await.status, 200);
        let start = Instant::now();
        client.wait_closed().await;
        after_half_a_second(start);
    });
}

#[test]
fn xl02_a_body_that_stops_is_answered_408() {
    let origin = Origin::saying("ok");
    let proxy = impatient("body", &origin);
    let mut client = proxy.client();
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\nhalf of it");
    let response = client.response();
    assert_eq!(response.status(), 408);
    client.assert_closed();
    after_half_a_second(start);
    assert_eq!(proxy.logged_for(&response)["error"], "request_body_timeout");
    assert_eq!(origin.whole_requests(), 0);
}

#[test]
fn xl03_a_client_that_takes_nothing_is_left() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let piece = vec![b'x'; 1_000_000];
        while wire.pipe.send(&piece).is_ok() {}
    });
    let proxy = impatient("write", &origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let line = proxy.logged_where("of the client that takes nothing", |line| line["error"] == "response_write_timeout");
    assert_eq!(line["status"], 200);
    eventually("the origin is let go", || (origin.open() == 0).then_some(()));
}

#[test]
fn xl04_a_handshake_that_never_ends_is_given_up() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let proxy =
        of("global { timeout handshake 500ms }\nhttps://:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond ok\n}")
            .with("CERT", certificate.display())
            .with("KEY", key.display())
            .start();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let start = Instant::now();
        let mut client = proxy.client();
        client.send(bytes);
        client.assert_closed();
        after_half_a_second(start);
    }
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&[])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "ok");
}

#[test]
fn xl05_who_comes_over_the_limit_waits_and_nobody_else_does() {
    let origin = Origin::saying("ok");
    let proxy = of("global { limit connections 20 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let mut clients: Vec<Client> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("example.com", "/").status(), 200);
    }
    let mut late = proxy.client();
    late.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    late.assert_silent(Duration::from_millis(300));
    assert_eq!(clients[7].get("example.com", "/").status(), 200, "who is there is served");
    clients.truncate(10);
    assert_eq!(late.response().status(), 200);
}

#[test]
fn n06_requests_on_a_connection_are_counted() {
    let origin = Origin::saying("ok");
    let proxy = of("global { limit requests 3 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let mut client = proxy.client();
    for at in 1..=3 {
        let response = client.get("example.com", "/");
        assert_eq!(response.field("connection").is_some(), at == 3, "the last one says so");
    }
    client.assert_closed();
}

#[test]
fn n06_a_connection_of_some_age_ends_in_good_order() {
    let origin = Origin::saying("ok");
    let proxy = of("global { limit lifetime 1s }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let (start, mut client) = (Instant::now(), proxy.client());
    let young = Duration::from_millis(900);
    eventually("its last answer", || client.get("example.com", "/").field("connection").map(drop));
    assert!(start.elapsed() >= young, "{:?}", start.elapsed());
    client.assert_closed();
    run(async {
        let (start, mut client) = (Instant::now(), H2::connect(proxy.address()).await);
        let mut answered = 0;
        // No request is lost: what the client may still send is answered, and then it is told to come anew.
        while let Ok(response) = client.try_get("/").await {
            assert_eq!(response.status, 200);
            answered += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(answered > 1 && start.elapsed() >= young, "{answered} in {:?}", start.elapsed());
        client.wait_closed().await;
    });
}

#[test]
fn n07_a_route_has_timeouts_of_its_own() {
    let origin = Origin::new(|_, wire| {
        // A slow server, not a race.
        std::thread::sleep(Duration::from_millis(700));
        wire.ok("at last");
    });
    let proxy = Proxy::site(
        "route /slow { reverse_proxy {$ORIGIN} { timeout first_byte 10s } }\n reverse_proxy {$ORIGIN} { timeout first_byte 300ms }",
        &origin,
    );
    assert_eq!(proxy.get("/slow").text(), "at last");
    assert_eq!(proxy.get("/").status(), 504);
}

#[test]
fn s07_a_body_over_the_limit_is_refused_before_it_is_read() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::site("max_body 1KiB\n reverse_proxy {$ORIGIN}", &origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1025\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status(), 413);
    assert_eq!(proxy.logged_for(&response)["error"], "body_too_large");
    assert_eq!(origin.connections(), 0);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..200 {
        client.send("400\r\n").send([b'x'; 1024]).send("\r\n");
    }
    assert_eq!(client.response().status(), 413);
    assert_eq!(origin.whole_requests(), 0);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1024\r\n\r\n").send([b'x'; 1024]);
    assert_eq!(client.response().text(), "reached");
    assert_eq!(origin.whole_requests(), 1);
}

#[test]
fn a_shutdown_lets_requests_finish_and_takes_no_new_ones() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::new(move |_, wire| {
        let _ = wait.lock().unwrap().recv_timeout(crate::harness::PATIENCE);
        wire.ok("finished");
    });
    let mut proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    let mut idle = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    origin.wait_for(1);
    proxy.signal(rustix::process::Signal::TERM);
    proxy.said("shutting down");
    idle.assert_closed();
    drop(idle);
    go.send(()).unwrap();
    let response = client.response();
    assert_eq!((response.text(), response.field("connection")), ("finished", Some("close")));
    drop(client);
    assert!(proxy.wait().success());
    assert!(proxy.access_lines().iter().any(|line| line["status"] == 200));
}
