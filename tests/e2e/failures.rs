//! Requirements O03 to O08: every failure has a name of its own in the log, and none of them shows outside.

use std::time::{Duration, Instant};

use crate::harness::{Ask, Authority, Folder, Origin, Protocol, Proxy, each, each_of, eventually, together};

/// A request meets with this: the client sees the status and nothing else, the log says what it was.
fn fails(proxy: &Proxy, status: u16, error: &str) {
    let response = proxy.get("/path");
    assert_eq!(response.status(), status, "{error}");
    let line = proxy.logged_for(&response);
    assert_eq!(line["error"], error, "{line}");
    let id = response.field("x-request-id").unwrap();
    let reason = response.start.splitn(3, ' ').nth(2).unwrap();
    assert_eq!(response.text(), format!("{status} {reason}\nrequest {id}\n"));
    assert_eq!(response.field("cache-control"), Some("no-store"));
}

fn closing_with(bytes: &'static str) -> Origin {
    Origin::raw(move |wire| {
        if wire.until(b"\r\n\r\n").is_some() {
            wire.say(bytes);
        }
        wire.finish();
        wire.wait_closed();
    })
}

#[test]
fn o03_a_line_tells_who_was_slow() {
    each(|over| {
        let origin = Origin::new(|request, wire| {
            // A slow server, not a race: its time must show.
            std::thread::sleep(Duration::from_millis(if request.target().starts_with("/slow") { 250 } else { 0 }));
            wire.ok("hello");
        });
        let proxy = over
            .of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        let mut speaker = proxy.speaker();
        let response = speaker.ask(
            Ask::of("POST", "/slow?token=secret&a=b")
                .fields("User-Agent: test/1\r\nAuthorization: Basic secret\r\nCookie: secret=1\r\n")
                .field("Referer", "http://a.example/?password=secret")
                .body("body"),
        );
        let line = proxy.logged_for(&response);
        assert!(!line.to_string().contains("secret\""), "{line}");
        assert_eq!(line["method"], "POST");
        assert_eq!(line["host"], "example.com");
        assert_eq!(line["uri"], "/slow?token=REDACTED&a=b");
        assert_eq!((&line["status"], &line["upstream_status"]), (&200.into(), &200.into()));
        assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&4.into(), &5.into()));
        assert_eq!(line["upstream"], origin.to_string());
        assert_eq!((&line["client_ip"], &line["protocol"]), (&"127.0.0.1".into(), &over.version().into()));
        assert_eq!(line["user_agent"], "test/1");
        let (first, total) = (line["first_byte_ms"].as_f64().unwrap(), line["duration_ms"].as_f64().unwrap());
        assert!(first >= 250.0 && total >= first, "{line}");
        assert!(line["connect_ms"].is_number());
        let line = proxy.logged_for(&speaker.get("/quick"));
        assert!(line["connect_ms"].is_null() && line["first_byte_ms"].as_f64().unwrap() < 200.0, "{line}");
        assert!(line["error"].is_null());
    });
}

#[test]
fn o05_a_server_that_is_not_there() {
    each(|over| {
        fails(&over.to(Origin::nobody()), 502, "upstream_connection_refused");
    });
}

#[test]
fn o05_a_server_that_has_no_address() {
    together(|over| {
        fails(&over.to("no-such-host.invalid:80"), 502, "upstream_dns");
    });
}

#[test]
fn o05_a_server_that_cannot_be_reached() {
    each(|over| {
        // Port 0 of a broadcast address: the kernel knows no way there.
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout connect 1s }", "255.255.255.255:80");
        fails(&proxy, 502, "upstream_host_unreachable");
    });
}

#[test]
fn o05_answers_that_are_none() {
    each(|over| {
        for (bytes, error) in [
            ("", "upstream_closed"),
            ("HTTP/1.1 200 OK\r\nContent-", "upstream_closed"),
            ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "upstream_malformed"),
            ("garbage\r\n\r\n", "upstream_protocol"),
            // TLS, FastCGI and HTTP/2 on what should be a port of HTTP/1.
            ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", "upstream_protocol"),
            ("\u{1}\u{3}\0\u{1}\0\u{8}\0\0\0\0\0\0\0\0\0\0", "upstream_protocol"),
            ("\0\0\u{12}\u{4}\0\0\0\0\0\0\u{3}\0\0\0d\0\u{4}\0\u{10}\0\0\0\u{6}\0\u{1}\0\0", "upstream_protocol"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "upstream_protocol"),
        ] {
            let origin = closing_with(bytes);
            let proxy = over.to(&origin);
            let response = proxy.get("/");
            assert_eq!(response.status(), 502, "{bytes:?}");
            assert_eq!(proxy.logged_for(&response)["error"], error, "{bytes:?}");
        }
    });
}

#[test]
fn o05_a_server_that_resets() {
    each(|over| {
        let origin = Origin::raw(|wire| {
            let _ = wire.until(b"\r\n\r\n");
            wire.reset();
        });
        fails(&over.to(&origin), 502, "upstream_closed");
    });
}

#[test]
fn o05_a_body_that_breaks_off_has_its_own_name() {
    each(|over| {
        let origin = Origin::raw(|wire| {
            let _ = wire.until(b"\r\n\r\n");
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            wire.say(vec![b'x'; 50_000]);
            wire.close();
        });
        let proxy = over.to(&origin);
        assert!(proxy.speaker().try_ask(Ask::get("/")).is_err());
        let line = proxy.logged_where("of the broken body", |line| line["error"] == "upstream_body_closed");
        assert_eq!((&line["status"], &line["upstream_status"]), (&200.into(), &200.into()));
    });
}

/// TLS servers that are not to be believed, one reason each.
#[test]
fn o05_xt06_tls_that_fails_says_why_in_the_log_alone() {
    each(|over| {
        let (believed, other) = (Authority::new(), Authority::named("another authority"));
        let folder = Folder::new();
        let ca = folder.write("ca.pem", believed.pem());
        let expired = believed.issue_with(&["localhost"], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        });
        for (identity, reason) in [
            (believed.issue(&["other.example"]), "name"),
            (other.issue(&["localhost"]), "issuer"),
            (expired, "expired"),
        ] {
            let origin = Origin::tls(identity.server(&[]), |_, wire| wire.ok("never"));
            let proxy = over
                .of(":0 {\n bind 127.0.0.1\n reverse_proxy https://localhost:{$PORT} { tls { ca {$CA} } }\n}")
                .with("PORT", origin.address.port())
                .with("CA", ca.display())
                .start();
            fails(&proxy, 502, "upstream_tls");
            // Requirement T14.
            let line = proxy.logged_where("of the failure", |line| line["error"] == "upstream_tls");
            let said = line["reason"].as_str().unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(said.to_ascii_lowercase().contains(reason), "{reason}: {said}");
            assert!(origin.requests().is_empty(), "{reason}");
        }
        // Plain HTTP where TLS was expected.
        let origin = Origin::raw(|wire| {
            let _ = wire.exactly(100);
            wire.say("HTTP/1.1 400 Bad Request\r\n\r\n");
            wire.wait_closed();
        });
        let proxy = over
            .of(":0 {\n bind 127.0.0.1\n reverse_proxy https://localhost:{$PORT}\n}")
            .with("PORT", origin.address.port())
            .start();
        fails(&proxy, 502, "upstream_tls");
    });
}

#[test]
fn o06_a_server_that_does_not_answer_in_time() {
    together(|over| {
        let origin = Origin::new(|_, wire| wire.wait_closed());
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout first_byte 300ms }", &origin);
        let start = Instant::now();
        fails(&proxy, 504, "upstream_header_timeout");
        assert!(start.elapsed() >= Duration::from_millis(300));
    });
}

#[test]
fn o06_a_server_that_stops_in_its_answer() {
    together(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            wire.wait_closed();
        });
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout read 300ms }", &origin);
        assert!(proxy.speaker().try_ask(Ask::get("/")).is_err(), "never a whole answer");
        proxy.logged_where("of the timeout", |line| line["error"] == "upstream_read_timeout");
    });
}

#[test]
fn o06_a_server_that_takes_no_more_of_the_request() {
    each_of(&[Protocol::Plain, Protocol::Http2, Protocol::Http3], |over| {
        let origin = Origin::raw(|wire| {
            // The receive buffer fills up, since nothing is read.
            eventually("the client has gone", || {
                wire.pipe.tcp().peek(&mut [0]).map_or(Some(()), |read| (read == 0).then_some(()))
            });
            std::thread::park_timeout(Duration::from_secs(3));
        });
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout send 300ms }", &origin);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.begin(Ask::of("POST", "/").length(100_000_000));
        let response = stream.flood(&vec![b'x'; 65_536]).unwrap();
        assert_eq!(response.status(), 504);
        assert_eq!(proxy.logged_for(&response)["error"], "upstream_send_timeout");
        speaker.leave();
    });
}

#[test]
fn o06_a_request_that_takes_too_long_in_all() {
    together(|over| {
        let origin = Origin::new(|_, wire| wire.wait_closed());
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout total 300ms }", &origin);
        fails(&proxy, 504, "upstream_total_timeout");
    });
}

#[test]
fn o08_a_client_that_leaves_early_is_logged_as_such() {
    each(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            wire.say(vec![b'x'; 100_000]);
            wire.wait_closed();
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        speaker.send(Ask::get("/")).unwrap().head().unwrap();
        speaker.leave();
        let line = proxy.logged_where("of the client that left", |line| line["error"] == "client_abort");
        assert_eq!(line["upstream_status"], 200);
        eventually("the origin's connection ends", || (origin.open() == 0).then_some(()));
    });
}

#[test]
fn errors_can_be_answered_otherwise() {
    each(|over| {
        let origin = Origin::answering("HTTP/1.1 500 Oops\r\nContent-Length: 6\r\nX-Secret: 1\r\n\r\nsecret");
        let proxy = over.site(
        "reverse_proxy {$ORIGIN} { intercept 5xx }\n handle_errors 5xx { respond \"sorry: {error.status} {error.code}\" }",
        &origin,
    );
        let response = proxy.get("/");
        assert_eq!((response.status(), response.text()), (500, "sorry: 500 upstream_status"));
        assert_eq!(response.field("x-secret"), None);
    });
}

#[test]
fn a_browser_is_shown_a_page() {
    each(|over| {
        let proxy = over.to(Origin::nobody());
        let response = proxy.request(Ask::get("/").field("Accept", "text/html,*/*"));
        assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
        assert!(response.text().contains(response.field("x-request-id").unwrap()));
        assert!(!response.text().contains("127.0.0.1"));
    });
}
