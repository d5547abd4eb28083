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
use super::placeholder::placeholder;
use super::store::Store;
use super::{Failure, FailureKind, Issuer};
use crate::tls::storage::Storage;
use crate::tls::{Certificate, Slot, Trouble};

/// The first pause after a failure; each one more doubles it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Once the authority has had enough: most of its limits are by the hour.
const LONG_PAUSE: Duration = Duration::from_secs(3600);

/// What a configuration wants.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub issuer: Issuer,
    pub storage: Storage,
    pub names: BTreeSet<Box<str>>,
    /// What the authority can be shown, best first.
    pub kinds: Vec<Kind>,
}

/// All names and their certificates.
#[derive(Debug, Default)]
pub struct Vault {
    pub challenges: Arc<Challenges>,
    state: Mutex<State>,
    /// Somebody wants something else now.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    office: Option<Arc<Office>>,
    kinds: Vec<Kind>,
    holdings: BTreeMap<Key, Holding>,
}

/// A name with one authority.
type Key = (Store, Box<str>);

struct Holding {
    slot: Arc<Slot>,
    /// `None` while the placeholder is shown.
    certificate: Option<Arc<Certificate>>,
    wanted: bool,
    under_way: bool,
    /// When the authority is asked next.
    due: OffsetDateTime,
    failures: u32,
    error: Option<String>,
    /// The challenge that worked last.
    kind: Option<Kind>,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub struct Status {
    pub name: Box<str>,
    /// The directory of the authority that is asked.
    pub directory: String,
    /// `None` while nobody would trust what is shown.
    pub certificate: Option<Arc<Certificate>>,
    pub under_way: bool,
    /// When the authority is asked next.
    pub due: OffsetDateTime,
    /// Why it did not come last time.
    pub error: Option<String>,
}

/// A name for which the authority is to be asked now.
pub(super) struct Job {
    pub office: Arc<Office>,
    pub name: Box<str>,
    pub kinds: Vec<Kind>,
    pub held: Option<Arc<Certificate>>,
}

impl Vault {
    /// Where a name's certificate will be, and what is shown until then: what was kept, else a placeholder. A file that
    /// cannot be read is told and asked for anew: the authority has another one.
    pub fn slot(&self, store: &Store, name: &str) -> Result<Arc<Slot>, Trouble> {
        let mut state = self.state();
        let key = (store.clone(), name.into());
        if let Some(known) = state.holdings.get(&key) {
            return Ok(Arc::clone(&known.slot));
        }
        let certificate = store.load(name).unwrap_or_else(|trouble| {
            tracing::warn!(name, error = %trouble, "a kept certificate cannot be used");
            None
        });
        let certificate = certificate.filter(|certificate| certificate.covers(name));
        let slot = match &certificate {
            Some(certificate) => Slot::new(Arc::clone(certificate.key())),
            None => Slot::new(placeholder(name)?),
        };
        let now = OffsetDateTime::now_utc();
        let due = certificate.as_ref().map_or(now, |certificate| renewal(certificate));
        let holding = Holding {
            slot: Arc::clone(&slot),
            certificate,
            wanted: false,
            under_way: false,
            due,
            failures: 0,
            error: None,
            kind: None,
        };
        state.holdings.insert(key, holding);
        Ok(slot)
    }

    /// Says what is wanted from now on. What is wanted no more is forgotten here, and stays in storage.
    pub fn want(&self, wishes: &Wishes) {
        let mut state = self.state();
        let store = Store::of(&wishes.storage, &wishes.issuer.directory);
        let known = state.office.as_ref().is_some_and(|known| known.issuer == wishes.issuer && known.store == store);
        if !known {
            state.office = Some(Arc::new(Office::new(wishes.issuer.clone(), store.clone())));
            // Whoever was asked in vain is not the one who is asked now.
            let now = OffsetDateTime::now_utc();
            state.holdings.values_mut().filter(|holding| holding.failures > 0).for_each(|holding| holding.due = now);
        }
        state.kinds.clone_from(&wishes.kinds);
        state.holdings.retain(|(at, name), holding| {
            holding.wanted = *at == store && wishes.names.contains(name);
            holding.wanted
        });
        drop(state);
        self.changed.notify_one();
    }

    /// In the order of the names.
    pub fn report(&self) -> Vec<Status> {
        let state = self.state();
        let directory = state.office.as_ref().map_or(String::new(), |office| office.issuer.directory.clone());
        let status = |((_, name), holding): (&Key, &Holding)| Status {
            name: name.clone(),
            directory: directory.clone(),
            certificate: holding.certificate.clone(),
            under_way: holding.under_way,
            due: holding.due,
            error: holding.error.clone(),
        };
        state.holdings.iter().filter(|(_, holding)| holding.wanted).map(status).collect()
    }

    /// The next name whose time has come, if any; it is under way until [`Vault::finish`].
    pub(super) fn next(&self, now: OffsetDateTime) -> Option<Job> {
        let state = &mut *self.state();
        let office = state.office.as_ref()?;
        let is_due = |holding: &Holding| holding.wanted && !holding.under_way && holding.due <= now;
        let due = state.holdings.iter_mut().filter(|(_, holding)| is_due(holding));
        let ((_, name), holding) = due.min_by_key(|(_, holding)| holding.due)?;
        holding.under_way = true;
        let mut kinds = state.kinds.clone();
        // What worked is tried first.
        kinds.sort_by_key(|kind| Some(*kind) != holding.kind);
        Some(Job { office: Arc::clone(office), name: name.clone(), kinds, held: holding.certificate.clone() })
    }

    /// How long until there is something to do.
    pub(super) fn pause(&self, now: OffsetDateTime) -> Option<Duration> {
        let state = self.state();
        let waiting = state.holdings.values().filter(|holding| holding.wanted && !holding.under_way);
        let next = waiting.map(|holding| holding.due).min()?;
        Some(Duration::try_from(next - now).unwrap_or_default())
    }

    /// What became of a name. Gives how long it is left alone.
    pub(super) fn finish(&self, job: &Job, outcome: Result<(Arc<Certificate>, Option<Kind>), Failure>) -> Duration {
        let now = OffsetDateTime::now_utc();
        let mut state = self.state();
        let Some(holding) = state.holdings.get_mut(&(job.office.store.clone(), job.name.clone())) else {
            return Duration::ZERO;
        };
        holding.under_way = false;
        match outcome {
            Ok((certificate, kind)) => {
                holding.slot.put(Arc::clone(certificate.key()));
                // One that is renewed at once would be renewed for ever.
                holding.due = renewal(&certificate).max(now + SHORTEST_PAUSE);
                holding.certificate = Some(certificate);
                holding.kind = kind.or(holding.kind);
                (holding.failures, holding.error) = (0, None);
            }
            Err(failure) => {
                holding.failures += 1;
                let pause = jitter(back_off(holding.failures, failure.kind));
                holding.due = now + pause;
                holding.error = Some(failure.reason);
            }
        }
        Duration::try_from(holding.due - now).unwrap_or_default()
    }

    /// A panic leaves nothing half done here: each change is a few assignments.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("names", &self.holdings.len()).finish_non_exhaustive()
    }
}

/// 1 min, 2 min, 4 min … 6 h.
fn back_off(failures: u32, kind: FailureKind) -> Duration {
    let pause = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE);
    if kind == FailureKind::TooMany { pause.max(LONG_PAUSE) } else { pause }
}

/// When a third of its life is left, and up to a hundredth of it later: certificates that came together should not all
/// be renewed together.
fn renewal(certificate: &Certificate) -> OffsetDateTime {
    let life = certificate.not_after() - certificate.not_before();
    certificate.renewal() + life * (fraction() / 100.0)
}

/// Up to a tenth more or less.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + fraction() / 5.0)
}

/// From 0 to 1. Without random bytes there is no TLS either; then all come at once.
fn fraction() -> f64 {
    let mut random = [0; 4];
    let _ = aws_lc_rs::rand::fill(&mut random);
    f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;
    use crate::tls::storage::wait;

    fn wishes(scratch: &Scratch, names: &[&str]) -> Wishes {
        Wishes {
            issuer: Issuer { directory: "https://ca.test/dir".to_owned(), ..Issuer::default() },
            storage: scratch.storage(),
            names: names.iter().map(|name| (*name).into()).collect(),
            kinds: vec![Kind::Http01, Kind::TlsAlpn01],
        }
    }

    fn store(scratch: &Scratch) -> Store {
        Store::of(&scratch.storage(), "https://ca.test/dir")
    }

    fn certificate(world: &World, name: &str) -> Arc<Certificate> {
        let signed = world.sign(&[name]);
        Arc::new(Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap())
    }

    #[test]
    fn what_was_kept_is_shown_and_not_asked_for() {
        let (scratch, world) = (Scratch::new(), World::new());
        let signed = world.sign(&["a.test"]);
        wait(store(&scratch).save(None, "a.test", &signed.key, &signed.chain)).unwrap();
        let vault = Vault::default();
        for name in ["a.test", "b.test"] {
            vault.slot(&store(&scratch), name).unwrap();
        }
        vault.want(&wishes(&scratch, &["a.test", "b.test"]));
        let now = OffsetDateTime::now_utc();
        assert_eq!(&*vault.next(now).unwrap().name, "b.test");
        assert!(vault.next(now).is_none());
        let report = vault.report();
        assert!(report[0].certificate.is_some() && !report[0].under_way);
        assert!(report[1].certificate.is_none() && report[1].under_way);
    }

    #[test]
    fn a_failure_is_waited_out_and_told() {
        let (scratch, world) = (Scratch::new(), World::new());
        let vault = Vault::default();
        vault.slot(&store(&scratch), "a.test").unwrap();
        vault.want(&wishes(&scratch, &["a.test"]));
        let now = OffsetDateTime::now_utc();
        let job = vault.next(now).unwrap();
        let pause = vault.finish(&job, Err(Failure::other("no")));
        assert!((50..70).contains(&pause.as_secs()), "{pause:?}");
        assert!(vault.next(now).is_none());
        assert_eq!(vault.report()[0].error.as_deref(), Some("no"));
        let job = vault.next(now + Duration::from_secs(70)).unwrap();
        let kept = certificate(&world, "a.test");
        vault.finish(&job, Ok((kept.clone(), Some(Kind::TlsAlpn01))));
        let status = &vault.report()[0];
        assert_eq!((status.error.as_deref(), status.due >= kept.renewal()), (None, true));
        let job = vault.next(status.due).unwrap();
        assert_eq!(job.kinds, [Kind::TlsAlpn01, Kind::Http01], "what worked comes first");
    }

    #[test]
    fn a_name_that_goes_is_left_alone_and_one_that_stays_keeps_its_slot() {
        let scratch = Scratch::new();
        let vault = Vault::default();
        let [a, b] = ["a.test", "b.test"].map(|name| vault.slot(&store(&scratch), name).unwrap());
        vault.want(&wishes(&scratch, &["a.test", "b.test"]));
        vault.want(&wishes(&scratch, &["b.test"]));
        let now = OffsetDateTime::now_utc();
        assert_eq!(&*vault.next(now).unwrap().name, "b.test");
        assert!(vault.next(now).is_none());
        assert!(Arc::ptr_eq(&vault.slot(&store(&scratch), "b.test").unwrap(), &b));
        assert!(!Arc::ptr_eq(&vault.slot(&store(&scratch), "a.test").unwrap(), &a));
    }

    #[test]
    fn pauses_double_up_to_six_hours() {
        let seconds = |failures, kind| back_off(failures, kind).as_secs();
        let other = FailureKind::Other;
        assert_eq!([1, 2, 3].map(|failures| seconds(failures, other)), [60, 120, 240]);
        assert_eq!([9, 10, 99].map(|failures| seconds(failures, other)), [15360, 21600, 21600]);
        assert_eq!(seconds(1, FailureKind::TooMany), 3600);
    }
}
