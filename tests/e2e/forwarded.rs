//! Requirements H: what a server is told of the client, and what a client cannot make it believe.

use crate::harness::{Ask, Message, Origin, Protocol, each, of};

/// Sends these fields through a proxy with this configuration before its site, and gives what the origin saw.
fn seen(over: Protocol, global: &str, options: &str, fields: &str) -> Message {
    let origin = Origin::saying("ok");
    let proxy = over
        .of(&format!("{global}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}} {options}\n}}"))
        .with("ORIGIN", &origin)
        .start();
    assert_eq!(proxy.request(Ask::get("/").host("example.com:8080").fields(fields)).status(), 200);
    let mut request = origin.request();
    // What the proxy has of its own.
    request.fields.push(("test-port".to_owned(), proxy.address().port().to_string()));
    request
}

const TRUSTING: &str = "global { trusted_proxies 127.0.0.0/8 10.0.0.0/8 }";

#[test]
fn h01_to_h05_a_server_is_told_who_asks() {
    each(|over| {
        let request = seen(over, "", "", "");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.field("x-forwarded-proto"), Some(over.scheme()));
        assert_eq!(request.field("x-forwarded-host"), Some("example.com:8080"));
        assert_eq!(request.field("x-forwarded-port"), request.field("test-port"));
        assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
        assert_eq!(request.field("forwarded"), None, "only where it is asked for");
    });
}

#[test]
fn h01_a_trusted_proxy_is_appended_to() {
    each(|over| {
        let request = seen(
            over,
            TRUSTING,
            "",
            "X-Forwarded-For: 203.0.113.9, 10.0.0.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.example\r\n",
        );
        assert_eq!(request.all("x-forwarded-for").join(", "), "203.0.113.9, 10.0.0.7, 127.0.0.1");
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        assert_eq!(request.field("x-forwarded-host"), Some("public.example"));
        assert_eq!(request.field("x-real-ip"), Some("203.0.113.9"), "the walk goes from right to left");
    });
}

#[test]
fn h06_an_id_accompanies_a_request_everywhere() {
    each(|over| {
        let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: origin\r\n\r\n");
        let proxy = over.to(&origin);
        let mut speaker = proxy.speaker();
        assert_eq!(
            speaker.ask(Ask::get("/").field("X-Request-Id", "my-id.1_2")).field("x-request-id"),
            Some("my-id.1_2")
        );
        assert_eq!(origin.request().field("x-request-id"), Some("my-id.1_2"));
        assert_eq!(proxy.logged("my-id.1_2")["status"], 200);
        for bad in ["a b", "<script>", &"x".repeat(129), ""] {
            let response = speaker.ask(Ask::get("/").field("X-Request-Id", bad));
            let id = response.field("x-request-id").unwrap().to_owned();
            assert!(id != bad && id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            assert_eq!(origin.requests().last().unwrap().field("x-request-id"), Some(&*id));
        }
    });
}

#[test]
fn h07_forwarded_is_written_and_read() {
    each(|over| {
        let request = seen(over, "", "{ forwarded on }", "Forwarded: for=6.6.6.6\r\n");
        assert_eq!(
            request.field("forwarded"),
            Some(&*format!("for=127.0.0.1;host=\"example.com:8080\";proto={}", over.scheme()))
        );
        let request = seen(over, TRUSTING, "{ forwarded on }", "Forwarded: for=\"[2001:db8::1]:47\";proto=https\r\n");
        assert_eq!(request.field("x-real-ip"), Some("2001:db8::1"));
        let all = request.all("forwarded").join(", ");
        assert!(all.starts_with("for=\"[2001:db8::1]:47\";proto=https, for=127.0.0.1"), "{all}");
    });
}

#[test]
fn h08_what_a_stranger_says_of_itself_never_arrives() {
    each(|over| {
        let request = seen(
            over,
            "",
            "",
            "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 6.6.6.6\r\nX-Forwarded-Proto: evil\r\nX-Forwarded-Host: evil\r\n\
         X-Forwarded-Port: 666\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
         X.Forwarded.For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Client-Cert: evil\r\nX-Original-URI: /evil\r\n\
         X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Original-Method: evil\r\nProxy: evil\r\n",
        );
        for (name, value) in &request.fields {
            assert!(!value.contains("6.6.6.6") && !value.contains("evil") && value != "666", "{name}: {value}");
        }
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    });
}

#[test]
fn h08_connection_cannot_take_away_what_the_proxy_says() {
    for over in [Protocol::Plain, Protocol::Http1] {
        let request = seen(over, "", "", "Connection: X-Forwarded-For, X-Real-IP, X-Request-Id, Host, close\r\n");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
        assert!(request.field("x-request-id").is_some() && request.field("host").is_some());
    }
}

#[test]
fn h09_hearsay_ends_the_walk_to_the_client() {
    each(|over| {
        let client = |forwarded: &str| {
            seen(over, TRUSTING, "", &format!("X-Forwarded-For: {forwarded}\r\n"))
                .field("x-real-ip")
                .unwrap()
                .to_owned()
        };
        assert_eq!(client("6.6.6.6, 203.0.113.9, 10.9.9.9"), "203.0.113.9");
        assert_eq!(client("6.6.6.6, garbage"), "127.0.0.1");
        assert_eq!(client("10.1.1.1, 10.2.2.2"), "10.1.1.1");
    });
}

#[test]
fn h09_a_unix_socket_is_trusted_only_where_it_is_said() {
    use std::io::{Read as _, Write as _};
    for (trust, expected) in [("", "0.0.0.0"), ("global { trusted_proxies unix }", "203.0.113.9")] {
        let origin = Origin::saying("ok");
        let folder = crate::harness::Folder::new();
        let socket = folder.path().join("rp.sock");
        let _proxy = of(&format!("{trust}\nunix/{{$SOCKET}} {{ reverse_proxy {{$ORIGIN}} }}"))
            .with("ORIGIN", &origin)
            .with("SOCKET", socket.display())
            .start();
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(origin.request().field("x-real-ip"), Some(expected));
    }
}

#[test]
fn h10_the_host_is_the_clients_unless_said_otherwise() {
    each(|over| {
        let request = seen(over, "", "", "");
        assert_eq!(request.field("host"), Some("example.com:8080"));
        let origin = Origin::saying("ok");
        let proxy = over.site("reverse_proxy {$ORIGIN} { host server }", &origin);
        proxy.get("/");
        assert_eq!(origin.request().field("host"), Some(&*origin.to_string()));
        assert_eq!(origin.request().field("x-forwarded-host"), Some("example.com"));
    });
}

#[test]
fn h11_an_app_that_insists_on_https_is_satisfied() {
    let origin = Origin::new(|request, wire| {
        if request.field("x-forwarded-proto") == Some("https") {
            wire.ok("secure");
        } else {
            wire.say("HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let authority = crate::harness::Authority::new();
    let folder = crate::harness::Folder::new();
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let proxy = of("http://example.com:0 { bind 127.0.0.1; reverse_proxy {$ORIGIN} }
         https://example.com:0 { bind 127.0.0.2; tls {$CERT} {$KEY}; reverse_proxy {$ORIGIN} }")
    .with("ORIGIN", &origin)
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .doors(2)
    .start();
    let door =
        |last: u8| *proxy.doors.iter().find(|door| door.ip() == std::net::Ipv4Addr::new(127, 0, 0, last)).unwrap();
    let plain = crate::harness::get(door(1), "example.com", "/");
    assert_eq!((plain.status(), plain.field("location")), (301, Some("https://example.com/")));
    let mut client = crate::harness::Client::tls(door(2), "example.com", authority.client(&[])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "secure");
}
