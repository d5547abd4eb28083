//! Back to text: the one canonical form, and the difference to what was written.
//!
//! Layout is decided by what the words are, never by how wide the source happened to be; the source decides only where
//! it was asked (one-line blocks, `\`, empty lines, aligned columns). That is why formatting twice changes nothing.

use super::columns::{self, Line};
use super::parse::parse;
use super::tree::{Block, Comment, Node, Style, Word, is_else};
use super::word::{common_indent, is_blank, unix_lines};
use crate::diagnostic::Mistake;

/// One-line blocks and address lists go on one line up to here.
const WIDTH: usize = 100;
const STEP: usize = 4;

/// The canonical form of a file; its mistakes where it does not parse.
pub fn format(text: &str) -> Result<String, Vec<Mistake>> {
    let (tree, mistakes) = parse(0, text);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut printer = Printer { text, out: String::with_capacity(text.len() + text.len() / 8) };
    printer.body(&tree, 0);
    Ok(printer.out)
}

/// The unified difference between two texts, as `diff -u` writes it; empty where there is none.
#[must_use]
pub fn diff(before: &str, after: &str, path: &str) -> String {
    if before == after {
        return String::new();
    }
    let changes = similar::TextDiff::configure()
        // A file that is new in every line would take its square.
        .timeout(std::time::Duration::from_millis(500))
        .diff_lines(before, after);
    changes.unified_diff().context_radius(3).header(path, &format!("{path} (formatted)")).to_string()
}

struct Printer<'a> {
    text: &'a str,
    out: String,
}

impl Printer<'_> {
    /// What stands in a file or between two braces, each line with its newline.
    fn body(&mut self, block: &Block, depth: usize) {
        let mut rest: &[Node] = &block.nodes;
        let lines = self.lines(&block.nodes, depth);
        let mut lines = lines.iter();
        let mut first = true;
        while !rest.is_empty() {
            let (chain, behind) = rest.split_at(chain_length(rest));
            for comment in &chain[0].comments {
                self.comment(comment, depth, first);
                first = false;
            }
            if chain[0].blank_before && !first {
                self.out.push('\n');
            }
            first = false;
            self.indent(depth);
            if let (Some(line), [node]) = (lines.next(), chain) {
                self.statement(node, line, depth);
            } else {
                self.chain(chain, depth);
            }
            self.out.push('\n');
            rest = behind;
        }
        for comment in &block.tail {
            self.comment(comment, depth, first);
            first = false;
        }
    }

    /// How each statement or chain is to be laid out, columns included.
    fn lines(&self, nodes: &[Node], depth: usize) -> Vec<Line> {
        let mut lines = Vec::with_capacity(nodes.len());
        let mut rest = nodes;
        while !rest.is_empty() {
            let (chain, behind) = rest.split_at(chain_length(rest));
            lines.push(if chain.len() > 1 { Line::alone() } else { self.line(&chain[0], depth) });
            rest = behind;
        }
        let firsts: Vec<&Node> = heads_of_chains(nodes).collect();
        columns::align(self.text, &firsts, &mut lines);
        lines
    }

    fn line(&self, node: &Node, depth: usize) -> Line {
        let head = self.head(node, depth);
        let inline =
            node.block.as_ref().and_then(|block| self.inline(block)).filter(|inline| {
                inline == "{}" || depth * STEP + last_width(&head, depth) + 1 + width(inline) <= WIDTH
            });
        let single = !head.contains('\n') && (node.block.is_none() || inline.is_some());
        Line::new(head, inline, single)
    }

    fn statement(&mut self, node: &Node, line: &Line, depth: usize) {
        let first = self.slice(&node.words[0]).len();
        if line.pad_word > 0 {
            self.out.push_str(&line.head[..first]);
            self.spaces(line.pad_word);
            self.out.push_str(&line.head[first..]);
        } else {
            self.out.push_str(&line.head);
        }
        if let Some(block) = &node.block {
            self.spaces(line.pad_block + 1);
            match &line.inline {
                Some(inline) => self.out.push_str(inline),
                None => self.braces(block, depth),
            }
        }
        if let Some(comment) = &node.trailing {
            self.spaces(line.pad_comment + 1);
            self.out.push_str(&comment.text);
        }
    }

    /// `when … { … } else { … }`: on one line all of it, or none of it.
    fn chain(&mut self, chain: &[Node], depth: usize) {
        let line = self.inline_chain(chain).filter(|line| depth * STEP + width(line) <= WIDTH);
        if let Some(line) = line {
            self.out.push_str(&line);
        } else {
            for (index, node) in chain.iter().enumerate() {
                if index > 0 {
                    self.out.push(' ');
                }
                let head = self.head(node, depth);
                self.out.push_str(&head);
                if let Some(block) = &node.block {
                    self.out.push(' ');
                    self.braces(block, depth);
                }
            }
        }
        if let Some(comment) = &chain[chain.len() - 1].trailing {
            self.out.push(' ');
            self.out.push_str(&comment.text);
        }
    }

    /// A block over several lines, unless it is empty.
    fn braces(&mut self, block: &Block, depth: usize) {
        self.out.push('{');
        if is_empty(block) {
            self.out.push('}');
            return;
        }
        if let Some(comment) = &block.opening {
            self.out.push(' ');
            self.out.push_str(&comment.text);
        }
        self.out.push('\n');
        self.body(block, depth + 1);
        self.indent(depth);
        self.out.push('}');
    }

    /// `{ a; b }`, where the source had it on one line.
    fn inline(&self, block: &Block) -> Option<String> {
        if is_empty(block) {
            return Some("{}".to_owned());
        }
        if !block.one_line {
            return None;
        }
        let mut rest: &[Node] = &block.nodes;
        let mut line = String::from("{ ");
        while !rest.is_empty() {
            let (chain, behind) = rest.split_at(chain_length(rest));
            line.push_str(&self.inline_chain(chain)?);
            line.push_str(if behind.is_empty() { " }" } else { "; " });
            rest = behind;
        }
        Some(line)
    }

    fn inline_chain(&self, chain: &[Node]) -> Option<String> {
        let mut line = String::new();
        for node in chain {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&self.joined(node, 0, " "));
            if let Some(block) = &node.block {
                line.push(' ');
                line.push_str(&self.inline(block)?);
            }
        }
        (!line.contains('\n')).then_some(line)
    }

    /// The words of a statement; a list that is too long for its line has one element a line.
    fn head(&self, node: &Node, depth: usize) -> String {
        let joined = self.joined(node, depth, " ");
        let brace = if node.block.is_some() { 2 } else { 0 };
        let room = WIDTH - (depth * STEP).min(WIDTH);
        let long = width(joined.lines().next().unwrap_or("")) + brace > room
            || joined.lines().skip(1).any(|line| width(line) + brace > WIDTH);
        if long && node.words.iter().any(|word| word.is_punctuation(",")) {
            return self.joined(node, depth, &format!("\n{}", " ".repeat(depth * STEP)));
        }
        joined
    }

    /// The words of a statement, with `behind_comma` behind each comma.
    fn joined(&self, node: &Node, depth: usize, behind_comma: &str) -> String {
        let mut line = String::with_capacity((node.span.end - node.span.start) as usize);
        for (index, word) in node.words.iter().enumerate() {
            if let Some(last) = index.checked_sub(1).map(|last| &node.words[last]) {
                self.gap(last, word, depth, behind_comma, &mut line);
            }
            self.word(word, depth, &mut line);
        }
        line
    }

    fn gap(&self, last: &Word, word: &Word, depth: usize, behind_comma: &str, line: &mut String) {
        let between = &self.text[last.span.end as usize..word.span.start as usize];
        if last.is_punctuation(",") {
            line.push_str(if word.is_punctuation(",") { " " } else { behind_comma });
        } else if between.contains('\n') {
            line.push_str(" \\\n");
            line.extend(std::iter::repeat_n(' ', (depth + 1) * STEP));
        } else {
            let tight = last.is_punctuation("(") || word.is_punctuation(")") || word.is_punctuation(",");
            // `name(…)` and `not (…)` are for whoever reads the statement to tell apart.
            let glued = word.is_punctuation("(") && between.is_empty();
            line.push_str(if tight || glued { "" } else { " " });
        }
    }

    fn word(&self, word: &Word, depth: usize, line: &mut String) {
        let slice = self.slice(word);
        match word.style {
            Style::Heredoc => heredoc(slice, depth, line),
            Style::Raw => line.push_str(&unix_lines(slice)),
            _ => line.push_str(slice),
        }
    }

    fn comment(&mut self, comment: &Comment, depth: usize, first: bool) {
        if comment.blank_before && !first {
            self.out.push('\n');
        }
        self.indent(depth);
        self.out.push_str(&comment.text);
        self.out.push('\n');
    }

    fn indent(&mut self, depth: usize) {
        self.spaces(depth * STEP);
    }

    fn spaces(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    fn slice(&self, word: &Word) -> &str {
        &self.text[word.span.start as usize..word.span.end as usize]
    }
}

/// The text goes one step in, the tag stands under its statement: neither belongs to the value.
fn heredoc(slice: &str, depth: usize, line: &mut String) {
    let mut lines: Vec<&str> = slice.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let end = lines.pop().unwrap_or("").trim_start();
    line.push_str(lines.remove(0).trim_end());
    line.push('\n');
    let common = common_indent(&slice[slice.find('\n').map_or(0, |at| at + 1)..slice.len() - end.len()]).len();
    for text in lines {
        if !is_blank(text) {
            line.extend(std::iter::repeat_n(' ', (depth + 1) * STEP));
            line.push_str(&text[common..]);
        }
        line.push('\n');
    }
    line.extend(std::iter::repeat_n(' ', depth * STEP));
    line.push_str(end);
}

/// How many statements the first and the `else`s that go on with it are.
fn chain_length(nodes: &[Node]) -> usize {
    let goes_on = |pair: &&[Node]| {
        let [before, next] = pair else { return false };
        before.block.is_some() && before.trailing.is_none() && next.comments.is_empty() && is_else(&next.words[0])
    };
    1 + nodes.windows(2).take_while(goes_on).count()
}

fn heads_of_chains(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    let mut rest = nodes;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        rest = &rest[chain_length(rest)..];
        Some(first)
    })
}

fn is_empty(block: &Block) -> bool {
    block.nodes.is_empty() && block.tail.is_empty() && block.opening.is_none()
}

pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

/// How far the last line of a head reaches, counted from the statement's own indentation.
fn last_width(head: &str, depth: usize) -> usize {
    match head.rsplit_once('\n') {
        Some((_, last)) => width(last).saturating_sub(depth * STEP),
        None => width(head),
    }
}
