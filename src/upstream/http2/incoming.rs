//! The body of a response that comes over HTTP/2.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::client::{Active, detail};
use crate::http::body::RESET_WITHOUT_ERROR;
use crate::http::deadline::Deadline;
use crate::http::fault::{Cause, Fault};
use crate::upstream::http1::is_reserved;
use crate::upstream::registry::InFlight;

/// The body of a response; dropping it before its end resets the stream.
pub struct Incoming {
    body: hyper::body::Incoming,
    deadline: Deadline,
    waiting: bool,
    patience: Duration,
    _active: Active,
    _in_flight: Option<InFlight>,
}

impl Incoming {
    pub(super) fn new(body: hyper::body::Incoming, parts: Parts, patience: Duration) -> Self {
        let Parts { active, in_flight, deadline } = parts;
        Self { body, deadline, waiting: false, patience, _active: active, _in_flight: in_flight }
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) if !self.body.is_end_stream() => {
                Poll::Ready(Some(Err(Fault::detailed(Cause::ClosedInBody, RESET_WITHOUT_ERROR))))
            }
            Poll::Ready(frame) => {
                self.waiting = false;
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(without_reserved(frame)),
                    Err(error) => Err(Fault::detailed(Cause::ClosedInBody, detail(&error))),
                }))
            }
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.deadline.set(self.patience);
                }
                self.deadline.poll_passed(cx).map(|()| Some(Err(Cause::ReadTimeout.into())))
            }
        }
    }

    pub fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

fn without_reserved(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        let reserved: Vec<_> = trailers.keys().filter(|name| is_reserved(name)).cloned().collect();
        for name in reserved {
            trailers.remove(name);
        }
    }
    frame
}

/// What a stream holds while it is open.
pub struct Parts {
    pub active: Active,
    pub in_flight: Option<InFlight>,
    pub deadline: Deadline,
}
