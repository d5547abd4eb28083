//! Threats XA: what a client says of itself, and of others.

use crate::frames::{Outcome, Raw, request};
use crate::harness::{Message, Origin, Proxy};

/// An address that nobody in these tests has.
const EVIL: &str = "6.6.6.6";

/// What the origin sees of a request with these fields, over HTTP/1 and over HTTP/2.
fn seen(fields: &[(&str, &str)]) -> [Message; 2] {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = proxy.client();
    assert_eq!(client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n")).response().status(), 200);
    let lower: Vec<(String, &str)> = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    let fields: Vec<(&str, &str)> = lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let head = request("GET", "/", &fields);
    assert_eq!(Raw::connect(proxy.address()).head(1, &head, true).outcome(1), Outcome::Served);
    origin.requests().try_into().unwrap()
}

fn is_told(message: &Message) -> bool {
    message.fields.iter().any(|(_, value)| value.contains(EVIL))
}

const FORWARDING: [&str; 43] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Scheme",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-By",
    "X-Forwarded-Client-Cert",
    "X-Forwarded",
    "X-Real-IP",
    "Forwarded",
    "X-Original-URI",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Envoy-External-Address",
    "X-AppEngine-User-IP",
    "X-URL-Scheme",
    "X-Remote-User",
    "X-Remote-Addr",
    "X-WebAuth-User",
    "X-Authenticated-User",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Fastly-Client-IP",
    "Forwarded-For",
    "Front-End-Https",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
];

#[test]
fn xa01_a_stranger_is_not_believed_about_itself() {
    for name in FORWARDING {
        for spelling in [name.to_owned(), name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
            for message in seen(&[(&spelling, EVIL)]) {
                assert!(!is_told(&message), "{spelling}: {message:?}");
            }
        }
        for message in seen(&[(name, EVIL), (name, "127.0.0.1"), (name, EVIL)]) {
            assert!(!is_told(&message), "{name} three times: {message:?}");
        }
    }
    for message in seen(&[("X-Forwarded-For", EVIL), ("X-Real-IP", EVIL), ("Forwarded", "for=6.6.6.6")]) {
        assert_eq!(message.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(message.field("x-real-ip"), Some("127.0.0.1"));
        assert_eq!(message.field("x-forwarded-host"), Some("example.com"));
        assert_eq!(message.field("x-forwarded-proto"), Some("http"));
    }
}

#[test]
fn xa01_what_a_site_says_itself_stays() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("header request set X-Forwarded-Prefix /app\n reverse_proxy {$ORIGIN}", &origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Prefix: /evil\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.request().field("x-forwarded-prefix"), Some("/app"));
}

#[test]
fn xa02_no_other_spelling_gets_through() {
    for name in ["X-Forwarded-For", "X-Real-IP", "X-Auth-User", "X-Forwarded-Proto"] {
        for other in ['_', '.', '~', '+', '!', '*', '^', '`', '|', '\'', '#', '$', '%', '&'] {
            let all = name.replace('-', &other.to_string());
            let first = name.replacen('-', &other.to_string(), 1);
            for spelling in [&all, &first] {
                for message in seen(&[(spelling, EVIL)]) {
                    assert!(!is_told(&message), "{spelling}: {message:?}");
                }
            }
        }
    }
    for message in seen(&[("X_Forwarded_For", EVIL), ("X-FORWARDED-FOR", EVIL), ("x.forwarded-for", EVIL)]) {
        assert_eq!(message.all("x-forwarded-for"), ["127.0.0.1"]);
        assert!(!is_told(&message));
    }
}

#[test]
fn xa04_nothing_of_ours_is_named_away() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("header request set X-Auth-User alice\n reverse_proxy {$ORIGIN}", &origin);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: example.com\r\nConnection: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, X-Request-Id\r\n\
         Connection: Host, Content-Length, X-Forwarded-Host, X-Forwarded-Port\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response().status(), 200);
    let seen = origin.request();
    assert_eq!((seen.field("host"), &seen.body[..]), (Some("example.com"), &b"hello"[..]));
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "example.com"),
        ("x-auth-user", "alice"),
    ] {
        assert_eq!(seen.field(name), Some(value));
    }
    assert!(seen.field("x-request-id").is_some() && seen.field("x-forwarded-port").is_some());
    assert_eq!(seen.field("connection"), None);
}

#[test]
fn xa04_a_field_that_a_site_sets_is_not_named_away() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("header request set X-Auth-User alice\n reverse_proxy {$ORIGIN}", &origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: X-Auth-User\r\nX-Auth-User: root\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.request().field("x-auth-user"), Some("alice"));
}

#[test]
fn xa05_each_of_several_values_is_looked_at() {
    let proxy = Proxy::site(
        "route header X-Role blocked { respond 403 }\n route cookie role blocked { respond 403 }\n \
         route query role blocked { respond 403 }\n respond ok",
        Origin::nobody(),
    );
    let ask = |target: &str, fields: &str| {
        let mut client = proxy.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).response().status()
    };
    for fields in [
        "X-Role: blocked\r\n",
        "X-Role: user\r\nX-Role: blocked\r\n",
        "X-Role: blocked\r\nX-Role: user\r\n",
        "x-role: a\r\nX-ROLE: b\r\nX-Role: blocked\r\n",
        "Cookie: role=blocked\r\n",
        "Cookie: a=1; role=user; role=blocked\r\n",
        "Cookie: a=1\r\nCookie: role=blocked\r\n",
        "Cookie: a=caf\u{e9}; role=blocked\r\n",
    ] {
        assert_eq!(ask("/", fields), 403, "{fields:?}");
    }
    for target in ["/?role=blocked", "/?role=user&role=blocked", "/?a&role=%62locked", "/?%72ole=blocked"] {
        assert_eq!(ask(target, ""), 403, "{target}");
    }
    assert_eq!(ask("/?role=user", "X-Role: user\r\nCookie: role=user\r\n"), 200);
}

#[test]
fn xa05_a_comparison_looks_at_each_of_several_values() {
    let proxy = Proxy::site(
        "route {query.q} ~ union { respond 403 }\n route {header.X-Role} = blocked { respond 403 }\n \
         route {header.X-Agent} ~ \"^a, b\" { respond 403 }\n route {cookie.role} ^= block { respond 403 }\n \
         route {query.page} > 100 { respond 403 }\n route {query.least} <= 5 { respond 403 }\n \
         route {query.end} $= .bak { respond 403 }\n \
         route {query.kind} != draft and {query.kind} !~ \"^secret\" { respond ok }\n respond 403",
        Origin::nobody(),
    );
    let ask = |target: &str, fields: &str| {
        let mut client = proxy.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).response().status()
    };
    for target in [
        "/?q=union",
        "/?q=a&q=union",
        "/?q=union&q=a",
        "/?q=a&%71=%75nion",
        "/?page=999",
        "/?page=1&page=999",
        "/?page=x&page=999",
        "/?least=9&least=5",
        "/?end=a&end=x.bak",
        "/?kind=draft",
        "/?kind=draft&kind=a",
        "/?kind=a&kind=draft",
        "/?kind=a&kind=secrets",
    ] {
        assert_eq!(ask(target, ""), 403, "{target}");
    }
    for fields in [
        "X-Role: blocked\r\n",
        "X-Role: user\r\nX-Role: blocked\r\n",
        "X-Role: blocked\r\nX-Role: user\r\n",
        "X-Agent: a, b\r\n",
        // To a server they are one.
        "X-Agent: a\r\nX-Agent: b\r\n",
        "Cookie: role=user; role=blocked\r\n",
        "Cookie: role=user\r\nCookie: role=blocked\r\n",
    ] {
        assert_eq!(ask("/", fields), 403, "{fields:?}");
    }
    // What is not there is an empty text, as it ever was.
    assert_eq!(ask("/", ""), 200);
    let innocent = "X-Role: user\r\nX-Role: unblocked\r\nX-Agent: b\r\nX-Agent: a\r\nCookie: role=user; role=x\r\n";
    assert_eq!(ask("/?q=a&q=b&page=1&page=2&least=6&kind=a&kind=b", innocent), 200);
}

#[test]
fn xa09_a_field_that_cgi_takes_for_a_setting_is_dropped() {
    for name in ["Proxy", "PROXY", "proxy"] {
        for message in seen(&[(name, "http://6.6.6.6/")]) {
            assert!(!is_told(&message), "{message:?}");
        }
    }
}
