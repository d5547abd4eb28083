//! Whether a server is fit to be asked. Shared by all threads, by atomics alone; outlives a reload.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Failures in a row, within [`WINDOW`], that put a server out.
const FAILURES: u32 = 3;
/// Milliseconds.
const WINDOW: u64 = 10_000;
const FIRST_TERM: u64 = 10_000;
const LONGEST_TERM: u64 = 300_000;

/// Races between threads cost a failure counted twice or not at all, never more.
#[derive(Debug, Default)]
pub struct Health {
    /// In a row.
    failures: AtomicU32,
    /// When the first of them happened.
    since: AtomicU64,
    /// 0: not out.
    out_until: AtomicU64,
    /// Terms served in a row; each is twice as long as the one before.
    terms: AtomicU32,
    /// From when on a success shows that the server has recovered for good.
    proven_from: AtomicU64,
    /// As active checks see it.
    down: AtomicBool,
}

impl Health {
    /// As active checks see it; they outrank what requests met with.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Relaxed);
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Put out by what requests met with.
    pub fn is_ejected(&self) -> bool {
        self.is_ejected_at(now)
    }

    /// A request was answered, whatever the answer.
    pub(super) fn succeeded(&self) {
        // Loads are free to share between cores, stores are not.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.terms.load(Relaxed) != 0 && now() >= self.proven_from.load(Relaxed) {
            self.terms.store(0, Relaxed);
        }
    }

    /// A connection could not be made, or a request ran into a timeout. True when that puts the server out;
    /// `may_eject` is only asked then.
    pub(super) fn failed(&self, may_eject: impl FnOnce() -> bool) -> bool {
        self.failed_at(now(), may_eject)
    }

    fn is_ejected_at(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.out_until.load(Relaxed);
        if until == 0 {
            return false;
        }
        let out = now() < until;
        if !out {
            // The clock need not be asked again.
            let _ = self.out_until.compare_exchange(until, 0, Relaxed, Relaxed);
        }
        out
    }

    fn failed_at(&self, now: u64, may_eject: impl FnOnce() -> bool) -> bool {
        let failures =
            if now.saturating_sub(self.since.load(Relaxed)) > WINDOW { 0 } else { self.failures.load(Relaxed) };
        if failures == 0 {
            self.since.store(now, Relaxed);
        }
        self.failures.store(failures + 1, Relaxed);
        if failures + 1 < FAILURES || self.out_until.load(Relaxed) > now || !may_eject() {
            return false;
        }
        let terms = self.terms.fetch_add(1, Relaxed);
        let term = (FIRST_TERM << terms.min(16)).min(LONGEST_TERM);
        self.failures.store(0, Relaxed);
        self.proven_from.store(now + 2 * term, Relaxed);
        self.out_until.store(now + term, Relaxed);
        true
    }
}

/// Milliseconds since the process first asked; never 0.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX / 2) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Health, at: &[u64]) -> bool {
        at.iter().map(|at| health.failed_at(*at, || true)).last().unwrap_or(false)
    }

    #[test]
    fn three_failures_in_ten_seconds_put_a_server_out_each_time_for_longer() {
        let health = Health::default();
        assert!(!fail(&health, &[1, 2]));
        assert!(fail(&health, &[3]));
        assert!(health.is_ejected_at(|| 10_002));
        assert!(!health.is_ejected_at(|| 10_003));
        assert!(fail(&health, &[10_010, 10_011, 10_012]));
        assert!(health.is_ejected_at(|| 30_011));
        assert!(!health.is_ejected_at(|| 30_012));
        for _ in 0..10 {
            assert!(fail(&health, &[40_000, 40_001, 40_002]));
            health.out_until.store(0, Relaxed);
        }
        fail(&health, &[50_000, 50_000, 50_000]);
        assert_eq!(health.out_until.load(Relaxed), 350_000, "never longer than five minutes");
    }

    #[test]
    fn failures_far_apart_or_with_a_success_between_do_not_add_up() {
        let health = Health::default();
        assert!(!fail(&health, &[1, 2, 10_002]));
        let health = Health::default();
        assert!(!fail(&health, &[1, 2]));
        health.succeeded();
        assert!(!fail(&health, &[3, 4]));
        assert!(!health.failed_at(5, || false), "the pool has none to spare");
        assert!(!health.is_ejected_at(|| 6));
    }
}
