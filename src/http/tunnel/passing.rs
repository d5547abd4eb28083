//! Bytes both ways until both ends have finished, or nothing has moved for too long.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::{End, Ledger, curfew};
use crate::http::deadline::Deadline;

/// What holds for a tunnel.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long nothing may move.
    pub idle: Duration,
    /// The same once one end has closed: the other may still have something to say.
    pub half_closed: Duration,
    /// Bytes that are read at once, for which there is room in each direction.
    pub piece: usize,
}

/// Looks at what an end is given.
pub trait Follow: Unpin {
    fn follow(&mut self, bytes: &[u8]);
}

/// Nobody looks.
impl Follow for () {
    fn follow(&mut self, _: &[u8]) {}
}

/// The two ends of a tunnel.
#[derive(Debug)]
pub struct Passing<C, S, F> {
    client: Side<C, F>,
    server: Side<S, F>,
    terms: Terms,
    deadline: Rc<Deadline>,
    ledger: Rc<Ledger>,
}

impl<C, S, F> Passing<C, S, F>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
    F: Follow + Default,
{
    /// Each end comes with what it had said before the tunnel stood.
    pub fn new(client: (C, Bytes), server: (S, Bytes), terms: Terms, ledger: &Rc<Ledger>) -> Self {
        let deadline = Rc::new(Deadline::new());
        deadline.set(terms.idle);
        let from_client = Way { closed: End::ClosedByClient, lost: End::ClientLost, read: |ledger| &ledger.received };
        let from_server = Way { closed: End::ClosedByUpstream, lost: End::UpstreamLost, read: |ledger| &ledger.sent };
        let watched = |way| Watched { way, deadline: deadline.clone(), terms, ledger: ledger.clone() };
        let ((client, early), (server, said)) = (client, server);
        let client = Side { inner: client, early, watched: watched(from_client), written: F::default() };
        let server = Side { inner: server, early: said, watched: watched(from_server), written: F::default() };
        Self { client, server, terms, deadline, ledger: ledger.clone() }
    }

    /// Passes what comes until it is over. Where that is because the process ends, says how long goodbyes may take.
    pub async fn run(&mut self) -> Option<Duration> {
        let Self { client, server, terms: Terms { piece, .. }, deadline, ledger } = self;
        tokio::select! {
            // A tunnel ends as it ends: with a close of one side, or with a reset; both are for the two to understand.
            _ = copy_bidirectional_with_sizes(client, server, *piece, *piece) => None,
            () = poll_fn(|cx| deadline.poll_passed(cx)) => {
                ledger.end(End::Idle);
                None
            }
            rest = curfew() => {
                ledger.end(End::Shutdown);
                Some(rest)
            }
        }
    }

    /// Client and server, each with what it was given.
    pub fn ends(&mut self) -> ((&mut C, &F), (&mut S, &F)) {
        let (client, server) = (&mut self.client, &mut self.server);
        ((&mut client.inner, &client.written), (&mut server.inner, &server.written))
    }
}

/// One end, with what it had said before the tunnel stood.
#[derive(Debug)]
struct Side<T, F> {
    inner: T,
    early: Bytes,
    watched: Watched,
    /// Of what it was given.
    written: F,
}

/// What is made of the bytes that one end sends: whatever moves puts the deadline off.
#[derive(Debug)]
struct Watched {
    way: Way,
    deadline: Rc<Deadline>,
    terms: Terms,
    ledger: Rc<Ledger>,
}

/// How the account calls what happens at one end.
#[derive(Debug)]
struct Way {
    closed: End,
    lost: End,
    read: fn(&Ledger) -> &Cell<u64>,
}

impl Watched {
    fn moved(&self, bytes: usize) {
        self.put_off();
        let count = (self.way.read)(&self.ledger);
        count.set(count.get() + bytes as u64);
    }

    fn put_off(&self) {
        let Terms { idle, half_closed, .. } = self.terms;
        self.deadline.set(if self.ledger.ended().is_some() { idle.min(half_closed) } else { idle });
    }

    fn ended(&self, end: End) {
        self.ledger.end(end);
        self.put_off();
    }
}

impl<T: AsyncRead + Unpin, F: Unpin> AsyncRead for Side<T, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..length]);
            self.early.advance(length);
            self.watched.moved(length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        let watched = &self.watched;
        match &outcome {
            Poll::Ready(Ok(())) if buf.filled().len() > before => watched.moved(buf.filled().len() - before),
            Poll::Ready(Ok(())) => watched.ended(watched.way.closed),
            Poll::Ready(Err(_)) => watched.ended(watched.way.lost),
            Poll::Pending => {}
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin, F: Follow> AsyncWrite for Side<T, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        match &outcome {
            Poll::Ready(Ok(count)) => self.written.follow(&buf[..*count]),
            Poll::Ready(Err(_)) => self.watched.ended(self.watched.way.lost),
            Poll::Pending => {}
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
