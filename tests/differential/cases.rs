//! The cases: some hundred requests, class by class, as they have been used against proxies or might be.

pub use crate::grammar::Case;
use crate::grammar::{Dice, Grammar, HOST, NEXT};

pub fn cases() -> Vec<Case> {
    let mut grammar = Grammar::default();
    lengths(&mut grammar);
    codings(&mut grammar);
    chunks(&mut grammar);
    lines(&mut grammar);
    fields(&mut grammar);
    request_lines(&mut grammar);
    targets(&mut grammar);
    hosts(&mut grammar);
    hops(&mut grammar);
    rows(&mut grammar);
    chance(&mut grammar);
    grammar.cases
}

fn lengths(grammar: &mut Grammar) {
    grammar.class("a length").posts("Content-Length: @\r\n", "hello", ["5", "05", " 5\t", "0000000000000000005"]);
    grammar.class("a length that is no plain number");
    let odd = "|+5|-5|0x5|5 5|5,5|5, 5|5;|5\u{b}|5\0|5.0|5e0|1_0|five|18446744073709551621|9223372036854775813|\u{b2}|'5'|5 \u{1}|--5";
    grammar.posts("Content-Length: @\r\n", "hello", odd.split('|'));
    grammar.class("two lengths");
    let pairs =
        ["5\r\nContent-Length: 5", "5\r\nContent-Length: 0", "0\r\nContent-Length: 5", "5\r\ncontent-length: 3"];
    grammar.posts("Content-Length: @\r\n", "hello", pairs);
    let pairs =
        ["\r\nContent-Length: 5", "5\r\nX: y\r\nContent-Length: 6", "5\r\nContent-Length:", "5\r\nContent-Length: +5"];
    grammar.posts("Content-Length: @\r\n", "hello", pairs);
    grammar.class("a length in HTTP/1.0, or none").each(
        "POST /first HTTP/1.0\r\nHost: example.com\r\n@",
        [
            "Content-Length: 5\r\n\r\nhello",
            "\r\nhello",
            "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
            "\r\n",
        ],
    );
    grammar.class("a length in another spelling of its name");
    let names = "Content_Length|Content-Length |Content-Length\t| Content-Length|Content-Length\0|Content-Length\u{b}|Content.Length|Content Length|X\0Content-Length|\u{b}Content-Length|Content-Length\r|Content-Length:";
    grammar.posts("@: 5\r\n", "hello", names.split('|'));
    grammar.class("a length and chunks");
    let both =
        ["Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"];
    for body in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"] {
        grammar.posts("@", body, both);
        grammar.posts(
            "@",
            body,
            ["Transfer-Encoding: x\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding:\r\n"],
        );
        grammar.posts(
            "@",
            body,
            [
                "Content-Length: 5\r\ntransfer-encoding: CHUNKED\r\n",
                "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            ],
        );
    }
}

fn codings(grammar: &mut Grammar) {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    grammar.class("chunks").posts(
        "@: chunked\r\n",
        body,
        ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"],
    );
    grammar.posts("Transfer-Encoding:@\r\n", body, ["chunked", " CHUNKED", "\tchunked \t"]);
    grammar.class("codings other than chunked");
    let odd = "xchunked|chunkedx|chunked, chunked|chunked,chunked|gzip|gzip, chunked|chunked, gzip|chunked, identity|identity|identity, chunked|\u{b}chunked|chunked\u{c}|\"chunked\"|chunked;q=1|chunked,|,chunked|, chunked|ch unked|chunked\0|\0chunked||deflate|x|trailers, chunked|chunk\u{e9}d";
    grammar.posts("Transfer-Encoding: @\r\n", body, odd.split('|'));
    grammar.class("chunked twice, or beside another");
    let pairs = "chunked\r\nTransfer-Encoding: chunked|chunked\r\nTransfer-Encoding: identity|identity\r\nTransfer-Encoding: chunked|chunked\r\ntransfer-encoding: x|x\r\nTransfer-Encoding: chunked|\r\nTransfer-Encoding: chunked|chunked\r\nTransfer-Encoding:";
    grammar.posts("Transfer-Encoding: @\r\n", body, pairs.split('|'));
    grammar.class("chunked in another spelling of its field");
    let names = "Transfer_Encoding|Transfer-Encoding |Transfer-Encoding\t| Transfer-Encoding|Transfer-Encoding\0|\u{b}Transfer-Encoding|Transfer.Encoding|Transfer Encoding|X\0Transfer-Encoding|TE|Transfer-Encodin\u{67}\u{ad}|Transfer-Encoding:";
    grammar.posts("@: chunked\r\n", body, names.split('|'));
    grammar.posts(
        "@chunked\r\n",
        body,
        [
            "Transfer-Encoding\r\n: ",
            "Transfer-Encoding:\r\n ",
            "Transfer-Encoding: \r\n\t",
            "X: y\nTransfer-Encoding: ",
        ],
    );
    grammar.posts(
        "@chunked\r\n",
        body,
        [
            "X: y\rTransfer-Encoding: ",
            "X: y\0Transfer-Encoding: ",
            "X: y\r\r\nTransfer-Encoding: ",
            "X:\n\rTransfer-Encoding: ",
        ],
    );
    grammar.class("chunks in HTTP/1.0").each(
        "POST /first HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: @\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ["chunked", "chunked\r\nConnection: keep-alive", "chunked\r\nContent-Length: 5", "identity"],
    );
}

fn chunks(grammar: &mut Grammar) {
    grammar
        .class("sizes of chunks")
        .chunks("@\r\nhello\r\n0\r\n\r\n", ["5", "05", "0000000005", "5;a", "5;a=b", "5;a=\"b\""]);
    grammar.class("sizes of chunks that are no plain number");
    let odd = " 5|5 |\t5|5\t|+5|-5|0x5|5h|5_|0_5|\u{b}5|5\0|5\u{b}|5 ;a|5,|5.|;|x||10000000000000005|FFFFFFFFFFFFFFFB|000000000000000000000005|5;a=\"|5;a\u{1}|5;\0";
    grammar.chunks("@\r\nhello\r\n0\r\n\r\n", odd.split('|'));
    grammar.class("ends of chunks and of their lines").chunks(
        "@",
        [
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "5\r\nhello\r\n0\r\n\r",
            "5\r\nhello\r\n0\n\n",
            "5;a\nx\r\nhello\r\n0\r\n\r\n",
            "5;a\rx\r\nhello\r\n0\r\n\r\n",
            "5;\"\r\n\"\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n\r\n0\r\n\r\n",
            "5\r\nhello\r\n00\r\n\r\n",
            "5\r\nhello\r\n0;x\r\n\r\n",
            "5\r\nhello\r\n-0\r\n\r\n",
            "5\r\nhello\r\n",
        ],
    );
    grammar.class("trailers").chunks(
        "5\r\nhello\r\n0\r\n@\r\n\r\n",
        [
            "X-Sum: 1",
            "Content-Length: 3",
            "Transfer-Encoding: chunked",
            "Host: other",
            "X-Forwarded-For: 1.2.3.4",
            "X: y\nZ: a",
            "X: y\rZ: a",
            "X : y",
            " X: y",
            "X: y\r\n folded",
            ": y",
            "no colon",
            "X: \0",
        ],
    );
}

fn lines(grammar: &mut Grammar) {
    grammar.class("ends of lines").each(
        "@",
        [
            "GET /first HTTP/1.1\nHost: example.com\n\n",
            "GET /first HTTP/1.1\nHost: example.com\r\n\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\n\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\r\n\n",
            "GET /first HTTP/1.1\rHost: example.com\r\r",
            "GET /first HTTP/1.1\r\r\nHost: example.com\r\n\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\r\r\n\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\r\n\r\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\r\nX: y\rZ: a\r\n\r\n",
            "GET /first HTTP/1.1\r\nHost: example.com\r\nX: y\nZ: a\r\n\r\n",
            "GET /first HTTP/1.1\n\rHost: example.com\n\r\n\r",
        ],
    );
    grammar.class("something before a request").each(
        "@GET /first HTTP/1.1\r\nHost: example.com\r\n\r\n",
        ["\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", "\0", "\u{ef}\u{bb}\u{bf}", "x\r\n", "\u{b}", "\r\n \r\n"],
    );
    grammar.class("something before the first field").each(
        "GET /first HTTP/1.1\r\n@Host: example.com\r\n\r\n",
        [" ", "\t", " \r\n", ":\r\n", "\0\r\n", " X: y\r\n", "\u{b}\r\n", "X\r\n"],
    );
    grammar.class("lines that go on in the next").each(
        "GET /first HTTP/1.1\r\nHost: example.com\r\nX: y@\r\n\r\n",
        ["\r\n z", "\r\n\tz", "\r\n  ", "\n z", "\r\n \r\n z", "\r z"],
    );
}

fn fields(grammar: &mut Grammar) {
    let head = "GET /first HTTP/1.1\r\nHost: example.com\r\n";
    let odd = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
    let is_token = |byte: &u8| b"!#$%&'*+.^_`|~".contains(byte);
    grammar.class("signs in the name of a field that may be there");
    grammar.bytes(&format!("{head}X@Y: z\r\n\r\n"), (0x21..0x7f).filter(odd).filter(is_token));
    grammar.class("signs in the name of a field that may not be there");
    let strange = [0, 1, 8, 9, 0xb, 0xc, 0x1f, 0x20, 0x7f, 0x80, 0xa0, 0xff];
    let strange = strange.into_iter().chain((0x21..0x7f).filter(odd).filter(|byte| !is_token(byte) && *byte != b':'));
    grammar.bytes(&format!("{head}X@Y: z\r\n\r\n"), strange);
    grammar.class("fields without a name, or without a colon");
    grammar.each(&format!("{head}@\r\n\r\n"), [": y", ":", "X", "X y", "X\ty", "=", " : y", "\"X\": y", "X:", "X: "]);
    grammar.class("bytes in the value of a field");
    let values = [0, 1, 8, 9, 0xb, 0xc, 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0xa0, 0xad, 0xff];
    grammar.bytes(&format!("{head}X: y@z\r\n\r\n"), values);
    grammar.class("fields by which proxies speak of clients");
    let aliases = "X-Forwarded-For: 1.2.3.4|X_Forwarded_For: 1.2.3.4|X-Forwarded-Proto: https|X-Forwarded-Host: other|X-Real-IP: 1.2.3.4|Forwarded: for=1.2.3.4|X-Original-URL: /admin|X-Rewrite-URL: /admin|Proxy: x|X.Forwarded.For: 1.2.3.4|X-HTTP-Method-Override: DELETE";
    grammar.each(&format!("{head}@\r\n\r\n"), aliases.split('|'));
    grammar.class("many fields, and long ones");
    grammar.raw(format!("{head}{}\r\n", "X: y\r\n".repeat(90)));
    grammar.raw(format!("{head}{}\r\n", "X: y\r\n".repeat(120)));
    grammar.raw(format!("{head}X: {}\r\n\r\n", "y".repeat(6_000)));
    grammar.raw(format!("{head}{}: y\r\n\r\n", "X".repeat(6_000)));
}

fn request_lines(grammar: &mut Grammar) {
    grammar.class("versions");
    let versions = "HTTP/1.1|HTTP/1.0|HTTP/0.9|HTTP/1.2|HTTP/1.9|HTTP/2.0|HTTP/2|HTTP/3.0|HTTP/1|HTTP/1.|HTTP/11|HTTP/1.10|HTTP/01.1|HTTP/1.1x|HTTP/1.1 x|http/1.1|Http/1.1|HTTPS/1.1|HTP/1.1|ICY/1.1|HTTP/ 1.1|HTTP /1.1|HTTP/1,1|HTTP/\u{b9}.1|HTTP/1.1\0|HTTP/-1.1|";
    grammar.each(&format!("GET /first @\r\n{HOST}\r\n"), versions.split('|'));
    grammar.class("white space in the request line");
    grammar.each(
        &format!("@\r\n{HOST}\r\n"),
        [
            "GET  /first HTTP/1.1",
            "GET /first  HTTP/1.1",
            "GET\t/first HTTP/1.1",
            "GET /first\tHTTP/1.1",
            " GET /first HTTP/1.1",
            "GET /first HTTP/1.1 ",
            "GET /first HTTP/1.1\t",
            "GET\u{b}/first HTTP/1.1",
            "GET /first /second HTTP/1.1",
            "GET /first",
            "GET",
            "GET /first HTTP/1.1 HTTP/1.1",
        ],
    );
    grammar.class("methods").each(
        &format!("@ /first HTTP/1.1\r\n{HOST}\r\n"),
        ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "FROB", "M-SEARCH", "PROPFIND"],
    );
    grammar.class("methods that are none, or of another case");
    let odd = "get|Get|gET|G\u{7f}T|(GET)|GE\0T|GET,|GET/|\"GET\"|G:T|G%T|G\u{e9}T|PRI|=|";
    grammar.each(&format!("@ /first HTTP/1.1\r\n{HOST}\r\n"), odd.split('|'));
    grammar.class("TRACE and CONNECT");
    for target in ["/first", "example.com:80", "example.com:443", "127.0.0.1:1"] {
        grammar.each(&format!("@ {target} HTTP/1.1\r\n{HOST}\r\n"), ["TRACE", "CONNECT"]);
    }
    grammar.class("bodies where few await them");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        grammar.raw(
            [format!("{method} /first HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhello").as_bytes(), NEXT].concat(),
        );
        let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        grammar.raw([format!("{method} /first HTTP/1.1\r\n{HOST}{chunked}").as_bytes(), NEXT].concat());
    }
}

fn targets(grammar: &mut Grammar) {
    let template = format!("GET @ HTTP/1.1\r\n{HOST}\r\n");
    grammar
        .class("paths that are their own only spelling")
        .each(&template, ["/", "/a/b", "/a?b=c", "/~a", "/a+b", "/a%20b", "/%C3%A9"]);
    grammar.class("paths with other spellings");
    let odd = "//|//a|/a//b|/./a|/a/.|/../a|/a/../b|/%2e%2e/a|/%2E/a|/%61|/a;x|/a%2fb|/a%2Fb|/a%5cb|/%252e|/a%3fb|/a%23b|/a%c3";
    grammar.each(&template, odd.split('|'));
    grammar.class("paths that are none");
    let none = "/a#b|/%|/%6|/%zz|/%00|/\\a|\\a|/a\u{1}b|/a\u{7f}|/a\u{80}|/a\u{e9}|/a%0d%0aX:y|a|?a|/a\0b|#|";
    grammar.each(&template, none.split('|'));
    grammar.class("signs in paths and queries");
    let signs = "/{x}|/`|/<a>|/\"|/^|/[a]|/a?b?c|/a?%00|/a?\u{1}|/a?b#c|/a?\"<>|/a?b\\c|/a?b=%|/*|/a:b|/a!b";
    grammar.each(&template, signs.split('|')).each(&template, ["/a|b"]);
    grammar.class("targets with a host, or without a path");
    let forms = "http://example.com/a|http://example.com|http://other/a|HTTP://EXAMPLE.COM/a|http://user@example.com/a|http:/a|http:///a|https://example.com/a|ftp://example.com/a|example.com/a|//other/a|*|http://example.com:80/a|http://example.com?a|http://[::1]/a|example.com:80|http://example.com\\a|http://exa mple.com/a";
    grammar.each(&template, forms.split('|'));
    grammar.each(&format!("OPTIONS @ HTTP/1.1\r\n{HOST}\r\n"), ["*", "/*", "**", "http://example.com"]);
    grammar.class("long targets");
    for length in [4_000, 7_000, 20_000] {
        grammar.raw(format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(length)));
    }
}

fn hosts(grammar: &mut Grammar) {
    grammar.class("hosts in other spellings");
    let template = "GET /first HTTP/1.1\r\nHost: @\r\n\r\n";
    grammar.each(
        template,
        ["EXAMPLE.com", "example.com.", "example.com:80", "example.com:8080", "[::1]", "127.0.0.1", "a_b.example"],
    );
    grammar.class("hosts that are none");
    let odd = "|a b|example.com/x|user@example.com|a,b|a, b|example.com:|example.com:x|example.com:80:80|example.com:99999|[::1|::1|ex%61mple.com|ex\u{e4}mple.com|example.com#|example.com?|example.com\\x|..|.|a..b|ex\0ample.com|ex\u{1}ample|\"a\"|<a>|a;b|http://example.com|*";
    grammar.each(template, odd.split('|'));
    grammar.raw(format!("GET /first HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(300)));
    grammar.class("no host, or two").each(
        "GET /first HTTP/1.1\r\n@\r\n",
        [
            "",
            "Host: example.com\r\nHost: example.com\r\n",
            "Host: example.com\r\nHost: other\r\n",
            "Host: example.com\r\nhost: other\r\n",
            "Host: example.com\r\nHost:\r\n",
            "Host:\r\nHost: example.com\r\n",
            "Host : example.com\r\n",
            " Host: example.com\r\n",
            "Host: example.com\r\n Host: other\r\n",
            "Host:\r\n example.com\r\n",
            "X: y\nHost: example.com\r\n",
            "Host: example.com\r\nHost : other\r\n",
            "Host\0: example.com\r\n",
        ],
    );
    grammar.each("GET /first HTTP/1.0\r\n@\r\n", ["", "Host:\r\n", "Host: a\r\nHost: b\r\n"]);
    grammar.each("GET http://other/a HTTP/1.0\r\n@\r\n", ["", "Host: example.com\r\n"]);
}

fn hops(grammar: &mut Grammar) {
    grammar.class("expectations");
    let expectations = "100-continue|100-Continue|100-continue, x|y 100-continue|200-ok||100-continue\r\nExpect: 100-continue|100-continue\u{b}|x=y";
    for (body, fields) in
        [("hello", "Content-Length: 5\r\n"), ("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n")]
    {
        grammar.posts(&format!("{fields}Expect: @\r\n"), body, expectations.split('|'));
    }
    grammar.posts("Content-Length: 0\r\nExpect: @\r\n", "", ["100-continue"]).posts(
        "Expect: @\r\n",
        "",
        ["100-continue"],
    );
    grammar.class("fields named by Connection");
    let named = "close|keep-alive|Content-Length|Transfer-Encoding|Host|close, Content-Length|X-Forwarded-For|X-Sent|Upgrade|upgrade, Content-Length|,|\"close\"|Connection|close\r\nConnection: keep-alive|x\u{b}|Expect";
    grammar.posts("Connection: @\r\nX-Sent: y\r\nContent-Length: 5\r\n", "hello", named.split('|'));
    grammar.class("fields of one hop");
    let hop = "Keep-Alive: timeout=5|Proxy-Connection: keep-alive|TE: trailers|TE: gzip, trailers|Trailer: X|Proxy-Authorization: x|Proxy-Authenticate: x|HTTP2-Settings: AAMAAABkAAQAAP__|Upgrade: foo|Max-Forwards: 0|Alt-Used: x|Via: 1.1 x";
    grammar.posts("@\r\nContent-Length: 5\r\n", "hello", hop.split('|'));
    grammar.class("upgrades that the server does not take");
    let socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for (upgrade, more) in [
        ("websocket", socket),
        ("websocket", ""),
        ("websocket", "Content-Length: 5\r\n"),
        ("websocket", "Transfer-Encoding: chunked\r\n"),
        ("h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        ("foo", ""),
        ("websocket, h2c", socket),
        ("TLS/1.0", ""),
    ] {
        let head = format!("GET /first HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: {upgrade}\r\n{more}\r\n");
        let body = if more.starts_with("Tr") {
            "0\r\n\r\n"
        } else if more.starts_with("Co") {
            "hello"
        } else {
            ""
        };
        grammar.raw([head.as_bytes(), body.as_bytes(), NEXT].concat());
    }
}

fn rows(grammar: &mut Grammar) {
    let get = |path: &str| format!("GET /{path} HTTP/1.1\r\n{HOST}\r\n");
    let post =
        |path: &str, body: &str| format!("POST /{path} HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{body}", body.len());
    let inner = get("inner");
    grammar.class("requests in a row");
    grammar.raw(get("a") + &get("b")).raw(get("a") + &post("b", "hello") + &get("c"));
    grammar.raw(post("a", &inner) + &get("b")).raw(format!("HEAD /a HTTP/1.1\r\n{HOST}\r\n") + &get("b"));
    grammar.raw((0..8).map(|n| get(&n.to_string())).collect::<String>());
    grammar.raw(post("a", "") + &post("b", "x") + &post("c", ""));
    grammar.class("rows with something between the requests");
    for between in ["\r\n", "\n", "\r", "x", "\0", " ", "\r\n\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "\u{b}"] {
        grammar.raw(post("a", "hello") + between + &get("b"));
    }
    grammar.class("rows with a request that is none");
    for bad in [
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\r\n",
        "\0\0\0\0",
        "POST /x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        grammar.raw(get("a") + bad + &get("b"));
    }
    grammar.class("requests that break off");
    for whole in [
        get("a"),
        post("a", "hello"),
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel".into(),
    ] {
        grammar.raw(&whole[..whole.len() - 2]).raw(&whole[..whole.len() / 2]);
    }
}

/// Requests in which one byte was changed, taken out or doubled, wherever chance wants it.
fn chance(grammar: &mut Grammar) {
    const ODD: &[u8] = b"\0\t\n\x0b\r \"#%,-/0:;?\\_x\x7f\x80\xff";
    let plain = format!("POST /first HTTP/1.1\r\n{HOST}X-A: b\r\nContent-Length: 5\r\n\r\nhello");
    let chunked = format!("POST /first HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let mut dice = Dice::new();
    for (class, base) in [("a changed byte, with a length", plain), ("a changed byte, with chunks", chunked)] {
        grammar.class(class);
        for _ in 0..40 {
            let mut bytes = base.clone().into_bytes();
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, bytes[at]),
                2 => bytes.insert(at, ODD[dice.below(ODD.len())]),
                _ => bytes[at] = ODD[dice.below(ODD.len())],
            }
            grammar.raw([&bytes, NEXT].concat());
        }
    }
}
