//! One request: from hyper's terms into ours, through its site, and back.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::journey::{Journey, Outbound};
use super::watched::Watch;
use super::world::{HeldDoor, Hold, View};
use crate::http::body::{Body, ClientBody};
use crate::http::connection::Connection;
use crate::http::exchange::{Exchange, Host, Notes, RequestId, TunnelSlot, Upgrade};
use crate::http::fault::{Cause, Fault};
use crate::http::forwarded::X_REQUEST_ID;
use crate::http::prefix::Prefixes;
use crate::http::step::Answer;
use crate::http::target::Target;
use crate::model::Limits;
use crate::telemetry::id;

/// What the requests of one connection have in common.
pub struct Context {
    pub connection: Rc<Connection>,
    pub view: View,
    pub watch: Rc<Watch>,
    /// Where an HTTP/1 tunnel is left for the driver.
    pub tunnel: Rc<TunnelSlot>,
}

/// Answers a request. A fault never becomes an error of hyper's: it is answered.
///
/// The head is turned into our terms before the future is made: with HTTP/2 that becomes a task of its own, and neither
/// hyper's request nor a fault need room in it.
pub fn handle(
    context: Rc<Context>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Outbound>, Infallible>> {
    let served = context.watch.begin();
    let (world, door) = context.view.now();
    let most = world.global.limits.requests;
    let (mut journey, fault) = begin(&context, world, door, request);
    // Where one request was malformed, nobody can say for sure where the next one begins.
    let last = served >= most || context.watch.is_draining() || fault.is_some();
    let refused = fault.map(|fault| journey.refuse(fault));
    async move {
        let answer = match refused {
            Some(answer) => answer,
            None => journey.run().await,
        };
        Ok(conclude(&context, journey, answer, last))
    }
}

/// From a site's answer to what hyper writes. The `last` answer of an HTTP/1 connection says so.
fn conclude(context: &Context, mut journey: Box<Journey>, mut answer: Answer, last: bool) -> Response<Outbound> {
    let http1 = journey.exchange.version < Version::HTTP_2;
    journey.status = answer.status().as_u16();
    finish(&mut answer, &journey.exchange);
    // Behind a request for an upgrade stand bytes of the other protocol: where it was refused, they are no request
    // (threat XU01).
    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if http1 && !switched && (last || context.watch.is_unframed()) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (parts, body) = answer.into_parts();
    if let Some(ledger) = journey.exchange.notes.tunnel.clone() {
        ledger.owe(journey);
        return Response::from_parts(parts, Outbound::of_tunnel());
    }
    if journey.exchange.version < Version::HTTP_11 && body.length().is_none() {
        context.watch.delimit_by_close();
    }
    Response::from_parts(parts, Outbound::new(body, journey))
}

/// What every answer bears, and what the answer to HEAD does not: hyper leaves a body out on HTTP/1 alone, and a client
/// of HTTP/2 that gets one ends the stream with an error. The length stays (RFC 9110, section 9.3.2).
fn finish(answer: &mut Answer, exchange: &Exchange) {
    let mut id = exchange.id.to_value();
    // HPACK would put every id into its table of repeated fields, and search the former ones in vain.
    id.set_sensitive(exchange.version >= Version::HTTP_2);
    answer.headers_mut().insert(X_REQUEST_ID.clone(), id);
    if exchange.method == Method::HEAD && !answer.body().is_end_stream() {
        if let Some(length) = answer.body().size_hint().exact() {
            answer.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
        }
        *answer.body_mut() = Body::Empty;
    }
}

/// The request in our terms, and what is wrong with it already.
fn begin(
    context: &Context,
    world: Hold,
    door: Option<HeldDoor>,
    request: Request<Incoming>,
) -> (Box<Journey>, Option<Fault>) {
    let (mut parts, incoming) = request.into_parts();
    let mut fault = None;
    let mut keep = |found: Fault| {
        fault.get_or_insert(found);
    };
    let trusted = world.global.trusted.peer(&context.connection);
    let client_ip = if trusted {
        world.global.trusted.client(&context.connection, &parts.headers)
    } else {
        context.connection.peer.ip()
    };
    let host = Host::of(&parts.uri, &parts.headers, parts.version).unwrap_or_else(|found| {
        keep(found);
        Host::none()
    });
    let target = Target::of(&parts.uri).unwrap_or_else(|found| {
        keep(found);
        Target::refused(&parts.uri)
    });
    let names = Names::of(&parts.headers);
    let upgrade =
        if names.upgrade || parts.version >= Version::HTTP_2 { upgrade(context, &mut parts) } else { Upgrade::No };
    if let Err(found) = acceptable(&parts, &names, &upgrade, &world.global.limits) {
        keep(found);
    }
    let mut notes = Notes::default();
    let body = body(incoming, &mut notes, world.global.timeouts.body);
    let started = Instant::now();
    let exchange = Exchange {
        connection: context.connection.clone(),
        id: request_id(&parts.headers, &names, started),
        method: parts.method,
        version: parts.version,
        headers: parts.headers,
        host,
        target,
        prefixes: Prefixes::default(),
        body,
        max_body: u64::MAX,
        client_ip,
        trusted,
        captures: smallvec::SmallVec::new(),
        notes,
        fault: None,
        started,
        upgrade,
        limits: smallvec::SmallVec::new(),
    };
    (Journey::new(exchange, world, door, context.watch.clone()), fault)
}

/// What the client sends; `idle` bounds the time between two pieces of it.
fn body(incoming: Incoming, notes: &mut Notes, idle: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let read = notes.bytes_in.insert(Rc::default()).clone();
    Body::Client(Box::new(ClientBody::new(incoming, idle, read)))
}

/// What can be said against a request by its head alone.
fn acceptable(parts: &http::request::Parts, names: &Names, upgrade: &Upgrade, limits: &Limits) -> Result<(), Fault> {
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > limits.uri) {
        return Err(Cause::UriTooLong.into());
    }
    // Every value counts, so crumbs of cookies do (HPACK makes a byte of each).
    if parts.headers.len() > limits.fields || names.longest > LONGEST_LINE {
        return Err(Cause::FieldsTooLarge.into());
    }
    if matches!(parts.method, Method::TRACE | Method::CONNECT) && !matches!(upgrade, Upgrade::Http2(_)) {
        return Err(Cause::MethodNotAllowed.into());
    }
    match names.expect.then(|| parts.headers.get(header::EXPECT)).flatten() {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Cause::ExpectationFailed.into())
        }
        _ => Ok(()),
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
struct Names {
    expect: bool,
    upgrade: bool,
    request_id: bool,
    /// Bytes of the longest value.
    longest: usize,
}

impl Names {
    fn of(headers: &HeaderMap) -> Self {
        let mut names = Self::default();
        for (name, value) in headers {
            names.longest = names.longest.max(value.len());
            match name.as_str() {
                "expect" => names.expect = true,
                "upgrade" => names.upgrade = true,
                "x-request-id" => names.request_id = true,
                _ => {}
            }
        }
        names
    }
}

/// Bytes of one field's value, whatever the head as a whole may have.
const LONGEST_LINE: usize = 16 * 1024;

/// WebSocket is the one protocol that is switched to: anything else (`h2c` above all) could carry requests past us.
fn upgrade(context: &Context, parts: &mut http::request::Parts) -> Upgrade {
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
    if websocket { Upgrade::Http1(context.tunnel.clone()) } else { Upgrade::No }
}
