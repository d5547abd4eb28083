//! What every reader of the tree shares: where mistakes go, which names are known, how arguments and options are read.

pub mod allow;
mod arguments;
pub mod expand;
pub mod habit;
pub mod near;
mod options;
mod patience;
pub mod value;

use std::collections::HashMap;
use std::rc::Rc;

pub use arguments::{Arguments, no_block};
pub use options::Opt;
pub use patience::Patience;
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
    matchers: Vec<HashMap<String, Named<Matcher>>>,
    /// Set while something is read a second time, when every mistake in it has been reported already.
    quiet: usize,
    /// What reading the definitions of matchers for those who use them has cost.
    entered: usize,
    /// Statements are missing that would have used names: nothing is known of what is unused.
    lost: bool,
    /// Names that were compared with a misspelt one.
    compared: usize,
    patience: Patience,
}

/// A matcher by name, as it was written.
#[derive(Debug, Clone)]
struct Matcher {
    node: Rc<Node>,
    ring: Option<usize>,
}

/// What a name stands for.
#[derive(Debug)]
pub struct Definition {
    pub node: Rc<Node>,
    /// How many scopes are known where it was written, the outermost first.
    pub scopes: usize,
    /// Matchers of one ring stand on each other, and so on themselves.
    pub ring: Option<usize>,
}

/// Matchers that stand on two others each, those on two more, … : so many bytes of definitions, and twenty more for
/// each of them, are enough for anyone.
const MOST_MATCHERS: usize = 4_000_000;
/// After so many comparisons nobody is asked "did you mean": the file is not one of a few slips.
const MOST_COMPARED: usize = 200_000;

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

    /// Even while reading quietly: for what only shows where a definition is used.
    pub(crate) fn report_always(&mut self, mistake: Mistake) -> Reported {
        self.findings.push(mistake);
        Reported(())
    }

    /// Whether a misspelt name may be compared with so many others.
    pub fn may_suggest(&mut self, among: usize) -> bool {
        self.compared = self.compared.saturating_add(among);
        self.compared <= MOST_COMPARED
    }

    /// What proofs may still cost in this configuration.
    pub fn patience(&mut self) -> &mut Patience {
        &mut self.patience
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

    /// Whether mistakes go unheard, so that nobody need look for more than the reading needs.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet > 0
    }

    // ---- values

    /// The word as plain text, known now.
    pub fn plain<'w>(&mut self, word: &'w Word) -> Result<&'w str, Reported> {
        if word.is_punctuation("(") || word.is_punctuation(")") || word.is_punctuation(",") {
            let sign = word.plain().unwrap_or_default();
            return Err(self.report(
                Mistake::new(Code::E0018, word.span, format!("`{sign}` means nothing here")).help(match sign {
                    "," => "remove it: values stand one behind the other, with a space between them".to_owned(),
                    _ => format!("remove it, or put it in quotes if it is part of a value: \"{sign}\""),
                }),
            ));
        }
        match word.plain() {
            Some(text) => Ok(text),
            // What could not be put in its place was reported then.
            None if word
                .parts
                .iter()
                .any(|part| matches!(part, Part::Environment { .. } | Part::File { .. } | Part::Lines { .. })) =>
            {
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
        let mistake = Mistake::new(code, word.span, sentence);
        self.report(match (habit::environment(text), wrong.instead) {
            (Some(variable), _) => {
                mistake.help(format!("for a variable of the environment, write `{variable}`")).fix(text, variable)
            }
            (None, Some(with)) => mistake.instead(text, with),
            (None, None) => {
                mistake.help(wrong.help.unwrap_or_else(|| format!("{} looks like {}", V::KIND, V::EXAMPLE)))
            }
        })
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

    /// Statements could not be put in their places.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    pub fn report_unused_upstreams(&mut self) {
        if self.lost {
            return;
        }
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
        let Some(scope) = self.matchers.pop().filter(|_| !self.lost) else { return };
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
        let matcher = Matcher { node: Rc::new(node.clone()), ring: None };
        scope.insert(name, Named { at, used: false, what: matcher });
        Ok(())
    }

    /// That this matcher of the innermost scope is one of those that stand on each other.
    pub(crate) fn mark_ring(&mut self, name: &str, ring: usize) {
        if let Some(matcher) = self.matchers.last_mut().and_then(|scope| scope.get_mut(name)) {
            matcher.what.ring = Some(ring);
        }
    }

    /// How many scopes are open.
    pub(crate) fn scopes(&self) -> usize {
        self.matchers.len()
    }

    /// The definition of a matcher, from the innermost of the first `scopes` that knows it. It is in use from now on.
    pub(crate) fn use_matcher(&mut self, name: &str, scopes: usize) -> Option<Definition> {
        let found = self.find_matcher(name, scopes)?;
        if let Some(matcher) = self.matchers[found.scopes - 1].get_mut(name) {
            matcher.used = true;
        }
        Some(found)
    }

    /// The same, without using it.
    pub(crate) fn find_matcher(&self, name: &str, scopes: usize) -> Option<Definition> {
        self.matchers.iter().take(scopes).enumerate().rev().find_map(|(index, scope)| {
            let Matcher { node, ring } = scope.get(name)?.what.clone();
            Some(Definition { node, scopes: index + 1, ring })
        })
    }

    /// Before the definition of a matcher, of so many bytes, is read for whom uses it.
    pub(crate) fn enter_matcher(&mut self, at: Span, bytes: usize) -> Result<(), Reported> {
        let before = self.entered;
        self.entered = before.saturating_add(20 + bytes);
        if self.entered <= MOST_MATCHERS {
            return Ok(());
        }
        // Said once, and even inside of what was read before.
        if before <= MOST_MATCHERS {
            self.report_always(
                Mistake::new(
                    Code::E0008,
                    at,
                    "matchers by name, put in their places, make more than four million bytes",
                )
                .help("use fewer of them inside each other"),
            );
        }
        Err(Reported(()))
    }

    pub(crate) fn matcher_names(&self, scopes: usize) -> impl Iterator<Item = &str> {
        self.matchers.iter().take(scopes).flat_map(|scope| scope.keys().map(String::as_str))
    }
}

/// `a`, `b` or `c`: for messages.
#[must_use]
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "or")
}

/// Nobody reads a longer list.
const MOST_NAMES: usize = 40;

/// What there is to choose from: "the snippets are `a`, `b` and `c`".
#[must_use]
pub fn known<'a>(kind: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    match names.as_slice() {
        [] => format!("there is no {kind}"),
        [one] => format!("the only {kind} is `{one}`"),
        many if more > 0 => {
            let names: Vec<String> = many.iter().map(|name| format!("`{name}`")).collect();
            format!("among the {kind}s are {} and {more} more", names.join(", "))
        }
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
