//! What of a block can never run: whatever stands behind a statement that answers every request, and routes that an
//! earlier one covers.

use std::collections::HashMap;

use super::{Body, Directive, Statement};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};
use crate::matcher::{Atom, Expr, PathPattern};

/// Warns of what can never run.
pub(super) fn reach(body: &Body, cx: &mut Check) {
    let mut answered: Option<&Statement> = None;
    let mut earlier = Routes::default();
    for statement in &body.statements {
        let directive: &dyn Directive = &*statement.directive;
        if directive.runs_on_failure() || directive.front().is_some() {
            continue;
        }
        if let Some(first) = answered {
            cx.report(never_runs(statement, first));
            continue;
        }
        if let Some(expr) = directive.takes() {
            match earlier.cover_of(expr, cx) {
                Some(cover) => drop(cx.report(covered(statement, cover))),
                None => earlier.add(statement, expr),
            }
        }
        if directive.always_answers() {
            answered = Some(statement);
        }
    }
}

fn never_runs(statement: &Statement, first: &Statement) -> Mistake {
    Mistake::new(Code::W0001, statement.at, format!("this `{}` can never run", statement.room.name))
        .other(first.at, format!("`{}` answers every request that comes here", first.room.name))
        .help("move it above, or give the one above a condition: route /path/* { … }")
}

fn covered(statement: &Statement, cover: &Statement) -> Mistake {
    Mistake::new(Code::W0002, statement.at, "an earlier route takes every request of this one")
        .other(cover.at, "this one takes them first")
        .help("put the narrower route above the wider one")
}

/// The routes so far that none before them covers, filed under the beginnings of the paths that they can cover: comparing
/// each route with each earlier one would take minutes where there are some ten thousand.
#[derive(Default)]
struct Routes<'b> {
    all: Vec<(&'b Statement, &'b Expr)>,
    by_path: HashMap<Vec<&'b str>, Vec<usize>>,
    /// What may cover something whatever its path.
    others: Vec<usize>,
}

/// Segments of a path that routes are filed under. Enough to tell `/api/v1/users` from its neighbours.
const FILED: usize = 3;

type Key<'b> = Vec<&'b str>;

impl<'b> Routes<'b> {
    fn add(&mut self, statement: &'b Statement, expr: &'b Expr) {
        let index = self.all.len();
        self.all.push((statement, expr));
        match coverable(expr) {
            Some(keys) => {
                for key in keys {
                    let filed = self.by_path.entry(key).or_default();
                    if filed.last() != Some(&index) {
                        filed.push(index);
                    }
                }
            }
            None => self.others.push(index),
        }
    }

    /// The first route that takes all that `expr` does.
    fn cover_of(&self, expr: &Expr, cx: &mut Check) -> Option<&'b Statement> {
        let patience = cx.patience();
        let mut first = None;
        let mut try_each = |candidates: &[usize]| {
            let before = |first: Option<usize>| move |index: &&usize| first.is_none_or(|first| **index < first);
            for index in candidates.iter().take_while(before(first)) {
                if !patience.spend() {
                    return;
                }
                if self.all[*index].1.covers(expr, patience) {
                    first = Some(*index);
                    return;
                }
            }
        };
        try_each(&self.others);
        for mut key in beginnings(expr) {
            loop {
                if let Some(filed) = self.by_path.get(&key) {
                    try_each(filed);
                }
                if key.pop().is_none() {
                    break;
                }
            }
        }
        first.map(|index| self.all[index].0)
    }
}

/// The beginnings one of which each path has that a route can cover; `None` if it may cover others.
fn coverable(expr: &Expr) -> Option<Vec<Key<'_>>> {
    match expr {
        Expr::Is(Atom::Path(patterns), _) => Some(patterns.iter().map(key).collect()),
        // All of them cover what the whole covers, so any will do.
        Expr::And(all) => all.iter().find_map(coverable),
        Expr::Or(any) => {
            let each: Option<Vec<_>> = any.iter().map(coverable).collect();
            Some(each?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// The beginnings under one of which whatever covers this by its path is filed, or under a shorter one.
fn beginnings(expr: &Expr) -> Vec<Key<'_>> {
    match expr {
        // All the paths, and all the alternatives, must be covered: the first of them will do.
        Expr::Is(Atom::Path(patterns), _) => patterns.first().map(key).into_iter().collect(),
        Expr::Or(any) => any.first().map(beginnings).unwrap_or_default(),
        Expr::And(all) => all.iter().flat_map(beginnings).collect(),
        _ => Vec::new(),
    }
}

fn key(pattern: &PathPattern) -> Key<'_> {
    pattern.beginning().take(FILED).collect()
}
