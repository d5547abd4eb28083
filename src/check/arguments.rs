//! The words behind a statement's name, taken one by one.

use super::{Check, Reported, Value};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Node, Word};

/// A cursor over a statement's arguments.
#[derive(Debug)]
pub struct Arguments<'n> {
    node: &'n Node,
    rest: &'n [Word],
    /// Shown where an argument is missing or one is too many: `redirect TARGET [STATUS]`.
    syntax: &'static str,
}

impl<'n> Arguments<'n> {
    #[must_use]
    pub fn of(node: &'n Node, syntax: &'static str) -> Self {
        Self { node, rest: &node.words[1..], syntax }
    }

    /// The next word, whatever it is.
    pub fn word(&mut self) -> Option<&'n Word> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    #[must_use]
    pub fn peek(&self) -> Option<&'n Word> {
        self.rest.first()
    }

    /// What has not been taken yet.
    #[must_use]
    pub fn rest(&self) -> &'n [Word] {
        self.rest
    }

    /// The next word, which must be there.
    pub fn expect_word(&mut self, what: &str, cx: &mut Check) -> Result<&'n Word, Reported> {
        self.word().ok_or_else(|| self.missing(what, cx))
    }

    /// The next argument, which must be there and of this kind.
    pub fn expect<V: Value>(&mut self, what: &str, cx: &mut Check) -> Result<V, Reported> {
        let word = self.expect_word(what, cx)?;
        cx.value(word)
    }

    /// The next argument if there is one; then it must be of this kind.
    pub fn optional<V: Value>(&mut self, cx: &mut Check) -> Result<Option<V>, Reported> {
        self.word().map(|word| cx.value(word)).transpose()
    }

    /// All that is left; at least one.
    pub fn expect_all<V: Value>(&mut self, what: &str, cx: &mut Check) -> Result<Vec<V>, Reported> {
        let first = self.expect(what, cx)?;
        let mut all = vec![first];
        while let Some(word) = self.word() {
            all.push(cx.value(word)?);
        }
        Ok(all)
    }

    /// Takes the next word if it is this keyword.
    pub fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.plain() == Some(keyword));
        if found {
            self.word();
        }
        found
    }

    /// Nothing may be left.
    pub fn done(self, cx: &mut Check) -> Result<(), Reported> {
        match self.rest {
            [] => Ok(()),
            [first, ..] => {
                let last = self.rest.last().unwrap_or(first);
                Err(self.surplus(first.span.to(last.span), cx))
            }
        }
    }

    /// Nothing may be left, and no block may follow.
    pub fn done_without_block(self, cx: &mut Check) -> Result<(), Reported> {
        let node = self.node;
        self.done(cx)?;
        no_block(node, cx)
    }

    pub fn missing(&self, what: &str, cx: &mut Check) -> Reported {
        let last = self.node.words.last().map_or(self.node.span, |word| word.span);
        let at = Span { start: last.end, ..last };
        cx.report(
            Mistake::new(Code::E0022, at, format!("`{}` wants {what}", self.node.name()))
                .label("it belongs here")
                .help(format!("write: {}", self.syntax)),
        )
    }

    fn surplus(&self, at: Span, cx: &mut Check) -> Reported {
        let name = self.node.name();
        let (sentence, label) = match self.rest.len() {
            all if all == self.node.words.len() - 1 => (format!("`{name}` takes no arguments"), String::new()),
            1 => (format!("`{name}` takes no more arguments"), "one too many".to_owned()),
            many => (format!("`{name}` takes no more arguments"), format!("{many} too many")),
        };
        cx.report(Mistake::new(Code::E0023, at, sentence).label(label).help(format!("write: {}", self.syntax)))
    }
}

/// Refuses a block behind a statement that has none.
pub fn no_block(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    match &node.block {
        None => Ok(()),
        Some(block) => Err(cx.report(
            Mistake::new(Code::E0026, block.span, format!("`{}` takes no block", node.name()))
                .help("remove everything from `{` to `}`"),
        )),
    }
}
