//! Threats XG: what HTTP/2 can say and HTTP/1 must not hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::frames::{END_HEADERS, END_STREAM, HEADERS, Outcome, Raw, SETTINGS, block, frame, literal, request};
use crate::harness::h3::{self, RawH3};
use crate::harness::{H2, Origin, Proxy, eventually, run};
use crate::http3::secure;

#[test]
fn xg02_what_was_said_and_is_ended_later_is_served() {
    let origin = Origin::saying("whole");
    let proxy = Proxy::to(&origin);
    let empty = |raw: &mut Raw| {
        raw.send(0, 1, 1, b"");
    };
    let trailers = |raw: &mut Raw| {
        raw.head(1, &block(&[("x-sum", "1")]), true);
    };
    for end in [&empty as &dyn Fn(&mut Raw), &trailers] {
        for (length, pieces) in [("3", &[&b"a"[..], b"bc"][..]), ("0", &[])] {
            let mut raw = Raw::connect(proxy.address());
            raw.head(1, &request("POST", "/", &[("content-length", length)]), false);
            for piece in pieces {
                raw.send(0, 0, 1, piece);
            }
            assert!(raw.settled(), "the end comes by itself");
            end(&mut raw);
            assert_eq!(raw.outcome(1), Outcome::Served);
        }
    }
    let bodies = origin.wait_for(4).into_iter().map(|request| request.body);
    assert_eq!(bodies.collect::<Vec<_>>(), [&b"abc"[..], b"", b"abc", b""]);
}

/// hyper takes a reset for `NO_ERROR` for the end of a body (RFC 9113, section 8.1, has it of answers that come early).
#[test]
fn xg02_what_is_given_up_never_looks_whole() {
    const NO_ERROR: [u8; 4] = [0; 4];
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    for length in [&[][..], &[("content-length", "3")], &[("content-length", "9")]] {
        for reason in [NO_ERROR, CANCEL] {
            let origin = Origin::saying("whole");
            let proxy = Proxy::to(&origin);
            let mut raw = Raw::connect(proxy.address());
            raw.head(1, &request("POST", "/", length), false).send(0, 0, 1, b"abc");
            eventually("the beginning", || text(&origin.all_bytes()).contains("\r\n\r\n").then_some(()));
            raw.send(3, 0, 1, &reason);
            eventually("the half request is left", || (origin.open() == 0).then_some(()));
            assert_eq!(origin.whole_requests(), 0, "{length:?}, {reason:?}: {}", text(&origin.all_bytes()));
        }
    }
}

/// A head, field by field. The scheme is that of the connection where it says `http`.
type Head = Vec<(Vec<u8>, Vec<u8>)>;

fn head(fields: &[(&str, &str)]) -> Head {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// Sends heads over HTTP/2 and HTTP/3, each on a connection of its own: none is served, nothing reaches the origin.
fn refused(cases: &[(&str, Head)]) {
    refused_over_http2(cases);
    refused_over_http3(cases);
}

fn refused_over_http2(cases: &[(&str, Head)]) {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    for (what, head) in cases {
        let head: Vec<u8> = head.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let outcome = Raw::connect(proxy.address()).head(1, &head, true).outcome(1);
        assert!(outcome.is_refusal(), "HTTP/2, {what}: {outcome:?}");
        assert_eq!(origin.connections(), 0, "HTTP/2, {what} reached the origin: {:?}", text(&origin.all_bytes()));
    }
    assert_eq!(Raw::connect(proxy.address()).get(1, "/").outcome(1), Outcome::Served, "the harness can ask");
}

fn refused_over_http3(cases: &[(&str, Head)]) {
    let origin = Origin::saying("reached");
    let (proxy, config) = secure(&origin);
    let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let value = if name == b":scheme" && value == b"http" { &b"https"[..] } else { &value[..] };
        h3::literal(name, value)
    };
    run(async {
        for (what, head) in cases {
            let section = [vec![0, 0], head.iter().flat_map(field).collect()].concat();
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let outcome = raw.ask(&[h3::frame(h3::HEADERS, &section)]).await;
            assert!(outcome.is_refusal(), "HTTP/3, {what}: {outcome:?}");
            assert_eq!(origin.connections(), 0, "HTTP/3, {what} reached the origin: {:?}", text(&origin.all_bytes()));
        }
        let raw = RawH3::connect(proxy.address(), config).await;
        let outcome = raw.ask(&[h3::frame(h3::HEADERS, &h3::head("GET", "/", &[]))]).await;
        assert_eq!(outcome.status(), Some(200), "the harness can ask");
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const BASE: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/")];

/// A request with one more field, of any bytes.
fn with(name: &[u8], value: &[u8]) -> Head {
    [head(&BASE), vec![(name.to_vec(), value.to_vec())]].concat()
}

/// A request with more fields.
fn and(more: &[(&str, &str)]) -> Head {
    head(&[&BASE[..], more].concat())
}

#[test]
fn xg01_fields_of_one_hop_are_no_part_of_http2_and_http3() {
    let fields = [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("connection", "x-forwarded-for"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("te", "trailers, chunked"),
    ];
    refused(&fields.map(|(name, value)| (name, with(name.as_bytes(), value.as_bytes()))));
}

#[test]
fn xg02_data_that_is_shorter_or_longer_than_said_never_looks_whole() {
    let origin = Origin::saying("whole");
    let proxy = Proxy::to(&origin);
    let head = |length: &str| request("POST", "/", &[("content-length", length)]);
    // Longer, in one frame and in two.
    let outcome = Raw::connect(proxy.address()).head(1, &head("3"), false).send(0, 1, 1, b"longer").outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    // All that was said may have come long before the rest: no server has it before the end.
    let mut raw = Raw::connect(proxy.address());
    raw.head(1, &head("3"), false).send(0, 0, 1, b"ab");
    eventually("the beginning", || origin.all_bytes().ends_with(b"\r\n\r\nab").then_some(()));
    raw.send(0, 0, 1, b"c");
    assert!(raw.settled() && raw.settled());
    let outcome = raw.send(0, 1, 1, b"d").outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    // Nor is a head by itself a request, if a body follows that was said to be empty.
    let mut raw = Raw::connect(proxy.address());
    raw.head(1, &head("0"), false);
    assert!(raw.settled() && raw.settled());
    let outcome = raw.send(0, 1, 1, b"d").outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    // Shorter: by an empty last frame, and by none at all.
    let outcome =
        Raw::connect(proxy.address()).head(1, &head("10"), false).send(0, 0, 1, b"abc").send(0, 1, 1, b"").outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    let outcome = Raw::connect(proxy.address()).head(1, &head("10"), true).outcome(1);
    assert!(outcome.is_refusal(), "{outcome:?}");
    for length in ["+3", "3, 3", "0x3", "", "99999999999999999999999"] {
        let outcome = Raw::connect(proxy.address()).head(1, &head(length), false).send(0, 1, 1, b"abc").outcome(1);
        assert!(outcome.is_refusal(), "{length:?}: {outcome:?}");
    }
    // A second request behind a short one is its own, not the rest of it.
    let mut raw = Raw::connect(proxy.address());
    raw.head(1, &head("40"), false).send(0, 1, 1, b"abc").get(3, "/second");
    assert_eq!(raw.outcome(3), Outcome::Served);
    assert_eq!(origin.whole_requests(), 1, "{}", text(&origin.all_bytes()));
    assert!(origin.all_bytes().windows(11).any(|window| window == b"GET /second"));
}

#[test]
fn xf03_a_length_that_may_be_negative_elsewhere_goes_no_further() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    for length in ["9223372036854775808", "9999999999999999999"] {
        let head = request("POST", "/", &[("content-length", length)]);
        let outcome =
            Raw::connect(proxy.address()).head(1, &head, false).send(0, 0, 1, b"GET /evil HTTP/1.1\r\n\r\n").outcome(1);
        assert!(outcome.is_refusal(), "{length}: {outcome:?}");
        assert_eq!(origin.connections(), 0, "{}", text(&origin.all_bytes()));
    }
}

#[test]
fn xg04_names_and_values_that_would_break_a_line_are_refused() {
    refused(&[
        ("CR LF in a value", with(b"x-a", b"b\r\nx-evil: 1")),
        ("LF in a value", with(b"x-a", b"b\nx-evil: 1")),
        ("CR in a value", with(b"x-a", b"b\rx-evil: 1")),
        ("NUL in a value", with(b"x-a", b"b\0")),
        ("DEL in a value", with(b"x-a", b"b\x7f")),
        ("CR LF in a name", with(b"x-a: b\r\nx-evil", b"1")),
        ("colon in a name", with(b"x-a:", b"b")),
        ("colon before a name", with(b":x-a", b"b")),
        ("space in a name", with(b"x a", b"b")),
        ("space behind a name", with(b"content-length ", b"5")),
        ("NUL in a name", with(b"x\0a", b"b")),
        ("capitals in a name", with(b"X-A", b"b")),
        ("no name", with(b"", b"b")),
        ("a name beyond ASCII", with("caf\u{e9}".as_bytes(), b"b")),
    ]);
}

/// A head of these four pseudo-fields.
fn pseudo(method: &str, scheme: &str, authority: &str, path: &str) -> Head {
    head(&[(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)])
}

#[test]
fn xg05_pseudo_fields_make_one_request_line() {
    let (host, get) = ("example.com", "GET");
    refused(&[
        ("an empty path", pseudo(get, "http", host, "")),
        ("a path without a slash", pseudo(get, "http", host, "a")),
        ("a path that is a URL", pseudo(get, "http", host, "http://other.example/")),
        ("a space in the path", pseudo(get, "http", host, "/ HTTP/1.1")),
        ("a line in the path", pseudo(get, "http", host, "/ HTTP/1.1\r\nHost: other\r\n\r\nGET /")),
        ("a LF in the path", pseudo(get, "http", host, "/\n")),
        ("a tab in the path", pseudo(get, "http", host, "/\t")),
        ("a NUL in the path", pseudo(get, "http", host, "/\0")),
        ("a star", pseudo(get, "http", host, "*")),
        ("a space in the method", pseudo("GET /evil HTTP/1.1", "http", host, "/")),
        ("a line in the method", pseudo("GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "http", host, "/")),
        ("no method", pseudo("", "http", host, "/")),
        ("a URL as scheme", pseudo(get, "http://other.example/", host, "/")),
        ("a line in the scheme", pseudo(get, "http\r\nx: y", host, "/")),
        ("userinfo", pseudo(get, "http", "user@example.com", "/")),
        ("a path in the authority", pseudo(get, "http", "example.com/evil", "/")),
        ("a line in the authority", pseudo(get, "http", "example.com\r\nx: y", "/")),
        ("a space in the authority", pseudo(get, "http", "example.com evil", "/")),
        ("two authorities in one", pseudo(get, "http", "example.com,other.example", "/")),
        ("a port that is none", pseudo(get, "http", "example.com:80:80", "/")),
        ("TRACE", pseudo("TRACE", "http", host, "/")),
        ("CONNECT", head(&[(":method", "CONNECT"), (":authority", "other.example:443")])),
    ]);
}

#[test]
fn xg06_pseudo_fields_stand_once_and_first() {
    let mut cases = Vec::new();
    for (at, (name, value)) in BASE.iter().enumerate() {
        cases.push(("the same again", and(&[(*name, *value)])));
        let late = [&BASE[..at], &BASE[at + 1..], &[("x-a", "b"), (*name, *value)]].concat();
        cases.push(("behind a field", head(&late)));
        if *name != ":authority" {
            cases.push(("missing", head(&[&BASE[..at], &BASE[at + 1..]].concat())));
        }
    }
    cases.push(("unknown", and(&[(":evil", "1")])));
    cases.push((":status", and(&[(":status", "200")])));
    cases.push((":protocol", and(&[(":protocol", "websocket")])));
    cases.push(("no host at all", head(&[BASE[0], BASE[1], BASE[3]])));
    refused(&cases);
}

#[test]
fn xg06_pseudo_fields_are_no_trailers() {
    let origin = Origin::new(|_, wire| wire.ok("whole"));
    let proxy = Proxy::to(&origin);
    let mut raw = Raw::connect(proxy.address());
    raw.head(1, &request("POST", "/", &[]), false).send(0, 0, 1, b"abc").head(1, &block(&[(":path", "/evil")]), true);
    raw.outcome(1);
    let seen = text(&origin.all_bytes());
    assert!(!seen.contains("evil") && !seen.contains(":path"), "{seen}");
}

#[test]
fn xg05_the_scheme_is_the_connections() {
    let of = |scheme| pseudo("GET", scheme, "example.com", "/");
    refused(&[("ftp", of("ftp")), ("javascript", of("javascript")), ("gopher", of("gopher")), ("none", of(""))]);
    // A balancer that ends TLS says what its client said; the server hears of the connection to here.
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    for scheme in ["http", "https"] {
        let head: Vec<u8> = of(scheme).iter().flat_map(|(name, value)| literal(name, value)).collect();
        assert_eq!(Raw::connect(proxy.address()).head(1, &head, true).outcome(1), Outcome::Served);
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!((request.field("x-forwarded-proto"), request.target()), (Some("http"), "/"));
    }
}

/// What frames, routes or authenticates, or says what a body is: no trailers (RFC 9110, section 6.5.1).
pub const NO_TRAILERS: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-prefix",
    "x_forwarded_for",
    "x-real-ip",
    "x-request-id",
    "forwarded",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "upgrade",
    "trailer",
    "authorization",
    "cookie",
    "proxy",
    "expect",
    "proxy-authorization",
    "content-type",
    "content-encoding",
    "range",
    "cache-control",
    "max-forwards",
    "if-match",
    "x-original-url",
];

#[test]
fn xg09_what_may_be_no_field_is_no_trailer() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    for name in NO_TRAILERS {
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: example.com\r\nTE: trailers\r\nTrailer: {name}\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n{name}: evil\r\nX-Sum: 1\r\n\r\n"
        ));
        client.response();
        let mut raw = Raw::connect(proxy.address());
        let head = request("POST", "/", &[("te", "trailers"), ("trailer", name)]);
        raw.head(1, &head, false)
            .send(0, 0, 1, b"hi")
            .head(1, &block(&[(name, "evil"), ("x-sum", "1")]), true)
            .outcome(1);
    }
    let seen = text(&origin.all_bytes());
    let told: Vec<&str> = seen.lines().filter(|line| line.ends_with(": evil")).collect();
    assert!(told.is_empty(), "{told:?}");
    assert!(seen.contains("x-sum: 1"), "others are passed on");
}

#[test]
fn xg05_a_fragment_goes_no_further() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("route /admin/* { respond 403 }\n reverse_proxy {$ORIGIN}", &origin);
    let head =
        |path: &str| block(&[(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", path)]);
    assert_eq!(Raw::connect(proxy.address()).head(1, &head("/admin#/public"), true).outcome(1), Outcome::Answered);
    Raw::connect(proxy.address()).head(1, &head("/public#/admin"), true).outcome(1);
    assert!(!text(&origin.all_bytes()).contains(['#']) && !text(&origin.all_bytes()).contains("admin"));
}

#[test]
fn xg07_the_authority_and_the_host_field_agree() {
    refused(&[
        ("another host", and(&[("host", "other.example")])),
        ("two hosts", and(&[("host", "example.com"), ("host", "other.example")])),
        (
            "two hosts without authority",
            head(&[BASE[0], BASE[1], BASE[3], ("host", "a.example"), ("host", "b.example")]),
        ),
    ]);
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let more = [("host", "example.com"), ("cookie", "a=1"), ("cookie", "b=2")];
    assert_eq!(Raw::connect(proxy.address()).head(1, &request("GET", "/", &more), true).outcome(1), Outcome::Served);
    let (proxy, config) = secure(&origin);
    run(async {
        let raw = RawH3::connect(proxy.address(), config).await;
        assert_eq!(raw.ask(&[h3::frame(h3::HEADERS, &h3::head("GET", "/", &more))]).await.status(), Some(200));
    });
    let requests = origin.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert_eq!(request.field("host"), Some("example.com"));
        assert_eq!(request.field("cookie"), Some("a=1; b=2"), "one field, as servers of HTTP/1 expect it");
    }
}

#[test]
fn xg08_nothing_that_is_rewritten_begins_another_request() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site(
        "rewrite `/old/(.*)` `/new/$1?q={query.q}`\n header request set X-Query {query.q}\n \
         header request set X-Field {header.X-In}\n header request set X-Path {path}\n reverse_proxy {$ORIGIN}",
        &origin,
    );
    let evil = "a%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/evil%20HTTP/1.1%0d%0aX:%20";
    let target = format!("/old/{evil}?q={evil}");
    assert_eq!(proxy.get(&target).status(), 200);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        let request = client.request("POST", "example.com", &target).header("x-in", "a b\tc");
        assert_eq!(client.send(request, b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().status, 200);
    });
    let requests = origin.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert!(request.target().starts_with("/new/a%20HTTP"), "{}", request.start);
        assert!(!request.fields.iter().any(|(_, value)| value.contains(['\r', '\n'])), "{request:?}");
    }
}

/// A server of HTTP/2 by hand, which says this once it was asked, frame by frame; and how many times it could say the last.
fn speaking(frames: Vec<Vec<u8>>, times: usize) -> (Origin, Arc<AtomicUsize>) {
    let said = Arc::<AtomicUsize>::default();
    let count = said.clone();
    let origin = Origin::raw(move |wire| {
        wire.until(b"SM\r\n\r\n");
        wire.say(frame(SETTINGS, 0, 0, b""));
        loop {
            let Some(head) = wire.exactly(9) else { return };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            wire.exactly(usize::try_from(length).unwrap());
            if head[3] == HEADERS {
                break;
            }
        }
        let (last, before) = frames.split_last().unwrap();
        before.iter().for_each(|frame| wire.say(frame));
        for _ in 0..times {
            if wire.pipe.send(last).is_err() {
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
        wire.wait_closed();
    });
    (origin, said)
}

#[test]
fn xg10_interim_answers_of_a_server_of_http2_are_counted() {
    // By the table of HPACK: `:status`, spelled out; 200.
    let hint = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103");
    let last = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88");
    let (origin, _) = speaking([vec![hint.clone(); 10], vec![last]].concat(), 1);
    let proxy = Proxy::to(format!("h2c://{origin}"));
    assert_eq!(proxy.get("/").status(), 200);
    // One that never ends; its final answer is waited for longer than this test may take.
    let (origin, said) = speaking(vec![hint], usize::MAX);
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { timeout first_byte 1h }", format!("h2c://{origin}"));
    let response = proxy.get("/");
    assert_eq!(response.status(), 502);
    let line = proxy.logged_for(&response);
    assert_eq!(line["error"], "upstream_malformed");
    assert_eq!(line["reason"], "more than 10 interim responses");
    assert!(said.load(Ordering::SeqCst) > 10);
    eventually("the connection ends", || (origin.open() == 0).then_some(()));
}
