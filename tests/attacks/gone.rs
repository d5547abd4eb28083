//! Threat XZ11: clients that leave while something is under way for them. What was counted for them is given back.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Client, Origin, Proxy, eventually, of};

/// Answers by the path: never, half, or by a tunnel that stays open; everything else at once, with its own name.
pub fn origin(name: &'static str) -> Origin {
    Origin::raw(move |wire| {
        while let Some(head) = wire.until(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&head).into_owned();
            match head.split(' ').nth(1) {
                Some("/head" | "/up") => wire.wait_closed(),
                Some("/down") => {
                    wire.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf");
                    wire.wait_closed();
                }
                Some("/tunnel") => {
                    wire.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
                    wire.wait_closed();
                }
                _ => {
                    wire.ok(name);
                    continue;
                }
            }
            return;
        }
    })
}

/// A client that has come so far.
fn at(stage: &str, proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    match stage {
        "connected" => {}
        "half a head" => drop(client.send("GET / HTTP/1.1\r\nHost: exam")),
        "unanswered" => drop(client.send("GET /head HTTP/1.1\r\nHost: example.com\r\n\r\n")),
        "sending" => {
            client.send("POST /up HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\nhalf");
        }
        "receiving" => {
            client.send("GET /down HTTP/1.1\r\nHost: example.com\r\n\r\n");
            assert!(client.pipe.until(b"half").is_some());
        }
        "connecting" => drop(client.send("GET /silent HTTP/1.1\r\nHost: example.com\r\n\r\n")),
        _ => {
            client.send("GET /tunnel HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
            assert!(client.pipe.until(b"\r\n\r\n").is_some());
        }
    }
    client
}

/// A server whose queue is full, so that it does not even take connections.
pub struct Silent {
    pub address: SocketAddr,
    _socket: socket2::Socket,
    _queued: Vec<TcpStream>,
}

impl Silent {
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok());
        Self { address, _queued: queued.take(16).collect(), _socket: socket }
    }
}

/// Nothing where the admin socket is not open yet: the doors are open before it.
fn status(proxy: &Proxy) -> Option<Value> {
    let output = crate::harness::command(&proxy.folder).args(["status", "--format", "json"]).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Waits until as many are there.
pub fn until(proxy: &Proxy, name: &str, count: u64) {
    eventually(&format!("{count} {name}"), || (status(proxy)?[name] == count).then_some(()));
}

#[test]
fn xz11_who_leaves_leaves_nothing_behind() {
    const EACH: usize = 10;
    let (one, two) = (origin("one"), origin("two"));
    let silent = Silent::new();
    let config = "global { workers 2; limit connections_per_address 80 }\nupstream pool {\n server {$ONE}\n server {$TWO}\n balance least_conn\n}\n\
                  :0 {\n bind 127.0.0.1\n route /silent { reverse_proxy {$SILENT} { timeout connect 60s } }\n reverse_proxy pool\n}";
    let proxy = of(config).with("ONE", &one).with("TWO", &two).with("SILENT", silent.address).start();
    let stages = ["connected", "half a head", "connecting", "unanswered", "sending", "receiving", "in a tunnel"];
    // In orderly ends and in resets, some at once and some when everything is under way.
    for reset in [false, true] {
        let clients: Vec<Client> = (0..EACH).flat_map(|_| stages).map(|stage| at(stage, &proxy)).collect();
        until(&proxy, "connections", clients.len() as u64);
        // Those that have not said a whole head are none, and tunnels are no longer any.
        until(&proxy, "requests", 4 * EACH as u64);
        for client in clients {
            if reset {
                socket2::SockRef::from(client.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        until(&proxy, "requests", 0);
        until(&proxy, "connections", 0);
        eventually("servers are left, too", || (one.open() + two.open() == 0).then_some(()));
    }
    // Every seat is free: so many connections are served at once. And no server seems to have requests under way, since it
    // would be asked less often.
    let mut clients: Vec<Client> = (0..80).map(|_| proxy.client()).collect();
    let mut by_one = 0;
    for client in &mut clients {
        by_one += usize::from(client.get("example.com", "/").text() == "one");
    }
    assert!((30..=50).contains(&by_one), "{by_one} of 80");
}
