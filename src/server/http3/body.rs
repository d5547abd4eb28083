//! The body of a request as it comes by HTTP/3: as long as it said it would be, or refused (threats XG02 and XG03).

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::stream::{Fate, Receiver};
use crate::http::fault::{Cause, Fault};

/// Pieces are of the size of a datagram: they are joined up to here where several have come, since each costs whoever takes
/// it a system call.
const LARGEST_PIECE: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Ended,
}

/// What a client sends behind a head.
pub struct Upload {
    stream: RequestStream<Receiver, Bytes>,
    fate: Rc<Fate>,
    state: State,
    /// Bytes that are still to come, where their number was said.
    left: Option<u64>,
    /// What has been read and not taken.
    ready: VecDeque<Result<Frame<Bytes>, Fault>>,
}

impl Upload {
    #[must_use]
    pub fn new(stream: RequestStream<Receiver, Bytes>, length: Option<u64>, fate: Rc<Fate>) -> Self {
        Self { stream, fate, state: State::Data, left: length, ready: VecDeque::new() }
    }

    /// Looks at what has come already: whether there is a body shows in what follows the head. `patient` is for requests
    /// that have none in all likelihood; it waits until that is sure.
    pub async fn look(&mut self, patient: bool) {
        std::future::poll_fn(|cx| {
            if self.is_end_stream() || !self.ready.is_empty() {
                return Poll::Ready(());
            }
            match self.poll_next(cx) {
                Poll::Ready(frame) => {
                    self.ready.extend(frame);
                    Poll::Ready(())
                }
                Poll::Pending if patient => Poll::Pending,
                Poll::Pending => Poll::Ready(()),
            }
        })
        .await;
    }

    fn refuse(&mut self, why: &'static str) -> Fault {
        self.fate.refuse(Code::H3_MESSAGE_ERROR);
        self.state = State::Ended;
        Fault::detailed(Cause::ClientAbort, why)
    }

    fn fail(&mut self, error: &StreamError) -> Fault {
        self.state = State::Ended;
        Fault::detailed(Cause::ClientAbort, error.to_string())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            let polled = match self.state {
                State::Data => self.poll_data(cx),
                State::Trailers => self.poll_trailers(cx),
                State::Ended => return Poll::Ready(None),
            };
            match polled {
                Poll::Ready(None) => {}
                other => return other,
            }
        }
    }

    /// None where the state has changed instead.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        let end = loop {
            match self.stream.poll_recv_data(cx) {
                Poll::Ready(Ok(Some(mut piece))) => {
                    let piece = piece.copy_to_bytes(piece.remaining());
                    if first.is_empty() {
                        first = piece;
                    } else {
                        joined.extend_from_slice(&piece);
                    }
                    if first.len() + joined.len() >= LARGEST_PIECE {
                        break None;
                    }
                }
                Poll::Ready(Ok(None)) => {
                    self.state = State::Trailers;
                    break None;
                }
                Poll::Ready(Err(error)) => break Some(self.fail(&error)),
                Poll::Pending if first.is_empty() => return Poll::Pending,
                Poll::Pending => break None,
            }
        };
        let piece = if joined.is_empty() { first } else { [&first[..], &joined].concat().into() };
        let counted = self.count(piece.len() as u64);
        let fault = counted.err().or(end);
        match (piece.is_empty(), fault) {
            (true, None) => Poll::Ready(None),
            (_, Some(fault)) => Poll::Ready(Some(Err(fault))),
            (false, None) => Poll::Ready(Some(Ok(Frame::data(piece)))),
        }
    }

    /// Takes note of so many bytes, and of the end if that has come.
    fn count(&mut self, length: u64) -> Result<(), Fault> {
        let Some(left) = self.left else { return Ok(()) };
        let Some(left) = left.checked_sub(length) else {
            return Err(self.refuse("more DATA than `content-length` says"));
        };
        self.left = Some(left);
        if left > 0 && self.state == State::Trailers {
            return Err(self.refuse("less DATA than `content-length` says"));
        }
        Ok(())
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.stream.poll_recv_trailers(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(trailers)) => {
                self.state = State::Ended;
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(self.fail(&error)))),
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.ready.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let ready =
            self.ready.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref()).map(Bytes::len).sum::<usize>();
        match self.left {
            Some(left) => SizeHint::with_exact(left + ready as u64),
            None => SizeHint::default(),
        }
    }
}
