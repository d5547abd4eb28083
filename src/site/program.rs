//! A site's steps, laid out in a row with jumps between them, so that running them needs neither recursion nor a
//! future for each level of nesting.

use std::fmt;
use std::ops::Range;

use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use smallvec::SmallVec;

use super::question::Question;
use crate::check::value::StatusMatch;
use crate::diagnostic::Span;
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::page;
use crate::http::step::{Answer, Answers, Filter, Gate};

/// One step.
pub(super) enum Op {
    Filter(Box<dyn Filter>),
    Gate(Box<dyn Gate>),
    /// Goes on behind it if the test holds, else to the place named.
    Test(Question, usize),
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

/// Looks on while a request goes through the steps. Whoever only serves looks away, at no cost: the steps are walked by
/// the same code, so what is explained is what runs.
pub trait Observer {
    /// A `route` or `when` has asked its question.
    fn tested(&mut self, _at: Span, _holds: bool, _exchange: &mut Exchange) {}

    /// A step is about to see the request, or has changed it.
    fn before(&mut self, _exchange: &Exchange) {}
    fn after(&mut self, _at: Span, _exchange: &Exchange) {}

    /// The response side of a step is about to see the answer, or has changed it.
    fn before_response(&mut self, _answer: &Answer) {}
    fn after_response(&mut self, _at: Span, _answer: &Answer) {}

    /// A step failed, or a block ended without an answer; `handled` by the error pages of that block.
    fn failed(&mut self, _at: Span, _fault: &Fault, _handled: bool) {}

    fn answer<'a>(
        &mut self,
        _at: Span,
        answers: &'a dyn Answers,
        exchange: &'a mut Exchange,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        answers.answer(exchange)
    }
}

impl Observer for () {}

/// The steps of a site.
#[derive(Default)]
pub struct Program {
    pub(super) ops: Vec<Op>,
    /// For each step, the statement that it came from.
    pub(super) places: Vec<Span>,
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
        self.observed(exchange, &mut ()).await
    }

    /// The same, with somebody looking on.
    pub async fn observed<O: Observer>(&self, exchange: &mut Exchange, observer: &mut O) -> Answer {
        let mut behind = Behind::new();
        let mut at = 0;
        let mut answer = match self.walk(&mut at, exchange, &mut behind, observer).await {
            Ok(answer) => answer,
            Err(fault) => self.fail(at, fault, exchange, &mut behind, observer).await,
        };
        self.way_out(&behind, exchange, &mut answer, observer);
        answer
    }

    /// The response sides: first those about fields, from the top down; then the others, from the bottom up, since each
    /// of them wraps what stands below it.
    fn way_out<O: Observer>(&self, behind: &Behind, exchange: &mut Exchange, answer: &mut Answer, observer: &mut O) {
        let filter = |step: &u32| match &self.ops[*step as usize] {
            Op::Filter(filter) => Some((filter, self.places[*step as usize])),
            _ => None,
        };
        let of_fields = behind.iter().filter_map(filter).filter(|(filter, _)| filter.changes_fields_only());
        let others = behind.iter().rev().filter_map(filter).filter(|(filter, _)| !filter.changes_fields_only());
        for (filter, at) in of_fields.chain(others) {
            observer.before_response(answer);
            filter.response(exchange, answer);
            observer.after_response(at, answer);
        }
    }

    /// From `at` on, to the first answer or fault; `at` is then the step that gave it.
    async fn walk<O: Observer>(
        &self,
        at: &mut usize,
        exchange: &mut Exchange,
        behind: &mut Behind,
        observer: &mut O,
    ) -> Result<Answer, Fault> {
        loop {
            let step = *at;
            match &self.ops[step] {
                Op::Filter(filter) => {
                    if filter.has_response_side() {
                        behind.push(u32::try_from(step).unwrap_or(u32::MAX));
                    }
                    observer.before(exchange);
                    let answer = filter.request(exchange)?;
                    observer.after(self.places[step], exchange);
                    if let Some(answer) = answer {
                        return Ok(answer);
                    }
                    *at += 1;
                }
                Op::Gate(gate) => {
                    observer.before(exchange);
                    let answer = gate.request(exchange).await?;
                    observer.after(self.places[step], exchange);
                    if let Some(answer) = answer {
                        return Ok(answer);
                    }
                    *at += 1;
                }
                Op::Test(test, otherwise) => {
                    let holds = test.holds(exchange)?;
                    observer.tested(self.places[step], holds, exchange);
                    *at = if holds { step + 1 } else { *otherwise };
                }
                Op::Jump(to) => *at = *to,
                Op::Answer(answers) => return observer.answer(self.places[step], &**answers, exchange).await,
                Op::Unanswered => return Err(Cause::NoRoute.into()),
            }
        }
    }

    async fn fail<O: Observer>(
        &self,
        at: usize,
        fault: Fault,
        exchange: &mut Exchange,
        behind: &mut Behind,
        observer: &mut O,
    ) -> Answer {
        let status = fault.status();
        let fits = |handler: &&Handler| {
            (handler.covers.contains(&at) || handler.end == Some(at))
                && (handler.statuses.is_empty() || handler.statuses.iter().any(|s| s.holds(status)))
        };
        let handler = self.handlers.iter().find(fits);
        observer.failed(self.places[at], &fault, handler.is_some());
        exchange.notes.error = Some(fault.clone());
        let Some(handler) = handler else { return page::fault(exchange, &fault) };
        exchange.fault = Some(fault.clone());
        let mut at = handler.start;
        match self.walk(&mut at, exchange, behind, observer).await {
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
