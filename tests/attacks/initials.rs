//! Threats XH10 and XT13: what stands before the first request of QUIC, packet by packet, and keys that change.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{ClientConnection, Keys, Version};
use tokio::net::UdpSocket;

use crate::harness::h3::number;
use crate::harness::protocol::identity;
use crate::harness::{H3, Origin, Protocol, Proxy, run};
use crate::watch::beside;

/// Bytes of the first datagrams of a client (RFC 9000, section 14.1).
const SMALLEST: usize = 1200;
const LITTLE: u64 = 8 * 1024;

fn proxy(origin: &Origin) -> Proxy {
    Protocol::Http3
        .of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", origin)
        .start()
}

/// A client that has got no further than its hello.
pub struct Beginner {
    keys: Keys,
    /// By which the server is asked, and which it is to use.
    ids: [[u8; 8]; 2],
    pub hello: Vec<u8>,
    sent: u64,
}

impl Beginner {
    pub fn new(number: u64) -> Self {
        let ids = [number.to_be_bytes(), (!number).to_be_bytes()];
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
        let keys = Keys::initial(Version::V1, suite.suite, suite.quic, &ids[0], rustls::Side::Client);
        // Its own id is the one parameter that there must be (RFC 9000, section 7.3).
        let parameters = [&[0x0f, 8][..], &ids[1]].concat();
        let name = "example.com".try_into().unwrap();
        let config = identity().1.client(&["h3"]);
        let mut session = ClientConnection::new(config, Version::V1, name, parameters).unwrap();
        let mut hello = Vec::new();
        session.write_hs(&mut hello);
        Self { keys, ids, hello, sent: 0 }
    }

    /// A piece of the hello.
    pub fn piece(&self, from: usize, to: usize) -> Vec<u8> {
        [&[0x06][..], &number(from as u64), &number((to - from) as u64), &self.hello[from..to]].concat()
    }

    /// A datagram with these frames, filled up.
    pub fn initial(&mut self, frames: &[u8]) -> Vec<u8> {
        const TAG: usize = 16;
        // Kind, version, both ids, no token; then a length in two bytes and a number in four.
        let mut header = vec![0xc3, 0, 0, 0, 1];
        for id in &self.ids {
            header.push(8);
            header.extend_from_slice(id);
        }
        header.push(0);
        let payload = SMALLEST - header.len() - 2 - 4 - TAG;
        assert!(frames.len() <= payload);
        header.extend_from_slice(&u16::try_from(0x4000 | (4 + payload + TAG)).unwrap().to_be_bytes());
        let at = header.len();
        header.extend_from_slice(&u32::try_from(self.sent).unwrap().to_be_bytes());
        let mut payload = vec![0; payload];
        payload[..frames.len()].copy_from_slice(frames);
        let tag = self.keys.local.packet.encrypt_in_place(self.sent, &header, &mut payload).unwrap();
        self.sent += 1;
        let mut datagram = [&header, &payload, tag.as_ref()].concat();
        let (head, sample) = datagram.split_at_mut(at + 4);
        let (first, number) = head.split_at_mut(1);
        let sample = &sample[..self.keys.local.header.sample_len()];
        self.keys.local.header.encrypt_in_place(sample, &mut first[0], &mut number[at - 1..]).unwrap();
        datagram
    }
}

/// Whether a server's datagram holds a packet of the handshake, as it has once it knows the whole hello: behind one of the
/// same kind as the client's.
fn shakes_hands(datagram: &[u8]) -> bool {
    let kind = |first: u8| first & 0xf0;
    let mut rest = datagram;
    while let Some(first) = rest.first() {
        if kind(*first) == 0xe0 {
            return true;
        }
        if kind(*first) != 0xc0 {
            return false;
        }
        // Two ids of a byte of length each, a token of none, and the length of what follows.
        let mut at = 5;
        for _ in 0..2 {
            at += 1 + usize::from(rest[at]);
        }
        at += 1;
        let length = match rest[at] >> 6 {
            0 => 1 + usize::from(rest[at]),
            _ => 2 + usize::from(u16::from_be_bytes([rest[at] & 0x3f, rest[at + 1]])),
        };
        rest = rest.get(at + length..).unwrap_or_default();
    }
    false
}

/// Waits for an answer of the server; none where none comes.
async fn answered(socket: &UdpSocket) -> bool {
    let mut buffer = vec![0; 2048];
    let listen = async {
        loop {
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            if shakes_hands(&buffer[..length]) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), listen).await.is_ok()
}

/// In no order that anybody would expect, and the same each time.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|at| (*at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
    order
}

async fn send(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    socket.send_to(datagram, to).await.unwrap();
    // Its buffer holds some hundred.
    tokio::task::yield_now().await;
}

#[test]
fn xh10_a_hello_in_many_datagrams_is_one_hello() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    beside(&proxy, LITTLE, || {
        run(async {
            for (size, twice) in [(500, false), (64, false), (64, true), (9, true)] {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let mut client = Beginner::new(0x1234_5678_0000_0000 + size as u64 * 2 + u64::from(twice));
                let pieces = client.hello.len().div_ceil(size);
                let mut order = shuffled(pieces);
                if twice {
                    order.extend(shuffled(pieces).into_iter().rev());
                }
                // The last but one that is missing is what the server waits for.
                for at in order {
                    let (from, to) = (at * size, ((at + 1) * size).min(client.hello.len()));
                    let frame = client.piece(from, to);
                    let datagram = client.initial(&frame);
                    send(&socket, proxy.address(), &datagram).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert!(answered(&socket).await, "{pieces} pieces of {size} bytes, twice: {twice}");
            }
        });
    });
}

#[test]
fn xh10_many_pieces_in_one_datagram_are_one_hello() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut client = Beginner::new(77);
        // Pieces that overlap, from the last to the first, as many as a datagram holds.
        let ends: Vec<usize> = (1..=client.hello.len()).rev().step_by(7).collect();
        for some in ends.chunks(60) {
            let frames: Vec<u8> = some.iter().flat_map(|end| client.piece(end.saturating_sub(12), *end)).collect();
            let datagram = client.initial(&frames);
            send(&socket, proxy.address(), &datagram).await;
        }
        assert!(answered(&socket).await);
    });
}

#[test]
fn xh10_hellos_that_never_end_cost_little() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    beside(&proxy, 2 * LITTLE, || {
        run(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for client in 0..90 {
                let mut client = Beginner::new(0x0102_0304_0506_0000 + client);
                // Every second byte, never the first: nothing fits together, and a datagram is held for each.
                for at in 0..20 {
                    let frames: Vec<u8> = (0..200)
                        .flat_map(|piece| client.piece(at * 20 + piece % 10 * 2 + 1, at * 20 + piece % 10 * 2 + 2))
                        .collect();
                    let datagram = client.initial(&frames);
                    send(&socket, proxy.address(), &datagram).await;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                // Whoever answers to it is not listened to.
                while socket.try_recv_from(&mut [0; 2048]).is_ok() {}
            }
        });
    });
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn xh10_nobody_takes_the_places_of_an_address_that_is_not_its_own() {
    let origin = Origin::saying("ok");
    let proxy = Protocol::Http3
        .of("global {\n workers 1\n limit connections_per_address 2\n}\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    run(async {
        for client in 0..10 {
            assert!(!begins(&proxy, 0x0a0b_0c0d_0000_0000 + client).await, "it has not shown where it is");
        }
    });
    let mut speakers: Vec<_> = (0..2).map(|_| proxy.speaker()).collect();
    for speaker in &mut speakers {
        assert_eq!(speaker.get("/").status(), 200);
    }
}

#[test]
fn xl04_handshakes_of_quic_that_stall_are_given_up() {
    let origin = Origin::saying("ok");
    let proxy = Protocol::Http3
        .of("global {\n workers 1\n timeout handshake 3s\n}\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    beside(&proxy, 2 * LITTLE, || {
        run(async {
            // So many that others have to show that they are there, which ends as soon as these are given up.
            let mut retried = false;
            for client in 0..300 {
                retried |= !begins(&proxy, 0x0a0b_0c0d_0000_0000 + client).await;
                if retried {
                    break;
                }
            }
            assert!(retried, "as many handshakes as anybody likes are under way");
            let start = Instant::now();
            let mut client = 0x0f0f_0c0d_0000_0000;
            while !begins(&proxy, client).await {
                client += 1;
                assert!(start.elapsed() < Duration::from_secs(8), "they are still waited for");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    });
}

/// Sends a whole hello and goes no further; whether it is taken for a client. Else it is told to come again, with a token
/// (RFC 9000, section 17.2.5).
async fn begins(proxy: &Proxy, number: u64) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut client = Beginner::new(number);
    for from in (0..client.hello.len()).step_by(1000) {
        let frame = client.piece(from, (from + 1000).min(client.hello.len()));
        let datagram = client.initial(&frame);
        send(&socket, proxy.address(), &datagram).await;
    }
    let mut buffer = vec![0; 2048];
    loop {
        let heard = tokio::time::timeout(Duration::from_secs(5), socket.recv_from(&mut buffer)).await;
        let (length, _) = heard.expect("an answer").unwrap();
        if buffer[0] & 0xf0 == 0xf0 {
            return false;
        }
        if shakes_hands(&buffer[..length]) {
            return true;
        }
    }
}

#[test]
fn xh10_keys_of_quic_that_change_again_and_again_cost_little() {
    let origin = Origin::saying("ok");
    let proxy = proxy(&origin);
    beside(&proxy, LITTLE, || {
        run(async {
            let config = identity().1.client(&["h3"]);
            let mut client = H3::connect(proxy.address(), "example.com", config).await;
            for _ in 0..400 {
                // As often as the protocol allows it: once the one before has been confirmed (RFC 9001, section 6.1).
                client.quic.force_key_update();
                assert_eq!(client.get("example.com", "/").await.text(), "ok");
            }
        });
    });
}
