//! Threats XG and XH over HTTP/3 and QUIC: streams and datagrams that no client library would send.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crate::harness::h3::{DATA, HEADERS, Outcome, RawH3, frame, head, literal, quic, section};
use crate::harness::protocol::identity;
use crate::harness::{Folder, H3, Origin, Protocol, Proxy, eventually, free_port, run, soon};
use crate::translation::NO_TRAILERS;
use crate::watch::beside;

/// KiB that one hostile connection may cost.
const LITTLE: u64 = 8 * 1024;

const MESSAGE_ERROR: u64 = 0x10e;
const FRAME_UNEXPECTED: u64 = 0x105;
const EXCESSIVE_LOAD: u64 = 0x107;
const DECOMPRESSION_FAILED: u64 = 0x200;

/// A proxy of one worker with a certificate for `example.com`, and a client that believes it.
pub fn secure(origin: &Origin) -> (Proxy, Arc<rustls::ClientConfig>) {
    let config = "global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}";
    (Protocol::Http3.of(config).with("ORIGIN", origin).start(), identity().1.client(&["h3"]))
}

fn text(origin: &Origin) -> String {
    String::from_utf8_lossy(&origin.all_bytes()).into_owned()
}

#[test]
fn xg03_a_body_is_as_long_as_it_said_or_the_request_never_looks_whole() {
    let origin = Origin::saying("whole");
    let (proxy, config) = secure(&origin);
    let ask = |length: &str| frame(HEADERS, &head("POST", "/", &[("content-length", length)]));
    run(async {
        let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
            ("ends at once", vec![ask("5")]),
            ("ends early", vec![ask("10"), frame(DATA, b"abc")]),
            ("an empty frame and no more", vec![ask("5"), frame(DATA, b"")]),
            ("too long", vec![ask("3"), frame(DATA, b"longer")]),
            ("too long in two frames", vec![ask("3"), frame(DATA, b"abc"), frame(DATA, b"d")]),
            ("more than nothing", vec![ask("0"), frame(DATA, b"GET /evil HTTP/1.1\r\n\r\n")]),
            ("ends within a frame", vec![ask("3"), frame(DATA, b"abc")[..4].to_vec()]),
            ("ends within a frame, without a length", vec![frame(HEADERS, &head("POST", "/", &[])), vec![0, 9, b'a']]),
            ("trailers instead", vec![ask("5"), frame(HEADERS, &section(&[("x-a", "b")]))]),
        ];
        for (what, frames) in cases {
            let outcome = RawH3::connect(proxy.address(), config.clone()).await.ask(&frames).await;
            assert!(matches!(outcome, Outcome::Reset(_)), "{what}: {outcome:?}");
        }
        for length in ["+3", "3, 3", "0x3", "", "99999999999999999999999"] {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let outcome = raw.ask(&[ask(length), frame(DATA, b"abc")]).await;
            assert_eq!(outcome, Outcome::Reset(MESSAGE_ERROR), "{length:?}");
        }
        assert_eq!(origin.whole_requests(), 0, "{}", text(&origin));
        soon("no connection to the origin is kept", || (origin.open() == 0).then_some(())).await;
        // Behind all of them on one connection, the next request is itself.
        let raw = RawH3::connect(proxy.address(), config.clone()).await;
        raw.ask(&[ask("40"), frame(DATA, b"abc")]).await;
        assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/second", &[]))]).await.status(), Some(200));
        assert_eq!(origin.whole_requests(), 1, "{}", text(&origin));
        // What means nothing changes nothing.
        let frames =
            [frame(0x21, b"x"), ask("6"), frame(DATA, b""), frame(DATA, b"abc"), frame(0x40, b""), frame(DATA, b"def")];
        assert_eq!(raw.ask(&frames).await.status(), Some(200));
        assert_eq!(origin.requests().last().unwrap().body, b"abcdef");
    });
}

#[test]
fn xf03_a_length_that_may_be_negative_elsewhere_goes_no_further_over_http3() {
    let origin = Origin::saying("reached");
    let (proxy, config) = secure(&origin);
    run(async {
        for length in ["9223372036854775808", "18446744073709551613"] {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let (mut send, receive) = raw.quic.open_bi().await.unwrap();
            let ask = frame(HEADERS, &head("POST", "/", &[("content-length", length)]));
            send.write_all(&[ask, frame(DATA, b"GET /evil HTTP/1.1\r\n\r\n")].concat()).await.unwrap();
            let outcome = raw.outcome(receive).await;
            assert_eq!(outcome.status(), Some(400), "{length}: {outcome:?}");
        }
    });
    assert_eq!(origin.connections(), 0, "{}", text(&origin));
}

#[test]
fn xu04_a_tunnel_for_another_protocol_is_refused_over_http3() {
    let origin = Origin::saying("reached");
    let (proxy, config) = secure(&origin);
    run(async {
        for protocol in ["connect-udp", "connect-ip", "webtransport", "WebSocket", ""] {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let head = [head("CONNECT", "/", &[]), literal(b":protocol", protocol.as_bytes())].concat();
            let outcome = raw.ask(&[frame(HEADERS, &head)]).await;
            assert_eq!(outcome.status(), Some(405), "{protocol}: {outcome:?}");
        }
        // Nor does any other method ask for one (RFC 8441, section 4).
        let raw = RawH3::connect(proxy.address(), config.clone()).await;
        let head = [head("GET", "/", &[]), literal(b":protocol", b"websocket")].concat();
        assert!(matches!(raw.ask(&[frame(HEADERS, &head)]).await, Outcome::Reset(_)));
    });
    assert_eq!(origin.connections(), 0, "{}", text(&origin));
}

#[test]
fn xg09_pseudo_fields_are_no_trailers_over_http3() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    run(async {
        let raw = RawH3::connect(proxy.address(), config).await;
        let trailers = frame(HEADERS, &section(&[(":path", "/evil")]));
        let outcome = raw.ask(&[frame(HEADERS, &head("POST", "/", &[])), frame(DATA, b"abc"), trailers]).await;
        assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    });
    assert!(!text(&origin).contains("evil"));
}

#[test]
fn xg09_what_may_be_no_field_is_no_trailer_over_http3() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    run(async {
        let raw = RawH3::connect(proxy.address(), config).await;
        for name in NO_TRAILERS {
            let head = frame(HEADERS, &head("POST", "/", &[("te", "trailers"), ("trailer", name)]));
            let trailers = frame(HEADERS, &section(&[(name, "evil"), ("x-sum", "1")]));
            // Fields of one hop are a mistake, others are left out.
            let outcome = raw.ask(&[head, frame(DATA, b"hi"), trailers]).await;
            assert!(matches!(outcome, Outcome::Reset(_)) || outcome.status() == Some(200), "{name}: {outcome:?}");
        }
    });
    let seen = text(&origin);
    let told: Vec<&str> = seen.lines().filter(|line| line.ends_with(": evil")).collect();
    assert!(told.is_empty(), "{told:?}");
    assert!(seen.contains("x-sum: 1"), "others are passed on");
}

#[test]
fn xr02_an_answer_cut_short_is_reset_over_http3() {
    for answer in crate::framing::CUT_SHORT {
        let origin = Origin::new(move |_, wire| {
            wire.say(answer);
            wire.close();
        });
        let (proxy, config) = secure(&origin);
        run(async {
            let raw = RawH3::connect(proxy.address(), config).await;
            let outcome = raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await;
            assert!(matches!(outcome, Outcome::Reset(_)), "{answer:?}: {outcome:?}");
        });
    }
}

#[test]
fn xh04_heads_that_unpack_to_large_ones_are_answered_or_refused() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    let base = head("GET", "/", &[]);
    // Bytes on the wire and what becomes of it: many small fields, one large one, and one beyond all measure.
    let many = [base.clone(), literal(b"a", b"").repeat(2_000)].concat();
    let crumbs = [base.clone(), literal(b"cookie", b"a=b").repeat(150)].concat();
    let large = [base.clone(), literal(b"x-a", &vec![b'a'; 40_000])].concat();
    let beyond = [base, literal(b"x-a", &vec![b'a'; 200_000])].concat();
    for (what, block, status) in [
        ("many", many, Some(431)),
        ("crumbs", crumbs, Some(431)),
        ("large", large, Some(431)),
        ("beyond", beyond, None),
    ] {
        beside(&proxy, LITTLE, || {
            run(async {
                let raw = RawH3::connect(proxy.address(), config.clone()).await;
                for _ in 0..20 {
                    let outcome = raw.ask(&[frame(HEADERS, &block)]).await;
                    assert_eq!(outcome.status(), status, "{what}: {outcome:?}");
                    assert!(status.is_some() || outcome == Outcome::Reset(EXCESSIVE_LOAD), "{what}: {outcome:?}");
                }
            });
        });
    }
    assert!(origin.requests().iter().all(|request| request.target() == "/beside"));
}

/// The beginning of a frame that claims to have a gigabyte.
fn endless(kind: u8) -> Vec<u8> {
    vec![kind, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]
}

#[test]
fn xh09_frames_that_claim_a_gigabyte_take_no_memory() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    beside(&proxy, 2 * LITTLE, || {
        run(async {
            for kind in [1, 0x21] {
                let raw = RawH3::connect(proxy.address(), config.clone()).await;
                let (mut send, receive) = raw.quic.open_bi().await.unwrap();
                let _ = send.write_all(&endless(kind)).await;
                // It is not waited for.
                for _ in 0..64 {
                    if send.write_all(&vec![0; 1024 * 1024]).await.is_err() {
                        break;
                    }
                }
                let outcome = raw.outcome(receive).await;
                assert!(
                    matches!(outcome, Outcome::Reset(EXCESSIVE_LOAD) | Outcome::Closed(EXCESSIVE_LOAD)),
                    "{outcome:?}"
                );
            }
            let mut raw = RawH3::connect(proxy.address(), config.clone()).await;
            raw.control(&endless(0x07)).await;
            assert_eq!(raw.closed().await, Outcome::Closed(EXCESSIVE_LOAD));
            // Heads that have nearly come, on as many streams as there may be.
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let mut streams = Vec::new();
            for _ in 0..100 {
                let Ok((mut send, receive)) = raw.quic.open_bi().await else { break };
                let _ = send.write_all(&[&[1, 0x80, 0, 0xf0, 0][..], &vec![0; 60_000]].concat()).await;
                streams.push((send, receive));
            }
            assert_eq!(raw.closed().await, Outcome::Closed(EXCESSIVE_LOAD));
        });
    });
}

#[test]
fn xh09_nothing_refers_to_a_table() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    run(async {
        // A required insert count that blocks the stream; names and values from before and behind the base.
        for block in [&[0x05, 0x00, 0x80][..], &[0, 0, 0x80], &[0, 0, 0x10], &[0, 0, 0x41, 0x00], &[0, 0, 0x01, 0x00]] {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let outcome = raw.ask(&[frame(HEADERS, block)]).await;
            assert_eq!(outcome, Outcome::Closed(DECOMPRESSION_FAILED), "{block:x?}");
        }
    });
    // Instructions for one are taken as far as a window goes, and not acted upon.
    beside(&proxy, LITTLE, || {
        run(async {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let mut encoder = raw.quic.open_uni().await.unwrap();
            encoder.write_all(&[2]).await.unwrap();
            let insert = [&[0x40 | 0x01, b'a', 0x7f, 0x80, 0x07][..], &[b'v'; 1023 - 127 + 127]].concat();
            let flood = async {
                loop {
                    encoder.write_all(&insert).await.unwrap();
                }
            };
            let _: Result<(), _> = tokio::time::timeout(Duration::from_millis(500), flood).await;
            assert_eq!(raw.ask(&[frame(HEADERS, &head("GET", "/", &[]))]).await.status(), Some(200));
        });
    });
}

#[test]
fn xh05_streams_and_frames_that_mean_nothing_are_counted() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    run(async {
        let raw = RawH3::connect(proxy.address(), config.clone()).await;
        for _ in 0..200 {
            let Ok(mut send) = raw.quic.open_uni().await else { break };
            let _ = send.write_all(&[0x21]).await;
            let _ = send.reset(0_u32.into());
        }
        assert_eq!(raw.closed().await, Outcome::Closed(EXCESSIVE_LOAD));
        for (what, frames, code) in [
            ("empty DATA", [0, 0].repeat(10_000), EXCESSIVE_LOAD),
            ("frames of no kind", [0x21, 0].repeat(10_000), EXCESSIVE_LOAD),
            ("settings in a request", vec![4, 0], FRAME_UNEXPECTED),
            ("a frame of HTTP/2", vec![2, 0], FRAME_UNEXPECTED),
        ] {
            let raw = RawH3::connect(proxy.address(), config.clone()).await;
            let outcome = raw.ask(&[frame(HEADERS, &head("POST", "/", &[])), frames]).await;
            assert!(matches!(outcome, Outcome::Closed(found) if found == code), "{what}: {outcome:?}");
        }
    });
}

/// The first datagrams of as many clients, each of its own connection.
async fn first_datagrams(count: usize, config: &Arc<rustls::ClientConfig>) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for _ in 0..count {
        // Each has its own to talk to: who gives up says goodbye.
        let sink = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = quic(sink.local_addr().unwrap(), "example.com", config.clone());
        let mut datagrams = Vec::new();
        let caught = async {
            // A hello with a hybrid key takes two.
            while datagrams.len() < 2 {
                let mut buffer = vec![0; 2048];
                let (length, _) = sink.recv_from(&mut buffer).await.unwrap();
                buffer.truncate(length);
                datagrams.push(buffer);
            }
        };
        tokio::select! {
            _ = client => unreachable!("nobody answers"),
            () = caught => {}
        }
        all.push(datagrams);
    }
    all
}

/// What comes within some time.
async fn heard(socket: &tokio::net::UdpSocket, time: Duration) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    let listen = async {
        loop {
            let mut buffer = vec![0; 2048];
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            buffer.truncate(length);
            heard.push(buffer);
        }
    };
    let _: Result<(), _> = tokio::time::timeout(time, listen).await;
    heard
}

#[test]
fn xh10_who_is_not_known_to_be_there_gets_three_times_what_it_sent_at_most() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    beside(&proxy, LITTLE, || {
        run(async {
            for datagrams in first_datagrams(3, &config).await {
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let mut sent = 0;
                for datagram in &datagrams {
                    sent += socket.send_to(datagram, proxy.address()).await.unwrap();
                }
                // Long enough for what is lost to be sent again.
                let heard: usize = heard(&socket, Duration::from_millis(1200)).await.iter().map(Vec::len).sum();
                assert!(heard > 0 && heard <= 3 * sent, "{heard} bytes for {sent}");
            }
        });
    });
}

#[test]
fn xh10_many_who_do_not_go_on_make_others_show_that_they_are_there() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    beside(&proxy, 2 * LITTLE, || {
        run(async {
            let mut clients = first_datagrams(105, &config).await;
            let last = clients.pop().unwrap();
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for datagrams in &clients {
                for datagram in datagrams {
                    socket.send_to(datagram, proxy.address()).await.unwrap();
                }
                // They are taken one after the other.
                tokio::time::timeout(Duration::from_secs(5), socket.readable()).await.unwrap().unwrap();
                while socket.try_recv_from(&mut [0; 2048]).is_ok() {}
            }
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.send_to(&last[0], proxy.address()).await.unwrap();
            let answers = heard(&socket, Duration::from_millis(500)).await;
            // RFC 9000, section 17.2.5.
            let is_retry = |datagram: &Vec<u8>| datagram[0] & 0xf0 == 0xf0 && datagram[1..5] == [0, 0, 0, 1];
            assert!(answers.len() == 1 && is_retry(&answers[0]) && answers[0].len() < last[0].len(), "{answers:x?}");
            // A client that is there goes the longer way.
            let mut client = H3::connect(proxy.address(), "example.com", config.clone()).await;
            assert_eq!(client.get("example.com", "/").await.text(), "ok");
        });
    });
}

#[test]
fn xh10_resets_without_a_connection_are_few_and_smaller_than_what_asked_for_them() {
    let origin = Origin::saying("ok");
    let (proxy, _) = secure(&origin);
    let answers = beside(&proxy, LITTLE, || {
        run(async {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for at in 0..5_000_u32 {
                let id: Vec<u8> = at.to_be_bytes().iter().chain(&[0; 4]).copied().collect();
                let datagram = [&[0x40][..], &id, &[7; 60]].concat();
                socket.send_to(&datagram, proxy.address()).await.unwrap();
            }
            heard(&socket, Duration::from_millis(500)).await
        })
    });
    assert!(answers.len() < 100, "{} answers", answers.len());
    assert!(answers.iter().all(|answer| answer.len() < 69), "{:?}", answers.iter().map(Vec::len).max());
}

/// Passes datagrams on between a client and the proxy, from whichever of its own addresses it is told to use.
struct Relay {
    address: SocketAddr,
    inside: Arc<UdpSocket>,
    client: Arc<std::sync::Mutex<Option<SocketAddr>>>,
    /// The id in the last short header that the client sent.
    id: Arc<std::sync::Mutex<Option<[u8; 8]>>>,
    /// A client behind it comes from the second of its sockets once this is set, and hears nothing from there.
    elsewhere: Arc<std::sync::atomic::AtomicBool>,
}

impl Relay {
    fn before(proxy: SocketAddr, other: &str) -> Self {
        use std::sync::atomic::Ordering;
        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let other = UdpSocket::bind((other, 0)).unwrap();
        let address = inside.local_addr().unwrap();
        let elsewhere = Arc::<std::sync::atomic::AtomicBool>::default();
        let client = Arc::<std::sync::Mutex<Option<SocketAddr>>>::default();
        let id = Arc::<std::sync::Mutex<Option<[u8; 8]>>>::default();
        let relay = Self {
            address,
            inside: inside.clone(),
            client: client.clone(),
            id: id.clone(),
            elsewhere: elsewhere.clone(),
        };
        let (from, to, who, moved) = (inside.clone(), outside.clone(), client.clone(), elsewhere);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, peer)) = from.recv_from(&mut buffer) {
                *who.lock().unwrap() = Some(peer);
                if buffer[0] & 0x80 == 0 && length > 8 {
                    *id.lock().unwrap() = Some(buffer[1..9].try_into().unwrap());
                }
                let by = if moved.load(Ordering::SeqCst) { &other } else { &*to };
                let _ = by.send_to(&buffer[..length], proxy);
            }
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, _)) = outside.recv_from(&mut buffer) {
                if let Some(peer) = *client.lock().unwrap() {
                    let _ = inside.send_to(&buffer[..length], peer);
                }
            }
        });
        relay
    }

    /// Says something to the client as if it came from the proxy.
    fn say(&self, datagram: &[u8]) {
        let client = self.client.lock().unwrap().expect("a client");
        self.inside.send_to(datagram, client).unwrap();
    }
}

/// The reset that this address answers with to a datagram of a connection that it does not know.
async fn reset_of(address: SocketAddr, id: [u8; 8]) -> Vec<u8> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = [&[0x40][..], &id, &[7; 60]].concat();
    let mut answer = vec![0; 2048];
    loop {
        socket.send_to(&datagram, address).await.unwrap();
        // There is one reset in a while: what is asked for too early is asked for again.
        let heard = tokio::time::timeout(Duration::from_millis(500), socket.recv_from(&mut answer)).await;
        if let Ok(Ok((length, _))) = heard {
            answer.truncate(length);
            return answer;
        }
    }
}

/// RFC 9000, section 21.11: what one address says of ids that it does not know must be worth nothing at another one.
#[test]
fn xh10_a_reset_that_another_address_gave_ends_no_connection() {
    let (ports, store) = ([free_port(), free_port(), free_port()], Folder::new());
    let origin = Origin::saying("ok");
    let start = |ports: &[u16]| {
        let sites = ports.iter().map(|port| {
            format!("https://:{port} {{\n bind 127.0.0.1\n tls {{$SITE_CERT}} {{$SITE_KEY}}\n reverse_proxy {{$ORIGIN}}\n}}\n")
        });
        let config = format!("global {{\n workers 1\n storage file {{$STORE}}\n}}\n{}", sites.collect::<String>());
        let setup = Protocol::Http3.of(&config).with("ORIGIN", &origin).with("STORE", store.path().display());
        setup.doors(ports.len()).start()
    };
    let _one = start(&ports[..2]);
    eventually("the key is kept", || store.path().join("quic/key").exists().then_some(()));
    let _other = start(&ports[2..]);
    let relay = Relay::before(([127, 0, 0, 1], ports[0]).into(), "127.0.0.1");
    run(async {
        let mut client = H3::connect(relay.address, "example.com", identity().1.client(&["h3"])).await;
        assert_eq!(client.get("example.com", "/").await.text(), "ok");
        let id = relay.id.lock().unwrap().expect("an id");
        // A door of the same process, and one of another process that shares its storage.
        for port in &ports[1..] {
            let reset = reset_of(([127, 0, 0, 1], *port).into(), id).await;
            assert!(reset.len() > 16 && reset[0] & 0xc0 == 0x40, "{reset:x?}");
            relay.say(&reset);
            // What the proxy says next comes behind it.
            assert_eq!(client.get("example.com", "/").await.text(), "ok");
        }
    });
}

#[test]
fn xh10_an_address_that_a_client_has_only_named_is_not_its_own() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    let relay = Relay::before(proxy.address(), "127.0.0.9");
    run(async {
        let mut client = H3::connect(relay.address, "example.com", config).await;
        assert_eq!(client.get("example.com", "/before").await.text(), "ok");
        relay.elsewhere.store(true, std::sync::atomic::Ordering::SeqCst);
        let mut stream = client.open(H3::request("GET", "example.com", "/after")).await.unwrap();
        stream.finish().await.unwrap();
        soon("the request", || (origin.requests().len() == 2).then_some(())).await;
    });
    for request in origin.requests() {
        assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"), "{request:?}");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"), "{request:?}");
    }
}

#[test]
fn xt11_early_data_is_not_taken() {
    let origin = Origin::saying("ok");
    let (proxy, config) = secure(&origin);
    let mut early = (*config).clone();
    early.enable_early_data = true;
    let early = Arc::new(early);
    run(async {
        let mut first = H3::connect(proxy.address(), "example.com", early.clone()).await;
        first.get("example.com", "/").await;
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(early).unwrap();
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, proxy.address(), "example.com").unwrap();
        assert!(connecting.into_0rtt().is_err(), "the ticket allows early data");
    });
}
