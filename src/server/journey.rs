//! A request from its head to the last byte of its answer; then it is logged.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{self, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::executor::{self, Step};
use super::handle::Context;
use super::head::Head;
use super::watched::{Expired, Watch};
use super::world::{HeldDoor, Hold};
use crate::http::body::Body;
use crate::http::connection::Scheme;
use crate::http::exchange::{Exchange, Notes, ServerName};
use crate::http::fault::{Cause, Fault};
use crate::http::fields;
use crate::http::page;
use crate::http::step::Answer;
use crate::http::tunnel::End;
use crate::telemetry::access::{Phases, Record};
use crate::telemetry::metrics;

/// What must be known at the end. Dropped early, it tells of a client that left.
pub struct Journey {
    pub exchange: Exchange,
    world: Hold,
    door: Option<HeldDoor>,
    /// In the router of the door.
    site: Option<usize>,
    watch: Rc<Watch>,
    pub status: u16,
    sent: u64,
    done: bool,
    /// Counts it; not while it is a tunnel.
    under_way: Option<metrics::UnderWay>,
}

impl Journey {
    pub fn new(context: &Context, head: Head, sent: (Body, Notes), world: Hold, door: Option<HeldDoor>) -> Box<Self> {
        let under_way = Some(metrics::global().requests_active.begin());
        let (connection, watch) = (context.connection.clone(), context.watch.clone());
        // The place comes first: what is built on the stack is copied, and this is large.
        let place = Box::new_uninit();
        Box::write(
            place,
            Self {
                exchange: head.exchange(connection, sent.0, sent.1),
                world,
                door,
                site: None,
                watch,
                status: 0,
                sent: 0,
                done: false,
                under_way,
            },
        )
    }

    /// Takes the request through the site of its host.
    pub async fn run(&mut self) -> Answer {
        let token = match self.token() {
            None if self.token_may_be_elsewhere() => Box::pin(self.token_elsewhere()).await,
            known => known,
        };
        if let Some(token) = token {
            let mut answer = Response::new(Body::from(String::from(token)));
            let kind = HeaderValue::from_static("application/octet-stream");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            return answer;
        }
        let Self { exchange, door, site, .. } = self;
        let found = door.as_ref().and_then(|door| Some((door, door.router.find(exchange.host.name())?)));
        let Some((door, at)) = found else {
            return self.refuse(Fault::detailed(Cause::NoSite, "no site has this host"));
        };
        *site = Some(at);
        if !door.router.admits(at, exchange.connection.tls.as_ref(), exchange.host.name()) {
            let why = "the connection was made for another name, with other demands on TLS";
            return self.refuse(Fault::detailed(Cause::Misdirected, why));
        }
        let program = &door.router.site(at).program;
        let outcome = {
            // Pinned here, since it is large, and handing it over would copy it.
            let answered = pin!(async {
                #[cfg(debug_assertions)]
                panic_on_purpose(exchange);
                program.run(exchange).await
            });
            alone(answered).await
        };
        outcome.unwrap_or_else(|fault| self.refuse(fault))
    }

    /// What an authority wants to see of a name, before any site is asked (requirement T04). Other tokens may be a
    /// site's own.
    fn token(&self) -> Option<Box<str>> {
        let exchange = &self.exchange;
        if exchange.connection.scheme == Scheme::Https || exchange.method != Method::GET {
            return None;
        }
        self.world.acme.challenges.token(exchange.host.name(), exchange.target.path())
    }

    fn token_may_be_elsewhere(&self) -> bool {
        let exchange = &self.exchange;
        self.world.acme.challenges.may_be_elsewhere(exchange.target.path())
            && exchange.connection.scheme != Scheme::Https
            && exchange.method == Method::GET
    }

    async fn token_elsewhere(&self) -> Option<Box<str>> {
        let exchange = &self.exchange;
        self.world.acme.challenges.token_elsewhere(exchange.host.name(), exchange.target.path()).await
    }

    /// From here on it waits for as long as two peers have something to say to each other.
    pub fn becomes_tunnel(&mut self) {
        self.under_way = None;
    }

    /// What the answer says of HTTP/3, where that is spoken at this door.
    pub fn alt_svc(&self) -> Option<HeaderValue> {
        let door = self.door.as_ref()?;
        let (alt_svc, quic) = (door.alt_svc.get()?, door.tls.as_ref()?.quic.as_ref()?);
        // Sites whose demands leave nothing for it are not found there.
        let is_there = self.exchange.connection.tls.as_ref().is_some_and(|tls| quic.has(tls.policy));
        is_there.then(|| alt_svc.clone())
    }

    pub fn refuse(&mut self, fault: Fault) -> Answer {
        let answer = page::fault(&self.exchange, &fault);
        self.exchange.notes.error = Some(fault);
        answer
    }

    fn log(&self) {
        let exchange = &self.exchange;
        let site = self.door.as_ref().zip(self.site).map(|(door, at)| door.router.site(at));
        let (Some(site), false) = (site, exchange.notes.quiet) else { return };
        let Some(log) = site.log.and_then(|log| self.world.logs.get(log)) else { return };
        let notes = &exchange.notes;
        // The clock on the wall is asked only where somebody writes it down.
        let total = exchange.started.elapsed();
        let header = |name| exchange.headers.get(name).map(http::HeaderValue::as_bytes);
        let record = Record {
            time: SystemTime::now().checked_sub(total).unwrap_or(SystemTime::UNIX_EPOCH),
            request_id: exchange.id.as_str(),
            client_ip: exchange.client_ip,
            user: exchange.user(),
            peer: Some(exchange.connection.peer.ip()).filter(|ip| *ip != exchange.client_ip),
            method: exchange.method.as_str(),
            scheme: exchange.connection.scheme.as_str(),
            host: exchange.host.authority().as_bytes(),
            uri: exchange.target.original().as_bytes(),
            protocol: protocol(exchange.version),
            status: if self.status == 0 { 499 } else { self.status },
            bytes_in: notes.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: self.sent,
            user_agent: header(http::header::USER_AGENT),
            referer: header(http::header::REFERER),
            phases: Phases {
                connect: notes.connect,
                tls: notes.tls,
                first_byte: notes.first_byte,
                total: u64::try_from(total.as_micros()).unwrap_or(u64::MAX),
            },
            upstream: notes.upstream.as_ref().map(ServerName::as_str),
            attempts: notes.attempts,
            upstream_status: notes.upstream_status,
            error_code: notes.error.as_ref().map(|fault| fault.cause.code()),
            reason: notes.error.as_ref().and_then(|fault| fault.detail.as_deref()),
            site: &site.name,
            route: None,
            tunnel_end: notes.tunnel.as_ref().and_then(|ledger| ledger.ended()).map(End::as_str),
            tls_version: exchange.connection.tls.as_ref().map(|tls| tls.version),
            tls_suite: exchange.connection.tls.as_ref().and_then(|tls| tls.suite),
            tls_client: exchange.connection.tls.as_ref().and_then(|tls| Some(&*tls.client.as_ref()?.subject)),
            fields: &[],
        };
        log.sink.push(|line| record.append(line, &log.style));
    }
}

/// A panic costs the request that it happens in, and no other (threat XZ08).
async fn alone<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| {
        metrics::global().panics.add(1);
        Cause::Panic.into()
    })
}

/// So that it can be seen what a panic costs, and in no build that is shipped: a request for the path that `RP_PANIC_AT`
/// names has one.
#[cfg(debug_assertions)]
fn panic_on_purpose(exchange: &Exchange) {
    static AT: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("RP_PANIC_AT").ok());
    assert!(AT.as_deref() != Some(exchange.target.path()), "on purpose");
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        if let Some(ledger) = &self.exchange.notes.tunnel {
            let received = ledger.received.get();
            self.exchange.notes.bytes_in.get_or_insert_default().set(received);
            self.sent = ledger.sent.get();
            // Without an end it never began: the client was gone before it had its answer.
            self.done = ledger.ended().is_some();
        }
        if !self.done && self.exchange.notes.error.is_none() {
            let is_slow = executor::is_giving_up() || self.watch.expired() == Some(Expired::Write);
            let cause = if is_slow { Cause::WriteTimeout } else { Cause::ClientAbort };
            self.exchange.notes.error = Some(cause.into());
            self.watch.break_off();
        }
        metrics::global().answered(if self.status == 0 { 499 } else { self.status });
        self.log();
        fields::give(std::mem::take(&mut self.exchange.headers));
        self.watch.end();
    }
}

/// Bytes that a client of HTTP/2 is given to take within the time of a write: with the default of 30 s it may be as slow
/// as 1 KiB/s. The protocol's library keeps a piece from its first byte's leaving on, so a hundred streams that stand still
/// cost 3 MiB.
const LARGEST_PIECE: usize = 32 * 1024;

/// The body of an answer on its way to the client.
pub struct Outbound {
    body: Body,
    /// What was too large to be given at once.
    rest: Bytes,
    /// Why it breaks off, kept back while what came before leaves.
    broken: Option<Fault>,
    /// Given up as soon as the body has ended.
    journey: Option<Box<Journey>>,
}

impl Outbound {
    pub fn new(body: Body, journey: Box<Journey>) -> Self {
        Self { body, rest: Bytes::new(), broken: None, journey: Some(journey) }
    }

    /// For the answer that opens a tunnel: its journey ends with that.
    pub fn of_tunnel() -> Self {
        Self { body: Body::Empty, rest: Bytes::new(), broken: None, journey: None }
    }

    /// The next piece, of a size that a slow client of HTTP/2 can take in its time.
    fn poll_piece(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let is_http2 =
                self.journey.as_ref().is_some_and(|journey| journey.exchange.version >= http::Version::HTTP_2);
            match frame {
                Some(Ok(frame)) if is_http2 && frame.data_ref().is_some_and(|data| data.len() > LARGEST_PIECE) => {
                    self.rest = frame.into_data().unwrap_or_default();
                }
                frame => return Poll::Ready(frame),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(LARGEST_PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn finish(&mut self) {
        if let Some(mut journey) = self.journey.take() {
            journey.done = true;
        }
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        if let Some(fault) = this.broken.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        let Poll::Ready(frame) = this.poll_piece(cx) else {
            executor::note(Step::Waits);
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => {
                executor::note(Step::Gave);
                if let (Some(journey), Some(data)) = (&mut this.journey, frame.data_ref()) {
                    journey.sent += data.len() as u64;
                }
                if this.is_end_stream() {
                    this.finish();
                }
            }
            Some(Err(fault)) => {
                // The client sees the answer break off: never a short one that looks whole. hyper throws away what it
                // has not written when a body fails, be it the last event that the server had to tell: it is given one
                // turn to write.
                if let Some(journey) = &mut this.journey {
                    journey.exchange.notes.error = Some(fault.clone());
                }
                this.broken = Some(fault.clone());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => this.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before anything is given.
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn xz08_a_panic_is_a_fault_of_its_request() {
        let mut others = 0;
        for at in 0..10 {
            let outcome = alone(async {
                tokio::task::yield_now().await;
                assert!(at % 2 == 0, "a panic on purpose");
                at
            })
            .await;
            match outcome {
                Ok(_) => others += 1,
                Err(fault) => {
                    assert_eq!((fault.cause, fault.cause.status()), (Cause::Panic, StatusCode::INTERNAL_SERVER_ERROR));
                }
            }
        }
        assert_eq!(others, 5);
    }
}
