//! Threats XT: what stands before the first request, and what is believed of servers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use crate::frames::Raw;
use crate::harness::protocol::identity;
use crate::harness::{Authority, Client, Folder, Identity, Origin, PATIENCE, Protocol, Proxy, command, of};
use crate::watch::beside;

/// An authority, and a proxy with a certificate of it for `example.com`.
fn site(statements: &str) -> (Authority, Proxy) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let mut proxy = of(&format!("https://:0 {{\n bind 127.0.0.1\n tls {{$CERT}} {{$KEY}}\n {statements}\n}}"))
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start();
    proxy.kept.push(folder);
    (authority, proxy)
}

#[test]
fn xt04_an_authority_that_cannot_be_read_is_nobodys_reason_to_believe_all() {
    let folder = Folder::new();
    let cases = [
        folder.path().join("missing.pem"),
        folder.write("empty.pem", ""),
        folder.write("text.pem", "no certificate"),
        folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ];
    for ca in cases {
        let config = format!(
            ":0 {{\n    bind 127.0.0.1\n    reverse_proxy https://localhost:9 {{ tls {{ ca {} }} }}\n}}\n",
            ca.display()
        );
        let config = folder.write("Proxyfile", config);
        let output = command(&folder).arg("run").arg(config).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}: {output:?}", ca.display());
    }
}

#[test]
fn xt07_bytes_before_the_handshake_are_no_answer() {
    let authority = Authority::new();
    let folder = Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let config = authority.issue(&["localhost"]).server(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // One who sits in between puts an answer before the server's handshake.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let config = config.clone();
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                let mut session = rustls::ServerConnection::new(config).unwrap();
                while session.is_handshaking() {
                    if session.complete_io(&mut stream).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let proxy = of(":0 {\n bind 127.0.0.1\n reverse_proxy https://localhost:{$PORT} { tls { ca {$CA} } }\n}")
        .with("PORT", port)
        .with("CA", ca.display())
        .start();
    for _ in 0..3 {
        let response = proxy.get("/");
        assert_eq!(response.status(), 502);
        assert!(!String::from_utf8_lossy(&response.body).contains("evil"));
    }
}

/// A certificate that nobody vouches for but itself.
fn signed_by_itself(names: &[&str]) -> Identity {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (params, key) = (rcgen::CertificateParams::new(names).unwrap(), rcgen::KeyPair::generate().unwrap());
    Identity { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

#[test]
fn xt06_a_certificate_for_something_else_is_not_the_servers() {
    use rcgen::{ExtendedKeyUsagePurpose, SanType};
    let authority = Authority::new();
    let folder = Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let identities = [
        (
            "the address as a name",
            authority.issue_with(&[], |params| {
                params.subject_alt_names = vec![SanType::DnsName("127.0.0.1x".try_into().unwrap())];
            }),
        ),
        (
            "a mail address",
            authority.issue_with(&[], |params| {
                params.subject_alt_names = vec![SanType::Rfc822Name("localhost".try_into().unwrap())];
            }),
        ),
        (
            "a URI",
            authority.issue_with(&[], |params| {
                params.subject_alt_names = vec![SanType::URI("https://localhost".try_into().unwrap())];
            }),
        ),
        (
            "the common name alone",
            authority.issue_with(&[], |params| {
                params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
            }),
        ),
        (
            "a name of another kind",
            authority.issue_with(&[], |params| {
                // Such as users of a directory have (RFC 4556): a kind of name that is no host's.
                let kind = vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
                params.subject_alt_names = vec![SanType::OtherName((kind, "localhost".into()))];
            }),
        ),
        (
            "a name that ends in a NUL",
            authority.issue_with(&[], |params| {
                params.subject_alt_names = vec![SanType::DnsName("localhost\0.evil.example".try_into().unwrap())];
            }),
        ),
        (
            "a NUL before it",
            authority.issue_with(&[], |params| {
                params.subject_alt_names = vec![SanType::DnsName("evil.example\0localhost".try_into().unwrap())];
            }),
        ),
        ("itself alone", signed_by_itself(&["localhost"])),
        ("a longer name", authority.issue(&["localhost.evil.example"])),
        ("a wildcard above it", authority.issue(&["*"])),
        (
            "a client's",
            authority.issue_with(&["localhost"], |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
    ];
    for (what, identity) in identities {
        let origin = Origin::tls(identity.server(&[]), |_, wire| wire.ok("never"));
        let proxy = of(":0 {\n bind 127.0.0.1\n reverse_proxy https://localhost:{$PORT} { tls { ca {$CA} } }\n}")
            .with("PORT", origin.address.port())
            .with("CA", ca.display())
            .start();
        assert_eq!(proxy.get("/").status(), 502, "{what}");
        assert!(origin.requests().is_empty(), "{what}");
    }
}

#[test]
fn xt09_who_agreed_on_one_protocol_does_not_speak_another() {
    let (authority, proxy) = site("respond served");
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&["http/1.1"])).unwrap();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let (said, _) = client.pipe.drain();
    assert!(said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.1 505") || said.is_empty(), "{said:?}");
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&["h2"])).unwrap();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let (said, _) = client.pipe.drain();
    assert!(!String::from_utf8_lossy(&said).contains("served"), "{said:?}");
    // Mail and file transfer, which a browser could be made to speak.
    for (protocols, fails) in [(&["ftp"][..], true), (&["smtp", "imap"], true), (&["ftp", "http/1.1"], false)] {
        let outcome = Client::tls(proxy.address(), "example.com", authority.client(protocols));
        assert_eq!(outcome.is_err(), fails, "{protocols:?}");
    }
    for start in ["EHLO example.com\r\n", "USER anonymous\r\n", "\x16\x03\x01"] {
        let mut client = Client::tls(proxy.address(), "example.com", authority.client(&[])).unwrap();
        client.send(start).send("\r\n\r\n");
        let (said, _) = client.pipe.drain();
        assert!(!String::from_utf8_lossy(&said).contains("served"), "{start:?}");
    }
    // Plain HTTP where TLS is spoken is not answered as HTTP.
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert!(!String::from_utf8_lossy(&client.pipe.drain().0).contains("served"));
    assert!(Raw::connect(proxy.address()).next().is_none_or(|frame| frame.kind != crate::frames::HEADERS));
}

/// Shakes hands with a first flight that is cut up by `cut`, and asks for a page.
fn shake_hands_in_pieces(
    proxy: &Proxy,
    config: Arc<rustls::ClientConfig>,
    cut: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) -> String {
    let mut tcp = TcpStream::connect(proxy.address()).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut session = rustls::ClientConnection::new(config, "example.com".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut hello).unwrap();
    }
    for piece in cut(&hello) {
        tcp.write_all(&piece).unwrap();
    }
    let mut stream = rustls::StreamOwned::new(session, tcp);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn xt10_a_hello_in_pieces_is_one_hello() {
    let (authority, proxy) = site("respond served");
    // The hybrid group alone makes it longer than one packet.
    let config = authority.client(&[]);
    let by_bytes = |hello: &[u8]| hello.iter().map(|byte| vec![*byte]).collect();
    let by_records = |hello: &[u8]| {
        hello[5..].chunks(50).map(|part| [&[0x16, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat()).collect()
    };
    assert!(shake_hands_in_pieces(&proxy, config.clone(), by_bytes).ends_with("served"));
    assert!(shake_hands_in_pieces(&proxy, config, by_records).ends_with("served"));
}

#[test]
fn xt11_early_data_is_never_offered_nor_taken() {
    let (authority, proxy) = site("respond served");
    let mut config = (*authority.client(&[])).clone();
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..3 {
        let mut session = rustls::ClientConnection::new(config.clone(), "example.com".try_into().unwrap()).unwrap();
        assert!(session.early_data().is_none(), "a ticket allows early data");
        let mut tcp = TcpStream::connect(proxy.address()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut tcp).unwrap();
        }
        let mut stream = rustls::StreamOwned::new(session, tcp);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.ends_with("served"), "{answer}");
    }
}

/// A client of a site over TLS, by the library itself.
fn session(proxy: &Proxy) -> (rustls::ClientConnection, TcpStream) {
    let config = identity().1.client(&["http/1.1"]);
    let mut tcp = TcpStream::connect(proxy.address()).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let mut session = rustls::ClientConnection::new(config, "example.com".try_into().unwrap()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut tcp).unwrap();
    }
    (session, tcp)
}

/// Another key, and whether that left.
fn turn(session: &mut rustls::ClientConnection, tcp: &mut TcpStream) -> bool {
    let mut left = session.refresh_traffic_keys().is_ok();
    while left && session.wants_write() {
        left = session.write_tls(tcp).is_ok();
    }
    left
}

#[test]
fn xt13_keys_that_change_in_a_row_end_the_connection() {
    let proxy = Protocol::Http1.of(":0 {\n bind 127.0.0.1\n respond served\n}").start();
    let ask = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    for (turns, is_served) in [(32, true), (33, false)] {
        let (mut session, mut tcp) = session(&proxy);
        for _ in 0..turns {
            assert!(turn(&mut session, &mut tcp));
        }
        let mut stream = rustls::StreamOwned::new(session, tcp);
        let _ = stream.write_all(ask);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert_eq!(answer.ends_with("served"), is_served, "{turns}: {answer:?}");
    }
    beside(&proxy, 4 * 1024, || {
        for _ in 0..20 {
            let (mut session, mut tcp) = session(&proxy);
            let sent = (0..20_000).take_while(|_| turn(&mut session, &mut tcp)).count();
            assert!(sent < 20_000, "all of them are taken");
        }
    });
}

#[test]
fn xt13_keys_that_change_with_each_byte_cost_little() {
    let origin = Origin::saying("ok");
    let proxy = Protocol::Http1.to(&origin);
    beside(&proxy, 4 * 1024, || {
        let (mut session, mut tcp) = session(&proxy);
        session.writer().write_all(b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5000\r\n\r\n").unwrap();
        for _ in 0..5_000 {
            session.writer().write_all(b"x").unwrap();
            assert!(turn(&mut session, &mut tcp));
        }
        let mut answer = vec![0; 12];
        rustls::StreamOwned::new(session, tcp).read_exact(&mut answer).unwrap();
        assert_eq!(answer, b"HTTP/1.1 200");
    });
}
