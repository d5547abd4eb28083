//! What is settled before anything is checked: the environment, secrets from files, snippets.
//!
//! The outcome holds no `use`, no `snippet` and no `{$NAME}`. What came in from outside is text of one word: it can't
//! bring in tokens, lines or braces, since nothing is parsed again.

use std::collections::{HashMap, HashSet};

use super::{Check, Reported, known, near};
use crate::diagnostic::{Code, Mistake, Span, plain};
use crate::syntax::tree::{Block, Node, Part, Word};

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

struct Parameter {
    name: String,
    at: Span,
    default: Option<Vec<Part>>,
}

struct Snippet {
    at: Span,
    parameters: Vec<Parameter>,
    body: Vec<Node>,
    used: bool,
}

struct Expansion<'a> {
    cx: &'a mut Check,
    surroundings: &'a dyn Surroundings,
    snippets: HashMap<String, Snippet>,
    /// Those whose definition has a mistake: who uses them has none.
    broken: HashSet<String>,
    /// The snippets that are being expanded, outermost first.
    open: Vec<String>,
    nodes: usize,
}

/// A snippet that uses two others, each of which uses two others, … : this many statements are enough for anyone.
const MOST_NODES: usize = 5_000_000;

type Values = HashMap<String, Vec<Part>>;

/// Replaces what is known now, all through the tree.
pub fn expand(tree: &Block, surroundings: &dyn Surroundings, cx: &mut Check) -> Vec<Node> {
    let mut expansion =
        Expansion { cx, surroundings, snippets: HashMap::new(), broken: HashSet::new(), open: Vec::new(), nodes: 0 };
    let (snippets, rest): (Vec<&Node>, Vec<&Node>) = tree.nodes.iter().partition(|node| node.name() == "snippet");
    for node in snippets {
        if expansion.define(node).is_err()
            && let Some(name) = node.words.get(1).and_then(Word::plain)
        {
            expansion.broken.insert(name.to_owned());
        }
    }
    let nodes = expansion.nodes(rest, None);
    expansion.report_unused();
    nodes
}

impl Expansion<'_> {
    fn define(&mut self, node: &Node) -> Result<(), Reported> {
        const SYNTAX: &str = "snippet NAME(PARAMETER, …) { … }";
        let Some(name) = node.words.get(1) else {
            return Err(self.cx.report(
                Mistake::new(Code::E0022, node.span, "`snippet` wants a name").help(format!("write: {SYNTAX}")),
            ));
        };
        let text = self.cx.plain(name)?.to_owned();
        let parameters = self.parameters(&node.words[2..])?;
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
        self.snippets.insert(text, Snippet { at: name.span, parameters, body: block.nodes.clone(), used: false });
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

    fn nodes<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>, values: Option<&Values>) -> Vec<Node> {
        let mut expanded = Vec::new();
        for node in nodes {
            match node.name() {
                "snippet" => self.misplaced(node),
                "use" => {
                    let _ = self.inline(node, values, &mut expanded);
                }
                _ => expanded.push(self.node(node, values)),
            }
        }
        expanded
    }

    /// Those of the top level were taken before.
    fn misplaced(&mut self, node: &Node) {
        self.cx.report(
            Mistake::new(Code::E0027, node.words[0].span, "a snippet is defined at the top level, not inside a block")
                .help("move it out of the block"),
        );
    }

    fn node(&mut self, node: &Node, values: Option<&Values>) -> Node {
        self.nodes += 1;
        Node {
            comments: Vec::new(),
            blank_before: node.blank_before,
            words: node.words.iter().map(|word| self.word(word, values)).collect(),
            block: node.block.as_ref().map(|block| Block {
                nodes: self.nodes(&block.nodes, values),
                span: block.span,
                one_line: block.one_line,
                ..Block::default()
            }),
            trailing: None,
            span: node.span,
        }
    }

    fn word(&mut self, word: &Word, values: Option<&Values>) -> Word {
        let mut parts: Vec<Part> = Vec::with_capacity(word.parts.len());
        for part in &word.parts {
            match self.part(part, values) {
                Resolved::Same => push(&mut parts, part.clone()),
                Resolved::Text(text) => push(&mut parts, Part::Text(text)),
                Resolved::Parts(more) => more.into_iter().for_each(|part| push(&mut parts, part)),
            }
        }
        Word { parts, style: word.style, span: word.span }
    }

    fn part(&mut self, part: &Part, values: Option<&Values>) -> Resolved {
        match part {
            Part::Text(_) => Resolved::Same,
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
                        mistake.label(format!("did you mean `{near}`?")).help(format!("write `{{arg.{near}}}`"))
                    }
                    None => mistake.help(format!("name it in the snippet's head: snippet NAME({name}) {{ … }}")),
                }
            }
        };
        self.cx.report(mistake);
    }

    /// `use NAME value name=value`: the snippet's statements, in place.
    fn inline(&mut self, node: &Node, values: Option<&Values>, into: &mut Vec<Node>) -> Result<(), Reported> {
        let Some(name) = node.words.get(1) else {
            return Err(self.cx.report(
                Mistake::new(Code::E0022, node.span, "`use` wants the name of a snippet")
                    .help("write: use NAME VALUE …"),
            ));
        };
        let text = self.cx.plain(name)?.to_owned();
        let Some(snippet) = self.snippets.get_mut(&text) else {
            return Err(self.unknown_snippet(&text, name.span));
        };
        snippet.used = true;
        let (at, body) = (snippet.at, snippet.body.clone());
        super::arguments::no_block(node, self.cx)?;
        if self.open.contains(&text) {
            let chain = self.open.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ");
            return Err(self.cx.report(
                Mistake::new(Code::E0034, name.span, format!("snippet `{text}` uses itself: {chain} → `{text}`"))
                    .other(at, "defined here")
                    .help("take one of these `use` out"),
            ));
        }
        if self.nodes > MOST_NODES {
            return Err(self.cx.report(
                Mistake::new(Code::E0008, node.span, "snippets make more than five million statements of this file")
                    .help("use fewer snippets inside snippets"),
            ));
        }
        let words: Vec<Word> = node.words[2..].iter().map(|word| self.word(word, values)).collect();
        let given = self.bind(&text, &words, node.span)?;
        self.open.push(text);
        into.extend(self.nodes(&body, Some(&given)));
        self.open.pop();
        Ok(())
    }

    fn unknown_snippet(&mut self, name: &str, at: Span) -> Reported {
        if self.broken.contains(name) {
            return self.cx.reported_before();
        }
        let mistake = Mistake::new(Code::E0015, at, format!("there is no snippet `{name}`"));
        let near = near::nearest(name, self.snippets.keys().map(String::as_str)).map(str::to_owned);
        let mistake = match near {
            Some(near) => {
                // That it is unused would be the same mistake, told a second time.
                self.snippets.entry(near.clone()).and_modify(|snippet| snippet.used = true);
                mistake.label(format!("did you mean `{near}`?")).help(format!("write: use {near}"))
            }
            None if self.snippets.is_empty() => {
                mistake.help(format!("define it at the top level: snippet {name} {{ … }}"))
            }
            None => {
                let mut names: Vec<&str> = self.snippets.keys().map(String::as_str).collect();
                names.sort_unstable();
                mistake.help(known("snippet", names))
            }
        };
        self.cx.report(mistake)
    }

    fn bind(&mut self, snippet: &str, words: &[Word], at: Span) -> Result<Values, Reported> {
        let parameters = &self.snippets[snippet].parameters;
        let mut values = Values::new();
        let mut positions = parameters.iter();
        for word in words {
            let given = named(word).filter(|(name, _)| parameters.iter().any(|p| p.name == *name));
            let (name, parts) = match given {
                Some((name, parts)) => (name, parts),
                None => match positions.find(|p| !values.contains_key(&p.name)) {
                    Some(parameter) => (parameter.name.clone(), word.parts.clone()),
                    None => {
                        let (sentence, help) = if parameters.is_empty() {
                            ("no", format!("write: use {snippet}"))
                        } else {
                            ("no more", known("parameter", parameters.iter().map(|p| p.name.as_str())))
                        };
                        return Err(self.cx.report(
                            Mistake::new(
                                Code::E0023,
                                word.span,
                                format!("snippet `{snippet}` takes {sentence} arguments"),
                            )
                            .other(self.snippets[snippet].at, "defined here")
                            .help(help),
                        ));
                    }
                },
            };
            if values.insert(name.clone(), parts).is_some() {
                return Err(self.cx.report(
                    Mistake::new(Code::E0024, word.span, format!("`{name}` is given twice")).help("remove one of them"),
                ));
            }
        }
        for parameter in parameters {
            if values.contains_key(&parameter.name) {
                continue;
            }
            let Some(default) = &parameter.default else {
                let name = &parameter.name;
                let mistake = Mistake::new(Code::E0022, at, format!("snippet `{snippet}` wants a value for `{name}`"));
                return Err(self.cx.report(
                    mistake
                        .other(self.snippets[snippet].at, "defined here")
                        .help(format!("write: use {snippet} {name}=VALUE")),
                ));
            };
            values.insert(parameter.name.clone(), default.clone());
        }
        Ok(values)
    }

    fn report_unused(&mut self) {
        let mut unused: Vec<_> =
            self.snippets.iter().filter(|(_, s)| !s.used).map(|(name, s)| (s.at, name.clone())).collect();
        unused.sort();
        for (at, name) in unused {
            self.cx.report(
                Mistake::new(Code::W0006, at, format!("nothing uses snippet `{name}`"))
                    .help(format!("write `use {name}` where its statements belong, or remove it")),
            );
        }
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

/// `name=value`: the name, and what stands behind the sign.
fn named(word: &Word) -> Option<(String, Vec<Part>)> {
    let Some(Part::Text(first)) = word.parts.first() else { return None };
    let (name, value) = first.split_once('=')?;
    if word.style != crate::syntax::tree::Style::Bare
        || name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return None;
    }
    let mut parts = vec![Part::Text(value.to_owned())];
    parts.extend(word.parts[1..].iter().cloned());
    Some((name.to_owned(), parts))
}
