//! How a door shakes hands: the certificates of its sites, and what each of them demands.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::server::ResolvesServerCert;
use rustls::{AlertDescription, KeyLog, ServerConfig};

use super::compile::{Compiler, Door, Purpose, front};
use super::listen::Planned;
use crate::check::value::{HostPattern, ListenAddress};
use crate::diagnostic::{Code, Mistake, Span, plain};
use crate::directive::Front;
use crate::directive::tls::{ClientsModel, PolicyModel, Source, TlsModel};
use crate::http::connection::PolicyId;
use crate::site::{Demands, Site};
use crate::tls::clients::{Clients, Mode};
use crate::tls::key_log::KeyFile;
use crate::tls::quic::{ByHello, QuicPolicy};
use crate::tls::{Alpn, ByName, Name, Names, Options, Resolver, Storage, Tickets, server_config};

/// How a door shakes hands.
#[derive(Debug)]
pub struct DoorTls {
    /// At least one, unless all connections are passed through.
    policies: Vec<PolicyTls>,
    resolver: Arc<Resolver>,
    /// Whether there are sites whose names nobody has named.
    is_open: bool,
    /// Which of them is whose; `None` where all sites have the same one, so that nothing is looked up.
    by_name: Option<Arc<ByName<usize>>>,
    /// Where connections for other names go as they come; `None` where none do.
    passed: Option<Arc<Passed>>,
    /// Where HTTP/3 is spoken.
    pub quic: Option<DoorQuic>,
}

/// The sites whose connections are passed through, by name, among the names that are not (`None`): so the most specific
/// name decides between the two.
type Passed = ByName<Option<Arc<Site>>>;

fn passes<'p>(passed: Option<&'p Passed>, sni: Option<&str>) -> Option<&'p Arc<Site>> {
    passed?.find(sni?)?.as_ref()
}

/// The same for QUIC.
pub struct DoorQuic {
    /// Those that have it.
    policies: Vec<PolicyId>,
    config: Arc<ByHello>,
    by_address: HashMap<IpAddr, Arc<ByHello>>,
}

impl DoorQuic {
    #[must_use]
    pub fn config(&self, local: Option<IpAddr>) -> &Arc<ByHello> {
        local.and_then(|ip| self.by_address.get(&ip)).unwrap_or(&self.config)
    }

    /// Whether clients that came to this address are shown a certificate of its own.
    #[must_use]
    pub fn knows(&self, local: IpAddr) -> bool {
        self.by_address.contains_key(&local)
    }

    /// Whether sites of this policy are found there.
    #[must_use]
    pub fn has(&self, policy: PolicyId) -> bool {
        self.policies.contains(&policy)
    }
}

impl fmt::Debug for DoorQuic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorQuic").field("policies", &self.policies).finish_non_exhaustive()
    }
}

/// What holds for the sites of one policy.
#[derive(Debug)]
struct PolicyTls {
    id: PolicyId,
    config: Arc<ServerConfig>,
    /// For clients that name no host: by the address that they came to.
    by_address: HashMap<IpAddr, Arc<ServerConfig>>,
    /// An authority has to vouch for the certificates of clients.
    verifies: bool,
}

impl PolicyTls {
    fn config(&self, local: Option<IpAddr>) -> &Arc<ServerConfig> {
        local.and_then(|ip| self.by_address.get(&ip.to_canonical())).unwrap_or(&self.config)
    }
}

impl DoorTls {
    /// What a client is met with that asks for this name at this address: the most specific site that has the name
    /// decides (threat XT03). `None`: no site has it.
    #[must_use]
    pub fn choose(&self, sni: Option<&str>, local: Option<IpAddr>) -> Option<(PolicyId, &Arc<ServerConfig>)> {
        // Whose connections are passed through is shown no certificate: not even that of a wildcard around the name.
        if passes(self.passed.as_deref(), sni).is_some() {
            return None;
        }
        let at = match &self.by_name {
            None => 0,
            Some(by_name) => *by_name.choose(sni, local)?,
        };
        let policy = &self.policies[at];
        Some((policy.id, policy.config(local)))
    }

    /// Whether there is any name whose connections are passed through.
    #[must_use]
    pub fn passes_some(&self) -> bool {
        self.passed.is_some()
    }

    /// The site whose server gets the connections for this name as they come.
    #[must_use]
    pub fn passes(&self, sni: &str) -> Option<&Arc<Site>> {
        passes(self.passed.as_deref(), Some(sni))
    }

    /// Whether a certificate that was shown under this policy is one that an authority vouches for.
    #[must_use]
    pub fn verifies(&self, policy: PolicyId) -> bool {
        self.policies.iter().any(|known| known.id == policy && known.verifies)
    }

    /// Whether this name has no certificate, and may get one now that somebody has come for it.
    #[must_use]
    pub fn awaits(&self, name: &str) -> bool {
        self.is_open && self.resolver.names().awaits(name)
    }
}

/// By name, where there are any. What is wrong with a site that could not be built has been told.
fn passed(planned: &Planned<'_>, sites: &[Option<Arc<Site>>]) -> Option<Arc<Passed>> {
    let mut passed = Passed::default();
    for (index, address) in &planned.sites {
        if let (Some(site), Some(name)) = (&sites[*index], address.name()) {
            passed.add(&name, site.passes.is_some().then(|| site.clone()));
        }
    }
    let has_any = passed.values().any(Option::is_some);
    has_any.then(|| Arc::new(passed))
}

impl Compiler<'_> {
    pub(super) fn tls(&mut self, planned: &Planned<'_>, sites: &[Option<Arc<Site>>]) -> DoorTls {
        let passed = passed(planned, sites);
        let (mut names, mut by_name, mut demanded) = (Names::new(), ByName::default(), Vec::new());
        for (index, address) in &planned.sites {
            if self.model.sites[*index].passes_to().is_some() {
                continue;
            }
            let model = self.tls_model(*index);
            self.certify(&model, address, &mut names);
            let key = model.policy.key();
            let at = demanded.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
                demanded.push((key, model.policy));
                demanded.len() - 1
            });
            match address.name() {
                Some(name) => by_name.add(&name, at),
                None => {
                    by_name.set_unknown(at);
                    by_name.set_nameless(at);
                }
            }
        }
        self.for_others(&mut names, &mut by_name);
        names.meet_nameless();
        by_name.meet_nameless();
        let addresses: Vec<IpAddr> = names.addresses().collect();
        let resolver = Resolver::new(names);
        let mut policies = Vec::with_capacity(demanded.len());
        for (_, policy) in &demanded {
            match self.policy_tls(policy, &resolver, &addresses, planned.at) {
                Ok(policy) => policies.push(policy),
                // With it nothing comes of all this; the others are looked at to tell what is wrong with them.
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        let is_open = resolver.names().are_open();
        let by_name = (policies.len() != 1).then(|| Arc::new(by_name));
        let of_names = (by_name.as_ref(), passed.as_ref());
        let quic = self.model.global.http3.then(|| self.quic(&demanded, &resolver, &addresses, of_names)).flatten();
        DoorTls { policies, resolver, is_open, by_name, passed, quic }
    }

    /// Whom clients see that ask for nobody, or for somebody who is not here.
    fn for_others(&self, names: &mut Names, by_name: &mut ByName<usize>) {
        let of = |host: &Option<(HostPattern, Span)>| Name::parse(&host.as_ref()?.0.to_string());
        let model = &self.model.global.names;
        // At a port where that site is not, nobody is seen.
        if let Some(name) = of(&model.default)
            && let Some(at) = by_name.of(&name).copied()
        {
            names.show_to_nameless(&name);
            by_name.set_nameless(at);
        }
        if let Some(name) = of(&model.fallback)
            && let Some(at) = by_name.of(&name).copied()
        {
            names.show_to_unknown(&name);
            by_name.set_unknown(at);
        }
    }

    fn policy_tls(
        &mut self,
        policy: &PolicyModel,
        resolver: &Arc<Resolver>,
        addresses: &[IpAddr],
        at: Span,
    ) -> Result<PolicyTls, Mistake> {
        let at = policy.at.0.unwrap_or(at);
        let options = self.handshake(policy, at)?;
        let build = |resolver| server_config(resolver, &options).map_err(|trouble| trouble.at(at));
        let by_address =
            addresses.iter().map(|ip| Ok((*ip, build(resolver.at(*ip))?))).collect::<Result<_, Mistake>>()?;
        let verifies = policy.clients.as_ref().is_some_and(|clients| clients.mode != Mode::Unverified);
        Ok(PolicyTls { id: self.policy(policy), config: build(resolver.clone())?, by_address, verifies })
    }

    /// For all policies that leave TLS 1.3 and more than HTTP/1.1: who wants that alone has said so.
    fn quic(
        &mut self,
        demanded: &[(String, PolicyModel)],
        resolver: &Arc<Resolver>,
        addresses: &[IpAddr],
        (by_name, passed): (Option<&Arc<ByName<usize>>>, Option<&Arc<Passed>>),
    ) -> Option<DoorQuic> {
        let mut speaking = Vec::with_capacity(demanded.len());
        for (_, policy) in demanded {
            // What is wrong with it has been told.
            let options = self.handshake(policy, Span::default()).ok()?;
            speaking.push((self.policy(policy), options.alpn.contains(&Alpn::H2).then_some(options)));
        }
        let at = |inner: &Arc<dyn ResolvesServerCert>, local| {
            let policy = |(id, options): &(_, Option<Options>)| {
                QuicPolicy::new(*id, inner.clone(), options.as_ref()?).map(Arc::new)
            };
            let policies: Vec<Option<Arc<QuicPolicy>>> = speaking.iter().map(policy).collect();
            let first = policies.iter().flatten().next()?.clone();
            let ids = policies.iter().flatten().map(|policy| policy.id()).collect::<Vec<_>>();
            let (by_name, passed) = (by_name.cloned(), passed.cloned());
            let config = ByHello::new(&first, move |hello| {
                if passes(passed.as_deref(), hello.server_name()).is_some() {
                    return Err(AlertDescription::NoApplicationProtocol);
                }
                let at = match &by_name {
                    None => 0,
                    Some(by_name) => {
                        *by_name.choose(hello.server_name(), local).ok_or(AlertDescription::UnrecognisedName)?
                    }
                };
                policies[at].clone().ok_or(AlertDescription::NoApplicationProtocol)
            });
            Some((ids, config))
        };
        let (policies, config) = at(&(resolver.clone() as _), None)?;
        let by_address = addresses.iter().map(|ip| Some((*ip, at(&resolver.at(*ip), Some(*ip))?.1)));
        Some(DoorQuic { policies, config, by_address: by_address.collect::<Option<_>>()? })
    }

    fn tls_model(&self, site: usize) -> TlsModel {
        let said =
            front(&self.model.sites[site], |front| if let Front::Tls(tls) = front { Some(tls.clone()) } else { None });
        said.unwrap_or_else(|| TlsModel { source: Source::Fitting, policy: PolicyModel::default(), demand: None })
    }

    /// What a site asks of the connections of its requests.
    pub(super) fn demands(&mut self, site: usize) -> Demands {
        if self.model.sites[site].passes_to().is_some() {
            // No connection that rp ends can have met this (threat XT02).
            let policy = *self.supplies.adopt("tls policy of what is passed through", PolicyId::next);
            return Demands { policy, strict: true };
        }
        let policy = self.tls_model(site).policy;
        Demands { policy: self.policy(&policy), strict: policy.strict }
    }

    /// The same for the same demands, also after a reload, so that connections live on.
    fn policy(&mut self, policy: &PolicyModel) -> PolicyId {
        if policy.is_default() {
            return PolicyId::default();
        }
        *self.supplies.adopt(&format!("tls policy {}", policy.key()), PolicyId::next)
    }

    fn handshake(&mut self, policy: &PolicyModel, at: Span) -> Result<Options, Mistake> {
        let mut scope = String::new();
        let clients = match &policy.clients {
            None => None,
            Some(model) => {
                let (verifier, digest) =
                    self.clients(model)?.verifier(model.mode, model.revocation).map_err(|t| t.at(at))?;
                scope = digest;
                Some(verifier)
            }
        };
        let (tickets, key_log) = (self.tickets(policy, &scope), self.key_log()?);
        Ok(Options { tickets, clients, key_log, ..policy.options() })
    }

    fn key_log(&mut self) -> Result<Option<Arc<dyn KeyLog>>, Mistake> {
        let Some((path, at)) = self.model.global.key_log.clone() else { return Ok(None) };
        let key = format!("key log {}", path.display());
        if let Some(open) = self.supplies.find::<KeyFile>(&key) {
            return Ok(Some(open));
        }
        if !matches!(self.purpose, Purpose::Serve(_)) {
            return Ok(None);
        }
        let opened = KeyFile::open(&path).map_err(|error| {
            Mistake::new(Code::E0053, at, format!("cannot write `{}`: {}", path.display(), plain(&error)))
                .help("name a file in a folder that this user may write to")
        })?;
        Ok(Some(self.supplies.adopt(&key, || opened)))
    }

    fn clients(&mut self, model: &ClientsModel) -> Result<Clients, Mistake> {
        // Also where reading fails: the file that is missing may come.
        self.supplies.files.extend(model.ca.iter().chain(&model.crl).map(|(path, _)| path.clone()));
        let mut clients = Clients::default();
        for (path, at) in &model.ca {
            clients.add_authorities(path).map_err(|trouble| trouble.at(*at))?;
        }
        for (path, at) in &model.crl {
            clients.add_revoked(path, model.revocation).map_err(|trouble| trouble.at(*at))?;
            clients.notices.drain(..).for_each(|notice| self.notices.push(notice.at(*at)));
        }
        Ok(clients)
    }

    /// One set of ticket keys for each policy, kept across reloads, so that clients go on resuming: under the demands
    /// that they have met and no others (threat XT01). `scope` is what the demands stand on outside of the configuration.
    fn tickets(&mut self, policy: &PolicyModel, scope: &str) -> Arc<Tickets> {
        let key = if policy.is_default() {
            "tls tickets".to_owned()
        } else {
            format!("tls tickets {} {scope}", policy.key())
        };
        let ring = Arc::clone(&self.tickets);
        let held = self.supplies.adopt(&key, || Tickets::of(&ring, &key));
        (*held).clone()
    }

    /// Where instances meet to share them: in a storage that the configuration names.
    pub(super) fn tickets_in(&mut self, doors: &BTreeMap<ListenAddress, Arc<Door>>) -> Option<Storage> {
        let has_tls = doors.values().any(|door| door.tls.is_some());
        if !has_tls || !self.model.global.share_tickets || !matches!(self.purpose, Purpose::Serve(_)) {
            return None;
        }
        self.storage().map_err(|mistake| self.mistakes.push(mistake)).ok()
    }
}
