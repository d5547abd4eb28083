//! The directives: one room each. This table is all that the rest of the house knows of them.

mod ambiguous_paths;
pub mod basic_auth;
pub mod bind;
mod body;
mod cors;
#[cfg(test)]
mod default_tests;
mod effect;
pub mod encode;
mod file_server;
mod handle_errors;
pub mod header;
mod hidden;
mod hsts;
mod late;
pub mod limit;
pub mod log;
mod max_body;
pub mod passthrough;
mod prefix;
pub mod rate_limit;
mod reach;
mod redirect;
mod require;
mod respond;
pub mod reverse_proxy;
mod rewrite;
mod route;
mod secret;
mod security_headers;
#[cfg(test)]
mod testing;
pub mod tls;
mod undone;
pub mod upstream;
mod vacant;

use std::fmt;

pub use body::{Body, check_block, check_nodes};
pub use effect::Effect;
pub use late::late;
pub use secret::{SECRET_FIELDS, secrets};
pub use vacant::vacant;

use crate::check::{Check, Opt, Reported};
use crate::diagnostic::{Mistake, Span, Written};
use crate::site::Building;
use crate::syntax::tree::Node;

/// What a room tells of itself: `rp help`, the manual, completion and "did you mean" read nothing else.
#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Some paragraphs: what it does, and why its defaults are what they are.
    pub doc: &'static str,
    pub options: &'static [Opt],
    /// Whole statements as they stand in a site.
    pub examples: &'static [&'static str],
    /// Whose pages help further: names of rooms, or of statements at the top level.
    pub related: &'static [&'static str],
    pub check: Checker,
}

/// Tree → model. Reports every mistake it finds.
pub type Checker = fn(&Node, &mut Check) -> Result<Box<dyn Directive>, Reported>;

/// A checked statement.
pub trait Directive: fmt::Debug + Send + Sync {
    /// Model → running code. Only the outside world can fail here.
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake>;

    /// Every request that comes here is answered here.
    fn always_answers(&self) -> bool {
        false
    }

    /// Some request may be answered here.
    fn may_answer(&self) -> bool {
        self.always_answers()
    }

    /// Runs only when something above it fails, so nothing covers it.
    fn runs_on_failure(&self) -> bool {
        false
    }

    /// What it does, as far as anything is proved from it.
    fn effect(&self) -> Effect<'_> {
        Effect::Other
    }

    /// The paths, methods and hosts that go in here and never come out, if a `route`.
    fn takes(&self) -> Option<&crate::matcher::Expr> {
        None
    }

    /// What it asks of a request, if a `route` or `when`.
    fn asks(&self) -> Option<&crate::matcher::Expr> {
        None
    }

    /// Whether it keeps somebody out, or something inside it does. What leads to it is asked by every spelling of a path.
    fn guards(&self) -> bool {
        self.blocks().into_iter().any(Body::guards)
    }

    /// The statements inside it, block by block.
    fn blocks(&self) -> Vec<&Body> {
        Vec::new()
    }

    /// Joins the body of an `else`; gives it back where this is no `when` that lacks one.
    fn take_else(&mut self, otherwise: Body) -> Result<(), Body> {
        Err(otherwise)
    }

    /// What the site's front doors want to know of it (`tls`, `bind`, `log`, `passthrough`).
    fn front(&self) -> Option<Front<'_>> {
        None
    }
}

/// Statements that settle how a site is reached rather than what it does with a request.
#[derive(Debug)]
pub enum Front<'a> {
    Bind(&'a [bind::BindTo]),
    Tls(&'a tls::TlsModel),
    Log(&'a log::LogModel),
    Passthrough(&'a passthrough::PassthroughModel),
}

/// A statement that was checked, with its place.
#[derive(Debug)]
pub struct Statement {
    /// Its name.
    pub at: Span,
    /// From its name to the word before its block.
    pub head: Span,
    /// The same as text, with the arguments of snippets in their places.
    pub text: Box<str>,
    /// The options in its block, as lines of text.
    pub options: Box<[Line]>,
    pub room: &'static Room,
    /// The `use` that it comes from, if a snippet brought it.
    pub used_at: Written,
    pub directive: Box<dyn Directive>,
}

/// A line of an option block, to be shown. It says nothing of what is meant, so it leaves no mark in what is compared.
#[derive(Clone)]
pub struct Line {
    pub text: Box<str>,
    pub at: Span,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

impl Line {
    /// Those of a statement's block.
    #[must_use]
    pub fn of(node: &Node) -> Box<[Line]> {
        let inner = node.block.iter().flat_map(|block| &block.nodes);
        inner.map(|node| Self { text: whole(node).into(), at: node.words[0].span }).collect()
    }
}

/// A statement with what stands in its block, in one line.
fn whole(node: &Node) -> String {
    let Some(block) = &node.block else { return node.written() };
    let inner: Vec<String> = block.nodes.iter().map(whole).collect();
    format!("{} {{ {} }}", node.written(), inner.join("; "))
}

/// All rooms, in the order of the manual.
pub static ROOMS: &[&Room] = &[
    &route::ROUTE,
    &route::WHEN,
    &route::ELSE,
    &handle_errors::ROOM,
    &reverse_proxy::ROOM,
    &passthrough::ROOM,
    &respond::ROOM,
    &redirect::ROOM,
    &header::ROOM,
    &security_headers::ROOM,
    &hsts::ROOM,
    &cors::ROOM,
    &rewrite::ROOM,
    &prefix::STRIP,
    &prefix::ADD,
    &ambiguous_paths::ROOM,
    &max_body::ROOM,
    &limit::ROOM,
    &require::ROOM,
    &encode::ROOM,
    &rate_limit::ROOM,
    &basic_auth::ROOM,
    &file_server::ROOM,
    &tls::ROOM,
    &bind::ROOM,
    &log::ROOM,
];

/// The room of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().copied().find(|room| room.name == name)
}
