//! A worker: one thread, one runtime, its own sockets, and every connection that it accepts for as long as it lives.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::{Arrival, serve_tcp, serve_unix};
use super::http3;
use super::http3::endpoint::{self, Configs, Datagrams};
use super::listener::Bound;
use super::memory;
use super::watched::Watch;
use super::world::{Shared, View, refresh};
use crate::check::value::ListenAddress;
use crate::http::{deadline, tunnel};
use crate::telemetry::{metrics, writer};
use crate::upstream;

/// Handshakes of QUIC that may be under way at once; clients beyond have to show first that they are where they say.
const MOST_HALF_OPEN: usize = 100;

/// A tunnel has no end of its own: it gets this long when the process ends.
const LONGEST_GOODBYE: Duration = Duration::from_secs(30);

/// What the control plane tells a worker.
#[derive(Debug)]
pub enum Order {
    Listen(ListenAddress, Bound),
    /// The same for QUIC. Such a socket is kept for as long as the process lives: it speaks where the configuration in force
    /// says so, and refuses where not, so that clients do not wait.
    Datagrams(ListenAddress, Box<Datagrams>),
    /// No new connections from there; those that are open end when what is under way on them has.
    Close(ListenAddress),
    /// A new configuration is in force.
    Refresh,
    /// Take nothing new, finish what is under way, and tell when it has been.
    Drain(oneshot::Sender<()>),
}

/// The other end of a worker's ear.
#[derive(Debug)]
pub struct Handle {
    pub orders: mpsc::UnboundedSender<Order>,
    pub thread: std::thread::JoinHandle<()>,
}

/// Connections of all workers: beyond the limit no more are accepted until some have ended.
#[derive(Debug)]
pub struct Census {
    open: AtomicUsize,
    most: AtomicUsize,
    /// QUIC connections whose handshakes are under way.
    half_open: AtomicUsize,
}

impl Census {
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most: AtomicUsize::new(most), half_open: AtomicUsize::new(0) })
    }

    pub fn allow(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.most.load(Ordering::Relaxed)
    }
}

struct Worker {
    index: usize,
    shared: Arc<Shared>,
    census: Arc<Census>,
    connections: RefCell<Vec<(Rc<ListenAddress>, Weak<Watch>)>>,
    /// How many entries the list had when the dead were last taken out.
    swept: Cell<usize>,
    open: Cell<usize>,
    draining: Cell<bool>,
    emptied: Notify,
}

/// Starts a worker's thread.
pub fn start(index: usize, shared: Arc<Shared>, census: Arc<Census>) -> io::Result<Handle> {
    let (orders, ear) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name(format!("rp-worker-{index}")).spawn(move || {
        // A runtime that can't be had (no file descriptors) leaves the process without this worker; it says so.
        match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
        {
            Ok(runtime) => {
                runtime.block_on(work(index, shared, census, ear));
                // What is cut off here still has a line to write.
                drop(runtime);
                writer::flush();
            }
            Err(error) => tracing::error!(%error, "a worker cannot start"),
        }
    })?;
    Ok(Handle { orders, thread })
}

async fn work(index: usize, shared: Arc<Shared>, census: Arc<Census>, mut ear: mpsc::UnboundedReceiver<Order>) {
    let worker = Rc::new(Worker {
        index,
        shared,
        census,
        connections: RefCell::default(),
        swept: Cell::new(64),
        open: Cell::new(0),
        draining: Cell::new(false),
        emptied: Notify::new(),
    });
    let mut listeners: HashMap<ListenAddress, tokio::task::AbortHandle> = HashMap::new();
    let mut tick = interval(deadline::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                deadline::tick();
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(2) {
                    writer::flush();
                }
                if ticks.is_multiple_of(10) {
                    upstream::sweep();
                }
            }
            order = ear.recv() => match order {
                Some(Order::Listen(address, bound)) => {
                    let task = tokio::task::spawn_local(accept(worker.clone(), address.clone(), bound));
                    if let Some(old) = listeners.insert(address, task.abort_handle()) {
                        old.abort();
                    }
                }
                Some(Order::Datagrams(address, datagrams)) => {
                    tokio::task::spawn_local(listen(worker.clone(), address, *datagrams));
                }
                Some(Order::Close(address)) => {
                    if let Some(task) = listeners.remove(&address) {
                        task.abort();
                    }
                    worker.drain(|from| *from == address);
                }
                Some(Order::Refresh) => refresh(&worker.shared),
                Some(Order::Drain(done)) => {
                    for (_, task) in listeners.drain() {
                        task.abort();
                    }
                    tokio::task::spawn_local(drain(worker.clone(), done));
                }
                None => break,
            },
        }
    }
}

async fn drain(worker: Rc<Worker>, done: oneshot::Sender<()>) {
    worker.draining.set(true);
    worker.drain(|_| true);
    // A little before the process loses patience, so that what ends them stands in the log.
    let patience = worker.shared.world().global.grace.min(LONGEST_GOODBYE);
    tokio::task::spawn_local(async move {
        sleep(patience * 9 / 10).await;
        tunnel::begin_curfew(patience / 20);
    });
    while worker.open.get() > 0 {
        worker.emptied.notified().await;
    }
    writer::flush();
    let _ = done.send(());
}

async fn accept(worker: Rc<Worker>, address: ListenAddress, bound: Bound) {
    let address = Rc::new(address);
    let outcome = match bound {
        Bound::Tcp(listener) => match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => loop {
                room(&worker).await;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        room(&worker).await;
                        worker.admit(&address, |arrival| serve_tcp(stream, arrival));
                    }
                    Err(error) => back_off(&error).await,
                }
            },
            Err(error) => error,
        },
        Bound::Unix(listener) => match tokio::net::UnixListener::from_std(listener) {
            Ok(listener) => loop {
                room(&worker).await;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        room(&worker).await;
                        worker.admit(&address, |arrival| serve_unix(stream, arrival));
                    }
                    Err(error) => back_off(&error).await,
                }
            },
            Err(error) => error,
        },
    };
    tracing::error!(%address, error = %outcome, "cannot listen");
}

/// Takes QUIC connections for as long as the worker lives.
async fn listen(worker: Rc<Worker>, address: ListenAddress, datagrams: Datagrams) {
    let address = Rc::new(address);
    let opened = endpoint::open(datagrams, worker.index).and_then(|open| Ok((open.local_addr()?.port(), open)));
    let (port, endpoint) = match opened {
        Ok(opened) => opened,
        Err(error) => return tracing::error!(%address, %error, "cannot speak HTTP/3"),
    };
    let mut configs = Configs::default();
    while let Some(incoming) = endpoint.accept().await {
        let (world, door) = View::new(worker.shared.clone(), ListenAddress::clone(&address)).now();
        let offer = door.and_then(|door| configs.at(&door, &world.global, incoming.local_ip()));
        // Who is refused at once tries TCP at once.
        let Some(offer) = offer.filter(|_| !worker.draining.get() && !worker.census.is_full() && !memory::is_short())
        else {
            incoming.refuse();
            continue;
        };
        // Threat XH10: then only those get an answer of some size that are where they say. Where connections of an address are
        // counted, nobody is to take the places of another by its name.
        let is_counted = world.global.limits.per_address.is_some();
        let asks = is_counted || worker.census.half_open.load(Ordering::Relaxed) >= MOST_HALF_OPEN;
        if asks && !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let half_open = HalfOpen::of(&worker.census);
        worker.admit(&address, |arrival| http3::serve(incoming, offer, port, half_open, arrival));
    }
}

/// Counts a handshake while it lasts.
struct HalfOpen(Arc<Census>);

impl HalfOpen {
    fn of(census: &Arc<Census>) -> Self {
        census.half_open.fetch_add(1, Ordering::Relaxed);
        Self(census.clone())
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.half_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits while the process has as many connections as it may, or no memory for another one. Asked before a connection is
/// accepted, and again once it is: while this worker waited for it, others may have taken the last places.
async fn room(worker: &Worker) {
    while worker.census.is_full() || memory::is_short() {
        tracing::debug!("as many connections as allowed: waiting for some to end");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Without file descriptors `accept` fails at once, and would do so a million times a second (threat XL06).
async fn back_off(error: &io::Error) {
    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) {
        static EVERY: crate::telemetry::every::Every = crate::telemetry::every::Every::second();
        if EVERY.pass().is_some() {
            tracing::warn!(%error, "cannot accept connections for the moment");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

impl Worker {
    fn admit<F>(self: &Rc<Self>, address: &Rc<ListenAddress>, serve: impl FnOnce(Arrival) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let watch = Watch::new(self.shared.timeouts());
        if self.draining.get() {
            return;
        }
        self.remember(address, &watch);
        let arrival = Arrival { shared: self.shared.clone(), listen: ListenAddress::clone(address), watch };
        // In a box: what is captured and then awaited has its room twice.
        let task = Box::pin(serve(arrival));
        let presence = Presence::new(self.clone());
        tokio::task::spawn_local(async move {
            task.await;
            drop(presence);
        });
    }

    /// Ends the connections that came from some addresses, each when nothing is under way on it.
    fn drain(&self, from: impl Fn(&ListenAddress) -> bool) {
        let open: Vec<Rc<Watch>> = self
            .connections
            .borrow()
            .iter()
            .filter(|(address, _)| from(address))
            .filter_map(|(_, watch)| watch.upgrade())
            .collect();
        open.iter().for_each(|watch| watch.drain());
    }

    fn remember(&self, address: &Rc<ListenAddress>, watch: &Rc<Watch>) {
        let mut connections = self.connections.borrow_mut();
        if connections.len() >= self.swept.get() {
            connections.retain(|(_, known)| known.strong_count() > 0);
            self.swept.set((connections.len() * 2).max(64));
        }
        connections.push((address.clone(), Rc::downgrade(watch)));
    }
}

/// Counts a connection while it lasts, however it ends.
struct Presence {
    worker: Rc<Worker>,
    _held: metrics::Held,
}

impl Presence {
    fn new(worker: Rc<Worker>) -> Self {
        worker.open.set(worker.open.get() + 1);
        worker.census.open.fetch_add(1, Ordering::Relaxed);
        metrics::global().connections_accepted.add(1);
        Self { worker, _held: metrics::global().connections_open.hold() }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.worker.open.set(self.worker.open.get() - 1);
        self.worker.census.open.fetch_sub(1, Ordering::Relaxed);
        if self.worker.open.get() == 0 {
            self.worker.emptied.notify_one();
        }
    }
}
