//! Words to expressions: `not` binds tighter than `and`, `and` tighter than `or`.

use http::HeaderName;

use super::compare::{self, Compare};
use super::{Atom, Expr, Ja4, PathPattern, Protocol, ROOMS, Room, Signature, contradictions, lists, signs};
use crate::check::habit::{self, Place};
use crate::check::value::{FieldName, HostPattern, MethodName, Network, StatusMatch, Text};
use crate::check::{Check, Reported, Value, known, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::http::connection::Scheme;
use crate::syntax::DEEPEST;
use crate::syntax::tree::{Node, Part, Style, Word};

/// Reads the words behind a statement's name as one expression.
pub fn check(node: &Node, words: &[Word], cx: &mut Check) -> Result<Expr, Reported> {
    let mut parser = Parser { node, words, at: 0, depth: 0, scopes: cx.scopes(), ring: None };
    if node.name().starts_with('@') {
        parser.ring = cx.find_matcher(node.name(), parser.scopes).and_then(|own| own.ring);
    }
    if words.is_empty() {
        let at = Span { start: node.words[0].span.end, ..node.words[0].span };
        let name = node.name();
        let help = if name.starts_with('@') {
            format!("write: {name} path /example/*")
        } else {
            format!("write: {name} /path/* {{ … }}")
        };
        return Err(cx.report(
            Mistake::new(Code::E0022, at, format!("`{name}` wants a matcher")).label("it belongs here").help(help),
        ));
    }
    let expr = parser.or(cx)?;
    if let Some(word) = parser.peek() {
        let text = word.plain().unwrap_or_default();
        let mistake = if text == ")" {
            Mistake::new(Code::E0033, word.span, "a `)` without its `(`").help("remove it").fix(text, "")
        } else {
            apart(word)
        };
        return Err(cx.report(mistake));
    }
    let whole = words[0].span.to(words[words.len() - 1].span);
    // What is wrong with a matcher by name alone was said where it is defined.
    if words.len() > 1 || !words[0].plain().is_some_and(|text| text.starts_with('@')) {
        contradictions::report(&expr, whole, cx);
    }
    Ok(expr)
}

/// Words that stand beside each other without anything that joins them.
fn apart(word: &Word) -> Mistake {
    let text = word.plain().unwrap_or_default();
    Mistake::new(Code::E0033, word.span, format!("nothing joins `{text}` to what stands before it"))
        .help(format!("write `and {text}` or `or {text}`"))
}

struct Parser<'w> {
    node: &'w Node,
    words: &'w [Word],
    at: usize,
    /// Parentheses and matchers by name that are open.
    depth: usize,
    /// How many scopes are known where this was written, the outermost first.
    scopes: usize,
    /// Of the matcher that is being defined: the ring that it is part of.
    ring: Option<usize>,
}

impl<'w> Parser<'w> {
    fn peek(&self) -> Option<&'w Word> {
        self.words.get(self.at)
    }

    fn keyword(&mut self, keyword: &str, cx: &mut Check) -> bool {
        let Some(word) = self.peek().filter(|word| word.style != Style::Quoted) else { return false };
        let text = word.plain().unwrap_or_default();
        let foreign = word.style == Style::Bare && signs::keyword(text) == Some(keyword);
        if foreign {
            // What it means is clear, so the rest is read as well.
            cx.report(
                Mistake::new(Code::E0033, word.span, format!("`{text}` is no `{keyword}` here")).instead(text, keyword),
            );
        }
        let found = foreign || text == keyword;
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, cx: &mut Check) -> Result<Expr, Reported> {
        let mut all = vec![self.and(cx)?];
        while self.keyword("or", cx) {
            all.push(self.and(cx)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn and(&mut self, cx: &mut Check) -> Result<Expr, Reported> {
        let mut all = vec![self.not(cx)?];
        while self.keyword("and", cx) {
            all.push(self.not(cx)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn not(&mut self, cx: &mut Check) -> Result<Expr, Reported> {
        let mut turned = false;
        while self.keyword("not", cx) {
            turned = !turned;
        }
        let inner = self.primary(cx)?;
        Ok(if turned { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn primary(&mut self, cx: &mut Check) -> Result<Expr, Reported> {
        let Some(word) = self.peek() else { return Err(self.incomplete(cx)) };
        if word.is_punctuation("(") {
            return self.parenthesis(word.span, cx);
        }
        if compare::is_subject(word) {
            return self.compare(word, cx);
        }
        let text = word.plain().unwrap_or_default();
        match text {
            "and" | "or" | ")" => Err(self.incomplete(cx)),
            _ if word.is_punctuation(",") => cx.plain(word).and_then(|_| Err(self.incomplete(cx))),
            _ if text.starts_with('/') => {
                let atom = Atom::Path(self.values(cx)?);
                Ok(self.is(atom, word, cx))
            }
            _ if text.starts_with('@') => self.named(word, cx),
            _ if word.style == Style::Bare && signs::is_turned(text) => Err(turned(word, text, self.scopes, cx)),
            _ => {
                self.at += 1;
                self.atom(word, text, cx)
            }
        }
    }

    fn incomplete(&self, cx: &mut Check) -> Reported {
        let (at, before) = match self.at.checked_sub(1).map(|at| &self.words[at]) {
            Some(word) => (word.span, format!("`{}`", word.plain().unwrap_or_default())),
            None => (self.node.words[0].span, format!("`{}`", self.node.name())),
        };
        cx.report(
            Mistake::new(Code::E0033, at, format!("a matcher is missing behind {before}"))
                .help("write one: `/path/*`, `host`, `method`, `header`, `client_ip`, …"),
        )
    }

    fn parenthesis(&mut self, open: Span, cx: &mut Check) -> Result<Expr, Reported> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(cx.report_always(
                Mistake::new(Code::E0008, open, format!("parentheses are nested deeper than {DEEPEST}"))
                    .help("take some out: `not` binds tighter than `and`, and `and` tighter than `or`"),
            ));
        }
        let inner = self.or(cx)?;
        self.depth -= 1;
        if self.peek().is_some_and(|word| word.is_punctuation(")")) {
            self.at += 1;
            return Ok(inner);
        }
        Err(cx.report(
            Mistake::new(Code::E0033, open, "a `(` without its `)`")
                .help("close it behind the last matcher that belongs to it"),
        ))
    }

    fn compare(&mut self, left: &Word, cx: &mut Check) -> Result<Expr, Reported> {
        self.at += 1;
        let (Some(sign), Some(right)) = (self.words.get(self.at), self.words.get(self.at + 1)) else {
            let name = left.parts.first().map_or("", |part| match part {
                Part::Placeholder { name, .. } => name,
                _ => "",
            });
            return Err(cx.report(
                Mistake::new(Code::E0033, left.span, format!("`{{{name}}}` alone asks nothing"))
                    .help(format!("compare it: {{{name}}} = VALUE; the comparisons are {}", compare::signs())),
            ));
        };
        self.at += 2;
        let compare = Compare::check(left, sign, right, cx)?;
        Ok(self.is(Atom::Compare(compare), left, cx))
    }

    fn named(&mut self, word: &Word, cx: &mut Check) -> Result<Expr, Reported> {
        self.at += 1;
        let name = word.plain().unwrap_or_default();
        let Some(definition) = cx.use_matcher(name, self.scopes) else {
            return Err(unknown_name(word, name, self.scopes, cx));
        };
        let own = self.node.name();
        if definition.ring.is_some() && definition.ring == self.ring && definition.scopes == self.scopes {
            let way = if name == own { String::new() } else { format!(", by way of `{name}`") };
            return Err(cx.report(
                Mistake::new(Code::E0042, word.span, format!("matcher `{own}` refers to itself{way}"))
                    .help("say what it stands for with other matchers"),
            ));
        }
        // Its mistakes, a loop among them, are shown where it is defined.
        if definition.ring.is_some() {
            return Err(cx.reported_before());
        }
        if self.depth >= DEEPEST {
            return Err(cx.report_always(
                Mistake::new(Code::E0008, word.span, format!("matchers stand on each other deeper than {DEEPEST}"))
                    .help("say with fewer names what it stands for"),
            ));
        }
        let node = &definition.node;
        cx.enter_matcher(word.span, (node.span.end - node.span.start) as usize)?;
        let (depth, scopes) = (self.depth + 1, definition.scopes);
        cx.quietly(|cx| Parser { node, words: &node.words[1..], at: 0, depth, scopes, ring: None }.or(cx))
    }

    /// The values of one matcher: all words up to the next `and`, `or` or parenthesis.
    fn take(&mut self) -> &'w [Word] {
        let rest = &self.words[self.at..];
        let ends = |word: &Word| {
            word.is_punctuation(")")
                || word.is_punctuation("(")
                || (word.style == Style::Bare && matches!(word.plain(), Some("and" | "or" | "&&" | "||")))
        };
        // `AND` may be a value. Before another matcher it is none.
        let capitals = |pair: &[Word]| {
            let [word, next] = pair else { return false };
            let text = next.plain().unwrap_or_default();
            word.style == Style::Bare
                && word.plain().is_some_and(|text| signs::keyword(text).is_some())
                && (room(text).is_some() || text.starts_with(['/', '@']))
        };
        let count = rest.iter().position(ends).unwrap_or(rest.len());
        let count = rest[..count].windows(2).position(capitals).unwrap_or(count);
        self.at += count;
        &rest[..count]
    }

    fn values<V: Value>(&mut self, cx: &mut Check) -> Result<Vec<V>, Reported> {
        let before = self.at;
        let mut values: Vec<V> = Vec::new();
        for word in self.take() {
            // `method GET host example.com`: where the next matcher's name is no value, an `and` was forgotten.
            let text = word.plain().unwrap_or_default();
            if let Some(help) = signs::compared(self.words, before, word) {
                let text = format!("`{text}` stands only behind a placeholder");
                return Err(cx.report(Mistake::new(Code::E0033, word.span, text).help(help)));
            }
            let forgotten = word.style == Style::Bare && room(text).is_some() && V::parse(text).is_err();
            if forgotten && !values.is_empty() {
                return Err(cx.report(apart(word)));
            }
            values.push(cx.value(word)?);
        }
        if values.is_empty() {
            let word = &self.words[before - 1];
            let syntax = room(word.plain().unwrap_or_default()).map_or("", |room| room.syntax);
            return Err(cx.report(
                Mistake::new(
                    Code::E0022,
                    word.span,
                    format!("`{}` wants {}", word.plain().unwrap_or_default(), V::KIND),
                )
                .help(format!("write: {syntax}")),
            ));
        }
        Ok(values)
    }

    fn texts(&mut self, cx: &mut Check) -> Result<Vec<String>, Reported> {
        self.take().iter().map(|word| cx.value::<Text>(word).map(|text| text.0)).collect()
    }

    fn atom(&mut self, word: &Word, name: &str, cx: &mut Check) -> Result<Expr, Reported> {
        let atom = match name {
            "path" => Atom::Path(self.values::<PathPattern>(cx)?),
            "host" => Atom::Host(self.values::<HostPattern>(cx)?),
            "method" => Atom::Method(self.values::<MethodName>(cx)?.into_iter().map(|method| method.0).collect()),
            "client_ip" => Atom::ClientIp(self.values::<Network>(cx)?),
            "protocol" => Atom::Protocol(self.values::<Protocol>(cx)?),
            "signature" => Atom::Signature(self.values::<Signature>(cx)?),
            "status" => Atom::Status(self.values::<StatusMatch>(cx)?),
            "sni" => Atom::Sni(self.values::<HostPattern>(cx)?),
            "ja4" => Atom::Ja4(self.values::<Ja4>(cx)?),
            "scheme" => Atom::Scheme(self.one::<Scheme>(word, cx)?),
            "file" => Atom::File(self.one::<Text>(word, cx)?.0.into()),
            "header" => Atom::Header(self.key::<FieldName>(word, cx)?.0, self.texts(cx)?),
            "query" => Atom::Query(self.key::<Text>(word, cx)?.0, self.texts(cx)?),
            "cookie" => Atom::Cookie(self.key::<Text>(word, cx)?.0, self.texts(cx)?),
            _ => return Err(unknown(word, name, &self.words[self.at - 1..], self.node, cx)),
        };
        Ok(self.is(atom, word, cx))
    }

    /// A question from its `first` word to the last that was taken.
    fn is(&self, atom: Atom, first: &Word, cx: &mut Check) -> Expr {
        lists::report(&atom, &self.words[..self.at], cx);
        let last = self.at.checked_sub(1).map_or(first, |at| &self.words[at]);
        Expr::Is(atom, first.span.to(last.span))
    }

    /// The one value that a matcher takes.
    fn one<V: Value>(&mut self, matcher: &Word, cx: &mut Check) -> Result<V, Reported> {
        let before = self.at;
        let mut values = self.values::<V>(cx)?;
        if let Some(second) = self.words.get(before + 1).filter(|_| values.len() > 1) {
            let name = matcher.plain().unwrap_or_default();
            return Err(cx.report(
                Mistake::new(Code::E0023, second.span, format!("`{name}` takes one value"))
                    .label("one too many")
                    .help(format!("write: {}", room(name).map_or("", |room| room.syntax))),
            ));
        }
        Ok(values.swap_remove(0))
    }

    /// The name that is asked for, before its values.
    fn key<V: Value>(&mut self, matcher: &Word, cx: &mut Check) -> Result<V, Reported> {
        let ends = |word: &Word| word.is_punctuation(")") || matches!(word.plain(), Some("and" | "or"));
        let Some(word) = self.peek().filter(|word| !ends(word)) else {
            let name = matcher.plain().unwrap_or_default();
            let syntax = room(name).map_or("", |room| room.syntax);
            return Err(cx.report(
                Mistake::new(Code::E0022, matcher.span, format!("`{name}` wants a name"))
                    .help(format!("write: {syntax}")),
            ));
        };
        self.at += 1;
        cx.value(word)
    }
}

/// `!@internal`, `!/api/*`
fn turned(word: &Word, text: &str, scopes: usize, cx: &mut Check) -> Reported {
    let inside = text.trim_start_matches('!');
    cx.use_matcher(inside, scopes);
    cx.report(
        Mistake::new(Code::E0033, word.span, "`!` turns nothing round here").instead(text, format!("not {inside}")),
    )
}

fn unknown_name(word: &Word, name: &str, scopes: usize, cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0013, word.span, format!("there is no matcher `{name}`"));
    let near = if cx.may_suggest(cx.matcher_names(scopes).count()) {
        near::nearest(name, cx.matcher_names(scopes)).map(str::to_owned)
    } else {
        None
    };
    // That it is unused would be the same mistake, told a second time.
    near.as_ref().map(|near| cx.use_matcher(near, scopes));
    cx.report(match near {
        Some(near) => mistake.meant(name, &near).help(format!("write `{near}`")),
        None => mistake.help(format!("define it: {name} path /example/*")),
    })
}

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// `arguments` are the word and what belongs to it.
fn unknown(word: &Word, name: &str, arguments: &[Word], node: &Node, cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0013, word.span, format!("there is no matcher `{name}`"));
    // Elsewhere they stand between parentheses.
    let ends = |word: &&Word| word.is_punctuation(")") || signs::keyword(word.plain().unwrap_or_default()).is_some();
    let words = arguments.iter().take_while(|word| !ends(word)).filter(|word| word.style != Style::Punctuation);
    let asked = Node { words: words.cloned().collect(), block: None, ..node.clone() };
    if let Some(habit) = habit::find(Place::Matcher, &asked) {
        return cx.report(habit.advise(Place::Matcher, &asked, mistake));
    }
    let names = ROOMS.iter().map(|room| room.name);
    if let Some(known) = habit::respelt(name, names.clone()).filter(|_| asked.words.len() > 1) {
        let help = format!("write: {}", habit::statement(known, &asked.words[1..], &asked));
        // A word that parentheses follow is not put right by another name alone.
        let alone = arguments.get(1).is_none_or(|next| next.style != Style::Punctuation);
        let label = format!("did you mean `{known}`?");
        return cx.report(if alone { mistake.meant(name, known) } else { mistake.label(label) }.help(help));
    }
    if let Some(meant) = signs::meant(name, &asked.words) {
        return cx.report(mistake.help(format!("write: {meant}")));
    }
    cx.report(match near::nearest(name, names.clone()) {
        Some(near) => mistake.meant(name, near).help(format!("write: {}", room(near).map_or("", |room| room.syntax))),
        None if HeaderName::from_bytes(name.as_bytes()).is_ok() && name.contains('-') => {
            mistake.help(format!("to ask for a field, write: header {name}"))
        }
        None if name.contains(['/', '*']) => mistake.help(format!("a path starts with a slash: `/{name}`")),
        None => mistake.help(known("matcher", names)),
    })
}
