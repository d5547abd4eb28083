//! The body of a message, whoever makes it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::Deadline;
use super::fault::{Cause, Fault};

/// A stream of frames of a kind that this file need not know.
pub type Stream = Pin<Box<dyn HttpBody<Data = Bytes, Error = Fault>>>;

/// What a client sends, as the library of its version of HTTP hands it over.
pub enum Received {
    Hyper(Incoming),
    Stream(Stream),
}

impl Received {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self {
            Self::Hyper(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map_err(|error| Fault::detailed(Cause::ClientAbort, error.to_string())),
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    /// Whether nothing comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Hyper(incoming) => incoming.is_end_stream(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Hyper(incoming) => incoming.size_hint(),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// The body of a request or a response. Frames pass through it one at a time; nothing is gathered.
#[derive(Default)]
pub enum Body {
    #[default]
    Empty,
    /// Known in full.
    Full(Bytes),
    /// From the client.
    Client(Box<ClientBody>),
    /// From an upstream, a file, an encoder.
    Stream(Stream),
}

impl Body {
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = Fault> + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }

    /// The length in bytes, where it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Client(_) => "Client",
            Self::Stream(_) => "Stream",
        };
        write!(f, "Body::{kind}({:?})", self.length())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Full(text.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Client(body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Client(body) => body.incoming.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(body) => body.incoming.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// What a client sends, with the time between two reads and the size in all bounded.
pub struct ClientBody {
    incoming: Received,
    idle: Duration,
    deadline: Deadline,
    /// Bytes that may still come.
    left: u64,
    /// Bytes that came, for the log.
    read: Rc<Cell<u64>>,
}

impl ClientBody {
    #[must_use]
    pub fn new(incoming: Received, idle: Duration, read: Rc<Cell<u64>>) -> Self {
        Self { incoming, idle, deadline: Deadline::new(), left: u64::MAX, read }
    }

    /// So many bytes in all, in place of the limit before: what was read already counts.
    pub fn limit(&mut self, most: u64) {
        self.left = most.saturating_sub(self.read.get());
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = this.incoming.poll_frame(cx) else {
            if !this.deadline.is_set() {
                this.deadline.set(this.idle);
            }
            ready!(this.deadline.poll_passed(cx));
            return Poll::Ready(Some(Err(Cause::BodyTimeout.into())));
        };
        this.deadline.clear();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                if length > this.left {
                    return Poll::Ready(Some(Err(Cause::BodyTooLarge.into())));
                }
                this.left -= length;
                this.read.set(this.read.get() + length);
                Some(Ok(frame))
            }
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
