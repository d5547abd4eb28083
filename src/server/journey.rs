//! A request from its head to the last byte of its answer; then it is logged.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::watched::{Expired, Watch};
use super::world::{HeldDoor, Hold};
use crate::http::body::Body;
use crate::http::exchange::{Exchange, ServerName};
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
}

impl Journey {
    pub fn new(exchange: Exchange, world: Hold, door: Option<HeldDoor>, watch: Rc<Watch>) -> Box<Self> {
        Box::new(Self { exchange, world, door, site: None, watch, status: 0, sent: 0, done: false })
    }

    /// Takes the request through the site of its host.
    pub async fn run(&mut self) -> Answer {
        let Self { exchange, door, site, .. } = self;
        let found = door.as_ref().and_then(|door| Some((door, door.router.find(exchange.host.name())?)));
        let Some((door, at)) = found else {
            return self.refuse(Fault::detailed(Cause::NoSite, "no site has this host"));
        };
        *site = Some(at);
        match AssertUnwindSafe(door.router.site(at).program.run(exchange)).catch_unwind().await {
            Ok(answer) => answer,
            Err(_) => self.refuse(Cause::Panic.into()),
        }
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
            site: &site.name,
            route: None,
            tunnel_end: notes.tunnel.as_ref().and_then(|ledger| ledger.ended()).map(End::as_str),
            tls_version: exchange.connection.tls.as_ref().map(|tls| tls.version),
            tls_suite: exchange.connection.tls.as_ref().map(|tls| tls.suite),
            fields: &[],
        };
        log.sink.push(|line| record.append(line, &log.style));
    }
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
            let cause =
                if self.watch.expired() == Some(Expired::Write) { Cause::WriteTimeout } else { Cause::ClientAbort };
            self.exchange.notes.error = Some(cause.into());
        }
        metrics::global().answered(if self.status == 0 { 499 } else { self.status });
        self.log();
        fields::give(std::mem::take(&mut self.exchange.headers));
        self.watch.end();
    }
}

/// The body of an answer on its way to the client.
pub struct Outbound {
    body: Body,
    /// Why it breaks off, kept back while what came before leaves.
    broken: Option<Fault>,
    /// Given up as soon as the body has ended.
    journey: Option<Box<Journey>>,
}

impl Outbound {
    pub fn new(body: Body, journey: Box<Journey>) -> Self {
        Self { body, broken: None, journey: Some(journey) }
    }

    /// For the answer that opens a tunnel: its journey ends with that.
    pub fn of_tunnel() -> Self {
        Self { body: Body::Empty, broken: None, journey: None }
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

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        if let Some(fault) = this.broken.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(journey), Some(data)) = (&mut this.journey, frame.data_ref()) {
                    journey.sent += data.len() as u64;
                }
                if this.body.is_end_stream() {
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
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.finish();
        }
    }
}
