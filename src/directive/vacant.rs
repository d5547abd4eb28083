//! Blocks with nothing in them.

use super::{Body, Statement};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};

/// Warns of each `route`, `when` and `else` of a site that holds no statement.
pub fn vacant(site: &Body, cx: &mut Check) {
    walk(site, false, cx);
}

/// Where a `handle_errors` stands around it, an empty route is how to ask for its error page.
fn walk(body: &Body, handled: bool, cx: &mut Check) {
    let handled = handled || body.statements.iter().any(|statement| statement.directive.runs_on_failure());
    for statement in &body.statements {
        judge(statement, handled).into_iter().for_each(|mistake| _ = cx.report(mistake));
        statement.directive.blocks().into_iter().for_each(|inner| walk(inner, handled, cx));
    }
}

fn judge(statement: &Statement, handled: bool) -> Option<Mistake> {
    let asked = statement.directive.asks()?;
    let (is_route, blocks) = (statement.directive.takes().is_some(), statement.directive.blocks());
    let empty: Vec<bool> = blocks.into_iter().map(is_vacant).collect();
    match empty[..] {
        [true] if is_route => (!handled).then(|| route(statement)),
        // What a pattern captures is there behind the block, too.
        [true] | [true, true] => (!asked.captures()).then(|| when(statement)),
        [true, false] => Some(only_else(statement)),
        [false, true] => Some(no_else(statement)),
        _ => None,
    }
}

fn is_vacant(body: &Body) -> bool {
    body.statements.is_empty() && !body.incomplete
}

fn route(statement: &Statement) -> Mistake {
    Mistake::new(Code::W0022, statement.head, "this `route` is empty, so all that goes in gets a 404")
        .help("if that is meant, say it: { respond 404 }")
}

fn when(statement: &Statement) -> Mistake {
    Mistake::new(Code::W0022, statement.head, "this `when` does nothing: its block is empty")
        .help("remove it, or write into its block what is to be done for these requests")
}

fn only_else(statement: &Statement) -> Mistake {
    Mistake::new(Code::W0022, statement.head, "the block of this `when` is empty, and only its `else` does something")
        .help("turn the question round, and leave `else` out: when not ( … ) { … }")
}

fn no_else(statement: &Statement) -> Mistake {
    Mistake::new(Code::W0022, statement.head, "the `else` of this `when` is empty")
        .help("remove `else { }`: the requests that do not fit go on behind the block without it")
}
