//! The certificates of a configuration: from files, from an authority, or from our own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::compile::{Compiler, Door, Purpose, Shown, Source};
use super::global::Ocsp;
use super::{SiteAddress, SiteModel, Transport, demand};
use crate::check::value::{HostPattern, ListenAddress};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::tls::{Source as TlsSource, TlsModel};
use crate::tls::acme::Kind;
use crate::tls::client::authorities;
use crate::tls::hex;
use crate::tls::internal::{Last, Opened};
use crate::tls::staple::{self, Stapling};
use crate::tls::storage::Place;
use crate::tls::{Certificate, Issued, Name, Names, Part, Slot, Storage, Trouble, folder};

/// What a name shows.
enum Held {
    Fixed(Arc<Certificate>),
    /// It comes and changes by itself.
    Slot(Arc<Slot>),
    /// Nothing yet: a world that is only judged asks for nothing.
    Nothing,
}

impl Compiler<'_> {
    /// The certificate of one address of a site. What is wrong is told.
    pub(super) fn certify(&mut self, model: &TlsModel, address: &SiteAddress, names: &mut Names) {
        let source = &model.source;
        match self.on_demand(model, address) {
            Ok(true) => return names.add_unnamed(address.name().as_ref(), &self.acme.demand.table),
            Ok(false) => {}
            Err(mistake) => return self.mistakes.push(mistake),
        }
        match self.held(source, address, names) {
            Ok(held) => {
                let name = address.name();
                match (held, name) {
                    (Held::Fixed(certificate), Some(name)) => self.show(&name, &certificate, names),
                    (Held::Fixed(certificate), None) => match self.stapled(&certificate) {
                        Some(slot) => names.set_default_slot(&slot),
                        None => names.set_default(certificate.key().clone()),
                    },
                    (Held::Slot(slot), Some(name)) => names.add_slot(&name, slot),
                    (Held::Slot(slot), None) => names.set_default_slot(&slot),
                    (Held::Nothing, _) => {}
                }
            }
            Err(mistake) => self.mistakes.push(mistake),
        }
    }

    fn show(&mut self, name: &Name, certificate: &Arc<Certificate>, names: &mut Names) {
        match self.stapled(certificate) {
            Some(slot) => names.add_slot(name, slot),
            None => names.add(name, certificate.key().clone()),
        }
    }

    /// Where a certificate is shown of which somebody may say that it still holds: one place for all its names, kept with what
    /// was said across reloads. None where nobody can be asked.
    fn stapled(&mut self, certificate: &Arc<Certificate>) -> Option<Arc<Slot>> {
        if self.model.global.ocsp == Ocsp::Off || !staple::can(certificate) {
            return None;
        }
        let digest = hex(certificate.fingerprint());
        let slot = self.supplies.adopt(&format!("stapled {digest}"), || Slot::new(certificate.key().clone()));
        let slot = Arc::clone(&*slot);
        if !self.stapled.iter().any(|(known, _)| Arc::ptr_eq(known, &slot)) {
            self.stapled.push((Arc::clone(&slot), Arc::clone(certificate)));
        }
        Some(slot)
    }

    /// Of which certificates a responder is asked, beside those of authorities.
    pub(super) fn stapling(&mut self, doors: &BTreeMap<ListenAddress, Arc<Door>>) -> Stapling {
        let has_tls = doors.values().any(|door| door.tls.is_some());
        if !has_tls || self.model.global.ocsp == Ocsp::Off || !matches!(self.purpose, Purpose::Serve(_)) {
            return Stapling::default();
        }
        let storage = self.storage().map_err(|mistake| self.mistakes.push(mistake)).ok();
        Stapling { storage, files: std::mem::take(&mut self.stapled) }
    }

    /// Whether the names of a site become known only when somebody comes for them: below a wildcard, or any.
    /// What a site says itself holds before what `global` says, and before `dns`.
    fn on_demand(&mut self, model: &TlsModel, address: &SiteAddress) -> Result<bool, Mistake> {
        let own = model.demand.as_ref().filter(|_| demand::is_open(address));
        let Some(acme) = &self.model.global.acme else {
            return own.map_or(Ok(false), |(_, at)| Err(acme_is_off(*at)));
        };
        let Some(terms) = own.map(|(terms, _)| terms).or(acme.demand.as_ref()) else { return Ok(false) };
        let is_open = match address.name() {
            None => address.host.is_none(),
            Some(Name::Wildcard(_)) if own.is_some() => true,
            Some(Name::Wildcard(_)) if acme.dns.is_some() => false,
            Some(Name::Wildcard(_)) => address.is_public() || matches!(model.source, TlsSource::Acme { .. }),
            Some(_) => false,
        };
        if !is_open || !matches!(model.source, TlsSource::Acme { .. } | TlsSource::Fitting) {
            return Ok(false);
        }
        if matches!(self.purpose, Purpose::Judge) {
            return Ok(true);
        }
        if !self.wishes.demand.iter().any(|(below, _)| *below == address.name()) {
            self.wishes.demand.push((address.name(), terms.clone()));
        }
        (self.wishes.issuers, self.wishes.key) = (acme.issuers(), acme.key);
        self.wishes.dns.clone_from(&acme.dns);
        self.wishes.storage = self.storage()?;
        Ok(true)
    }

    fn held(&mut self, source: &TlsSource, address: &SiteAddress, names: &mut Names) -> Result<Held, Mistake> {
        let certificate = match (source, self.why_not(address)) {
            (TlsSource::Files { certificate, certificate_at, key, key_at }, _) => {
                Some(self.files(certificate, *certificate_at, key, *key_at)?)
            }
            (TlsSource::Folder { path, at }, _) => match self.of_folder(path, *at, address, names)? {
                None => return Ok(Held::Nothing),
                some => some,
            },
            (TlsSource::Acme { at }, None) => return self.acme(Some(*at), address),
            (TlsSource::Fitting, None) if address.is_public() && self.model.global.acme.is_some() => {
                return self.acme(None, address);
            }
            (TlsSource::Internal, _) => return self.own(address),
            (_, reason) => {
                if address.is_public() || *source != TlsSource::Fitting {
                    self.notices.push(nobody_trusts(address, reason.unwrap_or("`acme` is off, and it has no `tls`")));
                }
                return self.own(address);
            }
        };
        let Some(certificate) = certificate else { return Ok(Held::Nothing) };
        self.shown.push(Shown { name: address.text.clone(), source: Source::Files(certificate.clone()) });
        Ok(Held::Fixed(certificate))
    }

    fn own(&mut self, address: &SiteAddress) -> Result<Held, Mistake> {
        let Some(issued) = self.internal(address)? else { return Ok(Held::Nothing) };
        let slot = Arc::clone(issued.slot());
        self.shown.push(Shown { name: address.text.clone(), source: Source::Internal(issued) });
        Ok(Held::Slot(slot))
    }

    /// The one that fits the address; for any host all of them, each under its own names.
    fn of_folder(
        &mut self,
        path: &Path,
        at: Span,
        address: &SiteAddress,
        names: &mut Names,
    ) -> Result<Option<Arc<Certificate>>, Mistake> {
        let all = self.folder(path, at)?;
        let Some(host) = address.host.as_ref().map(HostPattern::to_string) else {
            for certificate in &all {
                for name in certificate.names() {
                    // Another site that names the host has the better right to it.
                    let best = folder::best(all.iter().map(|held| &**held), &name.to_string());
                    if !names.has(name) && best.is_some_and(|best| best.fingerprint() == certificate.fingerprint()) {
                        self.show(name, certificate, names);
                    }
                }
                let name = certificate.names().first().map_or_else(|| address.text.clone(), ToString::to_string);
                self.shown.push(Shown { name, source: Source::Files(certificate.clone()) });
            }
            return Ok(None);
        };
        match folder::best(all.iter().map(|held| &**held), &host) {
            Some(best) => Ok(all.iter().find(|held| held.fingerprint() == best.fingerprint()).cloned()),
            None => Err(Trouble::NoneFor { folder: path.display().to_string(), name: host }.at(at)),
        }
    }

    /// Read once for all sites that name it.
    fn folder(&mut self, path: &Path, at: Span) -> Result<Vec<Arc<Certificate>>, Mistake> {
        if let Some(known) = self.folders.get(path) {
            return known.clone().map_err(|mistake| Mistake { at, ..mistake });
        }
        let read = match folder::load(path) {
            Ok(held) => {
                self.supplies.files.extend(held.files);
                let notices = held.certificates.iter().flat_map(|(_, certificate)| certificate.notices());
                notices.for_each(|notice| self.notices.push(notice.at(at)));
                Ok(held.certificates.into_iter().map(|(_, certificate)| Arc::new(certificate)).collect())
            }
            Err(trouble) => {
                self.supplies.files.push(path.to_owned());
                Err(trouble.at(at))
            }
        };
        self.folders.insert(path.to_owned(), read.clone());
        read
    }

    /// A slot, in which a certificate is or will be. `at` is the word that asked for it.
    fn acme(&mut self, at: Option<Span>, address: &SiteAddress) -> Result<Held, Mistake> {
        let host = address.name().map_or(String::new(), |name| name.to_string());
        let Some(acme) = &self.model.global.acme else {
            return Err(acme_is_off(at.unwrap_or(address.at)));
        };
        if matches!(self.purpose, Purpose::Judge) {
            return Ok(Held::Nothing);
        }
        (self.wishes.issuers, self.wishes.key) = (acme.issuers(), acme.key);
        self.wishes.dns.clone_from(&acme.dns);
        self.wishes.storage = self.storage()?;
        let (at, stores) = (at.unwrap_or(address.at), self.wishes.stores());
        for store in &*stores {
            store.prepare().map_err(|trouble| trouble.at(at))?;
        }
        let slot = self.acme.slot(&stores, &host).map_err(|trouble| trouble.at(at))?;
        self.wishes.names.insert(host.into());
        Ok(Held::Slot(slot))
    }

    /// What the authority has to be shown, and whether it can be reached safely.
    ///
    /// Port 80 is asked first where somebody listens there: it is open more often than 443 leads here untouched. Where
    /// other ports stand in for both, they are those that `global` names.
    pub(super) fn challenges(&mut self, doors: &BTreeMap<ListenAddress, Arc<Door>>) {
        if matches!(self.purpose, Purpose::Rehearse) {
            return;
        }
        for (root, at) in self.model.global.acme.iter().flat_map(|acme| &acme.roots) {
            self.supplies.files.push(root.clone());
            if let Err(trouble) = authorities(root) {
                self.mistakes.push(trouble.at(*at));
            }
        }
        if let Some(root) = self.model.global.storage.as_ref().and_then(Place::root) {
            self.supplies.files.push(root.to_owned());
            if let Err(trouble) = authorities(root) {
                self.mistakes.push(trouble.at(self.model.global.storage_root_at));
            }
        }
        let port = self.model.global.http_port;
        let is_plain = doors.values().any(|door| door.transport == Transport::Plain && door.port == port);
        let usual = || if is_plain { vec![Kind::Http01, Kind::TlsAlpn01] } else { vec![Kind::TlsAlpn01] };
        if self.model.global.acme.as_ref().is_some_and(|acme| acme.together) {
            self.wishes.together = self.model.sites.iter().map(|site| self.ordered(site)).collect();
        }
        self.wishes.kinds =
            self.model.global.acme.as_ref().and_then(|acme| acme.challenges.clone()).unwrap_or_else(usual);
    }

    /// The names of a site that an authority is asked for by what it can be shown here. Wildcards are for the zone alone to
    /// speak for, and addresses have certificates of another kind.
    fn ordered(&self, site: &SiteModel) -> BTreeSet<Box<str>> {
        let hosts = site.addresses.iter().filter_map(SiteAddress::name).filter(|name| matches!(name, Name::Host(_)));
        hosts.map(|name| name.to_string().into()).filter(|name| self.wishes.names.contains(name)).collect()
    }

    /// Why no authority would give this a certificate.
    fn why_not(&self, address: &SiteAddress) -> Option<&'static str> {
        match address.host.as_ref().map(|host| Name::parse(&host.to_string())) {
            Some(Some(Name::Wildcard(_))) if self.model.global.acme.as_ref().is_some_and(|acme| acme.dns.is_some()) => {
                None
            }
            Some(Some(Name::Wildcard(_))) => {
                Some("for a wildcard an authority looks into the zone, and nobody is named who changes it")
            }
            Some(Some(Name::Host(_) | Name::Address(_))) => None,
            _ => Some("there is no name that an authority could be asked for"),
        }
    }

    /// One for as long as the configuration says the same of it, so that a server is spoken with over one connection.
    pub(super) fn storage(&mut self) -> Result<Storage, Mistake> {
        let Some(place) = &self.model.global.storage else { return Ok(Storage::default()) };
        let key = format!("storage {place:?}");
        if let Some(known) = self.supplies.find::<Storage>(&key) {
            return Ok((*known).clone());
        }
        let opened = Storage::open(place).map_err(|trouble| trouble.at(self.model.global.storage_root_at))?;
        self.supplies.keep(&key, opened.clone());
        Ok(opened)
    }

    fn files(
        &mut self,
        certificate: &Path,
        certificate_at: Span,
        key: &Path,
        key_at: Span,
    ) -> Result<Arc<Certificate>, Mistake> {
        self.supplies.files.extend([certificate.to_owned(), key.to_owned()]);
        let at = |part| match part {
            Part::Certificate => certificate_at,
            Part::Key => key_at,
        };
        let loaded = Certificate::load(certificate, key).map_err(|trouble| trouble.at(at(trouble.part())))?;
        for notice in loaded.notices() {
            self.notices.push(notice.at(at(notice.part())));
        }
        Ok(Arc::new(loaded))
    }

    /// A certificate of our own authority, made once for each name; what is in force renews it.
    /// None where the world is only judged: asking the authority would write its root.
    fn internal(&mut self, address: &SiteAddress) -> Result<Option<Arc<Issued>>, Mistake> {
        if matches!(self.purpose, Purpose::Judge) {
            return Ok(None);
        }
        let host = address.host.as_ref().map_or("localhost".to_owned(), HostPattern::to_string);
        let storage = self.storage()?;
        let place = storage.place().to_owned();
        let last = self.supplies.adopt(&format!("internal authority {place}"), Last::default);
        let opened = self.internal.get_or_insert_with(|| Opened::new(storage, last));
        let key = format!("internal certificate {host} {place}");
        if let Some(known) = self.supplies.find::<Issued>(&key) {
            return Ok(Some(known));
        }
        let name = Name::parse(&host).ok_or_else(|| {
            Mistake::new(Code::E0050, address.at, format!("no certificate can bear the name `{host}`"))
        })?;
        let issued = Issued::new(name, opened).map_err(|trouble| trouble.at(address.at))?;
        Ok(Some(self.supplies.adopt(&key, || issued)))
    }
}

fn acme_is_off(at: Span) -> Mistake {
    Mistake::new(Code::E0028, at, "this asks for a certificate, and `global` has `acme off`")
        .help("remove `acme off` from `global`, or write: tls internal")
}

/// This must be said before its visitors say it.
fn nobody_trusts(address: &SiteAddress, why: &str) -> Mistake {
    let host = address.host.as_ref().map(HostPattern::to_string);
    let file = host.as_ref().map_or("site", |host| host.trim_start_matches("*.")).to_owned();
    let host = host.unwrap_or_else(|| address.text.clone());
    let by_dns = host.starts_with("*.") && address.is_public();
    let dns = if by_dns { "say in `global` who changes the zone: acme { dns PROVIDER { … } }; or " } else { "" };
    Mistake::new(
        Code::W0015,
        address.at,
        format!("`{host}` shows a certificate of rp's own authority, and clients refuse it as one that they don't know"),
    )
    .label(why)
    .help(format!(
        "{dns}write: tls /etc/ssl/{file}.pem /etc/ssl/private/{file}.key; or, for clients that are told to trust it, write: tls internal"
    ))
}
