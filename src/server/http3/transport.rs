//! QUIC as the library that frames HTTP/3 wants it: its traits over quinn's streams, with the guard between.
//!
//! What the library cannot tell is told beside it: that a client has given a request up, why a stream was refused, and that it
//! takes nothing.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, StoppedError, VarInt};

use super::guard::{Guard, Held};
use super::stream::{Fate, Receiver, Sender, lost, varint};

/// Streams for other things than requests that one connection may open, ever. Three are needed.
const MOST_UNIDIRECTIONAL: u32 = 100;

/// How long bytes are given to arrive before their stream is reset.
const ARRIVAL: Range<Duration> = Duration::from_millis(20)..Duration::from_millis(500);

/// Ready once the client wants no more of an answer, or has all of it.
pub type Stopped = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>>>>;

/// What stands beside a stream that was accepted.
pub struct Arrived {
    pub fate: Rc<Fate>,
    pub stopped: Stopped,
    pub number: u64,
    pub line: Rc<Line>,
}

/// What the streams of one connection share.
pub struct Line {
    pub connection: quinn::Connection,
    header: usize,
    write: Duration,
    held: Held,
    /// Streams from this number on come too late.
    end: Cell<u64>,
    arrived: RefCell<Option<Arrived>>,
    unidirectional: Cell<u32>,
}

impl Line {
    pub fn new(connection: quinn::Connection, header: usize, write: Duration) -> Rc<Self> {
        Rc::new(Self {
            connection,
            header,
            write,
            held: Held::default(),
            end: Cell::new(u64::MAX),
            arrived: RefCell::default(),
            unidirectional: Cell::new(0),
        })
    }

    /// What stands beside the request that was accepted last.
    pub fn arrived(&self) -> Option<Arrived> {
        self.arrived.borrow_mut().take()
    }

    /// Refuses streams from this number on.
    pub fn end_at(&self, number: u64) {
        self.end.set(number);
    }

    /// Waits until the client has in all likelihood what was sent: a reset takes away what has not been read (RFC 9000,
    /// section 3.2), such as the last event of a server that died. Whether it has arrived, quinn tells of whole streams alone.
    pub async fn arrives(&self) {
        tokio::time::sleep((self.connection.rtt() * 2).clamp(ARRIVAL.start, ARRIVAL.end)).await;
    }

    pub(super) fn close(&self, code: Code, reason: &str) {
        self.connection.close(varint(code), reason.as_bytes());
    }
}

type Incoming<T> = Pin<Box<dyn Stream<Item = Result<T, ConnectionError>>>>;
type Opening = Pin<Box<dyn Future<Output = Result<quinn::SendStream, ConnectionError>>>>;

/// One connection.
pub struct Transport {
    line: Rc<Line>,
    requests: Incoming<(quinn::SendStream, quinn::RecvStream)>,
    others: Incoming<quinn::RecvStream>,
    opening: Option<Opening>,
}

impl Transport {
    pub fn new(line: Rc<Line>) -> Self {
        let (one, other) = (line.connection.clone(), line.connection.clone());
        Self {
            line,
            requests: Box::pin(unfold(one, |connection| async { Some((connection.accept_bi().await, connection)) })),
            others: Box::pin(unfold(other, |connection| async { Some((connection.accept_uni().await, connection)) })),
            opening: None,
        }
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = Receiver;
    type OpenStreams = NoOpener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Receiver, ConnectionErrorIncoming>> {
        let Some(stream) = ready!(self.others.as_mut().poll_next(cx)) else { return Poll::Pending };
        let stream = stream.map_err(lost)?;
        self.line.unidirectional.set(self.line.unidirectional.get().saturating_add(1));
        if self.line.unidirectional.get() > MOST_UNIDIRECTIONAL {
            self.line.close(Code::H3_EXCESSIVE_LOAD, "too many streams that are no requests");
            return Poll::Ready(Err(lost(ConnectionError::LocallyClosed)));
        }
        let guard = Guard::unidirectional(self.line.held.clone());
        Poll::Ready(Ok(Receiver::new(stream, guard, self.line.clone(), Fate::new())))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Request, ConnectionErrorIncoming>> {
        loop {
            let Some(streams) = ready!(self.requests.as_mut().poll_next(cx)) else { return Poll::Pending };
            let (mut send, mut receive) = streams.map_err(lost)?;
            let number = VarInt::from(send.id()).into_inner();
            // RFC 9114, section 5.2: such a request may be sent again elsewhere.
            if number >= self.line.end.get() {
                let _ =
                    (send.reset(varint(Code::H3_REQUEST_REJECTED)), receive.stop(varint(Code::H3_REQUEST_REJECTED)));
                continue;
            }
            let fate = Fate::new();
            let stopped: Stopped = Box::pin(send.stopped());
            *self.line.arrived.borrow_mut() =
                Some(Arrived { fate: fate.clone(), stopped, number, line: self.line.clone() });
            let guard = Guard::request(self.line.header, self.line.held.clone());
            return Poll::Ready(Ok(Request {
                send: Sender::new(send, fate.clone(), self.line.write),
                receive: Receiver::new(receive, guard, self.line.clone(), fate),
            }));
        }
    }

    fn opener(&self) -> NoOpener {
        NoOpener
    }
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = Request;
    type SendStream = Sender;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Request, StreamErrorIncoming>> {
        NoOpener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sender, StreamErrorIncoming>> {
        let connection = &self.line.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        let stream =
            opened.map_err(|error| StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(error) })?;
        let fate = Fate::new();
        fate.answer();
        Poll::Ready(Ok(Sender::new(stream, fate, self.line.write)))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.line.connection.close(varint(code), reason);
    }
}

/// A server asks for nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoOpener;

impl quic::OpenStreams<Bytes> for NoOpener {
    type BidiStream = Request;
    type SendStream = Sender;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Request, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown("a server sends no requests".into())))
    }

    fn poll_open_send(&mut self, _: &mut Context<'_>) -> Poll<Result<Sender, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown("a server's streams are opened with its connection".into())))
    }

    fn close(&mut self, _: Code, _: &[u8]) {}
}

/// Both halves of a request's stream.
pub struct Request {
    send: Sender,
    receive: Receiver,
}

impl quic::BidiStream<Bytes> for Request {
    type SendStream = Sender;
    type RecvStream = Receiver;

    fn split(self) -> (Sender, Receiver) {
        (self.send, self.receive)
    }
}

impl quic::RecvStream for Request {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for Request {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}
