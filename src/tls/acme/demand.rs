//! Names that become known only when somebody comes for them: who waits for which, what was refused, and how many orders
//! there may be.
//!
//! A handshake for a name that has its certificate looks into one table without a lock. Only one for a name that has none
//! comes here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::permit::{Permits, Terms};
use crate::tls::{Name, Slot};

/// Names that are asked about at once.
const MOST_PENDING: usize = 64;
/// Refusals that are remembered.
const MOST_REFUSED: usize = 10_000;

/// What is shown for names that no configuration names.
pub type Table = ArcSwap<HashMap<Box<str>, Arc<Slot>>>;

#[derive(Debug, Default)]
pub struct Demand {
    pub table: Arc<Table>,
    pub(super) permits: Permits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    /// Dropped once there is an answer, whatever it is.
    pending: HashMap<Box<str>, Vec<oneshot::Sender<()>>>,
    /// Those of them that nobody has begun with.
    fresh: Vec<Box<str>>,
    refused: HashMap<Box<str>, Instant>,
}

/// What holds for the names of a site.
#[derive(Debug)]
struct Rule {
    /// A wildcard; `None`: any name that is below none.
    below: Option<Name>,
    terms: Arc<Terms>,
    /// When orders began to be counted, and how many there are since.
    orders: Option<(Instant, u32)>,
}

impl State {
    fn rule(&self, name: &str) -> Option<&Rule> {
        let below = |rule: &&Rule| rule.below.as_ref().is_some_and(|below| below.covers(name));
        self.rules.iter().find(below).or_else(|| self.rules.iter().find(|rule| rule.below.is_none()))
    }
}

impl Demand {
    /// Waits for an answer about a name, with all who wait for the same one. `None` where there is nothing to wait for:
    /// it was refused a moment ago, or nobody is asked.
    pub(super) fn queue(&self, name: &str) -> Option<oneshot::Receiver<()>> {
        let name = candidate(name)?;
        let mut state = self.state();
        state.rule(&name)?;
        if state.refused.get(&name).is_some_and(|until| *until > Instant::now()) {
            return None;
        }
        let (sender, told) = oneshot::channel();
        if let Some(waiting) = state.pending.get_mut(&name) {
            waiting.push(sender);
        } else if state.pending.len() < MOST_PENDING {
            state.pending.insert(name.clone(), vec![sender]);
            state.fresh.push(name);
        } else {
            return None;
        }
        Some(told)
    }

    /// Names to begin with.
    pub(super) fn fresh(&self) -> Vec<Box<str>> {
        std::mem::take(&mut self.state().fresh)
    }

    /// Those for a name.
    pub(super) fn terms(&self, name: &str) -> Option<Arc<Terms>> {
        self.state().rule(name).map(|rule| Arc::clone(&rule.terms))
    }

    /// From now on these hold; what was refused under others may be asked for again.
    pub(super) fn settle_terms(&self, terms: &[(Option<Name>, Terms)]) {
        let mut state = self.state();
        let known = state.rules.iter().map(|rule| (&rule.below, &*rule.terms));
        if known.eq(terms.iter().map(|(below, terms)| (below, terms))) {
            return;
        }
        let rules = terms.iter().map(|(below, terms)| {
            let same = state.rules.iter().find(|rule| rule.below == *below && *rule.terms == *terms);
            let orders = same.and_then(|rule| rule.orders);
            Rule {
                below: below.clone(),
                terms: same.map_or_else(|| Arc::new(terms.clone()), |it| it.terms.clone()),
                orders,
            }
        });
        state.rules = rules.collect();
        state.refused.clear();
    }

    /// The name has a certificate: all who wait for it go on.
    pub(super) fn grant(&self, name: &str, slot: &Arc<Slot>) {
        self.table.rcu(|old| {
            let mut new = HashMap::clone(old);
            new.insert(name.into(), Arc::clone(slot));
            new
        });
        self.state().pending.remove(name);
    }

    /// It has none, and is not asked for again for a while.
    pub(super) fn refuse(&self, name: &str, pause: Duration) {
        let mut state = self.state();
        let now = Instant::now();
        if state.refused.len() >= MOST_REFUSED {
            state.refused.retain(|_, until| *until > now);
            // So many in so short a time are nobody's names.
            if state.refused.len() >= MOST_REFUSED {
                state.refused.clear();
            }
        }
        state.refused.insert(name.into(), now + pause);
        state.pending.remove(name);
    }

    /// What was shown is shown no more.
    pub(super) fn forget(&self, gone: impl Fn(&str) -> bool) {
        if self.table.load().keys().any(|name| gone(name)) {
            self.table.rcu(|old| {
                let kept = old.iter().filter(|(name, _)| !gone(name));
                kept.map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect::<HashMap<_, _>>()
            });
        }
    }

    /// Takes one of the orders that there may be under these terms in their window, or says how long there is none.
    pub(super) fn take_order(&self, terms: &Arc<Terms>) -> Result<(), Duration> {
        let ((most, window), now) = (terms.limit, Instant::now());
        let mut state = self.state();
        // They may have been replaced since the name was asked about.
        let Some(rule) = state.rules.iter_mut().find(|rule| Arc::ptr_eq(&rule.terms, terms)) else {
            return Err(Duration::ZERO);
        };
        match &mut rule.orders {
            Some((began, count)) if now - *began < window => {
                if *count >= most {
                    return Err(window.saturating_sub(now - *began));
                }
                *count += 1;
            }
            orders => *orders = Some((now, 1)),
        }
        Ok(())
    }

    /// A panic leaves nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that an authority may know: a host of several labels.
fn candidate(name: &str) -> Option<Box<str>> {
    match Name::parse(name)? {
        Name::Host(host) if host.contains('.') && !host.contains('_') => Some(host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::acme::placeholder::placeholder;

    fn demand() -> Demand {
        let demand = Demand::default();
        demand.settle_terms(&[(None, terms("any", Duration::from_secs(60)))]);
        demand
    }

    fn terms(ask: &str, window: Duration) -> Terms {
        Terms { ask: format!("http://127.0.0.1:1/{ask}").parse().unwrap(), limit: (2, window), most: 10 }
    }

    #[test]
    fn xt12_without_anybody_to_ask_nothing_is_asked_for() {
        let demand = Demand::default();
        assert!(demand.queue("a.test").is_none());
        assert!(demand.fresh().is_empty());
    }

    #[test]
    fn xt12_what_is_no_public_name_is_not_asked_about() {
        let demand = demand();
        for name in ["localhost", "10.0.0.1", "*.a.test", "a..test", "_x.a.test", "a.test/../b", "", "a b.test"] {
            assert!(demand.queue(name).is_none(), "{name}");
        }
        assert!(demand.queue("A.Test.").is_some());
        assert_eq!(demand.fresh(), [Box::from("a.test")]);
    }

    #[test]
    fn all_who_come_for_a_name_wait_for_one_answer() {
        let demand = demand();
        let mut waiting = [demand.queue("a.test").unwrap(), demand.queue("a.test").unwrap()];
        assert_eq!((demand.fresh().len(), demand.fresh().len()), (1, 0));
        demand.grant("a.test", &Slot::new(placeholder("a.test").unwrap()));
        assert!(waiting.iter_mut().all(|told| told.try_recv() == Err(oneshot::error::TryRecvError::Closed)));
        assert!(demand.table.load().contains_key("a.test"));
        demand.forget(|name| name == "a.test");
        assert!(demand.table.load().is_empty());
    }

    #[test]
    fn xt12_a_refusal_holds_for_a_while_and_there_is_room_for_so_many() {
        let demand = demand();
        demand.queue("a.test").unwrap();
        demand.refuse("a.test", Duration::from_secs(60));
        assert!(demand.queue("a.test").is_none());
        demand.refuse("a.test", Duration::ZERO);
        assert!(demand.queue("a.test").is_some());
        let all: Vec<_> = (0..200).filter_map(|at| demand.queue(&format!("n{at}.test"))).collect();
        assert_eq!(all.len(), MOST_PENDING - 1);
        for at in 0..=MOST_REFUSED {
            demand.refuse(&format!("n{at}.test"), Duration::from_secs(60));
        }
        assert!(demand.state().refused.len() <= MOST_REFUSED);
    }

    #[test]
    fn xt12_orders_are_counted_by_the_site_that_they_are_for() {
        let (demand, below) = (demand(), Name::parse("*.shop.test"));
        let minute = Duration::from_secs(60);
        let rules = [(None, terms("any", minute)), (below.clone(), terms("shop", minute))];
        demand.settle_terms(&rules);
        let of = |name| demand.terms(name).unwrap();
        assert_eq!(
            [of("a.test"), of("a.shop.test"), of("shop.test")].map(|it| it.ask.path().to_owned()),
            ["/any", "/shop", "/any"]
        );
        let take = |name| demand.take_order(&of(name));
        assert_eq!([take("a.test"), take("b.test")], [Ok(()), Ok(())]);
        assert!(take("a.test").is_err_and(|pause| pause > Duration::from_secs(50)));
        assert_eq!(take("a.shop.test"), Ok(()));
        // A reload that says the same counts on.
        demand.settle_terms(&[rules[0].clone(), (below, terms("else", minute))]);
        assert!(take("a.test").is_err());
        demand.settle_terms(&[(None, terms("any", Duration::ZERO))]);
        assert_eq!([take("a.test"), take("a.test"), take("a.test")], [Ok(()); 3], "a window that is over");
        demand.settle_terms(&[]);
        assert!(demand.terms("a.test").is_none());
    }
}
