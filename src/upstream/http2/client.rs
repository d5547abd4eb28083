//! One connection that speaks HTTP/2, and one request on it.

use std::cell::Cell;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use hyper::client::conn::http2::{Builder, SendRequest};

use super::incoming::{Incoming, Parts};
use super::io::Io;
use super::upload::{self, Origin, State, Upload};
use crate::http::deadline::Deadline;
use crate::http::fault::{Cause, Fault};
use crate::upstream::http1::{Ask, Fields, too_many_interim};
use crate::upstream::pool::{Lease, Limits};
use crate::upstream::registry::InFlight;
use crate::upstream::stream::Stream;

/// Until the server says otherwise, and at most.
const PRESUMED_STREAMS: usize = 100;
const MAX_FIELD_BYTES: u32 = 64 * 1024;
const MAX_FIELDS: usize = 200;
/// What a server may send ahead of its reader: a stream, and all streams of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// One connection. A clone is one more hand on it; it ends when the last is gone and its streams have ended.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Upload>,
    /// Streams open.
    active: Rc<Cell<usize>>,
    /// Streams that the server allows at once.
    allowed: Rc<Cell<usize>>,
    lease: Rc<Cell<Lease>>,
    /// It ended for the server's interim responses.
    flooded: Rc<Cell<bool>>,
}

/// Counts a stream while it is open.
pub struct Active {
    count: Rc<Cell<usize>>,
    lease: Rc<Cell<Lease>>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.count.set(self.count.get().saturating_sub(1));
        let mut lease = self.lease.get();
        lease.rest();
        self.lease.set(lease);
    }
}

#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Why there is no response, and whether the request can be made again as if for the first time.
pub struct Failure<B> {
    pub fault: Fault,
    /// The server did not begin to process the request.
    pub unprocessed: bool,
    /// The connection is as good as before: the failure was of this stream alone.
    pub alone: bool,
    /// The body, where nothing of it was taken.
    pub body: Result<Option<B>, Taken>,
}

/// Some of the body is gone.
#[derive(Debug)]
pub struct Taken;

impl Client {
    /// Begins to speak HTTP/2 on a new connection, whose task runs until all hands are gone.
    pub async fn start(stream: Stream, lease: Lease) -> Result<Self, Fault> {
        let flooded = Rc::<Cell<bool>>::default();
        let (sender, mut connection) = Builder::new(Local)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_FIELD_BYTES)
            .handshake(Io::new(stream, flooded.clone()))
            .await
            .map_err(|error| fault(&error))?;
        let allowed = Rc::new(Cell::new(PRESUMED_STREAMS));
        let told = allowed.clone();
        tokio::task::spawn_local(poll_fn(move |cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            told.set(connection.current_max_send_streams().clamp(1, PRESUMED_STREAMS));
            // How it ended is told to the requests that were on it.
            ended.map(drop)
        }));
        Ok(Self { sender, active: Rc::default(), allowed, lease: Rc::new(Cell::new(lease)), flooded })
    }

    pub fn has_room(&self) -> bool {
        self.active.get() < self.allowed.get()
    }

    pub fn streams(&self) -> usize {
        self.active.get()
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.active, &other.active)
    }

    pub fn is_worth_keeping(&self, now: u32) -> bool {
        let lease = self.lease.get();
        let idle = self.active.get() == 0 && lease.is_idle_for_long(now);
        !idle && !lease.is_spent(now) && !self.is_closed()
    }

    /// One more request goes out.
    pub fn renew(&self, limits: Limits) {
        let mut lease = self.lease.get();
        lease.renew(limits);
        self.lease.set(lease);
    }

    /// One request. `send` bounds how long the server may refuse to take more of the body.
    pub async fn send<B>(
        &mut self,
        ask: Ask<'_>,
        scheme: http::uri::Scheme,
        body: Option<B>,
        send: Duration,
        in_flight: Option<InFlight>,
    ) -> Result<Response<Incoming>, Failure<B>>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        let (upload, origin) = upload::upload(body.filter(|body| !body.is_end_stream()));
        let request = match request(ask, scheme, upload) {
            Ok(request) => request,
            Err(fault) => return Err(Failure { fault, unprocessed: false, alone: true, body: Err(Taken) }),
        };
        self.active.set(self.active.get() + 1);
        let active = Active { count: self.active.clone(), lease: self.lease.clone() };
        let deadline = Deadline::new();
        let result = {
            let mut answer = pin!(self.sender.try_send_request(request));
            let mut patience = Patience { deadline: &deadline, last: None };
            poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Ok(result)),
                Poll::Pending => patience.poll(&origin, send, ask.first_byte, cx).map(Err),
            })
            .await
        };
        match result {
            Ok(Ok(response)) => accept(response, Parts { active, in_flight, deadline }, ask).map_err(|fault| Failure {
                fault,
                unprocessed: false,
                alone: true,
                body: Err(Taken),
            }),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().is_some();
                let mut failure = failure(failed.error(), unsent, &origin);
                if self.flooded.get() && failure.fault.cause == Cause::ClosedEarly {
                    failure.fault = too_many_interim();
                }
                Err(failure)
            }
            // Why it is silent is not known, and others should not have to find out.
            Err(fault) => Err(Failure { fault, unprocessed: false, alone: false, body: Err(Taken) }),
        }
    }
}

fn failure<B>(error: &hyper::Error, unsent: bool, origin: &Origin<B>) -> Failure<B> {
    if let Some(fault) = origin.fault() {
        return Failure { fault, unprocessed: false, alone: true, body: Err(Taken) };
    }
    let (body, untouched) = origin.take_back();
    let body = if untouched { Ok(body) } else { Err(Taken) };
    let alone = h2_error(error).is_some_and(h2::Error::is_reset);
    Failure { fault: fault(error), unprocessed: unsent || is_unprocessed(error), alone, body }
}

/// What lets a request wait for its response, and not forever.
struct Patience<'a> {
    deadline: &'a Deadline,
    last: Option<State>,
}

impl Patience<'_> {
    fn poll<B>(
        &mut self,
        origin: &Origin<B>,
        send: Duration,
        first_byte: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Fault> {
        loop {
            let state = origin.poll_state(cx);
            let ended = state == State::Ended;
            // The end of the body starts the wait for the head.
            if self.last.is_none() || (ended && self.last != Some(state)) {
                self.deadline.set(if ended { first_byte } else { send });
                self.last = Some(state);
            }
            ready!(self.deadline.poll_passed(cx));
            if ended {
                return Poll::Ready(Cause::HeaderTimeout.into());
            }
            // A client that brings nothing is not the server's fault; it has a deadline of its own.
            if self.last == Some(state) && !matches!(state, State::Starved(_)) {
                return Poll::Ready(Cause::SendTimeout.into());
            }
            self.last = None;
        }
    }
}

fn request(ask: Ask<'_>, scheme: http::uri::Scheme, upload: Upload) -> Result<Request<Upload>, Fault> {
    let bad = |what: &'static str| Fault::detailed(Cause::BadRequest, what);
    let host =
        ask.fields.host.or_else(|| ask.fields.map.get(header::HOST)).map_or(&b"localhost"[..], HeaderValue::as_bytes);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::try_from(host).map_err(|_| bad("the host is no authority"))?);
    uri.path_and_query = Some(PathAndQuery::try_from(ask.target).map_err(|_| bad("the target is no path"))?);
    let mut request = Request::new(upload);
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| bad("the target is no path"))?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields(ask.fields).map_err(|_| bad("a field that cannot be sent"))?;
    Ok(request)
}

/// RFC 9113 §8.2.2: no field that is about a connection; the host is a pseudo-field, the length is ours to state.
fn fields(given: Fields<'_>) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut fields = given.map.clone();
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE] {
        fields.remove(name);
    }
    for (name, value) in given.also {
        fields.insert((*name).clone(), HeaderValue::from_bytes(value)?);
    }
    Ok(fields)
}

fn accept(response: Response<hyper::body::Incoming>, parts: Parts, ask: Ask<'_>) -> Result<Response<Incoming>, Fault> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::detailed(Cause::Malformed, "101 over http/2"));
    }
    if response.headers().len() > MAX_FIELDS {
        return Err(Fault::detailed(Cause::HeadersTooLarge, "more than 200 response fields"));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let streams = kind.starts_with(b"application/grpc") || kind.starts_with(b"text/event-stream");
    let patience = if streams { ask.stream } else { ask.read };
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    parts.deadline.clear();
    Ok(Response::from_parts(head, Incoming::new(body, parts, patience)))
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// RFC 9113 §8.7: what was refused, or came after the last stream of a connection that says goodbye, had no effect.
fn is_unprocessed(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

fn fault(error: &hyper::Error) -> Fault {
    let cause = match h2_error(error) {
        Some(error) if error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED) => Cause::Protocol,
        // What the server sent was not HTTP/2 at all, or was against its rules.
        Some(error) if error.is_go_away() && error.is_library() => Cause::Protocol,
        Some(error) if error.is_reset() && error.is_library() => Cause::Malformed,
        _ => Cause::ClosedEarly,
    };
    Fault::detailed(cause, detail(error))
}

pub(super) fn detail(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
