//! Looks on while a request goes through its site, and notes what each statement does.

use std::collections::HashSet;

use futures_util::future::{LocalBoxFuture, ready};
use http::{HeaderMap, HeaderName, Response};

use super::{Reply, Stage};
use crate::diagnostic::Span;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Answers, Forward};
use crate::matcher::Reason;
use crate::site::Observer;

/// What a statement did.
#[derive(Debug, Clone)]
pub enum Event {
    /// A `route` or `when` asked.
    Asked { at: Span, holds: bool, reasons: Vec<Reason> },
    /// A statement saw the request on its way in.
    Passed { at: Span, changes: Vec<Change> },
    /// A statement answers.
    Answers { at: Span },
    /// Something failed; `handled` by a `handle_errors`.
    Failed { at: Span, fault: Fault, handled: bool },
    /// A statement changed the answer on its way out.
    Returned { at: Span, changes: Vec<Change> },
}

/// Something that is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `path`, `query`, `method`, `status`, `body limit`, `rate limit`, or the name of a field.
    pub what: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

pub(super) struct Watcher<'s> {
    stage: &'s Stage,
    reply: &'s Reply,
    pub events: Vec<Event>,
    pub forward: Option<Forward>,
    seen: Seen,
}

/// A message as it was before a statement saw it: names and values, in order.
type Seen = Vec<(String, String)>;

impl<'s> Watcher<'s> {
    pub fn new(stage: &'s Stage, reply: &'s Reply) -> Self {
        Self { stage, reply, events: Vec::new(), forward: None, seen: Seen::default() }
    }
}

impl Observer for Watcher<'_> {
    fn tested(&mut self, at: Span, holds: bool, exchange: &mut Exchange) {
        let asks = self.stage.statement(at).and_then(|statement| statement.directive.asks());
        let reasons = asks.map_or_else(Vec::new, |expr| expr.reasons(exchange));
        self.events.push(Event::Asked { at, holds, reasons });
    }

    fn before(&mut self, exchange: &Exchange) {
        self.seen = of_request(exchange);
    }

    fn after(&mut self, at: Span, exchange: &Exchange) {
        let changes = changes(&self.seen, &of_request(exchange));
        self.events.push(Event::Passed { at, changes });
    }

    fn before_response(&mut self, answer: &Answer) {
        self.seen = of_answer(answer);
    }

    fn after_response(&mut self, at: Span, answer: &Answer) {
        let changes = changes(&self.seen, &of_answer(answer));
        if !changes.is_empty() {
            self.events.push(Event::Returned { at, changes });
        }
    }

    fn failed(&mut self, at: Span, fault: &Fault, handled: bool) {
        self.events.push(Event::Failed { at, fault: fault.clone(), handled });
    }

    fn answer<'a>(
        &mut self,
        at: Span,
        answers: &'a dyn Answers,
        exchange: &'a mut Exchange,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        self.events.push(Event::Answers { at });
        let forward = match answers.forward(exchange) {
            None => return answers.answer(exchange),
            Some(Err(fault)) => return Box::pin(ready(Err(fault))),
            Some(Ok(forward)) => forward,
        };
        let somebody = forward.server.is_some();
        self.forward = Some(forward);
        let outcome = match self.reply {
            _ if !somebody => Err(Cause::NoHealthyUpstream.into()),
            Reply::Fault(cause) => Err((*cause).into()),
            Reply::Answer(status, headers) => {
                let mut answer = Response::new(Body::Empty);
                *answer.status_mut() = *status;
                *answer.headers_mut() = headers.clone();
                answers.receive(exchange, answer)
            }
        };
        Box::pin(ready(outcome))
    }
}

fn of_request(exchange: &Exchange) -> Seen {
    let own = |name: &str, value: String| (name.to_owned(), value);
    let mut seen = vec![own("method", exchange.method.to_string()), own("path", exchange.target.path().to_owned())];
    seen.extend(exchange.target.query().map(|query| own("query", query.to_owned())));
    if exchange.max_body != u64::MAX {
        seen.push(own("body limit", format!("{} bytes", exchange.max_body)));
    }
    for (number, limit) in (1..).zip(&exchange.limits) {
        let name = if number == 1 { "rate limit".to_owned() } else { format!("rate limit {number}") };
        seen.push((name, format!("{} left", limit.left)));
    }
    fields(&exchange.headers, &mut seen);
    seen
}

fn of_answer(answer: &Answer) -> Seen {
    let mut seen = vec![("status".to_owned(), answer.status().as_u16().to_string())];
    fields(answer.headers(), &mut seen);
    seen
}

fn fields(headers: &HeaderMap, seen: &mut Seen) {
    let text = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        values.collect::<Vec<_>>().join(", ")
    };
    seen.extend(headers.keys().map(|name| (name.to_string(), text(name))));
}

fn changes(before: &Seen, after: &Seen) -> Vec<Change> {
    let value = |seen: &Seen, name: &str| seen.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut known = HashSet::new();
    let names = after.iter().chain(before).map(|(name, _)| name).filter(|name| known.insert(*name));
    let change = |name: &String| Change { what: name.clone(), before: value(before, name), after: value(after, name) };
    names.map(change).filter(|change| change.before != change.after).collect()
}
