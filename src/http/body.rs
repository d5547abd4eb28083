//! The body of a message, whoever makes it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::Deadline;
use super::fault::{Cause, Fault};

/// A stream of frames of a kind that this file need not know.
pub type Stream = Pin<Box<dyn HttpBody<Data = Bytes, Error = Fault>>>;

/// hyper takes a reset for `NO_ERROR` for the end of a body, whoever sends it. It is none (RFC 9113, section 8.1): where the
/// stream itself has not ended, the rest is missing.
pub const RESET_WITHOUT_ERROR: &str = "the stream was reset for NO_ERROR before its end";

/// What a client sends, as the library of its version of HTTP hands it over.
pub enum Received {
    Http1(Incoming),
    Http2(Incoming),
    Stream(Stream),
}

impl Received {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let fault = |error: hyper::Error| Fault::detailed(Cause::ClientAbort, error.to_string());
        match self {
            Self::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(fault),
            Self::Http2(incoming) => match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                None if !incoming.is_end_stream() => {
                    Poll::Ready(Some(Err(Fault::detailed(Cause::ClientAbort, RESET_WITHOUT_ERROR))))
                }
                frame => Poll::Ready(frame.map(|frame| frame.map_err(fault))),
            },
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    /// Whether nothing comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(incoming) | Self::Http2(incoming) => incoming.is_end_stream(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(incoming) | Self::Http2(incoming) => incoming.size_hint(),
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
            Self::Client(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// What a client sends, with the time between two reads and the size in all bounded.
///
/// A length that the client said may be a lie until the stream has ended (threat XG02). So the piece that makes it up waits
/// for the end: a server that had it would have a whole request of one that is refused.
pub struct ClientBody {
    incoming: Received,
    idle: Duration,
    deadline: Deadline,
    /// Bytes that may still come.
    left: u64,
    /// Bytes that came, for the log.
    read: Rc<Cell<u64>>,
    /// The piece that waits.
    last: Option<Bytes>,
    /// What came behind it.
    trailers: Option<Box<HeaderMap>>,
}

impl ClientBody {
    #[must_use]
    pub fn new(incoming: Received, idle: Duration, read: Rc<Cell<u64>>) -> Self {
        let deadline = Deadline::new();
        Self { incoming, idle, deadline, left: u64::MAX, read, last: None, trailers: None }
    }

    /// So many bytes in all, in place of the limit before: what was read already counts.
    pub fn limit(&mut self, most: u64) {
        self.left = most.saturating_sub(self.read.get());
    }

    /// What comes next, within its time and its size.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Poll::Ready(frame) = self.incoming.poll_frame(cx) else {
            if !self.deadline.is_set() {
                self.deadline.set(self.idle);
            }
            ready!(self.deadline.poll_passed(cx));
            return Poll::Ready(Some(Err(Cause::BodyTimeout.into())));
        };
        self.deadline.clear();
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            if length > self.left {
                return Poll::Ready(Some(Err(Cause::BodyTooLarge.into())));
            }
            self.left -= length;
            self.read.set(self.read.get() + length);
        }
        Poll::Ready(frame)
    }

    /// All that was said to come is here, but not the end.
    fn is_unconfirmed(&self) -> bool {
        !self.incoming.is_end_stream() && self.incoming.size_hint().exact() == Some(0)
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        loop {
            if let Some(trailers) = this.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
            }
            let frame = match ready!(this.poll_incoming(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(fault)) => {
                    this.last = None;
                    return Poll::Ready(Some(Err(fault)));
                }
                None => return Poll::Ready(this.last.take().map(|last| Ok(Frame::data(last)))),
            };
            // More than was said is a fault of the libraries', so whatever has length now comes before a piece that waits.
            let before = this.last.take();
            match frame.into_data() {
                Ok(piece) if piece.is_empty() => this.last = before,
                Ok(piece) if this.is_unconfirmed() => this.last = Some(piece),
                Ok(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Err(frame) => match before {
                    Some(last) => {
                        this.trailers = frame.into_trailers().ok().map(Box::new);
                        return Poll::Ready(Some(Ok(Frame::data(last))));
                    }
                    None => return Poll::Ready(Some(Ok(frame))),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.trailers.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let waits = self.last.as_ref().map_or(0, Bytes::len) as u64;
        match self.incoming.size_hint().exact() {
            Some(left) => SizeHint::with_exact(left + waits),
            None => self.incoming.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    /// Frames of a stream that said how long it is, and whether its end came with the last of them.
    struct Said {
        frames: VecDeque<Option<Frame<Bytes>>>,
        left: u64,
    }

    impl HttpBody for Said {
        type Data = Bytes;
        type Error = Fault;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            match self.frames.pop_front() {
                Some(Some(frame)) => {
                    self.left -= frame.data_ref().map_or(0, Bytes::len) as u64;
                    Poll::Ready(Some(Ok(frame)))
                }
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.frames.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.left)
        }
    }

    /// Its frames: data, `waits` for a moment without any, `trailers`.
    fn body(length: u64, frames: &[&'static str]) -> ClientBody {
        let frames = frames.iter().map(|frame| match *frame {
            "waits" => None,
            "trailers" => Some(Frame::trailers(HeaderMap::new())),
            data => Some(Frame::data(data.into())),
        });
        let said = Said { frames: frames.collect(), left: length };
        ClientBody::new(Received::Stream(Box::pin(said)), Duration::from_mins(1), Rc::default())
    }

    /// What is there now; `waits` where nothing is.
    fn next(body: &mut ClientBody) -> String {
        match body.frame().now_or_never() {
            None => "waits".to_owned(),
            Some(None) => "end".to_owned(),
            Some(Some(frame)) => {
                let data = frame.unwrap().into_data();
                data.map_or("trailers".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    fn all(mut body: ClientBody) -> Vec<String> {
        (0..5).map(|_| next(&mut body)).take_while(|said| said != "end").collect()
    }

    #[test]
    fn the_piece_that_makes_up_the_length_waits_for_the_end() {
        assert_eq!(all(body(5, &["ab", "cde"])), ["ab", "cde"]);
        assert_eq!(all(body(5, &["ab", "cde", "waits", ""])), ["ab", "waits", "cde"]);
        assert_eq!(all(body(2, &["ab", "", "waits", "trailers"])), ["waits", "ab", "trailers"]);
        // What does not make it up goes on as it comes.
        assert_eq!(all(body(9, &["ab", "waits", "c"])), ["ab", "waits", "c"]);
    }

    #[test]
    fn a_piece_that_waits_is_still_to_come() {
        let mut body = body(2, &["ab", "waits"]);
        assert_eq!(next(&mut body), "waits");
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(2), false));
        assert_eq!(next(&mut body), "ab");
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    }
}
