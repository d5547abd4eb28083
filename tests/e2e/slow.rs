//! Requirements N06 and N07, threats XL: who is slow is waited for as long as was said, and not longer.

use std::time::{Duration, Instant};

use crate::harness::h3::{HEADERS, Outcome, RawH3, frame, head};
use crate::harness::protocol::identity;
use crate::harness::{
    Ask, Authority, Client, Folder, H3, Origin, Protocol, Proxy, Speaker, each, eventually, of, run, together,
};

/// A proxy whose clients have half a second for this.
fn impatient(over: Protocol, kind: &str, origin: &Origin) -> Proxy {
    over.of(&format!("global {{ timeout {kind} 500ms }}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}}\n}}"))
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
    let proxy = impatient(Protocol::Plain, "header", &origin);
    let start = Instant::now();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\nX-");
    assert_eq!(client.response().status(), 408);
    client.assert_closed();
    after_half_a_second(start);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn xl01_drops_of_a_head_do_not_put_the_end_off() {
    let origin = Origin::saying("ok");
    let proxy = impatient(Protocol::Plain, "header", &origin);
    let start = Instant::now();
    let mut client = proxy.client();
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
fn xl01_a_head_that_never_ends_is_given_up_over_http3() {
    let origin = Origin::saying("ok");
    let proxy = impatient(Protocol::Http3, "header", &origin);
    let whole = frame(HEADERS, &head("GET", "/", &[("x-a", "b")]));
    run(async {
        let raw = RawH3::connect(proxy.address(), identity().1.client(&["h3"])).await;
        for sent in [0, 1, whole.len() - 1] {
            let start = Instant::now();
            let (mut send, receive) = raw.quic.open_bi().await.unwrap();
            // A stream that has said nothing is not there.
            send.write_all(&whole[..sent]).await.unwrap();
            let drops = async {
                for byte in &whole[sent..whole.len() - 1] {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if send.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            let outcome = tokio::select! {
                outcome = raw.outcome(receive) => outcome,
                () = drops => unreachable!(),
            };
            assert!(matches!(outcome, Outcome::Reset(_)), "{sent}: {outcome:?}");
            assert!(start.elapsed() >= Duration::from_millis(450), "{sent}: {:?}", start.elapsed());
        }
        assert_eq!(raw.ask(&[whole]).await.status(), Some(200), "its neighbours do not suffer");
    });
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn xl01_who_says_nothing_is_left_without_a_word() {
    together(|over| {
        let origin = Origin::saying("ok");
        // Whoever has begun HTTP/2 or HTTP/3 has time until its next request.
        let proxy = impatient(over, if over.is_http1() { "header" } else { "idle" }, &origin);
        let start = Instant::now();
        proxy.speaker().wait_closed();
        after_half_a_second(start);
    });
}

#[test]
fn n06_a_connection_is_kept_for_the_next_request_for_a_while() {
    together(|over| {
        let origin = Origin::saying("ok");
        let proxy = impatient(over, "idle", &origin);
        let mut speaker = proxy.speaker();
        assert_eq!(speaker.get("/").status(), 200);
        // For half of the time it has nothing to say.
        std::thread::sleep(Duration::from_millis(250));
        let start = Instant::now();
        assert_eq!(speaker.get("/").status(), 200);
        speaker.wait_closed();
        after_half_a_second(start);
    });
}

#[test]
fn xl02_a_body_that_stops_is_answered_408() {
    together(|over| {
        let origin = Origin::saying("ok");
        let proxy = impatient(over, "body", &origin);
        let mut speaker = proxy.speaker();
        let start = Instant::now();
        let response = speaker.begin(Ask::of("POST", "/").length(100)).say(b"half of it").answer().unwrap();
        assert_eq!(response.status(), 408);
        after_half_a_second(start);
        assert_eq!(proxy.logged_for(&response)["error"], "request_body_timeout");
        assert_eq!(origin.whole_requests(), 0);
        if over.is_http1() {
            speaker.wait_closed();
        } else {
            assert_eq!(speaker.get("/").text(), "ok", "others on the connection go on");
        }
    });
}

#[test]
fn xl03_a_client_that_takes_nothing_is_left() {
    together(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            let piece = vec![b'x'; 1_000_000];
            while wire.pipe.send(&piece).is_ok() {}
        });
        let proxy = impatient(over, "write", &origin);
        let mut speaker = proxy.speaker();
        speaker.ask_and_go_on(Ask::get("/"));
        let line =
            proxy.logged_where("of the client that takes nothing", |line| line["error"] == "response_write_timeout");
        assert_eq!(line["status"], 200);
        eventually("the origin is let go", || (origin.open() == 0).then_some(()));
    });
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
    together(|over| {
        let origin = Origin::saying("ok");
        let proxy = over
            .of("global { limit connections 20 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        let mut speakers: Vec<Speaker> = (0..20).map(|_| proxy.speaker()).collect();
        for speaker in &mut speakers {
            assert_eq!(speaker.get("/").status(), 200);
        }
        if over == Protocol::Http3 {
            // It is told so at once, and may try TCP.
            let config = || identity().1.client(&["h3"]);
            let comes = || run(H3::try_connect(proxy.address(), "example.com", config()));
            let refused = comes().err().unwrap();
            assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
            assert_eq!(speakers[7].get("/").status(), 200, "who is there is served");
            speakers.drain(..10).for_each(Speaker::leave);
            return eventually("room", || comes().ok().map(drop));
        }
        let address = proxy.address();
        let late = std::thread::spawn(move || Speaker::connect(address, over).get("/").status());
        // For what must not happen there is no event to wait for.
        std::thread::sleep(Duration::from_millis(300));
        assert!(!late.is_finished());
        assert_eq!(speakers[7].get("/").status(), 200, "who is there is served");
        speakers.drain(..10).for_each(Speaker::leave);
        assert_eq!(late.join().unwrap(), 200);
    });
}

#[test]
fn n06_requests_on_a_connection_are_counted() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over
            .of("global { limit requests 3 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        let mut speaker = proxy.speaker();
        for at in 1..=3 {
            let response = speaker.get("/");
            assert_eq!(response.status(), 200);
            assert_eq!(response.field("connection").is_some(), at == 3 && over.is_http1(), "the last one says so");
        }
        speaker.wait_closed();
    });
}

#[test]
fn n06_a_connection_of_some_age_ends_in_good_order() {
    together(|over| {
        let origin = Origin::saying("ok");
        let proxy = over
            .of("global { limit lifetime 1s }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        let (start, mut speaker) = (Instant::now(), proxy.speaker());
        let mut answered = 0;
        // No request is lost: what the client may still send is answered, and then it is told to come anew.
        loop {
            match speaker.try_ask(Ask::get("/")) {
                Ok(response) => {
                    assert_eq!(response.status(), 200);
                    answered += 1;
                    if response.field("connection").is_some() {
                        break;
                    }
                }
                Err(error) => {
                    assert!(!over.is_http1(), "{error}");
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let young = Duration::from_millis(900);
        assert!(answered > 1 && start.elapsed() >= young, "{answered} in {:?}", start.elapsed());
        speaker.wait_closed();
    });
}

#[test]
fn n07_a_route_has_timeouts_of_its_own() {
    together(|over| {
        let origin = Origin::new(|_, wire| {
            // A slow server, not a race.
            std::thread::sleep(Duration::from_millis(700));
            wire.ok("at last");
        });
        let proxy = over.site(
            "route /slow { reverse_proxy {$ORIGIN} { timeout first_byte 10s } }\n reverse_proxy {$ORIGIN} { timeout first_byte 300ms }",
            &origin,
        );
        assert_eq!(proxy.get("/slow").text(), "at last");
        assert_eq!(proxy.get("/").status(), 504);
    });
}

#[test]
fn s07_a_body_over_the_limit_is_refused_before_it_is_read() {
    each(|over| {
        let origin = Origin::saying("reached");
        let proxy = over.site("max_body 1KiB\n reverse_proxy {$ORIGIN}", &origin);
        let response = proxy.speaker().begin(Ask::of("POST", "/").length(1025)).answer().unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(proxy.logged_for(&response)["error"], "body_too_large");
        assert_eq!(origin.connections(), 0);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.begin(Ask::of("POST", "/").unsized_body(""));
        for _ in 0..200 {
            stream.say(&[b'x'; 1024]);
        }
        assert_eq!(stream.answer().unwrap().status(), 413);
        assert_eq!(origin.whole_requests(), 0);
        assert_eq!(proxy.request(Ask::of("POST", "/").body([b'x'; 1024])).text(), "reached");
        assert_eq!(origin.whole_requests(), 1);
    });
}

#[test]
fn a_shutdown_lets_requests_finish_and_takes_no_new_ones() {
    each(|over| {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let origin = Origin::new(move |_, wire| {
            let _ = wait.lock().unwrap().recv_timeout(crate::harness::PATIENCE);
            wire.ok("finished");
        });
        let mut proxy = over.to(&origin);
        let (mut speaker, idle) = (proxy.speaker(), proxy.speaker());
        let mut stream = speaker.send(Ask::get("/")).unwrap();
        origin.wait_for(1);
        proxy.signal(rustix::process::Signal::TERM);
        proxy.said("shutting down");
        idle.wait_closed();
        go.send(()).unwrap();
        let response = stream.answer().unwrap();
        assert_eq!(response.text(), "finished");
        assert_eq!(response.field("connection"), over.is_http1().then_some("close"));
        speaker.wait_closed();
        assert!(proxy.wait().success());
        assert!(proxy.access_lines().iter().any(|line| line["status"] == 200));
    });
}
