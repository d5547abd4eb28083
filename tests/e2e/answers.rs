//! Threats XR: origins are not believed. What they say wrongly is a fault of theirs, and never a whole answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Ask, Origin, Protocol, Wire, each, eventually};

/// The origin's answer makes this of the request, with this error in the log.
fn becomes(over: Protocol, answer: &'static str, status: u16, error: &str) {
    let origin = Origin::new(move |_, wire| {
        wire.say(answer);
        wire.finish();
        wire.wait_closed();
    });
    let proxy = over.to(&origin);
    let response = proxy.get("/");
    assert_eq!(response.status(), status, "{answer:?}");
    assert_eq!(proxy.logged_for(&response)["error"], error, "{answer:?}");
    assert!(!response.text().contains("127.0.0.1"), "{:?}", response.text());
}

#[test]
fn xr01_a_head_that_could_be_split_is_refused() {
    each(|over| {
        for answer in [
            "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX y: b\r\nContent-Length: 0\r\n\r\n",
        ] {
            becomes(over, answer, 502, "upstream_malformed");
        }
    });
}

#[test]
fn xr02_framing_that_contradicts_itself_is_refused() {
    each(|over| {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        ] {
            becomes(over, answer, 502, "upstream_malformed");
        }
    });
}

/// The head is out when the body goes wrong: the client must see that the answer broke off.
fn breaks_off(over: Protocol, answer: &'static str, error: &str) {
    let origin = Origin::new(move |_, wire: &mut Wire| {
        wire.say(answer);
        wire.finish();
        wire.wait_closed();
    });
    let proxy = over.to(&origin);
    let outcome = proxy.speaker().try_ask(Ask::get("/"));
    assert!(outcome.is_err(), "what came before has left, and is not whole: {answer:?}: {outcome:?}");
    if over == Protocol::Plain {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
        let outcome = client.try_response();
        assert!(outcome.is_err(), "HTTP/1.0 {answer:?}: {outcome:?}");
    }
    proxy.logged_where(error, |line| line["error"] == error);
}

#[test]
fn xr02_a_body_that_breaks_off_never_looks_whole() {
    each(|over| {
        breaks_off(over, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "upstream_body_closed");
        breaks_off(over, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "upstream_body_closed");
        breaks_off(
            over,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
            "upstream_malformed",
        );
        breaks_off(
            over,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            "upstream_malformed",
        );
    });
}

#[test]
fn xr03_bytes_where_no_body_is_are_dropped_with_their_connection() {
    each(|over| {
        for (method, answer) in [
            ("GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ] {
            let origin = Origin::new(move |_, wire| wire.say(answer));
            let proxy = over.to(&origin);
            let mut speaker = proxy.speaker();
            for _ in 0..2 {
                let response = speaker.ask(Ask::of(method, "/"));
                assert!(response.body.is_empty(), "{answer:?}");
            }
            assert_eq!(origin.connections(), 2, "{answer:?}");
        }
    });
}

#[test]
fn xr04_heads_without_measure_are_refused() {
    each(|over| {
        let flood = |field: String, count: usize| -> &'static str {
            Box::leak(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", field.repeat(count)).into_boxed_str())
        };
        becomes(over, flood("X-A: b\r\n".to_owned(), 300), 502, "upstream_headers_too_large");
        becomes(over, flood(format!("X-Big: {}\r\n", "b".repeat(10_000)), 8), 502, "upstream_headers_too_large");
    });
}

#[test]
fn xr05_an_answer_that_nobody_asked_for_ends_the_connection() {
    each(|over| {
        let said = Arc::new(AtomicUsize::new(0));
        let counter = said.clone();
        let origin = Origin::new(move |request, wire| {
            wire.ok("asked for");
            if request.target() == "/first" {
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        let proxy = over
            .of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        for round in 1..5 {
            assert_eq!(proxy.get("/first").text(), "asked for");
            eventually("it is said", || (said.load(Ordering::SeqCst) == round).then_some(()));
            assert_eq!(proxy.get("/second").text(), "asked for");
        }
    });
}

#[test]
fn xg10_interim_answers_are_counted() {
    each(|over| {
        let answer = |count: usize| -> &'static str {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
            Box::leak(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").into_boxed_str())
        };
        let origin = Origin::answering(answer(3));
        assert_eq!(over.to(&origin).get("/").text(), "ok");
        let origin = Origin::answering(answer(1_000));
        assert_eq!(over.to(&origin).get("/").status(), 502);
    });
}

#[test]
fn xg10_a_switch_that_nobody_asked_for_is_a_fault() {
    each(|over| {
        becomes(
            over,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            502,
            "upstream_malformed",
        );
    });
}

#[test]
fn a_close_delimited_answer_ends_with_its_connection() {
    each(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\n\r\nuntil the end");
            wire.close();
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        assert_eq!(speaker.get("/").text(), "until the end");
        assert_eq!(speaker.get("/").text(), "until the end", "the client's connection lives on");
        eventually("the origin is left", || (origin.open() == 0).then_some(()));
    });
}

#[test]
fn xg09_trailers_frame_route_and_authenticate_nothing() {
    each(|over| {
        let origin = Origin::answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End, Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\
         Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\r\n",
        );
        let proxy = over.to(&origin);
        let asked = Ask::of("POST", "/").field("TE", "trailers").unsized_body("hi").trailer("X-Sum", "1");
        let evil = [("Host", "evil"), ("Authorization", "evil"), ("Content-Length", "9"), ("Cookie", "evil")];
        let response = proxy.request(evil.iter().fold(asked, |asked, (name, value)| asked.trailer(name, value)));
        assert_eq!(response.text(), "ok");
        assert_eq!(response.trailers, [("x-end".to_owned(), "1".to_owned())]);
        assert_eq!(origin.request().trailers, [("x-sum".to_owned(), "1".to_owned())]);
    });
}
