//! Requirement T13 and threat XL12: handshakes that fail are told, and however many fail, the log bears it.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Signal;
use rustls::crypto::aws_lc_rs;
use serde_json::Value;

use crate::harness::h3::quic;
use crate::harness::protocol::identity;
use crate::harness::{Client, PATIENCE, Protocol, Proxy, eventually, run};
use crate::initials::Beginner;

fn site() -> Proxy {
    Protocol::Http3.of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n respond ok\n}").start()
}

/// Has so many fail, and looks at what the log says of it: one line a second, and how many it left out.
fn few_lines(proxy: &Proxy, said: &str, count: usize, fail: impl Fn()) {
    let lines = || proxy.log_lines().into_iter().filter(|line| line["message"] == said).collect::<Vec<_>>();
    let start = Instant::now();
    for _ in 0..count {
        fail();
    }
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    let first = eventually("the first is told at once", || lines().into_iter().next());
    assert_eq!((&first["suppressed"], &first["peer"]), (&0.into(), &"127.0.0.1".into()), "{first}");
    assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{first}");
    let told = lines().len();
    assert!((1..=seconds + 2).contains(&told), "{told} lines in {seconds} s");
    // The next one that is told says how many were not.
    let mut more = 0;
    eventually("all are counted", || {
        fail();
        more += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
        let lines = lines();
        let left_out: u64 = lines.iter().map(|line| line["suppressed"].as_u64().unwrap()).sum();
        // What failed since the last line has not been told yet.
        let counted = lines.len() + usize::try_from(left_out).unwrap();
        (lines.len() > told && counted >= count && counted <= count + more).then_some(())
    });
}

#[test]
fn t13_xl12_failing_handshakes_do_not_fill_the_log() {
    let proxy = site();
    few_lines(&proxy, "TLS handshake failed", 300, || {
        let mut tcp = TcpStream::connect(proxy.address()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").unwrap();
        let _ = tcp.read_to_end(&mut Vec::new());
    });
}

#[test]
fn t13_xl12_failing_handshakes_of_quic_do_not_fill_the_log() {
    let proxy = site();
    few_lines(&proxy, "QUIC handshake failed", 60, || {
        // It speaks nothing that rp does.
        let config = identity().1.client(&["hq-interop"]);
        run(async {
            assert!(quic(proxy.address(), "example.com", config).await.is_err());
        });
    });
}

/// With little patience, and numbers to be collected.
fn impatient() -> Proxy {
    let global = "global {\n workers 1\n metrics 127.0.0.1:0\n timeout handshake 500ms\n}";
    Protocol::Http3.of(&format!("{global}\n:0 {{\n bind 127.0.0.1\n respond ok\n}}")).start()
}

/// That one handshake has failed, for this reason: told once with what was offered, and counted.
fn told(proxy: &Proxy, transport: &str, reason: &str) -> [String; 3] {
    let line = proxy.said(if transport == "tcp" { "TLS handshake failed" } else { "QUIC handshake failed" });
    assert_eq!((&line["peer"], &line["reason"]), (&"127.0.0.1".into(), &reason.into()), "{line}");
    let place = proxy.said("metrics are served")["address"].as_str().unwrap().parse().unwrap();
    let mut client = Client::connect(place);
    client.send("GET /metrics HTTP/1.1\r\nHost: rp\r\n\r\n");
    let page = client.response();
    let sample = format!("rp_handshake_failures_total{{transport=\"{transport}\",reason=\"{reason}\"}} 1\n");
    assert!(page.text().contains(&sample), "{}", page.text());
    assert_eq!(page.text().matches("rp_handshake_failures_total{").count(), 1, "{}", page.text());
    ["sni", "versions", "alpn"]
        .map(|field| line[field].as_str().unwrap_or_else(|| panic!("{field}: {line}")).to_owned())
}

const NAME: &str = "example.com";
const NOTHING: [&str; 3] = ["-", "-", "-"];

/// Where the name in a ClientHello has ended.
fn behind_the_name(hello: &[u8]) -> usize {
    hello.windows(NAME.len()).position(|bytes| bytes == NAME.as_bytes()).unwrap() + NAME.len()
}

#[test]
fn t13_a_handshake_that_stalls_is_told_with_what_has_come_of_it() {
    let mut session = rustls::ClientConnection::new(identity().1.client(&["h2"]), NAME.try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let stall = |bytes: &[u8]| {
        let proxy = impatient();
        let mut tcp = TcpStream::connect(proxy.address()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.write_all(bytes).unwrap();
        // What it answers to a whole one is not gone into.
        tcp.read_to_end(&mut Vec::new()).unwrap();
        told(&proxy, "tcp", "timeout")
    };
    assert_eq!(stall(b""), NOTHING);
    assert_eq!(stall(&hello[..20]), NOTHING);
    assert_eq!(stall(&hello[..behind_the_name(&hello)])[0], NAME);
    assert_eq!(stall(&hello), [NAME, "TLSv1.3 TLSv1.2", "h2"]);
}

#[test]
fn t13_a_handshake_of_quic_that_stalls_is_told_with_what_has_come_of_it() {
    let stall = |hello: &dyn Fn(&Beginner) -> usize| {
        let proxy = impatient();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = Beginner::new(13);
        let end = hello(&client);
        for from in (0..end).step_by(1000) {
            let frame = client.piece(from, (from + 1000).min(end));
            let datagram = client.initial(&frame);
            udp.send_to(&datagram, proxy.address()).unwrap();
        }
        told(&proxy, "quic", "timeout")
    };
    assert_eq!(stall(&|_| 3), NOTHING);
    assert_eq!(stall(&|client| behind_the_name(&client.hello))[0], NAME);
    assert_eq!(stall(&|client| client.hello.len()), [NAME, "TLSv1.3", "h3"]);
}

#[test]
fn t13_a_handshake_of_quic_that_is_refused_is_told_with_what_was_offered() {
    // With a post-quantum share it takes two datagrams; without one it is refused before there is a connection.
    for post_quantum in [true, false] {
        let proxy = impatient();
        let mut config = rustls::ClientConfig::clone(&identity().1.client(&["hq-interop", "smtp"]));
        if !post_quantum {
            let mut provider = rustls::crypto::CryptoProvider::clone(config.crypto_provider());
            provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
            config = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_root_certificates(identity().1.roots())
                .with_no_client_auth();
            config.alpn_protocols = vec![b"hq-interop".to_vec(), b"smtp".to_vec()];
        }
        let config = Arc::new(config);
        run(async {
            assert!(quic(proxy.address(), NAME, config).await.is_err());
        });
        assert_eq!(told(&proxy, "quic", "alpn"), [NAME, "TLSv1.3", "hq-interop smtp"], "{post_quantum}");
        let said = proxy.said("QUIC handshake failed");
        assert!(said["error"].as_str().is_some_and(|error| error.contains("protocol")), "{said}");
    }
}

#[test]
fn t13_a_shutdown_is_no_failure_of_those_who_were_shaking_hands() {
    let mut proxy = site();
    let tcp = TcpStream::connect(proxy.address()).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut client = Beginner::new(14);
    let frame = client.piece(0, 900);
    udp.send_to(&client.initial(&frame), proxy.address()).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    // Its datagram is acknowledged.
    udp.recv(&mut [0; 2048]).unwrap();
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    drop(tcp);
    let failed = |line: &Value| line["message"].as_str().is_some_and(|said| said.contains("handshake failed"));
    assert!(!proxy.log_lines().iter().any(failed), "{}", proxy.log_text());
}
