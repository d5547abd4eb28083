//! One connection that speaks HTTP/1.1, with the state of the exchange that is on it.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::decode::{Decoder, Step};
use super::exchange::Tunnel;
use super::outbound::Pump;
use super::spare;
use crate::http::deadline::Deadline;
use crate::http::fault::{Cause, Fault};
use crate::upstream::pool::{self, Lease};
use crate::upstream::registry::InFlight;
use crate::upstream::stream::Stream;

/// A read of bulk. Larger ones fall out of the second level cache before they are written on.
const MAX_READ: usize = 128 * 1024;

/// Belongs to the thread that dialed it. Dropping it closes it; only [`Connection::finish`] lets it serve again.
pub struct Connection {
    pub(super) stream: Stream,
    /// Read and not yet understood. Without memory while the connection is idle.
    pub(super) read: BytesMut,
    /// Heads and chunk sizes on their way out.
    pub(super) out: Vec<u8>,
    pub(super) decoder: Decoder,
    /// The origin will take another request, and nothing went wrong on the way to it.
    pub(super) reusable: bool,
    /// How long the body may be silent.
    pub(super) patience: Duration,
    /// What is left of the request while its response is already being read.
    pub(super) pump: Option<Box<dyn Pump>>,
    deadline: Deadline,
    waiting: bool,
    next_read: usize,
    in_flight: Option<InFlight>,
    pub(in crate::upstream) lease: Lease,
}

impl Connection {
    pub fn new(stream: Stream, lease: Lease) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            out: Vec::new(),
            decoder: Decoder::Done,
            reusable: false,
            patience: Duration::ZERO,
            pump: None,
            deadline: Deadline::new(),
            waiting: false,
            next_read: spare::READ,
            in_flight: None,
            lease,
        }
    }

    /// What counts this request among those in flight, until the connection is done with it.
    pub fn count(&mut self, in_flight: Option<InFlight>) {
        self.in_flight = in_flight;
    }

    pub(super) fn into_tunnel(self) -> Tunnel {
        Tunnel { stream: self.stream, early: self.read.freeze(), in_flight: self.in_flight }
    }

    /// Whether an idle connection may serve again: a peer that closed it, or spoke unasked, is not trusted with more.
    pub fn is_silent(&mut self) -> bool {
        self.stream.is_silent()
    }

    /// The next piece of the response's body. A fault is final.
    pub fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Fault>> {
        self.poll_pump(cx)?;
        loop {
            match self.decoder.step(&mut self.read)? {
                Step::Starved => {}
                step => {
                    self.waiting = false;
                    return Poll::Ready(Ok(step));
                }
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if self.decoder.ends_by_close() => self.decoder = Decoder::Done,
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Fault::detailed(Cause::ClosedInBody, "closed before the end of the body")));
                }
                Poll::Ready(Ok(_)) => self.waiting = false,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Fault::detailed(Cause::ClosedInBody, error.to_string())));
                }
                Poll::Pending => {
                    ready!(self.poll_overdue(cx, self.patience));
                    return Poll::Ready(Err(Cause::ReadTimeout.into()));
                }
            }
        }
    }

    /// Whether the body has ended, as far as the bytes at hand can tell.
    pub fn has_ended(&mut self) -> bool {
        self.decoder.settle(&mut self.read);
        self.decoder == Decoder::Done
    }

    /// Bytes of the body still to come, where its length is known.
    pub fn length(&self) -> Option<u64> {
        match self.decoder {
            Decoder::Done => Some(0),
            Decoder::Length(left) => Some(left),
            _ => None,
        }
    }

    /// After the end of the body: back to the pool, or closed if anything was not as it should be.
    pub fn finish(mut self: Box<Self>) {
        let whole = self.pump.is_none() && self.read.is_empty() && self.decoder == Decoder::Done;
        if !(whole && self.reusable) {
            return;
        }
        self.deadline.clear();
        self.waiting = false;
        self.in_flight = None;
        if self.next_read == spare::READ {
            spare::put_read(std::mem::take(&mut self.read));
        } else {
            self.next_read = spare::READ;
            self.read = BytesMut::new();
        }
        pool::put(self);
    }

    /// Goes on sending. What fails on the wire only means that the request is not whole: the response decides.
    fn poll_pump(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let Some(mut pump) = self.pump.take() else { return Ok(()) };
        match pump.poll(self, cx) {
            Poll::Pending => self.pump = Some(pump),
            Poll::Ready(Ok(())) => self.waiting = false,
            Poll::Ready(Err(broken)) => {
                self.reusable = false;
                if let Some(fault) = broken.of_the_body() {
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// Reads once; 0 at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() == 0 {
            // Who waits for an answer needs no buffer yet.
            ready!(self.stream.poll_readable(cx));
        }
        self.make_room();
        let room = self.read.capacity() - self.read.len();
        let count = ready!(pin!(self.stream.read_buf(&mut self.read)).poll(cx))?;
        if count == room && room >= self.next_read / 2 {
            self.next_read = (self.next_read * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if self.read.capacity() == 0 {
            self.read = spare::read();
        }
        // One byte more than is due: a read that does not fill its buffer tells the reactor that the socket is empty,
        // which saves the read that would only find that out, and shows what was sent in surplus.
        let due = self.decoder.wants().and_then(|due| usize::try_from(due).ok()).map_or(0, |due| due.saturating_add(1));
        let wanted = self.next_read.max(due.min(MAX_READ));
        let room = self.read.capacity() - self.read.len();
        let enough = if due > 0 { due.min(wanted / 2) } else { spare::READ / 4 };
        if room < enough {
            if wanted > spare::READ {
                self.next_read = wanted;
            }
            self.read.reserve(wanted);
        }
    }

    /// Ready when nothing moved for as long as is allowed. The clock starts with the first call after progress.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>, allowed: Duration) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            self.deadline.set(allowed);
        }
        self.deadline.poll_passed(cx)
    }

    /// The next wait starts its clock anew.
    pub(super) fn progressed(&mut self) {
        self.waiting = false;
    }
}
