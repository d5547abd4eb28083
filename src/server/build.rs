//! From a source to a world: what is read, what is built from it, and what is bound for it. Nothing here changes what is
//! in force.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use super::activation::Given;
use super::listener::{self, Beside, Bound};
use super::stamp::{Moment, Stamp};
use crate::check::expand::{Process, Surroundings};
use crate::check::value::ListenAddress;
use crate::diagnostic::{Code, Mistake, Severity, Sources, Span};
use crate::model::outline::Outline;
use crate::model::{self, Checked, Door, Inherited, Purpose, World, compile};
use crate::syntax::include::Disk;

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
        self.load_in(&Process)
    }

    /// For people.
    #[must_use]
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Text(_) => Path::new("command line"),
        }
    }

    fn load_in(&self, surroundings: &dyn Surroundings) -> Checked {
        match self {
            Self::File(path) => model::load(path, &Disk, surroundings),
            Self::Text(text) => model::load_text(self.name(), text.clone(), &Disk, surroundings),
        }
    }

    pub(super) fn read(&self) -> Reading {
        let began = Moment::now();
        let noting = Noting::default();
        let checked = self.load_in(&noting);
        Reading { checked, secrets: noting.secrets.into_inner(), began }
    }
}

/// Findings of a configuration that is not put in force.
#[derive(Debug)]
pub struct Refused {
    pub findings: Vec<Mistake>,
    pub sources: Sources,
}

impl Refused {
    pub(super) fn one(mistake: Mistake, sources: Sources) -> Self {
        Self { findings: vec![mistake], sources }
    }
}

/// A configuration as it was read.
pub(super) struct Reading {
    pub checked: Checked,
    /// Files behind `{file.PATH}`.
    pub secrets: Vec<PathBuf>,
    pub began: Moment,
}

impl Reading {
    /// What was read, with these files beside it.
    pub fn stamp(&self, others: &[PathBuf]) -> Stamp {
        Stamp::of(&self.checked.sources, &[others, &self.secrets].concat(), self.began)
    }
}

/// The process, with a note of what was asked of its disk.
#[derive(Default)]
struct Noting {
    secrets: RefCell<Vec<PathBuf>>,
}

impl Surroundings for Noting {
    fn variable(&self, name: &str) -> Option<String> {
        Process.variable(name)
    }

    fn secret(&self, path: &str) -> Result<String, String> {
        self.secrets.borrow_mut().push(path.into());
        Process.secret(path)
    }
}

/// Sockets that are bound and not yet anybody's.
#[derive(Default)]
pub(super) struct Sockets {
    pub streams: Vec<(ListenAddress, Vec<Bound>)>,
    pub datagrams: Vec<(ListenAddress, Vec<UdpSocket>)>,
    /// For collectors of metrics, where it is another one than before.
    pub metrics: Option<(ListenAddress, Bound)>,
}

pub(super) struct Built {
    pub world: World,
    pub warnings: Vec<Mistake>,
    pub sources: Sources,
    pub sites: usize,
    /// Of what is to be served.
    pub outline: Outline,
}

/// Builds what was read. `others` takes the files beside the sources, whatever comes of it.
pub(super) fn build(
    checked: Checked,
    purpose: Purpose<'_>,
    legacy: model::Legacy,
    others: &mut Vec<PathBuf>,
) -> Result<Built, Refused> {
    let Checked { model, sources, mut findings, mut allowances, .. } = checked;
    let Some(model) = model else { return Err(Refused { findings, sources }) };
    let sites = model.sites.len();
    let outline = if matches!(purpose, Purpose::Serve(_)) { Outline::of(&model, &sources) } else { Outline::default() };
    match compile(&model, Inherited { legacy, purpose, files: others }) {
        Ok(world) => {
            let mut notices = world.notices.clone();
            allowances.keep_back(&mut notices);
            findings.extend(notices);
            findings.extend(allowances.unused());
            in_order(&mut findings);
            Ok(Built { world, warnings: findings, sources, sites, outline })
        }
        Err(mistakes) => {
            findings.extend(mistakes);
            in_order(&mut findings);
            debug_assert!(findings.iter().any(|mistake| mistake.severity() == Severity::Error));
            Err(Refused { findings, sources })
        }
    }
}

/// Everything that can be found without serving: what the text says, and what the files that it names hold.
#[must_use]
pub fn judge(source: &Source) -> (Vec<Mistake>, Sources) {
    match build(source.load(), Purpose::Judge, model::Legacy::default(), &mut Vec::new()) {
        Ok(built) => (built.warnings, built.sources),
        Err(Refused { findings, sources }) => (findings, sources),
    }
}

fn in_order(findings: &mut [Mistake]) {
    findings.sort_by_key(|mistake| (mistake.at.file, mistake.at.start));
}

/// Where the process listens already, with the places as they really are.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The system chooses for port 0.
    pub streams: BTreeMap<ListenAddress, String>,
    /// Those of datagrams by their ports, and others that nobody uses any more.
    pub datagrams: BTreeMap<ListenAddress, u16>,
    pub metrics: Option<ListenAddress>,
}

/// Binds what the new world listens on and the old one did not.
pub(super) fn bind(world: &World, open: &Open, given: &Given, workers: usize) -> Result<Sockets, Vec<Mistake>> {
    let mut sockets = Sockets::default();
    let mut mistakes = Vec::new();
    let loopback6 =
        |address: &ListenAddress| matches!(address, ListenAddress::Ip(ip) if ip.is_ipv6() && ip.ip().is_loopback());
    for (address, door) in &world.doors {
        match bind_door(address, door, open, given, workers) {
            Ok((streams, datagrams)) => {
                sockets.streams.extend(streams.map(|bound| (address.clone(), bound)));
                sockets.datagrams.extend(datagrams.map(|bound| (address.clone(), bound)));
            }
            // A machine without IPv6 still has `localhost`.
            Err(Beside::Stream(error)) if loopback6(address) && error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(Beside::Stream(error)) => mistakes.push(cannot_listen(address, &error, door.at)),
            Err(Beside::Datagram(error)) => mistakes.push(no_datagrams(address, &error, door.at)),
        }
    }
    if let Some((address, at)) = &world.global.metrics
        && open.metrics.as_ref() != Some(address)
    {
        match listener::bind(address, 1, None) {
            Ok(bound) => sockets.metrics = bound.into_iter().next().map(|bound| (address.clone(), bound)),
            Err(error) => mistakes.push(cannot_listen(address, &error, *at)),
        }
    }
    if mistakes.is_empty() { Ok(sockets) } else { Err(mistakes) }
}

type Both = (Option<Vec<Bound>>, Option<Vec<UdpSocket>>);

fn bind_door(address: &ListenAddress, door: &Door, open: &Open, given: &Given, workers: usize) -> Result<Both, Beside> {
    let wants_datagrams =
        door.tls.as_ref().is_some_and(|tls| tls.quic.is_some()) && !open.datagrams.contains_key(address);
    let given = given.find(address).transpose().map_err(Beside::Stream)?;
    match (open.streams.get(address), given) {
        (None, None) if wants_datagrams => {
            let (streams, datagrams) = listener::bind_with_datagrams(address, workers)?;
            Ok((Some(streams), Some(datagrams)))
        }
        (None, given) => {
            let streams = listener::bind(address, workers, given).map_err(Beside::Stream)?;
            // Whoever opened this socket may do what we may not.
            let datagrams = wants_datagrams.then(|| listener::datagrams(&streams, workers)).and_then(|outcome| {
                outcome
                    .inspect_err(
                        |error| tracing::warn!(%address, %error, "no HTTP/3 here: the port cannot be had for UDP"),
                    )
                    .ok()
            });
            Ok((Some(streams), datagrams))
        }
        // HTTP/3 was switched on where the rest stays as it is.
        (Some(local), _) if wants_datagrams => match local.parse() {
            Ok(local) => Ok((None, Some(listener::datagrams_at(local, workers).map_err(Beside::Datagram)?))),
            Err(_) => Ok((None, None)),
        },
        (Some(_), _) => Ok((None, None)),
    }
}

fn no_datagrams(address: &ListenAddress, error: &io::Error, at: Span) -> Mistake {
    let text = format!("cannot listen on `{address}` by UDP, for HTTP/3: {}", reason(error));
    Mistake::new(Code::E0052, at, text)
        .help("`ss -lunp` names who has the port; stop it, or do without HTTP/3: global { http3 off }")
}

fn cannot_listen(address: &ListenAddress, error: &io::Error, at: Span) -> Mistake {
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
