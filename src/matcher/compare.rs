//! `{placeholder} OP value`.

use crate::check::value::Pattern;
use crate::check::{Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::placeholder::Values;
use crate::http::template::{Template, When};
use crate::syntax::tree::Word;

/// How two values are compared.
#[derive(Debug, Clone)]
pub enum Op {
    Equal,
    NotEqual,
    Matches(Pattern),
    MatchesNot(Pattern),
    StartsWith,
    EndsWith,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Each with what it asks.
pub const SIGNS: [(&str, &str); 10] = [
    ("=", "is the value"),
    ("!=", "is another one"),
    ("~", "fits the regular expression somewhere; its named groups are `{param.name}` from there on"),
    ("!~", "does not fit it"),
    ("^=", "begins with the value"),
    ("$=", "ends with it"),
    ("<", "is a smaller number"),
    ("<=", "is a smaller number or the same"),
    (">", "is a greater number"),
    (">=", "is a greater number or the same"),
];

/// For a message.
pub fn signs() -> String {
    SIGNS.map(|(sign, _)| sign).join(" ")
}

/// A comparison of what a request brings with a value.
#[derive(Debug, Clone)]
pub struct Compare {
    /// The placeholder's name.
    subject: Box<str>,
    left: Template,
    op: Op,
    right: Template,
}

impl Compare {
    pub fn check(left: &Word, sign: &Word, right: &Word, cx: &mut Check) -> Result<Self, Reported> {
        let text = cx.plain(sign)?;
        let op = match text {
            "=" => Op::Equal,
            "!=" => Op::NotEqual,
            "~" => Op::Matches(cx.value(right)?),
            "!~" => Op::MatchesNot(cx.value(right)?),
            "^=" => Op::StartsWith,
            "$=" => Op::EndsWith,
            "<" => Op::Less,
            "<=" => Op::LessOrEqual,
            ">" => Op::Greater,
            ">=" => Op::GreaterOrEqual,
            _ => {
                let help = match text {
                    "==" | "is" => "write `=`".to_owned(),
                    "=~" | "matches" => "write `~`".to_owned(),
                    "<>" => "write `!=`".to_owned(),
                    _ => format!("the comparisons are {}", signs()),
                };
                return Err(
                    cx.report(Mistake::new(Code::E0033, sign.span, format!("`{text}` is not a comparison")).help(help))
                );
            }
        };
        if matches!(op, Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual)
            && right.plain().is_some_and(|text| text.parse::<f64>().is_err())
        {
            return Err(cx.report(
                Mistake::new(
                    Code::E0020,
                    right.span,
                    format!("`{}` is not a number, and `{text}` compares numbers", right.plain().unwrap_or_default()),
                )
                .help(format!("write a number: `{text} 100`; or compare texts with `=`")),
            ));
        }
        let right = match &op {
            // The pattern holds it already.
            Op::Matches(_) | Op::MatchesNot(_) => Template::default(),
            _ => Template::check(right, When::Request, cx)?,
        };
        let subject = left.written().into();
        Ok(Self { subject, left: Template::check(left, When::Request, cx)?, op, right })
    }

    #[must_use]
    pub fn captures(&self) -> bool {
        matches!(&self.op, Op::Matches(pattern) if pattern.0.capture_names().flatten().next().is_some())
    }

    /// Whether it is the path that is compared.
    #[must_use]
    pub fn reads_path(&self) -> bool {
        matches!(&*self.subject, "{path}" | "{uri}")
    }

    /// The same question.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let patterns = match (&self.op, &other.op) {
            (Op::Matches(mine), Op::Matches(theirs)) | (Op::MatchesNot(mine), Op::MatchesNot(theirs)) => {
                mine.0.as_str() == theirs.0.as_str()
            }
            (mine, theirs) => std::mem::discriminant(mine) == std::mem::discriminant(theirs),
        };
        patterns && self.asks_of_the_same(other) && self.fixed().is_some() && self.fixed() == other.fixed()
    }

    /// No value fits both.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let (Some(mine), Some(theirs)) = (self.fixed(), other.fixed()) else { return false };
        if !self.asks_of_the_same(other) {
            return false;
        }
        let limits = || Some((self.limit(mine)?, other.limit(theirs)?));
        // Of several values, one may fit the one and another the other.
        let single = !self.may_have_several();
        match (&self.op, &other.op) {
            (Op::Equal, op) if single || op.is_negated() => !op.fits(mine, theirs),
            (op, Op::Equal) if single || op.is_negated() => !op.fits(theirs, mine),
            _ if !single => false,
            (Op::StartsWith, Op::StartsWith) => !mine.starts_with(theirs) && !theirs.starts_with(mine),
            (Op::EndsWith, Op::EndsWith) => !mine.ends_with(theirs) && !theirs.ends_with(mine),
            _ => match limits() {
                Some(
                    (Limit::Most(most, a), Limit::Least(least, b)) | (Limit::Least(least, b), Limit::Most(most, a)),
                ) => most < least || (most <= least && !(a && b)),
                _ => false,
            },
        }
    }

    /// It asks of what a request may bring several times.
    fn may_have_several(&self) -> bool {
        ["{header.", "{cookie.", "{query."].iter().any(|beginning| self.subject.starts_with(beginning))
    }

    /// What a pattern captures may change between two questions.
    fn asks_of_the_same(&self, other: &Self) -> bool {
        self.subject == other.subject && !self.subject.starts_with("{param.")
    }

    /// What it is compared with, where no request has a part in it.
    fn fixed(&self) -> Option<&str> {
        std::str::from_utf8(self.right.fixed()?).ok()
    }

    fn limit(&self, right: &str) -> Option<Limit> {
        let number = right.parse().ok()?;
        Some(match self.op {
            Op::Less => Limit::Most(number, false),
            Op::LessOrEqual => Limit::Most(number, true),
            Op::Greater => Limit::Least(number, false),
            Op::GreaterOrEqual => Limit::Least(number, true),
            _ => return None,
        })
    }

    /// What the request brings to compare.
    pub fn found(&self, exchange: &Exchange) -> Values {
        self.left.render_each(exchange)
    }

    /// Which of several values a server takes is not for us to know, so each is looked at (threat XA05). What is negated
    /// holds where the same without the negation does not.
    pub fn holds(&self, exchange: &mut Exchange) -> bool {
        let found = self.left.render_each(exchange);
        if let Op::Matches(pattern) = &self.op {
            return found.iter().any(|left| capture(pattern, left, exchange));
        }
        let right = self.right.render_text(exchange);
        let mut fits = found.iter().map(|left| self.op.fits(left, &right));
        if self.op.is_negated() { fits.all(|fits| fits) } else { fits.any(|fits| fits) }
    }
}

impl Op {
    fn is_negated(&self) -> bool {
        matches!(self, Self::NotEqual | Self::MatchesNot(_))
    }

    /// Whether it holds between these two; a pattern has its right side itself.
    fn fits(&self, left: &str, right: &str) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Matches(pattern) => pattern.0.is_match(left),
            Self::MatchesNot(pattern) => !pattern.0.is_match(left),
            Self::StartsWith => left.starts_with(right),
            Self::EndsWith => left.ends_with(right),
            Self::Less => numbers(left, right).is_some_and(|(l, r)| l < r),
            Self::LessOrEqual => numbers(left, right).is_some_and(|(l, r)| l <= r),
            Self::Greater => numbers(left, right).is_some_and(|(l, r)| l > r),
            Self::GreaterOrEqual => numbers(left, right).is_some_and(|(l, r)| l >= r),
        }
    }
}

/// A number, and whether it is within itself.
enum Limit {
    Most(f64, bool),
    Least(f64, bool),
}

/// Named groups become `{param.name}`.
fn capture(pattern: &Pattern, text: &str, exchange: &mut Exchange) -> bool {
    if pattern.0.capture_names().flatten().next().is_none() {
        return pattern.0.is_match(text);
    }
    let Some(found) = pattern.0.captures(text) else { return false };
    for name in pattern.0.capture_names().flatten() {
        if let Some(group) = found.name(name) {
            exchange.captures.push((name.into(), group.as_str().into()));
        }
    }
    true
}

/// What is not a number compares as false.
fn numbers(left: &str, right: &str) -> Option<(f64, f64)> {
    Some((left.parse().ok()?, right.parse().ok()?))
}

/// Whether a word can be the left side: one placeholder and nothing else.
#[must_use]
pub fn is_subject(word: &Word) -> bool {
    matches!(word.parts.as_slice(), [crate::syntax::tree::Part::Placeholder { .. }])
}
