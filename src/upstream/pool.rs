//! Idle connections: of one thread, by server, the last one used first.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::http1::Connection;
use super::http2;
use super::registry::Slot;

/// How many connections are kept for later, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Idle ones, a server and thread.
    pub idle: u32,
    pub idle_timeout: Duration,
    /// Requests on one connection.
    pub requests: u32,
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: 32,
            // Below the 60 s after which many servers close: a connection that is about to close is worth nothing.
            idle_timeout: Duration::from_secs(50),
            requests: 10_000,
            lifetime: Duration::from_hours(1),
        }
    }
}

/// What a connection must know to find its way back.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    index: u32,
    generation: u32,
    requests: u32,
    /// Seconds of this thread's pool.
    born: u32,
    idle_since: u32,
    limits: Limits,
}

impl Lease {
    pub fn new(slot: &Slot, limits: Limits) -> Self {
        let now = POOL.with(|pool| pool.now.get());
        Self { index: slot.index, generation: slot.generation, requests: 1, born: now, idle_since: now, limits }
    }

    /// One more request goes out.
    pub(super) fn renew(&mut self, limits: Limits) {
        self.requests += 1;
        self.limits = limits;
    }

    pub(super) fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Nothing is on its way now.
    pub(super) fn rest(&mut self) {
        self.idle_since = POOL.with(|pool| pool.now.get());
    }

    pub(super) fn is_idle_for_long(&self, now: u32) -> bool {
        passed(self.idle_since, self.limits.idle_timeout, now)
    }

    pub(super) fn is_spent(&self, now: u32) -> bool {
        self.requests >= self.limits.requests || passed(self.born, self.limits.lifetime, now)
    }
}

fn passed(since: u32, allowed: Duration, now: u32) -> bool {
    u64::from(now.saturating_sub(since)) >= allowed.as_secs().max(1)
}

#[derive(Default)]
struct Shelf {
    generation: u32,
    slot: Weak<Slot>,
    /// By the time of their return.
    #[expect(clippy::vec_box, reason = "a connection is half a kilobyte, and goes on in its box")]
    idle: Vec<Box<Connection>>,
    pub(super) http2: http2::Shelf,
}

struct Pool {
    shelves: RefCell<Vec<Shelf>>,
    /// Seconds, as of the last sweep.
    now: Cell<u32>,
    start: Cell<Option<Instant>>,
}

thread_local! {
    static POOL: Pool = const { Pool { shelves: RefCell::new(Vec::new()), now: Cell::new(0), start: Cell::new(None) } };
}

/// An idle connection to the server that is still good, for one more request.
pub fn take(slot: &Arc<Slot>, limits: Limits) -> Option<Box<Connection>> {
    loop {
        let mut connection = POOL.with(|pool| with_shelf(pool, slot, |shelf| shelf.idle.pop()))?;
        if connection.is_silent() {
            connection.lease.renew(limits);
            return Some(connection);
        }
    }
}

/// Does something with the HTTP/2 connections of this thread to the server.
pub(super) fn http2<T>(slot: &Arc<Slot>, then: impl FnOnce(&mut http2::Shelf) -> T) -> T {
    POOL.with(|pool| with_shelf(pool, slot, |shelf| then(&mut shelf.http2)))
}

fn with_shelf<T>(pool: &Pool, slot: &Arc<Slot>, then: impl FnOnce(&mut Shelf) -> T) -> T {
    let mut shelves = pool.shelves.borrow_mut();
    let index = slot.index as usize;
    if shelves.len() <= index {
        shelves.resize_with(index + 1, Shelf::default);
    }
    let shelf = &mut shelves[index];
    if shelf.generation != slot.generation {
        *shelf = Shelf { generation: slot.generation, slot: Arc::downgrade(slot), ..Shelf::default() };
    }
    then(shelf)
}

/// Takes back a connection that has ended its exchange well. One that nobody would miss is closed.
pub fn put(mut connection: Box<Connection>) {
    POOL.with(|pool| {
        let now = pool.now.get();
        let lease = &mut connection.lease;
        lease.idle_since = now;
        let Lease { index, generation, limits, .. } = *lease;
        let spent = lease.is_spent(now);
        let mut shelves = pool.shelves.borrow_mut();
        if let Some(shelf) = shelves.get_mut(index as usize)
            && shelf.generation == generation
            && !spent
            && shelf.idle.len() < limits.idle as usize
        {
            shelf.idle.push(connection);
        }
    });
}

/// Closes what was idle or lived for too long, what its server closed, and what belongs to a server that is no more.
/// To be called by each worker about once a second; pools count time by it.
pub fn sweep() {
    POOL.with(|pool| {
        let time = Instant::now();
        let start = pool.start.get().unwrap_or(time);
        pool.start.set(Some(start));
        sweep_at(pool, u32::try_from((time - start).as_secs()).unwrap_or(u32::MAX));
    });
}

fn sweep_at(pool: &Pool, now: u32) {
    pool.now.set(now);
    for shelf in pool.shelves.borrow_mut().iter_mut() {
        if shelf.slot.strong_count() == 0 {
            *shelf = Shelf::default();
            continue;
        }
        shelf.http2.sweep(now);
        shelf.idle.retain_mut(|connection| {
            let lease = &connection.lease;
            !lease.is_idle_for_long(now) && !lease.is_spent(now) && connection.is_silent()
        });
    }
}

/// Closes all idle connections of this thread. For a worker that is about to end.
pub fn clear() {
    drop(POOL.with(|pool| pool.shelves.take()));
}

/// Idle connections of this thread to the server.
pub fn idle(slot: &Slot) -> usize {
    POOL.with(|pool| {
        let shelves = pool.shelves.borrow();
        let shelf = shelves.get(slot.index as usize);
        shelf.filter(|shelf| shelf.generation == slot.generation).map_or(0, |shelf| shelf.idle.len())
    })
}
