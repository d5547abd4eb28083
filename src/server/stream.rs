//! A client connection's bytes, looked at as they come and go.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Pace;
use super::framing::Framing;
use super::socket::Socket;
use super::watched::{Expired, Watch};

const TIMEOUT_ANSWER: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A stream under watch.
#[derive(Debug)]
pub struct Watched<T> {
    inner: T,
    watch: Rc<Watch>,
    /// Of HTTP/1.
    framing: Option<Framing>,
    /// Of HTTP/2.
    pace: Option<Pace>,
    /// What came while a request was under way, to be read before anything else.
    ahead: Vec<u8>,
}

/// Bytes that are read to see whether a client is still there.
const AHEAD: usize = 512;

impl<T> Watched<T> {
    pub fn http1(inner: T, watch: Rc<Watch>) -> Self {
        Self { inner, watch, framing: Some(Framing::new()), pace: None, ahead: Vec::new() }
    }

    pub fn http2(inner: T, watch: Rc<Watch>) -> Self {
        let pace = Pace::new(watch.timeouts.header);
        Self { inner, watch, framing: None, pace: Some(pace), ahead: Vec::new() }
    }

    /// The stream, and what was read of it that nobody has seen. From here on nobody watches: a tunnel has a deadline of
    /// its own.
    pub fn into_parts(self) -> (T, Vec<u8>) {
        (self.inner, self.ahead)
    }
}

impl<T: Socket> Watched<T> {
    /// Finds a client that left while its request is under way: an error. hyper can do that, by a read into a buffer of
    /// 8 KB that it allocates for each request; the reactor knows as much for nothing.
    fn look_out(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let of_interest = self.framing.is_some() && self.watch.is_busy() && self.ahead.is_empty();
        if !of_interest || self.inner.poll_readable(cx).is_pending() {
            return Ok(());
        }
        let mut bytes = [MaybeUninit::uninit(); AHEAD];
        let mut read = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut self.inner).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Ready(Ok(())) => {
                self.ahead.extend_from_slice(read.filled());
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(()),
        }
    }

    /// Ends a connection that has sent too many frames for nothing, and says why, unless that would have to wait.
    fn calm_down(&mut self, cx: &mut Context<'_>) -> io::Error {
        if let Some(pace) = &self.pace {
            let _ = Pin::new(&mut self.inner).poll_write(cx, &pace.frames.goodbye());
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        self.watch.expire(Expired::Flood)
    }

    fn written(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(pace), Poll::Ready(Ok(bytes))) = (&mut self.pace, &outcome) {
            pace.frames.wrote(*bytes);
        }
        self.watch.poll_written(cx, outcome)
    }

    /// What was read ahead, else what there is.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<T: Socket> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        match this.poll_bytes(cx, buf) {
            Poll::Ready(Ok(())) => {
                if buf.filled().len() > before {
                    this.watch.read();
                    if let Some(framing) = &mut this.framing {
                        this.watch.follow(framing, buf, before);
                    }
                    if this.pace.as_mut().is_some_and(|pace| pace.read(&mut buf.filled_mut()[before..]).is_err()) {
                        return Poll::Ready(Err(this.calm_down(cx)));
                    }
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match this.watch.poll_deadline(cx) {
                None if this.pace.as_ref().is_some_and(|pace| pace.poll_late(cx).is_ready()) => {
                    Poll::Ready(Err(this.watch.expire(Expired::Head)))
                }
                None => Poll::Pending,
                Some(why) => {
                    // RFC 9110, section 15.5.9: who began a request is told; who said nothing is not answered.
                    if why == Expired::Head && !this.watch.speaks_no_http1() {
                        let _ = Pin::new(&mut this.inner).poll_write(cx, TIMEOUT_ANSWER);
                        let _ = Pin::new(&mut this.inner).poll_flush(cx);
                    }
                    Poll::Ready(Err(this.watch.expire(why)))
                }
            },
        }
    }
}

impl<T: Socket> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        match self.watch.poll_written(cx, outcome) {
            // hyper flushes whenever it is polled, so this is where a client that leaves is noticed.
            Poll::Ready(Ok(())) => Poll::Ready(self.look_out(cx)),
            outcome => outcome,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
