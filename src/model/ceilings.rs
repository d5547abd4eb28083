//! Limits that refuse nothing, since a stricter one has done so on every way to them: in `global`, or around them.

use super::Model;
use crate::check::Check;
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::limit::{Ceiling, Kind};
use crate::directive::{Body, Effect, Line, Statement};

/// What no request has more of, on the way to a statement.
#[derive(Clone, Copy)]
struct Known<'m> {
    most: usize,
    /// `None`: `global` says so, or is taken to.
    by: Option<&'m Statement>,
}

/// By [`Kind`], in the order of [`Kind::ALL`].
type Bounds<'m> = [Known<'m>; Kind::ALL.len()];

/// Warns of each `limit` of a site without effect.
pub(super) fn idle(model: &Model, cx: &mut Check) {
    let limits = &model.global.limits;
    let outer = [limits.uri, limits.header, limits.fields].map(|most| Known { most, by: None });
    for site in &model.sites {
        walk(&site.body, outer, outer, &model.global_lines, cx);
    }
}

fn walk<'m>(body: &'m Body, mut bounds: Bounds<'m>, outer: Bounds<'m>, global: &[Line], cx: &mut Check) {
    for statement in &body.statements {
        if let Effect::Ceiling(Ceiling { kind, most }) = statement.directive.effect() {
            let known = &mut bounds[kind as usize];
            if most < known.most {
                *known = Known { most, by: Some(statement) };
            } else if known.by.is_none_or(|by| by.may_undo(statement)) {
                cx.report(refuses_nobody(statement, kind, *known, global));
            }
        }
        // Who comes to an error page may have failed above any limit.
        let inside = if statement.directive.runs_on_failure() { outer } else { bounds };
        statement.directive.blocks().into_iter().for_each(|inner| walk(inner, inside, outer, global, cx));
    }
}

fn refuses_nobody(statement: &Statement, kind: Kind, known: Known<'_>, global: &[Line]) -> Mistake {
    let kind = kind.as_str();
    let mistake = |why: &str| {
        Mistake::new(
            Code::W0017,
            statement.head,
            format!("this `limit {kind}` refuses no one: {why} has refused them before"),
        )
    };
    if let Some(by) = known.by {
        return mistake("one on the way here").other(by.head, "what passes here keeps to both").help(
            "remove one of them; or leave the laxer one where it is, and put the stricter one into a block for those \
             that it is for: route /api/* { … }",
        );
    }
    let mistake = mistake("`global`");
    let said = written(kind, global).map(|at| (at, "it holds for all connections"));
    let mistake = said.into_iter().fold(mistake, |mistake, (at, label)| mistake.other(at, label));
    let most = shown(kind, known.most);
    mistake.help(format!("write less than `{most}`, or allow all of them more: global {{ limit {kind} … }}"))
}

fn shown(kind: &str, most: usize) -> String {
    match most {
        most if kind == "fields" => most.to_string(),
        most if most.is_multiple_of(1024) => format!("{}KiB", most / 1024),
        most => format!("{most}B"),
    }
}

/// The place of `limit` in `global`, where it is written.
fn written(kind: &str, global: &[Line]) -> Option<Span> {
    global.iter().find(|line| line.text.split_whitespace().take(2).eq(["limit", kind])).map(|line| line.at)
}
