//! The side of the proxy that faces servers: pools, dialing, the choice of a server, retries, and the two protocols
//! spoken to them. One [`Upstream`] is shared by all threads; connections never leave theirs.

mod balance;
pub mod body;
mod connect;
pub mod dial;
mod health;
mod http1;
mod http2;
mod pool;
mod registry;
mod resolve;
mod send;
pub mod stream;
pub mod target;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

pub use balance::Policy;
pub use body::Body;
pub use connect::Connected;
pub use dial::Tls;
pub use health::Health;
#[doc(hidden)]
pub use http1::wire;
pub use http1::{Reply as Answer, Tunnel, Values};
pub use pool::{Limits, clear, sweep};
pub use registry::{InFlight, Slot};
pub use send::{Outgoing, Trace};
pub use stream::Stream;
pub use target::{Address, Scheme, Target, TargetError};

use crate::http::proxy_protocol::Version;
use crate::http::step::{Candidate, Forward};
use balance::Balancer;

/// A pool of servers that can stand in for each other.
#[derive(Debug)]
pub struct Upstream {
    pub name: Box<str>,
    servers: Box<[Server]>,
    balancer: Balancer,
    policy: Policy,
    timeouts: Timeouts,
    limits: Limits,
    host: HostField,
    announce: Option<Version>,
}

/// What an upstream is made from.
#[derive(Debug, Clone)]
pub struct Settings {
    pub name: Box<str>,
    /// At most 65,535.
    pub servers: Vec<ServerSettings>,
    pub balance: Policy,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub host: HostField,
    /// Servers are told by the PROXY protocol who the client is. Their connections are of one request, and of HTTP/1: what
    /// was said of one client would be taken for the next one.
    pub announce: Option<Version>,
}

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub target: Target,
    /// In proportion to the others; 0 takes no requests.
    pub weight: u16,
    /// Only asked when no primary is fit.
    pub backup: bool,
    /// Owed where the target is `https`.
    pub tls: Option<Tls>,
}

/// Which `Host` a server is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostField {
    /// As it stands in the request's fields.
    #[default]
    Kept,
    /// The server's own name.
    Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To make a connection, TLS and resolving included.
    pub connect: Duration,
    /// From the end of the request to the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of a response's body.
    pub read: Duration,
    /// How long the server may refuse to take more of the request.
    pub send: Duration,
    /// `read` of server-sent events and gRPC, which are rightly silent.
    pub stream: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_mins(1),
            read: Duration::from_mins(1),
            send: Duration::from_secs(30),
            stream: Duration::from_hours(1),
        }
    }
}

#[derive(Debug)]
pub struct Server {
    pub target: Target,
    /// As logs and metrics name it.
    pub address_text: Box<str>,
    pub weight: u16,
    pub backup: bool,
    /// What outlives this configuration: connections and health.
    pub slot: Arc<Slot>,
    authority: HeaderValue,
    tls: Option<Tls>,
    /// The same without HTTP/2, which knows no upgrade.
    tls_http1: Option<Tls>,
}

impl Server {
    fn new(settings: ServerSettings, announce: Option<Version>) -> Self {
        let ServerSettings { target, weight, backup, tls } = settings;
        let tls = if announce.is_some() { tls.as_ref().map(without_http2) } else { tls };
        let mut key = target.to_string();
        let address_text = key.as_str().into();
        if let Some(tls) = &tls {
            // Writing to memory cannot fail.
            let _ = write!(key, " {} {}", tls.name.to_str(), tls.key);
        }
        if announce.is_some() {
            key.push_str(" announced");
        }
        let authority = HeaderValue::try_from(target.authority()).unwrap_or(HeaderValue::from_static("localhost"));
        let tls_http1 = tls.as_ref().map(without_http2);
        Self { target, address_text, weight, backup, slot: Slot::adopt(&key), authority, tls, tls_http1 }
    }

    /// Neither down by active checks nor put out by what requests met with.
    pub fn is_fit(&self) -> bool {
        !self.slot.health.is_down() && !self.slot.health.is_ejected()
    }

    /// Idle HTTP/1 connections of this thread.
    pub fn idle(&self) -> usize {
        pool::idle(&self.slot)
    }

    fn may_speak_http2(&self) -> bool {
        match self.target.scheme {
            Scheme::Http => false,
            Scheme::H2c => true,
            Scheme::Https => self.tls.as_ref().is_some_and(offers_http2),
        }
    }

    fn tls(&self, upgrade: bool) -> Option<&Tls> {
        if upgrade { self.tls_http1.as_ref() } else { self.tls.as_ref() }
    }
}

fn offers_http2(tls: &Tls) -> bool {
    tls.config.alpn_protocols.iter().any(|protocol| protocol == b"h2")
}

fn without_http2(tls: &Tls) -> Tls {
    if !offers_http2(tls) {
        return tls.clone();
    }
    let mut config = (*tls.config).clone();
    config.alpn_protocols.retain(|protocol| protocol != b"h2");
    Tls { config: Arc::new(config), ..tls.clone() }
}

impl Upstream {
    /// Servers that the process knows already keep their connections and their health.
    pub fn new(settings: Settings) -> Self {
        let servers: Box<[Server]> =
            settings.servers.into_iter().map(|server| Server::new(server, settings.announce)).collect();
        let limits = if settings.announce.is_some() { Limits { idle: 0, ..settings.limits } } else { settings.limits };
        Self {
            name: settings.name,
            balancer: Balancer::new(settings.balance, &servers),
            policy: settings.balance,
            servers,
            timeouts: settings.timeouts,
            limits,
            host: settings.host,
            announce: settings.announce,
        }
    }

    /// What would be sent, and to which server, if [`Upstream::send`] were called now.
    pub fn tell(
        &self,
        method: &Method,
        target: &[u8],
        headers: &HeaderMap,
        also: &[(&'static HeaderName, &[u8])],
        length: Option<u64>,
    ) -> Forward {
        let server = self.balancer.choose(&self.servers, &[]).map(usize::from);
        let host = server.filter(|_| self.host == HostField::Server).map(|at| &self.servers[at].authority);
        let framing = match length {
            Some(0) => wire::Framing::Empty,
            Some(length) => wire::Framing::Length(length),
            None => wire::Framing::Chunked,
        };
        let mut head = Vec::new();
        wire::write(&mut head, method, target, wire::Fields { map: headers, also, host }, framing);
        let candidate = |server: &Server| Candidate {
            address: server.address_text.clone(),
            weight: server.weight,
            backup: server.backup,
        };
        Forward { upstream: self.name.clone(), server, servers: self.servers.iter().map(candidate).collect(), head }
    }

    /// Whether and how servers are told who the client is, before anything else.
    pub fn announces(&self) -> Option<Version> {
        self.announce
    }

    /// How long a stream or a tunnel may be silent.
    pub fn stream_timeout(&self) -> Duration {
        self.timeouts.stream
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Load is only counted where it decides: shared counters cost what they are for.
    fn counts_load(&self) -> bool {
        self.policy == Policy::LeastConn
    }

    /// Whether one more may be put out: never more than half, and never the only one.
    fn can_spare_one(&self) -> bool {
        let out = self.servers.iter().filter(|server| server.slot.health.is_ejected()).count();
        (out + 1) * 2 <= self.servers.len()
    }
}
