//! The names that have their certificates from an authority: what each shows, and when something is to be done for it.
//!
//! One vault lives as long as the process. Configurations come and go: each takes the slots of its names from here, and
//! once it is in force it says which names it wants. No worker ever locks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use super::account::Office;
use super::challenge::{Challenges, Kind};
use super::demand::Demand;
use super::dns::{self, Dns};
use super::failure::{Failure, FailureKind};
use super::holding::{Holding, Task};
use super::permit::Terms;
use super::placeholder::placeholder;
use super::renewal::Advice;
use super::store::{Store, kept};
use super::{Issuer, KeyType};
use crate::tls::storage::Storage;
use crate::tls::{Certificate, Name, Slot, Trouble};

/// What a configuration wants.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Who is asked, in this order.
    pub issuers: Vec<Issuer>,
    pub storage: Storage,
    pub names: BTreeSet<Box<str>>,
    /// What the authority can be shown, best first. For a wildcard it is always dns-01.
    pub kinds: Vec<Kind>,
    /// Who changes the zone, if anybody.
    pub dns: Option<dns::Settings>,
    pub key: KeyType,
    /// For names that are not named, each below a wildcard or any.
    pub demand: Vec<(Option<Name>, Terms)>,
    /// Names that are asked for in one order, if that does.
    pub together: Vec<BTreeSet<Box<str>>>,
}

impl Wishes {
    /// What is kept of each authority.
    #[must_use]
    pub fn stores(&self) -> Stores {
        self.issuers.iter().map(|issuer| Store::of(&self.storage, &issuer.directory)).collect()
    }
}

/// All names and their certificates.
#[derive(Debug, Default)]
pub struct Vault {
    pub challenges: Arc<Challenges>,
    pub demand: Demand,
    state: Mutex<State>,
    /// Somebody wants something else now.
    pub(super) changed: Notify,
    /// A certificate is shown that was not shown before.
    pub(in crate::tls) fresh: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub offices: Vec<Arc<Office>>,
    pub stores: Stores,
    kinds: Vec<Kind>,
    key: KeyType,
    dns: Option<Arc<Dns>>,
    pub holdings: BTreeMap<Key, Holding>,
    pub together: Vec<BTreeSet<Box<str>>>,
}

/// What is kept of each of the authorities, in the order in which they are asked.
pub type Stores = Arc<[Store]>;

/// A name with its authorities.
pub(super) type Key = (Stores, Box<str>);

/// What is known of a name.
#[derive(Debug, Clone)]
pub struct Status {
    pub name: Box<str>,
    /// The directory of the authority that has signed what is shown, or is asked first.
    pub directory: String,
    /// `None` while nobody would trust what is shown.
    pub certificate: Option<Arc<Certificate>>,
    pub under_way: bool,
    /// When an authority is asked next.
    pub due: OffsetDateTime,
    /// Why it did not come last time.
    pub error: Option<String>,
}

/// A name for which an authority is to be asked now.
pub(super) struct Job {
    pub task: Task,
    pub office: Arc<Office>,
    /// Which of the authorities that is.
    pub at: usize,
    pub key: Key,
    pub kinds: Vec<Kind>,
    pub dns: Option<Arc<Dns>>,
    pub key_type: KeyType,
    /// Whether an order has to succeed elsewhere first.
    pub rehearse: bool,
    pub held: Option<Arc<Certificate>>,
    /// Whether this authority has signed it.
    pub is_theirs: bool,
    /// What is in storage will not do.
    pub forced: bool,
    /// Whoever has to say yes once more.
    pub permit: Option<Arc<Terms>>,
    /// Who is asked for in the same order, or shows the certificate that is asked about; under way with it.
    pub companions: Vec<Key>,
}

impl Job {
    pub fn name(&self) -> &str {
        &self.key.1
    }
}

impl Vault {
    /// Where a name's certificate will be, and what is shown until then: what was kept, else a placeholder. A file that
    /// cannot be read is told and asked for anew: the authority has another one.
    pub fn slot(&self, stores: &Stores, name: &str) -> Result<Arc<Slot>, Trouble> {
        let (mut state, now) = (self.state(), OffsetDateTime::now_utc());
        let key = (Arc::clone(stores), name.into());
        if let Some(known) = state.holdings.get(&key) {
            return Ok(Arc::clone(&known.slot));
        }
        let kept = kept(stores, name, now);
        let slot = match &kept {
            Some((_, certificate)) => Slot::new(Arc::clone(certificate.key())),
            None => Slot::new(placeholder(name)?),
        };
        state.holdings.insert(key, Holding::new(Arc::clone(&slot), kept, stores.len(), now));
        Ok(slot)
    }

    /// Says what is wanted from now on. What is wanted no more is forgotten here, and stays in storage.
    pub fn want(&self, wishes: &Wishes) {
        self.challenges.elsewhere.look_in(&wishes.storage);
        let mut state = self.state();
        let stores = wishes.stores();
        let known = |issuer: &Issuer, store: &Store| {
            let same = |office: &&Arc<Office>| office.issuer == *issuer && office.store == *store;
            state.offices.iter().find(same).cloned()
        };
        let open = |(issuer, store): (&Issuer, &Store)| {
            known(issuer, store).unwrap_or_else(|| Arc::new(Office::new(issuer.clone(), &wishes.storage)))
        };
        let offices: Vec<Arc<Office>> = wishes.issuers.iter().zip(&*stores).map(open).collect();
        let unchanged = offices.len() == state.offices.len()
            && offices.iter().zip(&state.offices).all(|(new, old)| Arc::ptr_eq(new, old));
        let same_zone = state.dns.as_ref().map(|known| known.settings()) == wishes.dns.as_ref();
        if !same_zone {
            state.dns = wishes.dns.as_ref().map(|settings| Arc::new(Dns::new(settings)));
        }
        if !unchanged || !same_zone || state.kinds != wishes.kinds {
            // Whoever was asked in vain is not the one who is asked now, or is shown something else.
            state.holdings.values_mut().for_each(Holding::forgive);
        }
        state.offices = offices;
        state.kinds.clone_from(&wishes.kinds);
        state.key = wishes.key;
        state.together.clone_from(&wishes.together);
        self.demand.settle_terms(&wishes.demand);
        state.holdings.retain(|(at, name), holding| {
            let named = wishes.names.contains(name);
            holding.on_demand &= !named && self.demand.terms(name).is_some();
            holding.wanted = *at == stores && (named || (holding.on_demand && holding.wanted));
            *at == stores && (named || holding.on_demand)
        });
        self.demand.forget(|name| !state.holdings.contains_key(&(Arc::clone(&stores), name.into())));
        state.stores = stores;
        drop(state);
        self.changed.notify_one();
    }

    /// In the order of the names.
    pub fn report(&self) -> Vec<Status> {
        let state = self.state();
        let names: Vec<&str> = state.offices.iter().map(|office| office.issuer.host()).collect();
        let status = |((_, name), holding): (&Key, &Holding)| Status {
            name: name.clone(),
            directory: state.offices.get(holding.from).map_or(String::new(), |office| office.issuer.directory.clone()),
            certificate: holding.certificate.clone(),
            under_way: holding.busy == Some(Task::Order),
            due: holding.due(),
            error: holding.error(&names),
        };
        state.holdings.iter().filter(|(_, holding)| holding.wanted).map(status).collect()
    }

    /// The storage, if other instances have it, too.
    pub(super) fn shared(&self) -> Option<Storage> {
        let state = self.state();
        let storage = state.stores.first()?.storage();
        storage.is_shared().then(|| storage.clone())
    }

    /// The certificates that are shown, where they are.
    pub fn shown(&self) -> Vec<(Arc<Slot>, Arc<Certificate>)> {
        let state = self.state();
        let held = state.holdings.values().filter(|holding| holding.wanted);
        held.filter_map(|holding| Some((Arc::clone(&holding.slot), Arc::clone(holding.certificate.as_ref()?))))
            .collect()
    }

    /// What is wanted and not under way, and what there is of it.
    pub(super) fn held(&self) -> Vec<(Key, Option<Arc<Certificate>>)> {
        let state = self.state();
        let wanted = state.holdings.iter().filter(|(_, holding)| holding.wanted && holding.busy.is_none());
        wanted.map(|(key, holding)| (key.clone(), holding.certificate.clone())).collect()
    }

    /// Shows what another instance got, from the authority `from`.
    pub(super) fn adopt(&self, key: &Key, from: usize, certificate: Arc<Certificate>) {
        if let Some(holding) = self.state().holdings.get_mut(key) {
            holding.gained(from, certificate, None, OffsetDateTime::now_utc());
        }
        self.fresh.notify_one();
        self.changed.notify_one();
    }

    /// What failed while the storage was away is tried now.
    pub(super) fn storage_is_back(&self) {
        let now = OffsetDateTime::now_utc();
        self.state().holdings.values_mut().for_each(|holding| holding.wait_no_more(now));
        self.changed.notify_one();
    }

    /// The next name whose time has come, if any; it is under way until [`Vault::finish`] or [`Vault::advise`].
    pub(super) fn next(&self, now: OffsetDateTime) -> Option<Job> {
        let state = &mut *self.state();
        let due = state.holdings.iter_mut().filter_map(|(key, holding)| {
            let (task, at) = holding.task(now)?;
            Some((task, at, key, holding))
        });
        // Who has no certificate at all comes before who wants another one, and both before those who only ask.
        let (task, at, key, holding) = due
            .min_by_key(|(task, _, _, holding)| (*task == Task::Look, holding.certificate.is_some(), holding.next()))?;
        let office = Arc::clone(state.offices.get(at)?);
        holding.busy = Some(task);
        let (key, held, from, forced) = (key.clone(), holding.certificate.clone(), holding.from, holding.forced);
        let (kind, rehearse, on_demand) =
            (holding.kind, holding.tries.get(at).is_some_and(|attempt| attempt.rehearse), holding.on_demand);
        let companions = match task {
            Task::Order => state.companions(&key, at, now),
            Task::Look => held.as_deref().map_or_else(Vec::new, |held| state.sharers(&key, held)),
        };
        // Below a wildcard there may be any number of machines: its zone alone speaks for it (RFC 8555, section 8.3).
        let mut kinds = if key.1.starts_with("*.") { vec![Kind::Dns01] } else { state.kinds.clone() };
        // What worked is tried first.
        kinds.sort_by_key(|known| Some(*known) != kind);
        Some(Job {
            task,
            office,
            at,
            kinds,
            dns: state.dns.clone(),
            key_type: state.key,
            rehearse,
            is_theirs: from == at,
            forced,
            permit: self.demand.terms(&key.1).filter(|_| on_demand && held.is_some()),
            held,
            key,
            companions,
        })
    }

    /// How long until there is something to do.
    pub(super) fn pause(&self, now: OffsetDateTime) -> Option<Duration> {
        let state = self.state();
        let waiting = state.holdings.values().filter(|holding| holding.wanted && holding.busy.is_none());
        let next = waiting.map(Holding::next).min()?;
        Some(Duration::try_from(next - now).unwrap_or_default())
    }

    /// What became of a name, and with it of those `others` that it had along. Gives how long it is left alone.
    pub(super) fn finish(
        &self,
        job: &Job,
        others: &[Key],
        outcome: Result<(Arc<Certificate>, Option<Kind>), Failure>,
    ) -> Duration {
        let now = OffsetDateTime::now_utc();
        let mut state = self.state();
        state.set_free(job);
        if matches!(&outcome, Err(failure) if failure.kind == FailureKind::Unwanted) {
            state.holdings.remove(&job.key);
            self.demand.forget(|name| *name == *job.key.1);
            return Duration::ZERO;
        }
        match outcome {
            Ok((certificate, kind)) => {
                for key in std::iter::once(&job.key).chain(others) {
                    if let Some(holding) = state.holdings.get_mut(key) {
                        holding.gained(job.at, Arc::clone(&certificate), kind, now);
                    }
                }
                state.holdings.values_mut().for_each(|other| other.find_way(job.at, now));
                self.fresh.notify_one();
            }
            Err(failure) => {
                let is_away = failure.kind == FailureKind::Unreached;
                let Some(holding) = state.holdings.get_mut(&job.key) else { return Duration::ZERO };
                holding.failed(job.at, failure, job.office.rehearsal.is_some(), now);
                let Some(attempt) = holding.tries.get(job.at).cloned() else { return Duration::ZERO };
                for key in others {
                    if let Some(holding) = state.holdings.get_mut(key) {
                        holding.failed_with(job.at, &attempt, now);
                    }
                }
                if is_away {
                    state.holdings.values_mut().for_each(|other| other.lose_way(job.at, &attempt, now));
                }
            }
        }
        let due = state.holdings.get(&job.key).map_or(now, Holding::due);
        Duration::try_from(due - now).unwrap_or_default()
    }

    /// What its authority says of a certificate, to all names that still show it. Gives when it is renewed.
    pub(super) fn advise(&self, job: &Job, outcome: &Result<Advice, Failure>) -> Option<OffsetDateTime> {
        let (mut state, now) = (self.state(), OffsetDateTime::now_utc());
        state.set_free(job);
        for key in std::iter::once(&job.key).chain(&job.companions) {
            if let Some(holding) = state.holdings.get_mut(key)
                && job.held.as_deref().is_some_and(|held| holding.shows(held))
            {
                holding.advised(outcome, now);
            }
        }
        state.holdings.get(&job.key).map(Holding::due)
    }

    /// A panic leaves nothing half done here: each change is a few assignments.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("names", &self.holdings.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
