//! What a client's bytes come from.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A stream of a client, with what only sockets can tell and do.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether something may have come: what the reactor was told last, without a system call. An error of the socket is
    /// something, and reading shows it.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Makes the end that comes with the drop of it one that no peer takes for an orderly one.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn reset_on_close(&self) {
        // Without it the connection still ends.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Socket for TlsStream<TcpStream> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().0.poll_readable(cx)
    }

    /// The missing `close_notify` says it.
    fn reset_on_close(&self) {}
}

impl Socket for UnixStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    /// There is no reset on these.
    fn reset_on_close(&self) {}
}
