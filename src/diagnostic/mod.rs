//! Findings: what is wrong, where, and what to write instead.
//!
//! Everything that can be said about a Proxyfile is a [`Mistake`]. The rooms of the house make them, [`Findings`]
//! collects them, and the faces beside this file print them.

pub mod code;
pub mod github;
pub mod json;
pub(crate) mod lines;
pub mod page;
pub mod sarif;
mod source;
pub mod terminal;

pub use code::{Code, Severity};
pub use source::{FileId, Source, Sources, Span, Written, placeless};

/// One finding: a stable code, the exact place, one plain sentence, and help that can be pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub code: Code,
    pub at: Span,
    /// Lower case, the user's words in backticks, no full stop.
    pub text: String,
    /// Written under the underlined span; empty means that the underline speaks for itself.
    pub label: String,
    /// Other places that matter ("first defined here").
    pub others: Vec<(Span, String)>,
    /// What to write instead.
    pub help: Option<String>,
    /// The same for an editor, where it is sure.
    pub fix: Option<Box<Fix>>,
}

/// One word for another, or for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    pub at: Span,
    /// What should stand there. Where a snippet's argument was put in, something else does, and nothing can be replaced.
    pub was: String,
    pub with: String,
}

impl Mistake {
    pub fn new(code: Code, at: Span, text: impl Into<String>) -> Self {
        Self { code, at, text: bounded(text.into()), label: String::new(), others: Vec::new(), help: None, fix: None }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = bounded(label.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(bounded(help.into()));
        self
    }

    #[must_use]
    pub fn other(mut self, at: Span, text: impl Into<String>) -> Self {
        self.others.push((at, bounded(text.into())));
        self
    }

    /// A misspelt word, and the one that was meant: says so, and lets an editor put it right.
    #[must_use]
    pub fn meant(self, was: &str, with: &str) -> Self {
        self.fix(was, with).label(format!("did you mean `{with}`?"))
    }

    /// What to write in place of what stands there: says so, and lets an editor do it.
    #[must_use]
    pub fn instead(self, was: &str, with: impl Into<String>) -> Self {
        let with = with.into();
        self.help(format!("write `{with}`")).fix(was, with)
    }

    /// Lets an editor write this in place of what stands there; nothing, where it is one too many. The help says why.
    #[must_use]
    pub fn fix(mut self, was: &str, with: impl Into<String>) -> Self {
        self.fix = Some(Box::new(Fix { at: self.at, was: bounded(was.to_owned()), with: with.into() }));
        self
    }

    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// All findings of one run. They are kept in the order of their places.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    all: Vec<Mistake>,
}

impl Findings {
    pub fn push(&mut self, mistake: Mistake) {
        self.all.push(mistake);
    }

    /// In order of place: file by file as they were read, then by offset.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Mistake> {
        self.all.sort_by_key(|m| (m.at.file, m.at.start, m.at.end));
        self.all.dedup();
        self.all
    }

    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|m| m.severity() == Severity::Error)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Extend<Mistake> for Findings {
    fn extend<T: IntoIterator<Item = Mistake>>(&mut self, iter: T) {
        self.all.extend(iter);
    }
}

/// Bytes of a sentence: words of a megabyte are named in a thousand findings as well as in one.
const LONGEST: usize = 2_000;

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
        // Of which every mistake keeps one.
        text.shrink_to_fit();
    }
    text
}

/// An I/O error in the style of our own sentences: lower case, without the number.
#[must_use]
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::plain;

    #[test]
    fn system_errors_read_like_ours() {
        assert_eq!(plain(&io::Error::from_raw_os_error(28)), "no space left on device");
        assert_eq!(plain(&io::Error::other("Odd")), "odd");
    }
}
