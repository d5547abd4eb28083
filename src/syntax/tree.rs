//! The tree: what was written, with every span and comment.

use crate::diagnostic::Span;

/// The statements of a file, or those between two braces.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Of a file: all of it. Of a block: from `{` to `}`.
    pub span: Span,
    /// `{ # this`
    pub opening: Option<Comment>,
    pub nodes: Vec<Node>,
    /// Comments behind the last statement, on lines of their own.
    pub tail: Vec<Comment>,
    /// Written on one line: `{ a; b }`.
    pub one_line: bool,
}

/// One statement: its words, and the block that belongs to it.
#[derive(Debug, Clone)]
pub struct Node {
    /// On the lines over it.
    pub comments: Vec<Comment>,
    /// An empty line stood over it (between its last comment and itself).
    pub blank_before: bool,
    /// Never empty. The first names the statement; a site starts with its address, a matcher with `@name`.
    pub words: Vec<Word>,
    pub block: Option<Block>,
    /// On the same line, behind it (behind the `}` where it has a block).
    pub trailing: Option<Comment>,
    /// From the first word to the end of the last word or block.
    pub span: Span,
    /// The `use` that put it here, where it comes from a snippet: other places have the same statement.
    pub used_at: Option<Span>,
}

#[derive(Debug, Clone)]
pub struct Comment {
    /// With its `#`, without trailing white space.
    pub text: String,
    pub span: Span,
    pub blank_before: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub parts: Vec<Part>,
    pub style: Style,
    pub span: Span,
}

/// How a word was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Bare,
    /// `"…"`
    Quoted,
    /// `` `…` ``
    Raw,
    /// `<<END … END`
    Heredoc,
    /// `(`, `)` or `,`: one text part of one character.
    Punctuation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Escapes already undone.
    Text(String),
    /// `{name}`, evaluated for each request.
    Placeholder { name: String, span: Span },
    /// `{$NAME}` and `{$NAME:default}`, known when the file is read.
    Environment { name: String, default: Option<String>, span: Span },
    /// `{file./run/secrets/token}`, read when the file is read.
    File { path: String, span: Span },
    /// `{lines./etc/rp/office.txt}`: a word for each line, read when the file is read.
    Lines { path: String, span: Span },
}

/// Options whose words nobody is shown.
const SECRETS: [&str; 7] = ["account", "eab", "password", "secret", "secret_key", "session_token", "token"];

impl Node {
    /// Whether its words are for nobody's eyes.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        SECRETS.contains(&self.name())
    }

    /// The words as they can be shown, in one line.
    #[must_use]
    pub fn written(&self) -> String {
        if self.is_secret() {
            return format!("{} …", self.name());
        }
        let mut line = String::new();
        for word in &self.words {
            if !line.is_empty() && !word.is_punctuation(",") {
                line.push(' ');
            }
            word.show(&mut line);
        }
        line
    }

    /// The first word, where it is plain text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.words[0].plain().unwrap_or("")
    }
}

impl Word {
    /// The whole word, where nothing in it is to be replaced.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// As it can be shown: text and placeholders, without its quotes.
    #[must_use]
    pub fn written(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Placeholder { name, .. } => format!("{{{name}}}"),
            Part::Environment { name, .. } => format!("{{${name}}}"),
            Part::File { path, .. } => format!("{{file.{path}}}"),
            Part::Lines { path, .. } => format!("{{lines.{path}}}"),
        };
        self.parts.iter().map(part).collect()
    }

    /// [`Word::written`], in quotes where it would be several words.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = without_password(self.written());
        let is_one = !text.is_empty() && !text.contains([' ', '\t', '\n', ';', '#', '"', ',']);
        if is_one || self.style == Style::Punctuation { text } else { format!("{text:?}") }
    }

    /// [`Word::shown`] behind what is there. Most words are plain, and ten thousand sites have a hundred thousand of them.
    fn show(&self, line: &mut String) {
        let odd = |byte| matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'#' | b'"' | b',' | b'@');
        match self.plain() {
            Some(text) if !text.is_empty() && !text.bytes().any(odd) => line.push_str(text),
            _ => line.push_str(&self.shown()),
        }
    }

    #[must_use]
    pub fn is_punctuation(&self, sign: &str) -> bool {
        self.style == Style::Punctuation && self.plain() == Some(sign)
    }
}

/// A URL's password is for nobody's eyes (RFC 3986, section 3.2.1).
#[must_use]
pub fn without_password(text: String) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((login, _)) = authority.rsplit_once('@') else { return text };
    match login.split_once(':') {
        Some((user, password)) if !password.is_empty() => format!("{scheme}://{user}:…{}", &rest[login.len()..]),
        _ => text,
    }
}

/// `else` goes on with the statement before it: it alone may stand behind a `}`, on its line.
#[must_use]
pub fn is_else(first: &Word) -> bool {
    first.style == Style::Bare && first.plain() == Some("else")
}
