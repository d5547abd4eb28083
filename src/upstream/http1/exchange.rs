//! From a request to the head of its response, on one connection.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use super::connection::Connection;
use super::decode::Decoder;
use super::head::{self, Fields};
use super::outbound::{Broken, Outbound};
use super::parse::{self, Asked, Head, Values};
use super::spare;
use crate::http::fault::{Cause, Fault};
use crate::upstream::body::Body;
use crate::upstream::registry::InFlight;
use crate::upstream::stream::Stream;

/// Interim responses before a final one; a flood of them is refused.
pub const MAX_INTERIM: u8 = 10;

pub fn too_many_interim() -> Fault {
    Fault::detailed(Cause::Malformed, "more than 10 interim responses")
}

/// What the request asks of the exchange.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub method: &'a Method,
    /// Origin-form, as it goes on the wire.
    pub target: &'a [u8],
    pub fields: Fields<'a>,
    /// A 101 is welcome.
    pub upgrade: bool,
    /// How the response's values are kept.
    pub values: Values,
    /// From the end of the request to the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of the response's body, and of one that streams.
    pub read: Duration,
    pub stream: Duration,
    /// What the connection begins with, where it is made for this request.
    pub announcement: &'a [u8],
}

/// The answer of a server.
pub enum Reply {
    Response(Response<Body>),
    /// The head of a 101, and the stream behind it.
    Upgraded {
        head: Response<()>,
        tunnel: Tunnel,
    },
}

impl Reply {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status(),
            Self::Upgraded { head, .. } => head.status(),
        }
    }
}

/// The stream of an accepted upgrade.
pub struct Tunnel {
    pub stream: Stream,
    /// What the server already said on it; comes first.
    pub early: Bytes,
    /// Counts the tunnel as load of its server while it lasts.
    pub in_flight: Option<InFlight>,
}

#[derive(Debug)]
pub struct Failure {
    pub fault: Fault,
    /// The connection ended before it brought a byte of a response.
    pub unanswered: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, unanswered: false }
    }
}

pub struct Exchange<'a, B> {
    connection: Box<Connection>,
    ask: &'a Ask<'a>,
    outbound: &'a mut Outbound<B>,
    /// The request went out, whole or as far as the peer took it.
    sent: bool,
    broken: Option<io::Error>,
    interim: u8,
    /// Bytes of the head that were looked through in vain.
    seen: usize,
    heard: bool,
}

impl<'a, B> Exchange<'a, B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Fault>,
{
    pub fn new(mut connection: Box<Connection>, ask: &'a Ask<'a>, outbound: &'a mut Outbound<B>) -> Self {
        let mut out = spare::write();
        head::write(&mut out, ask.method, ask.target, ask.fields, outbound.framing());
        outbound.begin(&mut out);
        connection.out = out;
        Self { connection, ask, outbound, sent: false, broken: None, interim: 0, seen: 0, heard: false }
    }

    /// Ready with the head of the final response; [`Exchange::reply`] gives the rest.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        if !self.sent {
            self.poll_send(cx)?;
        }
        loop {
            match self.connection.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.closed("closed before the response"))),
                Poll::Ready(Ok(_)) => {
                    self.heard = true;
                    if let Some(head) = self.parse()? {
                        return Poll::Ready(Ok(head));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.closed(&error.to_string()))),
                Poll::Pending if !self.sent => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.connection.poll_overdue(cx, self.ask.first_byte));
                    return Poll::Ready(Err(Fault::from(Cause::HeaderTimeout).into()));
                }
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        match self.outbound.poll_send(&mut self.connection, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Broken::Body(fault))) => return Err(fault.into()),
            Poll::Ready(Err(Broken::Timeout)) => return Err(Fault::from(Cause::SendTimeout).into()),
            // The server may have said why before it closed, so the response is still read.
            Poll::Ready(Err(Broken::Io(error))) => self.broken = Some(error),
        }
        self.sent = true;
        self.connection.progressed();
        Ok(())
    }

    fn parse(&mut self) -> Result<Option<Head>, Failure> {
        loop {
            let buffer = &mut self.connection.read;
            // A head that drips in is parsed at its end, not at every drop. The first bytes are: they show a foreign protocol.
            let from = self.seen.saturating_sub(3);
            if self.seen > 16
                && buffer.len() < parse::MAX_BYTES
                && memchr::memmem::find(&buffer[from..], b"\n\r\n").is_none()
                && memchr::memmem::find(&buffer[from..], b"\n\n").is_none()
            {
                self.seen = buffer.len();
                return Ok(None);
            }
            let asked = if *self.ask.method == Method::HEAD { Asked::Head } else { Asked::Other };
            let Some(head) = parse::parse(buffer, asked, self.ask.values)? else {
                self.seen = buffer.len();
                return Ok(None);
            };
            self.seen = 0;
            let status = head.response.status();
            if status == StatusCode::SWITCHING_PROTOCOLS {
                self.check_upgrade()?;
            } else if status.is_informational() {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(too_many_interim().into());
                }
                if self.connection.read.is_empty() {
                    return Ok(None);
                }
                continue;
            }
            return Ok(Some(head));
        }
    }

    fn check_upgrade(&self) -> Result<(), Fault> {
        if !self.ask.upgrade {
            return Err(Fault::detailed(Cause::Malformed, "101 to a request without upgrade"));
        }
        if !self.sent || self.broken.is_some() {
            return Err(Fault::detailed(Cause::Malformed, "101 before the end of the request"));
        }
        Ok(())
    }

    fn closed(&mut self, reason: &str) -> Failure {
        let reason = self.broken.take().map_or_else(|| reason.to_owned(), |error| error.to_string());
        Failure { fault: Fault::detailed(Cause::ClosedEarly, reason), unanswered: !self.heard }
    }

    /// The response that `head` begins. What is left of the request goes on being sent while the body is read.
    pub fn reply(self, head: Head) -> Reply {
        let Self { mut connection, ask, outbound, sent, broken, .. } = self;
        if head.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Reply::Upgraded { head: head.response, tunnel: connection.into_tunnel() };
        }
        connection.progressed();
        connection.decoder = Decoder::from(head.framing);
        connection.reusable = head.keep_alive && broken.is_none();
        connection.patience = if head.streams { ask.stream } else { ask.read };
        let whole = match connection.decoder {
            Decoder::Done => Some(Bytes::new()),
            Decoder::Length(length) if length <= connection.read.len() as u64 => {
                connection.decoder = Decoder::Done;
                // Cannot be cut short: it is at most the length of the buffer.
                Some(connection.read.split_to(usize::try_from(length).unwrap_or(usize::MAX)).freeze())
            }
            _ => None,
        };
        let body = if let Some(bytes) = whole {
            // What is not sent yet of an answered request stays unsent, and the connection cannot serve again.
            if sent {
                connection.finish();
            }
            Body::whole(bytes)
        } else {
            if !sent {
                connection.pump = Some(Box::new(outbound.detach()));
            }
            Body::http1(connection)
        };
        Reply::Response(head.response.map(|()| body))
    }
}
