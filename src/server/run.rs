//! The control plane's loop: signals, changed files, the admin socket, renewals, and the service manager.

use std::future::{Future, pending};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::admin::{self, Admin, Ask, Command};
use super::build::Refused;
use super::control::{Loaded, Look, Plane};
use super::expiry::Expiry;
use super::exporter::Exporter;
use super::memory::{self, Budget};
use super::watch::Watch;
use super::{certificates, service};
use crate::diagnostic::terminal::{self, Style};
use crate::diagnostic::{Mistake, Sources};
use crate::model::outline::Change;
use crate::telemetry::metrics;
use crate::tls::{acme, staple, tickets};

/// How often the age of our own certificates is looked at: they live for days, or for minutes where the storage is away.
const RENEWAL: Duration = Duration::from_secs(60);

/// Whether a changed file is put in force by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    On,
    Off,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub watching: Watching,
    /// Prints findings where whoever runs the process reads them.
    pub show: fn(&[Mistake], &Sources),
}

/// Runs the process until a signal ends it.
pub async fn run(plane: Plane, settings: Settings) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let (asks, mut asked) = mpsc::channel(8);
    let watch = (settings.watching == Watching::On).then(Watch::start);
    let mut desk = Desk {
        plane,
        watch,
        asks,
        admin: None,
        exporter: None,
        expiry: Expiry::default(),
        refusal: None,
        show: settings.show,
    };
    // They end with this runtime.
    tokio::spawn(acme::keep(desk.plane.world().acme.clone()));
    tokio::spawn(acme::follow(desk.plane.world().acme.clone()));
    tokio::spawn(tickets::share(desk.plane.world().tickets.clone()));
    tokio::spawn(staple::keep(desk.plane.world().stapler.clone(), desk.plane.world().acme.clone()));
    let mut renewal = every(Some(RENEWAL));
    let mut watchdog = every(service::watchdog());
    let (mut budget, mut look) = (Budget::new(), every(Some(memory::EVERY)));
    desk.follow();
    service::ready(&desk.status_line());
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hang_up.recv() => { let _ = desk.reload(); }
            _ = signals.user.recv() => desk.plane.reopen_logs(),
            () = changed(&mut desk.watch) => desk.look(),
            Some(ask) = asked.recv() => desk.answer(ask),
            () = tick(&mut renewal) => desk.look_at_certificates(),
            () = tick(&mut watchdog) => service::alive(),
            () = tick(&mut look) => budget.look(desk.plane.world().global.limits.memory),
        }
    }
    tracing::info!("shutting down");
    service::stopping();
    let Desk { plane, admin, exporter, .. } = desk;
    drop((admin, exporter));
    tokio::select! {
        () = plane.drain() => {}
        _ = signals.terminate.recv() => tracing::warn!("ending at once: told to twice"),
        _ = signals.interrupt.recv() => tracing::warn!("ending at once: told to twice"),
    }
    plane.end();
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }
}

/// What the loop works at.
struct Desk {
    plane: Plane,
    watch: Option<Watch>,
    asks: mpsc::Sender<Ask>,
    admin: Option<Admin>,
    exporter: Option<Exporter>,
    expiry: Expiry,
    /// Why the files are not what is in force.
    refusal: Option<Refusal>,
    show: fn(&[Mistake], &Sources),
}

/// More than these are counted, not told: `rp diff` tells all.
const MOST_CHANGES: usize = 50;

struct Refusal {
    at: SystemTime,
    findings: String,
}

impl Desk {
    /// Puts in force what the files say now, changed or not.
    fn reload(&mut self) -> Result<Loaded, Refused> {
        service::reloading();
        let began = Instant::now();
        let outcome = self.plane.reload();
        self.conclude(&outcome, began);
        outcome
    }

    /// The same if there is anything new in them.
    fn look(&mut self) {
        let began = Instant::now();
        match self.plane.look() {
            Look::Same => self.follow_files(),
            Look::Back => {
                tracing::info!("the files are again what is in force");
                self.refusal = None;
                self.follow();
            }
            Look::New(outcome) => {
                service::reloading();
                self.conclude(&outcome, began);
            }
        }
    }

    fn conclude(&mut self, outcome: &Result<Loaded, Refused>, began: Instant) {
        let ms = began.elapsed().as_millis();
        match outcome {
            Ok(Loaded { warnings, sources, sites, changes }) => {
                let listeners = self.plane.listeners().count();
                let (warned, changed) = (warnings.len(), changes.len());
                tracing::info!(sites, listeners, warnings = warned, changes = changed, ms, "configuration reloaded");
                for change in changes.iter().take(MOST_CHANGES) {
                    tracing::info!(at = change.place, "{change}");
                }
                self.refusal = None;
                (self.show)(warnings, sources);
                // What it takes over may be due, or be waiting for a storage that this one can reach.
                self.plane.world().renew(OffsetDateTime::now_utc());
            }
            Err(Refused { findings, sources }) => {
                tracing::error!(findings = findings.len(), ms, "the new configuration is refused; the old one goes on");
                let style = Style { color: false, width: 100 };
                self.refusal =
                    Some(Refusal { at: SystemTime::now(), findings: terminal::render(findings, sources, style) });
                (self.show)(findings, sources);
            }
        }
        self.follow();
        service::ready(&self.status_line());
    }

    fn look_at_certificates(&mut self) {
        let (world, now) = (self.plane.world(), OffsetDateTime::now_utc());
        world.renew(now);
        self.expiry.look(&world, now);
    }

    /// Follows what is in force, or refused, now: files, the door for collectors of metrics, and the admin socket.
    fn follow(&mut self) {
        self.follow_files();
        self.follow_metrics();
        self.expiry.look(&self.plane.world(), OffsetDateTime::now_utc());
        let wanted = admin::socket(&self.plane.world().global.admin);
        if self.admin.as_ref().map(Admin::path) == wanted.as_deref() {
            return;
        }
        self.admin = None;
        let Some(path) = wanted else { return };
        match Admin::open(&path, self.asks.clone()) {
            Ok(admin) => self.admin = Some(admin),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(socket = %path.display(), "another process has the admin socket: `rp reload` reaches that one");
            }
            Err(error) => {
                tracing::warn!(socket = %path.display(), %error, "no admin socket: `rp reload` does not reach this process");
            }
        }
    }

    fn follow_metrics(&mut self) {
        let world = self.plane.world();
        if self.exporter.as_ref().map(Exporter::address) == world.global.metrics.as_ref().map(|(address, _)| address) {
            return;
        }
        self.exporter = None;
        let Some((address, bound)) = self.plane.for_metrics.take() else { return };
        self.exporter = Exporter::open(address, bound, self.asks.clone())
            .inspect_err(|error| tracing::warn!(%error, "no metrics are served"))
            .ok();
    }

    fn follow_files(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        watch.renew(self.plane.files());
        if !self.plane.is_settled() {
            watch.stir();
        }
    }

    fn answer(&mut self, ask: Ask) {
        let answer = match ask.command {
            Command::Reload(style) => match self.reload() {
                Ok(loaded) => {
                    let findings = terminal::render(&loaded.warnings, &loaded.sources, style);
                    let changes: Vec<String> =
                        loaded.changes.iter().take(MOST_CHANGES).map(Change::to_string).collect();
                    json!({
                        "ok": true, "message": "reloaded", "sites": loaded.sites, "findings": findings,
                        "changes": changes, "changed": loaded.changes.len(),
                    })
                }
                Err(refused) => {
                    let findings = terminal::render(&refused.findings, &refused.sources, style);
                    let message = "the new configuration is refused; the old one goes on";
                    json!({ "ok": false, "message": message, "findings": findings })
                }
            },
            Command::Status => self.status(),
            Command::Certificates => certificates::of(&self.plane.world()),
            Command::Metrics(form) => certificates::metrics(&self.plane.world(), form).into(),
            // What takes its time is no reason to keep others waiting.
            errand @ (Command::Renew(..) | Command::Revoke(..)) => {
                let vault = self.plane.world().acme.clone();
                tokio::spawn(async move {
                    let _ = ask.answer.send(certificates::run(&vault, errand).await);
                });
                return;
            }
        };
        // Whoever asked may have gone.
        let _ = ask.answer.send(answer);
    }

    fn status(&self) -> Value {
        let metrics = metrics::global();
        let source = self.plane.source().name();
        let path = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
        json!({
            "ok": true,
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.plane.began.elapsed().as_secs(),
            "config": { "path": path, "hash": self.plane.hash(), "loaded": seconds(self.plane.loaded) },
            "listeners": self.plane.listeners().collect::<Vec<_>>(),
            "connections": metrics.connections_open.value(),
            "requests": metrics.requests_active.value(),
            "reloads": { "done": metrics.reloads_ok.value(), "refused": metrics.reloads_failed.value() },
            "certificates": certificates::summary(&self.plane.world()),
            "refusal": self.refusal.as_ref().map(|refusal| json!({ "at": seconds(refusal.at), "findings": refusal.findings })),
        })
    }

    /// What `systemctl status` shows.
    fn status_line(&self) -> String {
        let hash = self.plane.hash();
        match &self.refusal {
            None => format!("serving configuration {hash}"),
            Some(_) => format!("serving configuration {hash}; the files are another one that is refused"),
        }
    }
}

/// Since 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn changed(watch: &mut Option<Watch>) -> impl Future<Output = ()> + '_ {
    async {
        match watch {
            Some(watch) => watch.changed().await,
            None => pending().await,
        }
    }
}

/// The first tick is one period away.
fn every(period: Option<Duration>) -> Option<Interval> {
    let mut interval = interval(period?);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    Some(interval)
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}
