//! The head of a request, in our terms.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Version};
use smallvec::SmallVec;

use crate::http::body::Body;
use crate::http::connection::Connection;
use crate::http::exchange::{AsksWebSocket, Exchange, Host, Notes, RequestId, TunnelSlot, Upgrade};
use crate::http::fault::{Cause, Fault};
use crate::http::forwarded::{X_REQUEST_ID, forget_pretence, may_be_of_proxies};
use crate::http::hop;
use crate::http::prefix::Prefixes;
use crate::http::sent::Sent;
use crate::http::target::Target;
use crate::model::{Global, Limits};
use crate::telemetry::id;

/// What a request's head says in our terms, beside what stays as it came.
///
/// Not an [`Exchange`] yet: that is large, is built where it stays, and is never moved.
pub struct Head {
    host: Host,
    target: Target,
    upgrade: Upgrade,
    id: RequestId,
    started: Instant,
    sent: Sent,
    client_ip: IpAddr,
    trusted: bool,
    parts: Parts,
}

/// Reads a head, and says what is wrong with it already.
pub fn read(
    connection: &Connection,
    tunnel: &Rc<TunnelSlot>,
    global: &Global,
    mut parts: Parts,
) -> (Head, Option<Fault>) {
    let mut fault = None;
    let mut keep = |found: Fault| {
        fault.get_or_insert(found);
    };
    let trusted = global.trusted.peer(connection);
    let client_ip = if trusted { global.trusted.client(connection, &parts.headers) } else { connection.peer.ip() };
    let host = Host::of(&parts.uri, &parts.headers, parts.version).unwrap_or_else(|found| {
        keep(found);
        Host::none()
    });
    let target = Target::of(&parts.uri).unwrap_or_else(|found| {
        keep(found);
        Target::refused(&parts.uri)
    });
    let names = Names::of(&parts.headers);
    if names.connection {
        hop::forget_named(&mut parts.headers);
    }
    if names.of_proxies && !trusted {
        forget_pretence(&mut parts.headers);
    }
    let upgrade =
        if names.upgrade || parts.version >= Version::HTTP_2 { upgrade(tunnel, &mut parts) } else { Upgrade::No };
    if let Err(found) = acceptable(&parts, &names, &upgrade, &global.limits) {
        keep(found);
    }
    let started = Instant::now();
    let sent = Sent::new(parts.headers.len(), names.bytes);
    let id = request_id(&parts.headers, &names, started);
    (Head { host, target, upgrade, id, started, sent, client_ip, trusted, parts }, fault)
}

impl Head {
    /// With the connection that it came over, and its body.
    #[allow(clippy::inline_always, reason = "it is built where the caller keeps it, and not copied there")]
    #[inline(always)]
    pub fn exchange(self, connection: Rc<Connection>, body: Body, notes: Notes) -> Exchange {
        let Parts { method, version, headers, .. } = self.parts;
        Exchange {
            connection,
            id: self.id,
            method,
            version,
            headers,
            host: self.host,
            target: self.target,
            prefixes: Prefixes::default(),
            body,
            max_body: u64::MAX,
            sent: self.sent,
            client_ip: self.client_ip,
            trusted: self.trusted,
            captures: SmallVec::new(),
            notes,
            fault: None,
            started: self.started,
            rehearsed: false,
            upgrade: self.upgrade,
            limits: SmallVec::new(),
            auth: None,
            origin: None,
        }
    }
}

/// What can be said against a request by its head alone.
fn acceptable(parts: &Parts, names: &Names, upgrade: &Upgrade, limits: &Limits) -> Result<(), Fault> {
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > limits.uri) {
        return Err(Cause::UriTooLong.into());
    }
    // RFC 9112, section 3.2.4. It is no path, so no matcher of paths guards what a server makes of it.
    if parts.uri.path() == "*" && parts.method != Method::OPTIONS {
        return Err(Fault::detailed(Cause::BadPath, "a star asks for nothing but OPTIONS"));
    }
    // Every value counts, so crumbs of cookies do (HPACK makes a byte of each).
    if parts.headers.len() > limits.fields || names.longest > LONGEST_LINE {
        return Err(Cause::FieldsTooLarge.into());
    }
    // Of HTTP/2 and 3, behind a balancer perhaps with the scheme of its clients; nothing else is spoken here (RFC 9110,
    // section 4.2).
    if parts.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Fault::detailed(Cause::BadRequest, "a scheme that is not spoken here"));
    }
    if matches!(parts.method, Method::TRACE | Method::CONNECT)
        && !matches!(upgrade, Upgrade::Http2(_) | Upgrade::Http3(_))
    {
        return Err(Cause::MethodNotAllowed.into());
    }
    // Of two, each of two servers may see another.
    let mut expectations = names.expect.then(|| parts.headers.get_all(header::EXPECT).iter()).into_iter().flatten();
    match (expectations.next(), expectations.next()) {
        (None, None) => Ok(()),
        (Some(expect), None) if expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => Err(Cause::ExpectationFailed.into()),
    }
}

/// Requirement H06: an id that came in is kept if it could be one of ours, so that it can be followed through several
/// proxies; from strangers it is only believed in shape, and worth nothing else.
fn request_id(headers: &HeaderMap, names: &Names, now: Instant) -> RequestId {
    match names.request_id.then(|| headers.get(&X_REQUEST_ID)).flatten() {
        Some(known) if id::acceptable(known.as_bytes()) => RequestId::Kept(known.clone()),
        _ => RequestId::Ours(id::next(now)),
    }
}

/// What one look at a request's fields shows, before any of them is asked for by name.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
struct Names {
    expect: bool,
    upgrade: bool,
    request_id: bool,
    connection: bool,
    /// Some name is of the kind that proxies write.
    of_proxies: bool,
    /// Bytes of the longest value.
    longest: usize,
    /// Of all names and values.
    bytes: usize,
}

impl Names {
    fn of(headers: &HeaderMap) -> Self {
        let mut names = Self::default();
        for (name, value) in headers {
            names.longest = names.longest.max(value.len());
            // All of it is in memory at once, so the sum is one that memory has.
            names.bytes = names.bytes.wrapping_add(name.as_str().len()).wrapping_add(value.len());
            match name.as_str() {
                "expect" => names.expect = true,
                "upgrade" => names.upgrade = true,
                "connection" => names.connection = true,
                "x-request-id" => names.request_id = true,
                name => names.of_proxies |= may_be_of_proxies(name.as_bytes()),
            }
        }
        names
    }
}

/// Bytes of one field's value, whatever the head as a whole may have.
const LONGEST_LINE: usize = 16 * 1024;

/// WebSocket is the one protocol that is switched to: anything else (`h2c` above all) could carry requests past us.
fn upgrade(tunnel: &Rc<TunnelSlot>, parts: &mut Parts) -> Upgrade {
    if parts.version == Version::HTTP_3 {
        let websocket = parts.extensions.remove::<AsksWebSocket>().is_some() && parts.method == Method::CONNECT;
        return if websocket { Upgrade::Http3(tunnel.clone()) } else { Upgrade::No };
    }
    if parts.version >= Version::HTTP_2 {
        let websocket =
            parts.extensions.get::<hyper::ext::Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
        return match parts.extensions.remove::<hyper::upgrade::OnUpgrade>() {
            Some(on) if websocket && parts.method == Method::CONNECT => Upgrade::Http2(on),
            _ => Upgrade::No,
        };
    }
    let asks = |name, word: &str| {
        parts.headers.get_all(name).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word)))
        })
    };
    let websocket = parts.headers.contains_key(header::UPGRADE)
        && parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && parts.headers.contains_key(header::SEC_WEBSOCKET_KEY)
        && asks(header::UPGRADE, "websocket")
        && asks(header::CONNECTION, "upgrade");
    if websocket { Upgrade::Http1(tunnel.clone()) } else { Upgrade::No }
}
