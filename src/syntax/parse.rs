//! Text to tree. The grammar accepts every text, so this reader only has to tell what is wrong with what it accepted.
//!
//! The one file that names pest: a change of grammar rebuilds this, and nothing else knows how text is taken apart.

use pest::Parser as _;
use pest::iterators::Pair;

use super::complaint;
use super::tree::{Block, Comment, Node, Style, Word, is_else};
use super::unclosed;
use super::word::{Line, Piece, Words};
use crate::diagnostic::{FileId, Mistake, Span};

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/proxyfile.pest"]
struct Grammar;

/// Reads a whole file: the tree as far as it can be told, and every mistake in the order of its place.
pub fn parse(file: FileId, text: &str) -> (Block, Vec<Mistake>) {
    let mut reader = Reader {
        file,
        text,
        words: Words::new(file, text),
        in_doubt: false,
        unclosed: Vec::new(),
        semicolons: Vec::new(),
    };
    let tree = match Grammar::parse(Rule::file, text) {
        Ok(mut pairs) => pairs.next().map(|pair| reader.body(pair)).unwrap_or_default(),
        // The grammar accepts everything, so this is the guard of the stack: a caller on a thread of a few kilobytes.
        Err(error) => {
            let at = match error.location {
                pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
            };
            reader.words.report(|| complaint::too_deep(Span::new(file, at, at)));
            Block::default()
        }
    };
    if !reader.in_doubt {
        let found = unclosed::find(file, text, &tree, &reader.unclosed);
        reader.words.mistakes.extend(found);
    }
    if let [first, others @ ..] = reader.semicolons.as_slice() {
        // A habit has them at every line, and is told once.
        reader.words.report(|| complaint::semicolon(*first, others.len()));
    }
    reader.words.carriage_returns();
    let mut mistakes = reader.words.mistakes;
    mistakes.sort_by_key(|mistake| (mistake.at.start, mistake.at.end));
    (tree, mistakes)
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    words: Words<'a>,
    /// Those that end a line.
    semicolons: Vec<Span>,
    /// A mistake has been reported that may have eaten a brace: what follows from it would only be noise.
    in_doubt: bool,
    /// The `{` of blocks that the file's end ended, innermost first.
    unclosed: Vec<Span>,
}

/// What has been read of a block, and what stands between its last statement and here.
#[derive(Default)]
struct Body {
    block: Block,
    comments: Vec<Comment>,
    /// Newlines since the last statement, comment or `{`.
    newlines: usize,
    semicolon: Option<Span>,
    /// The last statement with a block.
    closed: Option<usize>,
    /// The file itself, not a block in it.
    top: bool,
}

impl Body {
    fn blank(&self) -> bool {
        self.newlines > 1
    }

    /// The statement that is still on this line.
    fn neighbour(&mut self) -> Option<&mut Node> {
        if self.newlines == 0 && self.comments.is_empty() { self.block.nodes.last_mut() } else { None }
    }
}

impl<'a> Reader<'a> {
    /// The statements of a file or a block.
    fn body(&mut self, pair: Pair<'a, Rule>) -> Block {
        let whole = self.span(pair.as_span());
        let one_line = pair.as_rule() == Rule::block && memchr::memchr(b'\n', pair.as_str().as_bytes()).is_none();
        let mut body = Body { top: pair.as_rule() == Rule::file, ..Body::default() };
        body.block.span = whole;
        body.block.one_line = one_line;
        for pair in pair.into_inner() {
            let at = self.span(pair.as_span());
            match pair.as_rule() {
                Rule::newline => {
                    self.end_of_line(&mut body);
                    body.newlines += 1;
                }
                Rule::semicolon => body.semicolon = Some(at),
                Rule::comment => {
                    self.end_of_line(&mut body);
                    comment(&mut body, pair.as_str(), at);
                }
                Rule::statement => self.statement(&mut body, pair),
                Rule::stray => self.stray(&body, at),
                Rule::unclosed => self.unclosed.push(Span { end: whole.start + 1, ..whole }),
                Rule::EOI => self.end_of_line(&mut body),
                _ => {}
            }
        }
        body.block.tail = body.comments;
        body.block
    }

    fn end_of_line(&mut self, body: &mut Body) {
        if let Some(at) = body.semicolon.take() {
            self.semicolons.push(at);
        }
    }

    fn stray(&mut self, body: &Body, at: Span) {
        if !self.in_doubt {
            let before = body.closed.map(|index| &body.block.nodes[index]);
            self.words.report(|| complaint::stray(at, before, self.text));
        }
    }

    fn statement(&mut self, body: &mut Body, pair: Pair<'a, Rule>) {
        let separated = body.semicolon.take().is_some();
        let (words, block) = self.words_and_block(pair);
        let Some(first) = words.first() else {
            if let Some(block) = block {
                self.headless(body, block);
            }
            return;
        };
        let behind_block = !separated && body.neighbour().is_some_and(|node| node.block.is_some());
        if behind_block && !is_else(first) {
            self.words.report(|| complaint::behind_block(first.span, self.text));
        }
        self.words.check_ends(&words);
        let mut span = words.iter().fold(first.span, |span, word| span.to(word.span));
        if let Some(block) = &block {
            span = span.to(block.span);
        }
        let blank_before = body.blank();
        let comments = std::mem::take(&mut body.comments);
        body.newlines = 0;
        body.closed = if block.is_some() { Some(body.block.nodes.len()) } else { body.closed };
        body.block.nodes.push(Node { comments, blank_before, words, block, trailing: None, span, used_at: None });
    }

    fn words_and_block(&mut self, pair: Pair<'a, Rule>) -> (Vec<Word>, Option<Block>) {
        let mut words: Vec<Word> = Vec::new();
        let mut block = None;
        for pair in pair.into_inner() {
            if pair.as_rule() == Rule::block && !complaint::is_doubled(pair.as_str()) {
                block = Some(self.block(pair, words.last()));
                continue;
            }
            let word = self.word(pair);
            if let Some(last) = words.last() {
                self.words.check_space(last, &word);
            }
            words.push(word);
        }
        (words, block)
    }

    fn block(&mut self, pair: Pair<'a, Rule>, before: Option<&Word>) -> Block {
        let start = pair.as_span().start();
        let open = Span::new(self.file, start, start + 1);
        if pair.clone().into_inner().peek().is_some_and(|first| first.as_rule() == Rule::too_deep) {
            self.in_doubt = true;
            self.words.report(|| complaint::too_deep(open));
            // That it lacks its block would be wrong.
            return Block { span: self.span(pair.as_span()), ..Block::default() };
        }
        let loose = !self.text[start + 1..].starts_with([' ', '\t', '\r', '\n', '}']) && start + 1 < self.text.len();
        if loose {
            self.words.report(|| complaint::loose_brace(open, self.text));
        } else if let Some(word) = before.filter(|word| word.span.end == open.start) {
            self.words.check_brace(word, open);
        }
        let block = self.body(pair);
        self.in_doubt |= loose && !block.one_line;
        block
    }

    /// A block at the start of a statement. What it holds has been checked; it belongs to the line above it, or nowhere.
    fn headless(&mut self, body: &mut Body, block: Block) {
        let above = match body.block.nodes.last_mut() {
            Some(node) if body.newlines == 1 && body.comments.is_empty() && node.block.is_none() => Some(node),
            _ => None,
        };
        let place = if body.top { complaint::Place::File } else { complaint::Place::Block };
        self.words.report(|| complaint::headless(block.span, above.as_deref(), place, self.text));
        if let Some(node) = above {
            node.span = node.span.to(block.span);
            node.block = Some(block);
        }
        body.newlines = 0;
    }

    fn word(&mut self, pair: Pair<'a, Rule>) -> Word {
        let at = self.span(pair.as_span());
        match pair.as_rule() {
            Rule::paren => self.words.punctuation(at),
            Rule::comma => self.words.punctuation(Span::new(self.file, at.start as usize, at.start as usize + 1)),
            Rule::raw => self.words.raw(at),
            Rule::open_raw | Rule::open_string => {
                let word = self.words.open(at);
                self.in_doubt |= pair.as_str().contains(['{', '}']);
                word
            }
            Rule::heredoc => {
                let closed = pair.clone().into_inner().any(|inner| inner.as_rule() == Rule::heredoc_end);
                self.in_doubt |= !closed;
                let lines = pair.into_inner().filter(|inner| inner.as_rule() == Rule::heredoc_line);
                self.words.heredoc(at, closed, lines.map(line))
            }
            Rule::block => self.words.doubled(at),
            Rule::string => self.words.assemble(Style::Quoted, at, pieces(pair)),
            _ => self.words.assemble(Style::Bare, at, pieces(pair)),
        }
    }

    fn span(&self, span: pest::Span<'_>) -> Span {
        Span::new(self.file, span.start(), span.end())
    }
}

fn pieces(pair: Pair<'_, Rule>) -> impl Iterator<Item = (Piece, std::ops::Range<usize>)> {
    pair.into_inner().filter_map(|inner| {
        let piece = match inner.as_rule() {
            Rule::bare_text | Rule::quoted_text | Rule::heredoc_text => Piece::Text,
            Rule::escape | Rule::heredoc_escape => Piece::Escape,
            Rule::placeholder | Rule::heredoc_placeholder => Piece::Placeholder,
            Rule::brace => Piece::Brace,
            _ => return None,
        };
        Some((piece, inner.as_span().start()..inner.as_span().end()))
    })
}

fn line(pair: Pair<'_, Rule>) -> Line {
    let span = pair.as_span();
    Line { whole: span.start()..span.end(), pieces: pieces(pair).collect() }
}

fn comment(body: &mut Body, text: &str, at: Span) {
    let text = text.trim_end();
    let span = Span { end: at.start + Span::new(at.file, 0, text.len()).end, ..at };
    let blank_before = body.blank();
    let comment = Comment { text: text.to_owned(), span, blank_before };
    if let Some(node) = body.neighbour() {
        node.trailing = Some(comment);
    } else if !body.top && body.newlines == 0 && body.block.nodes.is_empty() && body.comments.is_empty() {
        body.block.opening = Some(comment);
    } else {
        body.comments.push(comment);
    }
    body.newlines = 0;
}
