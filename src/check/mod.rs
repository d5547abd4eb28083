//! What every reader of the tree shares: where mistakes go, which names are known, how arguments and options are read.

mod arguments;
pub mod expand;
pub mod near;
mod options;
pub mod value;

use std::collections::HashMap;

pub use arguments::{Arguments, no_block};
pub use options::Opt;
pub use value::{Value, Wrong};

use crate::diagnostic::{Code, Findings, Mistake, Span};
use crate::syntax::tree::{Node, Part, Word};

/// Proof that a mistake was reported. Only [`Check::report`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported(());

/// A name that the file defines, and whether anything has used it yet.
#[derive(Debug)]
struct Named<T> {
    at: Span,
    used: bool,
    what: T,
}

/// The state of one check of one configuration. Sees no socket, no disk and no clock.
#[derive(Debug, Default)]
pub struct Check {
    findings: Findings,
    upstreams: HashMap<String, Named<()>>,
    /// Matchers by name, the innermost scope last.
    matchers: Vec<HashMap<String, Named<Node>>>,
    /// Set while something is read a second time, when every mistake in it has been reported already.
    quiet: usize,
    /// How often the definition of a matcher was read.
    entered: usize,
}

/// Matchers that stand on two others each, those on two more, … : this many readings are enough for anyone.
const MOST_MATCHERS: usize = 100_000;

impl Check {
    pub fn report(&mut self, mistake: Mistake) -> Reported {
        if self.quiet == 0 {
            self.findings.push(mistake);
        }
        Reported(())
    }

    /// For what follows from a mistake that was reported at its own place.
    #[must_use]
    pub(crate) fn reported_before(&self) -> Reported {
        debug_assert!(self.quiet > 0 || self.findings.has_errors(), "nothing was reported");
        Reported(())
    }

    #[must_use]
    pub fn finish(self) -> Findings {
        self.findings
    }

    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.has_errors()
    }

    /// Runs `read` without taking its mistakes: what it reads was reported where it was defined.
    pub fn quietly<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.quiet += 1;
        let value = read(self);
        self.quiet -= 1;
        value
    }

    // ---- values

    /// The word as plain text, known now.
    pub fn plain<'w>(&mut self, word: &'w Word) -> Result<&'w str, Reported> {
        if word.is_punctuation("(") || word.is_punctuation(")") || word.is_punctuation(",") {
            let sign = word.plain().unwrap_or_default();
            return Err(self.report(
                Mistake::new(Code::E0018, word.span, format!("`{sign}` means nothing here"))
                    .help(format!("put it in quotes if it is part of a value: \"{sign}\"")),
            ));
        }
        match word.plain() {
            Some(text) => Ok(text),
            // What could not be put in its place was reported then.
            None if word.parts.iter().any(|part| matches!(part, Part::Environment { .. } | Part::File { .. })) => {
                Err(Reported(()))
            }
            None => {
                let (name, span) = word
                    .parts
                    .iter()
                    .find_map(|part| match part {
                        Part::Placeholder { name, span } => Some((name.as_str(), *span)),
                        _ => None,
                    })
                    .unwrap_or(("", word.span));
                Err(self.report(
                    Mistake::new(
                        Code::E0029,
                        span,
                        format!(
                            "`{{{name}}}` is known only once there is a request, and this value is fixed before that"
                        ),
                    )
                    .help("write the value itself, or take it from the environment: {$NAME}"),
                ))
            }
        }
    }

    /// Reads a word as a value of its kind.
    pub fn value<V: Value>(&mut self, word: &Word) -> Result<V, Reported> {
        let text = self.plain(word)?;
        V::parse(text).map_err(|wrong| self.wrong::<V>(word, wrong))
    }

    fn wrong<V: Value>(&mut self, word: &Word, wrong: Wrong) -> Reported {
        let text = word.plain().unwrap_or_default();
        let code = if wrong.range { Code::E0021 } else { Code::E0020 };
        let sentence = wrong.text.unwrap_or_else(|| match text {
            "" => format!("this is empty, and {} belongs here", V::KIND),
            _ => format!("`{text}` is not {}", V::KIND),
        });
        let help = wrong.help.unwrap_or_else(|| format!("{} looks like {}", V::KIND, V::EXAMPLE));
        self.report(Mistake::new(code, word.span, sentence).help(help))
    }

    // ---- upstreams

    pub fn define_upstream(&mut self, name: &str, at: Span) -> Result<(), Reported> {
        if let Some(first) = self.upstreams.get(name) {
            let first = first.at;
            return Err(self.report(
                Mistake::new(Code::E0024, at, format!("upstream `{name}` is defined twice"))
                    .other(first, "first defined here")
                    .help("give one of them another name"),
            ));
        }
        self.upstreams.insert(name.to_owned(), Named { at, used: false, what: () });
        Ok(())
    }

    /// Whether an upstream bears this name; if so it is in use from now on.
    pub fn use_upstream(&mut self, name: &str) -> bool {
        self.upstreams.get_mut(name).is_some_and(|upstream| {
            upstream.used = true;
            true
        })
    }

    pub fn upstream_names(&self) -> impl Iterator<Item = &str> {
        self.upstreams.keys().map(String::as_str)
    }

    pub fn report_unused_upstreams(&mut self) {
        let unused: Vec<_> =
            self.upstreams.iter().filter(|(_, u)| !u.used).map(|(name, u)| (name.clone(), u.at)).collect();
        for (name, at) in unused {
            self.report(
                Mistake::new(Code::W0005, at, format!("nothing uses upstream `{name}`"))
                    .help(format!("send something to it: reverse_proxy {name}; or remove it")),
            );
        }
    }

    // ---- named matchers

    /// Opens a scope: what is defined in a site belongs to that site.
    pub fn open_scope(&mut self) {
        self.matchers.push(HashMap::new());
    }

    /// Closes the innermost scope, and says which of its matchers nothing used.
    pub fn close_scope(&mut self) {
        let Some(scope) = self.matchers.pop() else { return };
        let mut unused: Vec<_> = scope.into_iter().filter(|(_, m)| !m.used).collect();
        unused.sort_by_key(|(_, m)| m.at);
        for (name, matcher) in unused {
            self.report(
                Mistake::new(Code::W0007, matcher.at, format!("nothing uses matcher `{name}`"))
                    .help(format!("use it: route {name} {{ … }}; or remove it")),
            );
        }
    }

    pub fn define_matcher(&mut self, node: &Node) -> Result<(), Reported> {
        let name = node.name().to_owned();
        let at = node.words[0].span;
        if self.matchers.is_empty() {
            self.open_scope();
        }
        let scope = self.matchers.last_mut().expect("a scope was opened above");
        if let Some(first) = scope.get(&name) {
            let first = first.at;
            return Err(self.report(
                Mistake::new(Code::E0024, at, format!("matcher `{name}` is defined twice"))
                    .other(first, "first defined here")
                    .help("give one of them another name"),
            ));
        }
        scope.insert(name, Named { at, used: false, what: node.clone() });
        Ok(())
    }

    /// The definition of a matcher, from the innermost scope that knows it.
    pub fn use_matcher(&mut self, name: &str) -> Option<Node> {
        self.matchers.iter_mut().rev().find_map(|scope| {
            scope.get_mut(name).map(|matcher| {
                matcher.used = true;
                matcher.what.clone()
            })
        })
    }

    /// Before the definition of a matcher is read for whom uses it.
    pub(crate) fn enter_matcher(&mut self, at: Span) -> Result<(), Reported> {
        self.entered += 1;
        if self.entered <= MOST_MATCHERS {
            return Ok(());
        }
        // Said once, and even inside of what was read before.
        if self.entered == MOST_MATCHERS + 1 {
            self.findings.push(
                Mistake::new(Code::E0008, at, "matchers by name are used more than a hundred thousand times in others")
                    .help("use fewer of them inside each other"),
            );
        }
        Err(Reported(()))
    }

    /// The same, without using it.
    pub(crate) fn matcher(&self, name: &str) -> Option<&Node> {
        self.matchers.iter().rev().find_map(|scope| scope.get(name)).map(|matcher| &matcher.what)
    }

    pub fn matcher_names(&self) -> impl Iterator<Item = &str> {
        self.matchers.iter().flat_map(|scope| scope.keys().map(String::as_str))
    }
}

/// `a`, `b` or `c`: for messages.
#[must_use]
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "or")
}

/// What there is to choose from: "the snippets are `a`, `b` and `c`".
#[must_use]
pub fn known<'a>(kind: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => format!("there is no {kind}"),
        [one] => format!("the only {kind} is `{one}`"),
        many => format!("the {kind}s are {}", joined(many.iter().copied(), "and")),
    }
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} {word} {last}", many.join(", ")),
    }
}
