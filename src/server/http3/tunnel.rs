//! A WebSocket on a stream of HTTP/3 (RFC 9220): bytes both ways in DATA frames, once its request has been answered 200.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::join;
use h3::error::Code;
use h3::server::RequestStream;
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::body::Upload;
use super::stream::{Fate, Sender};
use crate::http::exchange::Tunnel;

/// Bytes for the client that wait for its stream.
const WAITING: usize = 16 * 1024;

/// Passes what both say until the tunnel ends.
pub async fn carry(tunnel: Tunnel, upload: Pin<Box<Upload>>, sender: RequestStream<Sender, Bytes>, fate: Rc<Fate>) {
    fate.opens_tunnel();
    let (writer, reader) = duplex(WAITING);
    let is_whole = Rc::<Cell<bool>>::default();
    let client = Client { upload, read: Bytes::new(), writer, fate, is_whole: is_whole.clone() };
    join(tunnel(Box::new(client), Bytes::new()), send(reader, sender, is_whole)).await;
}

/// Sends what the tunnel has for the client. RFC 9220, section 3: the end of a stream is an end, a reset is a connection lost.
async fn send(mut reader: DuplexStream, mut sender: RequestStream<Sender, Bytes>, is_whole: Rc<Cell<bool>>) {
    let mut buffer = BytesMut::new();
    while let Ok(1..) = reader.read_buf(&mut buffer).await {
        if sender.send_data(buffer.split().freeze()).await.is_err() {
            return;
        }
    }
    if is_whole.get() {
        let _ = sender.finish().await;
    } else {
        sender.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
}

/// The client, as a tunnel sees it.
struct Client {
    upload: Pin<Box<Upload>>,
    /// Of its last frame, what has not been taken.
    read: Bytes,
    writer: DuplexStream,
    fate: Rc<Fate>,
    /// Everything that it was to be told has been written.
    is_whole: Rc<Cell<bool>>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            if self.fate.is_stopped() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            match ready!(self.upload.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(frame)) => self.read = frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_whole.set(true);
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
