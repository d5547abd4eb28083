//! One request on its way through a site, with what is learnt of it on the way.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Uri, Version};
use smallvec::SmallVec;

use super::body::Body;
use super::connection::Connection;
use super::fault::{Cause, Fault};
use super::prefix::Prefixes;
use super::sent::Sent;
use super::target::Target;
use super::tunnel::Ledger;

/// The host that a request names, in the form that routers and matchers compare.
#[derive(Debug, Clone)]
pub struct Host {
    /// As it was sent, with its port if it had one.
    authority: HeaderValue,
    /// Lower case, without port and trailing dot; only where that is not how `authority` begins.
    folded: Option<Box<str>>,
    /// Length of the name within `authority`.
    length: u16,
}

impl Host {
    /// From the request target's authority or the `Host` field. A request without either has an empty host, which
    /// HTTP/1.0 allows (RFC 9112, section 3.2).
    pub fn of(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Self, Fault> {
        let bad = |why: &str| Fault::detailed(Cause::BadHost, why);
        // To look at each name costs less than to hash one.
        let mut fields = headers.iter().filter(|(name, _)| **name == header::HOST).map(|(_, value)| value);
        let field = fields.next();
        if fields.next().is_some() {
            return Err(bad("more than one Host field"));
        }
        let authority = match (uri.authority(), field) {
            (Some(authority), Some(field)) if !authority.as_str().as_bytes().eq_ignore_ascii_case(field.as_bytes()) => {
                return Err(bad("the Host field names another host than the request target"));
            }
            (_, Some(field)) => field.clone(),
            (Some(authority), None) => {
                HeaderValue::from_str(authority.as_str()).map_err(|_| bad("an unusable authority"))?
            }
            (None, None) if version < Version::HTTP_11 => HeaderValue::from_static(""),
            (None, None) => return Err(bad("no Host field")),
        };
        Self::parse(authority).ok_or_else(|| bad("the host is not a name, an address, or either with a port"))
    }

    /// For a request whose host can't be made out.
    #[must_use]
    pub fn none() -> Self {
        Self { authority: HeaderValue::from_static(""), folded: None, length: 0 }
    }

    fn parse(authority: HeaderValue) -> Option<Self> {
        let bytes = authority.as_bytes();
        let (length, is_canonical) = if bytes.first() == Some(&b'[') { literal(bytes)? } else { name(bytes)? };
        let port_fits = match &bytes[length..] {
            [] => true,
            [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !port_fits || length > 255 {
            return None;
        }
        let folded = if is_canonical {
            None
        } else {
            let name = str::from_utf8(&bytes[..length]).ok()?;
            Some(name.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase().into())
        };
        Some(Self { folded, length: u16::try_from(length).ok()?, authority })
    }

    /// In lower case, without port, brackets and trailing dot.
    #[must_use]
    pub fn name(&self) -> &str {
        self.folded.as_deref().unwrap_or_else(|| &self.text()[..usize::from(self.length)])
    }

    /// As it was sent.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// As it was sent, without its port.
    #[must_use]
    pub fn without_port(&self) -> &str {
        &self.text()[..usize::from(self.length)]
    }

    /// The port that the client named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.text()[usize::from(self.length)..].strip_prefix(':').and_then(|port| port.parse().ok())
    }

    fn text(&self) -> &str {
        self.authority.to_str().unwrap_or_default()
    }
}

/// Bytes of the IPv6 address in brackets that an authority begins with; it is never the form that is compared.
fn literal(authority: &[u8]) -> Option<(usize, bool)> {
    let end = authority.iter().position(|&byte| byte == b']')?;
    str::from_utf8(&authority[1..end]).ok()?.parse::<std::net::Ipv6Addr>().ok()?;
    Some((end + 1, false))
}

/// Bytes of the name that an authority begins with, and whether it is in the form that is compared.
fn name(authority: &[u8]) -> Option<(usize, bool)> {
    let mut is_lower = true;
    let mut label_is_empty = true;
    for (at, byte) in authority.iter().enumerate() {
        match byte {
            // A server may fold `a..b` to some other name than we do (RFC 1034, section 3.1).
            b'.' if label_is_empty => return None,
            b'.' => {
                label_is_empty = true;
                continue;
            }
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => is_lower = false,
            b':' => return Some((at, is_lower && !authority[..at].ends_with(b"."))),
            _ => return None,
        }
        label_is_empty = false;
    }
    Some((authority.len(), is_lower && !authority.ends_with(b".")))
}

/// Names a request, in logs, to the server and to the client.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// Made here.
    Ours([u8; 32]),
    /// It came with the request.
    Kept(HeaderValue),
}

impl RequestId {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ours(id) => id,
            Self::Kept(id) => id.as_bytes(),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        match self {
            // Hexadecimal digits are no control characters.
            Self::Ours(id) => HeaderValue::from_bytes(id).unwrap_or_else(|_| HeaderValue::from_static("-")),
            Self::Kept(id) => id.clone(),
        }
    }
}

/// How a server is named in logs. Copied: a count of references would be shared by all cores that ask the server.
#[derive(Debug, Clone)]
pub struct ServerName(SmallVec<[u8; 40]>);

impl ServerName {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(SmallVec::from_slice(name.as_bytes()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What the log will want to know.
#[derive(Debug, Default)]
pub struct Notes {
    /// Address of the server that was asked last.
    pub upstream: Option<ServerName>,
    pub attempts: u8,
    pub upstream_status: Option<u16>,
    /// Microseconds.
    pub connect: Option<u32>,
    pub tls: Option<u32>,
    pub first_byte: Option<u32>,
    pub error: Option<Fault>,
    /// Bytes of the request's body, counted while they pass; `None`: it has none.
    pub bytes_in: Option<Rc<Cell<u64>>>,
    /// Set by `log off`.
    pub quiet: bool,
    /// Set where the answer opens a tunnel: the log waits for its end.
    pub tunnel: Option<Rc<Ledger>>,
}

/// A request and its surroundings.
#[derive(Debug)]
pub struct Exchange {
    pub connection: Rc<Connection>,
    pub method: Method,
    pub version: Version,
    pub headers: HeaderMap,
    pub host: Host,
    pub target: Target,
    /// What was taken from the front of the path, and put there.
    pub prefixes: Prefixes,
    /// What the client sends. Who hands it on takes it by [`Exchange::take_body`].
    pub body: Body,
    /// Bytes that the body may have, as the last `max_body` on the way has it; `u64::MAX`: any number.
    pub max_body: u64,
    /// How large the head was that the client sent.
    pub sent: Sent,
    /// The client, as far as trusted proxies let us see.
    pub client_ip: IpAddr,
    /// The peer is a trusted proxy: what it says of the client holds.
    pub trusted: bool,
    pub id: RequestId,
    /// What path patterns and regular expressions captured, by name. The last one of a name holds.
    pub captures: SmallVec<[(Arc<str>, Box<str>); 2]>,
    pub notes: Notes,
    /// Why `handle_errors` runs.
    pub fault: Option<Fault>,
    pub started: Instant,
    /// The request is a rehearsal's, whose clock shows `started` alone.
    pub rehearsed: bool,
    /// Takes the upgraded connection's other half, where the client asked to switch protocols.
    pub upgrade: Upgrade,
    /// What the limits that this request came through said, the last one last.
    pub limits: SmallVec<[Allowance; 1]>,
    /// Who asks, where a directive asked that. Boxed: most requests are anybody's.
    pub auth: Option<Box<Auth>>,
    /// What `cors` found in `Origin`, before a statement below could take it away.
    pub origin: Option<Box<HeaderValue>>,
}

/// What is known of who asks.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// The name that was proved.
    pub user: Option<Box<str>>,
    /// How to prove one (`WWW-Authenticate`), where the request was refused for want of it.
    pub challenge: Option<HeaderValue>,
}

/// What a limit said of a request, kept until the answer can tell the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests that may still come at once.
    pub left: u64,
    /// Until a request passes again; zero where this one did.
    pub wait: Duration,
    /// Until the whole allowance is there again.
    pub whole: Duration,
}

impl Exchange {
    /// The body, for the step that hands it on: refused before a byte of it is read where its declared length is more
    /// than `max_body`, else cut off there (requirement S07). A limit is asked only here, since until here a statement
    /// further in may widen what one further out has set (requirement N07).
    pub fn take_body(&mut self) -> Result<Body, Fault> {
        if self.body.length().is_some_and(|length| length > self.max_body) {
            return Err(Cause::BodyTooLarge.into());
        }
        let mut body = std::mem::take(&mut self.body);
        if let Body::Client(body) = &mut body {
            body.limit(self.max_body);
        }
        Ok(body)
    }

    /// The name that was proved, if one was asked for.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.auth.as_ref()?.user.as_deref()
    }

    #[must_use]
    pub fn capture(&self, name: &str) -> Option<&str> {
        self.captures.iter().rev().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}

/// Whether and how the client's connection can become a tunnel.
#[derive(Default)]
pub enum Upgrade {
    #[default]
    No,
    /// HTTP/1.1: the connection's driver takes the tunnel when the 101 has been written.
    Http1(Rc<TunnelSlot>),
    /// Extended CONNECT (RFC 8441): a stream of an HTTP/2 connection.
    Http2(hyper::upgrade::OnUpgrade),
    /// The same for HTTP/3 (RFC 9220): whoever serves the stream takes the tunnel with the answer.
    Http3(Rc<TunnelSlot>),
}

/// Beside a request of HTTP/3, which has no field for it by then: it asks for a WebSocket.
#[derive(Debug, Clone, Copy)]
pub struct AsksWebSocket;

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::No => "No",
            Self::Http1(_) => "Http1",
            Self::Http2(_) => "Http2",
            Self::Http3(_) => "Http3",
        })
    }
}

/// Runs once the client's side has switched protocols: it is given that side, and what it had sent already.
pub type Tunnel = Box<dyn FnOnce(Box<dyn Duplex>, bytes::Bytes) -> futures_util::future::LocalBoxFuture<'static, ()>>;

/// Where the step that answered 101 leaves its tunnel for the connection's driver.
#[derive(Default)]
pub struct TunnelSlot(Cell<Option<Tunnel>>);

impl TunnelSlot {
    pub fn put(&self, tunnel: Tunnel) {
        self.0.set(Some(tunnel));
    }

    pub fn take(&self) -> Option<Tunnel> {
        self.0.take()
    }
}

/// Bytes both ways.
pub trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Duplex for T {}

impl Exchange {
    /// A request by itself, as it came from 192.0.2.1 by HTTP/1.1: what tests, fuzzers and benches begin with.
    #[doc(hidden)]
    pub fn alone(method: Method, uri: &Uri, headers: HeaderMap) -> Result<Self, Fault> {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 40_000));
        Ok(Self {
            connection: Rc::new(Connection::new(Some(peer), 80, None)),
            method,
            version: Version::HTTP_11,
            host: Host::of(uri, &headers, Version::HTTP_11)?,
            target: Target::of(uri)?,
            sent: Sent::of(&headers),
            headers,
            prefixes: Prefixes::default(),
            body: Body::Empty,
            max_body: u64::MAX,
            client_ip: peer.ip(),
            trusted: false,
            id: RequestId::Kept(HeaderValue::from_static("sample")),
            captures: SmallVec::new(),
            notes: Notes::default(),
            fault: None,
            started: Instant::now(),
            rehearsed: false,
            upgrade: Upgrade::No,
            limits: SmallVec::new(),
            auth: None,
            origin: None,
        })
    }

    /// A GET for `uri`, with these fields.
    #[cfg(test)]
    pub(crate) fn sample(uri: &str, fields: &[(&str, &str)]) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("example.com"));
        for (name, value) in fields {
            headers.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Self::alone(Method::GET, &uri.parse().unwrap(), headers).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s07_a_declared_length_is_refused_before_it_is_read() {
        let mut exchange = Exchange::sample("/", &[]);
        exchange.body = Body::from("12345");
        exchange.max_body = 4;
        assert_eq!(exchange.take_body().unwrap_err().cause, Cause::BodyTooLarge);
        exchange.max_body = 5;
        assert_eq!(exchange.take_body().unwrap().length(), Some(5));
        assert_eq!(exchange.take_body().unwrap().length(), Some(0), "it is taken once");
    }

    fn host(value: &str) -> Option<String> {
        Host::parse(HeaderValue::from_str(value).ok()?).map(|host| host.name().to_owned())
    }

    #[test]
    fn xp04_hosts_are_folded_or_refused() {
        assert_eq!(host("example.com").as_deref(), Some("example.com"));
        assert_eq!(host("Example.COM.:8443").as_deref(), Some("example.com"));
        assert_eq!(host("[2001:DB8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(host("a_b.example").as_deref(), Some("a_b.example"));
        let long = "a".repeat(300);
        for bad in ["a..b", ".a", ".", "a..", "..", "a..b:80", ".:80"] {
            assert_eq!(host(bad), None, "{bad}: a label of nothing");
        }
        for bad in ["a.com,b.com", "a.com:80@b", "a b", "[::1", "[x]", "a:b", "a:999999", "a/b", long.as_str()] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn xf13_the_target_and_the_host_field_agree() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("b.example"));
        assert!(Host::of(&"http://a.example/".parse().unwrap(), &headers, Version::HTTP_11).is_err());
        assert!(Host::of(&"http://B.example/".parse().unwrap(), &headers, Version::HTTP_11).is_ok());
        headers.append(header::HOST, HeaderValue::from_static("b.example"));
        assert!(Host::of(&"/".parse().unwrap(), &headers, Version::HTTP_11).is_err());
        assert!(Host::of(&"/".parse().unwrap(), &HeaderMap::new(), Version::HTTP_11).is_err());
        assert!(Host::of(&"/".parse().unwrap(), &HeaderMap::new(), Version::HTTP_10).is_ok());
    }
}
