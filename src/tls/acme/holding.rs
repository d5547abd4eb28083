//! One name: what it shows, when its authorities are asked next, and which of them.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::challenge::Kind;
use super::failure::{Failure, FailureKind};
use super::renewal::{self, Advice, DAY, SIX_HOURS, fraction};
use crate::tls::{Certificate, Slot};

/// The first pause after a failure; each one more doubles it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// The same where there was no connection, which counts nowhere. A machine may start before its network, and one whose network
/// was away for days should not be without a certificate for much longer.
const SHORTEST_ABSENCE: Duration = Duration::from_secs(2);
const LONGEST_ABSENCE: Duration = Duration::from_secs(3600);
/// Once an authority has had enough and does not say for how long: most of its limits are by the hour.
const LONG_PAUSE: Duration = Duration::from_secs(3600);
/// What an authority may ask for: limits by the week are the longest there are.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A new certificate is asked about after this: if its authority wants it back at once, it gets no more than one an hour.
const FIRST_LOOK: Duration = Duration::from_secs(3600);

/// What somebody waits for.
pub type Outcome = Result<Arc<Certificate>, String>;

pub(super) struct Holding {
    pub slot: Arc<Slot>,
    /// `None` while the placeholder is shown.
    pub certificate: Option<Arc<Certificate>>,
    /// Which of the authorities has signed it.
    pub from: usize,
    pub wanted: bool,
    /// No configuration names it: somebody has come for it.
    pub on_demand: bool,
    pub busy: Option<Task>,
    /// When the next certificate is due if all is well.
    pub renewal: OffsetDateTime,
    /// When its authority is asked what it suggests.
    pub look: OffsetDateTime,
    /// One for each authority.
    pub tries: Vec<Try>,
    /// The challenge that worked last.
    pub kind: Option<Kind>,
    /// What is in storage will not do.
    pub forced: bool,
    pub waiting: Vec<oneshot::Sender<Outcome>>,
}

/// What is under way for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Its authority is asked for a certificate.
    Order,
    /// It is asked when it wants to be.
    Look,
}

/// How it went with one authority.
#[derive(Debug, Clone)]
pub(super) struct Try {
    pub failures: u32,
    /// How often in a row it could not be reached.
    absences: u32,
    pub not_before: OffsetDateTime,
    /// An order has to succeed where nothing is lost by it.
    pub rehearse: bool,
    /// The storage was away, and nobody was asked.
    kept_waiting: bool,
    /// It was refused by itself: other names fare better without it.
    is_to_blame: bool,
    pub error: Option<String>,
}

impl Try {
    fn new() -> Self {
        let not_before = OffsetDateTime::UNIX_EPOCH;
        let (rehearse, kept_waiting, is_to_blame) = (false, false, false);
        Self { failures: 0, absences: 0, not_before, rehearse, kept_waiting, is_to_blame, error: None }
    }
}

impl Try {
    fn failed(&mut self, failure: Failure, rehearses: bool, now: OffsetDateTime) {
        if failure.kind == FailureKind::Unreached {
            self.absences = self.absences.saturating_add(1);
            self.not_before = now + absence(self.absences);
        } else {
            self.absences = 0;
            self.failures = self.failures.saturating_add(1);
            self.not_before = now + pause(self.failures, failure.kind);
            self.rehearse = rehearses && matches!(failure.kind, FailureKind::Challenge | FailureKind::Refused);
        }
        self.is_to_blame |= failure.kind.is_of_one();
        self.kept_waiting = failure.kind == FailureKind::Storage;
        self.error = Some(failure.reason);
    }
}

impl Holding {
    /// With what was kept of the authority `from`.
    pub fn new(
        slot: Arc<Slot>,
        kept: Option<(usize, Arc<Certificate>)>,
        authorities: usize,
        now: OffsetDateTime,
    ) -> Self {
        let (from, certificate) = kept.map_or((0, None), |(from, certificate)| (from, Some(certificate)));
        Self {
            slot,
            renewal: certificate.as_ref().map_or(now, |certificate| renewal::by_age(certificate)),
            look: now,
            certificate,
            from,
            wanted: false,
            on_demand: false,
            busy: None,
            tries: vec![Try::new(); authorities.max(1)],
            kind: None,
            forced: false,
            waiting: Vec::new(),
        }
    }

    /// When an authority is asked for a certificate next.
    pub fn due(&self) -> OffsetDateTime {
        let free = self.tries.iter().map(|attempt| attempt.not_before).min();
        free.map_or(self.renewal, |free| free.max(self.renewal))
    }

    /// When there is anything to do.
    pub fn next(&self) -> OffsetDateTime {
        if self.certificate.is_some() { self.due().min(self.look) } else { self.due() }
    }

    /// What is to be done now, and which authority does it: the first one that can be asked, or the one that knows.
    pub fn task(&self, now: OffsetDateTime) -> Option<(Task, usize)> {
        if !self.wanted || self.busy.is_some() {
            return None;
        }
        if self.due() <= now {
            return Some((Task::Order, self.first_free(now)?));
        }
        (self.certificate.is_some() && self.look <= now).then_some((Task::Look, self.from))
    }

    fn first_free(&self, now: OffsetDateTime) -> Option<usize> {
        self.tries.iter().position(|attempt| attempt.not_before <= now)
    }

    /// Whether it can go along with another name that asks this authority: it is due, or shows what is `replaced`, and waits
    /// for nothing but the way to the authority.
    pub fn goes_along(&self, at: usize, replaced: Option<&Certificate>, now: OffsetDateTime) -> bool {
        let is_due = self.renewal <= now || replaced.is_some_and(|replaced| self.shows(replaced));
        let is_free = self.wanted && self.busy.is_none() && !self.is_to_blame();
        let waits = |attempt: &Try| attempt.absences > 0;
        is_due && is_free && (self.first_free(now) == Some(at) || self.tries.get(at).is_some_and(waits))
    }

    pub fn shows(&self, certificate: &Certificate) -> bool {
        self.certificate.as_ref().is_some_and(|shown| shown.fingerprint() == certificate.fingerprint())
    }

    /// An authority has refused it, and none has given anything since.
    pub fn is_to_blame(&self) -> bool {
        self.tries.iter().any(|attempt| attempt.is_to_blame)
    }

    /// Whoever was asked in vain is asked again.
    pub fn forgive(&mut self) {
        self.tries.fill(Try::new());
    }

    /// What the storage kept waiting need wait no longer.
    pub fn wait_no_more(&mut self, now: OffsetDateTime) {
        self.tries.iter_mut().filter(|attempt| attempt.kept_waiting).for_each(|attempt| attempt.not_before = now);
    }

    /// The authority has been reached for another name: whoever waits for the way to it need wait no longer.
    pub fn find_way(&mut self, at: usize, now: OffsetDateTime) {
        if let Some(attempt) = self.tries.get_mut(at).filter(|attempt| attempt.absences > 0) {
            (attempt.absences, attempt.not_before) = (0, now);
        }
    }

    /// Another certificate is asked for now. What failed before is still tried out first.
    pub fn hurry(&mut self, now: OffsetDateTime) {
        self.renewal = self.renewal.min(now);
        self.tries.iter_mut().for_each(|attempt| attempt.not_before = now);
        self.forced = true;
    }

    /// A certificate is here.
    pub fn gained(&mut self, from: usize, certificate: Arc<Certificate>, kind: Option<Kind>, now: OffsetDateTime) {
        self.slot.put(Arc::clone(certificate.key()));
        // One that is renewed at once would be renewed for ever.
        self.renewal = renewal::by_age(&certificate).max(now + SHORTEST_PAUSE);
        self.look = now + jitter(FIRST_LOOK);
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Ok(Arc::clone(&certificate)));
        }
        (self.certificate, self.from) = (Some(certificate), from);
        (self.kind, self.forced) = (kind.or(self.kind), false);
        self.forgive();
    }

    /// It is not. `rehearses` says that this authority has a place to try things out.
    pub fn failed(&mut self, from: usize, failure: Failure, rehearses: bool, now: OffsetDateTime) {
        if let Some(attempt) = self.tries.get_mut(from) {
            attempt.failed(failure, rehearses, now);
        }
        self.tell(now);
    }

    /// It is not, and neither is that of another name in the same order. They wait equally long, and go on together.
    pub fn failed_with(&mut self, from: usize, other: &Try, now: OffsetDateTime) {
        if let Some(attempt) = self.tries.get_mut(from) {
            attempt.clone_from(other);
        }
        self.tell(now);
    }

    /// The authority could not be reached for another name: whoever would ask it now waits as that one does. With thousands
    /// of names each would find out for itself, again and again.
    pub fn lose_way(&mut self, at: usize, other: &Try, now: OffsetDateTime) {
        if self.task(now) == Some((Task::Order, at))
            && let Some(attempt) = self.tries.get_mut(at)
        {
            (attempt.absences, attempt.not_before) = (other.absences, other.not_before);
            attempt.error.clone_from(&other.error);
            self.tell(now);
        }
    }

    /// Whoever waits need not do so where nobody is asked for a while.
    fn tell(&mut self, now: OffsetDateTime) {
        if self.due() > now {
            let reason = self.error(&[]).unwrap_or_default();
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(Err(reason.clone()));
            }
        }
    }

    /// What the authority suggests, or why it does not say. What it said before holds until it says something else.
    pub fn advised(&mut self, outcome: &Result<Advice, Failure>, now: OffsetDateTime) {
        match (outcome, &self.certificate) {
            (Ok(advice), Some(certificate)) => {
                if !self.forced {
                    self.renewal = renewal::moment(advice, certificate);
                }
                self.look = now + advice.again;
            }
            (Err(failure), _) if failure.kind == FailureKind::Unsupported => self.look = now + DAY,
            _ => self.look = now + SIX_HOURS,
        }
    }

    /// Why it did not come last time; by the names of the authorities where there are several.
    pub fn error(&self, names: &[&str]) -> Option<String> {
        let errors = self.tries.iter().enumerate().filter_map(|(at, attempt)| {
            let error = attempt.error.as_ref()?;
            Some(match names.get(at) {
                Some(name) if names.len() > 1 => format!("{name}: {error}"),
                _ => error.clone(),
            })
        });
        let errors: Vec<String> = errors.collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

/// 1 min, 2 min, 4 min … 6 h; or what the authority asks for, and never less than that.
fn pause(failures: u32, kind: FailureKind) -> Duration {
    let doubled = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE);
    match kind {
        FailureKind::TooMany { after } => {
            let asked = after.unwrap_or(LONG_PAUSE).min(LONGEST_WAIT);
            asked.max(doubled).mul_f64(1.0 + fraction() / 10.0)
        }
        // Nobody was asked anything, and what comes back is soon used again.
        FailureKind::Storage => SHORTEST_PAUSE,
        _ => jitter(doubled),
    }
}

/// 2 s, 4 s, 8 s … 1 h.
fn absence(count: u32) -> Duration {
    jitter(SHORTEST_ABSENCE.saturating_mul(1 << count.saturating_sub(1).min(20)).min(LONGEST_ABSENCE))
}

/// Up to a tenth more or less.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + fraction() / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::acme::placeholder::placeholder;
    use crate::tls::certificate::tests::World;

    fn holding(authorities: usize) -> Holding {
        let slot = Slot::new(placeholder("a.test").unwrap());
        Holding { wanted: true, ..Holding::new(slot, None, authorities, now()) }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn refused(kind: FailureKind) -> Failure {
        Failure { reason: "no".to_owned(), kind }
    }

    fn certificate() -> Arc<Certificate> {
        let signed = World::new().sign(&["a.test"]);
        Arc::new(Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap())
    }

    #[test]
    fn pauses_double_up_to_six_hours() {
        for (failures, seconds) in [(1, 60), (2, 120), (3, 240), (9, 15_360), (10, 21_600), (99, 21_600)] {
            let pause = pause(failures, FailureKind::Other).as_secs_f64();
            assert!((pause / f64::from(seconds) - 1.0).abs() < 0.11, "{failures}: {pause}");
        }
    }

    #[test]
    fn an_authority_that_cannot_be_reached_is_tried_again_soon_and_holds_nothing_against_anybody() {
        for (count, seconds) in [(1, 2), (2, 4), (6, 64), (11, 2048), (12, 3600), (u32::MAX, 3600)] {
            let pause = absence(count).as_secs_f64();
            assert!((pause / f64::from(seconds) - 1.0).abs() < 0.11, "{count}: {pause}");
        }
        let (mut holding, now) = (holding(1), now());
        let wait = |holding: &Holding| (holding.due() - now).as_seconds_f64();
        for _ in 0..3 {
            holding.failed(0, refused(FailureKind::Unreached), true, now);
        }
        assert!((7.0..9.0).contains(&wait(&holding)) && !holding.is_to_blame());
        assert!(holding.goes_along(0, None, now), "it waits for the way alone");
        holding.failed(0, refused(FailureKind::Refused), true, now);
        assert!((50.0..70.0).contains(&wait(&holding)), "the first refusal is the first");
        assert!(!holding.goes_along(0, None, now + LONGEST_PAUSE));
        // A network that goes makes nothing forgotten.
        holding.failed(0, refused(FailureKind::Unreached), true, now);
        assert!(wait(&holding) < 3.0 && holding.is_to_blame() && holding.tries[0].rehearse);
        // Once there is a way for one there is one for all, and whoever was refused waits on.
        holding.find_way(0, now);
        assert!(wait(&holding) <= 0.0);
        holding.failed(0, refused(FailureKind::Refused), true, now);
        holding.find_way(0, now);
        assert!((100.0..140.0).contains(&wait(&holding)));
    }

    #[test]
    fn a_storage_that_was_away_is_tried_again_soon() {
        assert_eq!(pause(99, FailureKind::Storage), SHORTEST_PAUSE);
        let (mut holding, now) = (holding(2), now());
        holding.failed(0, refused(FailureKind::Other), false, now);
        holding.failed(1, refused(FailureKind::Storage), false, now);
        assert_eq!(holding.task(now), None);
        holding.wait_no_more(now);
        assert_eq!(holding.task(now), Some((Task::Order, 1)));
    }

    #[test]
    fn an_authority_that_has_had_enough_is_left_alone_for_as_long_as_it_says() {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let wait = |failures, after| pause(failures, FailureKind::TooMany { after });
        assert!((hours(1)..=hours(1) * 2).contains(&wait(1, None)));
        assert!((hours(30)..=hours(33)).contains(&wait(1, Some(hours(30)))));
        assert!((hours(6)..=hours(7)).contains(&wait(20, Some(hours(1)))), "it says little, and failed often");
        assert!(wait(1, Some(hours(10_000))) < hours(24 * 8));
    }

    #[test]
    fn the_next_authority_is_asked_at_once_and_each_has_its_own_pause() {
        let mut holding = holding(2);
        let now = now();
        assert_eq!(holding.task(now), Some((Task::Order, 0)));
        holding.failed(0, refused(FailureKind::Other), false, now);
        assert_eq!(holding.task(now), Some((Task::Order, 1)));
        holding.failed(1, refused(FailureKind::TooMany { after: None }), false, now);
        assert_eq!(holding.task(now), None);
        assert_eq!(holding.error(&["one", "two"]).as_deref(), Some("one: no; two: no"));
        assert_eq!(holding.task(now + Duration::from_secs(70)), Some((Task::Order, 0)));
        holding.gained(1, certificate(), None, now);
        assert_eq!((holding.error(&[]), holding.from), (None, 1));
        assert_eq!(holding.task(holding.due()), Some((Task::Order, 0)), "the first one is the first one again");
    }

    #[test]
    fn after_a_refusal_it_is_rehearsed_and_after_a_limit_it_is_not() {
        let now = now();
        for (kind, rehearses, expected) in [
            (FailureKind::Challenge, true, true),
            (FailureKind::Refused, true, true),
            (FailureKind::Refused, false, false),
            (FailureKind::TooMany { after: None }, true, false),
            (FailureKind::Other, true, false),
        ] {
            let mut holding = holding(1);
            holding.failed(0, refused(kind), rehearses, now);
            assert_eq!(holding.tries[0].rehearse, expected, "{kind:?}");
        }
    }

    #[test]
    fn advice_moves_the_renewal_and_its_absence_does_not() {
        let (mut holding, now) = (holding(1), now());
        holding.gained(0, certificate(), None, now);
        let by_age = holding.renewal;
        holding.advised(&Err(refused(FailureKind::Other)), now);
        assert_eq!((holding.renewal, holding.look), (by_age, now + SIX_HOURS));
        let week = Duration::from_secs(7 * 24 * 3600);
        let advice = Advice { start: now - week, end: now - week / 2, again: DAY };
        holding.advised(&Ok(advice), now);
        assert_eq!(holding.task(now), Some((Task::Order, 0)), "a window that is over means now");
        let chosen = holding.renewal;
        holding.advised(&Ok(advice), now);
        assert_eq!(holding.renewal, chosen, "the same window does not throw the dice again");
    }

    #[test]
    fn who_waits_is_told_once_nobody_is_left_to_be_asked() {
        let (mut holding, now) = (holding(2), now());
        let (sender, mut told) = oneshot::channel();
        holding.waiting.push(sender);
        holding.failed(0, refused(FailureKind::Other), false, now);
        assert!(told.try_recv().is_err());
        holding.failed(1, refused(FailureKind::Other), false, now);
        assert_eq!(told.try_recv().unwrap().err().as_deref(), Some("no; no"));
    }
}
