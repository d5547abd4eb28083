//! What a handshake of TLS 1.3 costs rp and nginx: full ones, and ones that resume from a ticket. Both servers have the same
//! certificate (ECDSA, P-256), one worker, and clients that know one cipher suite and one group, so that the work is equal.
//!
//! `cargo bench --bench handshakes`, with Debian's package `nginx-light`. `RP_BENCH_ROUNDS` is how often each server has its
//! turns, and `RP_BENCH_HANDSHAKES` how many handshakes are one turn.

#[path = "../tests/e2e/harness/mod.rs"]
mod harness;

use std::io::{ErrorKind, Read as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::{Authority, Folder, Program, Proxy, door, of};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::{CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup};

/// Clients at once: enough that one worker never waits for them, on a machine that they share with it.
const CLIENTS: usize = 4;
/// No turn takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "example.com";
const BODY: &str = "hello";

fn main() {
    let set = |name: &str, usual: u32| std::env::var(name).ok().and_then(|said| said.parse().ok()).unwrap_or(usual);
    // `cargo test` runs it, too, which shows that it can be run.
    let (rounds, turn) = if std::env::args().any(|argument| argument == "--bench") { (6, 3000) } else { (1, 20) };
    let (rounds, turn) = (set("RP_BENCH_ROUNDS", rounds), set("RP_BENCH_HANDSHAKES", turn));
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&[NAME]).save(&folder, "server");
    let proxy = rp(&certificate, &key);
    let (nginx, at) = nginx(folder, &certificate, &key);
    let sides =
        [Side::of("rp", proxy.address(), proxy.pid(), &authority), Side::of("nginx", at, nginx.pid(), &authority)];
    let mut rows = [Row::of("full"), Row::of("resumed")];
    for round in 0..rounds {
        for row in &mut rows {
            row.rounds.push([Spent::default(); 2]);
            // Who began in one round comes second in the next.
            for at in [round % 2, (round + 1) % 2].map(|at| at as usize) {
                let spent = sides[at].take_turn(row.kind, turn);
                row.rounds.last_mut().unwrap()[at] += spent;
            }
        }
    }
    println!("{:<10} {:<8} {:>12} {:>10} {:>18}", "handshakes", "server", "count", "CPU s", "each CPU second");
    rows.iter().for_each(Row::print);
}

/// A kind of handshake, and what each server spent on it in each round.
struct Row {
    kind: &'static str,
    rounds: Vec<[Spent; 2]>,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    handshakes: u32,
    seconds: f64,
}

impl Spent {
    fn rate(self) -> f64 {
        f64::from(self.handshakes) / self.seconds
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.handshakes += other.handshakes;
        self.seconds += other.seconds;
    }
}

impl Row {
    fn of(kind: &'static str) -> Self {
        Self { kind, rounds: Vec::new() }
    }

    fn print(&self) {
        let mut all = [Spent::default(); 2];
        for round in &self.rounds {
            all[0] += round[0];
            all[1] += round[1];
        }
        for (name, spent) in ["rp", "nginx"].iter().zip(all) {
            let (count, seconds, rate) = (spent.handshakes, spent.seconds, spent.rate());
            println!("{:<10} {name:<8} {count:>12} {seconds:>10.2} {rate:>18.0}", self.kind);
        }
        let ratio = |[ours, theirs]: [Spent; 2]| ours.rate() / theirs.rate();
        let each = self.rounds.iter().copied().map(ratio);
        let (least, most) = (each.clone().fold(f64::INFINITY, f64::min), each.fold(0.0, f64::max));
        println!("{:<10} rp/nginx {:>12.2}  (by round {least:.2} to {most:.2})", self.kind, ratio(all));
    }
}

/// A server, and the clients that come to it.
struct Side {
    door: SocketAddr,
    pid: u32,
    /// Keeps no tickets.
    forgetful: Arc<ClientConfig>,
    /// One for each client, which has a ticket.
    mindful: Vec<Arc<ClientConfig>>,
}

impl Side {
    fn of(name: &str, door: SocketAddr, pid: u32, authority: &Authority) -> Self {
        let forgetful = client(authority, Resumption::disabled());
        let mindful: Vec<_> = (0..CLIENTS).map(|_| client(authority, Resumption::in_memory_sessions(4))).collect();
        // What is made once is made by the first, and the others leave a ticket with each client.
        answers(name, door, &forgetful);
        mindful.iter().for_each(|config| shake(door, config, HandshakeKind::Full));
        Self { door, pid, forgetful, mindful }
    }

    /// So many handshakes of a kind, each checked to be one.
    fn take_turn(&self, kind: &str, count: u32) -> Spent {
        let is_full = kind == "full";
        let expected = if is_full { HandshakeKind::Full } else { HandshakeKind::Resumed };
        let (begun, done, start) = (AtomicU32::new(0), AtomicU32::new(0), Instant::now());
        let before = processor(self.pid);
        std::thread::scope(|scope| {
            for mindful in &self.mindful {
                let config = if is_full { &self.forgetful } else { mindful };
                scope.spawn(|| {
                    while begun.fetch_add(1, Ordering::Relaxed) < count && start.elapsed() < PATIENCE {
                        shake(self.door, config, expected);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Spent { handshakes: done.into_inner(), seconds: processor(self.pid) - before }
    }
}

fn client(authority: &Authority, resumption: Resumption) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = resumption;
    Arc::new(config)
}

fn connect(door: SocketAddr, config: &Arc<ClientConfig>) -> (ClientConnection, TcpStream) {
    let mut session = ClientConnection::new(config.clone(), NAME.try_into().unwrap()).unwrap();
    let mut tcp = TcpStream::connect(door).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut tcp).unwrap();
    }
    (session, tcp)
}

/// A handshake and the goodbye. What the server says between them is read: a ticket comes behind the handshake.
fn shake(door: SocketAddr, config: &Arc<ClientConfig>, expected: HandshakeKind) {
    let (mut session, mut tcp) = connect(door, config);
    session.send_close_notify();
    while session.wants_write() {
        session.write_tls(&mut tcp).unwrap();
    }
    tcp.shutdown(Shutdown::Write).unwrap();
    while session.read_tls(&mut tcp).unwrap() > 0 {
        session.process_new_packets().unwrap();
    }
    assert_eq!(session.handshake_kind(), Some(expected));
    let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
    assert_eq!(
        session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        Some(NamedGroup::X25519)
    );
}

/// Whether it is the server that it should be: it gives the answer that both are configured to give.
fn answers(name: &str, door: SocketAddr, config: &Arc<ClientConfig>) {
    let (session, tcp) = connect(door, config);
    let mut stream = rustls::StreamOwned::new(session, tcp);
    let question = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, question.as_bytes()).unwrap();
    let mut answer = String::new();
    if let Err(error) = stream.read_to_string(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}: {error}");
    }
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(BODY), "{name}: {answer}");
}

fn rp(certificate: &Path, key: &Path) -> Proxy {
    let config = "global { workers 1; log off }\n\
                  https://example.com:0 {\n bind 127.0.0.1\n tls {$CERTIFICATE} {$KEY}\n respond {$BODY}\n}\n";
    of(config).with("CERTIFICATE", certificate.display()).with("KEY", key.display()).with("BODY", BODY).start()
}

fn nginx(folder: Folder, certificate: &Path, key: &Path) -> (Program, SocketAddr) {
    let door = door();
    // One ticket for each handshake, as rp gives it: nginx would make two.
    let http = format!(
        "server {{\nlisten {door} ssl; server_name {NAME}; ssl_protocols TLSv1.3; ssl_conf_command NumTickets 1;\n\
         ssl_certificate {}; ssl_certificate_key {};\nlocation / {{ return 200 {BODY}; }}\n}}\n",
        certificate.display(),
        key.display()
    );
    (Program::nginx(folder, &[door], &http), door)
}

/// Seconds of the user's and the system's time, to a hundredth each. Both servers are one process.
fn processor(pid: u32) -> f64 {
    Duration::from_millis(10 * harness::processor(pid)).as_secs_f64()
}
