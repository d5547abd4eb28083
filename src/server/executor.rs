//! Hyper's tasks stay on the thread of their connection, and none waits for ever for a client that takes nothing.
//!
//! The window of an HTTP/2 stream is the client's to open, and hyper waits for it without a limit: each stream that is
//! asked for and not taken holds a connection to a server and what that has said so far. From outside of hyper it shows
//! as a body that gave a piece and is not asked for the next.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::http::deadline::Deadline;

/// What the body of an answer has done while its task was driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It gave a piece, which the client is to take.
    Gave,
    /// It waits for more from its source.
    Waits,
}

thread_local! {
    static STEP: Cell<Option<Step>> = const { Cell::new(None) };
    static GIVING_UP: Cell<bool> = const { Cell::new(false) };
}

/// To be told by the body of an answer.
#[inline]
pub fn note(step: Step) {
    STEP.set(Some(step));
}

/// Whether what is dropped now ends because its client took nothing.
pub fn is_giving_up() -> bool {
    GIVING_UP.get()
}

/// Drops something because its client took nothing.
pub fn giving_up(drop: impl FnOnce()) {
    GIVING_UP.set(true);
    drop();
    GIVING_UP.set(false);
}

/// Spawns where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Local {
    /// How long a client may leave a piece of an answer.
    pub write: Duration,
}

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(Taken { future: Some(future), left: None, write: self.write });
    }
}

pin_project! {
    /// A stream's task, until it ends or is given up.
    struct Taken<F> {
        #[pin]
        future: Option<F>,
        // Set while a piece waits for its client; most answers never do.
        left: Option<Deadline>,
        write: Duration,
    }
}

impl<F: Future> Future for Taken<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        STEP.set(None);
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match STEP.take() {
            Some(Step::Gave) => this.left.get_or_insert_default().set(*this.write),
            Some(Step::Waits) => *this.left = None,
            None => {}
        }
        let Some(left) = this.left else { return Poll::Pending };
        if left.poll_passed(cx).is_pending() {
            return Poll::Pending;
        }
        // Dropping hyper's task resets the stream.
        giving_up(|| this.future.set(None));
        Poll::Ready(())
    }
}
