//! A client of any protocol: one way to ask, and one kind of answer.
//!
//! What is sent here is well formed in all of them. Who wants to see how rp takes what is not sends bytes of its own
//! (`Client`, `RawH3`).

use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::OnceLock;

use bytes::{Buf as _, Bytes};
use futures_util::future::{Either, select};
use h3::client::RequestStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Handle;

use super::client::Client;
use super::h2::H2;
use super::h3::H3;
use super::message::{Framing, Message};
use super::protocol::{Protocol, identity};
use super::tls::Authority;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: String,
    host: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Body>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Body {
    bytes: Vec<u8>,
    /// What `content-length` says.
    length: Option<usize>,
}

/// One connection.
pub struct Speaker {
    pub protocol: Protocol,
    host: String,
    wire: Wire,
    /// Requests whose answers nobody reads.
    unread: Vec<Under<'static>>,
}

enum Wire {
    One(Client),
    Two(H2),
    Three(H3),
}

/// A request under way.
pub struct Stream<'a> {
    method: String,
    wire: Under<'a>,
    is_chunked: bool,
}

#[allow(clippy::large_enum_variant, reason = "one at a time is under way")]
enum Under<'a> {
    One {
        client: &'a mut Client,
        left: Option<Framing>,
        trailers: Vec<(String, String)>,
    },
    Two {
        response: Option<::h2::client::ResponseFuture>,
        sender: ::h2::SendStream<Bytes>,
        body: Option<::h2::RecvStream>,
    },
    Three {
        sender: RequestStream<h3_quinn::SendStream<Bytes>, Bytes>,
        stream: RequestStream<h3_quinn::RecvStream, Bytes>,
    },
}

impl Ask {
    pub fn get(target: &str) -> Self {
        Self::of("GET", target)
    }

    pub fn of(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, host: "example.com".to_owned(), target, fields: Vec::new(), body: None, trailers: Vec::new() }
    }

    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Fields as HTTP/1 writes them, each with the end of its line.
    #[must_use]
    pub fn fields(mut self, lines: &str) -> Self {
        for line in lines.split_terminator("\r\n") {
            let (name, value) = line.split_once(':').expect("a field");
            self = self.field(name, value.trim());
        }
        self
    }

    /// A body that says how long it is.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.body = Some(Body { length: Some(bytes.len()), bytes });
        self
    }

    /// A body whose length shows at its end.
    #[must_use]
    pub fn unsized_body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(Body { length: None, bytes: bytes.into() });
        self
    }

    /// The length of a body that comes later, if ever.
    #[must_use]
    pub fn length(mut self, length: usize) -> Self {
        self.body = Some(Body { length: Some(length), bytes: Vec::new() });
        self
    }

    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a head for HTTP/1.
    fn text(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            Some(Body { length: Some(length), .. }) => text += &format!("Content-Length: {length}\r\n"),
            Some(Body { length: None, .. }) => text += "Transfer-Encoding: chunked\r\n",
            None => {}
        }
        text + "\r\n"
    }

    /// As a head for the others.
    fn head(&self) -> http::request::Builder {
        let uri = format!("https://{}{}", self.host, self.target);
        let mut head = http::Request::builder().method(self.method.as_str()).uri(uri);
        let fields = head.headers_mut().unwrap_or_else(|| panic!("no request: {self:?}"));
        *fields = map(&self.fields);
        if let Some(length) = self.body.as_ref().and_then(|body| body.length) {
            fields.insert("content-length", length.into());
        }
        head
    }
}

impl Speaker {
    /// A connection to rp. A proxy's own speakers are had by [`super::Proxy::speaker`].
    pub fn connect(address: SocketAddr, protocol: Protocol) -> Self {
        Self::connect_as(address, protocol, "example.com")
    }

    /// The same, and asks for this host.
    pub fn connect_as(address: SocketAddr, protocol: Protocol, host: &str) -> Self {
        Self::connect_to(address, protocol, host, &identity().1)
    }

    /// The same, to a site whose certificate is of this authority.
    pub fn connect_to(address: SocketAddr, protocol: Protocol, host: &str, authority: &Authority) -> Self {
        let wire = match protocol {
            Protocol::Plain => Wire::One(Client::connect(address)),
            Protocol::Http1 => Wire::One(Client::tls(address, host, authority.client(&["http/1.1"])).unwrap()),
            Protocol::PlainHttp2 => Wire::Two(wait(H2::connect(address))),
            Protocol::Http2 => Wire::Two(wait(H2::tls(address, host, authority.client(&["h2"])))),
            Protocol::Http3 => Wire::Three(wait(H3::connect(address, host, authority.client(&["h3"])))),
        };
        Self { protocol, host: host.to_owned(), wire, unread: Vec::new() }
    }

    pub fn get(&mut self, target: &str) -> Message {
        let host = self.host.clone();
        self.ask(Ask::get(target).host(&host))
    }

    /// The response that must come.
    pub fn ask(&mut self, ask: Ask) -> Message {
        let said = format!("{ask:?}");
        self.try_ask(ask).unwrap_or_else(|error| panic!("no good response to {said:.200}: {error}"))
    }

    /// The response, or how it was broken off.
    pub fn try_ask(&mut self, ask: Ask) -> Result<Message, String> {
        self.send(ask)?.answer()
    }

    /// Sends a whole request.
    pub fn send(&mut self, mut ask: Ask) -> Result<Stream<'_>, String> {
        let (body, trailers) = (ask.body.as_mut().map(|body| std::mem::take(&mut body.bytes)), ask.trailers.clone());
        if !trailers.is_empty() {
            assert!(
                ask.body.as_ref().is_some_and(|body| body.length.is_none()),
                "trailers follow a body without a length"
            );
        }
        let has_body = ask.body.is_some();
        let mut stream = self.open(ask, !has_body)?;
        if let Some(body) = body {
            stream.say_last(&body, &trailers);
        }
        Ok(stream)
    }

    /// Sends a request whose answer is not read, as long as the connection lasts.
    pub fn ask_and_go_on(&mut self, ask: Ask) {
        let unread = match self.send(ask).unwrap().wire {
            Under::One { .. } => return,
            Under::Two { response, sender, body } => Under::Two { response, sender, body },
            Under::Three { sender, stream } => Under::Three { sender, stream },
        };
        self.unread.push(unread);
    }

    /// Sends a head; what comes behind it is the caller's.
    pub fn begin(&mut self, ask: Ask) -> Stream<'_> {
        self.open(ask, false).unwrap_or_else(|error| panic!("no request can be sent: {error}"))
    }

    fn open(&mut self, ask: Ask, ends: bool) -> Result<Stream<'_>, String> {
        let wire = match &mut self.wire {
            Wire::One(client) => {
                client.send(ask.text());
                Under::One { client, left: None, trailers: Vec::new() }
            }
            Wire::Two(connection) => {
                let (response, sender) = wait(connection.open(ask.head(), ends)).map_err(|error| error.to_string())?;
                Under::Two { response: Some(response), sender, body: None }
            }
            Wire::Three(connection) => {
                let stream = wait(connection.open(ask.head())).map_err(|error| error.to_string())?;
                let (mut sender, stream) = stream.split();
                if ends {
                    // Who refuses a request at its head need not wait for its end.
                    let _ = wait(sender.finish());
                }
                Under::Three { sender, stream }
            }
        };
        let is_chunked = ask.body.is_some_and(|body| body.length.is_none());
        Ok(Stream { method: ask.method, wire, is_chunked })
    }

    /// Waits until the server has ended the connection, in good order.
    pub fn wait_closed(self) {
        match self.wire {
            Wire::One(mut client) => client.assert_closed(),
            Wire::Two(mut connection) => wait(connection.wait_closed()),
            Wire::Three(mut connection) => {
                let end = wait(connection.wait_closed());
                assert!(end.is_h3_no_error(), "{end}");
            }
        }
    }

    /// Ends the connection without a word about what is under way.
    pub fn leave(self) {
        match self.wire {
            Wire::One(client) => drop(client),
            Wire::Two(connection) => connection.abandon(),
            Wire::Three(connection) => connection.quic.close(0_u32.into(), b""),
        }
    }
}

impl Stream<'_> {
    /// A piece of the body. That the other side wants no more is for whoever reads the answer to find out.
    pub fn say(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.is_empty() {
            return self;
        }
        match &mut self.wire {
            Under::One { client, .. } if self.is_chunked => {
                client.send(format!("{:x}\r\n", bytes.len())).send(bytes).send("\r\n");
            }
            Under::One { client, .. } => {
                client.send(bytes);
            }
            Under::Two { sender, .. } => {
                let _ = wait(flow(sender, bytes));
            }
            Under::Three { sender, .. } => {
                let _ = wait(sender.send_data(Bytes::copy_from_slice(bytes)));
            }
        }
        self
    }

    /// A last piece and the end, at once where the protocol has it so: a server that is given an end late may have answered.
    fn say_last(&mut self, bytes: &[u8], trailers: &[(String, String)]) {
        match &mut self.wire {
            Under::Two { sender, .. } if trailers.is_empty() && bytes.len() < 16_384 => {
                let _ = sender.send_data(Bytes::copy_from_slice(bytes), true);
            }
            Under::Three { sender, .. } if trailers.is_empty() && !bytes.is_empty() => {
                let _ = wait(async {
                    sender.send_data(Bytes::copy_from_slice(bytes)).await?;
                    sender.finish().await
                });
            }
            _ => {
                self.say(bytes);
                self.end_with(trailers);
            }
        }
    }

    /// The end of the body.
    pub fn end(&mut self) -> &mut Self {
        self.end_with(&[])
    }

    fn end_with(&mut self, trailers: &[(String, String)]) -> &mut Self {
        match &mut self.wire {
            Under::One { client, .. } => {
                let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                if self.is_chunked {
                    client.send(format!("0\r\n{lines}\r\n"));
                }
            }
            Under::Two { sender, .. } => {
                let _ = match trailers {
                    [] => sender.send_data(Bytes::new(), true),
                    _ => sender.send_trailers(map(trailers)),
                };
            }
            Under::Three { sender, .. } => {
                let _ = wait(async {
                    if !trailers.is_empty() {
                        sender.send_trailers(map(trailers)).await?;
                    }
                    sender.finish().await
                });
            }
        }
        self
    }

    /// Sends this again and again, until an answer comes; the end of it is for nobody. Not for HTTP/1 over TLS, where one
    /// thread can't do both.
    pub fn flood(&mut self, piece: &[u8]) -> Result<Message, String> {
        match &mut self.wire {
            Under::One { client, .. } => {
                let mut sender = client.pipe.tcp().try_clone().unwrap();
                let flood = std::thread::scope(|scope| {
                    let upload = scope.spawn(move || while sender.write_all(piece).is_ok() {});
                    let answer = Message::response(&mut client.pipe, &self.method);
                    client.pipe.close();
                    upload.join().unwrap();
                    answer
                })?;
                flood.ok_or_else(|| "the connection ends without a response".to_owned())
            }
            Under::Two { response, sender, body } => {
                let flood = async { while flow(sender, piece).await.is_some() {} };
                let head = wait(beside(flood, response.as_mut().expect("one head")));
                let (head, stream) = head.map_err(|error| error.to_string())?.into_parts();
                *body = Some(stream);
                let head = translated(Protocol::Http2, head.status, &head.headers, &self.method)?;
                self.rest(head)
            }
            Under::Three { sender, stream } => {
                let flood = async { while sender.send_data(Bytes::copy_from_slice(piece)).await.is_ok() {} };
                let head = wait(beside(flood, stream.recv_response())).map_err(|error| error.to_string())?;
                let head = translated(Protocol::Http3, head.status(), head.headers(), &self.method)?;
                self.rest(head)
            }
        }
    }

    /// The whole answer, or how it was broken off.
    pub fn answer(&mut self) -> Result<Message, String> {
        let head = self.head()?;
        self.rest(head)
    }

    /// What comes behind this head.
    pub fn rest(&mut self, head: Message) -> Result<Message, String> {
        let mut message = head;
        while let Some(piece) = self.piece()? {
            message.body.extend_from_slice(&piece);
        }
        message.trailers = self.trailers()?;
        if let Framing::Length(length) = message.framing {
            assert_eq!(message.body.len(), length, "a body of another length than it said: {:?}", message.fields);
        }
        Ok(message)
    }

    /// The head of the answer, as soon as it is there.
    pub fn head(&mut self) -> Result<Message, String> {
        match &mut self.wire {
            Under::One { client, left, .. } => {
                let head = Message::response_head(&mut client.pipe, &self.method)?;
                let message = head.ok_or("the connection ends without a response")?;
                *left = Some(message.framing.clone());
                Ok(message)
            }
            Under::Two { response, body, .. } => {
                let response = wait(response.take().expect("one head")).map_err(|error| error.to_string())?;
                let (head, stream) = response.into_parts();
                *body = Some(stream);
                translated(Protocol::Http2, head.status, &head.headers, &self.method)
            }
            Under::Three { stream, .. } => {
                let head = wait(stream.recv_response()).map_err(|error| error.to_string())?;
                translated(Protocol::Http3, head.status(), head.headers(), &self.method)
            }
        }
    }

    /// The next piece of the answer's body, after its head; none where it has ended well.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>, String> {
        match &mut self.wire {
            Under::One { client, left, trailers } => {
                Message::response_piece(&mut client.pipe, left.as_mut().expect("the head first"), trailers)
            }
            Under::Two { body, .. } => loop {
                let piece = wait(super::h2::next(body.as_mut().expect("the head first")));
                match piece.map_err(|error| error.to_string())? {
                    // An empty frame that ends the stream, say.
                    Some(piece) if piece.is_empty() => {}
                    piece => return Ok(piece.map(|piece| piece.to_vec())),
                }
            },
            Under::Three { stream, .. } => {
                let piece = wait(stream.recv_data()).map_err(|error| error.to_string())?;
                Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining()).to_vec()))
            }
        }
    }

    fn trailers(&mut self) -> Result<Vec<(String, String)>, String> {
        let trailers = match &mut self.wire {
            Under::One { trailers, .. } => return Ok(std::mem::take(trailers)),
            Under::Two { body, .. } => {
                wait(body.as_mut().expect("the head first").trailers()).map_err(|error| error.to_string())?
            }
            Under::Three { stream, .. } => wait(stream.recv_trailers()).map_err(|error| error.to_string())?,
        };
        Ok(trailers.as_ref().map(pairs).unwrap_or_default())
    }
}

/// Sends all of it, as the other side makes room; none where it wants no more.
pub(super) async fn flow(sender: &mut ::h2::SendStream<Bytes>, bytes: &[u8]) -> Option<()> {
    let mut rest = Bytes::copy_from_slice(bytes);
    while !rest.is_empty() {
        sender.reserve_capacity(rest.len());
        let room = poll_fn(|cx| sender.poll_capacity(cx)).await?.ok()?;
        sender.send_data(rest.split_to(room.min(rest.len())), false).ok()?;
    }
    Some(())
}

/// What `second` comes to, while `first` goes on for as long as it likes.
async fn beside<T>(first: impl Future<Output = ()>, second: impl Future<Output = T>) -> T {
    match select(pin!(first), pin!(second)).await {
        Either::Left(((), second)) => second.await,
        Either::Right((outcome, _)) => outcome,
    }
}

/// A head of HTTP/2 or HTTP/3, which may hold nothing that belongs to connections of HTTP/1 (RFC 9113, section 8.2.2).
fn translated(
    protocol: Protocol,
    status: http::StatusCode,
    fields: &HeaderMap,
    method: &str,
) -> Result<Message, String> {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        if fields.contains_key(name) {
            return Err(format!("`{name}` over {protocol}"));
        }
    }
    let lengths: Vec<_> = fields.get_all("content-length").iter().collect();
    let framing = match lengths.as_slice() {
        _ if method == "HEAD" || status == 204 || status == 304 => Framing::None,
        [] => Framing::Stream,
        [length] => Framing::Length(length.to_str().ok().and_then(|length| length.parse().ok()).ok_or("no length")?),
        _ => return Err(format!("several lengths: {lengths:?}")),
    };
    let start = format!("{} {} {}", protocol.version(), status.as_str(), status.canonical_reason().unwrap_or(""));
    let (body, trailers, interim) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Message { start, fields: pairs(fields), framing, body, trailers, interim })
}

fn pairs(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn map(fields: &[(String, String)]) -> HeaderMap {
    let entry = |(name, value): &(String, String)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    fields.iter().map(entry).collect()
}

/// Waits for what comes over HTTP/2 and HTTP/3, whose connections are driven beside the tests.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    runtime.block_on(async { tokio::time::timeout(super::PATIENCE, future).await.expect("nothing comes") })
}
