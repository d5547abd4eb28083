//! Threats XZ: what a request may not do to the process that serves it.

use std::time::Duration;

use crate::frames::{Raw, request};
use crate::harness::{Client, Folder, Origin, Proxy, Wire, command, each, eventually, of};
use crate::watch::{Price, back_to, beside, descriptors, resident};

#[test]
fn xz02_encoders_take_a_bounded_amount_of_memory() {
    // Text that is no two times the same, and much of it.
    let origin = Origin::new(|request, wire| {
        if request.target() == "/beside" {
            return wire.ok("ok");
        }
        wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000000\r\n\r\n");
        let mut seed = 1_u64;
        for _ in 0..100 {
            let piece: Vec<u8> = (0..1_000_000)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b' ' + u8::try_from((seed >> 33) % 90).unwrap()
                })
                .collect();
            if wire.pipe.send(piece).is_err() {
                break;
            }
        }
    });
    let proxy = Proxy::site("encode zstd br gzip\n reverse_proxy {$ORIGIN}", &origin);
    for coding in ["zstd", "br", "gzip"] {
        let clients = 10;
        // Of each: its encoder with its window, and what waits on both sides of it.
        beside(&proxy, Price::of_work(clients * 10 * 1024, Duration::from_secs(5)), || {
            let mut waiting: Vec<Client> = (0..clients).map(|_| proxy.client()).collect();
            for client in &mut waiting {
                client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: {coding}\r\n\r\n"));
                let head = client.pipe.until(b"\r\n\r\n").expect("a head");
                assert!(String::from_utf8_lossy(&head).contains(coding), "it is encoded");
            }
            // They take nothing more, while the servers go on as long as they can.
            std::thread::sleep(Duration::from_millis(300));
        });
        eventually("the servers are let go", || (origin.open() <= 2).then_some(()));
    }
}

#[test]
fn xz03_no_line_of_the_log_is_written_by_a_client() {
    let folder = Folder::new();
    let file = folder.path().join("access.log");
    for form in ["text", "json"] {
        let proxy =
            of(&format!("global {{ log {form} file {} }}\n:0 {{\n bind 127.0.0.1\n respond ok\n}}", file.display()))
                .start();
        let mut sent = 0;
        for value in [
            &b"\xc2\x9b31m\xe2\x80\xa8x"[..],
            b"a\tb",
            b"\"}, {\"status\":200",
            b"\xff\xfe",
            b"\\n\\r\\u000a",
            b"%0a%1b[2J",
            b"\x9b2J",
        ] {
            let mut client = proxy.client();
            client.send(b"GET /%0aforged%0d%1b[2J?x=%0a%00%22 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: ");
            client
                .send(value)
                .send(b"\r\nReferer: ")
                .send(value)
                .send(b"\r\nX-Request-Id: ")
                .send(value)
                .send("\r\n\r\n");
            sent += usize::from(client.response().status() == 200);
        }
        assert!(sent > 3, "{sent}");
        let text = eventually("all lines", || {
            let text = std::fs::read(&file).ok()?;
            (text.split(|byte| *byte == b'\n').count() > sent).then_some(text)
        });
        let text = String::from_utf8(text).expect("text, whatever was sent");
        assert!(text.lines().count() >= sent && text.ends_with('\n'));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{2028}' && c != '\u{2029}'), "{text:?}");
        if form == "json" {
            assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn xz03_secrets_are_no_part_of_the_log() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(
        "GET /?token=hunter2&a=1&PassWord=hunter2&%74oken=hunter2 HTTP/1.1\r\nHost: example.com\r\nAuthorization: hunter2\r\n\
         Cookie: s=hunter2\r\nReferer: http://example.com/?code=hunter2\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.status(), 200);
    let line = proxy.logged_for(&response).to_string();
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn xz04_a_page_in_a_browser_cannot_reach_the_admin_door() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let place = Folder::new();
    let socket = place.path().join("admin.sock");
    let proxy =
        of(&format!("global {{ admin unix/{} }}\n:0 {{\n bind 127.0.0.1\n respond ok\n}}", socket.display())).start();
    eventually("the socket", || socket.exists().then_some(()));
    // It is no port; and whoever could send HTTP there says no command.
    let body = "{\"command\":\"reload\"}\n";
    for request in [
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!("GET /{body} HTTP/1.1\r\n\r\n"),
    ] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.contains("\"ok\":true"), "{answer}");
    }
    assert_eq!(proxy.doors.len(), 1);
    for path in ["/config", "/load", "/stop", "/metrics", "/debug/pprof", "/api/rawdata"] {
        assert_eq!(proxy.get(path).text(), "ok", "{path} is the site's");
    }
}

#[test]
fn xz05_what_comes_from_outside_is_one_word() {
    for evil in [
        "x\" 500\n}\n:1 { respond evil }\n",
        "} respond evil {",
        "{$HOME}",
        "{header.X-Evil}",
        "a # b",
        "import /etc/passwd",
        "`x` \\",
        "<<END\nx\nEND",
        "{host}",
    ] {
        for config in ["respond {$TEXT}", "respond \"{$TEXT}\"", "header set X-Text {$TEXT}\n respond ok"] {
            if config.starts_with("header") && evil.contains('\n') {
                continue;
            }
            let proxy = of(&format!(":0 {{\n bind 127.0.0.1\n {config}\n}}")).with("TEXT", evil).start();
            let response = proxy.get("/");
            let said = response.field("x-text").unwrap_or(response.text());
            assert_eq!((response.status(), said), (200, evil), "{config}");
        }
    }
}

#[test]
fn xz09_requests_of_every_kind_leave_nothing() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { keepalive off }", &origin);
    let round = || {
        let mut raw = Raw::connect(proxy.address());
        for at in 0..20 {
            raw.get(at * 2 + 1, "/");
        }
        assert!(raw.settled());
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\nHost: x\n\n");
        assert_eq!(client.response().status(), 400);
    };
    (0..20).for_each(|_| round());
    let (before, open) = (resident(&proxy), descriptors(&proxy));
    (0..200).for_each(|_| round());
    back_to(&proxy, open + 8);
    let growth = resident(&proxy).saturating_sub(before);
    assert!(growth < 6 * 1024, "{growth} KiB");
}

/// A server that answers in pieces, so that a client can leave between any two of them.
fn hesitant() -> Origin {
    Origin::raw(|wire: &mut Wire| {
        while wire.until(b"\r\n\r\n").is_some() {
            for piece in ["HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n", "0\r\n", "\r\n"] {
                wire.say(piece);
            }
        }
    })
}

#[test]
fn xz11_a_client_may_leave_at_any_byte() {
    let origin = hesitant();
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { keepalive off }", &origin);
    assert_eq!(proxy.get("/").text(), "ok");
    let open = descriptors(&proxy);
    let whole = "POST /x HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n\
                 GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    for at in 0..=whole.len() {
        let mut client = proxy.client();
        client.send(&whole[..at]);
        if at % 2 == 0 {
            socket2::SockRef::from(client.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    let mut http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    http2.extend(crate::frames::frame(crate::frames::SETTINGS, 0, 0, &[]));
    http2.extend(crate::frames::frame(crate::frames::HEADERS, 4, 1, &request("POST", "/", &[])));
    http2.extend(crate::frames::frame(crate::frames::DATA, 1, 1, b"body"));
    for at in 0..=http2.len() {
        let mut client = proxy.client();
        client.send(&http2[..at]);
        if at % 2 == 0 {
            socket2::SockRef::from(client.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    back_to(&proxy, open + 8);
    assert_eq!(proxy.get("/").text(), "ok");
    assert!(!proxy.log_text().contains("panicked"), "{}", proxy.log_text());
}

#[test]
fn xz11_a_server_may_leave_at_any_byte() {
    let whole = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n";
    let origin = Origin::new(move |request, wire| {
        let at = request.target()[1..].parse().unwrap();
        wire.say(&whole[..at]);
        socket2::SockRef::from(wire.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
        wire.close();
    });
    let proxy = Proxy::to(&origin);
    for at in 0..whole.len() {
        let mut client = proxy.client();
        client.send(format!("POST /{at} HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\nx"));
        if let Ok(Some(response)) = client.try_response() {
            assert!(response.status() == 502, "{at}: {}", response.start);
        }
        let mut raw = Raw::connect(proxy.address());
        raw.head(1, &request("POST", &format!("/{at}"), &[]), true);
        let mut ended = None;
        while ended.is_none() {
            let frame = raw.next().expect("the stream ends, the connection does not");
            let is_end = frame.stream == 1 && frame.flags & crate::frames::END_STREAM != 0;
            ended = (frame.kind == crate::frames::RST_STREAM || frame.kind <= 1 && is_end).then_some(frame);
        }
    }
    assert!(!proxy.log_text().contains("panicked"), "{}", proxy.log_text());
}

#[test]
fn xz13_times_that_make_no_sense_are_found_and_long_ones_do_not_wrap() {
    let folder = Folder::new();
    let validate = |time: &str| {
        let config = folder.write(
            "Proxyfile",
            format!("global {{\n    timeout idle {time}\n}}\n\n:8080 {{\n    reverse_proxy 127.0.0.1:9 {{\n        timeout total {time}\n    }}\n}}\n"),
        );
        command(&folder).arg("validate").arg(config).output().unwrap().status.code()
    };
    for time in [
        "0s",
        "-1s",
        "1",
        "1e9h",
        "99999999999999999999999s",
        "18446744073709551615s",
        "18446744073709551616ms",
        "NaNs",
        "1.s",
    ] {
        assert_eq!(validate(time), Some(1), "{time}");
    }
    // The longest that is taken.
    let longest =
        ["100000d", "36500d", "10000d", "8760h"].into_iter().find(|time| validate(time) == Some(0)).expect("a year");
    let origin = Origin::saying("ok");
    let proxy = of(&format!(
        "global {{ timeout idle {longest}; timeout header {longest}; timeout write {longest}; timeout body {longest} }}\n\
         :0 {{\n bind 127.0.0.1\n rate_limit 100/h burst 100\n reverse_proxy {{$ORIGIN}} {{ timeout total {longest}; timeout first_byte {longest} }}\n}}"
    ))
    .with("ORIGIN", &origin)
    .start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("example.com", "/").text(), "ok", "with {longest}");
    }
}

/// The only way to have a panic: builds for tests are asked for one.
#[test]
fn xz08_a_panic_costs_the_request_that_it_happens_in() {
    each(|protocol| {
        let origin = Origin::saying("ok");
        let proxy = protocol
            .of("global { workers 1; metrics 127.0.0.1:0 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .with("RP_PANIC_AT", "/panic")
            .start();
        let metrics = proxy.said("metrics are served")["address"].as_str().unwrap().parse().unwrap();
        let mut bystander = proxy.speaker();
        assert_eq!(bystander.get("/").text(), "ok");
        for _ in 0..3 {
            let answer = proxy.speaker().get("/panic");
            assert_eq!(answer.status(), 500, "{answer:?}");
            assert_eq!(bystander.get("/").text(), "ok", "over a connection that was there before");
        }
        // Neither the connection nor anything that all share is left in a bad state.
        let mut same = proxy.speaker();
        assert_eq!(same.get("/panic").status(), 500);
        let mut next = if protocol.is_http1() { proxy.speaker() } else { same };
        assert_eq!(next.get("/").text(), "ok");
        let page = crate::harness::get(metrics, "rp", "/metrics");
        assert!(page.text().contains("rp_panics_total 4\n"), "{}", page.text());
        let line = proxy.logged_where("of the panic", |line| line["uri"] == "/panic");
        assert_eq!((line["status"].as_u64(), line["error"].as_str()), (Some(500), Some("internal_error")), "{line}");
    });
}

/// The clock on the wall is set: a day to and fro, and to the end of a leap day.
#[test]
fn xz13_a_clock_that_jumps_ends_nothing() {
    const FAKE: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    assert!(std::path::Path::new(FAKE).exists(), "install Debian's package faketime");
    let folder = Folder::new();
    let clock = folder.write("clock", "+0\n");
    let origin = Origin::new(|request, wire| {
        if request.target() == "/slow" {
            std::thread::sleep(Duration::from_millis(600));
        }
        wire.ok("ok");
    });
    let proxy = of("global { workers 1; timeout idle 5s }\n:0 {\n bind 127.0.0.1\n \
                    route /few { rate_limit 2/h burst 2; respond few }\n reverse_proxy {$ORIGIN} { timeout first_byte 5s }\n}")
    .with("ORIGIN", &origin)
    .with("LD_PRELOAD", FAKE)
    .with("FAKETIME_TIMESTAMP_FILE", clock.display())
    .with("FAKETIME_NO_CACHE", "1")
    .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    .with("DONT_FAKE_MONOTONIC", "1")
    .start();
    let mut kept = proxy.client();
    assert!((0..10).any(|_| kept.get("example.com", "/few").status() == 429));
    for (at, time) in ["+1d", "-1d", "+0", "@2028-02-29 23:59:59", "-400d", "+1d"].into_iter().enumerate() {
        let mut slow = proxy.client();
        slow.send("GET /slow HTTP/1.1\r\nHost: example.com\r\n\r\n");
        eventually("the server is asked", || {
            (origin.requests().iter().filter(|r| r.target() == "/slow").count() > at).then_some(())
        });
        std::fs::write(&clock, format!("{time}\n")).unwrap();
        assert_eq!(kept.get("example.com", &format!("/{at}")).text(), "ok", "{time}: a connection that was there");
        assert_eq!(proxy.get("/new").text(), "ok", "{time}");
        assert_eq!(kept.get("example.com", "/few").status(), 429, "{time}: a limit knows how much time has passed");
        assert_eq!(slow.response().text(), "ok", "{time}: a request under way");
        let line = proxy.logged_where(time, |line| line["uri"] == format!("/{at}"));
        let told = line["time"].as_str().unwrap();
        assert!(line["duration_ms"].as_f64().unwrap() < 5_000.0, "{time}: {line}");
        assert!(!time.starts_with('@') || told.starts_with("2028-0"), "{time}: {told}");
    }
}
