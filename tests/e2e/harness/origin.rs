//! Servers that do what a script says and record every byte that they are sent.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::message::Message;
use super::pipe::Pipe;
use super::{eventually, lock};

pub struct Origin {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    open: AtomicUsize,
    requests: Mutex<Vec<Message>>,
    complaints: Mutex<Vec<String>>,
    ended: AtomicBool,
}

/// A connection, as its script sees it.
pub struct Wire {
    pub pipe: Pipe,
    /// Which connection of this origin it is, from 0.
    pub number: usize,
    closed: bool,
    state: Arc<State>,
}

impl Origin {
    /// Reads requests, strictly, and lets the script answer each.
    pub fn new(script: impl Fn(&Message, &mut Wire) + Send + Sync + 'static) -> Self {
        Self::raw(requests(script))
    }

    /// The same over TLS.
    pub fn tls(
        config: Arc<rustls::ServerConfig>,
        script: impl Fn(&Message, &mut Wire) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(config), requests(script))
    }

    /// The script has the connection to itself; nothing is read for it.
    pub fn raw(script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        Self::listen(None, script)
    }

    /// The same over TLS.
    pub fn raw_tls(config: Arc<rustls::ServerConfig>, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        Self::listen(Some(config), script)
    }

    /// Gives every request the same answer.
    pub fn answering(answer: &'static str) -> Self {
        Self::new(move |_, wire| wire.say(answer))
    }

    /// Answers 200 with this text.
    pub fn saying(text: &str) -> Self {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        Self::new(move |request, wire| {
            let head = answer.find("\r\n\r\n").unwrap() + 4;
            wire.say(if request.method() == "HEAD" { &answer[..head] } else { &answer });
        })
    }

    /// An address where nobody listens, and nobody else will: the socket stays, for as long as the tests run.
    pub fn nobody() -> SocketAddr {
        let socket = bound();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        std::mem::forget(socket);
        address
    }

    fn listen(tls: Option<Arc<rustls::ServerConfig>>, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let (script, shared) = (Arc::new(script), state.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let record = Arc::<Mutex<Vec<u8>>>::default();
                let number = {
                    let mut connections = lock(&shared.connections);
                    connections.push(record.clone());
                    connections.len() - 1
                };
                shared.open.fetch_add(1, Ordering::SeqCst);
                let (tls, script, state) = (tls.clone(), script.clone(), shared.clone());
                std::thread::spawn(move || {
                    if let Ok(mut pipe) = accept(stream, tls) {
                        pipe.record = Some(record);
                        script(&mut Wire { pipe, number, closed: false, state: state.clone() });
                    }
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, state }
    }

    /// How many connections there ever were.
    pub fn connections(&self) -> usize {
        lock(&self.state.connections).len()
    }

    /// How many are served at the moment.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Every byte that a connection has brought so far and a script has read.
    pub fn bytes(&self, connection: usize) -> Vec<u8> {
        lock(&lock(&self.state.connections)[connection]).clone()
    }

    /// Every byte of every connection, in order of the connections.
    pub fn all_bytes(&self) -> Vec<u8> {
        lock(&self.state.connections).iter().flat_map(|record| lock(record).clone()).collect()
    }

    /// The requests so far. Fails the test if anything came that was none.
    pub fn requests(&self) -> Vec<Message> {
        let complaints = lock(&self.state.complaints);
        assert!(complaints.is_empty(), "the origin was sent what is no request: {complaints:?}");
        lock(&self.state.requests).clone()
    }

    /// How many requests arrived whole, whatever else came.
    pub fn whole_requests(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// Waits for so many requests.
    pub fn wait_for(&self, count: usize) -> Vec<Message> {
        eventually(&format!("request {count}"), || Some(self.requests()).filter(|requests| requests.len() >= count))
    }

    /// The one request that there was.
    pub fn request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

/// With room for many who wait: on a busy machine whoever takes them may not have its turn for seconds.
fn listener() -> TcpListener {
    let socket = bound();
    socket.listen(4096).unwrap();
    socket.into()
}

fn bound() -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

fn accept(tcp: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<Pipe> {
    let Some(config) = tls else { return Ok(Pipe::plain(tcp)) };
    tcp.set_read_timeout(Some(super::PATIENCE))?;
    let mut beneath = tcp.try_clone()?;
    let mut session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut beneath)?;
    }
    Ok(Pipe::new(tcp, Box::new(rustls::StreamOwned::new(session, beneath))))
}

fn requests(script: impl Fn(&Message, &mut Wire)) -> impl Fn(&mut Wire) {
    move |wire| {
        while !wire.closed {
            let Some(request) = wire.request() else { break };
            script(&request, wire);
        }
    }
}

impl Wire {
    /// The next request; it is recorded, and so is what was no request. `None` when there are no more.
    pub fn request(&mut self) -> Option<Message> {
        let outcome = Message::request(&mut self.pipe);
        match outcome {
            Ok(Some(request)) => {
                lock(&self.state.requests).push(request.clone());
                Some(request)
            }
            Ok(None) => None,
            Err(complaint) => {
                lock(&self.state.complaints).push(complaint);
                None
            }
        }
    }

    /// What the other side says until it has said `end`; `None` if it closes before.
    pub fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        self.pipe.until(end)
    }

    pub fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        self.pipe.exactly(count)
    }

    /// Sends bytes. The other side may rightly have gone.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.pipe.send(bytes);
    }

    /// Answers 200 with this body.
    pub fn ok(&mut self, body: &str) {
        self.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Waits until the other side closes or resets; what it said before is recorded.
    pub fn wait_closed(&mut self) {
        while matches!(self.pipe.fill(), Ok(1..)) {}
    }

    pub fn finish(&mut self) {
        self.pipe.finish();
    }

    pub fn close(&mut self) {
        self.closed = true;
        self.pipe.close();
    }

    pub fn reset(&mut self) {
        self.closed = true;
        self.pipe.reset();
    }
}
