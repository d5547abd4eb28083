//! A connection through the whole of rp, in one thread and without a clock: bytes of a client go in, and a server at the
//! other end reads strictly what comes out.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use proxyfile::http::path::canonical;
use proxyfile::server::Source;
use proxyfile::server::alone::Alone;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::LocalRuntime;
use tokio::task::{spawn_local, yield_now};

use super::strict::{Read, Request, request};

/// Turns of the runtime in which nothing moves: nothing will, since there is no clock.
const CALM: usize = 40;
/// Turns that no input may take.
const MOST: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    Http1,
    Http2,
}

/// What came of a connection.
#[derive(Debug)]
pub struct Passed {
    /// All that the client was sent.
    pub answer: Vec<u8>,
    /// What servers were sent, in the order in which it ended.
    pub seen: Vec<Request>,
}

/// A connection of these bytes, so many at a time; 0: as many as there are.
pub fn pass(protocol: Protocol, bytes: &[u8], cut: usize) -> Passed {
    thread_local! {
        static STAGE: Stage = Stage::new();
    }
    STAGE.with(|stage| stage.pass(protocol, bytes, if cut == 0 { usize::MAX } else { cut }))
}

struct Stage {
    runtime: LocalRuntime,
    alone: Rc<Alone>,
    origin: Rc<Origin>,
    folder: PathBuf,
}

impl Stage {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rp-cases-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let socket = folder.join("origin");
        let runtime = super::runtime();
        let origin = Rc::new(Origin::default());
        let serving = origin.clone();
        let path = socket.clone();
        runtime.block_on(async move {
            let listener = UnixListener::bind(path).expect("a socket");
            spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    spawn_local(serving.clone().serve(stream));
                }
            });
        });
        let site = format!(
            ":8080 {{\n bind 127.0.0.1\n log off\n max_body 64KiB\n header set X-Site yes\n\
             route /own/* {{ respond \"own {{path}}\" }}\n reverse_proxy unix/{}\n}}\n",
            socket.display()
        );
        let alone = Alone::of(&Source::Text(site)).expect("a site");
        Self { runtime, alone: Rc::new(alone), origin, folder }
    }

    fn pass(&self, protocol: Protocol, bytes: &[u8], cut: usize) -> Passed {
        let passed = self.runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
            let alone = self.alone.clone();
            let task = spawn_local(async move {
                match protocol {
                    Protocol::Http1 => alone.serve_http1(theirs).await,
                    Protocol::Http2 => alone.serve_http2(theirs).await,
                }
            });
            let answer = self.converse(&ours, bytes, cut).await;
            drop(ours);
            self.settle(|| task.is_finished() && !self.alone.holds() && self.origin.busy.get() == 0).await;
            if let Err(error) = task.await {
                std::panic::resume_unwind(error.into_panic());
            }
            Passed { answer, seen: self.origin.seen.take() }
        });
        let wrong = self.origin.wrong.take();
        assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
        passed
    }

    /// Says all of it and listens, until nothing moves any more.
    async fn converse(&self, stream: &UnixStream, mut rest: &[u8], cut: usize) -> Vec<u8> {
        let (mut answer, mut ended, mut calm) = (Vec::new(), false, 0);
        let mut chunk = vec![0; 64 * 1024];
        for _ in 0..MOST {
            let before = (rest.len(), answer.len(), self.origin.moves.get(), ended);
            let piece = &rest[..cut.min(rest.len())];
            match stream.try_write(piece) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => rest = &[],
            }
            loop {
                match stream.try_read(&mut chunk) {
                    Ok(0) => ended = true,
                    Ok(read) => {
                        answer.extend_from_slice(&chunk[..read]);
                        continue;
                    }
                    Err(error) => ended |= error.kind() != std::io::ErrorKind::WouldBlock,
                }
                break;
            }
            yield_now().await;
            let moved = before != (rest.len(), answer.len(), self.origin.moves.get(), ended);
            calm = if moved { 0 } else { calm + 1 };
            if calm == CALM {
                return answer;
            }
        }
        panic!("it goes on and on");
    }

    async fn settle(&self, done: impl Fn() -> bool) {
        for _ in 0..MOST {
            if done() {
                return;
            }
            yield_now().await;
        }
        panic!("the connection is over, and something of it is still there");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server.
#[derive(Default)]
struct Origin {
    seen: RefCell<Vec<Request>>,
    wrong: RefCell<Option<String>>,
    /// Grows with each thing that happens here.
    moves: Cell<usize>,
    /// Connections on which a request is under way.
    busy: Cell<usize>,
}

impl Origin {
    async fn serve(self: Rc<Self>, mut stream: UnixStream) {
        let mut buffer = Vec::new();
        let mut busy = Busy { origin: &self, is: false };
        while let Ok(read) = stream.read_buf(&mut buffer).await {
            self.moves.set(self.moves.get() + 1);
            if read == 0 {
                break;
            }
            busy.set(true);
            match request(&buffer) {
                Read::Whole(request, length) => {
                    let answer = answer(&request);
                    if length < buffer.len() {
                        self.wrong("bytes behind a request", &buffer);
                    }
                    buffer.clear();
                    self.take(request);
                    busy.set(false);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                    if answer.starts_with(b"HTTP/1.1 101") {
                        // What comes now is another protocol's.
                        while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                            self.moves.set(self.moves.get() + 1);
                        }
                        return;
                    }
                }
                Read::Begun(request) if request.target.starts_with(b"/early") => {
                    let _ = stream.write_all(&answer(&request)).await;
                }
                Read::Begun(_) | Read::Starved => {}
                Read::Refused(why) => return self.wrong(why, &buffer),
            }
        }
        if let Read::Begun(request) = request(&buffer) {
            self.take(request);
        }
    }

    fn take(&self, request: Request) {
        if let Err(why) = sound(&request) {
            self.wrong(why, format!("{request:?}").as_bytes());
        }
        self.seen.borrow_mut().push(request);
    }

    fn wrong(&self, why: &str, bytes: &[u8]) {
        self.wrong.borrow_mut().get_or_insert_with(|| format!("a server is sent {why}: {}", bytes.escape_ascii()));
    }
}

/// Counts a connection while something is under way on it.
struct Busy<'o> {
    origin: &'o Origin,
    is: bool,
}

impl Busy<'_> {
    fn set(&mut self, is: bool) {
        let busy = &self.origin.busy;
        busy.set(busy.get() + usize::from(is) - usize::from(self.is));
        self.is = is;
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// What rp promises its servers, whatever came in.
fn sound(request: &Request) -> Result<(), &'static str> {
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_canonical = str::from_utf8(path).is_ok_and(|path| canonical(path) == Ok(None));
    let rules = [
        (request.minor == 1, "another version"),
        (is_canonical || (request.target == b"*" && request.method == "OPTIONS"), "a path of another form"),
        (request.count("host") == 1, "no host, or two"),
        (request.count("content-length") + request.count("transfer-encoding") <= 1, "two framings"),
        (
            ["keep-alive", "proxy", "proxy-connection", "http2-settings"].iter().all(|name| request.count(name) == 0),
            "a field of another hop",
        ),
        (
            request
                .fields
                .iter()
                .all(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
            "a name in disguise",
        ),
        (request.values("x-forwarded-for").eq([b"192.0.2.1"]), "a made-up client"),
        (request.values("x-real-ip").eq([b"192.0.2.1"]), "a made-up address"),
        (request.count("connection") == request.count("upgrade"), "a connection's field"),
        (request.values("upgrade").all(|value| value == b"websocket"), "a switch to another protocol"),
        (!["CONNECT", "TRACE"].contains(&request.method.as_str()), "a method that goes no further"),
        (request.body.len() <= 64 * 1024, "a longer body than allowed"),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
}

/// Its answer is of a kind that the path asks for.
fn answer(request: &Request) -> Vec<u8> {
    let path = String::from_utf8_lossy(&request.target).into_owned();
    let body = |fields: &str, body: &str| {
        let body = if request.method == "HEAD" { "" } else { body };
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}").into_bytes()
    };
    match path.as_bytes().get(1) {
        Some(b'c') => body("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n3\r\n, t\r\n0\r\nX-Sum: 1\r\n\r\n"),
        Some(b'b') => body("Content-Length: 40000\r\n", &"b".repeat(40_000)),
        Some(b'n') => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        Some(b'i') => {
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", body("Content-Length: 0\r\n", "").as_slice()].concat()
        }
        Some(b's') if request.count("upgrade") == 1 => {
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec()
        }
        _ => body("Content-Length: 2\r\n", "ok"),
    }
}
