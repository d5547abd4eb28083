//! Servers that are told by the PROXY protocol who the client is.

use crate::harness::{Ask, Folder, Origin, Program, Protocol, Proxy, door, each, of};

/// Answers with the header that its connection began with, then with requests as they come.
fn origin(fixed: usize) -> Origin {
    Origin::raw(move |wire| {
        let header = if fixed > 0 { wire.exactly(fixed) } else { wire.until(b"\r\n") };
        let Some(header) = header else { return };
        while wire.request().is_some() {
            wire.ok(&header.escape_ascii().to_string());
        }
    })
}

fn proxy(over: Protocol, version: &str, origin: &Origin) -> Proxy {
    over.site(&format!("reverse_proxy {{$ORIGIN}} {{ proxy_protocol {version} }}"), origin)
}

#[test]
fn h09_servers_are_told_by_a_line() {
    each(|over| {
        let origin = origin(0);
        let proxy = proxy(over, "v1", &origin);
        let mut speaker = proxy.speaker();
        for request in 1..=3 {
            let said = speaker.get("/").text().to_owned();
            let port = proxy.address().port();
            let ends = said.strip_prefix("PROXY TCP4 127.0.0.1 127.0.0.1 ").unwrap();
            assert!(ends.ends_with(&format!(" {port}\\r\\n")), "{said}");
            assert_eq!(origin.connections(), request, "what was said of one client is not said of the next");
        }
        // Who the client is, is known from the one that is trusted.
        let trusted = over
            .of("global { trusted_proxies 127.0.0.1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN} { proxy_protocol v1 }\n}")
            .with("ORIGIN", &origin)
            .start();
        let said = trusted.request(Ask::get("/").field("X-Forwarded-For", "203.0.113.9")).text().to_owned();
        assert_eq!(said, format!("PROXY TCP4 203.0.113.9 127.0.0.1 0 {}\\r\\n", trusted.address().port()));
    });
}

#[test]
fn h09_servers_are_told_in_binary() {
    each(|over| {
        let origin = origin(28);
        let proxy = proxy(over, "v2", &origin);
        let said = proxy.get("/").text().to_owned();
        let fixed = r"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01";
        assert!(said.starts_with(fixed), "{said}");
    });
}

#[test]
fn h09_nginx_believes_it() {
    let door = door();
    let told = ["addr", "port", "server_addr", "server_port"].map(|what| format!("$proxy_protocol_{what}")).join(" ");
    let server = format!("server {{ listen {door} proxy_protocol; return 200 \"{told}\"; }}");
    let _nginx = Program::nginx(Folder::new(), &[door], &server);
    for version in ["v1", "v2"] {
        let proxy = of(&format!(
            "global {{ proxy_protocol 127.0.0.0/8 }}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}} {{ proxy_protocol {version} }}\n}}"
        ))
        .with("ORIGIN", door)
        .start();
        let mut client = proxy.client();
        client.send("PROXY TCP6 2001:db8::9 2001:db8::1 4000 443\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert_eq!(client.response().text(), "2001:db8::9 4000 2001:db8::1 443", "{version}");
    }
}
