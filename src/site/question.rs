//! What `route` and `when` ask, and whether a server could take the path for one that would have been answered otherwise.

use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::readings::{Readings, fold};
use crate::http::step::Test;

/// A test of requests.
pub struct Question {
    test: Box<dyn Test>,
    doubt: Option<Doubt>,
}

/// A test that looks at the path.
pub struct Doubt {
    pub stake: Stake,
    /// For rules that keep somebody out.
    pub folded: Option<Folded>,
}

/// Whether somebody is kept out by what the answer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stake {
    /// Nobody is, here or behind.
    Nobody,
    /// Behind it: where it holds, the request may be led past that.
    Past,
    /// Behind it, and past that lead both ways.
    PastEitherWay,
    /// By the statement itself.
    Guards,
}

impl Stake {
    /// Of a statement that guards or does not, with something behind it that does or with nothing.
    #[must_use]
    pub fn of(guards: bool, guarded: bool) -> Self {
        match (guards, guarded) {
            (true, _) => Self::Guards,
            (false, true) => Self::Past,
            (false, false) => Self::Nobody,
        }
    }
}

/// The test as servers would ask it that fold case: of paths in lower case.
pub struct Folded {
    pub test: Box<dyn Test>,
    /// Paths that are in lower case are others to it.
    pub differs: bool,
}

impl Question {
    #[must_use]
    pub fn new(test: Box<dyn Test>, doubt: Option<Doubt>) -> Self {
        Self { test, doubt }
    }

    /// The answer, which is the same for all readings of the path: else the request is refused (threat XP01).
    pub fn holds(&self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let holds = self.test.holds(exchange);
        match &self.doubt {
            Some(doubt) if !exchange.target.ambiguous => doubt.settle(&*self.test, holds, exchange)?,
            _ => {}
        }
        Ok(holds)
    }
}

impl Doubt {
    fn settle(&self, test: &dyn Test, holds: bool, exchange: &mut Exchange) -> Result<(), Fault> {
        if exchange.target.has_one_reading() && self.folded.as_ref().is_none_or(|folded| !folded.differs) {
            return Ok(());
        }
        let captured = exchange.captures.len();
        let mut readings = exchange.target.take_readings();
        let agree = match &mut readings {
            Some(readings) => !readings.broken && self.agree(test, holds, readings, exchange),
            None => self.folded.as_ref().is_none_or(|folded| folded.test.holds(exchange) == holds),
        };
        exchange.target.put_readings(readings);
        exchange.captures.truncate(captured);
        if agree { Ok(()) } else { Err(Fault::detailed(Cause::BadPath, WHY)) }
    }

    fn agree(&self, test: &dyn Test, holds: bool, readings: &mut Readings, exchange: &mut Exchange) -> bool {
        let mut agree = |test: &dyn Test, readings: &mut [Box<str>]| {
            readings.iter_mut().all(|reading| {
                exchange.target.swap_path(reading);
                let answer = test.holds(exchange);
                exchange.target.swap_path(reading);
                answer == holds
            })
        };
        if !agree(test, &mut readings.resolved) {
            return false;
        }
        // Whoever is not led past meets what stands there.
        let cut = match self.stake {
            Stake::Nobody => false,
            Stake::Past => holds,
            Stake::PastEitherWay | Stake::Guards => true,
        };
        if cut && !agree(test, &mut readings.cut) {
            return false;
        }
        // `%23` is data in many a path (`/tags/C%23/posts`): it is in doubt only where a guard was not met.
        let ended = self.stake == Stake::Guards && !holds;
        if ended && !agree(test, &mut readings.ended) {
            return false;
        }
        self.folded.as_ref().is_none_or(|folded| {
            let mut lower = readings.ended.iter().map(|reading| fold(reading).into()).collect::<Box<[_]>>();
            agree(&*folded.test, &mut readings.loose) && (!ended || agree(&*folded.test, &mut lower))
        })
    }
}

const WHY: &str = "a server may read the path as another one, and rules differ";
