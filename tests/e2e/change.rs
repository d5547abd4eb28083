//! Requirements M, S07–S09 and N07: what a site changes on the way in and on the way out, as the other side sees it.

use crate::harness::{Ask, Message, Origin, Protocol, each};

/// The target that the origin is asked for, or the status where it is not asked.
fn forwarded(over: Protocol, statements: &str, target: &str) -> String {
    let origin = Origin::saying("ok");
    let proxy = over.site(&format!("{statements}\n reverse_proxy {{$ORIGIN}}"), &origin);
    let response = proxy.get(target);
    match (response.status(), origin.requests().first()) {
        (200, Some(request)) => request.target().to_owned(),
        (status, None) => status.to_string(),
        (status, Some(request)) => panic!("{status} for {}", request.start),
    }
}

fn answered(over: Protocol, statements: &str, answer: &'static str) -> Message {
    let origin = Origin::answering(answer);
    over.site(statements, &origin).get("/api/x")
}

#[test]
fn m01_a_rewrite_keeps_query_and_encoding() {
    each(|over| {
        let rewrite = "rewrite `/old-api/(.*)` `/api/v2/$1`";
        assert_eq!(forwarded(over, rewrite, "/old-api/caf%C3%A9/a%2Fb?x=%20y&z"), "/api/v2/caf%C3%A9/a%2Fb?x=%20y&z");
        assert_eq!(forwarded(over, rewrite, "/other"), "/other");
        assert_eq!(forwarded(over, "rewrite {path}?{query}&from=rp", "/a?b=c"), "/a?b=c&from=rp");
        assert_eq!(forwarded(over, "rewrite /only", "/a?b=c"), "/only?b=c");
    });
}

#[test]
fn m02_m03_prefixes_are_stripped_and_added() {
    each(|over| {
        assert_eq!(forwarded(over, "strip_prefix /service-a", "/service-a/users?x=1"), "/users?x=1");
        assert_eq!(forwarded(over, "strip_prefix /service-a", "/service-a"), "/");
        assert_eq!(forwarded(over, "strip_prefix /service-a", "/service-ab"), "/service-ab");
        assert_eq!(forwarded(over, "add_prefix /api/v1", "/users"), "/api/v1/users");
        assert_eq!(forwarded(over, "strip_prefix /a; add_prefix /b", "/a/x"), "/b/x");
    });
}

#[test]
fn m04_without_a_statement_the_target_is_forwarded_whole() {
    each(|over| {
        assert_eq!(forwarded(over, "route /api/* { reverse_proxy {$ORIGIN} }", "/api/users/?x"), "/api/users/?x");
    });
}

#[test]
fn m05_redirects_and_cookies_come_back_in_the_clients_terms() {
    each(|over| {
        let origin = Origin::new(|request, wire| {
            let host = wire.pipe.tcp().local_addr().unwrap();
            let location = match request.target() {
                "/absolute" => format!("http://{host}/login?next=/"),
                "/foreign" => "https://other.example/login".to_owned(),
                "/relative" => "login".to_owned(),
                _ => "/login".to_owned(),
            };
            wire.say(format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nSet-Cookie: a=b; Path=/app; Secure\r\nContent-Length: 0\r\n\r\n"
        ));
        });
        let proxy = over.site("strip_prefix /shop\n reverse_proxy {$ORIGIN}", &origin);
        let location = |target: &str| proxy.get(target).field("location").unwrap().to_owned();
        assert_eq!(location("/shop/absolute"), format!("{}://example.com/shop/login?next=/", over.scheme()));
        assert_eq!(location("/shop/foreign"), "https://other.example/login");
        assert_eq!(location("/shop/relative"), "login");
        assert_eq!(location("/shop/rooted"), "/shop/login");
        assert_eq!(location("/rooted"), "/login", "nothing was stripped");
        assert_eq!(proxy.get("/shop/x").field("set-cookie"), Some("a=b; Path=/shop/app; Secure"));
    });
}

#[test]
fn m06_the_fields_of_a_request_change() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
        "header request { set X-Tenant {host}; add X-Seen rp; remove X-Internal-* Cookie; set_if_absent Accept */* }\n \
         reverse_proxy {$ORIGIN}",
        &origin,
    );
        let asked = Ask::get("/").fields("X-Tenant: evil\r\nX-Seen: other\r\nX-Internal-Id: 1\r\n");
        proxy.request(asked.fields("x-internal-role: admin\r\nCookie: a=b\r\nAccept: text/html\r\n"));
        let request = origin.request();
        assert_eq!(request.all("x-tenant"), ["example.com"]);
        assert_eq!(request.all("x-seen"), ["other", "rp"]);
        assert_eq!(request.all("accept"), ["text/html"]);
        assert!(request.names().iter().all(|name| !name.starts_with("x-internal-") && name != "cookie"), "{request:?}");
    });
}

#[test]
fn m07_m08_s08_the_fields_of_an_answer_change() {
    each(|over| {
        let response = answered(
            over,
            "header { set X-Served-By {upstream.address}; remove Server X-Powered-By; add Vary Origin }\n \
         header set X-Status {status}; header set X-Machine {hostname}\n \
         header replace X-Link `http://([a-z]+)` `https://$1`\n \
         reverse_proxy {$ORIGIN}",
            "HTTP/1.1 200 OK\r\nServer: Origin/1.2.3\r\nX-Powered-By: PHP/5\r\nVary: Accept\r\n\
         X-Link: <http://a>, <http://b>\r\nContent-Length: 2\r\n\r\nok",
        );
        assert_eq!((response.status(), response.text()), (200, "ok"));
        assert!(response.field("x-served-by").unwrap().starts_with("127.0.0.1:"));
        assert_eq!((response.field("server"), response.field("x-powered-by")), (None, None));
        assert_eq!(response.all("vary"), ["Accept", "Origin"]);
        assert_eq!(response.field("x-status"), Some("200"));
        let machine = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
        assert_eq!(response.field("x-machine"), Some(String::from_utf8(machine).unwrap().trim()));
        assert_eq!(response.field("x-link"), Some("<https://a>, <https://b>"));
    });
}

#[test]
fn m09_the_application_or_the_site_owns_a_field() {
    each(|over| {
        let with = |statement: &str| {
            let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n";
            let response = answered(over, &format!("{statement}\n reverse_proxy {{$ORIGIN}}"), answer);
            response.all("cache-control").join(" | ")
        };
        assert_eq!(with("header set Cache-Control no-store"), "no-store");
        assert_eq!(with("header set_if_absent Cache-Control no-store"), "max-age=60");
        assert_eq!(with("header add Cache-Control no-transform"), "max-age=60 | no-transform");
    });
}

#[test]
fn s09_security_fields_stand_on_every_answer_and_add_up() {
    each(|over| {
        let proxy = over.site(
            "header { set X-Frame-Options DENY; set X-Content-Type-Options nosniff }\n \
         route /api/* { header set Referrer-Policy no-referrer; respond 200 ok }\n \
         route /inner/* { header set X-Frame-Options SAMEORIGIN; respond 200 ok }\n \
         route /bad { reverse_proxy {$ORIGIN} }\n \
         route /moved { redirect /api/ }\n \
         handle_errors 502 { respond \"sorry\" }",
            Origin::nobody(),
        );
        for (target, status) in [("/api/x", 200), ("/bad", 502), ("/moved", 302), ("/none", 404)] {
            let response = proxy.get(target);
            assert_eq!(response.status(), status, "{target}");
            assert_eq!(response.field("x-frame-options"), Some("DENY"), "{target}");
            assert_eq!(response.field("x-content-type-options"), Some("nosniff"), "{target}");
            assert_eq!(response.field("referrer-policy").is_some(), target == "/api/x", "{target}");
        }
        assert_eq!(
            proxy.get("/inner/x").all("x-frame-options"),
            ["SAMEORIGIN"],
            "the statement further in comes later"
        );
    });
}

#[test]
fn xp02_no_rewrite_climbs_or_leaves_the_root() {
    each(|over| {
        assert_eq!(forwarded(over, "strip_prefix /api", "/api//evil.example/x"), "/evil.example/x");
        assert_eq!(forwarded(over, "strip_prefix /api", "/api/%2e%2e/foo"), "/foo");
        assert_eq!(forwarded(over, "strip_prefix /api", "/api../foo"), "/api../foo");
        assert_eq!(
            forwarded(over, "rewrite /files/{query.f}", "/x?f=../../etc/passwd"),
            "/files/..%2F..%2Fetc%2Fpasswd?f=../../etc/passwd"
        );
        assert_eq!(forwarded(over, "rewrite /files/{query.f}/x", "/x?f=.."), "400");
        assert_eq!(forwarded(over, "rewrite `/r/(.*)` `$1`", "/r/evil.example"), "400");
    });
}

#[test]
fn xp03_what_a_request_brings_stays_where_it_is_put() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
            "header request set X-From {query.b}\n header set X-Back {query.b}\n reverse_proxy {$ORIGIN}",
            &origin,
        );
        let response = proxy.get("/?b=1%0d%0aX-Evil:%201%0d%0a{host}$1");
        let request = origin.request();
        assert_eq!(request.field("x-from"), Some("1  X-Evil: 1  {host}$1"));
        assert_eq!(response.field("x-back"), Some("1  X-Evil: 1  {host}$1"));
        assert_eq!((request.field("x-evil"), response.field("x-evil")), (None, None));
    });
}

const LIMITED: &str =
    "max_body 1KiB\n route /upload/* { max_body 1MiB; reverse_proxy {$ORIGIN} }\n reverse_proxy {$ORIGIN}";

#[test]
fn s07_a_long_body_is_refused_before_it_is_read() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(LIMITED, &origin);
        let post = |length: usize| Ask::of("POST", "/").length(length);
        let response = proxy.speaker().begin(post(1025)).answer().unwrap();
        assert_eq!(response.status(), 413);
        let expecting = proxy.speaker().begin(post(1025).field("Expect", "100-continue")).answer().unwrap();
        assert_eq!((expecting.status(), expecting.interim.len()), (413, 0));
        assert_eq!(origin.requests().len(), 0);
        assert_eq!(proxy.logged_for(&response)["error"], "body_too_large");
        let fits = proxy.request(Ask::of("POST", "/").body("x".repeat(1024)));
        assert_eq!(fits.status(), 200);
        assert_eq!(origin.request().body.len(), 1024);
    });
}

#[test]
fn s07_a_body_that_does_not_say_its_length_is_cut_off() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(LIMITED, &origin);
        let mut speaker = proxy.speaker();
        let mut stream = speaker.begin(Ask::of("POST", "/").unsized_body(""));
        stream.say(&[b'x'; 512]).say(&[b'x'; 513]);
        assert_eq!(stream.answer().unwrap().status(), 413);
        // The origin never saw an end of it, so it can't have taken a part for the whole.
        assert!(!origin.all_bytes().ends_with(b"0\r\n\r\n"));
        let fits = proxy.request(Ask::of("POST", "/").unsized_body("x".repeat(1024)));
        assert_eq!(fits.status(), 200);
    });
}

#[test]
fn n07_a_route_may_take_more_than_its_site() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(LIMITED, &origin);
        let upload = |length: usize| proxy.request(Ask::of("POST", "/upload/x").body("x".repeat(length))).status();
        assert_eq!(upload(100_000), 200);
        assert_eq!(origin.request().body.len(), 100_000);
        assert_eq!(upload((1 << 20) + 1), 413);
    });
}
