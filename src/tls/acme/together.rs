//! Names that go together: those of a site in one order, and those of a certificate for as long as they show it.

use std::sync::Arc;

use time::OffsetDateTime;

use super::holding::{Holding, Task};
use super::vault::{Job, Key, State, Vault};
use crate::tls::Certificate;

/// More than this no authority is known to put into one certificate.
const MOST_NAMES: usize = 100;

impl State {
    /// Who wants the same of the same authority now, as nobody is to blame for anything: from now on under way with this one.
    /// What is asked for by hand is asked for with what is asked for by hand.
    pub fn companions(&mut self, key: &Key, at: usize, now: OffsetDateTime) -> Vec<Key> {
        let Some(names) = self.together.iter().find(|names| names.contains(&key.1)) else { return Vec::new() };
        let Some(first) = self.holdings.get(key).filter(|first| !first.is_to_blame()) else { return Vec::new() };
        let (replaced, forced) = (first.certificate.clone(), first.forced);
        let mut companions = Vec::new();
        for name in names.iter().filter(|name| **name != key.1) {
            let other = (Arc::clone(&key.0), name.clone());
            let Some(holding) = self.holdings.get_mut(&other) else { continue };
            if holding.forced == forced && holding.goes_along(at, replaced.as_deref(), now) {
                holding.busy = Some(Task::Order);
                companions.push(other);
            }
            if companions.len() + 1 == MOST_NAMES {
                break;
            }
        }
        companions
    }

    /// Who else shows a certificate that is asked about: from now on under way with this one, since the answer is for all.
    pub fn sharers(&mut self, key: &Key, certificate: &Certificate) -> Vec<Key> {
        let others = self.holdings.iter_mut().filter(|(other, holding)| {
            *other != key && holding.wanted && holding.busy.is_none() && holding.shows(certificate)
        });
        let under_way = |(other, holding): (&Key, &mut Holding)| {
            holding.busy = Some(Task::Look);
            other.clone()
        };
        others.map(under_way).collect()
    }

    /// Neither a job's name nor its companions are under way any more.
    pub fn set_free(&mut self, job: &Job) {
        for key in std::iter::once(&job.key).chain(&job.companions) {
            if let Some(holding) = self.holdings.get_mut(key) {
                holding.busy = None;
            }
        }
    }
}

impl Vault {
    /// Nothing came of an order for several names: each is asked for by itself, until the configuration is read again.
    pub(super) fn part(&self, job: &Job) {
        let mut state = self.state();
        state.together.retain(|names| !names.contains(job.name()));
        state.set_free(job);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::renewal::{Advice, DAY};
    use super::super::vault::Wishes;
    use super::super::vault::tests::{certificate, stores, wishes};
    use super::super::{Failure, FailureKind, Kind};
    use super::*;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;

    const SITE: [&str; 3] = ["a.test", "b.test", "c.test"];

    /// A site of three names, and another one.
    fn sites(scratch: &Scratch) -> (Vault, Wishes) {
        let names = [&SITE[..], &["other.test"]].concat();
        let vault = Vault::default();
        for name in &names {
            vault.slot(&stores(scratch), name).unwrap();
        }
        let site: BTreeSet<Box<str>> = SITE.iter().map(|name| (*name).into()).collect();
        let wishes = Wishes { together: vec![site], ..wishes(scratch, &names) };
        vault.want(&wishes);
        (vault, wishes)
    }

    fn of(job: &Job) -> Vec<&str> {
        job.companions.iter().map(|(_, name)| &**name).collect()
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure { reason: "no".to_owned(), kind }
    }

    /// Both sites have theirs: one for three names, and another.
    fn provided(world: &World, scratch: &Scratch) -> Vault {
        let (vault, _) = sites(scratch);
        let now = OffsetDateTime::now_utc();
        for _ in 0..2 {
            let job = vault.next(now).unwrap();
            vault.finish(&job, &job.companions, Ok((certificate(world, job.name()), Some(Kind::Http01))));
        }
        assert!(vault.next(now).is_none());
        vault
    }

    #[test]
    fn names_of_a_site_are_under_way_together_until_that_fails() {
        let (scratch, world) = (Scratch::new(), World::new());
        let (vault, _) = sites(&scratch);
        let now = OffsetDateTime::now_utc();
        let job = vault.next(now).unwrap();
        assert_eq!((job.name(), of(&job)), ("a.test", vec!["b.test", "c.test"]));
        let other = vault.next(now).unwrap();
        assert_eq!((other.name(), of(&other)), ("other.test", vec![]));
        assert!(vault.next(now).is_none(), "the companions are under way");
        // Another process had the lock of one.
        let got = Ok((certificate(&world, "a.test"), Some(Kind::Http01)));
        vault.finish(&job, &job.companions[..1], got);
        let report = vault.report();
        assert!(report[0].certificate.is_some() && report[1].certificate.is_some() && report[2].certificate.is_none());
        let job = vault.next(now).unwrap();
        assert_eq!((job.name(), of(&job)), ("c.test", vec![]), "the others have theirs");
        // After a failure of one of them each goes its own way.
        let (vault, _) = sites(&scratch);
        let later = OffsetDateTime::now_utc();
        let job = vault.next(later).unwrap();
        assert_eq!(of(&job).len(), 2);
        vault.part(&job);
        let alone: Vec<(String, usize)> =
            (0..3).map(|_| vault.next(later).unwrap()).map(|job| (job.name().to_owned(), of(&job).len())).collect();
        assert_eq!(alone, ["a.test", "b.test", "c.test"].map(|name| (name.to_owned(), 0)));
    }

    #[test]
    fn what_no_name_is_to_blame_for_is_waited_out_together() {
        for kind in [
            FailureKind::Other,
            FailureKind::NoAccount,
            FailureKind::TooMany { after: None },
            FailureKind::Storage,
            FailureKind::Unreached,
        ] {
            assert!(!kind.is_of_one());
            let scratch = Scratch::new();
            let (vault, _) = sites(&scratch);
            let job = vault.next(OffsetDateTime::now_utc()).unwrap();
            for round in 0..3 {
                assert_eq!((job.name(), of(&job).len()), ("a.test", 2), "{kind:?}, {round}");
                vault.finish(&job, &job.companions, Err(failure(kind)));
                let told: Vec<_> =
                    vault.report()[..3].iter().map(|status| (status.due, status.error.clone())).collect();
                assert!(told[0].0 > OffsetDateTime::now_utc() && told[0].1.is_some(), "{kind:?}");
                assert!(told.iter().all(|each| *each == told[0]), "{kind:?}: {told:?}");
                // The other site is in nobody's way.
                vault.state().holdings.retain(|(_, name), _| &**name != "other.test");
                assert!(vault.next(told[0].0 - Duration::from_millis(1)).is_none(), "{kind:?}");
                let again = vault.next(told[0].0).unwrap();
                assert_eq!((again.name(), of(&again)), ("a.test", vec!["b.test", "c.test"]), "{kind:?}");
            }
        }
        for kind in [FailureKind::Challenge, FailureKind::Refused, FailureKind::Late] {
            assert!(kind.is_of_one());
        }
    }

    #[test]
    fn who_is_to_blame_goes_alone() {
        let scratch = Scratch::new();
        let (vault, wishes) = sites(&scratch);
        let now = OffsetDateTime::now_utc();
        vault.part(&vault.next(now).unwrap());
        let alone = vault.next(now).unwrap();
        vault.finish(&alone, &[], Err(failure(FailureKind::Refused)));
        // A reload brings them together again, but for that one.
        vault.want(&wishes);
        let later = now + DAY;
        let job = vault.next(later).unwrap();
        assert_eq!((alone.name(), job.name(), of(&job)), ("a.test", "b.test", vec!["c.test"]));
        vault.finish(&job, &job.companions, Err(failure(FailureKind::Other)));
        while let Some(job) = vault.next(later) {
            assert!(job.name() != "a.test" || of(&job).is_empty());
        }
    }

    #[test]
    fn a_certificate_of_several_names_is_renewed_for_all_of_them() {
        let (scratch, world) = (Scratch::new(), World::new());
        let vault = provided(&world, &scratch);
        let due: Vec<_> = vault.report().iter().map(|status| status.due).collect();
        assert!(due[..3].iter().all(|at| *at == due[0]), "they have one moment: {due:?}");
        let jobs: Vec<Job> = std::iter::from_fn(|| vault.next(due[0])).collect();
        let orders = jobs.iter().filter(|job| job.task == Task::Order && job.name() != "other.test");
        assert_eq!(orders.map(|job| of(job).len()).collect::<Vec<_>>(), [2], "one order for all three");
        // Nor is anybody left behind whose clock is a little slow.
        let vault = provided(&world, &scratch);
        let due = vault.report()[0].due - Duration::from_secs(3600);
        vault.state().holdings.values_mut().find(|holding| holding.wanted).unwrap().renewal = due;
        let job = std::iter::from_fn(|| vault.next(due)).find(|job| job.name() == "a.test").unwrap();
        assert_eq!(of(&job), ["b.test", "c.test"]);
        // Whoever is asked for by hand is asked for alone.
        let vault = provided(&world, &scratch);
        let now = OffsetDateTime::now_utc();
        vault.state().holdings.values_mut().next().unwrap().hurry(now);
        let job = vault.next(now).unwrap();
        assert_eq!((job.name(), of(&job).len()), ("a.test", 0));
    }

    #[test]
    fn a_certificate_is_asked_about_once_and_the_answer_is_for_all_of_its_names() {
        let (scratch, world) = (Scratch::new(), World::new());
        let vault = provided(&world, &scratch);
        let now = OffsetDateTime::now_utc();
        let later = now + Duration::from_secs(2 * 3600);
        let mut jobs: Vec<Job> = std::iter::from_fn(|| vault.next(later)).collect();
        jobs.sort_by(|one, other| one.name().cmp(other.name()));
        assert!(jobs.len() == 2 && jobs.iter().all(|job| job.task == Task::Look));
        assert_eq!(of(&jobs[1]), Vec::<&str>::new(), "the other site has its own");
        assert_eq!(of(&jobs[0]).len(), 2);
        // One of them has got another since.
        let state = |name: &str| (stores(&scratch), name.into());
        let newer = certificate(&world, "c.test");
        vault.adopt(&state("c.test"), 0, newer);
        let before = vault.report();
        let advice = Advice { start: now + DAY, end: now + 2 * DAY, again: DAY };
        vault.advise(&jobs[0], &Ok(advice));
        let after = vault.report();
        assert!(after[0].due < now + 2 * DAY && after[0].due == after[1].due);
        assert_eq!((after[2].due, after[3].due), (before[2].due, before[3].due));
        assert!(vault.next(later).is_some_and(|job| job.name() == "c.test"), "it is under way no more");
    }

    #[test]
    fn what_is_taken_back_is_replaced_for_all_of_its_names() {
        let (scratch, world) = (Scratch::new(), World::new());
        let vault = provided(&world, &scratch);
        let held = vault.report()[1].certificate.clone().unwrap();
        let mut told = vault.replace(&(stores(&scratch), "b.test".into()), &held);
        let now = OffsetDateTime::now_utc();
        let job = vault.next(now).unwrap();
        assert!(job.forced && job.task == Task::Order);
        assert_eq!((job.name(), of(&job)), ("a.test", vec!["b.test", "c.test"]));
        assert!(vault.next(now).is_none(), "the other site keeps its own");
        vault.finish(&job, &job.companions, Ok((certificate(&world, "a.test"), None)));
        assert!(told.try_recv().unwrap().is_ok());
        assert!(vault.report().iter().all(|status| !status.certificate.as_ref().unwrap().covers("b.test")));
        assert!(vault.next(OffsetDateTime::now_utc()).is_none());
    }
}
