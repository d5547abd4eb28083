//! Limits that never come to bear, since another of the same block does first.

use std::collections::HashMap;

use super::limit::{Ceiling, Kind};
use super::rate_limit::Bound;
use super::{Body, Effect, Statement};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};

/// Warns of limits that refuse nothing.
pub(super) fn hidden(body: &Body, cx: &mut Check) {
    let mut rates: HashMap<&str, Vec<(&Statement, Bound<'_>)>> = HashMap::new();
    let mut size: Option<&Statement> = None;
    let mut ceilings: HashMap<Kind, (&Statement, usize)> = HashMap::new();
    for statement in body.statements.iter().filter(|statement| statement.directive.front().is_none()) {
        // What stands below it never runs, and that is said already.
        if statement.directive.always_answers() {
            return;
        }
        let effect = statement.directive.effect();
        match effect {
            Effect::MaxBody => {
                if let Some(first) = size.replace(statement).filter(|first| statement.may_undo(first)) {
                    cx.report(replaced(first, statement));
                }
            }
            Effect::Ceiling(Ceiling { kind, most }) => {
                let laxer = ceilings.insert(kind, (statement, most)).filter(|(_, before)| *before > most);
                if let Some((first, _)) = laxer.filter(|(first, _)| statement.may_undo(first)) {
                    cx.report(outdone(first, statement, kind));
                }
            }
            Effect::Limits(bound) => {
                let before = rates.entry(bound.key).or_default();
                let stricter = before.iter().find(|(_, first)| cx.patience().spend() && first.hides(&bound));
                match stricter {
                    Some((first, _)) if first.may_undo(statement) => drop(cx.report(covered(statement, first))),
                    Some(_) => {}
                    None => before.push((statement, bound)),
                }
            }
            _ => {}
        }
        if !effect.lets_all_pass() {
            size = None;
            // Whoever is refused here is refused by a limit either way.
            if !matches!(effect, Effect::Ceiling(_)) {
                ceilings.clear();
            }
        }
        // Below it a key may be another one.
        if !matches!(effect, Effect::Limits(_) | Effect::MaxBody | Effect::Ceiling(_)) && !effect.is_for_answers() {
            rates.retain(|_, bounds| bounds.iter().all(|(_, bound)| bound.of_client));
        }
    }
}

impl Statement {
    /// Whether it is a mistake where this one makes the other useless: what a snippet brings is of use elsewhere.
    pub fn may_undo(&self, other: &Statement) -> bool {
        (other.used_at.0.is_none() || self.used_at == other.used_at) && other.at != self.at
    }
}

fn replaced(first: &Statement, last: &Statement) -> Mistake {
    Mistake::new(Code::W0017, first.head, "this `max_body` limits nothing: the one below takes its place")
        .other(last.head, "this one holds")
        .help("remove one of them; or put the one that is for some requests only into a block: route /upload/* { … }")
}

fn outdone(first: &Statement, last: &Statement, kind: Kind) -> Mistake {
    let kind = kind.as_str();
    let sentence = format!("this `limit {kind}` refuses no one whom the stricter one below would let pass");
    Mistake::new(Code::W0017, first.head, sentence)
        .other(last.head, "this one holds")
        .help("remove one of them; or put the one that is for some requests only into a block: route /api/* { … }")
}

fn covered(statement: &Statement, first: &Statement) -> Mistake {
    Mistake::new(Code::W0017, statement.head, "this `rate_limit` refuses no one: the stricter one above has done so")
        .other(first.head, "what passes here keeps to both")
        .help("remove one of them, or let this one allow less over a longer time, such as `1000/h` below `10/s`")
}
