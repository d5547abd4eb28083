//! What stands under the cursor.

use super::configuration::Configuration;
use super::place::Place;
use crate::diagnostic::{FileId, Span};
use crate::syntax::tree::{Block, Comment, Node, Part, Word};

pub(super) struct Cursor<'c> {
    pub file: FileId,
    pub offset: u32,
    /// All of the file.
    pub text: &'c str,
    /// What the innermost block around the cursor holds.
    pub place: Place,
    /// What the block around that one holds.
    pub outer: Place,
    pub block: &'c Block,
    /// The statements around the cursor, outermost first.
    pub around: Vec<&'c Node>,
    /// The statement whose words the cursor is in, or right behind.
    pub node: Option<&'c Node>,
}

impl<'c> Cursor<'c> {
    pub fn new(configuration: &'c Configuration, file: FileId, offset: u32) -> Self {
        let text = configuration.source(file).text.as_str();
        let names = configuration.names();
        let (mut place, mut block) = (names.place(file), configuration.tree(file));
        let mut outer = place;
        let mut around = Vec::new();
        // Statements stand in order, so the last that begins before the cursor is the only one that may hold it.
        while let Some(node) = before(block, offset) {
            let Some(inner) = node.block.as_ref().filter(|inner| is_inside(inner, offset, text)) else { break };
            outer = place;
            place = if node.name() == "snippet" && matches!(place, Place::Top) {
                names.snippet_place(inner.span)
            } else {
                place.inside(node)
            };
            around.push(node);
            block = inner;
        }
        let node = before(block, offset).filter(|node| is_in_words(node, offset, text));
        Self { file, offset, text, place, outer, block, around, node }
    }

    /// The word under the cursor, or that ends there, and its number.
    pub fn word(&self) -> Option<(usize, &'c Word)> {
        let words = &self.node?.words;
        let found = words.iter().position(|word| word.span.start <= self.offset && self.offset <= word.span.end)?;
        // Between two words that touch, the one that begins.
        let next = words.get(found + 1).filter(|next| next.span.start == self.offset);
        Some(next.map_or((found, &words[found]), |next| (found + 1, next)))
    }

    /// The number that a word at the cursor has, or would have.
    pub fn index(&self) -> usize {
        let words = self.node.map_or(&[][..], |node| &node.words);
        self.word().map_or_else(|| words.iter().filter(|word| word.span.end < self.offset).count(), |(index, _)| index)
    }

    /// What is already written of the word at the cursor, and where that begins.
    pub fn prefix(&self) -> (&'c str, Span) {
        let start = self.word().map_or(self.offset, |(_, word)| word.span.start);
        let at = Span { file: self.file, start, end: self.offset };
        (&self.text[start as usize..self.offset as usize], at)
    }

    /// The placeholder under the cursor.
    pub fn part(&self) -> Option<(&'c Part, Span)> {
        let (_, word) = self.word()?;
        word.parts.iter().find_map(|part| match part {
            Part::Placeholder { span, .. }
            | Part::Environment { span, .. }
            | Part::File { span, .. }
            | Part::Lines { span, .. } => {
                (span.start <= self.offset && self.offset < span.end).then_some((part, *span))
            }
            Part::Text(_) => None,
        })
    }

    pub fn is_in_comment(&self) -> bool {
        // White space at the end of a comment is no part of it, and still behind its sign.
        let line = self.text[..self.offset as usize].rfind('\n').map_or(0, |at| at + 1);
        let holds = |comment: &Comment| comment.span.start < self.offset && line <= comment.span.start as usize;
        let own = self.block.opening.iter().chain(&self.block.tail);
        let of_nodes = self.block.nodes.iter().flat_map(|node| node.comments.iter().chain(&node.trailing));
        own.chain(of_nodes).any(holds)
    }
}

fn before(block: &Block, offset: u32) -> Option<&Node> {
    let count = block.nodes.partition_point(|node| node.words[0].span.start <= offset);
    count.checked_sub(1).map(|last| &block.nodes[last])
}

/// Behind the `{`, and before the `}` if there is one.
fn is_inside(block: &Block, offset: u32, text: &str) -> bool {
    let closed = text[..block.span.end as usize].ends_with('}') && block.span.end - block.span.start > 1;
    block.span.start < offset && if closed { offset < block.span.end } else { offset <= block.span.end }
}

/// In the words, or behind them on their line, where another one would be written.
fn is_in_words(node: &Node, offset: u32, text: &str) -> bool {
    let end = node.words.iter().map(|word| word.span.end).max().unwrap_or_default();
    if offset <= end {
        return true;
    }
    let between = text[end as usize..offset as usize].replace("\\\r\n", "").replace("\\\n", "");
    node.block.as_ref().is_none_or(|block| offset <= block.span.start)
        && between.bytes().all(|sign| matches!(sign, b' ' | b'\t'))
}
