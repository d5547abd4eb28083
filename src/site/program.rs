//! A site's steps, laid out in a row with jumps between them, so that running them needs neither recursion nor a
//! future for each level of nesting.

use std::fmt;
use std::ops::Range;

use http::StatusCode;
use smallvec::SmallVec;

use crate::check::value::StatusMatch;
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::page;
use crate::http::step::{Answer, Answers, Filter, Gate, Test};

/// One step.
pub(super) enum Op {
    Filter(Box<dyn Filter>),
    Gate(Box<dyn Gate>),
    /// Goes on behind it if the test holds, else to the place named.
    Test(Box<dyn Test>, usize),
    Jump(usize),
    Answer(Box<dyn Answers>),
    /// The end of a block from which nothing comes out.
    Unanswered,
}

/// What runs instead of the plain error answer when a step in `covers` fails.
pub(super) struct Handler {
    pub covers: Range<usize>,
    /// The end of its block, where nothing comes out of that: a block without an answer has failed, too.
    pub end: Option<usize>,
    /// Empty: any.
    pub statuses: Vec<StatusMatch>,
    pub start: usize,
}

/// The steps of a site.
#[derive(Default)]
pub struct Program {
    pub(super) ops: Vec<Op>,
    /// Innermost first.
    pub(super) handlers: Vec<Handler>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} steps)", self.ops.len())
    }
}

/// The filters with a response side that ran, in their order.
type Behind = SmallVec<[u32; 8]>;

impl Program {
    /// Takes a request through the steps. There is always an answer.
    pub async fn run(&self, exchange: &mut Exchange) -> Answer {
        let mut behind = Behind::new();
        let mut at = 0;
        let mut answer = match self.walk(&mut at, exchange, &mut behind).await {
            Ok(answer) => answer,
            Err(fault) => self.fail(at, fault, exchange, &mut behind).await,
        };
        self.way_out(&behind, exchange, &mut answer);
        answer
    }

    /// The response sides: first those about fields, from the top down; then the others, from the bottom up, since each
    /// of them wraps what stands below it.
    fn way_out(&self, behind: &Behind, exchange: &mut Exchange, answer: &mut Answer) {
        let filter = |step: &u32| match &self.ops[*step as usize] {
            Op::Filter(filter) => Some(filter),
            _ => None,
        };
        for filter in behind.iter().filter_map(filter).filter(|filter| filter.changes_fields_only()) {
            filter.response(exchange, answer);
        }
        for filter in behind.iter().rev().filter_map(filter).filter(|filter| !filter.changes_fields_only()) {
            filter.response(exchange, answer);
        }
    }

    /// From `at` on, to the first answer or fault; `at` is then the step that gave it.
    async fn walk(&self, at: &mut usize, exchange: &mut Exchange, behind: &mut Behind) -> Result<Answer, Fault> {
        loop {
            match &self.ops[*at] {
                Op::Filter(filter) => {
                    if filter.has_response_side() {
                        behind.push(u32::try_from(*at).unwrap_or(u32::MAX));
                    }
                    if let Some(answer) = filter.request(exchange)? {
                        return Ok(answer);
                    }
                    *at += 1;
                }
                Op::Gate(gate) => {
                    if let Some(answer) = gate.request(exchange).await? {
                        return Ok(answer);
                    }
                    *at += 1;
                }
                Op::Test(test, otherwise) => *at = if test.holds(exchange) { *at + 1 } else { *otherwise },
                Op::Jump(to) => *at = *to,
                Op::Answer(step) => return step.answer(exchange).await,
                Op::Unanswered => return Err(Cause::NoRoute.into()),
            }
        }
    }

    async fn fail(&self, at: usize, fault: Fault, exchange: &mut Exchange, behind: &mut Behind) -> Answer {
        let status = fault.status();
        let fits = |handler: &&Handler| {
            (handler.covers.contains(&at) || handler.end == Some(at))
                && (handler.statuses.is_empty() || handler.statuses.iter().any(|s| s.holds(status)))
        };
        exchange.notes.error = Some(fault.clone());
        let Some(handler) = self.handlers.iter().find(fits) else { return page::fault(exchange, &fault) };
        exchange.fault = Some(fault.clone());
        let mut at = handler.start;
        match self.walk(&mut at, exchange, behind).await {
            Ok(mut answer) => {
                // An error page is served as the error that it tells of, unless it says otherwise.
                if answer.status() == StatusCode::OK {
                    *answer.status_mut() = status;
                }
                answer
            }
            Err(_) => page::fault(exchange, &fault),
        }
    }
}
