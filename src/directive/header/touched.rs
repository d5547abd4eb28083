//! Which fields a `header` touches, and how: what the checker reasons about.

use std::fmt;

use crate::diagnostic::Span;
use crate::syntax::tree::{Node, Part, Word};

/// All that one `header` does, in written order.
pub struct Changes {
    /// Of the request's fields; else of the answer's.
    pub of_request: bool,
    pub touches: Vec<Touch>,
}

/// Whose fields they are. All else the operations themselves say, and these have places, which mean nothing.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.of_request { "request" } else { "answer" })
    }
}

/// One operation on one field.
#[derive(Debug)]
pub struct Touch {
    pub at: Span,
    pub how: How,
    /// As it was written; for [`How::RemovesBelow`] without its `*`.
    pub shown: Box<str>,
    /// In lower case.
    pub name: Box<str>,
    /// The fields of the same message that its value is made of, in lower case.
    pub reads: Vec<Box<str>>,
    /// The `use` that it comes from.
    pub used_at: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Sets,
    Adds,
    SetsIfAbsent,
    Removes,
    /// All whose names begin so.
    RemovesBelow,
    Replaces,
}

impl How {
    /// Its name in a Proxyfile.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Sets => "set",
            Self::Adds => "add",
            Self::SetsIfAbsent => "set_if_absent",
            Self::Removes | Self::RemovesBelow => "remove",
            Self::Replaces => "replace",
        }
    }
}

/// The touches of an operation that was read without a mistake.
pub(super) fn of(node: &Node, of_request: bool) -> Vec<Touch> {
    let how = match node.name() {
        "set" => How::Sets,
        "add" => How::Adds,
        "set_if_absent" => How::SetsIfAbsent,
        "remove" => How::Removes,
        _ => How::Replaces,
    };
    let names = if how == How::Removes { &node.words[1..] } else { &node.words[1..2] };
    let reads: Vec<Box<str>> = if how == How::Removes {
        Vec::new()
    } else {
        node.words[2..].iter().flat_map(|word| reads(word, of_request)).collect()
    };
    let touch = |word: &Word| {
        let text = word.plain().unwrap_or_default();
        let (shown, how) = match text.strip_suffix('*') {
            Some(stem) => (stem, How::RemovesBelow),
            None => (text, how),
        };
        let at =
            if node.words.len() > 2 && how.verb() == "remove" { word.span } else { node.words[0].span.to(word.span) };
        let name = shown.to_ascii_lowercase().into();
        Touch { at, how, shown: shown.into(), name, reads: reads.clone(), used_at: node.used_at }
    };
    names.iter().map(touch).collect()
}

fn reads(word: &Word, of_request: bool) -> impl Iterator<Item = Box<str>> {
    word.parts.iter().filter_map(move |part| {
        let Part::Placeholder { name, .. } = part else { return None };
        if !of_request {
            return name.strip_prefix("response.header.").map(|name| name.to_ascii_lowercase().into());
        }
        if name.starts_with("cookie.") {
            return Some("cookie".into());
        }
        name.strip_prefix("header.").map(|name| name.to_ascii_lowercase().into())
    })
}
