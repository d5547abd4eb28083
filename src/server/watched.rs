//! The time that a client connection takes.
//!
//! One deadline stands for whatever the connection is waiting for: the next request, the rest of a head, or a client
//! that takes its answer too slowly. Hyper has no deadline between requests and one timer per head; this is a cell.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::ReadBuf;

use super::framing::Framing;
use crate::http::deadline::{self, Deadline};
use crate::model::Timeouts;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of its head.
    Head,
    /// Us: requests are under way.
    Busy,
}

/// The state that the connection's driver, its bytes and its requests share.
#[derive(Debug)]
pub struct Watch {
    phase: Cell<Phase>,
    deadline: Deadline,
    /// The client takes nothing: set while a write waits.
    writing: Deadline,
    pub(super) timeouts: Timeouts,
    http2: Cell<bool>,
    /// Requests under way, and all there ever were.
    active: Cell<u32>,
    served: Cell<u32>,
    /// When it has been there for long enough, by the thread's coarse clock; `u64::MAX`: never.
    old_at: Cell<u64>,
    /// Requests that ended before their answers had.
    broken_off: Cell<u32>,
    /// The connection is to end when what is under way has.
    draining: Cell<bool>,
    /// An answer is under way that has no other end than the connection's.
    close_delimited: Cell<bool>,
    /// A request for another protocol has come.
    unframed: Cell<bool>,
    /// What was wrong with the last request.
    broken: Cell<Option<&'static str>>,
    waker: RefCell<Option<Waker>>,
    expired: Cell<Option<Expired>>,
}

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    Idle,
    Head,
    Write,
    /// It was used up by frames that ask for nothing.
    Flood,
}

/// Who looks through a long page gives up some of its pictures, and goes on asking for others.
const MOST_BROKEN_OFF: u32 = 100;

impl Watch {
    #[must_use]
    pub fn new(timeouts: Timeouts) -> Rc<Self> {
        let watch = Self {
            phase: Cell::new(Phase::Idle),
            deadline: Deadline::new(),
            writing: Deadline::new(),
            timeouts,
            http2: Cell::new(false),
            active: Cell::new(0),
            served: Cell::new(0),
            old_at: Cell::new(u64::MAX),
            broken_off: Cell::new(0),
            draining: Cell::new(false),
            close_delimited: Cell::new(false),
            unframed: Cell::new(false),
            broken: Cell::new(None),
            waker: RefCell::new(None),
            expired: Cell::new(None),
        };
        // The first request is awaited no longer than a head may take: whoever connects has something to say.
        watch.deadline.set(timeouts.header);
        Rc::new(watch)
    }

    /// From now on: it is [old](Self::is_old) after this time, give or take a tenth, so that those that came together do
    /// not all come again together.
    pub fn lives(&self, lifetime: Duration) {
        // Each `RandomState` has another key.
        let jitter = u32::try_from(RandomState::new().hash_one(()) % 200).unwrap_or(100);
        self.old_at.set(deadline::after((lifetime / 1000).saturating_mul(900 + jitter)));
    }

    /// Its next request is to be the last.
    #[must_use]
    pub fn is_old(&self) -> bool {
        deadline::after(Duration::ZERO) >= self.old_at.get()
    }

    pub fn speaks_http2(&self) {
        self.http2.set(true);
    }

    /// From here on the time between requests is that of HTTP/2; what is below them has times of its own.
    pub fn speaks_http3(&self) {
        self.speaks_http2();
        self.deadline.set(self.timeouts.idle_http2);
    }

    /// Ready once there has been no request for too long.
    pub fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_deadline(cx).is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A request's head is complete; says how many there were with it.
    pub fn begin(&self) -> u32 {
        self.active.set(self.active.get() + 1);
        self.served.set(self.served.get().saturating_add(1));
        self.phase.set(Phase::Busy);
        self.deadline.clear();
        self.served.get()
    }

    /// A request's answer has been given up to the connection's buffers, or will never be.
    pub fn end(&self) {
        self.active.set(self.active.get().saturating_sub(1));
        if self.active.get() == 0 {
            self.phase.set(Phase::Idle);
            self.deadline.set(if self.http2.get() { self.timeouts.idle_http2 } else { self.timeouts.idle });
        }
    }

    /// Requests so far.
    #[must_use]
    pub fn served(&self) -> u32 {
        self.served.get()
    }

    /// A request ended before its answer had.
    pub fn break_off(&self) {
        self.broken_off.set(self.broken_off.get().saturating_add(1));
    }

    /// Whether most of a number of requests were given up: each has cost us and a server what it cost nobody to ask.
    #[must_use]
    pub fn is_restless(&self) -> bool {
        let broken_off = self.broken_off.get();
        broken_off > MOST_BROKEN_OFF && broken_off > self.served.get() / 2
    }

    pub fn drain(&self) {
        self.draining.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Remembers whom [`Self::drain`] wakes.
    pub fn remember(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// HTTP/1.0 knows no chunks: an answer of unknown length ends with the connection.
    pub fn delimit_by_close(&self) {
        self.close_delimited.set(true);
    }

    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        self.close_delimited.get()
    }

    #[must_use]
    pub fn expired(&self) -> Option<Expired> {
        self.expired.get()
    }

    pub(super) fn read(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            // HTTP/2 has no head whose end could be seen from here: its connection preface and frames are awaited as
            // long as a quiet connection is.
            self.deadline.set(if self.http2.get() { self.timeouts.idle_http2 } else { self.timeouts.header });
        }
    }

    /// Puts a byte that no parser accepts where a rule is broken, and an end behind it: hyper answers what came before, in
    /// order, then 400, and closes.
    pub(super) fn follow(&self, framing: &mut Framing, buf: &mut ReadBuf<'_>, before: usize) {
        if framing.has_refused() {
            buf.set_filled(before);
        } else if let Err(broken) = framing.read(&buf.filled()[before..]) {
            self.broken.set(Some(broken.why));
            buf.set_filled(before + broken.at);
            buf.put_slice(b"\0");
        } else if framing.is_unframed() {
            self.unframed.set(true);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.phase.get() == Phase::Busy
    }

    pub(super) fn speaks_no_http1(&self) -> bool {
        self.http2.get()
    }

    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        self.broken.get()
    }

    /// Behind the last request stand bytes that are none.
    #[must_use]
    pub fn is_unframed(&self) -> bool {
        self.unframed.get()
    }

    pub(super) fn expire(&self, why: Expired) -> io::Error {
        self.expired.set(Some(why));
        io::ErrorKind::TimedOut.into()
    }

    pub(super) fn poll_deadline(&self, cx: &mut Context<'_>) -> Option<Expired> {
        if self.phase.get() == Phase::Busy || self.deadline.poll_passed(cx).is_pending() {
            return None;
        }
        Some(if self.phase.get() == Phase::Head { Expired::Head } else { Expired::Idle })
    }

    pub(super) fn poll_written<T>(&self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.writing.is_set() {
                self.writing.clear();
            }
            return outcome;
        }
        if !self.writing.is_set() {
            self.writing.set(self.timeouts.write);
        }
        match self.writing.poll_passed(cx) {
            Poll::Ready(()) => Poll::Ready(Err(self.expire(Expired::Write))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A limit that no request reaches: how long a closing connection is listened to, so that the last answer is not lost
/// to a reset (RFC 9112, section 9.6).
pub const LINGER: Duration = Duration::from_secs(5);
