//! The challenge dns-01 (RFC 8555, section 8.4): a text under `_acme-challenge` of the name, which whoever has the zone
//! can put there. It needs no port, and is the one way to a wildcard.
//!
//! [`Dns`] does the whole of it: finds out where the record belongs, has a [`Provider`] put it there, waits until every
//! name server of the zone has it, and has it removed.

mod acme_dns;
mod api;
mod bearer;
mod cloudflare;
mod desec;
mod digitalocean;
mod exec;
mod hetzner;
pub mod lookup;
mod propagation;
pub mod provider;
mod rfc2136;
mod route53;
pub mod settings;
#[cfg(test)]
mod tests;
mod webhook;

pub use settings::{Settings, Zone};

use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::Name;

use self::lookup::{Lookup, bare};
use self::provider::{Provider, Record};
use super::Failure;

/// The texts that stand in somebody's zone.
pub struct Dns {
    settings: Settings,
    lookup: Lookup,
    provider: Box<dyn Provider>,
}

impl Dns {
    pub fn new(settings: &Settings) -> Self {
        let lookup = Lookup::new(&settings.resolvers);
        let provider = provider::of(&settings.zone, &lookup);
        Self { settings: settings.clone(), lookup, provider }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts a text under a name, which may be a wildcard, and comes back when the authority can see it.
    pub(super) async fn show(self: &Arc<Self>, name: &str, value: &str) -> Result<Shown, Failure> {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        let own = Name::from_ascii(format!("_acme-challenge.{plain}."))
            .map_err(|_| Failure::other(format!("`{plain}` is too long for the challenge by DNS")))?;
        // Where the zone may not be changed, the name may be an alias of one that may (RFC 8555, section 10.2).
        let target = self.lookup.target(&own).await?;
        let record = Record { name: bare(&target), value: value.to_owned() };
        let mut shown = Shown { dns: Arc::clone(self), record: Some(record.clone()) };
        if let Err(failure) = self.provider.present(&record).await {
            shown.take_back().await;
            return Err(failure);
        }
        if let Err(failure) = propagation::wait(&self.settings, &self.lookup, &target, value).await {
            shown.take_back().await;
            return Err(failure);
        }
        Ok(shown)
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A text for as long as it stands in the zone.
pub(super) struct Shown {
    dns: Arc<Dns>,
    /// `None` once it is taken back.
    record: Option<Record>,
}

impl Shown {
    /// Takes the text back, and nothing else that is under the name. That it stays harms nobody, so a failure is told and
    /// no more.
    pub async fn take_back(&mut self) {
        if let Some(record) = self.record.take() {
            remove(&self.dns, &record).await;
        }
    }
}

impl Drop for Shown {
    /// An order that is given up leaves nothing behind, if there is time.
    fn drop(&mut self) {
        if let (Some(record), Ok(runtime)) = (self.record.take(), tokio::runtime::Handle::try_current()) {
            let dns = Arc::clone(&self.dns);
            runtime.spawn(async move { remove(&dns, &record).await });
        }
    }
}

async fn remove(dns: &Dns, record: &Record) {
    if let Err(failure) = dns.provider.remove(record).await {
        tracing::warn!(name = record.name, reason = %failure, "the text of a challenge by DNS cannot be removed");
    }
}
