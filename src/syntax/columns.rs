//! Columns: runs of one-line statements that the source aligned stay aligned.
//!
//! A run is what stands in one column in the source, with more than one space before some of it. Its column becomes the
//! smallest that holds all of it. A neighbour that only happens to fall into that column is as wide as the widest of
//! the run, so taking it in, when the result is formatted again, moves nothing.

use super::format::width;
use super::tree::Node;

/// How a statement is laid out.
#[derive(Debug)]
pub(super) struct Line {
    /// Its words.
    pub(super) head: String,
    /// Its block, where that goes on the same line.
    pub(super) inline: Option<String>,
    /// All of it is one line, in what was written too once [`align`] has looked.
    single: bool,
    /// Spaces to add before its second word, its block, and the comment behind it.
    pub(super) pad_word: usize,
    pub(super) pad_block: usize,
    pub(super) pad_comment: usize,
}

impl Line {
    pub(super) fn new(head: String, inline: Option<String>, single: bool) -> Self {
        Self { head, inline, single, pad_word: 0, pad_block: 0, pad_comment: 0 }
    }

    /// One that has no part in any column.
    pub(super) fn alone() -> Self {
        Self::new(String::new(), None, false)
    }

    fn head_width(&self) -> usize {
        width(&self.head) + self.pad_word
    }

    fn whole_width(&self) -> usize {
        self.head_width() + self.inline.as_ref().map_or(0, |inline| 1 + self.pad_block + width(inline))
    }
}

/// The three things that can stand in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Word,
    Block,
    Comment,
}

/// Sets the pads of all lines; `nodes` are their statements, or the first of their chain.
pub(super) fn align(text: &str, nodes: &[&Node], lines: &mut [Line]) {
    for (line, node) in lines.iter_mut().zip(nodes) {
        line.single &= !slice(text, node.span.start, node.span.end).contains('\n');
    }
    for column in [Column::Word, Column::Block, Column::Comment] {
        let mut start = 0;
        while start < nodes.len() {
            let end = run(text, nodes, lines, column, start);
            if end - start > 1 {
                pad(&mut lines[start..end], &nodes[start..end], text, column);
            }
            start = end;
        }
    }
}

/// Where the run that begins at `start` ends; it is at least one statement long.
fn run(text: &str, nodes: &[&Node], lines: &[Line], column: Column, start: usize) -> usize {
    let mut end = start + 1;
    let mut first = None;
    while end < nodes.len() {
        let (before, next) = (nodes[end - 1], nodes[end]);
        if !adjacent(text, before, next) {
            break;
        }
        let Some(place) = place(text, next, &lines[end], column) else { break };
        let own = *first.get_or_insert_with(|| {
            self::place(text, before, &lines[end - 1], column).map(|place| source_column(text, place.1))
        });
        if own != Some(source_column(text, place.1)) {
            break;
        }
        end += 1;
    }
    end
}

/// Where the gap before the column's element begins and ends in the source.
fn place(text: &str, node: &Node, line: &Line, column: Column) -> Option<(u32, u32)> {
    if !line.single {
        return None;
    }
    let last = node.words[node.words.len() - 1].span.end;
    match column {
        Column::Word => {
            let [first, second, ..] = node.words.as_slice() else { return None };
            // No gap is written between them, where one of them is punctuation.
            let apart = line.head[slice(text, first.span.start, first.span.end).len()..].starts_with(' ');
            (apart && first.span.end < second.span.start).then_some((first.span.end, second.span.start))
        }
        Column::Block => node.block.as_ref().map(|block| (last, block.span.start)),
        Column::Comment => node.trailing.as_ref().map(|comment| (node.span.end, comment.span.start)),
    }
}

fn pad(lines: &mut [Line], nodes: &[&Node], text: &str, column: Column) {
    let wide = nodes.iter().zip(&*lines).any(|(node, line)| {
        place(text, node, line, column).is_some_and(|(from, to)| to - from > 1 || slice(text, from, to) == "\t")
    });
    if !wide {
        return;
    }
    let width_of = |node: &Node, line: &Line| match column {
        Column::Word => width(slice(text, node.words[0].span.start, node.words[0].span.end)),
        Column::Block => line.head_width(),
        Column::Comment => line.whole_width(),
    };
    let widest = nodes.iter().zip(&*lines).map(|(node, line)| width_of(node, line)).max().unwrap_or(0);
    for (node, line) in nodes.iter().zip(lines) {
        let pad = widest - width_of(node, line);
        match column {
            Column::Word => line.pad_word = pad,
            Column::Block => line.pad_block = pad,
            Column::Comment => line.pad_comment = pad,
        }
    }
}

/// On lines that follow each other, with nothing between them.
fn adjacent(text: &str, before: &Node, next: &Node) -> bool {
    let from = before.trailing.as_ref().map_or(before.span.end, |comment| comment.span.end);
    !next.blank_before
        && next.comments.is_empty()
        && memchr::memchr_iter(b'\n', slice(text, from, next.span.start).as_bytes()).count() == 1
}

/// The column of an offset, with tab stops at each eighth.
fn source_column(text: &str, at: u32) -> usize {
    let start = memchr::memrchr(b'\n', &text.as_bytes()[..at as usize]).map_or(0, |newline| newline + 1);
    let before = &text[start..at as usize];
    before.chars().fold(0, |column, sign| if sign == '\t' { column / 8 * 8 + 8 } else { column + 1 })
}

fn slice(text: &str, from: u32, to: u32) -> &str {
    &text[from as usize..to as usize]
}
