//! `handle_errors`: another pipeline, for when something above it failed.

use super::body::{Body, check_block};
use super::{Directive, Room};
use crate::check::value::StatusMatch;
use crate::check::{Check, Reported};
use crate::diagnostic::Mistake;
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "handle_errors",
    syntax: "handle_errors [STATUS|CLASS …] { … }",
    summary: "answers when something above it in the same block failed",
    doc: "Its statements run in place of the plain error answer, for failures with one of these statuses, or for all where it names none. An answer with status 200 gets the status of what failed. `{error.status}`, `{error.reason}` and `{error.code}` say what it was.\n\nWhat an upstream answers passes as it is, unless `reverse_proxy` has `intercept`.",
    options: &[],
    examples: &[
        "handle_errors 5xx { respond \"we will be back soon\" }",
        "handle_errors 404 { file_server /var/www/errors { try_files /404.html } }",
    ],
    related: &["respond", "file_server", "reverse_proxy"],
    check,
};

#[derive(Debug)]
struct HandleErrors {
    statuses: Vec<StatusMatch>,
    body: Body,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let statuses = node.words[1..].iter().map(|word| cx.value(word)).collect::<Result<_, _>>();
    let body = check_block(node, ROOM.syntax, cx)?;
    Ok(Box::new(HandleErrors { statuses: statuses?, body }))
}

impl Directive for HandleErrors {
    /// Whoever comes here is out already.
    fn guards(&self) -> bool {
        false
    }

    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.handle(self.statuses.clone(), |site| self.body.compile(site))
    }

    fn blocks(&self) -> Vec<&Body> {
        vec![&self.body]
    }

    fn runs_on_failure(&self) -> bool {
        true
    }
}
