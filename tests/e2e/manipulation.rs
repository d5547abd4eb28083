//! Requirements M05 to M09: what is changed on the way, and what is not.

use crate::harness::{Ask, Message, Origin, Protocol, each};

/// What becomes of an answer with these fields.
fn answered(over: Protocol, statements: &str, fields: &'static str) -> (Message, String) {
    let origin = Origin::new(move |_, wire| {
        let own = wire.pipe.tcp().local_addr().unwrap();
        let fields = fields.replace("OWN", &own.to_string());
        wire.say(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{fields}\r\n"));
    });
    let proxy = over.site(statements, &origin);
    (proxy.get("/"), origin.to_string())
}

#[test]
fn m05_a_redirect_to_the_server_itself_becomes_one_to_the_site() {
    each(|over| {
        let scheme = over.scheme();
        let located = |location: &'static str| {
            let (response, _) = answered(over, "reverse_proxy {$ORIGIN}", location);
            response.field("location").unwrap().to_owned()
        };
        assert_eq!(located("Location: http://OWN/x?y=z\r\n"), format!("{scheme}://example.com/x?y=z"));
        assert_eq!(located("Location: https://OWN\r\n"), format!("{scheme}://example.com"));
        assert_eq!(located("Location: /relative?x\r\n"), "/relative?x");
        assert_eq!(located("Location: http://elsewhere.example/x\r\n"), "http://elsewhere.example/x");
        let (response, origin) = answered(over, "reverse_proxy {$ORIGIN}", "Location: http://OWN.evil.example/\r\n");
        assert_eq!(response.field("location"), Some(&*format!("http://{origin}.evil.example/")), "another host");
    });
}

#[test]
fn m05_cookies_of_the_server_become_cookies_of_the_site() {
    each(|over| {
        let (response, _) = answered(
            over,
            "reverse_proxy {$ORIGIN}",
            "Set-Cookie: a=1; Domain=127.0.0.1; Path=/; HttpOnly\r\nSet-Cookie: b=2; Domain=example.com\r\nSet-Cookie: c=3\r\n",
        );
        assert_eq!(response.all("set-cookie"), ["a=1; Path=/; HttpOnly", "b=2; Domain=example.com", "c=3"]);
    });
}

#[test]
fn m07_fields_are_added_to_answers() {
    each(|over| {
        let (response, _) = answered(
            over,
            "header { set X-Served-By proxy; add X-Served-By {host}; set X-Time {request_id} }\n reverse_proxy {$ORIGIN}",
            "X-Served-By: origin\r\n",
        );
        assert_eq!(response.all("x-served-by"), ["proxy", "example.com"]);
        assert_eq!(response.field("x-time"), response.field("x-request-id"));
    });
}

#[test]
fn m08_fields_are_removed_from_answers() {
    each(|over| {
        let (response, _) = answered(
            over,
            "header remove Server X-Powered-By X-Internal-*\n reverse_proxy {$ORIGIN}",
            "Server: apache\r\nX-Powered-By: php\r\nX-Internal-Id: 1\r\nX-Internal-Host: h\r\nX-Public: 1\r\n",
        );
        for name in ["server", "x-powered-by", "x-internal-id", "x-internal-host"] {
            assert_eq!(response.field(name), None, "{name}");
        }
        assert_eq!(response.field("x-public"), Some("1"));
    });
}

#[test]
fn m09_who_owns_a_field_is_said() {
    each(|over| {
        let statements =
            "header { set A rp; set_if_absent B rp; set_if_absent C rp; add D rp }\n reverse_proxy {$ORIGIN}";
        let (response, _) = answered(over, statements, "A: app\r\nB: app\r\nD: app\r\n");
        assert_eq!(response.all("a"), ["rp"]);
        assert_eq!(response.all("b"), ["app"]);
        assert_eq!(response.all("c"), ["rp"]);
        assert_eq!(response.all("d"), ["app", "rp"]);
    });
}

#[test]
fn m06_fields_of_requests_are_changed() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
        "header request { set X-Tenant {host}; remove X-Secret; set_if_absent X-Kind none }\n reverse_proxy {$ORIGIN}",
        &origin,
    );
        let asked = Ask::get("/").field("X-Tenant", "evil").field("X-Secret", "1").field("X-Kind", "mine");
        assert_eq!(proxy.request(asked).status(), 200);
        let request = origin.request();
        assert_eq!(request.field("x-tenant"), Some("example.com"));
        assert_eq!(request.field("x-secret"), None);
        assert_eq!(request.field("x-kind"), Some("mine"));
    });
}

#[test]
fn s09_fields_stand_on_errors_too() {
    each(|over| {
        let proxy = over.site(
            "header set X-Content-Type-Options nosniff\n route /no { respond 403 }\n reverse_proxy {$ORIGIN}",
            Origin::nobody(),
        );
        for (target, status) in [("/", 502), ("/no", 403)] {
            let response = proxy.get(target);
            assert_eq!((response.status(), response.field("x-content-type-options")), (status, Some("nosniff")));
        }
    });
}

#[test]
fn xp03_what_a_request_brings_in_is_put_in_once() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
            "header request set X-Copy {query.a}\n header set X-Back {query.a}\n reverse_proxy {$ORIGIN}",
            &origin,
        );
        for (query, expected) in [("%7Bhost%7D", "{host}"), ("$1", "$1"), ("%7Bheader.Cookie%7D", "{header.Cookie}")] {
            let response = proxy.get(&format!("/?a={query}"));
            assert_eq!(response.field("x-back"), Some(expected));
            assert_eq!(origin.requests().last().unwrap().field("x-copy"), Some(expected));
        }
        let response = proxy.get("/?a=x%0d%0aSet-Cookie:%20evil=1");
        assert_eq!(response.field("set-cookie"), None, "{response:?}");
    });
}
