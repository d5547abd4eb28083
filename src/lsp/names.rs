//! Who is called what: upstreams, snippets and matchers, where they are defined and where they are named.
//!
//! Statements are walked as they run: imports and snippets in their places, arguments put in. So a name that comes to
//! its directive through a snippet's argument is found where it was written, and a matcher of a site stays the site's.

mod walk;

use std::collections::{BTreeSet, HashMap};

use super::configuration::Configuration;
use super::place::Place;
use crate::diagnostic::{FileId, Span};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Upstream,
    Snippet,
    /// Its name begins with `@`.
    Matcher,
}

/// A name, where it was written. What is walked twice, as the body of a snippet, is here twice.
#[derive(Debug)]
pub(super) struct Occurrence {
    pub kind: Kind,
    pub name: String,
    pub at: Span,
    /// Of a definition: its whole statement.
    pub defines: Option<Span>,
    scope: usize,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Occurrence>,
    /// For each occurrence, the one that defines it.
    meaning: Vec<Option<usize>>,
    /// The scope around each scope; the first has none.
    scopes: Vec<Option<usize>>,
    /// The places of each file in `all`, in the order of the text.
    by_file: HashMap<FileId, Vec<usize>>,
    /// What an imported file holds: that depends on who imports it.
    files: HashMap<FileId, Place>,
    /// What a snippet holds, by the place of its block.
    snippets: HashMap<Span, Place>,
    /// The scopes that a block, or a whole file, was walked in.
    blocks: HashMap<Span, BTreeSet<usize>>,
}

impl Names {
    pub fn of(configuration: &Configuration) -> Self {
        let mut names = walk::walk(configuration);
        names.settle();
        names
    }

    fn settle(&mut self) {
        let mut defined: HashMap<(Kind, usize, &str), usize> = HashMap::new();
        for (index, occurrence) in self.all.iter().enumerate().filter(|(_, one)| one.defines.is_some()) {
            defined.entry((occurrence.kind, occurrence.scope, &occurrence.name)).or_insert(index);
        }
        let find = |one: &Occurrence| {
            let mut scope = Some(one.scope);
            while let Some(inner) = scope {
                if let Some(found) = defined.get(&(one.kind, inner, one.name.as_str())) {
                    return Some(*found);
                }
                scope = self.scopes.get(inner).copied().flatten();
            }
            None
        };
        self.meaning = self.all.iter().map(find).collect();
        for (index, one) in self.all.iter().enumerate() {
            self.by_file.entry(one.at.file).or_default().push(index);
        }
        for indexes in self.by_file.values_mut() {
            indexes.sort_by_key(|index| self.all[*index].at);
        }
    }

    /// What the statements of a file are.
    pub fn place(&self, file: FileId) -> Place {
        self.files.get(&file).copied().unwrap_or(Place::Top)
    }

    /// What the statements of a snippet are, which its block tells apart.
    pub fn snippet_place(&self, block: Span) -> Place {
        self.snippets.get(&block).copied().unwrap_or(Place::Body)
    }

    /// The names that a byte of a file belongs to, or that end there.
    fn at(&self, file: FileId, offset: u32) -> impl Iterator<Item = usize> {
        let indexes = self.by_file.get(&file).map_or(&[][..], Vec::as_slice);
        let upto = indexes.partition_point(|index| self.all[*index].at.start <= offset);
        let all = &self.all;
        // Names don't overlap, so those of one place stand together.
        indexes[..upto].iter().rev().copied().take_while(move |index| all[*index].at.end >= offset)
    }

    /// The name under the cursor.
    pub fn named(&self, file: FileId, offset: u32) -> Option<&Occurrence> {
        self.at(file, offset).next().map(|index| &self.all[index])
    }

    /// Where the name under the cursor is defined; a snippet's matcher may be defined in many sites.
    pub fn definitions(&self, file: FileId, offset: u32) -> Vec<&Occurrence> {
        let mut found: Vec<&Occurrence> =
            self.at(file, offset).filter_map(|index| self.meaning[index]).map(|index| &self.all[index]).collect();
        found.sort_by_key(|one| one.at);
        found.dedup_by_key(|one| one.at);
        found
    }

    /// Every place that must be changed together with the name under the cursor, and whether it defines it.
    pub fn together(&self, file: FileId, offset: u32) -> Vec<(Span, bool)> {
        let mut meant: BTreeSet<usize> = self.at(file, offset).filter_map(|index| self.meaning[index]).collect();
        loop {
            let spans: BTreeSet<Span> = self.members(&meant).map(|index| self.all[index].at).collect();
            let more = (0..self.all.len()).filter(|index| spans.contains(&self.all[*index].at));
            let wider: BTreeSet<usize> = more.filter_map(|index| self.meaning[index]).collect();
            if wider == meant {
                break;
            }
            meant = wider;
        }
        let mut places: Vec<(Span, bool)> =
            self.members(&meant).map(|index| (self.all[index].at, self.all[index].defines.is_some())).collect();
        places.sort_unstable();
        places.dedup_by_key(|(at, _)| *at);
        places
    }

    fn members(&self, meant: &BTreeSet<usize>) -> impl Iterator<Item = usize> {
        (0..self.all.len()).filter(|index| self.meaning[*index].is_some_and(|meaning| meant.contains(&meaning)))
    }

    /// What every name means, without saying its name: the same before and after a renaming that changes no meaning.
    pub fn structure(&self) -> Vec<(Kind, Option<usize>)> {
        self.all.iter().zip(&self.meaning).map(|(one, meaning)| (one.kind, *meaning)).collect()
    }

    /// All definitions of a kind, each name once.
    pub fn defined(&self, kind: Kind) -> Vec<&Occurrence> {
        self.each_defined(|one| one.kind == kind)
    }

    fn each_defined(&self, wanted: impl Fn(&Occurrence) -> bool) -> Vec<&Occurrence> {
        let mut found: Vec<&Occurrence> = self.all.iter().filter(|one| one.defines.is_some() && wanted(one)).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found.dedup_by(|one, other| one.name == other.name);
        found
    }

    /// The matchers that can be named in a block: its own, and those of the blocks around it.
    pub fn matchers_in(&self, block: Span) -> Vec<&Occurrence> {
        let mut visible = BTreeSet::from([0]);
        for scope in self.blocks.get(&block).into_iter().flatten() {
            let mut scope = Some(*scope);
            while let Some(inner) = scope {
                visible.insert(inner);
                scope = self.scopes.get(inner).copied().flatten();
            }
        }
        self.each_defined(|one| one.kind == Kind::Matcher && visible.contains(&one.scope))
    }
}
