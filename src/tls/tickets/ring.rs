//! What instances share to resume each other's sessions: one secret for each period, kept in storage, from which every
//! scope derives a key of its own.
//!
//! Handshakes look at what is here and never at storage. A task follows that: a secret for the next period is made in the
//! second half of this one, so that all have it before it is used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ROTATION;
use crate::tls::hex;
use crate::tls::storage::{Lock, Storage};
use crate::tls::trouble::Trouble;

const FOLDER: &str = "tickets";
/// Between two looks at what is kept. It changes twice a day.
const LOOK: Duration = Duration::from_secs(300);
/// The same while the storage is away.
const AGAIN: Duration = Duration::from_secs(2);
/// The same while another instance makes a secret.
const SOON: Duration = Duration::from_millis(200);

/// All secrets that are in use, the newest of a period first.
pub(super) type Masters = Vec<Master>;

/// What the keys of one period are derived from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Master {
    /// Since 1970, in rotations: all machines turn at the same time, as far as their clocks agree.
    pub period: u64,
    pub secret: [u8; 32],
}

/// One for each process. Empty while nothing is shared.
#[derive(Default)]
pub struct Ring {
    masters: ArcSwap<Masters>,
    place: Mutex<Option<Storage>>,
    changed: Notify,
}

/// Whether all is there that should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    All,
    /// Another instance is about to make what is missing.
    Some,
}

impl Ring {
    /// From now on secrets are kept here; `None`: nowhere, and each process has its own keys.
    pub fn keep_in(&self, storage: Option<&Storage>) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref() != storage {
            *place = storage.cloned();
            self.hold(Vec::new());
            self.changed.notify_one();
        }
    }

    pub(super) fn masters(&self) -> Arc<Masters> {
        self.masters.load_full()
    }

    /// Puts these in place of all others. Scopes derive their keys anew only where something has changed.
    pub(super) fn hold(&self, masters: Masters) {
        if **self.masters.load() != masters {
            self.masters.store(Arc::new(masters));
        }
    }

    fn place(&self) -> Option<Storage> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what is kept, and makes what is missing. What storage does not give stays as long as it opens tickets.
    async fn follow(&self, storage: &Storage, now: u64) -> Result<Found, Trouble> {
        let period = now / ROTATION;
        let mut held = self.masters().to_vec();
        held.retain(|master| master.period + 1 >= period);
        self.hold(held.clone());
        let is_late = now % ROTATION >= ROTATION / 2;
        let mut found = Found::All;
        for (period, is_made) in [(period - 1, false), (period, true), (period + 1, is_late)] {
            let known = held.iter().find(|master| master.period == period).cloned();
            match take(storage, period, known, is_made).await? {
                Some(master) => {
                    held.retain(|known| *known != master);
                    held.insert(0, master);
                }
                None if is_made => found = Found::Some,
                None => {}
            }
        }
        // Another storage may have been named meanwhile.
        if self.place().as_ref() == Some(storage) {
            self.hold(held);
        }
        Ok(found)
    }
}

/// Follows the storage. Never ends by itself.
pub async fn share(ring: Arc<Ring>) {
    let (mut shared, mut was_away) = (None, false);
    loop {
        let mut pause = LOOK;
        if let Some(storage) = ring.place() {
            match ring.follow(&storage, UnixTime::now().as_secs()).await {
                Ok(Found::All) => {
                    if shared.as_ref() != Some(&storage) || was_away {
                        tracing::info!(storage = storage.place(), "session tickets are shared by way of storage");
                    }
                    (shared, was_away) = (Some(storage), false);
                }
                Ok(Found::Some) => pause = SOON,
                Err(trouble) => {
                    if !std::mem::replace(&mut was_away, true) {
                        tracing::warn!(%trouble, "session tickets are not shared: clients resume where they were");
                    }
                    pause = AGAIN;
                }
            }
        }
        tokio::select! {
            () = ring.changed.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// The secret of a period, made where there is none and it is wanted. `None`: there is none, or another makes it now.
async fn take(storage: &Storage, period: u64, known: Option<Master>, make: bool) -> Result<Option<Master>, Trouble> {
    if let Some(kept) = load(storage, period).await? {
        return Ok(Some(kept));
    }
    if !make {
        return Ok(None);
    }
    let Some(lock) = storage.lock(FOLDER).await? else { return Ok(None) };
    let made = put(storage, &lock, period, known).await;
    storage.release(lock).await;
    made
}

/// A storage that came up empty is given what this process has: others have it, too.
async fn put(storage: &Storage, lock: &Lock, period: u64, known: Option<Master>) -> Result<Option<Master>, Trouble> {
    if let Some(kept) = load(storage, period).await? {
        return Ok(Some(kept));
    }
    let master = known.map_or_else(|| Master::make(period), Ok)?;
    if !storage.store_under(lock, &key(period), hex(&master.secret).as_bytes()).await? {
        return Ok(None);
    }
    for old in storage.list(FOLDER).await? {
        if number(&old).is_some_and(|number| number + 1 < period.saturating_sub(1)) {
            storage.delete(&old).await?;
        }
    }
    Ok(Some(master))
}

/// What is no secret is made anew.
async fn load(storage: &Storage, period: u64) -> Result<Option<Master>, Trouble> {
    let text = storage.load_text(&key(period)).await?;
    Ok(text.and_then(|text| Some(Master { period, secret: secret(text.trim())? })))
}

fn key(period: u64) -> String {
    format!("{FOLDER}/{period}.key")
}

/// The period of a key.
fn number(key: &str) -> Option<u64> {
    key.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".key")?.parse().ok()
}

fn secret(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; 32];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(secret)
}

impl Master {
    fn make(period: u64) -> Result<Self, Trouble> {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| Trouble::Signing("no random bytes".to_owned()))?;
        Ok(Self { period, secret })
    }
}

/// Without what is secret.
impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("period", &self.period).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let periods: Vec<u64> = self.masters().iter().map(|master| master.period).collect();
        f.debug_struct("Ring").field("periods", &periods).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::storage::tests::Scratch;
    use crate::tls::storage::wait;

    const PERIOD: u64 = 41_666;
    const BEGIN: u64 = PERIOD * ROTATION;

    fn ring(storage: &Storage) -> Ring {
        let ring = Ring::default();
        ring.keep_in(Some(storage));
        ring
    }

    fn periods(ring: &Ring) -> Vec<u64> {
        let mut all: Vec<u64> = ring.masters().iter().map(|master| master.period).collect();
        all.sort_unstable();
        all
    }

    fn follow(ring: &Ring, storage: &Storage, now: u64) -> Found {
        wait(ring.follow(storage, now)).unwrap()
    }

    #[test]
    fn all_have_the_same_secrets_before_they_are_used() {
        let scratch = Scratch::new();
        let storage = scratch.storage();
        let [one, two] = [ring(&storage), ring(&storage)];
        assert_eq!(follow(&one, &storage, BEGIN), Found::All);
        assert_eq!((follow(&two, &storage, BEGIN), periods(&two)), (Found::All, vec![PERIOD]));
        assert_eq!(one.masters(), two.masters());
        follow(&two, &storage, BEGIN + ROTATION / 2);
        follow(&one, &storage, BEGIN + ROTATION / 2 + 60);
        assert_eq!((periods(&one), one.masters()), (vec![PERIOD, PERIOD + 1], two.masters()));
        // The secret before this one stays for its tickets, older ones go, from storage too.
        follow(&one, &storage, BEGIN + ROTATION);
        assert_eq!(periods(&one), [PERIOD, PERIOD + 1]);
        for turn in 2..=4 {
            follow(&one, &storage, BEGIN + turn * ROTATION);
        }
        assert_eq!(periods(&one), [PERIOD + 3, PERIOD + 4]);
        assert_eq!(wait(storage.list(FOLDER)).unwrap().len(), 3);
        let mode = std::fs::metadata(scratch.path(&key(PERIOD + 4))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_another_makes_is_waited_for_and_what_is_damaged_made_anew() {
        let scratch = Scratch::new();
        let storage = scratch.storage();
        let one = ring(&storage);
        let lock = wait(storage.lock(FOLDER)).unwrap().unwrap();
        assert_eq!((follow(&one, &storage, BEGIN), periods(&one)), (Found::Some, vec![]));
        wait(storage.release(lock));
        scratch.write(&key(PERIOD), "short");
        assert_eq!(follow(&one, &storage, BEGIN), Found::All);
        let kept = one.masters();
        // A storage that came up empty is given back what is in use.
        std::fs::remove_file(scratch.path(&key(PERIOD))).unwrap();
        follow(&one, &storage, BEGIN);
        let two = ring(&storage);
        follow(&two, &storage, BEGIN);
        assert_eq!((one.masters(), two.masters()), (kept.clone(), kept));
    }

    #[test]
    fn a_storage_that_is_away_takes_nothing() {
        let scratch = Scratch::new();
        let storage = Storage::file(scratch.write("a-file", "").join("below"));
        let one = ring(&storage);
        assert!(wait(one.follow(&storage, BEGIN)).is_err());
        one.hold(vec![Master { period: PERIOD, secret: [7; 32] }]);
        assert!(wait(one.follow(&storage, BEGIN + ROTATION)).is_err());
        assert_eq!(periods(&one), [PERIOD], "it opens tickets for another period");
        assert!(wait(one.follow(&storage, BEGIN + 2 * ROTATION)).is_err());
        assert!(periods(&one).is_empty());
        one.hold(vec![Master { period: PERIOD, secret: [7; 32] }]);
        one.keep_in(None);
        assert!(periods(&one).is_empty(), "what is shared no more is forgotten");
    }
}
