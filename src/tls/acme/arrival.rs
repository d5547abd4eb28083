//! A name that somebody has come for, from the question whether it may have a certificate to the certificate.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::holding::{Holding, Outcome};
use super::permit::Terms;
use super::placeholder::placeholder;
use super::store::kept;
use super::vault::{Key, Vault};
use crate::telemetry::every::Every;
use crate::tls::Slot;

/// After a no.
const REFUSED: Duration = Duration::from_secs(60);
/// After no answer at all.
const UNANSWERED: Duration = Duration::from_secs(10);

/// What there is for a name.
enum Found {
    /// A certificate that can be shown.
    Good(Arc<Slot>),
    /// Nothing, until the authorities have been asked.
    Awaited(oneshot::Receiver<Outcome>, Arc<Slot>),
    /// Nothing, for this long.
    Refused(Duration),
}

impl Vault {
    /// Waits until a name has a certificate that can be shown, or it is clear that it gets none. Called from handshakes.
    pub async fn demand(&self, name: &str) {
        let Some(told) = self.demand.queue(name) else { return };
        self.changed.notify_one();
        // Whoever answers drops the other end.
        let _ = told.await;
    }

    /// The work behind it, once for all who wait.
    pub(super) async fn arrive(self: Arc<Self>, name: Box<str>) {
        let Some(terms) = self.demand.terms(&name) else { return self.demand.refuse(&name, Duration::ZERO) };
        match self.demand.permits.ask(&terms, &name).await {
            Ok(true) => {}
            Ok(false) => return self.demand.refuse(&name, REFUSED),
            Err(why) => {
                static EVERY: Every = Every::second();
                if let Some(suppressed) = EVERY.pass() {
                    tracing::warn!(ask = %terms.ask, why, suppressed, "nobody says whether a name may have a certificate");
                }
                return self.demand.refuse(&name, UNANSWERED);
            }
        }
        match self.find(&terms, &name).await {
            Found::Good(slot) => self.demand.grant(&name, &slot),
            Found::Refused(pause) => self.demand.refuse(&name, pause),
            Found::Awaited(told, slot) => {
                self.changed.notify_one();
                match told.await {
                    Ok(Ok(_)) => self.demand.grant(&name, &slot),
                    _ => self.demand.refuse(&name, self.rest(&name)),
                }
            }
        }
    }

    async fn find(&self, terms: &Arc<Terms>, name: &str) -> Found {
        let (stores, known) = {
            let state = self.state();
            (Arc::clone(&state.stores), state.holdings.contains_key(&(Arc::clone(&state.stores), name.into())))
        };
        let key: Key = (Arc::clone(&stores), name.into());
        if !known && let Err(pause) = self.take_up(terms, &key).await {
            return Found::Refused(pause);
        }
        let mut state = self.state();
        let Some(holding) = state.holdings.get_mut(&key) else { return Found::Refused(UNANSWERED) };
        let now = OffsetDateTime::now_utc();
        if holding.certificate.as_ref().is_some_and(|held| held.not_after() > now) {
            holding.wanted = true;
            return Found::Good(Arc::clone(&holding.slot));
        }
        if holding.due() > now {
            return Found::Refused(Duration::try_from(holding.due() - now).unwrap_or_default());
        }
        if let Err(pause) = self.demand.take_order(terms) {
            tracing::warn!(name, "the limit of certificates on demand is reached");
            return Found::Refused(pause.min(REFUSED));
        }
        let (sender, told) = oneshot::channel();
        holding.wanted = true;
        holding.waiting.push(sender);
        Found::Awaited(told, Arc::clone(&holding.slot))
    }

    /// Makes room for a name, with what is in storage.
    async fn take_up(&self, terms: &Arc<Terms>, key: &Key) -> Result<(), Duration> {
        let is_theirs = |name: &str| self.demand.terms(name).is_some_and(|known| Arc::ptr_eq(&known, terms));
        let count = {
            let state = self.state();
            state.holdings.iter().filter(|((_, name), holding)| holding.on_demand && is_theirs(name)).count()
        };
        if count >= terms.most {
            static EVERY: Every = Every::second();
            if let Some(suppressed) = EVERY.pass() {
                tracing::warn!(
                    name = &*key.1,
                    names = count,
                    suppressed,
                    "there are as many names on demand as there may be"
                );
            }
            return Err(REFUSED);
        }
        let (now, (stores, name)) = (OffsetDateTime::now_utc(), key.clone());
        let found = tokio::task::spawn_blocking(move || kept(&stores, &name, now)).await.unwrap_or_default();
        let slot = match &found {
            Some((_, certificate)) => Slot::new(Arc::clone(certificate.key())),
            None => Slot::new(placeholder(&key.1).map_err(|_| REFUSED)?),
        };
        let mut holding = Holding::new(slot, found, key.0.len(), now);
        holding.on_demand = true;
        self.state().holdings.entry(key.clone()).or_insert(holding);
        Ok(())
    }

    /// How long a name is left alone whose certificate did not come. It is asked for again when somebody comes again.
    fn rest(&self, name: &str) -> Duration {
        let mut state = self.state();
        let key: Key = (Arc::clone(&state.stores), name.into());
        let Some(holding) = state.holdings.get_mut(&key) else { return REFUSED };
        if holding.on_demand && holding.certificate.is_none() {
            holding.wanted = false;
        }
        Duration::try_from(holding.due() - OffsetDateTime::now_utc()).unwrap_or(REFUSED)
    }
}
