//! One request: from hyper's terms into ours, through its site, and back.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;

use super::head;
use super::journey::{Journey, Outbound};
use super::memory;
use super::watched::Watch;
use super::world::{HeldDoor, Hold, View};
use crate::http::body::{Body, ClientBody, Received};
use crate::http::connection::Connection;
use crate::http::exchange::{Exchange, Notes, TunnelSlot};
use crate::http::fault::{Cause, Fault};
use crate::http::forwarded::X_REQUEST_ID;
use crate::http::step::Answer;
use crate::telemetry::metrics;

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
    request: Request<Received>,
) -> impl Future<Output = Result<Response<Outbound>, Infallible>> {
    let tunnel = context.tunnel.clone();
    handle_with(&tunnel, context, request)
}

/// The same for a request that has a place for a tunnel to itself.
pub fn handle_with(
    tunnel: &Rc<TunnelSlot>,
    context: Rc<Context>,
    request: Request<Received>,
) -> impl Future<Output = Result<Response<Outbound>, Infallible>> + use<> {
    let served = context.watch.begin();
    let (world, door) = context.view.now();
    let most = world.global.limits.requests;
    let (mut journey, fault) = begin(&context, tunnel, world, door, request);
    // Where one request was malformed, nobody can say for sure where the next one begins.
    let short = memory::is_short();
    let last = served >= most || short || context.watch.is_old() || context.watch.is_draining() || fault.is_some();
    // In a box: seldom there, and the future is moved.
    let refused = match fault {
        Some(fault) => Some(Box::new(journey.refuse(fault))),
        None => short.then(|| Box::new(shed(&mut journey))),
    };
    async move {
        let answer = match refused {
            Some(answer) => *answer,
            None => journey.run().await,
        };
        Ok(conclude(&context, journey, answer, last))
    }
}

/// What is asked of a process that has no memory for it: to ask again. Its connection is closed, where that is HTTP/1: that
/// gives some back.
fn shed(journey: &mut Journey) -> Answer {
    metrics::global().requests_shed.add(1);
    let mut answer = journey.refuse(Fault::detailed(Cause::Overloaded, "no memory"));
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    answer
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
    if journey.exchange.version < Version::HTTP_3
        && let Some(alt_svc) = journey.alt_svc()
    {
        answer.headers_mut().entry(header::ALT_SVC).or_insert(alt_svc);
    }
    let (parts, body) = answer.into_parts();
    if let Some(ledger) = journey.exchange.notes.tunnel.clone() {
        journey.becomes_tunnel();
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
pub(super) fn finish(answer: &mut Answer, exchange: &Exchange) {
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
    tunnel: &Rc<TunnelSlot>,
    world: Hold,
    door: Option<HeldDoor>,
    request: Request<Received>,
) -> (Box<Journey>, Option<Fault>) {
    let (parts, incoming) = request.into_parts();
    let (head, fault) = head::read(&context.connection, tunnel, &world.global, parts);
    let mut notes = Notes::default();
    let body = body(incoming, &mut notes, world.global.timeouts.body);
    let fault = fault.or_else(|| beyond(&body));
    (Journey::new(context, head, (body, notes), world, door), fault)
}

/// A length that a server may take for a negative one, or for another (threat XF03). HTTP/1 has none such by now.
fn beyond(body: &Body) -> Option<Fault> {
    let is_beyond = body.length().is_some_and(|length| i64::try_from(length).is_err());
    is_beyond.then(|| Fault::detailed(Cause::BadRequest, "no body is that long"))
}

/// What the client sends; `idle` bounds the time between two pieces of it.
fn body(incoming: Received, notes: &mut Notes, idle: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let read = notes.bytes_in.insert(Rc::default()).clone();
    Body::Client(Box::new(ClientBody::new(incoming, idle, read)))
}
