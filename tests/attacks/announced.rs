//! Threat XA10: who may say by the PROXY protocol who the client is, and what is made of a header that is none.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Authority, Client, Folder, H2, Origin, Program, Proxy, door, get, of, run};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// 203.0.113.9:4000 came to 198.51.100.2:443.
fn v2(extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + extensions.len()).unwrap().to_be_bytes();
    [
        SIGNATURE,
        &[0x21, 0x11, length[0], length[1]],
        &[203, 0, 113, 9, 198, 51, 100, 2, 0x0f, 0xa0, 1, 0xbb],
        extensions,
    ]
    .concat()
}

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.2 4000 443\r\n";

fn proxy(origin: &Origin) -> Proxy {
    of("global { proxy_protocol 127.0.0.1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", origin)
        .start()
}

#[test]
fn xa10_who_may_say_it_is_believed() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    let mut v6 = [SIGNATURE, &[0x21, 0x21, 0, 36], &[0; 36]].concat();
    (v6[31], v6[47], v6[49], v6[51]) = (7, 8, 1, 80);
    let v6_line = b"PROXY TCP6 2001:db8::1 ::1 1 8080\r\n".to_vec();
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    for (header, client, port) in [
        (V1.to_vec(), "203.0.113.9", Some("443")),
        (v2(&[]), "203.0.113.9", Some("443")),
        (v2(&[4, 0, 3, 0, 0, 0]), "203.0.113.9", Some("443")),
        (v6, "::7", Some("80")),
        (v6_line, "2001:db8::1", Some("8080")),
        (local, "127.0.0.1", None),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", None),
    ] {
        let mut connection = proxy.client();
        let response = connection.send([&header, GET].concat()).response();
        assert_eq!(response.status(), 200, "{header:?}");
        assert_eq!(proxy.logged_for(&response)["client_ip"], client);
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.field("x-forwarded-for"), Some(client));
        assert_eq!(request.field("x-real-ip"), Some(client));
        let own = proxy.address().port().to_string();
        assert_eq!(request.field("x-forwarded-port"), Some(port.unwrap_or(&own)));
        // It is said once, and holds for every request.
        let again = connection.send(GET).response();
        assert_eq!(proxy.logged_for(&again)["client_ip"], client);
    }
}

#[test]
fn xa10_a_header_may_come_in_pieces() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    for header in [V1.to_vec(), v2(&[4, 0, 1, 0])] {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in [&header, GET].concat() {
            stream.write_all(&[byte]).unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    for request in origin.requests() {
        assert_eq!(request.field("x-forwarded-for"), Some("203.0.113.9"));
    }
}

#[test]
fn xa10_what_is_no_header_ends_the_connection() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat();
    let no_end = [V1.strip_suffix(b"\r\n").unwrap(), b"\n"].concat();
    let (mut udp, mut version) = (v2(&[]), v2(&[]));
    (udp[13], version[12]) = (0x12, 0x31);
    let vast = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 12]].concat();
    let short = [SIGNATURE, &[0x21, 0x11, 0, 4], &[0; 4]].concat();
    for header in [
        Vec::new(),
        long,
        no_end,
        udp,
        version,
        vast,
        short,
        v2(&[4, 0]),
        v2(&[4, 0, 9, 0]),
        v2(&[3, 0, 4, 1, 2, 3, 4]),
        b"PROXY TCP4 203.0.113.9 198.51.100.2 4000 443 9\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.999 198.51.100.2 4000 443\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.9 198.51.100.2 4000\r\n".to_vec(),
    ] {
        let mut client = proxy.client();
        client.send([&header, GET].concat()).assert_closed();
    }
    // A look whether somebody listens.
    drop(proxy.client());
    assert_eq!(proxy.said("without a good PROXY header")["peer"], "127.0.0.1");
    let mut twice = proxy.client();
    twice.send([V1, V1, GET].concat()).assert_closed();
    assert!(origin.requests().is_empty());
    let mut client = proxy.client();
    assert_eq!(client.send([V1, GET].concat()).response().status(), 200);
}

#[test]
fn xa10_nobody_else_may_say_it() {
    let origin = Origin::saying("ok");
    for (global, served) in [("global { proxy_protocol 192.0.2.0/24 unix }", 1), ("", 2)] {
        let config = format!("{global}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}}\n}}");
        let proxy = of(&config).with("ORIGIN", &origin).start();
        for header in [V1.to_vec(), v2(&[])] {
            proxy.client().send([&header, GET].concat()).assert_closed();
        }
        assert_eq!(proxy.said("a PROXY header of a peer")["peer"], "127.0.0.1");
        assert_eq!(proxy.client().send(GET).response().status(), 200, "and is not asked for it");
        let requests = origin.wait_for(served);
        assert_eq!(requests.len(), served);
        assert_eq!(requests[served - 1].field("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn xa10_silence_is_not_waited_for_and_a_shutdown_waits_for_none() {
    let origin = Origin::saying("ok");
    let mut proxy = proxy(&origin);
    let (start, mut silent, mut half) = (Instant::now(), proxy.client(), proxy.client());
    half.send(&V1[..20]);
    silent.assert_closed();
    half.assert_closed();
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(9), "{waited:?}");
    let (_silent, start) = (proxy.client(), Instant::now());
    proxy.signal(rustix::process::Signal::TERM);
    assert!(proxy.wait().success());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn xa10_it_comes_before_tls_and_before_http2() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let site = "bind 127.0.0.1\n respond \"{client_ip} {scheme}\"\n}";
    let trusted = "global { proxy_protocol 127.0.0.2 }";
    let plain = of(&format!("{trusted}\n:0 {{\n {site}")).start();
    let secure = of(&format!("{trusted}\nhttps://:0 {{\n tls {{$CERT}} {{$KEY}}\n {site}"))
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start();
    for how in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let ((_one, before), (_other, before_tls)) = (haproxy(&plain, how), haproxy(&secure, how));
        assert_eq!(get(before, "example.com", "/").text(), "127.0.0.1 http", "{how}");
        let mut client = Client::tls(before_tls, "example.com", authority.client(&[])).unwrap();
        assert_eq!(client.get("example.com", "/").text(), "127.0.0.1 https", "{how}");
        run(async {
            let mut h2 = H2::connect(before).await;
            assert_eq!(h2.get("example.com", "/").await.body, b"127.0.0.1 http");
            let mut h2 = H2::tls(before_tls, "example.com", authority.client(&["h2"])).await;
            assert_eq!(h2.get("example.com", "/").await.body, b"127.0.0.1 https");
        });
    }
    assert_eq!(plain.get("/").text(), "127.0.0.1 http", "others come without it");
}

/// A proxy of somebody else, which passes bytes on and says whose they are.
fn haproxy(proxy: &Proxy, how: &str) -> (Program, SocketAddr) {
    let (door, server) = (door(), proxy.address());
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s
listen door\n bind {door}\n source 127.0.0.2\n server one {server} {how}\n"
    );
    (Program::haproxy(&[door], &config), door)
}
