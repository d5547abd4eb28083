//! What an HTTP/2 connection writes, gathered into one piece each time that the connection is driven.
//!
//! The protocol's library writes every DATA frame of 256 bytes and more by itself: ten small answers that are ready
//! together make ten TLS records and ten system calls. Gathered they make one of each, which was a tenth of what a small
//! request cost. The price is one copy, of what is small.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are written at once: those of a TLS record (RFC 8446, section 5.1).
const MOST: usize = 16 * 1024;
/// What is larger goes out as it is.
const LARGE: usize = 4 * 1024;
/// Empty buffers that a thread keeps.
const SPARE: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Inner<T> {
    stream: T,
    out: Vec<u8>,
    /// Bytes of `out` that have left.
    left: usize,
}

/// The protocol's end of a stream. Flushing it does nothing: [`Outlet`] does.
#[derive(Debug)]
pub struct Gather<T>(Rc<RefCell<Inner<T>>>);

/// The driver's end.
#[derive(Debug)]
pub struct Outlet<T>(Rc<RefCell<Inner<T>>>);

/// The two ends of a stream.
pub fn gather<T>(stream: T) -> (Gather<T>, Outlet<T>) {
    let inner = Rc::new(RefCell::new(Inner { stream, out: Vec::new(), left: 0 }));
    (Gather(inner.clone()), Outlet(inner))
}

impl<T: AsyncWrite + Unpin> Outlet<T> {
    /// Writes what has been gathered. To be called whenever the connection has been polled.
    pub fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_write_out(cx)
    }
}

impl<T: AsyncWrite + Unpin> Inner<T> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.left < self.out.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.left..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.left += count;
        }
        self.left = 0;
        put(std::mem::take(&mut self.out));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Takes pieces of `length` bytes in all if they are small; `None` where they are to be written as they are.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        if self.out.len() + length > MOST || length > LARGE {
            ready!(self.poll_write_out(cx))?;
        }
        if length > LARGE {
            return Poll::Ready(Ok(None));
        }
        if self.out.capacity() == 0 {
            self.out = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(MOST));
        }
        pieces.iter().for_each(|piece| self.out.extend_from_slice(piece));
        Poll::Ready(Ok(Some(length)))
    }
}

/// Idle connections hold no buffer.
fn put(mut buffer: Vec<u8>) {
    buffer.clear();
    // The list is gone only while the thread ends.
    let _ = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if buffers.len() < SPARE {
            buffers.push(buffer);
        }
    });
}

impl<T: AsyncRead + Unpin> AsyncRead for Gather<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        // All of them are in memory at once, so the sum is one that memory has.
        let length = bufs.iter().fold(0_usize, |sum, buf| sum.wrapping_add(buf.len()));
        match ready!(inner.poll_take(cx, length, bufs))? {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut inner.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn written(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn small_pieces_leave_together_and_in_order() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut gather, outlet) = gather(ours);
        for piece in [&b"one "[..], b"two ", b"three"] {
            gather.write_all(piece).await.unwrap();
            gather.flush().await.unwrap();
        }
        let mut none = [0; 1];
        let silent = futures_util::FutureExt::now_or_never(theirs.read(&mut none));
        assert!(silent.is_none(), "nothing leaves before the connection has been driven");
        poll_fn(|cx| outlet.poll_write_out(cx)).await.unwrap();
        assert_eq!(written(&mut theirs, 13).await, b"one two three");
    }

    #[tokio::test]
    async fn large_pieces_wait_for_what_came_before_them() {
        let (ours, mut theirs) = tokio::io::duplex(100);
        let (mut gather, outlet) = gather(ours);
        let all: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
        let sent = all.clone();
        let reader = tokio::spawn(async move { written(&mut theirs, 40_000).await });
        for piece in [&sent[..10], &sent[10..9000], &sent[9000..9010], &sent[9010..20_000]] {
            gather.write_all(piece).await.unwrap();
        }
        for piece in sent[20_000..].chunks(1000) {
            gather.write_all(piece).await.unwrap();
        }
        poll_fn(|cx| outlet.poll_write_out(cx)).await.unwrap();
        assert_eq!(reader.await.unwrap(), all);
    }

    #[tokio::test]
    async fn a_shutdown_loses_nothing() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut gather, outlet) = gather(ours);
        gather.write_all(b"bye").await.unwrap();
        gather.shutdown().await.unwrap();
        drop((gather, outlet));
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"bye");
    }
}
