//! Requirements P01 to P04, threats XU: connections that become tunnels, and those that must not.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use rustix::process::Signal;

use crate::harness::h2::next;
use crate::harness::{
    Authority, Client, Folder, Frame, H2, Opcode, Origin, Proxy, WebSocket, Wire, eventually, lock, of, run,
};

/// Accepts every handshake, with these fields too, and sends every message back.
fn echo(more: &'static str) -> Origin {
    Origin::new(move |request, wire| {
        assert_eq!(request.field("sec-websocket-key").map(str::len), Some(24));
        wire.say(WebSocket::accepted(more));
        echo_frames(wire);
        wire.close();
    })
}

fn echo_frames(wire: &mut Wire) {
    while let Some(frame) = Frame::read(&mut wire.pipe) {
        assert!(frame.masked, "as the client sent it");
        let answer = Frame { masked: false, ..frame };
        wire.say(answer.encode());
        if answer.opcode == Opcode::Close as u8 {
            break;
        }
    }
}

/// The client's side of a tunnel that stands.
fn open(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    shake_hands(&mut client);
    client
}

fn shake_hands(client: &mut Client) {
    client.send(WebSocket::request("example.com", "/chat", ""));
    let response = client.response();
    assert_eq!(response.status(), 101, "{response:?}");
    assert_eq!(response.field("sec-websocket-accept"), Some(WebSocket::ACCEPT));
}

fn exchange(client: &mut Client, frame: &Frame) {
    client.send(frame.clone().masked().encode());
    assert_eq!(Frame::read(&mut client.pipe).as_ref(), Some(frame));
}

#[test]
fn p01_messages_pass_both_ways_unchanged() {
    let origin = echo(
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Custom: 1\r\nKeep-Alive: x\r\n",
    );
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(WebSocket::request(
        "example.com",
        "/chat?room=1",
        "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    ));
    let response = client.response();
    assert_eq!(response.status(), 101);
    assert_eq!(response.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(response.field("sec-websocket-extensions"), Some("permessage-deflate"));
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert!(response.field("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!((response.field("x-custom"), response.field("keep-alive")), (Some("1"), None), "XU03");
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        exchange(&mut client, &Frame::new(Opcode::Binary, vec![7; size]));
    }
    exchange(&mut client, &Frame::new(Opcode::Ping, "are you there"));
    exchange(&mut client, &Frame { fin: false, ..Frame::new(Opcode::Text, "first") });
    exchange(&mut client, &Frame::new(Opcode::Continuation, "last"));
    exchange(&mut client, &Frame::new(Opcode::Close, b"\x03\xe8bye"));
    client.assert_closed();
    let request = origin.request();
    assert_eq!(request.target(), "/chat?room=1");
    assert_eq!(request.field("sec-websocket-key"), Some(WebSocket::KEY));
    assert_eq!(request.field("sec-websocket-protocol"), Some("chat, v2"));
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn p01_messages_pass_over_tls() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), echo(""));
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let proxy = of("https://:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start();
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&["http/1.1"])).unwrap();
    shake_hands(&mut client);
    exchange(&mut client, &Frame::new(Opcode::Text, "hello"));
    assert_eq!(origin.request().field("x-forwarded-proto"), Some("https"));
}

#[test]
fn p01_what_comes_with_the_handshake_is_not_lost() {
    // The client's first frame with its request, the server's with its answer.
    let origin = Origin::new(|_, wire| {
        wire.say([WebSocket::accepted("").as_bytes(), &Frame::new(Opcode::Text, "welcome").encode()].concat());
        echo_frames(wire);
        wire.close();
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    let early = Frame::new(Opcode::Text, "early");
    client.send([WebSocket::request("example.com", "/", "").as_bytes(), &early.clone().masked().encode()].concat());
    assert_eq!(client.response().status(), 101);
    assert_eq!(Frame::read(&mut client.pipe).unwrap().payload, b"welcome");
    assert_eq!(Frame::read(&mut client.pipe), Some(early));
}

#[test]
fn p01_what_comes_before_the_answer_is_not_lost() {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let origin = Origin::new(move |_, wire| {
        lock(&held).recv().unwrap();
        wire.say(WebSocket::accepted(""));
        echo_frames(wire);
        wire.close();
    });
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(WebSocket::request("example.com", "/", ""));
    origin.wait_for(1);
    // As long as several looks at whether the client is still there.
    let early: Vec<Frame> = (0..50).map(|at| Frame::new(Opcode::Text, format!("early {at:040}"))).collect();
    for frame in &early {
        client.send(frame.clone().masked().encode());
    }
    release.send(()).unwrap();
    assert_eq!(client.response().status(), 101);
    for frame in early {
        assert_eq!(Frame::read(&mut client.pipe), Some(frame));
    }
}

#[test]
fn p01_http2_carries_websockets_too() {
    let origin = echo("Sec-WebSocket-Protocol: chat\r\n");
    let proxy = Proxy::to(&origin);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        // RFC 8441, section 3: only where the server has said that it can.
        client.get_ready().await;
        assert!(client.sender.is_extended_connect_protocol_enabled());
        let mut request = client
            .request("CONNECT", "example.com", "/chat?a")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "chat")
            .body(())
            .unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let (response, mut sender) = client.sender.clone().ready().await.unwrap().send_request(request, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        assert!(!response.headers().contains_key("upgrade"));
        let mut receiver = response.into_body();
        let frame = Frame::new(Opcode::Text, "over http/2");
        sender.send_data(Bytes::from(frame.clone().masked().encode()), false).unwrap();
        let mut got = Vec::new();
        while got.len() < frame.encode().len() {
            got.extend_from_slice(&next(&mut receiver).await.unwrap().unwrap());
        }
        assert_eq!(got, frame.encode());
        // The end of the stream is the end of the tunnel.
        sender.send_data(Bytes::new(), true).unwrap();
        while let Some(rest) = next(&mut receiver).await.unwrap() {
            assert!(rest.is_empty(), "{rest:?}");
        }
    });
    let request = origin.request();
    assert_eq!(request.start, "GET /chat?a HTTP/1.1");
    assert_eq!((request.field("upgrade"), request.field("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(request.field("host"), Some("example.com"));
    let line = proxy.logged_where("of the tunnel", |line| line["tunnel_end"].is_string());
    assert_eq!((&line["status"], &line["tunnel_end"]), (&200.into(), &"closed_by_client".into()));
}

#[test]
fn xu04_no_other_protocol_is_connected_to() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        client.get_ready().await;
        let mut request = client.request("CONNECT", "example.com", "/").body(()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("connect-udp"));
        let (response, _stream) = client.sender.clone().ready().await.unwrap().send_request(request, false).unwrap();
        assert_eq!(response.await.unwrap().status(), 405);
    });
    assert_eq!(origin.connections(), 0);
}

#[test]
fn p02_a_tunnel_lives_on_pings_and_ends_when_silent() {
    let origin = echo("");
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { timeout read 200ms; timeout idle 900ms }", &origin);
    let mut client = open(&proxy);
    let start = std::time::Instant::now();
    for _ in 0..4 {
        client.assert_silent(Duration::from_millis(400));
        exchange(&mut client, &Frame::new(Opcode::Ping, ""));
    }
    assert!(start.elapsed() > Duration::from_millis(1_500), "longer than either timeout");
    client.assert_closed();
    let line = proxy.logged_where("of the tunnel", |line| line["status"] == 101);
    assert_eq!(line["tunnel_end"], "idle");
    assert!(line["duration_ms"].as_f64().unwrap() > 1_500.0);
    assert!(line["error"].is_null(), "{line}");
}

#[test]
fn o14_the_log_says_who_ended_a_tunnel_and_what_passed() {
    let origin = echo("");
    let proxy = Proxy::to(&origin);
    let ended = |end: &str| proxy.logged_where(end, |line| line["tunnel_end"] == end);
    let mut client = open(&proxy);
    exchange(&mut client, &Frame::new(Opcode::Text, "hello"));
    assert!(proxy.access_lines().is_empty(), "not before its end");
    drop(client);
    let line = ended("closed_by_client");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&11.into(), &7.into()));
    assert_eq!((&line["status"], &line["upstream_status"]), (&101.into(), &101.into()));
    let mut client = open(&proxy);
    client.send(Frame::new(Opcode::Close, "").masked().encode());
    client.pipe.drain();
    drop(client);
    ended("closed_by_upstream");
    let mut client = open(&proxy);
    client.pipe.reset();
    ended("client_lost");
    let reset = Origin::new(|_, wire| {
        wire.say(WebSocket::accepted(""));
        let _ = wire.exactly(1);
        wire.reset();
    });
    let proxy = Proxy::to(&reset);
    let mut client = open(&proxy);
    client.send("x");
    client.pipe.drain();
    drop(client);
    proxy.logged_where("upstream_lost", |line| line["tunnel_end"] == "upstream_lost");
}

#[test]
fn p03_a_shutdown_gives_tunnels_some_time_and_says_goodbye_between_frames() {
    let origin = echo("");
    let mut proxy =
        of("global { grace 2s }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}").with("ORIGIN", &origin).start();
    let (mut client, mut within_a_frame) = (open(&proxy), open(&proxy));
    let half = &Frame::new(Opcode::Text, "half").masked().encode()[..8];
    within_a_frame.send(half);
    eventually("the half frame", || origin.bytes(1).ends_with(half).then_some(()));
    proxy.signal(Signal::TERM);
    proxy.said("shutting down");
    exchange(&mut client, &Frame::new(Opcode::Text, "still here"));
    for client in [&mut client, &mut within_a_frame] {
        let goodbye = Frame::read(&mut client.pipe).unwrap();
        assert_eq!((goodbye.opcode, goodbye.masked), (Opcode::Close as u8, false));
        assert_eq!(goodbye.payload, b"\x03\xe9");
        client.assert_closed();
    }
    assert!(proxy.wait().success());
    let line = proxy.logged_where("of the tunnel", |line| line["status"] == 101);
    assert_eq!(line["tunnel_end"], "shutdown");
    // The server is told by a masked frame, and not in the middle of another one.
    let told = origin.bytes(0);
    let [0x88, 0x82, mask @ .., a, b] = &told[told.len() - 8..] else { panic!("{told:?}") };
    assert_eq!([a ^ mask[0], b ^ mask[1]], 1001_u16.to_be_bytes());
    assert!(origin.bytes(1).ends_with(half));
}

#[test]
fn p04_a_handshake_that_is_refused_is_an_answer_like_others() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: because\r\n\r\nno");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    let response = client.send(WebSocket::request("example.com", "/", "")).response();
    assert_eq!((response.status(), response.text(), response.field("x-why")), (403, "no", Some("because")));
    assert!(proxy.logged_for(&response)["tunnel_end"].is_null());
}

#[test]
fn xu01_bytes_behind_a_refused_upgrade_are_no_request() {
    let origin = Origin::saying("refused");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    client.send(WebSocket::request("example.com", "/", "") + "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.response().text(), "refused");
    client.assert_closed();
    assert_eq!(origin.requests().len(), 1);
    assert!(!String::from_utf8_lossy(&origin.all_bytes()).contains("smuggled"));
}

#[test]
fn xu02_only_a_proper_handshake_asks_for_a_tunnel() {
    let origin = Origin::saying("plain");
    let proxy = Proxy::to(&origin);
    let requests = [
        "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n",
    ];
    for request in requests {
        assert_eq!(proxy.client().send(request).response().text(), "plain", "{request:?}");
    }
    for request in origin.requests() {
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.field(name), None, "{request:?}");
        }
    }
}

#[test]
fn a_tunnel_is_left_when_its_client_is() {
    let origin = Origin::new(|_, wire| {
        wire.say(WebSocket::accepted(""));
        wire.wait_closed();
    });
    let proxy = Proxy::to(&origin);
    let client = open(&proxy);
    drop(client);
    eventually("the origin's end is closed", || (origin.open() == 0).then_some(()));
}

#[test]
fn a_hundred_tunnels_at_once() {
    let origin = echo("");
    let proxy = Proxy::to(&origin);
    let mut clients: Vec<Client> = (0..100).map(|_| open(&proxy)).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        exchange(client, &Frame::new(Opcode::Text, at.to_string()));
    }
    drop(clients);
    eventually("all of them are logged", || (proxy.access_lines().len() == 100).then_some(()));
}
