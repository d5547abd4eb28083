//! `route`, `when` and `else`: which statements a request meets.

use super::body::{Body, check_block};
use super::{Directive, Room, late};
use crate::check::{Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::matcher::{self, Expr};
use crate::site::{Building, Stake};
use crate::syntax::tree::Node;

pub static ROUTE: Room = Room {
    name: "route",
    syntax: "route MATCHER { … }",
    summary: "takes the requests that fit, and does not give them back",
    doc: "The request goes in if the matcher holds, and does not come out: what stands behind the block is not for it. A body that ends without an answer answers 404.\n\nRoutes are asked in written order, so the narrower one stands above the wider one; the checker warns where one covers another.",
    options: &[],
    examples: &[
        "route /api/* { reverse_proxy 127.0.0.1:3000 }",
        "route /admin/* and not client_ip 10.0.0.0/8 { respond 403 }",
    ],
    related: &["when", "handle_errors", "strip_prefix"],
    check: check_route,
};

pub static WHEN: Room = Room {
    name: "when",
    syntax: "when MATCHER { … } [else { … }]",
    summary: "runs its block for the requests that fit, and goes on behind it",
    doc: "Unlike `route`, what was not answered inside comes out again and meets what stands behind the block. `else` runs for the others.",
    options: &[],
    examples: &[
        "when header X-Debug { header set X-Debug-Host {host} }",
        "when scheme http { redirect https://{host}{uri} } else { respond ok }",
    ],
    related: &["else", "route"],
    check: check_when,
};

pub static ELSE: Room = Room {
    name: "else",
    syntax: "when MATCHER { … } else { … }",
    summary: "runs for the requests that the `when` before it did not take",
    doc: "Stands right behind the block of a `when`, on its line or on the next.",
    options: &[],
    examples: &["when method GET HEAD { respond ok } else { respond 405 }"],
    related: &["when", "route"],
    check: check_else,
};

#[derive(Debug)]
struct Route {
    test: Expr,
    body: Body,
}

#[derive(Debug)]
struct When {
    test: Expr,
    then: Body,
    otherwise: Option<Body>,
}

fn check_route(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let test = matcher::check(node, &node.words[1..], cx);
    let body = check_block(node, ROUTE.syntax, cx)?;
    late(&body, cx);
    Ok(Box::new(Route { test: test?, body }))
}

fn check_when(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let test = matcher::check(node, &node.words[1..], cx);
    let then = check_block(node, WHEN.syntax, cx)?;
    Ok(Box::new(When { test: test?, then, otherwise: None }))
}

/// Only reached by `else` as a statement of its own in a place that [`join_else`] does not see.
fn check_else(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Err(lonely(node, cx))
}

fn lonely(node: &Node, cx: &mut Check) -> Reported {
    cx.report(
        Mistake::new(Code::E0027, node.words[0].span, "`else` without a `when` before it")
            .help("put it right behind the block of a `when`"),
    )
}

/// `else method POST { … }`
fn conditional(node: &Node, cx: &mut Check) -> Reported {
    let at = node.words[1].span.to(node.words[node.words.len() - 1].span);
    cx.report(
        Mistake::new(Code::E0023, at, "`else` takes no matcher")
            .help("put another `when` into its block: else { when MATCHER { … } }"),
    )
}

/// Gives the body of an `else` to the `when` before it.
pub(super) fn join_else(body: &mut Body, node: &Node, cx: &mut Check) {
    let Ok(otherwise) = check_block(node, ELSE.syntax, cx) else { return };
    if node.words.len() > 1 {
        conditional(node, cx);
        return;
    }
    let incomplete = body.incomplete;
    let Some(last) = body.statements.last_mut() else {
        if !incomplete {
            lonely(node, cx);
        }
        return;
    };
    match last.directive.take_else(otherwise) {
        Ok(()) => {}
        Err(_) if last.room.name == WHEN.name => {
            cx.report(
                Mistake::new(Code::E0024, node.words[0].span, "this `when` has an `else` already")
                    .other(last.at, "this one")
                    .help("put both into one block"),
            );
        }
        // Its `when` may be what could not be read.
        Err(_) if incomplete => {}
        Err(_) => {
            lonely(node, cx);
        }
    }
}

impl Directive for Route {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let stake = Stake::of(self.guards(), site.guarded);
        site.route(self.test.question(stake), |site| self.body.compile(site))
    }

    fn always_answers(&self) -> bool {
        matches!(self.test, Expr::Always)
    }

    /// Even an empty route answers: 404.
    fn may_answer(&self) -> bool {
        true
    }

    /// A route without an answer hides what is behind it.
    fn guards(&self) -> bool {
        self.body.guards() || !self.body.may_answer()
    }

    fn takes(&self) -> Option<&Expr> {
        Some(&self.test)
    }

    fn asks(&self) -> Option<&Expr> {
        Some(&self.test)
    }

    fn blocks(&self) -> Vec<&Body> {
        vec![&self.body]
    }
}

impl Directive for When {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let stake = match Stake::of(self.guards(), site.guarded) {
            Stake::Past if self.otherwise.as_ref().is_some_and(Body::may_answer) => Stake::PastEitherWay,
            stake => stake,
        };
        let otherwise = |site: &mut Building<'_>| self.otherwise.as_ref().map_or(Ok(()), |body| body.compile(site));
        site.when(self.test.question(stake), |site| self.then.compile(site), otherwise)
    }

    fn always_answers(&self) -> bool {
        self.then.always_answers() && self.otherwise.as_ref().is_some_and(Body::always_answers)
    }

    fn may_answer(&self) -> bool {
        self.then.may_answer() || self.otherwise.as_ref().is_some_and(Body::may_answer)
    }

    fn asks(&self) -> Option<&Expr> {
        Some(&self.test)
    }

    fn blocks(&self) -> Vec<&Body> {
        std::iter::once(&self.then).chain(&self.otherwise).collect()
    }

    fn take_else(&mut self, otherwise: Body) -> Result<(), Body> {
        if self.otherwise.is_some() {
            return Err(otherwise);
        }
        self.otherwise = Some(otherwise);
        Ok(())
    }
}
