//! A request's body on its way into an HTTP/2 connection, which takes it in a task of its own. What it did not take
//! can be had back.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::fault::{Cause, Fault};
use crate::http::hop;
use crate::upstream::http1::is_reserved;

/// One type for all bodies, because a connection carries one type.
pub struct Upload(Option<Rc<RefCell<dyn Source>>>);

/// This side of the body.
pub struct Origin<B>(Rc<RefCell<Sent<B>>>);

trait Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>>;
    fn is_end_stream(&self) -> bool;
    fn size_hint(&self) -> SizeHint;
}

struct Sent<B> {
    body: Option<B>,
    /// Bytes still to come, where that was promised.
    left: Option<u64>,
    state: State,
    /// Nothing came out of the body, not even its end: it may go elsewhere, whole.
    untouched: bool,
    fault: Option<Fault>,
    waiting: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Untouched,
    /// So many frames were taken, and the peer is to take more.
    Under(u64),
    /// So many frames were taken, and the client is to bring more.
    Starved(u64),
    Ended,
}

/// The two sides of a body.
pub fn upload<B>(body: Option<B>) -> (Upload, Origin<B>)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Fault>,
{
    let left = body.as_ref().and_then(|body| body.size_hint().exact());
    let state = if body.is_some() { State::Untouched } else { State::Ended };
    let empty = body.is_none();
    let sent = Rc::new(RefCell::new(Sent { body, left, state, untouched: true, fault: None, waiting: None }));
    let upload = Upload((!empty).then(|| sent.clone() as Rc<RefCell<dyn Source>>));
    (upload, Origin(sent))
}

impl<B> Origin<B> {
    /// Wakes the caller when the body ends.
    pub fn poll_state(&self, cx: &Context<'_>) -> State {
        let mut sent = self.0.borrow_mut();
        if sent.state != State::Ended {
            sent.waiting = Some(cx.waker().clone());
        }
        sent.state
    }

    pub fn fault(&self) -> Option<Fault> {
        self.0.borrow_mut().fault.take()
    }

    /// The body, and whether nothing of it was taken. What is still being sent breaks off.
    pub fn take_back(&self) -> (Option<B>, bool) {
        let mut sent = self.0.borrow_mut();
        (sent.body.take(), sent.untouched)
    }
}

impl<B> Sent<B> {
    fn taken(&self) -> u64 {
        match self.state {
            State::Under(count) | State::Starved(count) => count,
            State::Untouched | State::Ended => 0,
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn fail(&mut self, fault: Fault) -> Fault {
        self.fault = Some(fault.clone());
        self.end();
        fault
    }

    fn count(&mut self, length: usize) -> Result<(), Fault> {
        self.state = State::Under(self.taken() + 1);
        let Some(left) = &mut self.left else { return Ok(()) };
        match left.checked_sub(length as u64) {
            Some(rest) => {
                *left = rest;
                Ok(())
            }
            None => Err(unlike_its_length("longer")),
        }
    }
}

fn unlike_its_length(how: &str) -> Fault {
    Fault::detailed(Cause::BadRequest, format!("the request's body is {how} than its content-length"))
}

impl<B> Source for Sent<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Fault>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        // Taken back: that is no end.
        let Some(body) = &mut self.body else { return Poll::Ready(Some(Err(Cause::ClosedEarly.into()))) };
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
            self.state = State::Starved(self.taken());
            return Poll::Pending;
        };
        self.untouched = false;
        let ended = body.is_end_stream();
        Poll::Ready(match frame {
            Some(Ok(mut frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if let Some(trailers) = frame.trailers_mut() {
                    let reserved: Vec<_> =
                        trailers.keys().filter(|name| is_reserved(name) || hop::is_no_trailer(name)).cloned().collect();
                    for name in reserved {
                        trailers.remove(name);
                    }
                }
                if let Err(fault) = self.count(length) {
                    return Poll::Ready(Some(Err(self.fail(fault))));
                }
                if ended {
                    if self.left.is_some_and(|left| left > 0) {
                        return Poll::Ready(Some(Err(self.fail(unlike_its_length("shorter")))));
                    }
                    self.end();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.fail(error.into()))),
            None if self.left.is_some_and(|left| left > 0) => Some(Err(self.fail(unlike_its_length("shorter")))),
            None => {
                self.end();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.0.as_ref().map_or(Poll::Ready(None), |source| source.borrow_mut().poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.borrow().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |source| source.borrow().size_hint())
    }
}
