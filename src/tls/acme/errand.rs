//! What somebody asks for by hand: a certificate renewed before its time, or taken back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{RevocationReason, RevocationRequest};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::account::Office;
use super::failure::{Failure, patiently};
use super::holding::{Holding, Outcome};
use super::store::Store;
use super::vault::{Key, State, Vault};
use crate::tls::{Certificate, Trouble};

/// Whoever asks by hand does not wait for longer; the work goes on.
const PATIENCE: Duration = Duration::from_secs(100);

/// What is to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renew {
    /// A certificate that is missing or near its end.
    Due,
    /// Any.
    Any,
}

/// Why a certificate is taken back (RFC 5280, section 5.3.1): those that are for its owner to give.
pub const REASONS: [(&str, u8); 5] = [
    ("unspecified", 0),
    ("key-compromise", 1),
    ("affiliation-changed", 3),
    ("superseded", 4),
    ("cessation-of-operation", 5),
];

impl Vault {
    /// Has a name's certificate asked for now, whatever failed before, and waits for it.
    pub async fn renew(&self, name: &str, what: Renew) -> Outcome {
        let (sender, told) = oneshot::channel();
        {
            let mut state = self.state();
            let (_, holding) = find(&mut state, name)?;
            let now = OffsetDateTime::now_utc();
            if let Some(held) = holding.certificate.as_ref().filter(|_| what == Renew::Due && holding.renewal > now) {
                return Err(format!(
                    "the certificate of `{name}` is good until {}: to renew it all the same, write: rp certs renew --force {name}",
                    held.not_after().date()
                ));
            }
            holding.hurry(now);
            holding.waiting.push(sender);
        }
        self.changed.notify_one();
        Self::hear(name, told).await
    }

    async fn hear(name: &str, told: oneshot::Receiver<Outcome>) -> Outcome {
        match timeout(PATIENCE, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(format!("`{name}` has left the configuration")),
            Err(_) => Err(format!("the authorities are still asked for `{name}`: `rp certs` tells what comes of it")),
        }
    }

    /// Has a name's certificate taken back by whoever signed it, forgets it, and asks for another one: for all names that show
    /// it, since to clients it is revoked for all of them.
    pub async fn revoke(&self, name: &str, reason: u8) -> Outcome {
        let (key, office, certificate) = self.revocable(name)?;
        take_back(&office, &certificate, reason).await.map_err(|failure| failure.reason)?;
        let names = self.sharing(&key, &certificate);
        let others: Vec<&str> = names.iter().map(|other| &**other).filter(|other| *other != &*key.1).collect();
        let others = others.join(" ");
        tracing::warn!(name, others, until = %certificate.not_after().date(), "certificate revoked");
        let forgotten = forget(&office.store, &names, &certificate).await;
        let told = self.replace(&key, &certificate);
        self.changed.notify_one();
        forgotten.map_err(|trouble| format!("it is revoked, and cannot be forgotten: {trouble}"))?;
        Self::hear(name, told).await.map_err(|why| format!("it is revoked, and there is no other one yet: {why}"))
    }

    /// Under which names a certificate may be shown or kept, now or after a name has come back into the configuration.
    fn sharing(&self, key: &Key, certificate: &Certificate) -> BTreeSet<Box<str>> {
        let state = self.state();
        let shown = state.holdings.iter().filter(|(_, holding)| holding.shows(certificate));
        let shown = shown.map(|((_, name), _)| name.clone());
        let signed = certificate.names().iter().map(|name| name.to_string().into_boxed_str());
        shown.chain(signed).chain([key.1.clone()]).collect()
    }

    /// Has another one asked for in place of a certificate, wherever it is shown: at once, so that they go together. Gives
    /// where it is told what came of it for a name.
    pub(super) fn replace(&self, key: &Key, certificate: &Certificate) -> oneshot::Receiver<Outcome> {
        let (sender, told) = oneshot::channel();
        let (mut state, now) = (self.state(), OffsetDateTime::now_utc());
        for (other, holding) in &mut state.holdings {
            if other == key || holding.shows(certificate) {
                holding.hurry(now);
            }
        }
        if let Some(holding) = state.holdings.get_mut(key) {
            holding.waiting.push(sender);
        }
        told
    }

    fn revocable(&self, name: &str) -> Result<(Key, Arc<Office>, Arc<Certificate>), String> {
        let mut state = self.state();
        let (key, holding) = find(&mut state, name)?;
        let certificate = holding.certificate.clone().ok_or_else(|| format!("`{name}` has no certificate yet"))?;
        let from = holding.from;
        let office = state.offices.get(from).cloned();
        Ok((key, office.ok_or_else(|| "nobody is asked for certificates".to_owned())?, certificate))
    }
}

fn find<'a>(state: &'a mut State, name: &str) -> Result<(Key, &'a mut Holding), String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let found = state.holdings.iter_mut().find(|((_, held), holding)| **held == *name && holding.wanted);
    found
        .map(|(key, holding)| (key.clone(), holding))
        .ok_or_else(|| format!("no certificate of `{name}` is got by ACME here: `rp certs` tells which names have one"))
}

/// Removes a certificate from storage under all of these names. What has come under one of them since stays.
async fn forget(store: &Store, names: &BTreeSet<Box<str>>, certificate: &Certificate) -> Result<(), Trouble> {
    let mut outcome = Ok(());
    for name in names {
        let removed = match store.fetch(name).await {
            Ok(None) => Ok(()),
            Ok(Some(kept)) if kept.fingerprint() != certificate.fingerprint() => Ok(()),
            _ => store.remove(name).await,
        };
        outcome = outcome.and(removed);
    }
    outcome
}

async fn take_back(office: &Office, certificate: &Certificate, reason: u8) -> Result<(), Failure> {
    let leaf = certificate.key().cert.first().ok_or_else(|| Failure::other("there is no certificate"))?;
    let reason = match reason {
        1 => RevocationReason::KeyCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        _ => RevocationReason::Unspecified,
    };
    let request = RevocationRequest { certificate: leaf, reason: Some(reason) };
    let account = office.account().await?;
    match patiently!(account.revoke(&request)) {
        // Somebody has done it before, and only the rest is left to do.
        Err(instant_acme::Error::Api(problem))
            if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:alreadyRevoked") =>
        {
            Ok(())
        }
        outcome => Ok(outcome?),
    }
}
