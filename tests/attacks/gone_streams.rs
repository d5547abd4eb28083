//! Threat XZ11 over HTTP/2 and HTTP/3: clients that give streams up, and connections that are lost, while something is under way
//! for them.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;

use crate::frames::{CONTINUATION, DATA, HEADERS, RST_STREAM, Raw, block, literal, request};
use crate::gone::{Silent, origin, until};
use crate::harness::protocol::identity;
use crate::harness::{Origin, Protocol, Proxy, eventually, h3};

/// Connections, each with a stream at every stage.
const EACH: usize = 10;
/// Streams of each whose heads are whole and whose answers are not: connecting, unanswered, sending, receiving.
const UNDER_WAY: usize = 4;

const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// What one proxy is tried with.
struct Stage {
    one: Origin,
    two: Origin,
    _silent: Silent,
    proxy: Proxy,
}

impl Stage {
    fn set(over: Protocol) -> Self {
        let (one, two, silent) = (origin("one"), origin("two"), Silent::new());
        let config = "global { workers 2; limit connections_per_address 40 }\n\
                      upstream pool {\n server {$ONE}\n server {$TWO}\n balance least_conn\n}\n\
                      :0 {\n bind 127.0.0.1\n route /silent { reverse_proxy {$SILENT} { timeout connect 60s } }\n \
                      reverse_proxy pool\n}";
        let proxy = over.of(config).with("ONE", &one).with("TWO", &two).with("SILENT", silent.address).start();
        Self { one, two, _silent: silent, proxy }
    }

    /// All is under way.
    fn is_full(&self) {
        until(&self.proxy, "connections", EACH as u64);
        until(&self.proxy, "requests", (UNDER_WAY * EACH) as u64);
    }

    /// Nothing is.
    fn is_empty(&self) {
        until(&self.proxy, "requests", 0);
        eventually("servers are left, too", || (self.one.open() + self.two.open() == 0).then_some(()));
    }

    /// Every seat is free: so many connections are served at once. And no server seems to have requests under way, since it
    /// would be asked less often.
    fn is_as_new(&self) {
        until(&self.proxy, "connections", 0);
        let mut clients: Vec<_> = (0..40).map(|_| self.proxy.speaker()).collect();
        let by_one = clients.iter_mut().filter_map(|client| (client.get("/").text() == "one").then_some(())).count();
        assert!((15..=25).contains(&by_one), "{by_one} of 40");
    }
}

/// A connection of HTTP/2 with a stream at every stage, and a head that is not whole where it is to end with the connection.
fn http2(proxy: &Proxy, half: bool) -> Raw {
    let mut raw = Raw::connect(proxy.address());
    raw.get(1, "/head").get(3, "/silent").get(5, "/down");
    assert!(raw.wait(DATA, 5).is_some(), "half an answer");
    raw.head(7, &request("POST", "/up", &[("content-length", "1000000")]), false).send(DATA, 0, 7, b"half");
    let connect = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/tunnel")];
    let connect = [block(&connect), block(&[(":authority", "example.com"), ("sec-websocket-version", "13")])].concat();
    raw.head(9, &connect, false);
    assert!(raw.wait(HEADERS, 9).is_some(), "a tunnel");
    if half {
        raw.send(HEADERS, 0, 11, &request("GET", "/", &[])).send(CONTINUATION, 0, 11, &literal(b"x-a", b"b"));
    }
    raw
}

#[test]
fn xz11_who_gives_up_streams_of_http2_leaves_nothing_behind() {
    let stage = Stage::set(Protocol::PlainHttp2);
    // The streams alone, some connections as they end in good order, and others by a reset.
    let mut clients: Vec<Raw> = (0..EACH).map(|_| http2(&stage.proxy, false)).collect();
    stage.is_full();
    for raw in &mut clients {
        for stream in [1, 3, 5, 7, 9] {
            raw.send(RST_STREAM, 0, stream, &CANCEL);
        }
    }
    stage.is_empty();
    for raw in &mut clients {
        assert_eq!(raw.get(21, "/").outcome(21), crate::frames::Outcome::Served, "the connection is as good as before");
    }
    drop(clients);
    for reset in [false, true] {
        until(&stage.proxy, "connections", 0);
        let clients: Vec<Raw> = (0..EACH).map(|_| http2(&stage.proxy, true)).collect();
        stage.is_full();
        for raw in clients {
            if reset {
                socket2::SockRef::from(raw.client.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        stage.is_empty();
    }
    stage.is_as_new();
}

/// A connection of HTTP/3 with a stream at every stage.
struct Http3 {
    quic: quinn::Connection,
    streams: Vec<(quinn::SendStream, quinn::RecvStream)>,
    _endpoint: quinn::Endpoint,
    _control: quinn::SendStream,
}

impl Http3 {
    async fn open(proxy: &Proxy) -> Self {
        let crypto = QuicClientConfig::try_from(identity().1.client(&["h3"])).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let mut transport = quinn::TransportConfig::default();
        // It is not waited for longer where it is not heard of.
        transport.max_idle_timeout(Some(Duration::from_secs(2).try_into().unwrap()));
        transport.keep_alive_interval(Some(Duration::from_millis(200)));
        config.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let quic = endpoint.connect_with(config, proxy.address(), "example.com").unwrap().await.unwrap();
        let mut control = quic.open_uni().await.unwrap();
        control.write_all(&[0, 4, 0]).await.unwrap();
        let mut opened = Self { quic, streams: Vec::new(), _endpoint: endpoint, _control: control };
        opened.fill().await;
        opened
    }

    async fn fill(&mut self) {
        for target in ["/head", "/silent", "/down"] {
            self.stream(&h3::frame(h3::HEADERS, &h3::head("GET", target, &[])), true).await;
        }
        let mut half = Vec::new();
        while !half.ends_with(b"half") {
            let (_, receive) = self.streams.last_mut().unwrap();
            half.extend_from_slice(&receive.read_chunk(100, true).await.unwrap().expect("half an answer").bytes);
        }
        let up = h3::frame(h3::HEADERS, &h3::head("POST", "/up", &[("content-length", "1000000")]));
        self.stream(&[up, h3::frame(h3::DATA, b"half")].concat(), false).await;
        // A head that is not whole.
        self.stream(&[1, 60, 0, 0], false).await;
    }

    async fn stream(&mut self, bytes: &[u8], end: bool) {
        let (mut send, receive) = self.quic.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        if end {
            send.finish().unwrap();
        }
        self.streams.push((send, receive));
    }
}

#[derive(Debug, Clone, Copy)]
enum Leave {
    Reset,
    Close,
    /// Nothing is heard of it any more.
    Vanish,
}

#[test]
fn xz11_who_gives_up_streams_of_http3_leaves_nothing_behind() {
    let stage = Stage::set(Protocol::Http3);
    for how in [Leave::Reset, Leave::Close, Leave::Vanish] {
        until(&stage.proxy, "connections", 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut clients = Vec::new();
        for _ in 0..EACH {
            clients.push(runtime.block_on(Http3::open(&stage.proxy)));
        }
        let (vanish, vanished) = tokio::sync::oneshot::channel::<()>();
        let driver = std::thread::spawn(move || runtime.block_on(vanished).is_ok());
        stage.is_full();
        match how {
            Leave::Reset => {
                for (send, receive) in clients.iter_mut().flat_map(|client| &mut client.streams) {
                    let _ = (send.reset(0x10c_u32.into()), receive.stop(0x10c_u32.into()));
                }
                stage.is_empty();
                for client in &clients {
                    client.quic.close(0x100_u32.into(), b"");
                }
            }
            Leave::Close => clients.iter().for_each(|client| client.quic.close(0x100_u32.into(), b"")),
            // Whom nobody drives can't say goodbye.
            Leave::Vanish => vanish.send(()).unwrap(),
        }
        stage.is_empty();
        until(&stage.proxy, "connections", 0);
        drop(clients);
        drop(driver);
    }
    stage.is_as_new();
}
