//! RFC 9113, section 8: which heads are requests.

use super::*;

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const HOST: (&str, &str) = (":authority", "example.com");

/// A good request with more fields behind it.
fn with(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/hang", more))
}

pub fn cases() -> Vec<Case> {
    let mut cases = good();
    cases.extend(fields());
    cases.extend(pseudo_fields());
    cases.extend(bodies());
    cases
}

fn good() -> Vec<Case> {
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-sum", "1")]));
    vec![
        case("8.1 GET", get(1, "/"), Wanted::Served),
        case("8.1 HEAD", frame(HEADERS, 5, 1, &request("HEAD", "/", &[])), Wanted::Served),
        case("8.1 POST", [post(1, "/", &[]), data(END_STREAM, 1, b"body")].concat(), Wanted::Served),
        case(
            "8.1 POST with trailers",
            [post(1, "/", &[("trailer", "x-sum")]), data(0, 1, b"body"), trailers.clone()].concat(),
            Wanted::Served,
        ),
        case(
            "8.1 trailers without an end",
            [post(1, "/hang", &[]), data(0, 1, b"a"), frame(HEADERS, END_HEADERS, 1, &block(&[("x-sum", "1")]))]
                .concat(),
            Wanted::Stream(1, PROTOCOL),
        ),
        case("8.2.2 TE of trailers", frame(HEADERS, 5, 1, &request("GET", "/", &[("te", "trailers")])), Wanted::Served),
        case(
            "8.2.3 cookies in crumbs",
            frame(HEADERS, 5, 1, &request("GET", "/", &[("cookie", "a=b"), ("cookie", "c=d")])),
            Wanted::Served,
        ),
    ]
}

fn fields() -> Vec<Case> {
    // What cannot be a name or a value ends more than its stream, as it may (RFC 9113, section 5.4.1).
    let impossible = |name, fields: &[(&str, &str)]| case(name, with(fields), Wanted::Connection(PROTOCOL));
    let connection = |name, fields: &[(&str, &str)]| case(name, with(fields), Wanted::Stream(1, PROTOCOL));
    vec![
        impossible("8.2.1 a name with a capital", &[("X-Test", "a")]),
        impossible("8.2.1 a name with a space", &[("x test", "a")]),
        impossible("8.2.1 a name with a colon", &[("x:test", "a")]),
        impossible("8.2.1 a name with nothing in it", &[("", "a")]),
        impossible("8.2.1 a value with a line feed", &[("x-test", "a\nb: c")]),
        impossible("8.2.1 a value with a carriage return", &[("x-test", "a\rb")]),
        impossible("8.2.1 a value with a NUL", &[("x-test", "a\0b")]),
        connection("8.2.2 connection", &[("connection", "keep-alive")]),
        connection("8.2.2 keep-alive", &[("keep-alive", "timeout=5")]),
        connection("8.2.2 proxy-connection", &[("proxy-connection", "keep-alive")]),
        connection("8.2.2 transfer-encoding", &[("transfer-encoding", "chunked")]),
        connection("8.2.2 upgrade", &[("upgrade", "websocket")]),
        connection("8.2.2 TE of anything else", &[("te", "trailers, deflate")]),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let refused = Wanted::Stream(1, PROTOCOL);
    let bad = |name, fields: &[(&str, &str)]| case(name, head(fields), refused);
    let late = frame(HEADERS, 5, 1, &block(&[METHOD, SCHEME, HOST, ("x-test", "a"), PATH]));
    let trailers = frame(HEADERS, 5, 1, &block(&[(":method", "GET")]));
    let last = frame(HEADERS, 5, 1, &block(&[("x-test", "a"), METHOD, SCHEME, PATH, HOST]));
    let unended = frame(HEADERS, END_HEADERS, 1, &block(&[(":method", "POST")]));
    let unended = [post(1, "/hang", &[]), data(0, 1, b"a"), unended].concat();
    let late_pseudo = [post(1, "/", &[]), data(0, 1, b"a"), trailers].concat();
    vec![
        case(
            "8.3 one that nobody knows",
            head(&[METHOD, SCHEME, PATH, HOST, (":test", "a")]),
            Wanted::Connection(PROTOCOL),
        ),
        bad("8.3 one of answers", &[METHOD, SCHEME, PATH, HOST, (":status", "200")]),
        // The library drops it without a word, so that nobody behind can know of it (threat XG06 has what servers are sent).
        case("8.3 one among the trailers goes no further", late_pseudo, Wanted::Served),
        case("8.3 one among trailers without an end", unended, refused),
        case("8.3 one behind another field", late, refused),
        case("8.3 one behind another field, first of all", last, refused),
        bad("8.3.1 an empty path", &[METHOD, SCHEME, (":path", ""), HOST]),
        bad("8.3.1 no method", &[SCHEME, PATH, HOST]),
        bad("8.3.1 no scheme", &[METHOD, PATH, HOST]),
        bad("8.3.1 no path", &[METHOD, SCHEME, HOST]),
        bad("8.3.1 two methods", &[METHOD, METHOD, SCHEME, PATH, HOST]),
        bad("8.3.1 two schemes", &[METHOD, SCHEME, SCHEME, PATH, HOST]),
        bad("8.3.1 two paths", &[METHOD, SCHEME, PATH, PATH, HOST]),
        bad("8.3.1 two hosts", &[METHOD, SCHEME, PATH, HOST, (":authority", "a.example.com")]),
    ]
}

fn bodies() -> Vec<Case> {
    let refused = Wanted::Stream(1, PROTOCOL);
    let one = [("content-length", "1")];
    vec![
        case("8.1.1 more DATA than said", [post(1, "/hang", &one), data(END_STREAM, 1, b"test")].concat(), refused),
        case(
            "8.1.1 more DATA than said, in sum",
            [post(1, "/hang", &one), data(0, 1, b"a"), data(END_STREAM, 1, b"b")].concat(),
            refused,
        ),
        case(
            "8.1.1 less DATA than said",
            [post(1, "/hang", &[("content-length", "5")]), data(END_STREAM, 1, b"test")].concat(),
            refused,
        ),
        case("8.1.1 a length, and no DATA", frame(HEADERS, 5, 1, &request("POST", "/hang", &one)), refused),
        case(
            "8.1.1 a length that is none",
            [post(1, "/hang", &[("content-length", "a")]), data(END_STREAM, 1, b"a")].concat(),
            refused,
        ),
    ]
}
