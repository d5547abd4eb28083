//! The certificates of a configuration: from files, from an authority, or from our own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use time::OffsetDateTime;

use super::compile::{Compiler, Door, DoorTls, INTERNAL, Purpose, Shown, Source, front};
use super::listen::Planned;
use super::{SiteAddress, Transport};
use crate::check::value::{HostPattern, ListenAddress};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::Front;
use crate::directive::tls::TlsModel;
use crate::tls::acme::{Kind, Store};
use crate::tls::client::authorities;
use crate::tls::internal::Authority;
use crate::tls::{Certificate, Name, Names, Options, Part, Resolver, Slot, Storage, Tickets, Trouble, server_config};

/// What a name shows.
enum Held {
    Fixed(Arc<Certificate>),
    /// It comes and changes by itself.
    Slot(Arc<Slot>),
    /// Nothing yet: a world that is only judged asks for nothing.
    Nothing,
}

impl Compiler<'_> {
    pub(super) fn tls(&mut self, planned: &Planned<'_>) -> Result<DoorTls, Mistake> {
        let mut names = Names::new();
        for (index, address) in &planned.sites {
            let model =
                front(
                    &self.model.sites[*index],
                    |front| if let Front::Tls(tls) = front { Some(tls.clone()) } else { None },
                );
            let held = match self.held(model.as_ref(), address) {
                Ok(held) => held,
                Err(mistake) => {
                    self.mistakes.push(mistake);
                    continue;
                }
            };
            let name = address.host.as_ref().and_then(|host| Name::parse(&host.to_string()));
            match (held, name) {
                (Held::Fixed(certificate), Some(name)) => names.add(&name, certificate.key().clone()),
                (Held::Fixed(certificate), None) => names.set_default(certificate.key().clone()),
                (Held::Slot(slot), Some(name)) => names.add_slot(&name, slot),
                (Held::Slot(_), None) | (Held::Nothing, _) => {}
            }
        }
        let addresses: Vec<IpAddr> = names.addresses().collect();
        let resolver = Resolver::new(names);
        let options = Options { tickets: self.tickets(), ..Options::default() };
        let build = |resolver| server_config(resolver, &options).map_err(|trouble| trouble.at(planned.at));
        let by_address =
            addresses.into_iter().map(|ip| Ok((ip, build(resolver.at(ip))?))).collect::<Result<_, Mistake>>()?;
        Ok(DoorTls { config: build(resolver)?, by_address })
    }

    fn held(&mut self, model: Option<&TlsModel>, address: &SiteAddress) -> Result<Held, Mistake> {
        let (source, certificate) = match (model, why_not(address)) {
            (Some(TlsModel::Files { certificate, certificate_at, key, key_at }), _) => {
                (Source::Files, Some(self.files(certificate, *certificate_at, key, *key_at)?))
            }
            (Some(TlsModel::Acme { at }), None) => return self.acme(Some(*at), address),
            (None, None) if address.is_public() && self.model.global.acme.is_some() => return self.acme(None, address),
            (Some(TlsModel::Internal), _) => (Source::Internal, self.internal(address)?),
            (_, reason) => {
                if address.is_public() || model.is_some() {
                    self.notices.push(nobody_trusts(address, reason.unwrap_or("`acme` is off, and it has no `tls`")));
                }
                (Source::Internal, self.internal(address)?)
            }
        };
        let Some(certificate) = certificate else { return Ok(Held::Nothing) };
        self.shown.push(Shown { name: address.text.clone(), source, certificate: certificate.clone() });
        Ok(Held::Fixed(certificate))
    }

    /// A slot, in which a certificate is or will be. `at` is the word that asked for it.
    fn acme(&mut self, at: Option<Span>, address: &SiteAddress) -> Result<Held, Mistake> {
        let host = address.host.as_ref().map_or(String::new(), HostPattern::to_string);
        let Some(issuer) = self.model.global.acme.clone() else {
            return Err(Mistake::new(
                Code::E0028,
                at.unwrap_or(address.at),
                "this asks for a certificate, and `global` has `acme off`",
            )
            .help("remove `acme off` from `global`, or write: tls internal"));
        };
        if matches!(self.purpose, Purpose::Judge) {
            return Ok(Held::Nothing);
        }
        let storage = self.storage();
        let store = Store::of(&storage, &issuer.directory);
        let at = at.unwrap_or(address.at);
        store.prepare().map_err(|trouble| trouble.at(at))?;
        let slot = self.acme.slot(&store, &host).map_err(|trouble| trouble.at(at))?;
        self.wishes.names.insert(host.into());
        (self.wishes.issuer, self.wishes.storage) = (issuer, storage);
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
        if let Some(root) = self.model.global.acme.as_ref().and_then(|issuer| issuer.root.as_ref()) {
            self.supplies.files.push(root.clone());
            if let Err(trouble) = authorities(root) {
                self.mistakes.push(trouble.at(self.model.global.acme_root_at));
            }
        }
        let port = self.model.global.http_port;
        let is_plain = doors.values().any(|door| door.transport == Transport::Plain && door.port == port);
        self.wishes.kinds = if is_plain { vec![Kind::Http01, Kind::TlsAlpn01] } else { vec![Kind::TlsAlpn01] };
    }

    fn storage(&self) -> Storage {
        self.model.global.storage.clone().map_or_else(Storage::default, Storage::file)
    }

    /// One set of ticket keys, kept across reloads, so that clients go on resuming.
    fn tickets(&mut self) -> Arc<Tickets> {
        let held = self.supplies.adopt("tls tickets", Tickets::new);
        (*held).clone()
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

    /// A certificate of our own authority, made once for each name and again when it has lived two thirds of its life.
    /// None where the world is only judged: asking the authority would write its root.
    fn internal(&mut self, address: &SiteAddress) -> Result<Option<Arc<Certificate>>, Mistake> {
        let host = address.host.as_ref().map_or("localhost".to_owned(), HostPattern::to_string);
        let storage = self.storage();
        let key = format!("{INTERNAL}{host} {}", storage.place());
        if let Some(known) = self.supplies.find::<Arc<Certificate>>(&key)
            && !known.needs_renewal(OffsetDateTime::now_utc())
        {
            return Ok(Some((*known).clone()));
        }
        if matches!(self.purpose, Purpose::Judge) {
            return Ok(None);
        }
        let authority = self.authority(&storage).map_err(|trouble| trouble.at(address.at))?;
        let name = Name::parse(&host).ok_or_else(|| {
            Mistake::new(Code::E0050, address.at, format!("no certificate can bear the name `{host}`"))
        })?;
        let certificate = Arc::new(authority.issue(&[name]).map_err(|trouble| trouble.at(address.at))?);
        self.supplies.keep(&key, certificate.clone());
        Ok(Some(certificate))
    }

    fn authority(&mut self, storage: &Storage) -> Result<Arc<Authority>, Trouble> {
        let key = format!("internal authority {}", storage.place());
        if let Some(known) = self.supplies.find::<Authority>(&key) {
            return Ok(known);
        }
        let opened = Authority::open(storage)?;
        Ok(self.supplies.adopt(&key, || opened))
    }
}

/// Why no authority would give this a certificate.
fn why_not(address: &SiteAddress) -> Option<&'static str> {
    match address.host.as_ref().map(|host| Name::parse(&host.to_string())) {
        Some(Some(Name::Wildcard(_))) => Some("wildcards take a challenge by DNS, which rp cannot answer yet"),
        Some(Some(Name::Address(_))) => Some("rp asks authorities for names only, not for addresses"),
        Some(Some(Name::Host(_))) => None,
        _ => Some("there is no name that an authority could be asked for"),
    }
}

/// This must be said before its visitors say it.
fn nobody_trusts(address: &SiteAddress, why: &str) -> Mistake {
    let host = address.host.as_ref().map(HostPattern::to_string);
    let file = host.as_ref().map_or("site", |host| host.trim_start_matches("*.")).to_owned();
    let host = host.unwrap_or_else(|| address.text.clone());
    Mistake::new(
        Code::W0015,
        address.at,
        format!("`{host}` shows a certificate of rp's own authority, and clients refuse it as one that they don't know"),
    )
    .label(why)
    .help(format!(
        "write: tls /etc/ssl/{file}.pem /etc/ssl/private/{file}.key; or, for clients that are told to trust it, write: tls internal"
    ))
}
