//! Requirement T13 and threat XL12: handshakes that fail are told, and however many fail, the log bears it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::harness::h3::quic;
use crate::harness::protocol::identity;
use crate::harness::{PATIENCE, Protocol, Proxy, eventually, run};

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
