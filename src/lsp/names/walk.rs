//! The walk that finds names.

use std::collections::HashMap;

use super::{Kind, Names, Occurrence};
use crate::diagnostic::{FileId, Span};
use crate::lsp::configuration::Configuration;
use crate::lsp::place::Place;
use crate::syntax::DEEPEST;
use crate::syntax::tree::{Block, Node, Part, Style, Word};

/// Statements that are walked at most: snippets that use snippets double with every level.
const MOST: usize = 500_000;

/// What a parameter stands for: the text, and where it was written.
type Values = HashMap<String, (String, Span)>;

struct Walk<'c> {
    configuration: &'c Configuration,
    names: Names,
    snippets: HashMap<&'c str, &'c Node>,
    /// Snippets that are being walked, outermost first.
    open: Vec<&'c str>,
    /// Blocks around the statement, snippets' in their places.
    depth: usize,
    steps: usize,
}

pub(super) fn walk(configuration: &Configuration) -> Names {
    let mut walk =
        Walk { configuration, names: Names::default(), snippets: HashMap::new(), open: Vec::new(), depth: 0, steps: 0 };
    walk.names.scopes.push(None);
    let tree = configuration.tree(0);
    let top = walk.statements(tree, Place::Top, 0, 0);
    for node in top.iter().filter(|node| node.name() == "snippet") {
        if let (Some(name), Some(_)) = (node.words.get(1).and_then(Word::plain), &node.block) {
            walk.snippets.entry(name).or_insert(node);
        }
    }
    walk.nodes(&top, Place::Top, 0, &Values::new());
    walk.unused();
    walk.names
}

impl<'c> Walk<'c> {
    /// The statements of a block, with those of its imports in their places.
    fn statements(&mut self, block: &'c Block, place: Place, scope: usize, depth: usize) -> Vec<&'c Node> {
        self.names.blocks.entry(block.span).or_default().insert(scope);
        let mut all = Vec::with_capacity(block.nodes.len());
        for node in &block.nodes {
            let path = node.words.get(1).filter(|_| node.name() == "import" && depth < DEEPEST);
            let files: Vec<FileId> = path.into_iter().flat_map(|path| self.configuration.imported(path.span)).collect();
            all.push(node);
            for file in files {
                self.steps += 1;
                if self.steps < MOST {
                    self.names.files.entry(file).or_insert(place);
                    let more = self.statements(self.configuration.tree(file), place, scope, depth + 1);
                    all.extend(more);
                }
            }
        }
        all
    }

    fn nodes(&mut self, nodes: &[&'c Node], place: Place, scope: usize, values: &Values) {
        for node in nodes {
            self.steps += 1;
            if self.steps >= MOST {
                return;
            }
            self.node(node, place, scope, values);
        }
    }

    fn node(&mut self, node: &'c Node, place: Place, scope: usize, values: &Values) {
        match (node.name(), place) {
            // Walked where it is used.
            ("snippet", Place::Top) => return self.define(Kind::Snippet, node, 1, 0),
            ("use", _) => return self.inline(node, place, scope, values),
            ("upstream", Place::Top) => self.define(Kind::Upstream, node, 1, 0),
            (name, _) if name.starts_with('@') => self.define(Kind::Matcher, node, 0, scope),
            _ => {}
        }
        if place.takes_matcher(node) {
            for word in &node.words[1..] {
                self.mention(Kind::Matcher, word, scope, values);
            }
        } else if names_upstream(place, node)
            && let [_, word] = node.words.as_slice()
        {
            self.mention(Kind::Upstream, word, 0, values);
        }
        if let Some(block) = node.block.as_ref().filter(|_| self.depth < DEEPEST) {
            self.depth += 1;
            let inside = place.inside(node);
            let inner = if matches!(inside, Place::Body) { self.open_scope(scope) } else { scope };
            let nodes = self.statements(block, inside, inner, 0);
            self.nodes(&nodes, inside, inner, values);
            self.depth -= 1;
        }
    }

    fn open_scope(&mut self, around: usize) -> usize {
        self.names.scopes.push(Some(around));
        self.names.scopes.len() - 1
    }

    fn define(&mut self, kind: Kind, node: &'c Node, word: usize, scope: usize) {
        let Some(word) = node.words.get(word) else { return };
        if let Some((name, at)) = self.text(word, &Values::new()) {
            self.names.all.push(Occurrence { kind, name, at, defines: Some(node.span), scope });
        }
    }

    fn mention(&mut self, kind: Kind, word: &Word, scope: usize, values: &Values) {
        let Some((name, at)) = self.text(word, values) else { return };
        if kind != Kind::Matcher || name.starts_with('@') {
            self.names.all.push(Occurrence { kind, name, at, defines: None, scope });
        }
    }

    /// The text of a word, and where that stands: without its quotes, and where a snippet's argument was written.
    fn text(&self, word: &Word, values: &Values) -> Option<(String, Span)> {
        if let [Part::Placeholder { name, .. }] = word.parts.as_slice() {
            return values.get(name.strip_prefix("arg.")?).cloned();
        }
        let text = word.plain()?;
        let quotes = u32::from(matches!(word.style, Style::Quoted | Style::Raw));
        let at = Span { start: word.span.start + quotes, end: word.span.end - quotes, ..word.span };
        // What has escapes in it is not to be found by its letters; a quote may be missing at the end.
        let written = self.configuration.source(at.file).text.get(at.start as usize..at.end as usize);
        (written == Some(text)).then(|| (text.to_owned(), at))
    }

    /// `use`: the snippet's statements in its place.
    fn inline(&mut self, node: &'c Node, place: Place, scope: usize, values: &Values) {
        let Some(word) = node.words.get(1) else { return };
        self.mention(Kind::Snippet, word, 0, values);
        let Some((name, _)) = self.text(word, values) else { return };
        let Some((name, snippet)) = self.snippets.get_key_value(name.as_str()).map(|(name, node)| (*name, *node))
        else {
            return;
        };
        let Some(block) = &snippet.block else { return };
        if self.open.contains(&name) || self.open.len() >= DEEPEST {
            return;
        }
        let given = self.bind(snippet, &node.words[2..], values);
        self.names.snippets.entry(block.span).or_insert(place);
        self.open.push(name);
        let nodes = self.statements(block, place, scope, 0);
        self.nodes(&nodes, place, scope, &given);
        self.open.pop();
    }

    fn bind(&self, snippet: &Node, words: &[Word], values: &Values) -> Values {
        let parameters: Vec<(String, Option<(String, Span)>)> = snippet.words[2..]
            .iter()
            .filter(|word| word.style != Style::Punctuation)
            .map(|word| match Self::named(word, values) {
                Some((name, value)) => (name, value),
                None => (word.plain().unwrap_or_default().to_owned(), None),
            })
            .collect();
        let mut given: HashMap<String, Option<(String, Span)>> = HashMap::new();
        for word in words {
            let named = Self::named(word, values).filter(|(name, _)| parameters.iter().any(|known| known.0 == *name));
            let (name, value) = match named {
                Some(named) => named,
                None => match parameters.iter().find(|known| !given.contains_key(&known.0)) {
                    Some((name, _)) => (name.clone(), self.text(word, values)),
                    None => continue,
                },
            };
            given.insert(name, value);
        }
        let bound = |(name, default): (String, Option<(String, Span)>)| {
            let value = given.remove(&name).unwrap_or(default)?;
            Some((name, value))
        };
        parameters.into_iter().filter_map(bound).collect()
    }

    /// `name=value`
    fn named(word: &Word, values: &Values) -> Option<(String, Option<(String, Span)>)> {
        let Some(Part::Text(first)) = word.parts.first().filter(|_| word.style == Style::Bare) else { return None };
        let (name, value) = first.split_once('=')?;
        let at = Span::new(word.span.file, word.span.start as usize + name.len() + 1, word.span.end as usize);
        let value = match &word.parts[1..] {
            [] => Some((value.to_owned(), at)),
            [Part::Placeholder { name, .. }] if value.is_empty() => {
                name.strip_prefix("arg.").and_then(|name| values.get(name).cloned())
            }
            _ => None,
        };
        Some((name.to_owned(), value))
    }

    /// Snippets that nothing uses have names in them all the same.
    fn unused(&mut self) {
        let idle = |(_, node): &(&&'c str, &&'c Node)| {
            node.block.as_ref().is_some_and(|block| !self.names.snippets.contains_key(&block.span))
        };
        let mut idle: Vec<&'c Node> = self.snippets.iter().filter(idle).map(|(_, node)| *node).collect();
        idle.sort_by_key(|node| node.span);
        for block in idle.into_iter().filter_map(|node| node.block.as_ref()) {
            let scope = self.open_scope(0);
            let nodes = self.statements(block, Place::Body, scope, 0);
            self.nodes(&nodes, Place::Body, scope, &Values::new());
        }
    }
}

/// Whether the one word behind a statement may be the name of an upstream.
fn names_upstream(place: Place, node: &Node) -> bool {
    matches!(place, Place::Body) && place.syntax(node.name()).is_some_and(|syntax| syntax.contains("UPSTREAM"))
}
