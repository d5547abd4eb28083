//! After a switch of protocols: bytes both ways until both ends have finished, or nothing has moved for too long.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::join;
use http::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::timeout;

use super::goodbye::{Frames, To, say};
use crate::http::deadline::Deadline;
use crate::http::exchange::{Duplex, Tunnel};
use crate::http::fault::{Cause, Fault};
use crate::http::tunnel::{Account, End, Ledger, curfew};
use crate::upstream;

/// For the connection's driver, which runs it when the 101 has been written.
pub(super) fn over_http1(tunnel: upstream::Tunnel, idle: Duration, account: Account) -> Tunnel {
    Box::new(move |client, early| Box::pin(pass(client, early, tunnel, idle, account)))
}

/// A stream of an HTTP/2 connection becomes usable once the 200 has gone out.
pub(super) fn over_http2(
    client: hyper::upgrade::OnUpgrade,
    tunnel: upstream::Tunnel,
    idle: Duration,
    account: Account,
) {
    tokio::task::spawn_local(async move {
        if let Ok(upgraded) = client.await {
            pass(Box::new(TokioIo::new(upgraded)), Bytes::new(), tunnel, idle, account).await;
        }
    });
}

/// A `Sec-WebSocket-Key` (RFC 6455, section 4.1), which a client of HTTP/2 does not send.
pub(super) fn key() -> Result<HeaderValue, Fault> {
    let mut nonce = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Fault::detailed(Cause::Panic, "the system has no random numbers"))?;
    HeaderValue::try_from(base64(nonce)).map_err(|_| Cause::Panic.into())
}

fn base64(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(ALPHABET[(bits & 63) as usize]);
    let mut text = String::with_capacity(24);
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            text.push(if at <= three.len() { digit(bits >> (18 - 6 * at)) } else { '=' });
        }
    }
    text
}

async fn pass(client: Box<dyn Duplex>, early: Bytes, tunnel: upstream::Tunnel, idle: Duration, account: Account) {
    let upstream::Tunnel { stream, early: said, in_flight: _in_flight } = tunnel;
    let deadline = Rc::new(Deadline::new());
    deadline.set(idle);
    let ledger = account.ledger();
    let from_client = Way { closed: End::ClosedByClient, lost: End::ClientLost, read: |ledger| &ledger.received };
    let from_server = Way { closed: End::ClosedByUpstream, lost: End::UpstreamLost, read: |ledger| &ledger.sent };
    let side = |way| Watched { way, deadline: deadline.clone(), idle, ledger: ledger.clone() };
    let mut client = Side { inner: client, early, watched: side(from_client), written: Frames::default() };
    let mut server = Side { inner: stream, early: said, watched: side(from_server), written: Frames::default() };
    tokio::select! {
        // A tunnel ends as it ends: with a close of one side, or with a reset; both are for the two to understand.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        () = poll_fn(|cx| deadline.poll_passed(cx)) => ledger.end(End::Idle),
        rest = curfew() => {
            ledger.end(End::Shutdown);
            let Side { inner: client, written: to_client, .. } = &mut client;
            let Side { inner: server, written: to_server, .. } = &mut server;
            let goodbyes = join(say(client, to_client, To::Client), say(server, to_server, To::Server));
            // Who cannot be told learns it from the end of the connection.
            let _ = timeout(rest, goodbyes).await;
        }
    }
}

/// How long the other end may be silent once one has closed: it may still have something to say, but no WebSocket goes on
/// for long with one end.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// One end, with what it had said before the tunnel stood.
struct Side<T> {
    inner: T,
    early: Bytes,
    watched: Watched,
    /// Of what it was given.
    written: Frames,
}

/// What is made of the bytes that one end sends: whatever moves puts the deadline off.
struct Watched {
    way: Way,
    deadline: Rc<Deadline>,
    idle: Duration,
    ledger: Rc<Ledger>,
}

/// How the account calls what happens at one end.
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
        let patience = if self.ledger.ended().is_some() { self.idle.min(HALF_CLOSED) } else { self.idle };
        self.deadline.set(patience);
    }

    fn ended(&self, end: End) {
        self.ledger.end(end);
        self.put_off();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Side<T> {
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Side<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_base64_of_sixteen_bytes() {
        assert_eq!(base64(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key().unwrap().len(), 24);
        assert_ne!(key().unwrap(), key().unwrap());
    }
}
