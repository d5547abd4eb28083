//! The control plane: starts the workers, puts configurations in force, and brings everything to an end.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::listener::{self, Bound};
use super::worker::{self, Census, Handle, Order};
use super::world::Shared;
use crate::check::expand::Process;
use crate::check::value::ListenAddress;
use crate::diagnostic::{Code, Mistake, Severity, Sources};
use crate::model::{self, Checked, Inherited, World, compile};
use crate::syntax::include::Disk;
use crate::telemetry::metrics;
use crate::telemetry::writer::Writers;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    /// Made by a command that needs no file.
    Text(String),
}

impl Source {
    /// Reads and checks it.
    #[must_use]
    pub fn load(&self) -> Checked {
        match self {
            Self::File(path) => model::load(path, &Disk, &Process),
            Self::Text(text) => model::load_text("Proxyfile".as_ref(), text.clone(), &Disk, &Process),
        }
    }
}

/// Findings of a configuration that is not put in force.
#[derive(Debug)]
pub struct Refused {
    pub findings: Vec<Mistake>,
    pub sources: Sources,
}

/// The running process, as the control plane holds it.
#[derive(Debug)]
pub struct Plane {
    source: Source,
    shared: Arc<Shared>,
    census: Arc<Census>,
    workers: Vec<Handle>,
    listening: BTreeMap<ListenAddress, ()>,
    writers: Writers,
    /// What a change of which asks for a reload.
    pub files: Vec<PathBuf>,
}

/// Sockets that are bound and not yet anybody's.
type Sockets = Vec<(ListenAddress, Vec<Bound>)>;

impl Plane {
    /// Reads, checks, builds, listens, serves. Warnings come back with it.
    pub fn start(source: Source) -> Result<(Self, Vec<Mistake>, Sources), Refused> {
        let mut writers = Writers::default();
        let built = build(&source, &mut writers, model::Legacy::default())?;
        let Built { world, warnings, sources, files } = built;
        let count = world.global.workers.unwrap_or_else(cores);
        let census = Census::new(most_connections(&world));
        let sockets =
            bind(&world, &BTreeMap::new(), count).map_err(|findings| Refused { findings, sources: sources.clone() })?;
        let shared = Shared::new(world);
        let workers = (0..count)
            .map(|index| worker::start(index, shared.clone(), census.clone()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|error| Refused {
                findings: vec![Mistake::new(
                    Code::E0052,
                    crate::diagnostic::Span::default(),
                    format!("cannot start {count} workers: {error}"),
                )],
                sources: sources.clone(),
            })?;
        let mut plane = Self { source, shared, census, workers, listening: BTreeMap::new(), writers, files };
        plane.open(sockets);
        Ok((plane, warnings, sources))
    }

    #[must_use]
    pub fn world(&self) -> Arc<World> {
        self.shared.world()
    }

    /// Puts the configuration in force as it is now. Everything that can fail is done before anything changes.
    pub fn reload(&mut self) -> Result<(Vec<Mistake>, Sources), Refused> {
        let outcome = self.try_reload();
        let metrics = metrics::global();
        match &outcome {
            Ok(_) => metrics.reloads_ok.add(1),
            Err(_) => metrics.reloads_failed.add(1),
        }
        outcome
    }

    fn try_reload(&mut self) -> Result<(Vec<Mistake>, Sources), Refused> {
        let legacy = self.shared.world().legacy.clone();
        let Built { world, warnings, sources, files } = build(&self.source, &mut self.writers, legacy)?;
        let sockets = bind(&world, &self.listening, self.workers.len())
            .map_err(|findings| Refused { findings, sources: sources.clone() })?;
        self.files = files;
        self.census.allow(most_connections(&world));
        let gone: Vec<ListenAddress> =
            self.listening.keys().filter(|address| !world.doors.contains_key(address)).cloned().collect();
        self.shared.swap(world);
        self.open(sockets);
        for address in gone {
            self.listening.remove(&address);
            self.order(|| Order::Close(address.clone()));
            tracing::info!(%address, "no longer listening");
        }
        self.order(|| Order::Refresh);
        Ok((warnings, sources))
    }

    fn open(&mut self, sockets: Sockets) {
        for (address, bound) in sockets {
            let local =
                bound.first().and_then(Bound::local).map_or_else(|| address.to_string(), |local| local.to_string());
            let tls = self.shared.world().doors.get(&address).is_some_and(|door| door.tls.is_some());
            tracing::info!(address = %local, tls, "listening");
            for (worker, bound) in self.workers.iter().zip(bound) {
                // A worker that has ended has said why.
                let _ = worker.orders.send(Order::Listen(address.clone(), bound));
            }
            self.listening.insert(address, ());
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

    /// Takes no new connections, lets what is under way finish for as long as the grace period lasts, and ends.
    pub async fn shut_down(self) {
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
        for address in self.listening.keys() {
            if let ListenAddress::Unix(path) = address {
                let _ = std::fs::remove_file(path);
            }
        }
        for worker in self.workers {
            drop(worker.orders);
            let _ = worker.thread.join();
        }
        self.writers.shutdown(Duration::from_secs(2));
    }
}

struct Built {
    world: World,
    warnings: Vec<Mistake>,
    sources: Sources,
    files: Vec<PathBuf>,
}

fn build(source: &Source, writers: &mut Writers, legacy: model::Legacy) -> Result<Built, Refused> {
    let Checked { model, sources, findings, mut files } = source.load();
    let Some(model) = model else { return Err(Refused { findings, sources }) };
    match compile(&model, Inherited { legacy, writers }) {
        Ok(world) => {
            files.extend(world.watched.iter().cloned());
            Ok(Built { world, warnings: findings, sources, files })
        }
        Err(mistakes) => {
            let mut findings = findings;
            findings.extend(mistakes);
            findings.sort_by_key(|mistake| (mistake.at.file, mistake.at.start));
            debug_assert!(findings.iter().any(|mistake| mistake.severity() == Severity::Error));
            Err(Refused { findings, sources })
        }
    }
}

/// Binds what the new world listens on and the old one did not.
fn bind(world: &World, listening: &BTreeMap<ListenAddress, ()>, workers: usize) -> Result<Sockets, Vec<Mistake>> {
    let mut sockets = Sockets::new();
    let mut mistakes = Vec::new();
    let loopback6 =
        |address: &ListenAddress| matches!(address, ListenAddress::Ip(ip) if ip.is_ipv6() && ip.ip().is_loopback());
    for (address, door) in world.doors.iter().filter(|(address, _)| !listening.contains_key(address)) {
        match listener::bind(address, workers, None) {
            Ok(bound) => sockets.push((address.clone(), bound)),
            // A machine without IPv6 still has `localhost`.
            Err(error) if loopback6(address) && error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(error) => mistakes.push(cannot_listen(address, &error, door.at)),
        }
    }
    if mistakes.is_empty() { Ok(sockets) } else { Err(mistakes) }
}

fn cannot_listen(address: &ListenAddress, error: &io::Error, at: crate::diagnostic::Span) -> Mistake {
    let mistake = Mistake::new(Code::E0052, at, format!("cannot listen on `{address}`: {}", reason(error)));
    match error.kind() {
        io::ErrorKind::PermissionDenied => mistake.help("ports below 1024 need a right: run `setcap cap_net_bind_service=+ep` on the rp binary, let systemd open the socket, or choose other ports: global { http_port 8080; https_port 8443 }"),
        io::ErrorKind::AddrInUse => mistake.help("another process has it: `ss -ltnp` names it; stop it, or choose another port"),
        io::ErrorKind::AddrNotAvailable => mistake.help("this machine has no such address: `ip address` lists those that it has"),
        _ => mistake,
    }
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "this user may not",
        io::ErrorKind::AddrInUse => "it is taken",
        io::ErrorKind::AddrNotAvailable => "it is not ours",
        _ => "the system refuses",
    }
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

/// What reaches the control plane from outside.
pub async fn signals(plane: Plane, mut on_change: impl FnMut(&mut Plane)) -> io::Result<()> {
    let mut plane = plane;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut user = signal(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => on_change(&mut plane),
            _ = user.recv() => plane.reopen_logs(),
        }
    }
    tracing::info!("shutting down");
    plane.shut_down().await;
    Ok(())
}
