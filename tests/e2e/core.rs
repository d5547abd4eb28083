//! Requirements C: a request reaches its server as it was meant, and the answer comes back as it was given.

use std::sync::{Mutex, mpsc};

use crate::harness::{Ask, Client, Framing, Origin, Protocol, Proxy, each, each_of, eventually, lock};

/// Many requests at once on a connection, and no fields of HTTP/1.
const MULTIPLEXED: [Protocol; 3] = [Protocol::PlainHttp2, Protocol::Http2, Protocol::Http3];

#[test]
fn c01_an_answer_arrives_as_the_origin_gave_it() {
    each(|over| {
        let origin = Origin::answering(
            "HTTP/1.1 203 Fine\r\nContent-Length: 5\r\nX-Custom: a, b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello",
        );
        let proxy = over.to(&origin);
        let response = proxy.get("/path?query=1%20x");
        assert_eq!((response.status(), response.text()), (203, "hello"));
        assert_eq!(response.framing, Framing::Length(5));
        assert_eq!(response.field("x-custom"), Some("a, b"));
        assert_eq!(response.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(response.field("server"), None);
        assert_eq!(origin.request().start, "GET /path?query=1%20x HTTP/1.1");
        let line = proxy.logged_for(&response);
        assert_eq!((&line["status"], &line["bytes_out"]), (&203.into(), &5.into()));
    });
}

#[test]
fn c01_bodies_of_every_size_pass_both_ways_unchanged() {
    each(|over| {
        let origin = Origin::new(|request, wire| {
            wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            wire.say(&request.body);
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        for size in [0, 1, 100, 16_383, 16_384, 16_385, 65_536, 1_000_000, 5_000_003] {
            let body: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            let said = speaker.ask(Ask::of("POST", "/").body(body.clone()));
            assert!(said.body == body, "{size} bytes of known length");
            let mut stream = speaker.begin(Ask::of("POST", "/").unsized_body(""));
            for piece in body.chunks(70_000) {
                stream.say(piece);
            }
            assert!(stream.end().answer().unwrap().body == body, "{size} bytes whose length shows at their end");
        }
        // Over the others the end of a body is a frame of its own, which may come after the answer to its last byte: until
        // then the connection is not free.
        if over.is_http1() {
            assert_eq!(origin.connections(), 1);
        }
    });
}

#[test]
fn c01_trailers_pass() {
    each(|over| {
        let origin = Origin::new(|request, wire| {
            assert_eq!(request.trailers, [("x-sum".to_owned(), "1".to_owned())]);
            wire.say(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: yes\r\n\r\n",
        );
        });
        let proxy = over.to(&origin);
        let asked = Ask::of("POST", "/").field("TE", "trailers").field("Trailer", "X-Sum").unsized_body("hi");
        let response = proxy.request(asked.trailer("X-Sum", "1"));
        assert_eq!(response.text(), "ok");
        assert_eq!(response.trailers, [("x-end".to_owned(), "yes".to_owned())]);
        assert_eq!(origin.request().trailers.len(), 1);
    });
}

#[test]
fn c01_answers_without_a_body_have_none_and_keep_their_length() {
    each(|over| {
        let origin = Origin::new(|request, wire| match request.target() {
            "/204" => wire.say("HTTP/1.1 204 No Content\r\n\r\n"),
            "/304" => wire.say("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n"),
            _ => wire.say("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/x\r\n\r\n"),
        });
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        let response = speaker.ask(Ask::of("HEAD", "/"));
        assert_eq!((response.status(), response.field("content-length")), (200, Some("1234")));
        assert_eq!((response.field("content-type"), response.body.len()), (Some("text/x"), 0));
        assert_eq!(speaker.get("/204").status(), 204);
        let response = speaker.get("/304");
        assert_eq!((response.status(), response.field("etag")), (304, Some("\"x\"")));
        let again = speaker.ask(Ask::of("HEAD", "/"));
        assert_eq!(again.field("content-length"), Some("1234"), "all on one connection");
    });
}

#[test]
fn c01_a_client_of_http_1_0_is_never_sent_chunks() {
    let origin = Origin::new(|request, wire| match request.target() {
        "/chunks" => wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        _ => wire.ok("hello"),
    });
    let proxy = Proxy::to(&origin);
    for target in ["/chunks", "/length"] {
        let mut client = proxy.client();
        client.send(format!("GET {target} HTTP/1.0\r\nHost: example.com\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.text(), "hello");
        assert!(response.field("transfer-encoding").is_none());
        client.assert_closed();
    }
    let mut client = proxy.client();
    client.send("GET /length HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("keep-alive"));
    client.send("GET /length HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "hello", "HTTP/1.0 needs no Host");
}

#[test]
fn c02_errors_show_nothing_of_what_lies_behind() {
    each(|over| {
        let nobody = Origin::nobody();
        let proxy = over.to(nobody);
        let response = proxy.get("/");
        assert_eq!(response.status(), 502);
        let everything = format!("{:?} {}", response.fields, response.text()).to_lowercase();
        for secret in ["127.0.0.1", &nobody.port().to_string(), "refused", "upstream", "hyper", "rp/"] {
            assert!(!everything.contains(secret), "{secret} in {everything}");
        }
    });
}

#[test]
fn c04_nothing_listens_but_what_the_configuration_names() {
    each_of(&[Protocol::Plain, Protocol::Http3], |over| {
        let proxy = over.site("respond ok", "127.0.0.1:1");
        let pid = proxy.pid();
        let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
            .collect();
        let mut listening = Vec::new();
        // A socket of TCP that listens, and any of UDP, as each of them is heard.
        for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            for line in text.lines().skip(1) {
                let words: Vec<&str> = line.split_whitespace().collect();
                if words[3] == state && sockets.iter().any(|inode| inode == words[9]) {
                    listening.push(format!("{table} {}", words[1]));
                }
            }
        }
        listening.sort();
        listening.dedup();
        // 127.0.0.1, as the kernel writes it, at the one port.
        let kinds: &[&str] = if over == Protocol::Plain { &["tcp"] } else { &["tcp", "udp"] };
        let port = proxy.address().port();
        assert_eq!(listening, kinds.iter().map(|kind| format!("{kind} 0100007F:{port:04X}")).collect::<Vec<_>>());
    });
}

#[test]
fn c05_idle_clients_hold_no_connection_to_a_server() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut clients: Vec<Client> = (0..300).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("example.com", "/").text(), "ok");
    }
    // One for each worker, as the requests came one after the other.
    assert!(origin.connections() <= 16, "{}", origin.connections());
    drop(clients);
}

#[test]
fn c07_a_request_reaches_an_http1_origin_as_one_well_formed_request() {
    each_of(&MULTIPLEXED, |over| {
        let origin = Origin::saying("ok");
        let proxy = over.to(&origin);
        let asked = Ask::of("POST", "/a?b=c").host("example.com:8080");
        let asked = asked.fields("cookie: a=1\r\ncookie: b=2\r\nx-custom: yes\r\nte: trailers\r\n").body("hello");
        assert_eq!(proxy.request(asked).status(), 200);
        let request = origin.request();
        assert_eq!(request.start, "POST /a?b=c HTTP/1.1");
        assert_eq!(request.field("host"), Some("example.com:8080"));
        assert_eq!(request.field("cookie"), Some("a=1; b=2"));
        assert_eq!(request.field("x-custom"), Some("yes"));
        assert_eq!(request.body, b"hello");
        assert!(request.names().iter().all(|name| !name.starts_with(':')), "{:?}", request.names());
        assert_eq!(request.field("connection"), None);
    });
}

#[test]
fn c07_an_answer_streams_back_without_the_fields_of_http1() {
    each_of(&MULTIPLEXED, |over| {
        let origin = Origin::new(|_, wire| {
            wire.say(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
            );
            for _ in 0..100 {
                wire.say("3e8\r\n");
                wire.say([b'x'; 1000]);
                wire.say("\r\n");
            }
            wire.say("0\r\nX-End: yes\r\n\r\n");
        });
        // Fields of one hop over these protocols are no good answer to a speaker.
        let response = over.to(&origin).get("/");
        assert_eq!(response.body.len(), 100_000);
        assert!(response.field("keep-alive").is_none() && response.field("transfer-encoding").is_none());
        assert_eq!(response.trailers, [("x-end".to_owned(), "yes".to_owned())]);
    });
}

#[test]
fn c09_fields_of_one_hop_stay_on_it() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Public: 1\r\n\r\nok",
    );
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 300\r\nX-Hop: 1\r\n\
         TE: trailers, deflate\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\n\
         Trailer: x\r\nX-Stays: 1\r\n\r\n",
    );
    let response = client.response();
    for name in ["x-private", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(response.field(name), None, "{name}");
    }
    assert_eq!(response.field("x-public"), Some("1"));
    let request = origin.request();
    for name in
        ["connection", "keep-alive", "x-hop", "upgrade", "http2-settings", "proxy-authorization", "proxy-connection"]
    {
        assert_eq!(request.field(name), None, "{name}");
    }
    assert_eq!(request.field("te"), Some("trailers"));
    assert_eq!(request.field("x-stays"), Some("1"));
}

#[test]
fn a_client_that_leaves_is_told_to_the_origin() {
    each(|over| {
        let origin = Origin::new(|_, wire| wire.wait_closed());
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        speaker.ask_and_go_on(Ask::get("/"));
        origin.wait_for(1);
        speaker.leave();
        eventually("the origin's connection ends", || (origin.open() == 0).then_some(()));
        let line = proxy.logged_where("client_abort", |line| line["error"] == "client_abort");
        assert_eq!(line["status"], 499);
    });
}

/// More than is read to see whether the client is still there, and in pieces.
#[test]
fn what_comes_while_a_request_is_under_way_waits_its_turn() {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let origin = Origin::new(move |request, wire| {
        if request.target() == "/0" {
            lock(&held).recv().unwrap();
        }
        wire.ok(request.target());
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send("GET /0 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    origin.wait_for(1);
    for turn in 1..=40 {
        client.send(format!("GET /{turn} HTTP/1.1\r\nHost: exam")).send("ple.com\r\n\r\n");
    }
    release.send(()).unwrap();
    for turn in 0..=40 {
        assert_eq!(client.response().text(), format!("/{turn}"));
    }
}
