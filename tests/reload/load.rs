//! Requirement D07 and threat XZ12: many reloads under load, good and bad files by turns. No request fails, nothing is
//! reset, a tunnel and a download live on, and nothing grows.
//!
//! `RP_RELOADS=1000 cargo test --release --test reload load` runs the long form.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::harness::{Client, Frame, Opcode, Origin, Proxy, WebSocket, get};
use crate::running::{Running, placed};

fn config(turn: usize) -> String {
    format!(
        "global {{ admin unix/{{$PLACE}}/admin.sock; log off; limit requests 1000000000 }}\n\
         upstream pool {{ server {{$ORIGIN}} }}\n\
         :0 {{\n    bind 127.0.0.1\n    header {{ set X-Turn {turn} }}\n    rate_limit 1000000/s\n\
         route /ws {{ reverse_proxy {{$TUNNEL}} }}\n    route /static {{ respond static }}\n    reverse_proxy pool\n}}\n"
    )
}

/// Asks as `rp reload` does, without the cost of a process.
fn reload(socket: &Path) -> bool {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"{\"command\":\"reload\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str::<serde_json::Value>(&answer).unwrap()["ok"] == true
}

/// What runs beside the reloads, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), requests: Arc::default(), threads: Vec::new() }
    }

    /// Does this again and again. A failed request is a panic, which [`Self::end`] passes on.
    fn add(&mut self, mut step: impl FnMut() + Send + 'static) {
        let (stop, requests) = (self.stop.clone(), self.requests.clone());
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                step();
                requests.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a request failed");
        }
        self.requests.load(Ordering::Relaxed)
    }
}

fn origin() -> Origin {
    Origin::new(|request, wire| match request.target() {
        // A download without an end: it is over when nobody takes it any more.
        "/download" => {
            wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
            while wire.pipe.send(&chunk).is_ok() {}
        }
        _ => wire.ok("from the server"),
    })
}

fn tunnel() -> Origin {
    Origin::raw(|wire| {
        wire.until(b"\r\n\r\n");
        wire.say(WebSocket::accepted(""));
        while let Some(frame) = Frame::read(&mut wire.pipe) {
            wire.say(Frame::new(Opcode::Text, frame.payload).encode());
        }
    })
}

#[derive(Debug, Clone, Copy)]
struct Size {
    kilobytes: usize,
    descriptors: usize,
}

fn size(proxy: &Proxy) -> Size {
    let process = format!("/proc/{}", proxy.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Size {
        kilobytes: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
    }
}

fn load(proxy: &Proxy) -> Load {
    let mut load = Load::new();
    let address = proxy.address();
    for target in ["/", "/static", "/"] {
        let mut client = Client::connect(address);
        load.add(move || assert_eq!(client.get("a", target).status(), 200));
    }
    load.add(move || assert_eq!(get(address, "a", "/").text(), "from the server"));
    let mut socket = Client::connect(address);
    socket.send(WebSocket::request("a", "/ws", ""));
    assert_eq!(socket.response().status(), 101);
    load.add(move || {
        socket.send(Frame::new(Opcode::Text, "there?").masked().encode());
        assert_eq!(Frame::read(&mut socket.pipe).expect("the tunnel is cut").payload, b"there?");
    });
    let mut download = Client::connect(address);
    download.send("GET /download HTTP/1.1\r\nHost: a\r\n\r\n");
    download.pipe.until(b"\r\n\r\n").unwrap();
    load.add(move || {
        // Slowly, so that others have something of the machine too.
        download.pipe.exactly(64 * 1024).expect("the download is cut");
        std::thread::sleep(std::time::Duration::from_millis(2));
    });
    load
}

#[test]
fn d07_xl07_xz09_xz12_reloads_under_load_cost_nobody_anything() {
    let count: usize = std::env::var("RP_RELOADS").map_or(100, |count| count.parse().unwrap());
    let (origin, tunnel) = (origin(), tunnel());
    let mut placed = placed(&config(0));
    placed.setup = placed.setup.with("ORIGIN", &origin).with("TUNNEL", &tunnel);
    let proxy = placed.start_in_place();
    let socket = proxy.kept[0].path().join("admin.sock");
    let load = load(&proxy);
    let mut before = None;
    let start = std::time::Instant::now();
    for turn in 1..=count {
        if turn % 2 == 0 {
            proxy.rewrite(&format!("{}\n:0 {{ reverse_porxy x }}\n", config(turn)));
            assert!(!reload(&socket), "a bad file was put in force");
        } else {
            proxy.rewrite(&config(turn));
            assert!(reload(&socket), "a good file was refused");
            assert_eq!(proxy.get("/static").field("x-turn"), Some(turn.to_string().as_str()));
        }
        // Not before everything that is made once has been made.
        if turn == count / 5 {
            before = Some(size(&proxy));
        }
    }
    let took = start.elapsed();
    let after = size(&proxy);
    let before = before.unwrap();
    let requests = load.end();
    println!("{count} reloads in {took:?} beside {requests} requests: {before:?} → {after:?}");
    assert!(requests > count, "there was no load: {requests}");
    // One connection more or less of a client at that very moment, with its server's.
    assert!(after.descriptors <= before.descriptors + 8, "{before:?} → {after:?}");
    let limit = before.kilobytes + before.kilobytes / 4 + 4096;
    assert!(after.kilobytes < limit, "{before:?} → {after:?}");
    // A folder as busy as this one is looked at every two seconds; such a look may come between a file and its command.
    let looks = usize::try_from(took.as_secs()).unwrap() / 2 + 1;
    let reloads = proxy.reloads() - count.div_ceil(2);
    assert!(reloads <= looks, "the watch saw what had been reloaded already, {reloads} times in {took:?}");
}
