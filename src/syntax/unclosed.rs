//! Which block lacks its `}`: indentation tells what braces cannot.

use super::complaint::head;
use super::tree::{Block, Node};
use crate::diagnostic::{Code, FileId, Mistake, Span};

/// Finds the blocks that most likely lack their `}`: where a block's `}` stands further left than the line that opened
/// it, it was meant for an outer one. What indentation cannot tell falls back on the blocks that the file's end ended.
pub(super) fn find(file: FileId, text: &str, tree: &Block, open: &[Span]) -> Vec<Mistake> {
    if open.is_empty() {
        return Vec::new();
    }
    let mut search = Search { text, open, suspects: Vec::new(), heads: Vec::new() };
    search.walk(tree);
    let end = text.trim_end().len();
    let end = Span::new(file, end, end);
    let left = open.len().saturating_sub(search.suspects.len());
    let mut found = search.suspects;
    found.truncate(open.len());
    for at in &open[..left] {
        let head = search.heads.iter().find(|(start, _)| start == at).map_or("this", |(_, head)| head);
        found.push(
            Mistake::new(Code::E0002, *at, format!("{head} opens a block that is never closed"))
                .label("this `{` has no `}`")
                .other(end, "the file ends here")
                .help("write `}` on a line of its own, behind the block's last statement"),
        );
    }
    found
}

struct Search<'a> {
    text: &'a str,
    open: &'a [Span],
    suspects: Vec<Mistake>,
    heads: Vec<(Span, String)>,
}

impl Search<'_> {
    fn walk(&mut self, block: &Block) {
        for node in &block.nodes {
            let Some(inner) = &node.block else { continue };
            self.walk(inner);
            let open = Span { end: inner.span.start + 1, ..inner.span };
            if self.open.contains(&open) {
                self.heads.push((open, head(node, self.text)));
            } else if !inner.one_line {
                self.suspect(node, inner, open);
            }
        }
    }

    fn suspect(&mut self, node: &Node, block: &Block, open: Span) {
        let close = Span { start: block.span.end - 1, ..block.span };
        let (own, _) = indent(self.text, node.span.start);
        let (other, first) = indent(self.text, close.start);
        if first == close.start && other < own {
            self.suspects.push(
                Mistake::new(
                    Code::E0002,
                    open,
                    format!("{} opens a block that seems to be never closed", head(node, self.text)),
                )
                .label("its own `}` is missing")
                .other(close, "this `}` closes it, but stands further left")
                .help("write `}` on a line of its own, behind the block's last statement"),
            );
        }
    }
}

/// How far the line of `at` is indented, and where its first word begins.
fn indent(text: &str, at: u32) -> (usize, u32) {
    let at = at as usize;
    let start = memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |newline| newline + 1);
    let indent = text[start..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (indent, Span::new(0, start + indent, 0).start)
}
