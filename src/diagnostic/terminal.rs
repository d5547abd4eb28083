//! Findings for people: the lines they are about, what is underlined in them, and what to write instead.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};

use super::lines::{Indexes, Lines};
use super::{FileId, Mistake, Severity, Sources, Span};

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns. Messages are wrapped to them, lines of source are not.
    pub width: usize,
}

/// A terminal shows no more than this: who has more mistakes begins at the top anyway.
const MOST: usize = 1000;
/// A longer line of source is shown as the part around its finding.
const LONGEST: usize = 160;

/// One report for each finding, then a line that counts them; empty where there is nothing to say.
#[must_use]
pub fn render(mistakes: &[Mistake], sources: &Sources, style: Style) -> String {
    let theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_wrap_lines(false)
        .with_links(false)
        .without_syntax_highlighting();
    let mut desk = Desk { handler, width: style.width, sources, indexes: Indexes::default(), texts: HashMap::new() };
    let mut out = String::new();
    for mistake in mistakes.iter().take(MOST) {
        desk.report(mistake, &mut out);
    }
    if let Some(more @ 1..) = mistakes.len().checked_sub(MOST) {
        let _ = writeln!(out, "… and {more} more\n");
    }
    out.push_str(&tally(mistakes));
    out
}

/// What all reports share.
struct Desk<'a> {
    handler: GraphicalReportHandler,
    width: usize,
    sources: &'a Sources,
    indexes: Indexes,
    texts: HashMap<FileId, Cow<'a, str>>,
}

impl Desk<'_> {
    fn report(&mut self, mistake: &Mistake, out: &mut String) {
        let file = mistake.at.file;
        let source = self.sources.file(file);
        let (near, far): (Vec<_>, Vec<_>) = mistake.others.iter().partition(|(at, _)| at.file == file);
        let lines = self.indexes.of(file, self.sources);
        let text = self.texts.entry(file).or_insert_with(|| visible(&source.text));
        let excerpt = Excerpt { name: source.path.display().to_string(), text, lines };
        if self.handler.render_report(out, &Shown { mistake, near: &near, excerpt, width: self.width }).is_err() {
            // Only a span outside its file gets here; the sentence is worth more than the picture.
            let _ = writeln!(out, "  {}", mistake.text);
        }
        for (at, text) in far {
            let text = text.strip_suffix(" here").unwrap_or(text);
            let place = self.indexes.place(*at, self.sources);
            let _ = writeln!(out, "  note: {} at {}", printable(text), printable(&place));
        }
        out.push('\n');
    }
}

/// `2 errors, 1 warning`
fn tally(mistakes: &[Mistake]) -> String {
    let errors = mistakes.iter().filter(|mistake| mistake.severity() == Severity::Error).count();
    let count = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 {name}")),
        many => Some(format!("{many} {name}s")),
    };
    let counts: Vec<String> =
        [count(errors, "error"), count(mistakes.len() - errors, "warning")].into_iter().flatten().collect();
    if counts.is_empty() { String::new() } else { counts.join(", ") + "\n" }
}

/// A finding as miette wants it.
struct Shown<'a> {
    mistake: &'a Mistake,
    near: &'a [&'a (Span, String)],
    excerpt: Excerpt<'a>,
    width: usize,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mistake.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wrap(&printable(&self.mistake.text), self.width.saturating_sub(4)))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let severity = match self.mistake.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Some(Box::new(format!("{severity} {}", self.mistake.code)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.mistake.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let width = self.width.saturating_sub(8);
        let help = self.mistake.help.as_ref()?;
        Some(Box::new(wrap(&printable(help), width)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.excerpt.text.is_empty() {
            return None;
        }
        let label = |text: &str| (!text.is_empty()).then(|| printable(text));
        let primary =
            LabeledSpan::new_primary_with_span(label(&self.mistake.label), self.excerpt.in_line(self.mistake.at));
        let others =
            self.near.iter().map(move |(at, text)| LabeledSpan::new_with_span(label(text), self.excerpt.in_line(*at)));
        Some(Box::new(std::iter::once(primary).chain(others)))
    }
}

/// The file of a finding. miette's own reader walks through the whole text for each span: with a thousand findings in
/// ten thousand lines that is seconds.
struct Excerpt<'a> {
    name: String,
    text: &'a str,
    lines: &'a Lines,
}

impl Excerpt<'_> {
    /// The part of a span that lies in its first line and can be shown.
    fn in_line(&self, at: Span) -> SourceSpan {
        let last = self.text.trim_end_matches(['\n', '\r']).len();
        let start = (at.start as usize).min(last);
        let line_end = self.lines.end(self.lines.line(start), self.text);
        let line_end = start + self.text[start..line_end].trim_end_matches(['\n', '\r']).len();
        let end = (at.end as usize).clamp(start, line_end.min(self.boundary(start + LONGEST / 4)));
        (start, end - start).into()
    }

    /// The next boundary between characters, from an offset on.
    fn boundary(&self, offset: usize) -> usize {
        (offset..self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(self.text.len())
    }

    /// Bytes to show around a span: whole lines where they are of a decent length.
    fn window(&self, start: usize, end: usize, context: usize) -> (usize, usize) {
        let (first, last) = (self.lines.line(start), self.lines.line(end));
        let mut from = self.lines.start(first);
        let mut to = self.lines.end(last, self.text);
        if start - from > LONGEST {
            from = self.boundary(start - LONGEST / 4);
        } else if context > 0 && first > 0 && from - self.lines.start(first - 1) <= LONGEST {
            from = self.lines.start(first - 1);
        }
        if to - end > LONGEST {
            to = self.boundary(end + LONGEST / 4);
        } else if context > 0 && to < self.text.len() {
            to = self.lines.end(last + 1, self.text).min(self.boundary(to + LONGEST));
        }
        (from, to)
    }
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > self.text.len() || span.len() > LONGEST * 4 {
            return Err(MietteError::OutOfBounds);
        }
        let (from, to) = if context_lines_before == 0 { (start, end) } else { self.window(start, end, 1) };
        let (line, column) = self.lines.line_column(from, self.text);
        let data = &self.text.as_bytes()[from..to];
        let count = self.lines.line(to.saturating_sub(1).max(from)) + 1 - (line - 1);
        let shown: SourceSpan = (from, to - from).into();
        let contents = MietteSpanContents::new_named(self.name.clone(), data, shown, line - 1, column - 1, count);
        Ok(Box::new(contents))
    }
}

/// Breaks lines at spaces, but never inside backticks: what is to be pasted stays in one piece.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split('\n') {
        let mut column = 0;
        let mut code = false;
        for word in line.split(' ') {
            let length = word.chars().count();
            if column > 0 {
                let fits = column + 1 + length <= width || code;
                out.push(if fits { ' ' } else { '\n' });
                column = if fits { column + 1 } else { 0 };
            }
            code ^= word.matches('`').count() % 2 == 1;
            out.push_str(word);
            column += length;
        }
        out.push('\n');
    }
    out.pop();
    out
}

/// The text with every sign that a terminal would obey replaced by a visible one of as many bytes.
fn visible(text: &str) -> Cow<'_, str> {
    let harmless = |sign: char| matches!(sign, '\n' | '\t' | '\r') || !obeyed(sign);
    if text.is_ascii() && text.bytes().all(|byte| harmless(char::from(byte))) || text.chars().all(harmless) {
        return text.into();
    }
    text.chars()
        .map(|sign| match (harmless(sign), sign.len_utf8()) {
            (true, _) => sign,
            (false, 1) => '?',
            (false, 2) => '¿',
            (false, _) => '\u{fffd}',
        })
        .collect::<String>()
        .into()
}

fn printable(text: &str) -> String {
    text.chars().map(|sign| if sign != '\n' && obeyed(sign) { '\u{fffd}' } else { sign }).collect()
}

/// A control character, or one that hides or reorders what stands around it.
fn obeyed(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    fn check(texts: &[&str], mistake: &Mistake, expected: &str) {
        let mut sources = Sources::default();
        for (index, text) in texts.iter().enumerate() {
            sources.add(format!("{index}.conf"), *text);
        }
        let found = render(std::slice::from_ref(mistake), &sources, Style { color: false, width: 60 });
        let found: String = found.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn places_in_other_files_are_named() {
        let mistake = Mistake::new(Code::E0040, Span::new(1, 0, 1), "two sites are called `a`")
            .label("again here")
            .other(Span::new(0, 3, 4), "first defined here")
            .help("rename one of them, so that each has an address of its own that no other site has");
        check(
            &["#\n a\n", "a\n"],
            &mistake,
            "error E0040

  × two sites are called `a`
   ╭─[1.conf:1:1]
 1 │ a
   · ┬
   · ╰── again here
   ╰────
  help: rename one of them, so that each has an address of
        its own that no other site has
  note: first defined at 0.conf:2:2

1 error
",
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        let mistake = Mistake::new(Code::W0001, Span::new(0, 5, 6), "`\u{1b}[2J` never runs");
        check(
            &["\u{1b}[2J a\u{9b}\u{202e}b\n"],
            &mistake,
            "warning W0001

  ⚠ `\u{fffd}[2J` never runs
   ╭─[0.conf:1:6]
 1 │ ?[2J a¿\u{fffd}b
   ·      ─
   ╰────

1 warning
",
        );
    }

    #[test]
    fn an_empty_file_has_no_picture() {
        let mistake = Mistake::new(Code::E0009, Span::new(0, 0, 0), "cannot read it");
        check(&[""], &mistake, "error E0009\n\n  × cannot read it\n\n1 error\n");
    }

    #[test]
    fn spans_over_lines_and_long_lines_show_their_beginning() {
        let mistake = Mistake::new(Code::E0010, Span::new(0, 2, 9), "here").label("from here on");
        check(
            &["a\nb {\n  c\n}\n"],
            &mistake,
            "error E0010

  × here
   ╭─[0.conf:2:1]
 1 │ a
 2 │ b {
   · ─┬─
   ·  ╰── from here on
 3 │   c
   ╰────

1 error
",
        );
        let long = format!("{} x {}", "a".repeat(5000), "b".repeat(5000));
        let mut sources = Sources::default();
        sources.add("long", long);
        let mistake = Mistake::new(Code::E0010, Span::new(0, 5001, 5002), "here");
        let shown = render(&[mistake], &sources, Style { color: false, width: 60 });
        assert!(shown.contains("[long:1:5002]") && shown.contains("aaa x bbb") && shown.len() < 1500, "{shown}");
    }

    #[test]
    fn code_is_not_broken_over_lines() {
        assert_eq!(wrap("write `a b c d` here", 12), "write `a b c d`\nhere");
        assert_eq!(wrap("one two three", 8), "one two\nthree");
    }
}
