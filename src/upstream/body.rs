//! The body of a response, from whatever kind of connection it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::http1::{Connection, Step};
use super::http2;
use crate::http::fault::Fault;

/// Read as fast as it is polled for, no faster. Read to its end, its connection serves on; dropped before, it is closed.
pub struct Body {
    inner: Inner,
}

enum Inner {
    Done,
    /// Came whole with the head; the connection is already elsewhere.
    Whole(Bytes),
    Http1(Box<Connection>),
    Http2(Box<http2::Incoming>),
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { inner: if bytes.is_empty() { Inner::Done } else { Inner::Whole(bytes) } }
    }

    pub(super) fn http1(connection: Box<Connection>) -> Self {
        Self { inner: Inner::Http1(connection) }
    }

    pub(super) fn http2(incoming: http2::Incoming) -> Self {
        Self { inner: if incoming.is_end_stream() { Inner::Done } else { Inner::Http2(Box::new(incoming)) } }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    /// Final: the connection is closed, and the body must not be taken for complete.
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let inner = &mut self.get_mut().inner;
        match inner {
            Inner::Http1(connection) => {
                let step = ready!(connection.poll_step(cx));
                Poll::Ready(http1_frame(inner, step))
            }
            Inner::Http2(incoming) => {
                let frame = ready!(incoming.poll_frame(cx));
                if matches!(frame, None | Some(Err(_))) || incoming.is_end_stream() {
                    *inner = Inner::Done;
                }
                Poll::Ready(frame)
            }
            Inner::Whole(_) | Inner::Done => match std::mem::replace(inner, Inner::Done) {
                Inner::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.inner, Inner::Done)
    }

    fn size_hint(&self) -> SizeHint {
        let exact = match &self.inner {
            Inner::Done => Some(0),
            Inner::Whole(bytes) => Some(bytes.len() as u64),
            Inner::Http1(connection) => connection.length(),
            Inner::Http2(incoming) => incoming.length(),
        };
        exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The frame that `step` is; with the last one, the connection is let go.
fn http1_frame(inner: &mut Inner, step: Result<Step, Fault>) -> Option<Result<Frame<Bytes>, Fault>> {
    let frame = match step {
        Ok(Step::Data(data)) => Some(Ok(Frame::data(data))),
        Ok(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
        Ok(Step::Done | Step::Starved) => None,
        Err(fault) => {
            *inner = Inner::Done;
            return Some(Err(fault));
        }
    };
    if let Inner::Http1(connection) = inner
        && connection.has_ended()
        && let Inner::Http1(connection) = std::mem::replace(inner, Inner::Done)
    {
        connection.finish();
    }
    frame
}
