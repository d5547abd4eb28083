//! The control plane: starts the workers, puts configurations in force, and brings everything to an end.

use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use tokio::sync::oneshot;

use super::activation::Given;
use super::build::{Built, Open, Reading, Refused, Sockets, Source, bind, build};
use super::http3::endpoint::Datagrams;
use super::http3::secrets;
use super::listener::Bound;
use super::privileges;
use super::stamp::Stamp;
use super::worker::{self, Census, Handle, Order};
use super::world::Shared;
use crate::check::value::ListenAddress;
use crate::diagnostic::{Code, Mistake, Sources, Span};
use crate::model::outline::{Change, Outline};
use crate::model::{self, Purpose, World};
use crate::telemetry::metrics;
use crate::telemetry::writer::Writers;

/// The running process, as the control plane holds it.
#[derive(Debug)]
pub struct Plane {
    source: Source,
    shared: Arc<Shared>,
    census: Arc<Census>,
    workers: Vec<Handle>,
    listening: Open,
    /// What is bound for collectors of metrics, and not yet anybody's.
    pub(super) for_metrics: Option<(ListenAddress, Bound)>,
    given: Given,
    writers: Writers,
    inputs: Inputs,
    in_force: Stamp,
    outline: Outline,
    pub(super) loaded: SystemTime,
    pub(super) began: Instant,
}

/// What the last attempt was made from, whatever came of it.
#[derive(Debug)]
struct Inputs {
    /// Whatever a change of asks for another attempt.
    files: Vec<PathBuf>,
    /// Those of them that are no Proxyfiles.
    others: Vec<PathBuf>,
    seen: Stamp,
}

/// A configuration that was put in force.
#[derive(Debug)]
pub struct Loaded {
    pub warnings: Vec<Mistake>,
    pub sources: Sources,
    pub sites: usize,
    /// From what was in force before; none where this is the first.
    pub changes: Vec<Change>,
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Look {
    /// The same bytes as before.
    Same,
    /// What is in force again, after something that was refused.
    Back,
    /// Something else.
    New(Result<Loaded, Refused>),
}

impl Plane {
    /// Reads, checks, builds, listens, serves. Warnings come back with it.
    pub fn start(source: Source) -> Result<(Self, Loaded), Refused> {
        let mut writers = Writers::default();
        let given = Given::from_environment();
        let reading = source.read();
        privileges::give_up(&reading, &source)?;
        let (inputs, built) = attempt(reading, &mut writers, model::Legacy::default());
        let Built { world, warnings, sources, sites, outline } = built?;
        let count = world.global.workers.unwrap_or_else(cores);
        let census = Census::new(most_connections(&world));
        let sockets = match bind(&world, &Open::default(), &given, count) {
            Ok(sockets) => sockets,
            Err(findings) => return Err(Refused { findings, sources }),
        };
        let shared = Shared::new(world);
        let workers: io::Result<Vec<_>> =
            (0..count).map(|index| worker::start(index, shared.clone(), census.clone())).collect();
        let workers = match workers {
            Ok(workers) => workers,
            Err(error) => {
                let text = format!("cannot start {count} workers: {error}");
                return Err(Refused::one(Mistake::new(Code::E0052, Span::default(), text), sources));
            }
        };
        let mut plane = Self {
            source,
            shared,
            census,
            workers,
            listening: Open::default(),
            for_metrics: None,
            given,
            writers,
            in_force: inputs.seen.clone(),
            inputs,
            outline,
            loaded: SystemTime::now(),
            began: Instant::now(),
        };
        plane.open(sockets);
        plane.ask();
        for socket in plane.given.unused(plane.listening.streams.keys()) {
            tracing::warn!(socket, "the service manager opened a socket that no site listens on");
        }
        Ok((plane, Loaded { warnings, sources, sites, changes: Vec::new() }))
    }

    #[must_use]
    pub fn world(&self) -> Arc<World> {
        self.shared.world()
    }

    /// What a change of which asks for a [`Self::look`].
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.inputs.files
    }

    /// Whether no file changed while it was read.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.inputs.seen.is_settled()
    }

    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Names what is in force.
    #[must_use]
    pub fn hash(&self) -> String {
        self.in_force.short()
    }

    pub fn listeners(&self) -> impl Iterator<Item = &str> {
        self.listening.streams.values().map(String::as_str)
    }

    /// Puts the configuration in force as it is now. Everything that can fail is done before anything changes.
    pub fn reload(&mut self) -> Result<Loaded, Refused> {
        let reading = self.source.read();
        self.put(reading)
    }

    /// The same if there is anything new: nothing is tried twice for the same bytes.
    pub fn look(&mut self) -> Look {
        let reading = self.source.read();
        let stamp = reading.stamp(&self.inputs.others);
        let same = stamp.is(&self.inputs.seen);
        if same || stamp.is(&self.in_force) {
            // There may be new folders to look into, though nothing is in them yet.
            self.inputs.files = files(&reading, &self.inputs.others);
            if same {
                return Look::Same;
            }
            self.inputs.seen = self.in_force.clone();
            return Look::Back;
        }
        Look::New(self.put(reading))
    }

    fn put(&mut self, reading: Reading) -> Result<Loaded, Refused> {
        let legacy = self.shared.world().legacy.clone();
        let (inputs, built) = attempt(reading, &mut self.writers, legacy);
        self.inputs = inputs;
        let outcome = built.and_then(|built| self.swap(built));
        let metrics = metrics::global();
        match &outcome {
            Ok(_) => metrics.reloads_ok.add(1),
            Err(_) => metrics.reloads_failed.add(1),
        }
        outcome
    }

    fn swap(&mut self, built: Built) -> Result<Loaded, Refused> {
        let Built { world, warnings, sources, sites, outline } = built;
        let sockets = match bind(&world, &self.listening, &self.given, self.workers.len()) {
            Ok(sockets) => sockets,
            Err(findings) => return Err(Refused { findings, sources }),
        };
        self.census.allow(most_connections(&world));
        if world.global.user != self.shared.world().global.user {
            tracing::warn!("another `user` is for the next start: this process stays whom it is");
        }
        let gone: Vec<ListenAddress> =
            self.listening.streams.keys().filter(|address| !world.doors.contains_key(address)).cloned().collect();
        self.shared.swap(world);
        self.in_force = self.inputs.seen.clone();
        self.loaded = SystemTime::now();
        self.open(sockets);
        for address in gone {
            self.close(&address);
        }
        self.order(|| Order::Refresh);
        self.ask();
        let changes = self.outline.changes(&outline);
        self.outline = outline;
        Ok(Loaded { warnings, sources, sites, changes })
    }

    /// Says whose certificates are wanted, now that somebody listens where the authority will look.
    fn ask(&self) {
        let world = self.shared.world();
        world.acme.want(&world.wishes);
        world.tickets.keep_in(world.tickets_in.as_ref());
        world.stapler.look_after(&world.stapling);
    }

    fn open(&mut self, sockets: Sockets) {
        let world = self.shared.world();
        if let Some((path, _)) = &world.global.key_log {
            tracing::warn!(file = %path.display(), "the keys of TLS sessions are written to a file: who has it can read the traffic");
        }
        self.for_metrics = sockets.metrics;
        self.listening.metrics = world.global.metrics.as_ref().map(|(address, _)| address.clone());
        for (address, sockets) in sockets.datagrams {
            self.open_datagrams(&world, address, sockets);
        }
        for (address, bound) in sockets.streams {
            let local = bound.first().map_or_else(|| address.to_string(), Bound::shown);
            let tls = world.doors.get(&address).is_some_and(|door| door.tls.is_some());
            let http3 = tls && self.listening.datagrams.contains_key(&address);
            tracing::info!(address = %local, tls, http3, "listening");
            for (worker, bound) in self.workers.iter().zip(bound) {
                // A worker that has ended has said why.
                let _ = worker.orders.send(Order::Listen(address.clone(), bound));
            }
            self.listening.streams.insert(address, local);
        }
        self.announce_http3(&world);
    }

    fn open_datagrams(&mut self, world: &World, address: ListenAddress, sockets: Vec<UdpSocket>) {
        secrets::settle(world.global.storage.as_ref());
        let port = sockets.first().and_then(|socket| socket.local_addr().ok()).map(|local| local.port());
        let all = world.doors.get(&address).and_then(|door| Datagrams::of(sockets, door, &world.global));
        let (Some(port), Some(all)) = (port, all) else { return };
        for (worker, datagrams) in self.workers.iter().zip(all) {
            let _ = worker.orders.send(Order::Datagrams(address.clone(), Box::new(datagrams)));
        }
        self.listening.datagrams.insert(address, port);
    }

    /// From here on answers over TCP say where HTTP/3 is.
    fn announce_http3(&self, world: &World) {
        for (address, door) in &world.doors {
            if let Some(port) = self.listening.datagrams.get(address)
                && door.tls.as_ref().is_some_and(|tls| tls.quic.is_some())
            {
                door.alt_svc.get_or_init(|| alt_svc(*port));
            }
        }
    }

    fn close(&mut self, address: &ListenAddress) {
        let local = self.listening.streams.remove(address);
        self.order(|| Order::Close(address.clone()));
        self.unlink(address);
        tracing::info!(address = local, "no longer listening");
    }

    /// The file of a socket that we made goes with it; one that was given to us is not ours.
    fn unlink(&self, address: &ListenAddress) {
        if let ListenAddress::Unix(path) = address
            && self.given.find(address).is_none()
        {
            let _ = std::fs::remove_file(path);
        }
    }

    fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            let _ = worker.orders.send(order());
        }
    }

    pub fn reopen_logs(&self) {
        self.writers.reopen();
    }

    /// Takes no new connections and lets what is under way finish, for as long as the grace period lasts.
    pub async fn drain(&self) {
        let grace = self.shared.world().global.grace;
        let mut ends = Vec::new();
        for worker in &self.workers {
            let (done, end) = oneshot::channel();
            let _ = worker.orders.send(Order::Drain(done));
            ends.push(end);
        }
        let all = futures_util::future::join_all(ends);
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!(?grace, "requests were still under way when the grace period ended");
        }
    }

    /// Ends, whatever is under way.
    pub fn end(self) {
        self.listening.streams.keys().for_each(|address| self.unlink(address));
        for worker in self.workers {
            drop(worker.orders);
            let _ = worker.thread.join();
        }
        self.writers.shutdown(Duration::from_secs(2));
    }
}

/// Builds what was read, and notes what it was built from.
fn attempt(mut reading: Reading, writers: &mut Writers, legacy: model::Legacy) -> (Inputs, Result<Built, Refused>) {
    let mut others = Vec::new();
    let checked = &mut reading.checked;
    let read = model::Checked {
        model: checked.model.take(),
        sources: checked.sources.clone(),
        findings: std::mem::take(&mut checked.findings),
        allowances: std::mem::take(&mut checked.allowances),
        files: Vec::new(),
        imports: std::collections::BTreeSet::new(),
    };
    let built = build(read, Purpose::Serve(writers), legacy, &mut others);
    (Inputs { files: files(&reading, &others), seen: reading.stamp(&others), others }, built)
}

fn files(reading: &Reading, others: &[PathBuf]) -> Vec<PathBuf> {
    [&reading.checked.files, &reading.secrets, others].concat()
}

/// RFC 7838. Each is made once for the life of the process, in memory that is not counted: a count of references would be
/// shared by all cores that answer.
fn alt_svc(port: u16) -> HeaderValue {
    static KNOWN: Mutex<BTreeMap<u16, HeaderValue>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || {
        let text: &'static str = Box::leak(format!("h3=\":{port}\"; ma=86400").into());
        HeaderValue::from_static(text)
    };
    known.entry(port).or_insert_with(made).clone()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// 80 % of the file descriptors, halved since most connections have one to an upstream too.
fn most_connections(world: &World) -> usize {
    world.global.limits.connections.unwrap_or_else(|| {
        let descriptors =
            rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::from(u32::MAX));
        usize::try_from(descriptors * 4 / 5).unwrap_or(usize::MAX).max(64)
    })
}

/// Raises the soft limit of file descriptors to the hard one: the soft one is 1,024 for programs that use `select`.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        // It is only a wish; what is there decides (`most_connections`).
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
