//! The two halves of a QUIC stream as the library that frames HTTP/3 wants them: what is read goes through the guard, what is
//! written has its time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use super::guard::{Guard, Refusal};
use super::section::Protocol;
use super::transport::Line;
use crate::http::deadline::Deadline;

/// What becomes of a request's stream, shared by both of its halves and whoever answers.
#[derive(Debug)]
pub struct Fate {
    /// With which the stream is reset, where it is not ended.
    code: Cell<Code>,
    is_refused: Cell<bool>,
    is_answered: Cell<bool>,
    is_slow: Cell<bool>,
    protocol: Cell<Option<Protocol>>,
    is_tunnel: Cell<bool>,
    is_stopped: Cell<bool>,
}

impl Fate {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            code: Cell::new(Code::H3_INTERNAL_ERROR),
            is_refused: Cell::new(false),
            is_answered: Cell::new(false),
            is_slow: Cell::new(false),
            protocol: Cell::new(None),
            is_tunnel: Cell::new(false),
            is_stopped: Cell::new(false),
        })
    }

    /// Nothing that this stream says is believed any more, and it gets no answer.
    pub fn refuse(&self, code: Code) {
        self.code.set(code);
        self.is_refused.set(true);
    }

    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.is_refused.get()
    }

    /// From here on the answer is ours, not the library's.
    pub fn answer(&self) {
        self.is_answered.set(true);
    }

    /// What the request asks to be spoken of in, once its head is there.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol.get()
    }

    /// From here on the end of either direction is the tunnel's.
    pub fn opens_tunnel(&self) {
        self.is_tunnel.set(true);
    }

    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.is_tunnel.get()
    }

    /// The client wants no more.
    pub fn stop(&self) {
        self.is_stopped.set(true);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Whether the client has left what it was given for too long.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.is_slow.get()
    }
}

/// What a client sends on one stream.
pub struct Receiver {
    stream: quinn::RecvStream,
    guard: Guard,
    passed: VecDeque<Bytes>,
    ended: bool,
    line: Rc<Line>,
    fate: Rc<Fate>,
}

impl Receiver {
    pub(super) fn new(stream: quinn::RecvStream, guard: Guard, line: Rc<Line>, fate: Rc<Fate>) -> Self {
        Self { stream, guard, passed: VecDeque::new(), ended: false, line, fate }
    }

    fn refuse(&mut self, refusal: Refusal) -> StreamErrorIncoming {
        self.ended = true;
        self.passed.clear();
        match refusal {
            Refusal::Stream(code) => {
                let _ = self.stream.stop(varint(code));
                self.fate.refuse(code);
                StreamErrorIncoming::StreamTerminated { error_code: code.value() }
            }
            Refusal::Connection(code, reason) => {
                self.fate.refuse(code);
                self.line.close(code, reason);
                StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(ConnectionError::LocallyClosed) }
            }
        }
    }
}

impl quic::RecvStream for Receiver {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            if let Some(piece) = self.passed.pop_front() {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            // It keeps nothing between two looks but the waker, and that in the connection.
            let chunk = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(cx));
            let outcome = match chunk {
                Ok(Some(chunk)) => self.guard.read(chunk.bytes, &mut self.passed),
                Ok(None) => {
                    self.ended = true;
                    self.guard.end()
                }
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Err(unread(error)));
                }
            };
            if let Err(refusal) = outcome {
                return Poll::Ready(Err(self.refuse(refusal)));
            }
            self.fate.protocol.set(self.guard.protocol());
        }
    }

    fn stop_sending(&mut self, code: u64) {
        self.ended = true;
        let _ = self.stream.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        id(self.stream.id())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.ended {
            // RFC 9114, section 4.1: an answer that did not wait for the rest is a good one.
            let code = if self.fate.is_refused() { self.fate.code.get() } else { Code::H3_NO_ERROR };
            let _ = self.stream.stop(varint(code));
        }
    }
}

/// What is sent to a client on one stream.
pub struct Sender {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
    /// Set while the client takes nothing.
    stalled: Option<Deadline>,
    write: Duration,
    fate: Rc<Fate>,
    has_written: bool,
    has_ended: bool,
}

impl Sender {
    pub(super) fn new(stream: quinn::SendStream, fate: Rc<Fate>, write: Duration) -> Self {
        Self { stream, writing: None, stalled: None, write, fate, has_written: false, has_ended: false }
    }

    /// A piece that waits is waited for as long as a write may take, be some of it taken or not: pieces are small.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let write = self.write;
        let stalled = self.stalled.get_or_insert_with(|| {
            let deadline = Deadline::new();
            deadline.set(write);
            deadline
        });
        ready!(stalled.poll_passed(cx));
        self.fate.is_slow.set(true);
        Poll::Ready(Err(StreamErrorIncoming::Unknown("the client takes nothing".into())))
    }
}

impl quic::SendStream<Bytes> for Sender {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(piece) = &mut self.writing
            && piece.has_remaining()
        {
            match Pin::new(&mut self.stream).poll_write(cx, piece.chunk()) {
                Poll::Ready(Ok(written)) => piece.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(unwritten(error))),
                Poll::Pending => return self.poll_stalled(cx),
            }
        }
        self.writing = None;
        self.stalled = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("a piece is sent before the one before it is".into()));
        }
        self.has_written = true;
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.has_ended = true;
        Poll::Ready(self.stream.finish().map_err(|error| StreamErrorIncoming::Unknown(error.into())))
    }

    fn reset(&mut self, code: u64) {
        self.has_ended = true;
        let _ = self.stream.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        id(self.stream.id())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // The library answers a head that is too large by itself, and leaves the end to us. Any other answer that was not
        // ended must not look as if it had been (threat XR02); quinn would end it.
        let is_whole = !self.fate.is_answered.get() && self.has_written && self.writing.is_none();
        if !self.has_ended && (self.fate.is_refused() || !is_whole) {
            let _ = self.stream.reset(varint(self.fate.code.get()));
        }
    }
}

pub(super) fn varint(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

fn id(id: quinn::StreamId) -> StreamId {
    // Both are numbers of 62 bits.
    StreamId::try_from(VarInt::from(id).into_inner()).unwrap_or_else(|_| unreachable!("a number of 62 bits"))
}

/// The connection is gone.
pub(super) fn lost(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn unread(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(error) }
        }
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}

fn unwritten(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(error) }
        }
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}
