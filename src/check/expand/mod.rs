//! What is settled before anything is checked: the environment, secrets from files, snippets.
//!
//! The outcome holds no `use`, no `snippet` and no `{$NAME}`. What came in from outside is text of one word: it can't
//! bring in tokens, lines or braces, since nothing is parsed again.

mod inline;
mod lines;
mod snippet;

use std::collections::{HashMap, HashSet};

use self::snippet::Snippet;
use super::{Check, near};
use crate::diagnostic::{Code, Mistake, Span, plain};
use crate::syntax::DEEPEST;
use crate::syntax::tree::{Block, Node, Part, Style, Word};

/// What a file may ask of the process that reads it.
pub trait Surroundings {
    fn variable(&self, name: &str) -> Option<String>;
    fn secret(&self, path: &str) -> Result<String, String>;
}

/// The real process: its environment, its disk.
#[derive(Debug)]
pub struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn secret(&self, path: &str) -> Result<String, String> {
        let text = std::fs::read_to_string(path).map_err(|error| plain(&error))?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

struct Expansion<'a> {
    cx: &'a mut Check,
    surroundings: &'a dyn Surroundings,
    snippets: HashMap<String, Snippet>,
    /// Those whose definition has a mistake: who uses them has none.
    broken: HashSet<String>,
    /// A definition lacks its name: it may be any that is used.
    nameless: bool,
    /// The snippets that are being expanded, outermost first.
    open: Vec<String>,
    /// The blocks around what is being expanded.
    blocks: usize,
    spent: usize,
    /// Too much has been spent; that was reported.
    full: bool,
}

/// A snippet that uses two others, each of which uses two others, … : so many bytes of words, and [`NODE`] for each
/// statement, are enough for anyone. With ten thousand sites, that is fifty statements by snippets in each.
const MOST: usize = 100_000_000;
const NODE: usize = 200;

type Values = HashMap<String, Vec<Part>>;

/// Replaces what is known now, all through the tree. Where a `use` could not be replaced, it is left over.
pub fn expand(tree: &Block, surroundings: &dyn Surroundings, cx: &mut Check) -> Vec<Node> {
    let mut expansion = Expansion {
        cx,
        surroundings,
        snippets: HashMap::new(),
        broken: HashSet::new(),
        nameless: false,
        open: Vec::new(),
        blocks: 0,
        spent: 0,
        full: false,
    };
    let rest = expansion.take_snippets(tree);
    let nodes = expansion.nodes(rest, None);
    expansion.report_unused();
    nodes
}

/// Whether this is a `use` that stands for what could not be put in its place: that was reported, and what the block
/// around it holds is not known.
#[must_use]
pub fn is_left_over(node: &Node) -> bool {
    node.name() == "use"
}

impl Expansion<'_> {
    fn nodes<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>, values: Option<&Values>) -> Vec<Node> {
        let mut expanded = Vec::new();
        for node in nodes {
            match node.name() {
                "snippet" => self.misplaced(node),
                "use" => {
                    let before = expanded.len();
                    if self.inline(node, values, &mut expanded).is_err() {
                        expanded.truncate(before);
                        expanded.push(left_over(node));
                        self.cx.lose();
                    }
                }
                _ if node.block.is_some() && self.blocks >= DEEPEST => {
                    self.too_deep(node);
                    self.cx.lose();
                    expanded.push(left_over(node));
                }
                _ => expanded.push(self.node(node, values)),
            }
            if self.full {
                break;
            }
        }
        expanded
    }

    /// Only snippets bring in what the parser has not seen in its place.
    fn too_deep(&mut self, node: &Node) {
        self.cx.report(
            Mistake::new(
                Code::E0008,
                node.words[0].span,
                format!("with the snippets that use this one, blocks are nested deeper than {DEEPEST}"),
            )
            .help("use fewer snippets inside the blocks of others"),
        );
    }

    /// Whether so many bytes more may be made.
    fn spend(&mut self, bytes: usize, at: Span) -> Result<(), ()> {
        // What was written out is as long as its file.
        if self.open.is_empty() {
            return Ok(());
        }
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > MOST && !self.full {
            self.full = true;
            self.cx.report(
                Mistake::new(Code::E0008, at, "snippets make more of this file than anyone could mean")
                    .label("here it is half a million statements, or a hundred megabytes")
                    .help("use fewer snippets inside snippets"),
            );
        }
        if self.full { Err(()) } else { Ok(()) }
    }

    /// Those of the top level were taken before.
    fn misplaced(&mut self, node: &Node) {
        self.cx.report(
            Mistake::new(Code::E0027, node.words[0].span, "a snippet is defined at the top level, not inside a block")
                .help("move it out of the block"),
        );
    }

    fn node(&mut self, node: &Node, values: Option<&Values>) -> Node {
        let _ = self.spend(NODE, node.span);
        let words = node.words.iter().flat_map(|word| self.words(word, values)).collect();
        let block = node.block.as_ref().map(|block| {
            self.blocks += 1;
            let nodes = self.nodes(&block.nodes, values);
            self.blocks -= 1;
            Block { nodes, span: block.span, one_line: block.one_line, ..Block::default() }
        });
        Node { comments: Vec::new(), words, block, trailing: None, ..*node }
    }

    fn word(&mut self, word: &Word, values: Option<&Values>) -> Word {
        let mut parts: Vec<Part> = Vec::with_capacity(word.parts.len());
        for part in &word.parts {
            let more = match self.part(part, values) {
                Resolved::Same => vec![part.clone()],
                Resolved::Text(text) => vec![Part::Text(text)],
                Resolved::Parts(more) => more,
            };
            if self.spend(more.iter().map(length).sum(), word.span).is_ok() {
                more.into_iter().for_each(|part| push(&mut parts, part));
            }
        }
        Word { parts, style: word.style, span: word.span }
    }

    fn part(&mut self, part: &Part, values: Option<&Values>) -> Resolved {
        match part {
            // Those are words of their own.
            Part::Text(_) | Part::Lines { .. } => Resolved::Same,
            Part::Environment { name, default, span } => match (self.surroundings.variable(name), default) {
                (Some(value), _) => Resolved::Text(value),
                (None, Some(default)) => Resolved::Text(default.clone()),
                (None, None) => {
                    self.cx.report(
                        Mistake::new(Code::E0032, *span, format!("the environment has no `{name}`"))
                            .help(format!("set it, or give a default: `{{${name}:default}}`")),
                    );
                    Resolved::Same
                }
            },
            Part::File { path, span } => match self.surroundings.secret(path) {
                Ok(secret) => Resolved::Text(secret),
                Err(why) => {
                    self.cx.report(
                        Mistake::new(Code::E0053, *span, format!("cannot read `{path}`: {why}"))
                            .help("name a file that this user can read"),
                    );
                    Resolved::Same
                }
            },
            Part::Placeholder { name, span } => {
                let Some(argument) = name.strip_prefix("arg.") else { return Resolved::Same };
                match values.and_then(|values| values.get(argument)) {
                    Some(parts) => Resolved::Parts(parts.clone()),
                    None => {
                        self.unknown_argument(argument, *span, values);
                        Resolved::Text(String::new())
                    }
                }
            }
        }
    }

    fn unknown_argument(&mut self, name: &str, at: Span, values: Option<&Values>) {
        let mistake = match values {
            None => Mistake::new(Code::E0012, at, format!("`{{arg.{name}}}` has a value only inside a snippet"))
                .help("move the statement into a snippet that has this parameter"),
            Some(values) => {
                let mistake = Mistake::new(Code::E0012, at, format!("this snippet has no parameter `{name}`"));
                match near::nearest(name, values.keys().map(String::as_str)) {
                    Some(near) => {
                        let near = format!("{{arg.{near}}}");
                        mistake.meant(&format!("{{arg.{name}}}"), &near).help(format!("write `{near}`"))
                    }
                    None => mistake.help(format!("name it in the snippet's head: snippet NAME({name}) {{ … }}")),
                }
            }
        };
        self.cx.report(mistake);
    }
}

/// Bytes of a part, more or less.
fn length(part: &Part) -> usize {
    match part {
        Part::Text(text)
        | Part::Placeholder { name: text, .. }
        | Part::File { path: text, .. }
        | Part::Lines { path: text, .. } => text.len(),
        Part::Environment { name, default, .. } => name.len() + default.as_ref().map_or(0, String::len),
    }
}

/// Stands where something could not be put.
fn left_over(node: &Node) -> Node {
    let span = node.words[0].span;
    let word = Word { parts: vec![Part::Text("use".to_owned())], style: Style::Bare, span };
    Node {
        comments: Vec::new(),
        blank_before: false,
        words: vec![word],
        block: None,
        trailing: None,
        span,
        used_at: None,
    }
}

enum Resolved {
    Same,
    Text(String),
    Parts(Vec<Part>),
}

/// Neighbouring texts become one, so that a word without placeholders is one part.
fn push(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Text(last)), Part::Text(text)) => last.push_str(&text),
        (_, part) => parts.push(part),
    }
}
