//! What a configuration says, in a form that two can be compared in: by what they mean, not by how they are written.
//!
//! Two statements mean the same if their checked models are the same but for their places. So `60s` is `1m`, a snippet
//! is what it stands for, and comments and white space are nothing.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Model, SiteModel};
use crate::check::Value as _;
use crate::check::value::Size;
use crate::diagnostic::lines::Indexes;
use crate::diagnostic::{Sources, Span, placeless};
use crate::directive::reverse_proxy::pool::PoolModel;
use crate::directive::{Body, Line, Statement};

/// One configuration, in outline.
#[derive(Debug, Default)]
pub struct Outline {
    global: Vec<Item>,
    upstreams: Vec<Item>,
    sites: Vec<Item>,
}

/// Something that is said, with what is said inside it.
#[derive(Debug, Clone)]
struct Item {
    /// As it is shown.
    text: Box<str>,
    /// `path:line:column`
    place: Box<str>,
    /// What it has in common with another that is the same, changed.
    key: Box<str>,
    /// The same where all of it means the same.
    meaning: u64,
    items: Vec<Item>,
}

/// Something that one configuration says and another does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    /// How deep it stands: 0 for a site or an upstream.
    pub depth: usize,
    pub text: String,
    /// Where it stands: if it is gone, in the old configuration.
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Added,
    Removed,
    /// What stands below it says how.
    Changed,
}

impl Kind {
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:1$}{sign} {text}", "", self.depth * 4, sign = self.kind.sign(), text = self.text)
    }
}

impl Outline {
    #[must_use]
    pub fn of(model: &Model, sources: &Sources) -> Self {
        let mut pen = Pen { sources, indexes: Indexes::default() };
        Self {
            global: pen.global(model),
            upstreams: model.upstreams.iter().map(|pool| pen.upstream(pool)).collect(),
            sites: model.sites.iter().map(|site| pen.site(site)).collect(),
        }
    }

    /// What another configuration says that this one does not, and the reverse, in the other's order.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        by_key(&self.global, &other.global, &mut changes);
        by_key(&self.upstreams, &other.upstreams, &mut changes);
        by_key(&self.sites, &other.sites, &mut changes);
        changes
    }
}

struct Pen<'s> {
    sources: &'s Sources,
    indexes: Indexes,
}

impl Pen<'_> {
    fn global(&mut self, model: &Model) -> Vec<Item> {
        let Some(at) = model.global.at else { return Vec::new() };
        let items = self.lines(&model.global_lines);
        vec![self.item("global", at, "global", meaning(&model.global), items)]
    }

    fn upstream(&mut self, pool: &PoolModel) -> Item {
        let text = format!("upstream {}", pool.name);
        let items = self.lines(&pool.lines);
        self.item(&text, pool.at, &text, meaning(pool), items)
    }

    fn site(&mut self, site: &SiteModel) -> Item {
        let addresses: Vec<&str> = site.addresses.iter().map(|address| address.text.as_str()).collect();
        let text = format!("site {}", addresses.join(", "));
        let items = self.body(&site.body);
        self.item(&text, site.at, &text, together(meaning(&text), &items), items)
    }

    fn body(&mut self, body: &Body) -> Vec<Item> {
        body.statements.iter().flat_map(|statement| self.statement(statement)).collect()
    }

    /// Of a `when` with its `else`, two items.
    fn statement(&mut self, statement: &Statement) -> Vec<Item> {
        let Statement { at, text, options, room, directive, .. } = statement;
        let mut blocks = directive.blocks().into_iter();
        let Some(first) = blocks.next() else {
            let items = self.lines(options);
            let key = if items.is_empty() { room.name } else { text };
            return vec![self.item(text, *at, key, meaning(directive), items)];
        };
        // What a matcher by name stands for is part of it.
        let own = directive.asks().map_or_else(|| meaning(text), |asks| meaning(asks));
        let mut items = vec![self.block(text, *at, own, first)];
        items.extend(blocks.map(|block| self.block("else", *at, own, block)));
        items
    }

    fn block(&mut self, text: &str, at: Span, own: u64, body: &Body) -> Item {
        let items = self.body(body);
        self.item(text, at, text, together(own, &items), items)
    }

    fn lines(&mut self, lines: &[Line]) -> Vec<Item> {
        lines
            .iter()
            .map(|line| {
                let key = line.text.split(' ').next().unwrap_or_default();
                self.item(&line.text, line.at, key, meaning(&settled(&line.text)), Vec::new())
            })
            .collect()
    }

    fn item(&mut self, text: &str, at: Span, key: &str, meaning: u64, items: Vec<Item>) -> Item {
        let place = self.indexes.place(at, self.sources).into();
        Item { text: text.into(), place, key: key.into(), meaning, items }
    }
}

/// The words of an option, times and sizes as what they are.
fn settled(line: &str) -> Vec<String> {
    let word = |word: &str| match (Duration::parse(word), Size::parse(word)) {
        (Ok(time), _) => format!("{time:?}"),
        (_, Ok(size)) => format!("{} bytes", size.0),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect()
}

/// What is meant by something of its own with all that stands inside it.
fn together(own: u64, items: &[Item]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(own);
    items.iter().for_each(|item| hasher.write_u64(item.meaning));
    hasher.finish()
}

/// A checked model without its places.
fn meaning(model: &dyn fmt::Debug) -> u64 {
    struct Hashing(DefaultHasher);

    impl fmt::Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }

    let mut hashing = Hashing(DefaultHasher::new());
    // Hashing cannot fail.
    let _ = placeless(|| write!(hashing, "{model:?}"));
    hashing.0.finish()
}

/// Things that have names, so that their order says nothing.
fn by_key(old: &[Item], new: &[Item], changes: &mut Vec<Change>) {
    let known: HashMap<&str, &Item> = old.iter().map(|item| (&*item.key, item)).collect();
    let kept: HashSet<&str> = new.iter().map(|item| &*item.key).collect();
    for item in new {
        match known.get(&*item.key) {
            Some(before) => changed(before, item, 0, changes),
            None => added(item, 0, changes),
        }
    }
    for item in old.iter().filter(|item| !kept.contains(&*item.key)) {
        changes.push(change(Kind::Removed, item, 0));
    }
}

/// Statements, whose order matters.
fn in_order(old: &[Item], new: &[Item], depth: usize, changes: &mut Vec<Change>) {
    let meanings = |items: &[Item]| -> Vec<u64> { items.iter().map(|item| item.meaning).collect() };
    for step in capture_diff_slices(Algorithm::Myers, &meanings(old), &meanings(new)) {
        match step {
            DiffOp::Equal { .. } => {}
            DiffOp::Delete { old_index, old_len, .. } => {
                replaced(&old[old_index..old_index + old_len], &[], depth, changes);
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                replaced(&[], &new[new_index..new_index + new_len], depth, changes);
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                replaced(&old[old_index..old_index + old_len], &new[new_index..new_index + new_len], depth, changes);
            }
        }
    }
}

/// Of some in place of others, those are the same, changed, that have the same key.
fn replaced(old: &[Item], new: &[Item], depth: usize, changes: &mut Vec<Change>) {
    let mut left: Vec<&Item> = old.iter().collect();
    for item in new {
        let same = left.iter().position(|before| before.key == item.key && !before.items.is_empty());
        match same {
            Some(at) => {
                let before = left.remove(at);
                changed(before, item, depth, changes);
            }
            None => added(item, depth, changes),
        }
    }
    changes.extend(left.into_iter().map(|item| change(Kind::Removed, item, depth)));
}

fn changed(old: &Item, new: &Item, depth: usize, changes: &mut Vec<Change>) {
    if old.meaning == new.meaning {
        return;
    }
    changes.push(change(Kind::Changed, new, depth));
    in_order(&old.items, &new.items, depth + 1, changes);
}

fn added(item: &Item, depth: usize, changes: &mut Vec<Change>) {
    changes.push(change(Kind::Added, item, depth));
    for inner in &item.items {
        added(inner, depth + 1, changes);
    }
}

fn change(kind: Kind, item: &Item, depth: usize) -> Change {
    Change { kind, depth, text: item.text.to_string(), place: item.place.to_string() }
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
