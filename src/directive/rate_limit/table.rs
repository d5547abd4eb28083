//! The keys that a limit knows: bounded, shared by all workers, and grown as keys come.
//!
//! A key is kept as a hash under a secret of this table's own, so neither what it was nor which other keys fall beside
//! it can be told from outside (threat XL09). The hash names a set of seven places. A key that is known is served
//! without a lock, so a flood of one key costs the others nothing. A new key takes, under the lock of its set, the
//! place whose allowance is whole the soonest: an empty one, an idle one, or the one that loses least by being forgotten.

use std::hash::{BuildHasher, DefaultHasher, Hasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use super::pace::{Moment, Pace};
use crate::http::exchange::Allowance;

/// Seven places of 16 bytes and the lock fill two cache lines.
const PLACES: usize = 7;

/// Sets that come into being together: a page of memory.
const TOGETHER: u64 = 32;

/// Which key it is. Never 0, which is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u64);

/// What one limit knows of all its keys.
pub(super) struct Table {
    secret: RandomState,
    born: Instant,
    sets: u64,
    /// Made for the first key: of ten thousand limits, most may never see one, and their pages' places alone would take a
    /// gigabyte.
    pages: OnceLock<Box<[Page]>>,
}

/// [`TOGETHER`] sets, once a key falls into one of them.
type Page = OnceLock<Box<[Set]>>;

#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// Held while a place is given to another key.
    locked: AtomicBool,
    places: [Place; PLACES],
}

#[derive(Default)]
struct Place {
    tag: AtomicU64,
    whole_at: AtomicU64,
}

impl Table {
    /// Room for about so many keys: 18 bytes each, once it is full.
    pub fn new(keys: u32) -> Self {
        let sets = u64::from(keys).div_ceil(PLACES as u64).max(1);
        Self { secret: RandomState::new(), born: Instant::now(), sets, pages: OnceLock::new() }
    }

    pub fn tag(&self, write: impl FnOnce(&mut DefaultHasher)) -> Tag {
        let mut hasher = self.secret.build_hasher();
        write(&mut hasher);
        Tag(hasher.finish().max(1))
    }

    /// Lets one request of this key pass, or says how long it must wait.
    pub fn take(&self, tag: Tag, at: Instant, pace: &Pace) -> Allowance {
        // More than five hundred years would not fit.
        let now = u64::try_from(at.saturating_duration_since(self.born).as_nanos()).unwrap_or(u64::MAX >> 1);
        let set = self.set(tag);
        loop {
            let told = match set.find(tag) {
                Some(known) => known.take(tag, now, pace),
                None => set.enter(tag, now, pace),
            };
            if let Some(allowance) = told {
                return allowance;
            }
        }
    }

    fn set(&self, tag: Tag) -> &Set {
        // The upper half of the product: as even as a remainder, without the division.
        let at = u64::try_from((u128::from(tag.0) * u128::from(self.sets)) >> 64).unwrap_or(0);
        let index = |at: u64| usize::try_from(at).unwrap_or(0);
        let pages = self
            .pages
            .get_or_init(|| std::iter::repeat_with(Page::new).take(index(self.sets.div_ceil(TOGETHER))).collect());
        let page = pages[index(at / TOGETHER)]
            .get_or_init(|| std::iter::repeat_with(Set::default).take(index(TOGETHER)).collect());
        &page[index(at % TOGETHER)]
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} sets)", self.sets)
    }
}

impl Set {
    fn find(&self, tag: Tag) -> Option<&Place> {
        self.places.iter().find(|place| place.tag.load(Acquire) == tag.0)
    }

    /// Gives a new key a place. `None`: another worker has just done it.
    fn enter(&self, tag: Tag, now: Moment, pace: &Pace) -> Option<Allowance> {
        let _held = self.lock();
        if self.find(tag).is_some() {
            return None;
        }
        let chosen = self.places.iter().min_by_key(|each| each.whole_at.load(Acquire))?;
        let (next, allowance) = pace.judge(0, now);
        // In this order: whoever still serves the former key finds it gone before it can see the new one's state.
        chosen.tag.store(0, Release);
        chosen.whole_at.store(next?, Release);
        chosen.tag.store(tag.0, Release);
        Some(allowance)
    }

    fn lock(&self) -> Held<'_> {
        let mut tries = 0_u32;
        while self.locked.swap(true, Acquire) {
            tries += 1;
            // It is held for some dozens of instructions, unless its holder has lost its core.
            if tries.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        Held(&self.locked)
    }
}

struct Held<'s>(&'s AtomicBool);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

impl Place {
    /// `None`: the place belongs to another key by now.
    fn take(&self, tag: Tag, now: Moment, pace: &Pace) -> Option<Allowance> {
        let mut whole_at = self.whole_at.load(Acquire);
        loop {
            // Asked after the state was read, so that the state is this key's. Where the key leaves between this and
            // the exchange, the exchange finds another state and fails, or its outcome leaves with the key.
            if self.tag.load(Acquire) != tag.0 {
                return None;
            }
            let (next, allowance) = pace.judge(whole_at, now);
            let Some(next) = next else { return Some(allowance) };
            match self.whole_at.compare_exchange_weak(whole_at, next, AcqRel, Acquire) {
                Ok(_) => return Some(allowance),
                Err(seen) => whole_at = seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;
    use crate::check::Value;
    use crate::check::value::Rate;

    fn pace(rate: &str, burst: u32) -> Pace {
        Pace::new(Rate::parse(rate).unwrap(), Some(burst)).unwrap()
    }

    fn tag(table: &Table, key: u64) -> Tag {
        table.tag(|hasher| hasher.write_u64(key))
    }

    fn passes(table: &Table, key: u64, at: Instant, pace: &Pace) -> bool {
        table.take(tag(table, key), at, pace).wait.is_zero()
    }

    #[test]
    fn a_set_fills_two_cache_lines() {
        assert_eq!(size_of::<Set>(), 128);
    }

    #[test]
    fn s03_keys_do_not_share() {
        let (table, pace) = (Table::new(100_000), pace("1/m", 2));
        let now = Instant::now();
        for key in 0..10_000 {
            let passed = (0..5).filter(|_| passes(&table, key, now, &pace)).count();
            assert_eq!(passed, 3, "key {key}");
        }
    }

    #[test]
    fn time_gives_back_one_by_one() {
        let (table, pace) = (Table::new(10), pace("1/s", 0));
        let start = table.born + Duration::from_secs(5);
        assert!(passes(&table, 1, start, &pace));
        assert!(!passes(&table, 1, start + Duration::from_nanos(999_999_999), &pace));
        assert!(passes(&table, 1, start + Duration::from_secs(1), &pace));
        // A request that began before the table did, as one may after a reload.
        let before = table.born.checked_sub(Duration::from_millis(1)).unwrap_or(table.born);
        assert!(passes(&table, 2, before, &pace));
    }

    #[test]
    fn xl10_a_flood_of_keys_is_bounded_and_forgets_who_loses_least() {
        let (table, pace) = (Table::new(7), pace("1/m", 3));
        assert_eq!(table.sets, 1);
        let now = table.born + Duration::from_secs(1);
        for _ in 0..4 {
            assert!(passes(&table, 1, now, &pace));
        }
        assert!(!passes(&table, 1, now, &pace));
        for key in 2..10_000 {
            assert!(passes(&table, key, now, &pace));
        }
        // The key that is refused is the last to be forgotten.
        assert!(!passes(&table, 1, now, &pace));
    }

    #[test]
    fn memory_comes_with_the_keys() {
        let (table, pace) = (Table::new(1_000_000), pace("1/m", 3));
        let pages = |table: &Table| table.pages.get().unwrap().iter().filter(|page| page.get().is_some()).count();
        assert!(table.pages.get().is_none());
        for _ in 0..100 {
            passes(&table, 1, Instant::now(), &pace);
        }
        assert_eq!(pages(&table), 1);
        assert!(table.pages.get().unwrap().len() * 4096 < 20_000_000);
    }

    #[test]
    fn s01_many_workers_let_pass_as_many_as_one() {
        const WORKERS: u64 = 8;
        for round in 0..20 {
            // One set, which other keys fight for meanwhile.
            let (table, pace, start) =
                (Table::new(7), pace("1/h", 499), Barrier::new(usize::try_from(WORKERS).unwrap()));
            let now = table.born + Duration::from_secs(1);
            let passed: usize = std::thread::scope(|scope| {
                let worker = |id: u64| {
                    let (table, pace, start) = (&table, &pace, &start);
                    scope.spawn(move || {
                        start.wait();
                        (0..200_u64)
                            .filter(|n| {
                                // Others come only once the key has its place and is ahead of them.
                                if *n > 20 {
                                    passes(table, 1000 + id * 1000 + n, now, pace);
                                }
                                passes(table, 1, now, pace)
                            })
                            .count()
                    })
                };
                let workers: Vec<_> = (0..WORKERS).map(worker).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum()
            });
            assert_eq!(passed, 500, "round {round}");
        }
    }
}
