//! A request on its way out: the head, then the body as fast as the peer takes it.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::connection::Connection;
use super::head::Framing;
use super::parse;
use super::spare;
use crate::http::fault::{Cause, Fault};
use crate::http::hop;

const END: &[u8] = b"0\r\n\r\n";
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

/// Outlives the connection that it is tried on, so that what was not sent can be sent on another.
pub struct Outbound<B> {
    /// Until its end was seen.
    body: Option<B>,
    /// As each head states it: what was taken since does not change it.
    framing: Framing,
    /// Bytes of the stated length that the body is still to bring.
    owed: u64,
    /// Where in the connection's `out` the next byte to be written stands.
    position: usize,
    data: Bytes,
    /// Follows the data.
    tail: &'static [u8],
    /// To this connection; the head counts.
    written: u64,
    /// A frame was taken from the body.
    taken: bool,
    /// What was taken and not sent is still at hand.
    repeatable: bool,
    allowed: Duration,
}

/// Why a request did not go out whole.
#[derive(Debug)]
pub enum Broken {
    /// By its sender: nothing can be made of the rest.
    Body(Fault),
    /// By the peer, which may still answer.
    Io(io::Error),
    Timeout,
}

impl Broken {
    pub fn of_the_body(self) -> Option<Fault> {
        match self {
            Self::Body(fault) => Some(fault),
            _ => None,
        }
    }
}

/// What is left of a request, whatever its body is made of.
pub trait Pump {
    fn poll(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;
}

impl<B> Pump for Outbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Fault>,
{
    fn poll(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_send(connection, cx)
    }
}

impl<B> Outbound<B> {
    /// Nothing of the request can have had an effect.
    pub fn is_unsent(&self) -> bool {
        self.written == 0 && self.repeatable
    }

    /// The body is as it was given.
    pub fn is_untouched(&self) -> bool {
        !self.taken
    }

    /// The body, for a server that speaks another protocol. The rest of one is none.
    pub fn take_body(&mut self) -> Result<Option<B>, Fault> {
        if self.taken {
            let detail = "closed before the response, and a new connection speaks another protocol";
            return Err(Fault::detailed(Cause::ClosedEarly, detail));
        }
        Ok(self.body.take())
    }

    /// What is left to be sent on the connection that it was begun on.
    pub(super) fn detach(&mut self) -> Self {
        Self {
            body: self.body.take(),
            data: std::mem::take(&mut self.data),
            tail: std::mem::take(&mut self.tail),
            ..*self
        }
    }
}

impl<B> Outbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Fault>,
{
    /// `allowed`: how long the peer may refuse to take more.
    pub fn new(body: Option<B>, allowed: Duration) -> Self {
        let framing = Framing::of(body.as_ref());
        let body = body.filter(|_| framing != Framing::Empty);
        let owed = if let Framing::Length(length) = framing { length } else { 0 };
        Self {
            body,
            framing,
            owed,
            position: 0,
            data: Bytes::new(),
            tail: b"",
            written: 0,
            taken: false,
            repeatable: true,
            allowed,
        }
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// To be sent from the start on a connection into whose `out` the head was written.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        self.position = 0;
        self.written = 0;
        // Left from an attempt that wrote nothing.
        if self.framing != Framing::Chunked || !self.taken {
            return;
        }
        if !self.data.is_empty() {
            chunk_size(out, self.data.len());
        } else if self.body.is_none() {
            out.extend_from_slice(END);
        }
    }

    /// Ready once every byte was handed to the system.
    pub fn poll_send(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let idle = self.position == connection.out.len() && self.data.is_empty() && self.tail.is_empty();
            // Before the first write, too: a body that is already here leaves together with the head.
            let fresh = self.written == 0 && self.data.is_empty() && self.tail.is_empty();
            let starved =
                self.body.is_some() && (idle || fresh) && self.poll_body(&mut connection.out, cx)?.is_pending();
            if starved && self.written == 0 && self.framing == Framing::Length(0) {
                // The head would be a whole request, and that nothing follows is sure at the end alone (threat XG02).
                return Poll::Pending;
            }
            if self.has_pending(connection) {
                ready!(self.poll_write(connection, cx))?;
            } else if starved {
                return Poll::Pending;
            } else if self.body.is_none() {
                return self.poll_flush(connection, cx);
            }
        }
    }

    fn has_pending(&self, connection: &Connection) -> bool {
        self.position < connection.out.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    fn poll_write(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let head = &connection.out[self.position..];
        let stream = Pin::new(&mut connection.stream);
        let result = if self.data.is_empty() && self.tail.is_empty() {
            stream.poll_write(cx, head)
        } else {
            stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.tail)])
        };
        match result {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(Broken::Io(io::ErrorKind::WriteZero.into()))),
            Poll::Ready(Ok(count)) => {
                connection.progressed();
                self.advance(&mut connection.out, count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Io(error))),
            Poll::Pending => {
                ready!(connection.poll_overdue(cx, self.allowed));
                Poll::Ready(Err(Broken::Timeout))
            }
        }
    }

    fn advance(&mut self, out: &mut Vec<u8>, count: usize) {
        self.written += count as u64;
        let of_out = count.min(out.len() - self.position);
        self.position += of_out;
        if self.position == out.len() {
            self.position = 0;
            out.clear();
        }
        let of_data = (count - of_out).min(self.data.len());
        if of_data == self.data.len() {
            // Lets go of the client's buffer at once.
            self.data = Bytes::new();
        } else {
            self.data.advance(of_data);
        }
        self.tail = &self.tail[count - of_out - of_data..];
    }

    fn poll_flush(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match Pin::new(&mut connection.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                spare::put_write(std::mem::take(&mut connection.out));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Io(error))),
            Poll::Pending => {
                ready!(connection.poll_overdue(cx, self.allowed));
                Poll::Ready(Err(Broken::Timeout))
            }
        }
    }

    /// Takes one frame of the body.
    fn poll_body(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        let Some(body) = &mut self.body else { return Ok(Poll::Ready(())) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { return Ok(Poll::Pending) };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            None => self.end(out, None)?,
            Some(Err(error)) => return Err(Broken::Body(error.into())),
            Some(Ok(Ok(data))) => self.take(out, data)?,
            Some(Ok(Err(frame))) => self.end(out, frame.into_trailers().ok())?,
        }
        Ok(Poll::Ready(()))
    }

    fn take(&mut self, out: &mut Vec<u8>, data: Bytes) -> Result<(), Broken> {
        self.taken = true;
        let ended = self.body.as_ref().is_some_and(Body::is_end_stream);
        if !data.is_empty() {
            if let Framing::Length(_) = self.framing {
                self.owed = self.owed.checked_sub(data.len() as u64).ok_or_else(|| unlike_its_length("longer"))?;
            } else {
                chunk_size(out, data.len());
                self.tail = if ended { LAST_CHUNK_END } else { CHUNK_END };
            }
            self.data = data;
            if ended && self.framing == Framing::Chunked {
                self.body = None;
                return Ok(());
            }
        }
        if ended { self.end(out, None) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut Vec<u8>, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        self.taken = true;
        self.body = None;
        match self.framing {
            Framing::Length(_) if self.owed > 0 => Err(unlike_its_length("shorter")),
            Framing::Length(_) | Framing::Empty => Ok(()),
            Framing::Chunked => {
                match trailers {
                    Some(trailers) => {
                        self.repeatable = false;
                        write_trailers(out, &trailers);
                    }
                    None => out.extend_from_slice(END),
                }
                Ok(())
            }
        }
    }
}

/// RFC 9112 §6.3: a length that does not hold must not be waited for by the next request on the connection.
fn unlike_its_length(how: &str) -> Broken {
    Broken::Body(Fault::detailed(Cause::BadRequest, format!("the request's body is {how} than its content-length")))
}

fn chunk_size(out: &mut Vec<u8>, length: usize) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{length:x}\r\n");
}

fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if !parse::is_reserved(name) && !hop::is_no_trailer(name) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}
