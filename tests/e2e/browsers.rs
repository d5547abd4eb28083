//! Requirements M10, S09 and T07, threat XA11: what browsers are told, between real peers.

use crate::harness::{Ask, Authority, Folder, H2, Message, Origin, Speaker, each, of, run};

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evilexample.com";

fn ask(speaker: &mut Speaker, line: &str, fields: &str) -> Message {
    let (method, target) = line.split_once(' ').unwrap();
    speaker.ask(Ask::of(method, target).fields(fields))
}

/// `Access-Control-Allow-Origin`, once at most.
fn allowed(response: &Message) -> Option<String> {
    let all = response.all("access-control-allow-origin");
    assert!(all.len() <= 1, "{all:?}");
    all.first().map(|&origin| origin.to_owned())
}

#[test]
fn m10_what_the_server_says_of_origins_is_replaced() {
    each(|over| {
        let origin = Origin::answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVary: Accept\r\nAccess-Control-Allow-Origin: *\r\n\
         Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: PUT\r\n\r\nok",
        );
        let config = ":0 {\n bind 127.0.0.1\n cors { origins https://*.example.com; expose X-Total }\n reverse_proxy {$ORIGIN}\n}";
        let proxy = over.of(config).with("ORIGIN", &origin).start();
        let mut speaker = proxy.speaker();
        let response = ask(&mut speaker, "GET /", &format!("Origin: {APP}\r\n"));
        assert_eq!((response.text(), allowed(&response).as_deref()), ("ok", Some(APP)));
        assert_eq!(response.field("access-control-expose-headers"), Some("x-total"));
        for fields in [String::new(), format!("Origin: {EVIL}\r\n"), format!("Origin: {APP}\r\nOrigin: {APP}\r\n")] {
            let response = ask(&mut speaker, "GET /", &fields);
            assert_eq!((response.text(), allowed(&response)), ("ok", None), "{fields}");
        }
        let response = ask(&mut speaker, "GET /", "");
        assert_eq!(response.field("vary"), Some("Accept, Origin"));
        let names = response.names();
        assert!(!names.iter().any(|name| name.starts_with("access-control-")), "{names:?}");
    });
}

#[test]
fn m10_preflights_do_not_reach_the_server_and_errors_can_be_read() {
    each(|over| {
        let nobody = Origin::nobody();
        // The password is no matter: a browser asks without any.
        let hash = "$2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS";
        let config = format!(
            ":0 {{\n bind 127.0.0.1\n cors {{ origins {APP}; methods GET PUT; credentials on }}\n \
         route /in {{ basic_auth {{ user a {hash} }}; respond in }}\n reverse_proxy {{$ORIGIN}}\n}}"
        );
        let proxy = over.of(&config).with("ORIGIN", nobody).start();
        let mut speaker = proxy.speaker();
        let fields = format!("Origin: {APP}\r\nAccess-Control-Request-Method: PUT\r\n");
        let preflight = ask(&mut speaker, "OPTIONS /in", &fields);
        assert_eq!((preflight.status(), allowed(&preflight).as_deref()), (204, Some(APP)));
        assert_eq!(preflight.field("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(preflight.field("access-control-allow-credentials"), Some("true"));
        let refused = ask(&mut speaker, "OPTIONS /in", &fields.replace(APP, EVIL));
        assert_eq!((refused.status(), allowed(&refused)), (204, None));
        assert_eq!(refused.field("access-control-allow-methods"), None);
        for (target, status) in [("/in", 401), ("/elsewhere", 502)] {
            let error = ask(&mut speaker, &format!("GET {target}"), &format!("Origin: {APP}\r\n"));
            assert_eq!((error.status(), allowed(&error).as_deref()), (status, Some(APP)));
        }
    });
}

#[test]
fn s09_t07_every_answer_over_tls_has_them() {
    let (authority, folder, origin) = (
        Authority::new(),
        Folder::new(),
        Origin::answering(
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\nStrict-Transport-Security: max-age=1\r\n\r\n",
        ),
    );
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let config = "https://:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n security_headers\n \
         route /app { hsts 730d subdomains; reverse_proxy {$ORIGIN} }\n route /gone { respond 410 }\n}";
    let proxy =
        of(config).with("CERT", certificate.display()).with("KEY", key.display()).with("ORIGIN", &origin).start();
    run(async {
        let mut client = H2::tls(proxy.address(), "example.com", authority.client(&["h2"])).await;
        for (target, status) in [("/gone", 410), ("/nowhere", 404)] {
            let answer = client.get("example.com", target).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.field("strict-transport-security"), Some("max-age=31536000"));
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.field("x-frame-options"), Some("SAMEORIGIN"));
        }
        let answer = client.get("example.com", "/app").await;
        assert_eq!(answer.field("x-frame-options"), Some("DENY"), "the application knows better");
        assert_eq!(answer.field("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));
    });
}
