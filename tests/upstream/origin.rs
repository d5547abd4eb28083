//! Scripted origins, and a thread as a worker has it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use proxyfile::http::deadline;
use proxyfile::http::fault::{Cause, Fault};
use proxyfile::upstream::{Answer, Body, HostField, Limits, Outgoing, Policy, ServerSettings, Settings};
use proxyfile::upstream::{Timeouts, Trace, Upstream, Values};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;

pub type RequestBody = UnsyncBoxBody<Bytes, Fault>;

/// Runs a test on a thread of its own kind of runtime, with the tick that workers have, and not for ever.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        tokio::task::spawn_local(async {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            loop {
                interval.tick().await;
                deadline::tick();
            }
        });
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test does not end");
    });
}

/// A server that does what it is told, and remembers what it was asked.
pub struct Origin {
    pub address: SocketAddr,
    pub log: Rc<Log>,
}

#[derive(Default)]
pub struct Log {
    pub connections: Cell<usize>,
    /// Heads, as they came.
    pub requests: RefCell<Vec<String>>,
}

impl Log {
    pub fn count(&self) -> usize {
        self.requests.borrow().len()
    }
}

/// Serves each connection by `serve`, which is told which one it is, from 1.
pub async fn origin<F>(serve: impl Fn(usize, Wire) -> F + 'static) -> Origin
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Rc::<Log>::default();
    let told = log.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            told.connections.set(told.connections.get() + 1);
            tokio::task::spawn_local(serve(told.connections.get(), Wire { stream, read: vec![], log: told.clone() }));
        }
    });
    Origin { address, log }
}

/// Answers every request with `wire`, and lets the client close.
pub async fn answering(wire: &'static str) -> Origin {
    origin(move |_, mut client| async move {
        while client.head().await.is_some() {
            client.say(wire).await;
        }
    })
    .await
}

pub struct Wire {
    pub stream: TcpStream,
    read: Vec<u8>,
    log: Rc<Log>,
}

impl Wire {
    /// The head of the next request; `None` when the client closed.
    pub async fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        self.log.requests.borrow_mut().push(head.clone());
        Some(head)
    }

    /// So many bytes, or as many as there were before the client closed.
    pub async fn take(&mut self, count: usize) -> String {
        while self.read.len() < count && self.more().await {}
        let count = count.min(self.read.len());
        String::from_utf8(self.read.drain(..count).collect()).unwrap()
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may rightly have gone.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Waits until the client closes.
    pub async fn closed(&mut self) {
        while self.more().await {}
    }
}

pub fn settings(servers: &[&str]) -> Settings {
    let server = |text: &&str| ServerSettings { target: text.parse().unwrap(), weight: 1, backup: false, tls: None };
    Settings {
        name: "test".into(),
        servers: servers.iter().map(server).collect(),
        balance: Policy::RoundRobin,
        timeouts: Timeouts::default(),
        limits: Limits::default(),
        host: HostField::Kept,
        announce: None,
    }
}

pub fn upstream(origins: &[&Origin]) -> Upstream {
    let servers: Vec<String> = origins.iter().map(|origin| origin.address.to_string()).collect();
    Upstream::new(settings(&servers.iter().map(String::as_str).collect::<Vec<_>>()))
}

pub fn full(text: &'static str) -> RequestBody {
    http_body_util::Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

pub struct Request {
    pub method: Method,
    pub fields: HeaderMap,
    pub body: Option<RequestBody>,
    pub upgrade: bool,
}

impl Request {
    pub fn new(method: Method) -> Self {
        let fields = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("example.com"))]);
        Self { method, fields, body: None, upgrade: false }
    }

    pub fn get() -> Self {
        Self::new(Method::GET)
    }

    pub fn with(body: RequestBody) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST) }
    }

    pub async fn send(self, upstream: &Upstream) -> (Result<Answer, Fault>, Trace) {
        let Self { method, fields, body, upgrade } = self;
        let mut trace = Trace::default();
        let mut request = Outgoing {
            method: &method,
            target: b"/path?query",
            headers: &fields,
            also: &[],
            body,
            upgrade,
            values: Values::Own,
            announcement: b"",
        };
        let answer = upstream.send(&mut request, &mut trace).await;
        (answer, trace)
    }

    /// The response, which there must be.
    pub async fn response(self, upstream: &Upstream) -> Response<Body> {
        match self.send(upstream).await {
            (Ok(Answer::Response(response)), _) => response,
            (Ok(Answer::Upgraded { .. }), _) => panic!("upgraded"),
            (Err(fault), trace) => panic!("{fault} {trace:?}"),
        }
    }

    /// The cause of the failure that there must be, be it in the body.
    pub async fn cause(self, upstream: &Upstream) -> (Cause, Trace) {
        match self.send(upstream).await {
            (Err(fault), trace) => (fault.cause, trace),
            (Ok(Answer::Response(response)), trace) => {
                (read(response.into_body()).await.expect_err("the body is whole").cause, trace)
            }
            (Ok(Answer::Upgraded { .. }), _) => panic!("upgraded"),
        }
    }
}

pub async fn get(upstream: &Upstream) -> (u16, String) {
    let response = Request::get().response(upstream).await;
    (response.status().as_u16(), read(response.into_body()).await.unwrap())
}

pub async fn read(body: Body) -> Result<String, Fault> {
    let data = body.collect().await?.to_bytes();
    Ok(String::from_utf8(data.to_vec()).unwrap())
}

pub async fn next(body: &mut Body) -> Option<Result<http_body::Frame<Bytes>, Fault>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}
