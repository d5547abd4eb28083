//! Threats XH and XL over HTTP/3: requests that cost their sender nothing, and answers that it does not take. Another client is
//! served beside them, and what they cost is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicClientConfig;

use crate::flood::origin;
use crate::harness::h3::{DATA, HEADERS, Outcome, RawH3, frame, head, literal, section};
use crate::harness::protocol::identity;
use crate::harness::{Origin, Protocol, Proxy, eventually, run, soon};
use crate::watch::beside;

const NO_ERROR: u64 = 0x100;
const EXCESSIVE_LOAD: u64 = 0x107;

/// KiB that one hostile connection may cost.
const LITTLE: u64 = 8 * 1024;

/// A proxy of one worker: an attack and who is served beside it share a thread.
fn alone(global: &str, origin: &Origin) -> Proxy {
    let config =
        format!("global {{\n workers 1\n {global}\n}}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}}\n}}");
    Protocol::Http3.of(&config).with("ORIGIN", origin).start()
}

async fn connect(proxy: &Proxy) -> RawH3 {
    RawH3::connect(proxy.address(), identity().1.client(&["h3"])).await
}

fn asked(origin: &Origin, target: &str) -> usize {
    origin.requests().iter().filter(|request| request.target() == target).count()
}

#[test]
fn xh01_streams_of_http3_that_are_reset_at_once_end_the_connection() {
    let origin = origin();
    let proxy = alone("", &origin);
    beside(&proxy, LITTLE, || {
        run(async {
            let raw = connect(&proxy).await;
            let ask = frame(HEADERS, &head("GET", "/hang", &[]));
            for _ in 0..2_000 {
                let Ok((mut send, mut receive)) = raw.quic.open_bi().await else { break };
                if send.write_all(&ask).await.is_err() {
                    break;
                }
                let _ = (send.reset(0x10c_u32.into()), receive.stop(0x10c_u32.into()));
                tokio::task::yield_now().await;
            }
            assert_eq!(raw.closed().await, Outcome::Closed(EXCESSIVE_LOAD));
        });
    });
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

/// Sends requests with a mistake until the connection is ended for it.
fn provoke(frames: &[Vec<u8>]) {
    let origin = origin();
    let proxy = alone("", &origin);
    let most = beside(&proxy, LITTLE, || {
        run(async {
            let (raw, mut most) = (connect(&proxy).await, 0);
            for _ in 0..1_000 {
                match raw.ask(frames).await {
                    Outcome::Closed(code) => {
                        assert_eq!(code, EXCESSIVE_LOAD);
                        return most;
                    }
                    outcome => assert!(outcome.is_refusal(), "{outcome:?}"),
                }
                most = most.max(origin.open());
            }
            panic!("a thousand mistakes are borne");
        })
    });
    assert!(most <= 101, "{most} servers at once for one connection of 100 streams");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xh02_lengths_that_do_not_fit_are_counted_over_http3() {
    provoke(&[frame(HEADERS, &head("POST", "/hang", &[("content-length", "1")])), frame(DATA, b"longer")]);
}

#[test]
fn xh02_fields_that_are_none_are_counted_over_http3() {
    provoke(&[frame(HEADERS, &head("GET", "/hang", &[("transfer-encoding", "chunked")]))]);
}

#[test]
fn xh02_streams_without_a_head_are_counted_over_http3() {
    provoke(&[frame(HEADERS, &head("GET", "/hang", &[]))[..9].to_vec()]);
}

#[test]
fn xh02_heads_without_measure_are_counted_over_http3() {
    provoke(&[vec![1, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]]);
}

#[test]
fn xh02_trailers_that_are_a_head_are_counted_over_http3() {
    let trailers = frame(HEADERS, &section(&[(":path", "/")]));
    provoke(&[frame(HEADERS, &head("POST", "/hang", &[])), frame(DATA, b"x"), trailers]);
}

#[test]
fn xh04_heads_of_http3_that_are_held_on_to_cost_little() {
    let origin = Origin::raw(|wire| {
        while matches!(wire.pipe.fill(), Ok(1..)) {
            if wire.pipe.buffer.ends_with(b"\r\n\r\n") {
                wire.pipe.buffer.clear();
                wire.ok("ok");
            }
        }
    });
    let proxy = alone("", &origin);
    // As large as they may be, and none of them ends.
    let ask = frame(HEADERS, &[head("POST", "/", &[]), literal(b"x-a", &[b'a'; 250]).repeat(90)].concat());
    beside(&proxy, 2 * LITTLE, || {
        run(async {
            let mut held = Vec::new();
            for _ in 0..7 {
                let raw = connect(&proxy).await;
                let mut streams = Vec::new();
                // A megabyte of heads that have not come whole may be under way at once, which is 44 of these.
                for _ in 0..40 {
                    let (mut send, receive) = raw.quic.open_bi().await.unwrap();
                    send.write_all(&ask).await.unwrap();
                    streams.push((send, receive));
                }
                held.push((raw, streams));
            }
            for (_, streams) in &mut held {
                let mut first = [0; 1];
                streams.last_mut().unwrap().1.read_exact(&mut first).await.expect("an answer");
            }
        });
    });
}

#[test]
fn xh05_streams_and_frames_of_http3_that_mean_nothing_cost_little() {
    let origin = origin();
    let proxy = alone("", &origin);
    for frames in [[0, 0].repeat(10_000), [0x21, 0].repeat(10_000)] {
        beside(&proxy, LITTLE, || {
            run(async {
                for _ in 0..20 {
                    let raw = connect(&proxy).await;
                    let outcome = raw.ask(&[frame(HEADERS, &head("POST", "/hang", &[])), frames.clone()]).await;
                    assert_eq!(outcome, Outcome::Closed(EXCESSIVE_LOAD));
                }
            });
        });
    }
    // Of what a client says besides requests little is kept, however often it says it.
    let priority = frame(0xf0700, &[&[0][..], b"u=1"].concat());
    beside(&proxy, LITTLE, || {
        run(async {
            let mut raw = connect(&proxy).await;
            for _ in 0..100 {
                raw.control(&priority.repeat(200)).await;
            }
            assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await.status(), Some(200));
        });
    });
}

/// A server with much to say.
fn talker() -> Origin {
    Origin::new(|request, wire| {
        if request.target() == "/beside" {
            return wire.ok("ok");
        }
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
        let piece = [b'x'; 10_000];
        for _ in 0..1_000 {
            if wire.pipe.send(piece).is_err() {
                break;
            }
        }
    })
}

/// A client that takes so many bytes of each stream, and of all of them, before it has looked at any.
async fn narrow(address: SocketAddr, stream: u32, all: u32) -> (quinn::Endpoint, quinn::Connection) {
    let crypto = QuicClientConfig::try_from(identity().1.client(&["h3"])).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(stream.into()).receive_window(all.into());
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let quic = endpoint.connect_with(config, address, "example.com").unwrap().await.unwrap();
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    // It must not end.
    std::mem::forget(control);
    (endpoint, quic)
}

/// KiB for a hundred streams that stand still: what was asked of the servers before they did.
const STALLED: u64 = 100 * 200;

/// Asks for much on a hundred streams and takes it so; they are given up.
fn stand_still(stream: u32, all: u32, drip: bool) {
    let origin = talker();
    let proxy = alone("timeout write 700ms", &origin);
    beside(&proxy, STALLED, || {
        run(async {
            let (_endpoint, quic) = narrow(proxy.address(), stream, all).await;
            let ask = frame(HEADERS, &head("GET", "/much", &[]));
            let mut streams = Vec::new();
            for _ in 0..100 {
                let (mut send, receive) = quic.open_bi().await.unwrap();
                send.write_all(&ask).await.unwrap();
                send.finish().unwrap();
                streams.push(receive);
            }
            soon("all are asked for", || (asked(&origin, "/much") == 100).then_some(())).await;
            let (start, mut told) = (Instant::now(), 0);
            while origin.open() > 1 {
                assert!(start.elapsed() < Duration::from_secs(8), "{} servers still wait", origin.open());
                for receive in streams.iter_mut().filter(|_| drip) {
                    let byte = tokio::time::timeout(Duration::ZERO, receive.read(&mut [0])).await;
                    told += usize::from(matches!(byte, Ok(Err(quinn::ReadError::Reset(_)))));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for receive in &mut streams {
                let end = receive.read_to_end(1024 * 1024).await;
                told += usize::from(matches!(end, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))));
            }
            assert_eq!(told, 100, "the client knows of each");
            assert_eq!(quic.close_reason(), None, "it is no offence");
        });
    });
}

#[test]
fn xh08_streams_of_http3_without_room_are_reset() {
    stand_still(64, 1024 * 1024, false);
}

#[test]
fn xh08_streams_of_a_connection_without_room_are_reset() {
    stand_still(1024 * 1024, 8 * 1024, false);
}

#[test]
fn xh08_streams_of_http3_that_are_taken_by_the_byte_are_reset() {
    stand_still(64, 1024 * 1024, true);
}

#[test]
fn xh08_a_client_of_http3_without_any_room_is_left() {
    let origin = talker();
    let proxy = alone("timeout handshake 700ms", &origin);
    beside(&proxy, LITTLE, || {
        run(async {
            // Not even what rp has to say first can be said.
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(narrow(proxy.address(), 0, 0).await);
            }
            for (_, quic) in &clients {
                let (mut send, _receive) = quic.open_bi().await.unwrap();
                let _ = send.write_all(&frame(HEADERS, &head("GET", "/much", &[]))).await;
            }
            for (_, quic) in &clients {
                quic.closed().await;
            }
        });
    });
    assert_eq!(asked(&origin, "/much"), 0);
}

#[test]
fn xh08_a_client_of_http3_that_takes_it_slowly_gets_all_of_it() {
    let origin = Origin::saying(&"x".repeat(120_000));
    let proxy = alone("timeout write 2s", &origin);
    run(async {
        let (_endpoint, quic) = narrow(proxy.address(), 16 * 1024, 1024 * 1024).await;
        let (mut send, mut receive) = quic.open_bi().await.unwrap();
        send.write_all(&frame(HEADERS, &head("GET", "/", &[]))).await.unwrap();
        send.finish().unwrap();
        let (start, mut length, mut since) = (Instant::now(), 0, 0);
        while let Some(chunk) = receive.read_chunk(12 * 1024, true).await.expect("the stream is not given up") {
            length += chunk.bytes.len();
            since += chunk.bytes.len();
            // Slower in all than the time for a piece.
            if since > 12 * 1024 {
                since = 0;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        assert!(length > 120_000 && start.elapsed() > Duration::from_secs(2), "{length} in {:?}", start.elapsed());
    });
}

/// Half a second, as it was configured, on a busy machine.
fn after_half_a_second(start: Instant) {
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(450) && waited < Duration::from_secs(6), "{waited:?}");
}

#[test]
fn xl01_heads_of_http3_that_stop_are_given_up() {
    let origin = origin();
    let proxy = alone("timeout header 500ms", &origin);
    let whole = frame(HEADERS, &head("GET", "/hang", &[]));
    // The last lacks but the end of its stream: whether there is a body does not show.
    for part in [&whole[..1], &whole[..2], &whole[..20], &whole] {
        beside(&proxy, LITTLE, || {
            run(async {
                let (raw, start) = (connect(&proxy).await, Instant::now());
                let mut streams = Vec::new();
                for _ in 0..50 {
                    let (mut send, receive) = raw.quic.open_bi().await.unwrap();
                    send.write_all(part).await.unwrap();
                    streams.push((send, receive));
                }
                for (_, receive) in streams {
                    let outcome = raw.outcome(receive).await;
                    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
                }
                after_half_a_second(start);
                // Others on the connection are answered as before.
                assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await.status(), Some(200));
            });
        });
    }
    assert_eq!(asked(&origin, "/hang"), 0);
}

#[test]
fn xl02_bodies_of_http3_that_stop_are_given_up() {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = whole.clone();
    let origin = Origin::new(move |request, wire| {
        count.fetch_add(usize::from(request.target() == "/hang"), SeqCst);
        wire.ok("ok");
    });
    let proxy = alone("timeout body 500ms", &origin);
    for fields in [&[("content-length", "10")][..], &[]] {
        beside(&proxy, LITTLE, || {
            run(async {
                let (raw, start) = (connect(&proxy).await, Instant::now());
                let mut streams = Vec::new();
                for _ in 0..20 {
                    let (mut send, receive) = raw.quic.open_bi().await.unwrap();
                    let ask = [frame(HEADERS, &head("POST", "/hang", fields)), frame(DATA, b"abc")].concat();
                    send.write_all(&ask).await.unwrap();
                    streams.push((send, receive));
                }
                for (_, receive) in streams {
                    assert_eq!(raw.outcome(receive).await.status(), Some(408));
                }
                after_half_a_second(start);
            });
        });
    }
    assert_eq!(whole.load(SeqCst), 0, "none was whole");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xl01_a_connection_of_http3_without_requests_is_ended() {
    let origin = origin();
    let proxy = alone("timeout idle 500ms", &origin);
    run(async {
        let (raw, start) = (connect(&proxy).await, Instant::now());
        assert_eq!(raw.closed().await, Outcome::Closed(NO_ERROR));
        after_half_a_second(start);
        // From the end of the last one on.
        let (raw, start) = (connect(&proxy).await, Instant::now());
        assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await.status(), Some(200));
        assert_eq!(raw.closed().await, Outcome::Closed(NO_ERROR));
        after_half_a_second(start);
    });
}

#[test]
fn xh01_streams_of_http3_are_as_many_as_they_may_be() {
    let origin = origin();
    let proxy = alone("limit streams 5", &origin);
    run(async {
        let raw = connect(&proxy).await;
        let ask = frame(HEADERS, &head("GET", "/hang", &[]));
        let mut streams = Vec::new();
        for _ in 0..5 {
            let (mut send, receive) = raw.quic.open_bi().await.unwrap();
            send.write_all(&ask).await.unwrap();
            streams.push((send, receive));
        }
        let sixth = tokio::time::timeout(Duration::from_millis(300), raw.quic.open_bi()).await;
        assert!(sixth.is_err(), "a sixth");
        let (mut send, mut receive) = streams.pop().unwrap();
        send.reset(0x10c_u32.into()).unwrap();
        receive.stop(0x10c_u32.into()).unwrap();
        raw.quic.open_bi().await.expect("another in its place");
    });
}

#[test]
fn n06_requests_on_a_connection_of_http3_are_counted() {
    let origin = origin();
    let proxy = alone("limit requests 3", &origin);
    run(async {
        let raw = connect(&proxy).await;
        for _ in 0..3 {
            assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await.status(), Some(200));
        }
        assert_eq!(raw.closed().await, Outcome::Closed(NO_ERROR));
    });
}
