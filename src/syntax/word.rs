//! Words: escapes undone, placeholders told apart, and what is wrong with them.

use std::ops::Range;

use super::complaint;
use super::tree::{Part, Style, Word};
use crate::diagnostic::{Code, FileId, Mistake, Span};

/// More mistakes than this are not kept: whoever wrote them did not write a Proxyfile.
const MOST: usize = 10_000;

/// Makes words from what the grammar found, and keeps all mistakes of the file.
pub(super) struct Words<'a> {
    file: FileId,
    text: &'a str,
    pub(super) mistakes: Vec<Mistake>,
    /// Where the last word ends that has been complained about: one complaint a cluster is enough.
    wrong_until: u32,
}

/// What a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Text,
    Escape,
    Placeholder,
    /// A `{` that begins nothing.
    Brace,
}

/// A line of a heredoc.
pub(super) struct Line {
    pub(super) whole: Range<usize>,
    pub(super) pieces: Vec<(Piece, Range<usize>)>,
}

impl<'a> Words<'a> {
    pub(super) fn new(file: FileId, text: &'a str) -> Self {
        Self { file, text, mistakes: Vec::new(), wrong_until: u32::MAX }
    }

    /// Keeps a mistake, unless there are so many that nobody needs another.
    pub(super) fn report(&mut self, mistake: impl FnOnce() -> Mistake) {
        if self.mistakes.len() < MOST {
            self.mistakes.push(mistake());
        }
    }

    /// Carriage returns that end no line. The grammar takes them for blanks; a terminal would go back to the line's
    /// beginning, and show something else than what is read.
    pub(super) fn carriage_returns(&mut self) {
        let bytes = self.text.as_bytes();
        let mut lone = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n'));
        if let Some(first) = lone.next() {
            let others = lone.count();
            let at = Span::new(self.file, first, first + 1);
            self.report(|| complaint::carriage_return(at, others));
        }
    }

    pub(super) fn punctuation(&self, at: Span) -> Word {
        Word { parts: vec![Part::Text(self.slice(at).to_owned())], style: Style::Punctuation, span: at }
    }

    /// `{{host}}`, taken for the placeholder that it should be.
    pub(super) fn doubled(&mut self, at: Span) -> Word {
        let text = self.slice(at);
        let inside = &text[2..text.len() - 2];
        self.wrong(at, || complaint::doubled(at, inside));
        let part = placeholder(inside.trim(), at).unwrap_or_else(|| Part::Text(inside.to_owned()));
        Word { parts: vec![part], style: Style::Bare, span: at }
    }

    pub(super) fn raw(&self, at: Span) -> Word {
        let text = self.slice(at);
        let inside = text.get(1..text.len() - 1).unwrap_or_default();
        Word { parts: text_parts(unix_lines(inside)), style: Style::Raw, span: at }
    }

    /// A string that its line, not a quote, ended.
    pub(super) fn open(&mut self, at: Span) -> Word {
        let text = self.slice(at).trim_end();
        let at = Span::new(self.file, at.start as usize, at.start as usize + text.len());
        let touches = self.text[..at.start as usize].ends_with(|sign: char| !sign.is_whitespace());
        match self.mistakes.last_mut().filter(|last| touches && last.code == Code::E0003 && last.others.is_empty()) {
            Some(last) => {
                complaint::string_over_lines(last, Span { end: at.start + 1, ..at });
                self.wrong_until = at.end;
            }
            None => self.wrong(at, || complaint::open_string(at, text)),
        }
        let style = if text.starts_with('"') { Style::Quoted } else { Style::Raw };
        Word { parts: text_parts(text[1..].to_owned()), style, span: at }
    }

    pub(super) fn heredoc(&mut self, at: Span, closed: bool, lines: impl Iterator<Item = Line>) -> Word {
        if !closed {
            let text = self.slice(at);
            self.wrong(at, || complaint::open_heredoc(at, text));
        }
        let lines: Vec<Line> = lines.collect();
        let body = lines.first().map_or("", |first| &self.text[first.whole.start..lines[lines.len() - 1].whole.end]);
        let common = common_indent(body).len();
        let mut parts = Parts::default();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                parts.text("\n");
            }
            let text = self.text[line.whole.clone()].trim_end_matches(['\r', '\n']);
            if is_blank(text) {
                continue;
            }
            let end = line.whole.start + text.len();
            let first = line.pieces.first().map_or(end, |(_, range)| range.start);
            parts.text(&self.text[line.whole.start + common..first]);
            for (piece, range) in &line.pieces {
                self.piece(*piece, range.start..range.end.min(end), at, Style::Heredoc, &mut parts);
            }
        }
        Word { parts: parts.all, style: Style::Heredoc, span: at }
    }

    pub(super) fn assemble(
        &mut self,
        style: Style,
        at: Span,
        pieces: impl Iterator<Item = (Piece, Range<usize>)>,
    ) -> Word {
        let mut parts = Parts::default();
        for (piece, range) in pieces {
            self.piece(piece, range, at, style, &mut parts);
        }
        if style == Style::Bare {
            self.check_bare(at);
        }
        Word { parts: parts.all, style, span: at }
    }

    fn piece(&mut self, piece: Piece, range: Range<usize>, word: Span, style: Style, parts: &mut Parts) {
        let text = self.text;
        let slice = &text[range.clone()];
        let at = Span::new(self.file, range.start, range.end);
        match piece {
            Piece::Text => parts.text(slice),
            Piece::Brace => {
                self.wrong(word, || complaint::brace(at, text, word));
                parts.text(slice);
            }
            Piece::Escape => match unescape(slice) {
                Some(sign) => parts.sign(sign),
                None => self.wrong(word, || complaint::escape(at, text, word)),
            },
            Piece::Placeholder => {
                if let Some(part) = placeholder(&slice[1..slice.len() - 1], at) {
                    parts.all.push(part);
                } else {
                    self.wrong(word, || complaint::placeholder(at, text, word, style));
                    parts.text(slice);
                }
            }
        }
    }

    fn check_bare(&mut self, at: Span) {
        let text = self.slice(at);
        if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            let odd = text.char_indices().find(|(_, sign)| sign.is_whitespace() || is_invisible(*sign));
            if let Some((offset, sign)) = odd {
                let start = at.start as usize + offset;
                let sign_at = Span::new(self.file, start, start + sign.len_utf8());
                self.wrong(at, || complaint::invisible(sign_at, sign));
            }
        }
        // Where its line ends, or another word follows, the sign would be taken for punctuation.
        if text.ends_with([',', ';', '\\']) {
            self.wrong(at, || complaint::last_sign(at, text));
        }
        if text.strip_prefix("<<").is_some_and(|tag| tag.starts_with(|sign: char| sign.is_ascii_alphabetic())) {
            self.wrong(at, || complaint::heredoc_opening(at, text));
        }
    }

    /// Two words want white space between them, punctuation does not.
    pub(super) fn check_space(&mut self, last: &Word, word: &Word) {
        let text = self.text;
        let punctuated = last.style == Style::Punctuation || word.style == Style::Punctuation;
        if last.span.end != word.span.start || punctuated {
            return;
        }
        if self.wrong_until == last.span.end || self.wrong_until == word.span.end {
            self.wrong_until = word.span.end;
        } else {
            self.wrong(word.span, || complaint::touching(last, word, text));
        }
    }

    /// The `{` of a block stands apart from the word before it.
    pub(super) fn check_brace(&mut self, word: &Word, open: Span) {
        let text = self.text;
        if self.wrong_until != word.span.end {
            self.report(|| complaint::glued_brace(word, open, text));
        }
    }

    /// A statement neither begins nor ends with a comma, nor does it begin with a parenthesis.
    pub(super) fn check_ends(&mut self, words: &[Word]) {
        let [first, .., last] = words else {
            if let [only] = words
                && only.style == Style::Punctuation
            {
                self.report(|| complaint::first_sign(words));
            }
            return;
        };
        if first.style == Style::Punctuation {
            self.report(|| complaint::first_sign(words));
        } else if last.is_punctuation(",") {
            self.report(|| complaint::last_comma(last));
        }
    }

    fn wrong(&mut self, word: Span, mistake: impl FnOnce() -> Mistake) {
        if self.wrong_until != word.end {
            self.wrong_until = word.end;
            self.report(mistake);
        }
    }

    fn slice(&self, at: Span) -> &'a str {
        &self.text[at.start as usize..at.end as usize]
    }
}

#[derive(Default)]
struct Parts {
    all: Vec<Part>,
}

impl Parts {
    fn text(&mut self, more: &str) {
        match self.all.last_mut() {
            Some(Part::Text(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.all.push(Part::Text(more.to_owned())),
        }
    }

    fn sign(&mut self, sign: char) {
        self.text(sign.encode_utf8(&mut [0; 4]));
    }
}

fn text_parts(text: String) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] }
}

/// `\r\n` as `\n`: what a file means does not depend on the editor that wrote it.
pub(super) fn unix_lines(text: &str) -> String {
    if !text.contains('\r') {
        return text.to_owned();
    }
    let mut lines = text.split('\n').peekable();
    let mut unix = String::with_capacity(text.len());
    while let Some(line) = lines.next() {
        if lines.peek().is_some() {
            unix.push_str(line.trim_end_matches('\r'));
            unix.push('\n');
        } else {
            unix.push_str(line);
        }
    }
    unix
}

pub(super) fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// The white space that begins every line of a heredoc that holds anything.
pub(super) fn common_indent(body: &str) -> &str {
    let mut common: Option<&str> = None;
    for line in body.lines().filter(|line| !is_blank(line)) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let same = common.map_or(indent.len(), |common| {
            common.bytes().zip(indent.bytes()).take_while(|(one, other)| one == other).count()
        });
        common = Some(&indent[..same]);
    }
    common.unwrap_or("")
}

fn unescape(escape: &str) -> Option<char> {
    match &escape[1..] {
        "n" => Some('\n'),
        "t" => Some('\t'),
        "r" => Some('\r'),
        "\"" => Some('"'),
        "\\" => Some('\\'),
        "{" => Some('{'),
        "}" => Some('}'),
        other => {
            let digits = other.strip_prefix("u{")?.strip_suffix('}')?;
            let hexadecimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if hexadecimal { u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) } else { None }
        }
    }
}

/// The part that `{inside}` stands for, where its shape is right. Whether its name is known is not asked here.
pub(super) fn placeholder(inside: &str, span: Span) -> Option<Part> {
    if let Some(rest) = inside.strip_prefix('$') {
        let (name, default) = match rest.split_once(':') {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (rest, None),
        };
        let first = name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_');
        let right = first && name.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_');
        return right.then(|| Part::Environment { name: name.to_owned(), default, span });
    }
    let (name, rest) = inside.split_once('.').map_or((inside, None), |(name, rest)| (name, Some(rest)));
    let first = name.starts_with(|sign: char| sign.is_ascii_lowercase());
    let right = name.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_');
    if !first || !right || rest == Some("") {
        return None;
    }
    Some(match rest {
        Some(path) if name == "file" => Part::File { path: path.to_owned(), span },
        Some(path) if name == "lines" => Part::Lines { path: path.to_owned(), span },
        _ => Part::Placeholder { name: inside.to_owned(), span },
    })
}

/// Signs that a reader cannot see, and that could make a line look like another one.
fn is_invisible(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The parts of the words of one statement: text as it is, placeholders between ‹ and ›, words between spaces.
    fn check(text: &str, expected: &str) {
        let (tree, mistakes) = parse(0, text);
        assert_eq!(mistakes, [], "{text}");
        assert_eq!(tree.nodes.len(), 1, "{text}");
        let words = tree.nodes[0].words.iter().map(|word| word.parts.iter().map(show).collect::<String>());
        assert_eq!(words.collect::<Vec<_>>().join("|"), expected, "{text}");
    }

    fn show(part: &Part) -> String {
        match part {
            Part::Text(text) => text.clone(),
            Part::Placeholder { name, .. } => format!("‹{name}›"),
            Part::Environment { name, default: None, .. } => format!("‹${name}›"),
            Part::Environment { name, default: Some(default), .. } => format!("‹${name}:{default}›"),
            Part::File { path, .. } => format!("‹file {path}›"),
            Part::Lines { path, .. } => format!("‹lines {path}›"),
        }
    }

    #[test]
    fn words_end_at_white_space_and_punctuation() {
        check("a b\tc", "a|b|c");
        check("a, b,c , d", "a|,|b,c|,|d");
        check("a,\n   b,\r\n\tc", "a|,|b|,|c");
        check("use x(a, b)", "use|x|(|a|,|b|)");
        check("text/html;charset=utf-8 a#b", "text/html;charset=utf-8|a#b");
        check("a \\\n b \\\r\n c", "a|b|c");
        check("\u{feff}a", "a");
        check("a \\\n # a comment ends it", "a");
    }

    #[test]
    fn escapes_are_undone() {
        check(r#"a "\" \\ \n \t \r \{ \} \u{e9}""#, "a|\" \\ \n \t \r { } é");
        check(r#"a """#, "a|");
        check(r"a `\n {x} \`", r"a|\n {x} \");
        check("a `x\r\ny`", "a|x\ny");
    }

    #[test]
    fn placeholders_are_told_apart() {
        check("a {host}:{header.X-Name}", "a|‹host›:‹header.X-Name›");
        check("a {$A} {$B_2:} {$c:a,b:c}", "a|‹$A›|‹$B_2:›|‹$c:a,b:c›");
        check("a {file./run/x} {file.x} {lines.x}", "a|‹file /run/x›|‹file x›|‹lines x›");
        check("a \"{host} \\{host}\"", "a|‹host› {host}");
    }

    #[test]
    fn heredocs_lose_their_common_indentation() {
        check("a <<END\n    x\n      y\n\n    z\n  END", "a|x\n  y\n\nz");
        check("a <<END\n\tx\r\n\t y\r\nEND b", "a|x\n y|b");
        check("a <<END\nEND", "a|");
        check("a <<END\n  \n\nEND", "a|\n");
        check(
            "a <<E\n {host} {a b} \\{host} {$X} {header.X-A} {A} \\n\n ENDE\n E",
            "a|‹host› {a b} {host} ‹$X› ‹header.X-A› {A} \\n\nENDE",
        );
    }

    #[test]
    fn blocks_are_told_from_placeholders() {
        for text in ["a { b }", "a {\nb\n}", "a {b}{ c }", "a {b} {}", "a { b { c; d } }"] {
            let (tree, _) = parse(0, text);
            assert!(tree.nodes[0].block.is_some(), "{text}");
        }
        check("a {b} {c}", "a|‹b›|‹c›");
    }
}
