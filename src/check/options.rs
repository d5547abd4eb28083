//! The statements of an option block, read against the room's own table.

use super::expand::is_left_over;
use super::habit::{self, Place};
use super::{Check, Reported, known, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::Node;

/// One option of a directive: what `rp help`, the manual, completion and "did you mean" know of it.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    pub name: &'static str,
    /// With its arguments: `timeout connect DURATION`.
    pub syntax: &'static str,
    /// One sentence, with the default.
    pub doc: &'static str,
    /// May be given more than once.
    pub repeats: bool,
    /// What its own block may hold.
    pub options: &'static [Opt],
    /// The words that its first argument may be, each with what it means.
    pub kinds: &'static [(&'static str, &'static str)],
    /// The arguments that it has where it is not given, a line for each of its kinds; none where they depend on what is
    /// around it.
    pub defaults: &'static [&'static str],
}

impl Opt {
    #[must_use]
    pub const fn once(name: &'static str, syntax: &'static str, doc: &'static str) -> Self {
        Self { name, syntax, doc, repeats: false, options: &[], kinds: &[], defaults: &[] }
    }

    #[must_use]
    pub const fn many(name: &'static str, syntax: &'static str, doc: &'static str) -> Self {
        Self { name, syntax, doc, repeats: true, options: &[], kinds: &[], defaults: &[] }
    }

    /// With an explanation of each word that it may begin with.
    #[must_use]
    pub const fn kinds(self, kinds: &'static [(&'static str, &'static str)]) -> Self {
        Self { kinds, ..self }
    }

    /// With what it is where it is not given.
    #[must_use]
    pub const fn by_default(self, defaults: &'static [&'static str]) -> Self {
        Self { defaults, ..self }
    }

    /// With a block of these.
    #[must_use]
    pub const fn with(self, options: &'static [Opt]) -> Self {
        Self { options, ..self }
    }
}

impl Check {
    /// Reads the block of `node`, if it has one: each statement is looked up in `table`, unknown and repeated ones are
    /// reported, and `each` reads the others.
    pub fn options(
        &mut self,
        node: &Node,
        table: &'static [Opt],
        mut each: impl FnMut(&Opt, &Node, &mut Check) -> Result<(), Reported>,
    ) -> Result<(), Reported> {
        let Some(block) = &node.block else { return Ok(()) };
        let mut seen: Vec<(&str, Span)> = Vec::new();
        let mut outcome = Ok(());
        for inner in habit::without_comments(&block.nodes, self).into_iter().filter(|inner| !is_left_over(inner)) {
            let result = self.option(node, inner, table, &mut seen).and_then(|option| each(option, inner, self));
            outcome = outcome.and(result);
        }
        outcome
    }

    fn option(
        &mut self,
        node: &Node,
        inner: &Node,
        table: &'static [Opt],
        seen: &mut Vec<(&'static str, Span)>,
    ) -> Result<&'static Opt, Reported> {
        let name = inner.name();
        let Some(option) = table.iter().find(|option| option.name == name) else {
            return Err(self.report(unknown(node, inner, table)));
        };
        habit::odd(inner, self)?;
        if let Some((_, first)) = seen.iter().find(|(seen, _)| *seen == name).filter(|_| !option.repeats) {
            return Err(self.report(
                Mistake::new(Code::E0024, inner.words[0].span, format!("`{name}` is said twice"))
                    .other(*first, "first said here")
                    .help("remove one of them"),
            ));
        }
        seen.push((option.name, inner.words[0].span));
        Ok(option)
    }
}

fn unknown(node: &Node, inner: &Node, table: &'static [Opt]) -> Mistake {
    let (owner, name) = (node.name(), inner.name());
    let mistake = Mistake::new(Code::E0011, inner.words[0].span, format!("`{owner}` has no option `{name}`"));
    let names = || table.iter().map(|option| option.name);
    let place = HABITS.iter().find(|place| **place == owner).map(|owner| Place::In(owner));
    if let Some((place, habit)) = place.and_then(|place| Some((place, habit::find(place, inner)?))) {
        return habit.advise(place, inner, mistake);
    }
    if owner == "upstream" && name.contains(['.', ':']) && !name.ends_with(':') {
        return mistake.help(format!("write: server {name}"));
    }
    if let Some(known) = habit::respelt(name, names()) {
        let help = format!("write: {}", habit::statement(known, &inner.words[1..], inner));
        return mistake.meant(name, known).help(help);
    }
    match near::nearest(name, names()) {
        Some(near) => mistake.meant(name, near).help(format!("write: {}", syntax(table, near))),
        None => mistake.help(known("option", names())),
    }
}

/// Blocks whose options have other names elsewhere.
const HABITS: &[&str] =
    &["reverse_proxy", "upstream", "global", "log", "file_server", "encode", "cors", "tls", "client_auth"];

fn syntax(table: &'static [Opt], name: &str) -> &'static str {
    table.iter().find(|option| option.name == name).map_or("", |option| option.syntax)
}
