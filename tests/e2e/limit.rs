//! Requirement S14: how large a request may be, by the route that it takes.

use crate::harness::{Ask, Folder, Origin, Protocol, command, each, each_of};

const CONFIG: &str = "global { limit uri 200B }\n:0 {\n bind 127.0.0.1\n limit fields 10\n route /api/* { limit uri 30B; limit header 150B; limit fields 5; max_body 10B; reverse_proxy {$ORIGIN} }\n \
                      route /upload/* { reverse_proxy {$ORIGIN} }\n reverse_proxy {$ORIGIN}\n handle_errors 431 { header set X-Why fields; respond 431 \"fewer fields\" }\n}";

/// So many fields of three bytes.
fn fields(count: u8) -> String {
    (0..count).map(|number| format!("x{}: 1\r\n", char::from(b'a' + number))).collect()
}

#[test]
fn s14_n07_a_route_may_allow_less_of_a_request() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.of(CONFIG).with("ORIGIN", &origin).start();
        // `Host` is a field of HTTP/1 alone: over the others one of its size stands in for it.
        let ask = |ask: Ask| proxy.request(if over.is_http1() { ask } else { ask.field("x-host1", "12345678") });
        let uri =
            |path: &str, length: usize| ask(Ask::get(&format!("{path}{}", "a".repeat(length - path.len())))).status();
        assert_eq!(
            [uri("/api/", 30), uri("/api/", 31), uri("/", 31), uri("/", 200), uri("/", 201)],
            [200, 414, 200, 200, 414]
        );
        // Beside these are `Host` and one more.
        let many = |path: &str, count| ask(Ask::get(path).field("X-Other", "1").fields(&fields(count)));
        assert_eq!([3, 4].map(|count| many("/api/", count).status()), [200, 431]);
        assert_eq!([4, 8, 9].map(|count| many("/", count).status()), [200, 200, 431]);
        let refused = many("/api/", 4);
        assert_eq!((refused.field("x-why"), refused.text()), (Some("fields"), "fewer fields"));
        assert_eq!(proxy.logged_for(&refused)["error"], "headers_too_large");
        // 15 bytes of `Host`.
        let long = |path: &str, length: usize| ask(Ask::get(path).field("X", &"v".repeat(length))).status();
        assert_eq!([long("/api/", 134), long("/api/", 135), long("/", 135)], [200, 431, 200]);
        let body = |path: &str| ask(Ask::of("POST", path).body("01234567890")).status();
        assert_eq!([body("/api/"), body("/upload/")], [413, 200]);
        let passed = origin.requests().len();
        assert_eq!(passed, 9, "no server sees what is refused");
    });
}

#[test]
fn s14_limits_of_a_route_hold_for_each_crumb_of_a_cookie() {
    each_of(&[Protocol::PlainHttp2, Protocol::Http2, Protocol::Http3], |over| {
        let origin = Origin::saying("ok");
        let proxy = over.of(CONFIG).with("ORIGIN", &origin).start();
        let mut speaker = proxy.speaker();
        for (path, crumbs, status) in [("/api/", 5, 200), ("/api/", 6, 431), ("/", 10, 200), ("/", 11, 431)] {
            let asked = (0..crumbs).fold(Ask::get(path), |ask, crumb| ask.field("cookie", &format!("c={crumb}")));
            assert_eq!(speaker.ask(asked).status(), status, "{path}: {crumbs}");
        }
        assert_eq!(speaker.get(&format!("/api/{}", "a".repeat(26))).status(), 414);
    });
}

#[test]
fn s14_explain_says_which_limit_refuses() {
    let folder = Folder::new();
    folder.write(
        "Proxyfile",
        "http://example.com {\n limit uri 100B\n route /api/* { limit uri 30B; respond ok }\n respond ok\n}",
    );
    let target = format!("http://example.com/api/{}", "a".repeat(26));
    let output = command(&folder).args(["explain", "GET", &target]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let mut from = said.lines().skip_while(|line| !line.contains("✗ limit uri 30B"));
    assert!(from.nth(1).is_some_and(|line| line.contains("414")), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
