//! A body that is encoded while it passes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::coder::Coder;
use crate::http::body::Body;
use crate::http::fault::{Cause, Fault};

/// Input that is encoded before others on this worker get their turn: about a quarter of a millisecond with gzip.
pub(super) const STEP: usize = 64 << 10;

/// Output that is worth a frame of its own where the turn ends anyway.
const WORTH: usize = 8 << 10;

/// When what went in is brought out, though no chunk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// Only at the end: the length is known, so whoever waits waits for all of it.
    AtEnd,
    /// Whenever nothing more has come: events, and whatever is made while it is sent (requirement P07).
    WhenIdle,
}

/// Reads `inner` as it is polled, and gives its encoded form.
pub(super) struct Encoded {
    inner: Body,
    /// `None` at the end.
    coder: Option<Coder>,
    flush: Flush,
    stage: Stage,
    /// What came from `inner` and has not been encoded yet.
    input: Bytes,
    /// Bytes encoded since others had their turn.
    spent: usize,
    /// Something went in since the last flush.
    dirty: bool,
    trailers: Option<HeaderMap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    Flushing,
    Finishing,
    Ended,
}

type Polled = Poll<Option<Result<Frame<Bytes>, Fault>>>;

impl Encoded {
    pub fn new(inner: Body, coder: Coder, flush: Flush) -> Self {
        Self {
            inner,
            coder: Some(coder),
            flush,
            stage: Stage::Reading,
            input: Bytes::new(),
            spent: 0,
            dirty: false,
            trailers: None,
        }
    }

    /// One step; `None` where another is to be made at once.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<Option<Polled>, Fault> {
        let Some(coder) = &mut self.coder else {
            return Ok(Some(Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))));
        };
        match self.stage {
            Stage::Reading if self.input.is_empty() => return self.read(cx),
            Stage::Reading => {
                if self.spent >= STEP {
                    return Ok(Some(self.rest(cx)));
                }
                let most = self.input.len().min(STEP - self.spent);
                let taken = coder.encode(&self.input[..most]).map_err(broken)?;
                self.input.advance(taken);
                self.spent += taken;
                self.dirty = true;
                return Ok(coder.is_full().then(|| frame(coder)));
            }
            Stage::Flushing => {
                if coder.flush().map_err(broken)? {
                    self.stage = Stage::Reading;
                    self.dirty = false;
                }
            }
            Stage::Finishing => {
                if coder.finish().map_err(broken)? {
                    let last = (coder.filled() > 0).then(|| frame(coder));
                    self.end();
                    return Ok(last);
                }
            }
            Stage::Ended => {}
        }
        Ok((coder.filled() > 0).then(|| frame(coder)))
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<Option<Polled>, Fault> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.input = data,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    self.stage = Stage::Finishing;
                }
            },
            Poll::Ready(Some(Err(fault))) => return Err(fault),
            Poll::Ready(None) => self.stage = Stage::Finishing,
            Poll::Pending => {
                self.spent = 0;
                if !self.dirty || self.flush == Flush::AtEnd {
                    return Ok(Some(Poll::Pending));
                }
                self.stage = Stage::Flushing;
            }
        }
        Ok(None)
    }

    /// Lets others have their turn. What is there already goes out first, so that the writer has something to write.
    fn rest(&mut self, cx: &Context<'_>) -> Polled {
        match &mut self.coder {
            Some(coder) if coder.filled() >= WORTH => frame(coder),
            _ => {
                self.spent = 0;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn end(&mut self) {
        self.stage = Stage::Ended;
        self.inner = Body::Empty;
        if let Some(coder) = self.coder.take() {
            coder.release();
        }
    }
}

fn frame(coder: &mut Coder) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(coder.drain()))))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn broken(error: std::io::Error) -> Fault {
    Fault::detailed(Cause::Panic, format!("encoding the answer: {error}"))
}

impl HttpBody for Encoded {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        loop {
            match this.step(cx) {
                Ok(None) => {}
                Ok(Some(polled)) => return polled,
                Err(fault) => {
                    this.trailers = None;
                    this.end();
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.coder.is_none() && self.trailers.is_none()
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if let Some(coder) = self.coder.take() {
            coder.release();
        }
    }
}
