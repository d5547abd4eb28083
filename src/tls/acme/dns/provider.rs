//! The trait of whoever can change a zone.

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::acme_dns::AcmeDns;
use super::bearer::Bearer;
use super::cloudflare::Cloudflare;
use super::desec::Desec;
use super::digitalocean::DigitalOcean;
use super::exec::Exec;
use super::hetzner::Hetzner;
use super::lookup::Lookup;
use super::rfc2136::Updates;
use super::route53::Route53;
use super::settings::{Host, Token, Zone};
use super::webhook::Webhook;
use crate::tls::acme::Failure;

/// Names that are tried as a zone's.
const MOST_ZONES: usize = 10;

/// A text under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `_acme-challenge.example.com`, or where that leads; without a final dot.
    pub name: String,
    /// 43 characters of base64url.
    pub value: String,
}

impl Record {
    /// The names of zones that the record may be in, the longest first. No zone is a top-level domain of somebody's.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        let dots = self.name.match_indices('.').map(|(at, _)| &self.name[at + 1..]);
        std::iter::once(self.name.as_str()).chain(dots).filter(|name| name.contains('.'))
    }

    /// The same, or the one zone that was named.
    pub fn zones_or<'a>(&'a self, named: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let all = self.zones().filter(move |name| named.is_none_or(|named| named == *name));
        all.take(MOST_ZONES)
    }

    /// No zone is known that it is in.
    pub fn homeless(&self, who: &str) -> Failure {
        Failure::other(format!("{who} has no zone here that `{}` is in", self.name))
    }

    /// The name as a zone has it: without the zone's own, and empty for the zone itself.
    pub fn inside(&self, zone: &str) -> &str {
        self.name.strip_suffix(zone).map_or(&self.name, |inside| inside.trim_end_matches('.'))
    }
}

/// Changes a zone. Other texts under the same name must be left alone: a wildcard and the name below it are asked for at
/// once.
pub trait Provider: Send + Sync {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>>;
    /// Nothing fails where there is nothing to remove.
    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>>;
}

pub(super) fn of(zone: &Zone, lookup: &Lookup) -> Box<dyn Provider> {
    match zone {
        Zone::Rfc2136(settings) => Box::new(Updates::new(settings.clone(), lookup.clone())),
        Zone::Token(settings) => by_token(settings),
        Zone::Route53(settings) => Box::new(Route53::new(settings)),
        Zone::AcmeDns(settings) => Box::new(AcmeDns::new(settings)),
        Zone::Exec(settings) => Box::new(Exec(settings.clone())),
        Zone::Webhook(settings) => Box::new(Webhook::new(settings)),
    }
}

fn by_token(settings: &Token) -> Box<dyn Provider> {
    let zone = settings.zone.clone();
    let api = |who, scheme| Bearer::new(who, scheme, settings);
    match settings.host {
        Host::Cloudflare => Box::new(Cloudflare { api: api("Cloudflare", "Bearer"), zone }),
        Host::DigitalOcean => Box::new(DigitalOcean { api: api("DigitalOcean", "Bearer"), zone }),
        Host::Hetzner => Box::new(Hetzner { api: api("Hetzner", "Bearer"), zone }),
        Host::Desec => Box::new(Desec { api: api("deSEC", "Token"), zone, turn: Mutex::default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_by_zone() {
        let record = Record { name: "_acme-challenge.a.example.com".to_owned(), value: String::new() };
        let zones: Vec<&str> = record.zones().collect();
        assert_eq!(zones, ["_acme-challenge.a.example.com", "a.example.com", "example.com"]);
        let inside: Vec<&str> = zones.iter().map(|zone| record.inside(zone)).collect();
        assert_eq!(inside, ["", "_acme-challenge", "_acme-challenge.a"]);
    }
}
