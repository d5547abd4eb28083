//! Model → what runs. Files are read and certificates made here; if anything fails, nothing has changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use futures_util::future::{LocalBoxFuture, ready};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use time::OffsetDateTime;

use super::handshakes::DoorTls;
use super::listen::{self, Planned};
use super::{Global, Model, SiteModel, Transport};
use crate::check::value::ListenAddress;
use crate::diagnostic::{Code, Mistake, Span, plain};
use crate::directive::Front;
use crate::directive::log::LogModel;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::step::{Answer, Answers};
use crate::site::{Building, Demands, Legacy, Router, Site, Supplies};
use crate::telemetry::access::Style;
use crate::telemetry::writer::{Sink, Writers};
use crate::tls::acme::{Vault, Wishes};
use crate::tls::internal::{self, Opened};
use crate::tls::staple::{Stapler, Stapling};
use crate::tls::{Certificate, Issued, Name, Ring, Slot, Storage};

/// Everything that serves: built whole, swapped in at once, shared by all workers.
#[derive(Debug)]
pub struct World {
    pub doors: BTreeMap<ListenAddress, Arc<Door>>,
    pub global: Global,
    pub logs: Vec<Log>,
    /// What is not wrong, but should be known: a certificate about to expire, a key that others can read.
    pub notices: Vec<Mistake>,
    pub legacy: Legacy,
    /// The certificates that come from an authority, of all configurations.
    pub acme: Arc<Vault>,
    /// Those of them that this one wants.
    pub wishes: Wishes,
    /// The other certificates that are shown.
    pub shown: Vec<Shown>,
    /// Who signs those of our own authority.
    pub internal: Option<Opened>,
    /// What instances share to resume each other's sessions.
    pub tickets: Arc<Ring>,
    /// Where that is kept, if anywhere.
    pub tickets_in: Option<Storage>,
    pub stapler: Arc<Stapler>,
    pub stapling: Stapling,
}

/// A certificate that does not come from an authority by itself.
#[derive(Debug, Clone)]
pub struct Shown {
    pub name: String,
    pub source: Source,
}

/// Where a certificate was got.
#[derive(Debug, Clone)]
pub enum Source {
    Files(Arc<Certificate>),
    /// It is another one from time to time.
    Internal(Arc<Issued>),
}

impl Shown {
    /// What is shown now.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        match &self.source {
            Source::Files(certificate) => Arc::clone(certificate),
            Source::Internal(issued) => issued.certificate(),
        }
    }
}

impl World {
    /// Renews certificates of our own authority that are near their end.
    pub fn renew(&self, now: OffsetDateTime) {
        let Some(opened) = &self.internal else { return };
        let of_ours = self.shown.iter().filter_map(|shown| match &shown.source {
            Source::Internal(issued) => Some(&**issued),
            Source::Files(_) => None,
        });
        internal::renew(of_ours, opened, now);
    }
}

/// What is behind one listening address.
#[derive(Debug)]
pub struct Door {
    pub port: u16,
    pub at: Span,
    pub transport: Transport,
    /// None where it is plain, or where nobody comes through.
    pub tls: Option<Arc<DoorTls>>,
    pub router: Router,
    /// What answers over TCP say of HTTP/3, once it is known where that is.
    pub alt_svc: OnceLock<HeaderValue>,
}

/// An access log.
#[derive(Debug, Clone)]
pub struct Log {
    pub sink: Sink,
    pub style: Style,
}

/// What one configuration takes over from the one before.
#[derive(Debug)]
pub struct Inherited<'a> {
    pub legacy: Legacy,
    pub purpose: Purpose<'a>,
    /// Where the files are noted whose change asks for a reload; those of a failure too.
    pub files: &'a mut Vec<PathBuf>,
}

/// What a world is built for.
#[derive(Debug)]
pub enum Purpose<'a> {
    /// To serve: logs are opened, and certificates of our own made.
    Serve(&'a mut Writers),
    /// To be judged: what is there is read, and nothing is written.
    Judge,
    /// To be asked what it would do: neither certificates nor logs are looked at.
    Rehearse,
}

/// Builds all of it, or says everything that is in the way.
pub fn compile(model: &Model, inherited: Inherited<'_>) -> Result<World, Vec<Mistake>> {
    let mut supplies = Supplies::after(inherited.legacy);
    let mut compiler = Compiler {
        model,
        acme: supplies.adopt("acme", Vault::default),
        tickets: supplies.adopt("tls ticket ring", Ring::default),
        stapler: supplies.adopt("stapler", Stapler::default),
        stapled: Vec::new(),
        wishes: Wishes::default(),
        shown: Vec::new(),
        internal: None,
        folders: HashMap::new(),
        supplies,
        purpose: inherited.purpose,
        logs: Vec::new(),
        notices: Told::default(),
        mistakes: Told::default(),
    };
    compiler.upstreams();
    let sites = compiler.sites();
    let doors = compiler.doors(&sites);
    compiler.challenges(&doors);
    compiler.user();
    let tickets_in = compiler.tickets_in(&doors);
    let stapling = compiler.stapling(&doors);
    inherited.files.append(&mut compiler.supplies.files);
    if !compiler.mistakes.all.is_empty() {
        return Err(compiler.mistakes.all);
    }
    Ok(World {
        doors,
        global: model.global.clone(),
        logs: compiler.logs,
        notices: compiler.notices.all,
        legacy: compiler.supplies.legacy(),
        acme: compiler.acme,
        wishes: compiler.wishes,
        shown: compiler.shown,
        internal: compiler.internal,
        tickets: compiler.tickets,
        tickets_in,
        stapler: compiler.stapler,
        stapling,
    })
}

/// The work of building, as far as it has come.
pub(super) struct Compiler<'a> {
    pub model: &'a Model,
    pub supplies: Supplies,
    pub purpose: Purpose<'a>,
    logs: Vec<Log>,
    pub notices: Told,
    pub mistakes: Told,
    pub acme: Arc<Vault>,
    pub wishes: Wishes,
    pub shown: Vec<Shown>,
    pub internal: Option<Opened>,
    pub tickets: Arc<Ring>,
    pub stapler: Arc<Stapler>,
    /// Certificates from files that can be asked about, and where they are shown.
    pub stapled: Vec<(Arc<Slot>, Arc<Certificate>)>,
    /// Folders of certificates that have been read.
    pub folders: HashMap<PathBuf, Result<Vec<Arc<Certificate>>, Mistake>>,
}

/// What has been found, each thing once: a site has its certificate for every address, and an address on every interface.
#[derive(Default)]
pub(super) struct Told {
    all: Vec<Mistake>,
    known: HashSet<(Span, String)>,
}

impl Told {
    pub fn push(&mut self, mistake: Mistake) {
        if self.known.insert((mistake.at, mistake.text.clone())) {
            self.all.push(mistake);
        }
    }
}

impl Compiler<'_> {
    fn upstreams(&mut self) {
        for pool in &self.model.upstreams {
            match pool.build(&mut self.supplies) {
                Ok(upstream) => {
                    self.supplies.upstreams.insert(pool.name.clone(), upstream);
                }
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
    }

    fn sites(&mut self) -> Vec<Option<Arc<Site>>> {
        let fallback = self.log(&self.model.global.log.clone(), self.model.global.at.unwrap_or_default());
        self.model.sites.iter().map(|site| self.site(site, fallback)).collect()
    }

    fn site(&mut self, model: &SiteModel, fallback: Option<usize>) -> Option<Arc<Site>> {
        let own = model.body.statements.iter().find_map(|statement| match statement.directive.front() {
            Some(Front::Log(log)) => Some((log, statement.at)),
            _ => None,
        });
        let log = own.map_or(fallback, |(log, at)| self.log(log, at));
        // A pool that could not be built has been reported; sites that name it can't be built either.
        if !self.mistakes.all.is_empty() {
            return None;
        }
        let name = model.addresses.first().map_or("", |address| address.text.as_str());
        let mut building = Building::new(&mut self.supplies).named(name, model.at);
        match model.body.compile(&mut building) {
            Ok(()) => {
                let passes = building.passes.take();
                let program = building.finish();
                Some(Arc::new(Site { name: name.into(), at: model.at, program, log, passes }))
            }
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }

    fn log(&mut self, model: &LogModel, at: Span) -> Option<usize> {
        let LogModel::On { style, target, rotation } = model else { return None };
        let sink = match &mut self.purpose {
            Purpose::Serve(writers) => writers.sink(target.clone(), *rotation).map(Some),
            Purpose::Judge => target.judge().map(|()| None),
            Purpose::Rehearse => Ok(None),
        };
        match sink {
            Ok(sink) => {
                self.logs.push(Log { sink: sink?, style: style.settle(target) });
                Some(self.logs.len() - 1)
            }
            Err(error) => {
                self.mistakes.push(
                    Mistake::new(Code::E0053, at, format!("cannot write the log `{target}`: {}", plain(&error)))
                        .help("name a file in a folder that this user may write to"),
                );
                None
            }
        }
    }

    /// Whether there is such a user here.
    fn user(&mut self) {
        let Some(user) = self.model.global.user.as_ref().filter(|_| !matches!(self.purpose, Purpose::Rehearse)) else {
            return;
        };
        if let Err(why) = user.find() {
            let help = "make it (`useradd --system rp`), or name one that is there: user nobody";
            self.mistakes.push(Mistake::new(Code::E0055, user.at, why).help(help));
        }
    }

    fn doors(&mut self, sites: &[Option<Arc<Site>>]) -> BTreeMap<ListenAddress, Arc<Door>> {
        let model = self.model;
        let plan = listen::plan(&model.sites, &model.global);
        let mut doors = BTreeMap::new();
        for (listen, planned) in plan {
            let tls = match planned.transport {
                _ if matches!(self.purpose, Purpose::Rehearse) => None,
                Transport::Plain => None,
                Transport::Tls => Some(Arc::new(self.tls(&planned, sites))),
            };
            let router = self.route(&planned, sites, model.global.https_port);
            let Planned { port, at, transport, .. } = planned;
            doors.insert(listen, Arc::new(Door { port, at, transport, tls, router, alt_svc: OnceLock::new() }));
        }
        doors
    }

    fn route(&mut self, planned: &Planned<'_>, sites: &[Option<Arc<Site>>], https_port: u16) -> Router {
        let mut router = Router::default();
        for address in &planned.redirects {
            let mut supplies = Supplies::default();
            let mut building = Building::new(&mut supplies).named(&address.text, address.at);
            building.answer(ToHttps { port: address.port.unwrap_or(https_port) });
            let (name, program) = (address.text.as_str().into(), building.finish());
            let site = Site { name, at: address.at, program, log: None, passes: None };
            router.add(address.host.as_ref(), Arc::new(site), Demands::default());
        }
        for (index, address) in &planned.sites {
            if let Some(site) = &sites[*index] {
                let mut demands = self.demands(*index);
                // No handshake names an address (RFC 6066, section 3).
                demands.strict &= !matches!(address.name(), Some(Name::Address(_)));
                router.add(address.host.as_ref(), site.clone(), demands);
            }
        }
        router
    }
}

pub(super) fn front<'m, T>(site: &'m SiteModel, pick: impl Fn(Front<'m>) -> Option<T>) -> Option<T> {
    site.body.statements.iter().find_map(|statement| statement.directive.front().and_then(&pick))
}

/// 308, which keeps method and body; the path is canonical, so it can't name another host (threat XP07).
struct ToHttps {
    port: u16,
}

impl Answers for ToHttps {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        let mut location = b"https://".to_vec();
        location.extend_from_slice(exchange.host.without_port().as_bytes());
        if self.port != 443 {
            location.extend_from_slice(format!(":{}", self.port).as_bytes());
        }
        exchange.target.write(&mut location);
        let mut answer = Response::new(Body::Empty);
        *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
        if let Ok(location) = HeaderValue::from_bytes(&location) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Box::pin(ready(Ok(answer)))
    }
}
