//! `snippet NAME(PARAMETER, …) { … }`: statements by name.

use std::rc::Rc;

use super::Expansion;
use crate::check::{Reported, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Block, Node, Part, Style, Word};

pub(super) struct Parameter {
    pub name: String,
    at: Span,
    pub default: Option<Vec<Part>>,
}

pub(super) struct Snippet {
    pub at: Span,
    pub parameters: Vec<Parameter>,
    pub body: Rc<[Node]>,
    pub used: bool,
}

/// Parameters of one snippet: each use looks through all of them.
const MOST_PARAMETERS: usize = 100;

impl Expansion<'_> {
    /// Takes the snippets of the top level out; what is left.
    pub(super) fn take_snippets<'t>(&mut self, tree: &'t Block) -> Vec<&'t Node> {
        let mut rest = Vec::new();
        let mut headless = false;
        for node in &tree.nodes {
            let is_snippet = node.name() == "snippet";
            if !is_snippet && headless && belongs_inside(node) {
                continue;
            }
            // What stands on the lines below a head without its `{` was meant to be its body.
            headless = is_snippet && node.block.is_none();
            if is_snippet {
                if self.define(node).is_err() {
                    self.misread(node);
                }
                continue;
            }
            // That it is no `snippet` is for the reader of the top level to say.
            if node.words.len() > 1 && node.block.is_some() && near::nearest(node.name(), ["snippet"]).is_some() {
                self.misread(node);
            }
            rest.push(node);
        }
        rest
    }

    /// Whoever uses what could not be read makes no mistake.
    fn misread(&mut self, node: &Node) {
        match node.words.get(1).and_then(Word::plain).filter(|_| node.words[1].style != Style::Punctuation) {
            Some(name) => drop(self.broken.insert(name.to_owned())),
            None => self.nameless = true,
        }
    }

    fn define(&mut self, node: &Node) -> Result<(), Reported> {
        const SYNTAX: &str = "snippet NAME(PARAMETER, …) { … }";
        let Some(name) = node.words.get(1) else {
            return Err(self.cx.report(
                Mistake::new(Code::E0022, node.span, "`snippet` wants a name").help(format!("write: {SYNTAX}")),
            ));
        };
        let name = self.word(name, None);
        let text = self.cx.plain(&name)?.to_owned();
        let words: Vec<Word> = node.words[2..].iter().map(|word| self.word(word, None)).collect();
        let parameters = self.parameters(&words)?;
        let Some(block) = &node.block else {
            return Err(self.cx.report(
                Mistake::new(Code::E0025, node.span, format!("snippet `{text}` has no block"))
                    .help(format!("write: snippet {text} {{ … }}")),
            ));
        };
        if let Some(first) = self.snippets.get(&text) {
            let mistake = Mistake::new(Code::E0024, name.span, format!("snippet `{text}` is defined twice"));
            return Err(self
                .cx
                .report(mistake.other(first.at, "first defined here").help("give one of them another name")));
        }
        self.snippets
            .insert(text, Snippet { at: name.span, parameters, body: block.nodes.clone().into(), used: false });
        Ok(())
    }

    fn parameters(&mut self, words: &[Word]) -> Result<Vec<Parameter>, Reported> {
        let inner = match words {
            [] => return Ok(Vec::new()),
            [open, inner @ .., close] if open.is_punctuation("(") && close.is_punctuation(")") => inner,
            _ => {
                return Err(self.cx.report(
                    Mistake::new(Code::E0023, words[0].span, "a snippet's parameters stand in parentheses")
                        .help("write: snippet NAME(first, second) { … }"),
                ));
            }
        };
        if let Some(word) = inner.iter().filter(|word| !word.is_punctuation(",")).nth(MOST_PARAMETERS) {
            return Err(self.cx.report(
                Mistake::new(Code::E0023, word.span, format!("a snippet has at most {MOST_PARAMETERS} parameters"))
                    .help("make several snippets of it"),
            ));
        }
        let mut parameters = Vec::new();
        for word in inner.iter().filter(|word| !word.is_punctuation(",")) {
            let (name, default) = named(word)
                .map_or((word.plain().unwrap_or_default().to_owned(), None), |(name, value)| (name, Some(value)));
            let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if name.is_empty() || !fits {
                return Err(self.cx.report(
                    Mistake::new(Code::E0020, word.span, format!("`{name}` is not the name of a parameter"))
                        .help("write lower-case letters, digits and `_`: `max_age`, or `max_age=60` with a default"),
                ));
            }
            if let Some(first) = parameters.iter().find(|known: &&Parameter| known.name == name) {
                return Err(self.cx.report(
                    Mistake::new(Code::E0024, word.span, format!("parameter `{name}` is named twice"))
                        .other(first.at, "first named here")
                        .help("remove one of them"),
                ));
            }
            parameters.push(Parameter { name, at: word.span, default });
        }
        Ok(parameters)
    }
}

/// Not what can only stand at the top level. A line between them is all that tells a site without a dot apart.
fn belongs_inside(node: &Node) -> bool {
    let name = node.name();
    let top = ["global", "upstream", "import", "use", "localhost"];
    !node.blank_before && !name.starts_with('@') && !name.contains(['.', ':']) && !top.contains(&name)
}

/// `name=value`: the name, and what stands behind the sign.
pub(super) fn named(word: &Word) -> Option<(String, Vec<Part>)> {
    let Some(Part::Text(first)) = word.parts.first() else { return None };
    let (name, value) = first.split_once('=')?;
    if word.style != Style::Bare
        || name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return None;
    }
    let mut parts = vec![Part::Text(value.to_owned())];
    parts.extend(word.parts[1..].iter().cloned());
    Some((name.to_owned(), parts))
}
