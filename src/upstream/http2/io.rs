//! A stream as hyper wants it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::interim::Interim;
use crate::upstream::stream::Stream;

/// The largest frame, and its head.
const SCRATCH: usize = 16 * 1024 + 9;

thread_local! {
    /// hyper's buffer may hold memory that was never written, which safe code cannot read into. Copying costs less than
    /// zeroing it would, and nothing beside the copies that HTTP/2 makes anyway.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

pub struct Io {
    stream: Stream,
    interim: Interim,
    /// The server answered for ever without an answer, which ends the connection.
    flooded: Rc<Cell<bool>>,
}

impl Io {
    pub fn new(stream: Stream, flooded: Rc<Cell<bool>>) -> Self {
        Self { stream, interim: Interim::default(), flooded }
    }
}

impl Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Self { stream, interim, flooded } = self.get_mut();
        READ.with_borrow_mut(|scratch| {
            let room = out.remaining().min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            if !interim.see(buffer.filled()) {
                flooded.set(true);
                return Poll::Ready(Err(io::Error::other("interim responses without end")));
            }
            out.put_slice(buffer.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
