//! Threats XF: a request whose end two parsers could see in two places is refused, and its server sees nothing of it.

use crate::harness::{Client, Framing, Origin, Proxy, Wire, eventually};

/// Sends the bytes on a connection of their own: they are refused with one of these statuses, the connection ends, and
/// nothing reaches the origin.
fn refused(proxy: &Proxy, origin: &Origin, bytes: &str, statuses: &[u16]) {
    let connections = origin.connections();
    let mut client = proxy.client();
    client.send(bytes);
    match client.try_response() {
        Ok(Some(response)) => {
            assert!(statuses.contains(&response.status()), "{bytes:?}: {}", response.start);
            let (rest, _) = client.pipe.drain();
            assert!(rest.is_empty(), "{bytes:?}: {:?} behind the refusal", String::from_utf8_lossy(&rest));
        }
        Ok(None) => panic!("{bytes:?}: closed without a word"),
        Err(error) => panic!("{bytes:?}: {error}"),
    }
    assert_eq!(origin.connections(), connections, "{bytes:?} reached the origin: {:?}", origin.requests());
}

/// All of them are refused.
fn all_refused(cases: &[&str], statuses: &[u16]) {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    for case in cases {
        refused(&proxy, &origin, case, statuses);
    }
    // Whatever was made of them, the proxy serves on.
    assert_eq!(proxy.get("/").text(), "reached");
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n{body}")
}

#[test]
fn xf01_length_and_chunks_together_are_refused() {
    let cases = [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    ];
    all_refused(&cases.each_ref().map(String::as_str), &[400]);
}

#[test]
fn xf02_lengths_that_are_repeated_are_refused() {
    let cases =
        [post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), post("Content-Length: 5, 5\r\n", "hello")];
    all_refused(&cases.each_ref().map(String::as_str), &[400]);
}

#[test]
fn xf07_chunks_that_end_in_a_bare_line_feed_end_the_request() {
    for body in
        ["5\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"]
    {
        chunk_refused(body);
    }
}

#[test]
fn xf09_line_feeds_alone_end_no_line() {
    all_refused(
        &[
            "GET / HTTP/1.1\nHost: example.com\n\n",
            "GET / HTTP/1.1\r\nHost: example.com\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\nContent-Length: 5\r\n\r\n",
        ],
        &[400],
    );
}

#[test]
fn xf13_a_fragment_is_no_part_of_a_target() {
    all_refused(
        &["GET /a#b HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /a?q#b HTTP/1.1\r\nHost: example.com\r\n\r\n"],
        &[400],
    );
}

#[test]
fn xf02_lengths_that_differ_are_refused() {
    let cases = [
        post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        post("Content-Length: 5, 6\r\n", "hello!"),
        post("Content-Length: 6\r\nContent-Length: 5\r\n", "hello!"),
    ];
    all_refused(&cases.each_ref().map(String::as_str), &[400]);
}

#[test]
fn xf03_a_length_is_digits_and_nothing_else() {
    let values =
        ["", "+5", "-1", "0x5", "5 x", "5\u{b}", "5;5", "18446744073709551616", "99999999999999999999", "5.0", "five"];
    let cases: Vec<String> =
        values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), "hello")).collect();
    all_refused(&cases.iter().map(String::as_str).collect::<Vec<_>>(), &[400]);
}

#[test]
fn xf04_no_coding_but_chunked_is_understood() {
    let lines = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: identity",
    ];
    let cases: Vec<String> = lines.iter().map(|line| post(&format!("{line}\r\n"), "0\r\n\r\n")).collect();
    all_refused(&cases.iter().map(String::as_str).collect::<Vec<_>>(), &[400, 501]);
}

#[test]
fn xf04_chunked_twice_is_refused() {
    let lines = [
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
    ];
    let cases: Vec<String> = lines.iter().map(|line| post(&format!("{line}\r\n"), "0\r\n\r\n")).collect();
    all_refused(&cases.iter().map(String::as_str).collect::<Vec<_>>(), &[400, 501]);
}

#[test]
fn xf05_http_1_0_knows_no_chunks() {
    all_refused(&["POST / HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], &[400, 501]);
}

#[test]
fn xf06_a_request_without_framing_has_no_body() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    for version in ["1.0", "1.1"] {
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/{version}\r\nHost: example.com\r\n\r\n"));
        assert_eq!(client.response().status(), 200, "answered without waiting for the connection to end");
    }
    assert!(origin.requests().iter().all(|request| request.body.is_empty()));
}

#[test]
fn xf07_chunks_that_are_none_end_the_request() {
    let bodies = [
        "-1\r\nx\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        chunk_refused(body);
    }
}

/// The head may have gone to the origin by then, but never a message that looks whole.
fn chunk_refused(body: &str) {
    let whole = Origin::raw(|wire: &mut Wire| {
        if wire.until(b"\r\n\r\n").is_some() && wire.until(b"0\r\n\r\n").is_some() {
            wire.ok("whole");
        }
        wire.wait_closed();
    });
    let proxy = Proxy::to(&whole);
    let mut client = proxy.client();
    client.send(post("Transfer-Encoding: chunked\r\n", body));
    match client.try_response() {
        Ok(Some(response)) => assert_eq!(response.status(), 400, "{body:?}: {}", response.start),
        outcome => panic!("{body:?}: {outcome:?}"),
    }
    client.assert_closed();
}

#[test]
fn xf08_a_body_that_nobody_read_is_no_request() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::site("route /no { respond 403 }\n reverse_proxy {$ORIGIN}", &origin);
    let inner = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let mut client = proxy.client();
    client.send(format!("POST /no HTTP/1.1\r\nHost: example.com\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()));
    assert_eq!(client.response().status(), 403);
    client.send("GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n");
    if let Ok(Some(response)) = client.try_response() {
        assert_eq!(response.text(), "reached");
    }
    assert!(origin.requests().iter().all(|request| request.target() != "/smuggled"));
    // Longer than what is waited for: the connection ends, and the answer is not lost.
    let mut client = proxy.client();
    client.send("POST /no HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000000\r\n\r\n");
    client.send(vec![b'x'; 300_000]);
    assert_eq!(client.response().status(), 403);
    assert!(origin.requests().iter().all(|request| request.target() != "/smuggled"));
}

#[test]
fn xf09_carriage_returns_alone_are_refused() {
    all_refused(
        &[
            "GET / HTTP/1.1\rHost: example.com\r\r",
            "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\r\nHost: example.com\r\n\r\n",
        ],
        &[400],
    );
}

#[test]
fn xf10_the_name_of_a_field_is_a_token() {
    let lines = [": x", "a b: x", "a\u{1}: x", "a\0: x", "a(: x", "no-colon", "\u{e9}: x", "\"q\": x"];
    let cases: Vec<String> =
        lines.iter().map(|line| format!("GET / HTTP/1.1\r\nHost: example.com\r\n{line}\r\n\r\n")).collect();
    all_refused(&cases.iter().map(String::as_str).collect::<Vec<_>>(), &[400]);
}

#[test]
fn xf11_controls_in_values_are_refused_and_bytes_beyond_ascii_pass() {
    let values = ["a\0b", "a\u{1}b", "a\u{7f}b"];
    let cases: Vec<String> =
        values.iter().map(|value| format!("GET / HTTP/1.1\r\nHost: example.com\r\nX: {value}\r\n\r\n")).collect();
    all_refused(&cases.iter().map(String::as_str).collect::<Vec<_>>(), &[400]);
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Text: caf\xe9 \xc3\xa9\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.request().field("x-text"), Some("caf\u{e9} \u{c3}\u{a9}"), "as it came, byte for byte");
}

#[test]
fn xf12_folded_lines_are_refused() {
    all_refused(
        &[
            "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\nX: a\r\n\tb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\nX:\r\n Transfer-Encoding: chunked\r\n\r\n",
        ],
        &[400],
    );
}

#[test]
fn xf13_a_request_line_has_one_meaning() {
    all_refused(
        &[
            "GET http://other.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.example,b.example\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "GET / HTTP/1.1x\r\nHost: example.com\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: example.com\r\n\r\n",
            "GET / HTTP/0.9\r\nHost: example.com\r\n\r\n",
            "GET / http/1.1\r\nHost: example.com\r\n\r\n",
            "GET /\r\nHost: example.com\r\n\r\n",
            "GET nonsense HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        ],
        &[400, 405, 505],
    );
}

#[test]
fn xf13_userinfo_is_no_part_of_a_target() {
    all_refused(&["GET http://user@example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"], &[400]);
}

#[test]
fn xf13_the_absolute_form_is_passed_on_in_origin_form() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send("GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let request = origin.request();
    assert_eq!((request.target(), request.field("host")), ("/a?b", Some("example.com")));
}

#[test]
fn xf14_only_one_expectation_is_known() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    for expectation in [
        "y 100-continue",
        "100-continued",
        "200-ok",
        "100-continue, 100-continue",
        "100-continue\r\nExpect: 100-continue",
        "100-continue\r\nExpect: y",
    ] {
        let mut client = proxy.client();
        client.send(post(&format!("Expect: {expectation}\r\nContent-Length: 0\r\n"), ""));
        assert_eq!(client.response().status(), 417, "{expectation}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn xf14_an_expectation_is_met_once_and_the_body_is_sent_once() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
    assert!(client.pipe.until(b"\r\n\r\n").unwrap().starts_with(b"HTTP/1.1 100 "));
    client.send("hello");
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.request().body, b"hello");
    // Where there is nothing to be sent there is nothing to go on with.
    let response = client.send(post("Expect: 100-continue\r\nContent-Length: 0\r\n", "")).response();
    assert_eq!((response.status(), response.interim.len()), (200, 0));
    assert_eq!(client.get("example.com", "/again").status(), 200);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn xf15_a_body_of_any_method_is_framed_as_it_came() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "REPORT"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(client.response().status(), 200, "{method}");
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ));
        assert_eq!(client.response().status(), 200, "{method}");
    }
    for request in origin.requests() {
        assert_eq!(request.body, b"hello");
        assert_ne!(request.framing, Framing::None);
    }
}

#[test]
fn xf15_trace_and_connect_are_not_passed() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    for request in [
        "TRACE / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    ] {
        let mut client = proxy.client();
        assert_eq!(client.send(request).response().status(), 405, "{request:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn xf16_requests_in_a_row_are_answered_in_order() {
    let origin = Origin::new(|request, wire| wire.ok(request.target()));
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    let all: String = (0..20).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: example.com\r\n\r\n")).collect();
    client.send(all);
    for at in 0..20 {
        assert_eq!(client.response().text(), format!("/{at}"));
    }
    // Nothing crosses over behind an error.
    client.send(
        "GET /fine HTTP/1.1\r\nHost: example.com\r\n\r\nBAD\r\n\r\nGET /after HTTP/1.1\r\nHost: example.com\r\n\r\n",
    );
    assert_eq!(client.response().text(), "/fine");
    assert_eq!(client.response().status(), 400);
    client.assert_closed();
    assert!(origin.requests().iter().all(|request| request.target() != "/after"));
}

#[test]
fn xf17_white_space_around_names_is_refused() {
    all_refused(
        &[
            "GET / HTTP/1.1\r\n Host: example.com\r\n\r\n",
            "GET / HTTP/1.1\r\n\tHost: example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length : 5\r\n\r\nhello",
        ],
        &[400],
    );
}

#[test]
fn xf18_hidden_spellings_of_framing_never_pass() {
    all_refused(&[&post("Content-Length\0: 5\r\n", "hello")], &[400]);
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nContent.Length: 5\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert!(origin.request().names().iter().all(|name| !name.contains(['_', '.'])), "{:?}", origin.request().names());
}

#[test]
fn xf19_a_connection_that_said_too_much_is_not_used_again() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("example.com", "/").text(), "ok");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn xf19_an_early_answer_ends_the_connection_that_still_owes_a_body() {
    let origin = Origin::raw(|wire| {
        if wire.until(b"\r\n\r\n").is_some() {
            wire.ok("early");
        }
        wire.wait_closed();
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(post("Content-Length: 1000000\r\n", "hello"));
    assert_eq!(client.response().text(), "early");
    drop(client);
    eventually("the connection to the origin ends", || (origin.open() == 0).then_some(()));
    assert_eq!(proxy.get("/").text(), "early");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn heads_that_are_too_large_are_refused_by_their_reason() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    let line = |fields: &str| format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n");
    let long = "a".repeat(9_000);
    refused_softly(&proxy, &format!("GET /{long} HTTP/1.1\r\nHost: example.com\r\n\r\n"), 414);
    refused_softly(&proxy, &line(&"X-A: b\r\n".repeat(101)), 431);
    let big = format!("X-Big: {}\r\n", "b".repeat(9_000));
    refused_softly(&proxy, &line(&big.repeat(4)), 431);
    refused_softly(&proxy, &line(&format!("X-Long: {}\r\n", "b".repeat(17 * 1024))), 431);
    assert_eq!(origin.connections(), 0);
    let fits = line(&format!("X-Long: {}\r\n", "b".repeat(15 * 1024)));
    assert_eq!(proxy.client().send(fits).response().status(), 200);
}

fn refused_softly(proxy: &Proxy, bytes: &str, status: u16) {
    let mut client: Client = proxy.client();
    let response = client.send(bytes).response();
    assert_eq!(response.status(), status, "{bytes:.60}");
}

#[test]
fn a_refused_request_is_told_in_the_log() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    refused(&proxy, &origin, "GET / HTTP/1.1\nHost: example.com\n\n", &[400]);
    let line = proxy.said("a malformed request is refused");
    assert_eq!((&line["reason"], &line["peer"]), (&"a line feed alone".into(), &"127.0.0.1".into()));
}
