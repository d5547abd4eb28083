//! How fast requests may come: the generic cell rate algorithm, in whole nanoseconds.
//!
//! A key's state is one number: when its allowance will be whole again. A request puts that off by one interval, and
//! is refused if it would then lie further ahead than the allowance reaches.

use std::time::Duration;

use crate::check::value::Rate;
use crate::http::exchange::Allowance;

/// Nanoseconds since a table began.
pub(super) type Moment = u64;

/// A hundred years. Two of them and a moment fit into a [`Moment`].
const LONGEST: u64 = 100 * 365 * 86_400 * 1_000_000_000;

/// Below a microsecond, rounding the interval to nanoseconds would show.
const SHORTEST: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Between two requests that come evenly, rounded down: who keeps to the rate is never refused.
    interval: u64,
    /// How far ahead of an even pace a key may be.
    slack: u64,
}

/// Why a rate can't be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unkept {
    TooFast,
    TooLong,
}

impl Pace {
    /// With `burst`, so many may come at once beyond the one that is due. Without it, a window's worth may.
    pub fn new(rate: Rate, burst: Option<u32>) -> Result<Self, Unkept> {
        let window = u64::try_from(rate.window.as_nanos()).map_err(|_| Unkept::TooLong)?;
        let interval = window / u64::from(rate.events);
        let ahead = burst.unwrap_or(rate.events - 1);
        let slack = interval.checked_mul(u64::from(ahead)).ok_or(Unkept::TooLong)?;
        if interval < SHORTEST {
            return Err(Unkept::TooFast);
        }
        if interval.max(slack) > LONGEST {
            return Err(Unkept::TooLong);
        }
        Ok(Self { interval, slack })
    }

    /// The state after a request at `now`, if it passes, and what there is to tell.
    pub fn judge(&self, whole_at: Moment, now: Moment) -> (Option<Moment>, Allowance) {
        let from = whole_at.max(now);
        let ahead = from - now;
        if ahead > self.slack {
            let wait = Duration::from_nanos(ahead - self.slack);
            return (None, Allowance { left: 0, wait, whole: Duration::from_nanos(ahead) });
        }
        let next = from + self.interval;
        let left = (self.slack - ahead) / self.interval;
        let whole = Duration::from_nanos(next - now);
        (Some(next), Allowance { left, wait: Duration::ZERO, whole })
    }

    /// Whatever keeps this pace keeps the other, too.
    ///
    /// What has passed here has `k` intervals between its first and its last of `k + 1` requests, less the slack, and no
    /// less than nothing; it passes there if that is never less than the same sum with the other's numbers. In `k` the
    /// one grows by nothing up to where its slack is used up, and evenly from there, so the two `k` around that place
    /// decide, where the interval is no shorter than the other's.
    pub fn is_within(&self, other: &Self) -> bool {
        let used_up = u128::from(self.slack / self.interval);
        let [interval, slack, others, other_slack] =
            [self.interval, self.slack, other.interval, other.slack].map(u128::from);
        interval >= others
            && used_up * others <= other_slack
            && (used_up + 1) * others + slack <= (used_up + 1) * interval + other_slack
    }

    /// Requests that may come at once, where none has come for long.
    pub fn quota(&self) -> u64 {
        self.slack / self.interval + 1
    }

    /// The time in which a whole allowance comes back.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.slack + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::Value;

    const SECOND: u64 = 1_000_000_000;

    fn pace(rate: &str, burst: Option<u32>) -> Pace {
        Pace::new(Rate::parse(rate).unwrap(), burst).unwrap()
    }

    /// How many of the requests at these moments pass.
    fn pass(pace: Pace, at: impl IntoIterator<Item = Moment>) -> usize {
        let mut state = 0;
        at.into_iter()
            .filter(|now| {
                let (next, _) = pace.judge(state, *now);
                state = next.unwrap_or(state);
                next.is_some()
            })
            .count()
    }

    #[test]
    fn s01_a_burst_of_20_lets_21_pass_at_once() {
        let pace = pace("10/s", Some(20));
        assert_eq!(pass(pace, std::iter::repeat_n(5 * SECOND, 1000)), 21);
        // A flood of one second: those, and what came due meanwhile.
        assert_eq!(pass(pace, (0..1000).map(|ms| SECOND + ms * 1_000_000)), 30);
    }

    #[test]
    fn s02_three_beyond_the_one_that_is_due() {
        assert_eq!(pass(pace("1/s", Some(3)), std::iter::repeat_n(0, 10)), 4);
        assert_eq!(pass(pace("1/s", Some(0)), [0, SECOND - 1, SECOND, 2 * SECOND]), 3);
    }

    #[test]
    fn s03_a_window_without_a_burst_holds_its_number() {
        let pace = pace("100/m", None);
        assert_eq!(pass(pace, std::iter::repeat_n(SECOND, 101)), 100);
        assert_eq!((pace.quota(), pace.window()), (100, Duration::from_mins(1)));
    }

    #[test]
    fn the_edge_is_exact() {
        let pace = pace("10/s", None);
        let (mut state, mut now) = (0, 7 * SECOND);
        for left in (0..10).rev() {
            let (next, allowance) = pace.judge(state, now);
            assert_eq!(allowance.left, left);
            state = next.unwrap();
        }
        let (refused, allowance) = pace.judge(state, now);
        assert_eq!((refused, allowance.wait), (None, Duration::from_millis(100)));
        assert_eq!(allowance.whole, Duration::from_secs(1));
        now += 99_999_999;
        assert_eq!(pace.judge(state, now).1.wait, Duration::from_nanos(1));
        assert!(pace.judge(state, now + 1).0.is_some());
    }

    #[test]
    fn s04_windows_of_any_length() {
        assert_eq!(pass(pace("100/90s", None), std::iter::repeat_n(0, 200)), 100);
        assert_eq!(
            pass(pace("7/s", None), (0..70).map(|n| n * SECOND / 7)),
            70,
            "who keeps to the rate is not refused"
        );
        assert_eq!(pass(pace("1/d", None), [0, 0, 86_400 * SECOND - 1, 86_400 * SECOND]), 2);
    }

    #[test]
    fn what_can_not_be_kept_is_refused_when_it_is_read() {
        let read = |rate: &str, burst| Pace::new(Rate::parse(rate).unwrap(), burst);
        assert_eq!(read("2000000/s", None), Err(Unkept::TooFast));
        assert_eq!(read("1/d", Some(40_000)), Err(Unkept::TooLong));
        assert_eq!(read("1/36500d", Some(u32::MAX)), Err(Unkept::TooLong));
        assert!(read("1000000/s", Some(1_000_000)).is_ok());
    }

    #[test]
    fn no_moment_overflows() {
        let pace = pace("1/36500d", Some(1));
        let late = 200 * 365 * 86_400 * SECOND;
        assert_eq!(pass(pace, [late, late, late]), 2);
    }

    fn within(a: (&str, Option<u32>), b: (&str, Option<u32>)) -> bool {
        pace(a.0, a.1).is_within(&pace(b.0, b.1))
    }

    #[test]
    fn a_pace_within_another() {
        assert!(within(("1/s", Some(0)), ("100/m", None)));
        assert!(within(("10/s", None), ("10/s", None)));
        assert!(within(("10/s", None), ("20/s", Some(10))), "its slack is shorter, but so is its interval");
        assert!(!within(("10/s", None), ("20/s", Some(5))), "it lets more through at once");
        assert!(!within(("10/s", None), ("1000/h", None)), "it lets more through in an hour");
        assert!(!within(("1000/h", None), ("10/s", None)), "it lets more through at once");
    }

    proptest! {
        /// Whatever comes when: what has passed the one passes the other.
        #[test]
        fn what_is_within_is_never_refused(
            (events, window) in (1_u32..20, 1_u64..20), burst in proptest::option::of(0_u32..20),
            (events2, window2) in (1_u32..20, 1_u64..20), burst2 in proptest::option::of(0_u32..20),
            gaps in proptest::collection::vec(prop_oneof![Just(0), 0_u64..3_000_000_000], 1..80),
        ) {
            let first = Pace::new(Rate { events, window: Duration::from_secs(window) }, burst).unwrap();
            let second = Pace::new(Rate { events: events2, window: Duration::from_secs(window2) }, burst2).unwrap();
            let (mut state, mut below, mut now, mut refused) = (0, 0, 0, false);
            for gap in gaps {
                now += gap;
                let (Some(next), _) = first.judge(state, now) else { continue };
                state = next;
                match second.judge(below, now).0 {
                    Some(next) => below = next,
                    None => refused = true,
                }
            }
            prop_assert!(!(refused && first.is_within(&second)));
        }

        /// Whatever comes when: no span of time sees more than the quota and what came due in it.
        #[test]
        fn s01_no_span_sees_more_than_its_due(
            events in 1_u32..200, window in 1_u64..100, burst in proptest::option::of(0_u32..50),
            gaps in proptest::collection::vec(0_u64..3_000_000_000, 1..120),
        ) {
            let pace = Pace::new(Rate { events, window: Duration::from_secs(window) }, burst).unwrap();
            let (mut state, mut now, mut passed) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if let (Some(next), _) = pace.judge(state, now) {
                    state = next;
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let due = pace.quota() + (end - start) / pace.interval;
                    prop_assert!((last - first + 1) as u64 <= due);
                }
            }
        }
    }
}
