//! What HTTP/3 costs beside HTTP/2, in rp and in Caddy where that is installed: processor time of a proxied request of 1 KB and of
//! a handshake, and memory of a connection that waits.
//!
//! `cargo bench --bench http3`. `RP_BENCH_SECONDS` is how long each row lasts, `RP_BENCH_IDLE` how many connections wait, and
//! `RP_BENCH_ONLY="rp HTTP/3"` leaves out all rows that begin otherwise.

#[path = "../tests/e2e/harness/mod.rs"]
mod harness;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::protocol::identity;
use harness::{Folder, H2, H3, Origin, Protocol, eventually, free_port};
use tokio::task::JoinSet;

/// Connections, and requests at once on each.
const CONNECTIONS: u32 = 4;
const STREAMS: usize = 8;

fn main() {
    let set = |name: &str, usual: u32| std::env::var(name).ok().and_then(|said| said.parse().ok()).unwrap_or(usual);
    // `cargo test` runs it, too, which shows that it can be run.
    let (time, idle) = if std::env::args().any(|argument| argument == "--bench") { (5, 500) } else { (1, 20) };
    let (time, idle) = (Duration::from_secs(set("RP_BENCH_SECONDS", time).into()), set("RP_BENCH_IDLE", idle));
    let body: &'static str = "x".repeat(1024).leak();
    let origin = Origin::saying(body);
    println!(
        "{:<14} {:>12} {:>16} {:>18} {:>20}",
        "", "requests/s", "µs a request", "µs a handshake", "KiB that waits"
    );
    let only = std::env::var("RP_BENCH_ONLY").unwrap_or_default();
    let config =
        "global { workers 1; log off; limit requests 100000000 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}";
    for round in 0..2 {
        for over in [Protocol::Http2, Protocol::Http3] {
            let (ours, theirs) = (format!("rp {over} {round}"), format!("Caddy {over} {round}"));
            if ours.starts_with(&only) {
                let proxy = over.of(config).with("ORIGIN", &origin).start();
                measure(&ours, proxy.address(), proxy.pid(), over, time, idle);
            }
            let folder = Folder::new();
            if theirs.starts_with(&only)
                && let Some(caddy) = Caddy::start(&folder, &origin)
            {
                measure(&theirs, caddy.door, caddy.child.id(), over, time, idle);
            }
        }
    }
}

fn measure(name: &str, address: SocketAddr, pid: u32, over: Protocol, time: Duration, idle: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What is made once is made by the first.
        drop(open(address, over, 20).await);
        let (memory, spent) = (resident(pid), processor(pid));
        let waiting = open(address, over, idle).await;
        let idle = f64::from(idle);
        let handshake = (processor(pid) - spent) / idle * 1e6;
        let each = (resident(pid) - memory) / idle;
        drop(waiting);
        let mut tasks = JoinSet::new();
        let (spent, start) = (processor(pid), Instant::now());
        for connection in open(address, over, CONNECTIONS).await {
            for _ in 0..STREAMS {
                tasks.spawn(ask_until(connection.clone(), start + time));
            }
        }
        let mut requests = 0.0;
        while let Some(count) = tasks.join_next().await {
            requests += f64::from(count.unwrap());
        }
        let (elapsed, spent) = (start.elapsed().as_secs_f64(), processor(pid) - spent);
        println!(
            "{name:<14} {:>12.0} {:>16.1} {handshake:>18.0} {each:>20.1}",
            requests / elapsed,
            spent * 1e6 / requests
        );
    });
}

#[derive(Clone)]
enum Connection {
    Two(h2::client::SendRequest<bytes::Bytes>, #[expect(dead_code, reason = "held while it is asked")] Arc<H2>),
    Three(
        h3::client::SendRequest<h3_quinn::OpenStreams, bytes::Bytes>,
        #[expect(dead_code, reason = "held while it is asked")] Arc<H3>,
    ),
}

/// Connections on which one request has been answered.
async fn open(address: SocketAddr, over: Protocol, count: u32) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let connection = if over == Protocol::Http2 {
            let client = H2::tls(address, "example.com", identity().1.client(&["h2"])).await;
            Connection::Two(client.sender.clone(), Arc::new(client))
        } else {
            let client = H3::connect(address, "example.com", identity().1.client(&["h3"])).await;
            Connection::Three(client.sender.clone(), Arc::new(client))
        };
        connections.push(connection.clone());
        ask(connection).await;
    }
    connections
}

async fn ask_until(connection: Connection, end: Instant) -> u32 {
    let mut count = 0;
    while Instant::now() < end {
        ask(connection.clone()).await;
        count += 1;
    }
    count
}

async fn ask(connection: Connection) {
    let request = http::Request::get("https://example.com/").body(()).unwrap();
    let length = match connection {
        Connection::Two(sender, _) => {
            let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut length = 0;
            while let Some(piece) = harness::h2::next(&mut body).await.unwrap() {
                length += piece.len();
            }
            length
        }
        Connection::Three(mut sender, _) => {
            let mut stream = sender.send_request(request).await.unwrap();
            stream.finish().await.unwrap();
            assert_eq!(stream.recv_response().await.unwrap().status(), 200);
            let mut length = 0;
            while let Some(piece) = stream.recv_data().await.unwrap() {
                length += bytes::Buf::remaining(&piece);
            }
            length
        }
    };
    assert_eq!(length, 1024);
}

/// KiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Seconds of the user's and the system's time of all threads, to a hundredth.
fn processor(pid: u32) -> f64 {
    Duration::from_millis(10 * harness::processor(pid)).as_secs_f64()
}

struct Caddy {
    child: Child,
    door: SocketAddr,
}

impl Caddy {
    fn start(folder: &Folder, origin: &Origin) -> Option<Self> {
        let ((certificate, key), _) = identity();
        let (port, plain) = (free_port(), free_port());
        let config = folder.write(
            "Caddyfile",
            format!(
                "{{\n admin off\n http_port {plain}\n auto_https disable_redirects\n}}\n\
                 https://example.com:{port} {{\n bind 127.0.0.1\n tls {} {}\n reverse_proxy {origin}\n}}\n",
                certificate.display(),
                key.display()
            ),
        );
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config).env("HOME", folder.path());
        // As many threads as rp's workers.
        command.env("GOMAXPROCS", "1");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let door = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("Caddy listens", || std::net::TcpStream::connect(door).ok());
        Some(Self { child, door })
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
