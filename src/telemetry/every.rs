//! Keeps a line that could come with every request from filling the runtime log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Lets one through in each interval, and counts the others. One stands as a `static` at each place that logs:
///
/// ```
/// # use proxyfile::telemetry::every::Every;
/// static REFUSED: Every = Every::second();
/// if let Some(suppressed) = REFUSED.pass() {
///     tracing::warn!(suppressed, "upstream refused the connection");
/// }
/// ```
#[derive(Debug)]
pub struct Every {
    millis: u64,
    /// Milliseconds since [`start`] before which nothing passes.
    closed_until: AtomicU64,
    suppressed: AtomicU64,
}

impl Every {
    pub const fn second() -> Self {
        Self::millis(1000)
    }

    pub const fn millis(millis: u64) -> Self {
        Self { millis, closed_until: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether to speak now, and how many were kept silent since the last time.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(start().elapsed())
    }

    fn pass_at(&self, since: Duration) -> Option<u64> {
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let closed = self.closed_until.load(Relaxed);
        let open = closed.max(now.saturating_add(self.millis));
        // Of several threads that come at once, one wins the exchange.
        if now < closed || self.closed_until.compare_exchange(closed, open, Relaxed, Relaxed).is_err() {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Relaxed))
    }
}

/// Some moment in the life of this process; the monotonic clock can only tell differences.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_each_interval_and_the_rest_counted() {
        let every = Every::second();
        let answers: Vec<_> =
            [0, 1, 999, 1000, 1500, 2000, 9000].map(Duration::from_millis).map(|at| every.pass_at(at)).into();
        assert_eq!(answers, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }

    #[test]
    fn of_many_threads_one_passes() {
        static EVERY: Every = Every::millis(u64::MAX);
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).filter_map(|_| EVERY.pass()).collect::<Vec<u64>>()))
            .collect();
        let passed: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(passed.len(), 1);
        // Who loses against the one that passes may be counted before that one looks.
        assert_eq!(passed[0] + EVERY.suppressed.load(Relaxed), 3999);
    }
}
