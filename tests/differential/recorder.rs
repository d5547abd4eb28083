//! The server behind each proxy: it answers whatever can be taken for a request and keeps every byte that reaches it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::{eventually, lock};
use crate::readers::READERS;

pub struct Recorder {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: Mutex<Vec<Vec<u8>>>,
    /// How many were taken, and how many of them are done with.
    taken: Mutex<(usize, usize)>,
    fences: Mutex<usize>,
    ended: AtomicBool,
}

/// What the recorder itself says, to know that all connections before it have been taken.
const FENCE: &[u8] = b"\0fence";

impl Recorder {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(tcp) = tcp else { continue };
                let number = {
                    let mut connections = lock(&shared.connections);
                    connections.push(Vec::new());
                    connections.len() - 1
                };
                lock(&shared.taken).0 += 1;
                let state = shared.clone();
                std::thread::spawn(move || {
                    state.record(tcp, number);
                    lock(&state.taken).1 += 1;
                });
            }
        });
        Self { address, state }
    }

    /// What each connection has brought so far, without those that brought nothing.
    pub fn connections(&self) -> Vec<Vec<u8>> {
        lock(&self.state.connections).iter().filter(|bytes| !bytes.is_empty() && *bytes != FENCE).cloned().collect()
    }

    /// Everything that has come since this was last asked, once all connections have ended. For proxies that use none
    /// twice.
    pub fn settle(&self) -> Vec<Vec<u8>> {
        use std::io::Write as _;
        // Connections are taken in the order in which they came: behind this one there is none of the case's.
        let fences = *lock(&self.state.fences);
        TcpStream::connect(self.address).unwrap().write_all(FENCE).unwrap();
        eventually("the fence", || (*lock(&self.state.fences) > fences).then_some(()));
        eventually("the end of all connections to the server", || {
            let (taken, done) = *lock(&self.state.taken);
            (taken == done).then_some(())
        });
        let all = self.connections();
        lock(&self.state.connections).iter_mut().for_each(Vec::clear);
        all
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn record(&self, mut tcp: TcpStream, number: usize) {
        use std::io::{Read as _, Write as _};
        tcp.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        let (mut all, mut answered, mut encouraged) = (Vec::new(), 0, false);
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = tcp.read(&mut piece) {
            all.extend_from_slice(&piece[..read]);
            lock(&self.connections)[number].extend_from_slice(&piece[..read]);
            if all == FENCE {
                *lock(&self.fences) += 1;
                return;
            }
            // As lenient as can be, so that whatever is sent is answered.
            let found = READERS[1].read(&all);
            let waits = found.last().is_some_and(|last| last.as_ref().is_ok_and(|request| request.end.is_none()));
            if waits && !encouraged && all.to_ascii_lowercase().windows(7).any(|name| name == b"expect:") {
                encouraged = true;
                let _ = tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            for request in found.iter().skip(answered) {
                match request {
                    Ok(request) if request.end.is_some() => {
                        let body = if request.method == "HEAD" { "" } else { "ok" };
                        let _ = tcp.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").as_bytes());
                        answered += 1;
                    }
                    _ => break,
                }
            }
        }
    }
}
