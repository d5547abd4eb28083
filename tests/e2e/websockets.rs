//! Requirements P01 to P04, threats XU: connections that become tunnels, and those that must not.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use h2::ext::Protocol as Extended;
use rustix::process::Signal;

use crate::harness::{
    Client, Frame, H2, Opcode, Origin, Protocol, Proxy, Socket, WebSocket, Wire, each, each_of, eventually, lock, run,
    together,
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
fn p01_messages_pass_over_every_protocol() {
    each(|over| {
        let origin = echo("Sec-WebSocket-Protocol: chat\r\n");
        let proxy = over.to(&origin);
        let asked = [("sec-websocket-protocol", "chat"), ("origin", "http://example.com")];
        let mut socket = Socket::ask(&proxy, over, "/chat?a", &asked);
        assert_eq!(socket.status, if over.is_http1() { 101 } else { 200 });
        for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            socket.exchange(&Frame::new(Opcode::Binary, vec![7; size]));
        }
        socket.exchange(&Frame::new(Opcode::Ping, "are you there"));
        socket.exchange(&Frame { fin: false, ..Frame::new(Opcode::Text, "first") });
        socket.exchange(&Frame::new(Opcode::Continuation, "last"));
        socket.exchange(&Frame::new(Opcode::Close, b"\x03\xe8bye"));
        socket.assert_closed();
        let request = origin.request();
        assert_eq!(request.start, "GET /chat?a HTTP/1.1");
        assert_eq!((request.field("upgrade"), request.field("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!((request.field("host"), request.field("origin")), (Some("example.com"), Some("http://example.com")));
        assert_eq!(request.field("sec-websocket-protocol"), Some("chat"));
        assert_eq!(request.field("x-forwarded-proto"), Some(over.scheme()));
        socket.finish();
        let line = proxy.logged_where("of the tunnel", |line| line["tunnel_end"].is_string());
        assert_eq!((&line["tunnel_end"], &line["protocol"]), (&"closed_by_upstream".into(), &over.version().into()));
        assert_eq!(line["status"], socket.status);
    });
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
fn p01_tunnels_and_requests_share_a_connection() {
    each_of(&[Protocol::Http2, Protocol::Http3], |over| {
        let origin = echo("");
        let proxy = over.to(&origin);
        let mut first = Socket::open(&proxy, over);
        let mut others: Vec<Socket> = (0..20).map(|_| first.beside("/chat")).collect();
        for (at, socket) in others.iter_mut().enumerate() {
            assert_eq!(socket.status, 200);
            socket.exchange(&Frame::new(Opcode::Text, at.to_string()));
        }
        first.exchange(&Frame::new(Opcode::Text, "the first"));
        // The end of the stream is the end of the tunnel, and of no other.
        first.finish();
        first.assert_closed();
        let line = proxy.logged_where("of the tunnel", |line| line["tunnel_end"].is_string());
        assert_eq!((&line["status"], &line["tunnel_end"]), (&200.into(), &"closed_by_client".into()));
        for socket in &mut others {
            socket.exchange(&Frame::new(Opcode::Text, "still here"));
        }
    });
}

#[test]
fn xu04_no_other_protocol_is_connected_to() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::to(&origin);
    run(async {
        let mut client = H2::connect(proxy.address()).await;
        client.get_ready().await;
        let mut request = client.request("CONNECT", "example.com", "/").body(()).unwrap();
        request.extensions_mut().insert(Extended::from_static("connect-udp"));
        let (response, _stream) = client.sender.clone().ready().await.unwrap().send_request(request, false).unwrap();
        assert_eq!(response.await.unwrap().status(), 405);
    });
    assert_eq!(origin.connections(), 0);
}

#[test]
fn p02_a_tunnel_lives_on_pings_and_ends_when_silent() {
    together(|over| {
        let origin = echo("");
        let proxy = over.site("reverse_proxy {$ORIGIN} { timeout read 200ms; timeout idle 1300ms }", &origin);
        let mut socket = Socket::open(&proxy, over);
        let start = std::time::Instant::now();
        for _ in 0..4 {
            // For longer than one of the two.
            std::thread::sleep(Duration::from_millis(400));
            socket.exchange(&Frame::new(Opcode::Ping, ""));
        }
        assert!(start.elapsed() > Duration::from_millis(1_500), "longer than either timeout");
        socket.assert_closed();
        let line = proxy.logged_where("of the tunnel", |line| line["tunnel_end"].is_string());
        assert_eq!(line["tunnel_end"], "idle");
        assert!(line["duration_ms"].as_f64().unwrap() > 1_500.0);
        assert!(line["error"].is_null(), "{line}");
    });
}

#[test]
fn o14_the_log_says_who_ended_a_tunnel_and_what_passed() {
    // With TLS the end of a connection is no end of what is said on it.
    each_of(&[Protocol::Plain, Protocol::Http2, Protocol::Http3], |over| {
        let origin = echo("");
        let proxy = over.to(&origin);
        let ended = |proxy: &Proxy, end: &str| proxy.logged_where(end, |line| line["tunnel_end"] == end);
        let mut socket = Socket::open(&proxy, over);
        socket.exchange(&Frame::new(Opcode::Text, "hello"));
        assert!(proxy.access_lines().iter().all(|line| line["uri"] != "/chat"), "not before its end");
        socket.finish();
        let line = ended(&proxy, "closed_by_client");
        assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&11.into(), &7.into()));
        assert_eq!((&line["status"], &line["upstream_status"]), (&socket.status.into(), &101.into()));
        let mut socket = Socket::open(&proxy, over);
        socket.say(&Frame::new(Opcode::Close, "").masked().encode());
        socket.hear();
        socket.assert_closed();
        socket.finish();
        ended(&proxy, "closed_by_upstream");
        Socket::open(&proxy, over).reset();
        ended(&proxy, "client_lost");
        let reset = Origin::new(|_, wire| {
            wire.say(WebSocket::accepted(""));
            let _ = wire.exactly(1);
            wire.reset();
        });
        let proxy = over.to(&reset);
        let mut socket = Socket::open(&proxy, over);
        socket.say(b"x");
        socket.assert_closed();
        ended(&proxy, "upstream_lost");
    });
}

#[test]
fn p03_a_shutdown_gives_tunnels_some_time_and_says_goodbye_between_frames() {
    together(|over| {
        let origin = echo("");
        let mut proxy = over
            .of("global { grace 2s }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .start();
        let (mut socket, mut within_a_frame) = (Socket::open(&proxy, over), Socket::open(&proxy, over));
        let half = &Frame::new(Opcode::Text, "half").masked().encode()[..8];
        within_a_frame.say(half);
        eventually("the half frame", || origin.bytes(1).ends_with(half).then_some(()));
        proxy.signal(Signal::TERM);
        proxy.said("shutting down");
        socket.exchange(&Frame::new(Opcode::Text, "still here"));
        for socket in [&mut socket, &mut within_a_frame] {
            let goodbye = socket.hear().unwrap();
            assert_eq!((goodbye.opcode, goodbye.masked), (Opcode::Close as u8, false));
            assert_eq!(goodbye.payload, b"\x03\xe9");
            socket.assert_closed();
        }
        let status = socket.status;
        drop((socket, within_a_frame));
        assert!(proxy.wait().success());
        let line = proxy.logged_where("of the tunnel", |line| line["status"] == status);
        assert_eq!(line["tunnel_end"], "shutdown");
        // The server is told by a masked frame, and not in the middle of another one.
        let told = origin.bytes(0);
        let [0x88, 0x82, mask @ .., a, b] = &told[told.len() - 8..] else { panic!("{told:?}") };
        assert_eq!([a ^ mask[0], b ^ mask[1]], 1001_u16.to_be_bytes());
        assert!(origin.bytes(1).ends_with(half));
    });
}

#[test]
fn p04_a_handshake_that_is_refused_is_an_answer_like_others() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: because\r\n\r\nno");
    let proxy = Proxy::to(&origin);
    let mut client = proxy.client();
    let response = client.send(WebSocket::request("example.com", "/", "")).response();
    assert_eq!((response.status(), response.text(), response.field("x-why")), (403, "no", Some("because")));
    assert!(proxy.logged_for(&response)["tunnel_end"].is_null());
    each(|over| {
        let proxy = over.to(&origin);
        assert_eq!(Socket::ask(&proxy, over, "/no", &[]).status, 403);
        let line = proxy.logged_where("of the handshake", |line| line["uri"] == "/no");
        assert_eq!((&line["status"], line["tunnel_end"].is_null()), (&403.into(), true));
        let nobody = over.to(Origin::nobody());
        assert_eq!(Socket::ask(&nobody, over, "/", &[]).status, 502);
    });
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
    each(|over| {
        let origin = Origin::new(|_, wire| {
            wire.say(WebSocket::accepted(""));
            wire.wait_closed();
        });
        let proxy = over.to(&origin);
        Socket::open(&proxy, over).leave();
        eventually("the origin's end is closed", || (origin.open() == 0).then_some(()));
    });
}

#[test]
fn a_hundred_tunnels_at_once() {
    let origin = echo("");
    let proxy = Proxy::to(&origin);
    let mut sockets: Vec<Socket> = (0..100).map(|_| Socket::open(&proxy, Protocol::Plain)).collect();
    for (at, socket) in sockets.iter_mut().enumerate() {
        socket.exchange(&Frame::new(Opcode::Text, at.to_string()));
    }
    drop(sockets);
    eventually("all of them are logged", || (proxy.access_lines().len() == 100).then_some(()));
}
