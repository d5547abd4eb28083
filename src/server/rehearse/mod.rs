//! A request taken through its site with nothing sent and nothing written: what `rp explain` tells and `rp test` judges.
//!
//! The site is compiled and walked by the code that serves, so what is told is what would happen.

mod watcher;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use self::watcher::Watcher;
pub use self::watcher::{Change, Event};
use super::build::{Refused, Source};
use super::{handle, head};
use crate::check::value::ListenAddress;
use crate::diagnostic::{Mistake, Sources, Span};
use crate::directive::Statement;
use crate::http::body::Body;
use crate::http::connection::{Connection, Scheme, TlsFacts};
use crate::http::exchange::{Exchange, Notes, TunnelSlot};
use crate::http::fault::{Cause, Fault};
use crate::http::page;
use crate::http::step::{Answer, Forward};
use crate::model::{Checked, Door, Inherited, Legacy, Model, Purpose, Transport, World, compile};

/// A configuration that can be asked what it would do.
#[derive(Debug)]
pub struct Stage {
    pub model: Model,
    pub sources: Sources,
    /// What is not wrong, but should be known.
    pub warnings: Vec<Mistake>,
}

/// A configuration as it begins: no limit is used up, and every server is fit.
#[derive(Debug)]
pub struct Scene<'s> {
    stage: &'s Stage,
    world: World,
    began: Instant,
}

/// A request to be asked about.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// With scheme and host.
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    /// The peer of the connection.
    pub from: IpAddr,
    /// Since the scene began.
    pub after: Duration,
    /// Bytes of its body.
    pub body: u64,
}

/// What a server would answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer(StatusCode, HeaderMap),
    Fault(Cause),
}

impl Default for Reply {
    fn default() -> Self {
        Self::Answer(StatusCode::OK, HeaderMap::new())
    }
}

/// What became of a request.
#[derive(Debug)]
pub struct Played {
    /// Where it came in.
    pub listen: ListenAddress,
    /// Its first address, and where that stands.
    pub site: Option<(Box<str>, Span)>,
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// What would be sent to a server, if anything.
    pub forward: Option<Forward>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body of an answer that rp gives by itself, up to [`LONGEST`] bytes.
    pub body: Bytes,
    pub fault: Option<Fault>,
    /// The target as it came to the answer, `/path?query`.
    pub target: String,
    /// The client, seen through trusted proxies.
    pub client: IpAddr,
}

/// Bytes of an answer that are looked at.
pub const LONGEST: usize = 64 * 1024;

/// Why a request can't be asked about.
#[derive(Debug)]
pub enum Unplayable {
    /// Nothing listens there; these are the ports that are open.
    NoDoor { port: u16, open: Vec<u16> },
    /// That port speaks the other scheme.
    OtherScheme { port: u16, scheme: Scheme },
    /// It is no request: it lacks its host, or names one that can't be.
    Malformed(String),
}

impl std::fmt::Display for Unplayable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDoor { port, open } => {
                let open: Vec<String> = open.iter().map(u16::to_string).collect();
                write!(f, "nothing listens on port {port}: this configuration opens {}", open.join(", "))
            }
            Self::OtherScheme { port, scheme } => {
                write!(f, "port {port} speaks {0}: write {0}://…", scheme.as_str())
            }
            Self::Malformed(why) => f.write_str(why),
        }
    }
}

impl Stage {
    /// Reads a configuration, and refuses one with mistakes.
    pub fn set(source: &Source) -> Result<Self, Refused> {
        let Checked { model, sources, findings, .. } = source.load();
        match model {
            Some(model) => Ok(Self { model, sources, warnings: findings }),
            None => Err(Refused { findings, sources }),
        }
    }

    /// Builds its sites anew. Files that they name are looked at; certificates and logs are not.
    pub fn scene(&self) -> Result<Scene<'_>, Vec<Mistake>> {
        let inherited = Inherited { legacy: Legacy::default(), purpose: Purpose::Rehearse, files: &mut Vec::new() };
        Ok(Scene { stage: self, world: compile(&self.model, inherited)?, began: Instant::now() })
    }

    /// The statement of this place; `None` where the place is a site's own.
    #[must_use]
    pub fn statement(&self, at: Span) -> Option<&Statement> {
        self.model.sites.iter().find_map(|site| site.body.find(at))
    }

    /// The statement's text, from its name to the word before its block.
    #[must_use]
    pub fn text(&self, at: Span) -> &str {
        self.statement(at).map_or_else(|| self.sources.text(at), |statement| &statement.text)
    }
}

impl Scene<'_> {
    /// Takes a request through its site.
    pub async fn play(&self, request: &Request, reply: &Reply) -> Result<Played, Unplayable> {
        let (listen, door) = self.door(request)?;
        let (mut exchange, fault) = self.exchange(request, door)?;
        let site = door.router.find(exchange.host.name()).map(|at| door.router.site(at));
        let mut watcher = Watcher::new(self.stage, reply);
        let mut answer = match (fault, site) {
            (Some(fault), _) => refuse(&mut exchange, fault),
            (None, None) => refuse(&mut exchange, Fault::detailed(Cause::NoSite, "no site has this host")),
            (None, Some(site)) => site.program.observed(&mut exchange, &mut watcher).await,
        };
        handle::finish(&mut answer, &exchange);
        let (parts, body) = answer.into_parts();
        Ok(Played {
            listen: listen.clone(),
            site: site.map(|site| (site.name.clone(), site.at)),
            events: watcher.events,
            forward: watcher.forward,
            status: parts.status,
            headers: parts.headers,
            body: beginning(body).await,
            fault: exchange.notes.error.take(),
            target: String::from_utf8_lossy(&exchange.target.wire()).into_owned(),
            client: exchange.client_ip,
        })
    }

    /// The door that the request would come through.
    fn door(&self, request: &Request) -> Result<(&ListenAddress, &Door), Unplayable> {
        let (scheme, port) = self.port(&request.uri)?;
        let of_port = || self.world.doors.iter().filter(|(_, door)| door.port == port);
        let host = request.uri.host().unwrap_or_default().to_ascii_lowercase();
        let knows = |door: &Door| door.router.find(&host).is_some();
        let Some((listen, door)) = of_port().find(|(_, door)| knows(door)).or_else(|| of_port().next()) else {
            let mut open: Vec<u16> = self.world.doors.values().map(|door| door.port).collect();
            open.sort_unstable();
            open.dedup();
            return Err(Unplayable::NoDoor { port, open });
        };
        let spoken = if door.transport == Transport::Tls { Scheme::Https } else { Scheme::Http };
        if spoken == scheme { Ok((listen, door)) } else { Err(Unplayable::OtherScheme { port, scheme: spoken }) }
    }

    /// A URL without a port means the port that its scheme has in this configuration.
    fn port(&self, uri: &Uri) -> Result<(Scheme, u16), Unplayable> {
        let (scheme, port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, self.world.global.http_port),
            Some("https") => (Scheme::Https, self.world.global.https_port),
            _ => return Err(Unplayable::Malformed(format!("`{uri}` does not begin with `http://` or `https://`"))),
        };
        Ok((scheme, uri.port_u16().unwrap_or(port)))
    }

    fn exchange(&self, request: &Request, door: &Door) -> Result<(Exchange, Option<Fault>), Unplayable> {
        let Some(authority) = request.uri.authority() else {
            return Err(Unplayable::Malformed(format!("`{}` has no host", request.uri)));
        };
        let tls = (door.transport == Transport::Tls).then(|| {
            let host = authority.host().to_ascii_lowercase();
            // A client that asks for this name has met the demands of its site.
            let policy = door.router.find(&host).map(|at| door.router.demands(at).policy).unwrap_or_default();
            let (version, suite) = ("TLSv1.3", "TLS13_AES_256_GCM_SHA384");
            TlsFacts { version, suite: Some(suite), sni: Some(host.into()), policy, ..TlsFacts::default() }
        });
        let peer = SocketAddr::new(request.from, 40_000);
        let connection = Rc::new(Connection::new(Some(peer), door.port, tls));
        let parts = head_of(request, authority)?;
        let (head, fault) = head::read(&connection, &Rc::<TunnelSlot>::default(), &self.world.global, parts);
        let body = if request.body > 0 { Body::stream(Declared(request.body)) } else { Body::Empty };
        let mut exchange = head.exchange(connection, body, Notes::default());
        exchange.started = self.began + request.after;
        exchange.rehearsed = true;
        Ok((exchange, fault))
    }
}

/// The head as it would come off the wire.
fn head_of(request: &Request, authority: &Authority) -> Result<http::request::Parts, Unplayable> {
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let uri = if request.version < Version::HTTP_2 { target.to_owned() } else { request.uri.to_string() };
    let built = http::Request::builder().method(request.method.clone()).uri(uri).version(request.version).body(());
    let (mut parts, ()) = built.map_err(|error| Unplayable::Malformed(error.to_string()))?.into_parts();
    parts.headers = request.headers.clone();
    if request.version < Version::HTTP_2 && !parts.headers.contains_key(header::HOST) {
        let host = authority.as_str().parse();
        parts.headers.insert(header::HOST, host.map_err(|_| Unplayable::Malformed("an unusable host".to_owned()))?);
    }
    if request.body > 0 {
        parts.headers.insert(header::CONTENT_LENGTH, request.body.into());
    }
    Ok(parts)
}

fn refuse(exchange: &mut Exchange, fault: Fault) -> Answer {
    let answer = page::fault(exchange, &fault);
    exchange.notes.error = Some(fault);
    answer
}

/// What of a body there is to see.
async fn beginning(mut body: Body) -> Bytes {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(LONGEST - bytes.len())]);
        }
        if bytes.len() >= LONGEST {
            break;
        }
    }
    bytes.into()
}

/// A body of which only the length is known: nobody reads it.
struct Declared(u64);

impl http_body::Body for Declared {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}
