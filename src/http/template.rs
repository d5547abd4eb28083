//! Text with placeholders, split when the file is read and put together once for each request.

use http::HeaderValue;
use http::response::Parts;

use super::exchange::Exchange;
use super::placeholder::{self, Slot, Values, View};
use crate::check::{Check, Reported, habit, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Part, Style, Word};

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<[u8]>),
    Slot(Slot),
}

/// Text with placeholders.
#[derive(Debug, Clone, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// Where a template is evaluated: what an answer brings can't be asked for before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Request,
    Response,
}

impl Template {
    /// Reads a word; an unknown placeholder is a mistake.
    pub fn check(word: &Word, when: When, cx: &mut Check) -> Result<Self, Reported> {
        if word.style == Style::Punctuation {
            cx.plain(word)?;
        }
        let mut pieces = Vec::with_capacity(word.parts.len());
        let mut outcome = Ok(());
        for part in &word.parts {
            match part {
                Part::Text(text) => {
                    no_variable(text, word, cx)?;
                    pieces.push(Piece::Text(text.as_bytes().into()));
                }
                // Each unknown one is told.
                Part::Placeholder { name, span } => match slot(name, *span, when, cx) {
                    Ok(slot) => pieces.push(Piece::Slot(slot)),
                    Err(reported) => outcome = Err(reported),
                },
                // Expansion has put text in their place.
                Part::Environment { .. } | Part::File { .. } | Part::Lines { .. } => {}
            }
        }
        outcome.map(|()| Self { pieces })
    }

    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { pieces: vec![Piece::Text(text.as_bytes().into())] }
    }

    /// One placeholder by its name.
    ///
    /// # Panics
    /// Where the table has none of this name.
    #[must_use]
    pub fn placeholder(name: &str) -> Self {
        let (placeholder, key) = placeholder::find(name).expect("a placeholder of the table");
        Self { pieces: vec![Piece::Slot(placeholder.slot(key).expect("a key that fits"))] }
    }

    /// The value, where no request has a part in it.
    #[must_use]
    pub fn fixed(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Slot(slot) => slot.write(view, out),
            }
        }
    }

    #[must_use]
    pub fn render(&self, exchange: &Exchange, response: Option<&Parts>) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&View { exchange, response }, &mut out);
        out
    }

    /// As text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn render_text(&self, exchange: &Exchange) -> String {
        String::from_utf8(self.render(exchange, None))
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

impl Template {
    /// As texts: where it is one placeholder for what a request may bring several times, each of the values. Never nothing:
    /// what is not there is an empty text.
    #[must_use]
    pub fn render_each(&self, exchange: &Exchange) -> Values {
        let values = match self.pieces.as_slice() {
            [Piece::Slot(slot)] => slot.each(exchange),
            _ => Values::new(),
        };
        if values.is_empty() { Values::from([self.render_text(exchange)]) } else { values }
    }
}

/// A template whose outcome is a field value: fixed ones are made when the site is built.
#[derive(Debug, Clone)]
pub enum ValueTemplate {
    Fixed(HeaderValue),
    Made(Template),
}

impl ValueTemplate {
    pub fn check(word: &Word, when: When, cx: &mut Check) -> Result<Self, Reported> {
        let template = Template::check(word, when, cx)?;
        match template.fixed() {
            None => Ok(Self::Made(template)),
            Some(bytes) => HeaderValue::from_bytes(bytes).map(Self::Fixed).map_err(|_| {
                cx.report(
                    Mistake::new(
                        Code::E0020,
                        word.span,
                        "a field value can't hold line breaks or other control characters",
                    )
                    .help("write it on one line"),
                )
            }),
        }
    }

    /// What a request brings in can't break out of the field.
    #[must_use]
    pub fn value(&self, exchange: &Exchange, response: Option<&Parts>) -> HeaderValue {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Made(template) => field_value(template.render(exchange, response)),
        }
    }
}

/// Bytes that a request had a part in, as a field value: control characters become spaces (threat XP03).
#[must_use]
pub fn field_value(mut bytes: Vec<u8>) -> HeaderValue {
    bytes.iter_mut().filter(|byte| byte.is_ascii_control() && **byte != b'\t').for_each(|byte| *byte = b' ');
    HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn slot(name: &str, at: Span, when: When, cx: &mut Check) -> Result<Slot, Reported> {
    let Some((placeholder, key)) = placeholder::find(name) else { return Err(unknown(name, at, cx)) };
    if placeholder.response && when == When::Request {
        return Err(cx.report(
            Mistake::new(
                Code::E0029,
                at,
                format!("`{{{name}}}` is known only once there is an answer, and this is asked before that"),
            )
            .help("it can be used in fields of the answer: header set NAME VALUE"),
        ));
    }
    placeholder.slot(key).ok_or_else(|| {
        cx.report(
            Mistake::new(Code::E0012, at, format!("`{key}` can't be the name of a header field"))
                .help("write it as in `{header.X-Name}`"),
        )
    })
}

/// `$host` of other servers would be sent as it stands. Between backticks, or in a heredoc, it is text.
fn no_variable(text: &str, word: &Word, cx: &mut Check) -> Result<(), Reported> {
    let may = matches!(word.style, Style::Bare | Style::Quoted);
    let Some((theirs, ours)) = habit::in_text(text).filter(|_| may) else { return Ok(()) };
    Err(cx.report(
        Mistake::new(Code::E0012, word.span, format!("`{theirs}` is not replaced here, a placeholder is"))
            .help(format!("write `{ours}`; text that really holds `{theirs}` goes between backticks")),
    ))
}

fn unknown(name: &str, at: Span, cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0012, at, format!("there is no placeholder `{{{name}}}`"));
    if let Some(ours) = habit::placeholder(name) {
        return cx
            .report(mistake.label("other servers have it").instead(&format!("{{{name}}}"), format!("{{{ours}}}")));
    }
    let names = placeholder::TABLE.iter().map(|placeholder| placeholder.name);
    // `{header.}` and `{headers.X}` are judged by what stands before the dot.
    let stem = name.split_once('.').map_or(name.to_owned(), |(stem, _)| format!("{stem}."));
    let near = near::nearest(name, names.clone()).or_else(|| near::nearest(&stem, names));
    cx.report(match near {
        Some(near) if near.ends_with('.') => {
            let key = name.split_once('.').map_or("NAME", |(_, key)| if key.is_empty() { "NAME" } else { key });
            mistake.meant(&format!("{{{name}}}"), &format!("{{{near}{key}}}")).help(format!("write `{{{near}{key}}}`"))
        }
        Some(near) => mistake.meant(&format!("{{{name}}}"), &format!("{{{near}}}")).help(format!("write `{{{near}}}`")),
        None => mistake.help("`rp help placeholders` lists them all; for a brace itself, write `\\{` in quotes"),
    })
}
