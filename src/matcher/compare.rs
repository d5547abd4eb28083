//! `{placeholder} OP value`.

use crate::check::value::Pattern;
use crate::check::{Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
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
        Ok(Self { left: Template::check(left, When::Request, cx)?, op, right })
    }

    /// What the request brings to compare.
    pub fn found(&self, exchange: &Exchange) -> String {
        self.left.render_text(exchange)
    }

    pub fn holds(&self, exchange: &mut Exchange) -> bool {
        let left = self.left.render_text(exchange);
        match &self.op {
            Op::Matches(pattern) => capture(pattern, &left, exchange),
            Op::MatchesNot(pattern) => !pattern.0.is_match(&left),
            op => {
                let right = self.right.render_text(exchange);
                match op {
                    Op::Equal => left == right,
                    Op::NotEqual => left != right,
                    Op::StartsWith => left.starts_with(&right),
                    Op::EndsWith => left.ends_with(&right),
                    Op::Less => numbers(&left, &right).is_some_and(|(l, r)| l < r),
                    Op::LessOrEqual => numbers(&left, &right).is_some_and(|(l, r)| l <= r),
                    Op::Greater => numbers(&left, &right).is_some_and(|(l, r)| l > r),
                    Op::GreaterOrEqual => numbers(&left, &right).is_some_and(|(l, r)| l >= r),
                    Op::Matches(_) | Op::MatchesNot(_) => false,
                }
            }
        }
    }
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
