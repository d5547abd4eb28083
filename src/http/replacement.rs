//! What a regular expression's match becomes: text, `$1` and `${name}`, and placeholders. Each is put in once; what it
//! brings is never looked at again (threat XP03).

use regex::{Captures, Regex};

use super::placeholder::View;
use super::template::{Template, When};
use crate::check::{Check, Reported, known};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Part, Word};

/// One piece of a replacement.
#[derive(Debug, Clone)]
pub enum Piece {
    Text(String),
    /// What this group captured; nothing where it took no part in the match.
    Group(usize),
    /// One placeholder, with its name.
    Value(String, Template),
}

/// The pieces of a word that stands behind `pattern`.
pub fn pieces(word: &Word, pattern: &Regex, when: When, cx: &mut Check) -> Result<Vec<Piece>, Reported> {
    let mut all = Vec::with_capacity(word.parts.len());
    let mut parts = word.parts.iter().peekable();
    while let Some(part) = parts.next() {
        match part {
            Part::Text(text) => {
                let named = match parts.peek() {
                    // Outside backticks the braces of `${name}` are read as those of a placeholder.
                    Some(Part::Placeholder { name, .. }) if opens_group(text) => Some(name),
                    _ => None,
                };
                let plain = if named.is_some() { &text[..text.len() - 1] } else { text };
                split(plain, word.span, pattern, cx, &mut all)?;
                if let Some(name) = named {
                    parts.next();
                    all.push(group(name, word.span, pattern, cx)?);
                }
            }
            Part::Placeholder { name, .. } => all.push(Piece::Value(name.clone(), single(part, word, when, cx)?)),
            Part::Environment { .. } | Part::File { .. } | Part::Lines { .. } => {}
        }
    }
    Ok(all)
}

/// The pieces of a word that stands alone: `$` is a character like any other in it.
pub fn pieces_alone(word: &Word, when: When, cx: &mut Check) -> Result<Vec<Piece>, Reported> {
    word.parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(Ok(Piece::Text(text.clone()))),
            Part::Placeholder { name, .. } => {
                Some(single(part, word, when, cx).map(|template| Piece::Value(name.clone(), template)))
            }
            Part::Environment { .. } | Part::File { .. } | Part::Lines { .. } => None,
        })
        .collect()
}

/// Puts the pieces together for one match.
pub fn write(pieces: &[Piece], captures: &Captures<'_>, view: &View<'_>, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Group(group) => {
                out.extend_from_slice(captures.get(*group).map_or("", |found| found.as_str()).as_bytes());
            }
            Piece::Value(_, template) => template.write(view, out),
        }
    }
}

fn single(part: &Part, word: &Word, when: When, cx: &mut Check) -> Result<Template, Reported> {
    Template::check(&Word { parts: vec![part.clone()], ..word.clone() }, when, cx)
}

/// Ends with a `$` that is not the second of `$$`.
fn opens_group(text: &str) -> bool {
    (text.len() - text.trim_end_matches('$').len()) % 2 == 1
}

fn split(text: &str, at: Span, pattern: &Regex, cx: &mut Check, into: &mut Vec<Piece>) -> Result<(), Reported> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        plain.push_str(before);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let letters = behind.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        rest = if let Some(behind) = behind.strip_prefix('$') {
            plain.push('$');
            behind
        } else if let Some((name, behind)) = behind.strip_prefix('{').and_then(|behind| behind.split_once('}')) {
            flush(&mut plain, into);
            into.push(group(name, at, pattern, cx)?);
            behind
        } else if digits > 0 {
            flush(&mut plain, into);
            into.push(group(&behind[..digits], at, pattern, cx)?);
            &behind[digits..]
        } else if letters > 0 {
            let name = &behind[..letters];
            return Err(cx.report(
                Mistake::new(Code::E0012, at, format!("`${name}` is neither text nor a group"))
                    .help(format!("write `${{{name}}}` for the group of that name, or `$${name}` for the text")),
            ));
        } else {
            plain.push('$');
            behind
        };
    }
    plain.push_str(rest);
    flush(&mut plain, into);
    Ok(())
}

fn flush(plain: &mut String, into: &mut Vec<Piece>) {
    if !plain.is_empty() {
        into.push(Piece::Text(std::mem::take(plain)));
    }
}

/// The group of this number or name.
fn group(name: &str, at: Span, pattern: &Regex, cx: &mut Check) -> Result<Piece, Reported> {
    let count = pattern.captures_len();
    let found = match name.parse::<usize>() {
        Ok(number) => Some(number).filter(|number| *number < count),
        Err(_) => pattern.capture_names().position(|known| known == Some(name)),
    };
    found.map(Piece::Group).ok_or_else(|| {
        let names: Vec<&str> = pattern.capture_names().flatten().collect();
        let shown = if name.parse::<usize>().is_ok() { format!("${name}") } else { format!("${{{name}}}") };
        let help = match (count - 1, names.as_slice()) {
            (0, _) => "put parentheses around the part of the pattern that it stands for".to_owned(),
            (1, []) => "the only group is `$1`".to_owned(),
            (many, []) => format!("the groups are `$1` to `${many}`"),
            (_, names) => {
                let names: Vec<String> = names.iter().map(|name| format!("${{{name}}}")).collect();
                known("group", names.iter().map(String::as_str))
            }
        };
        cx.report(Mistake::new(Code::E0012, at, format!("the pattern has no group `{shown}`")).help(help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::exchange::Exchange;
    use crate::syntax::tree::Style;

    fn check(pattern: &str, replacement: &str, subject: &str, expected: &str) {
        let pattern = Regex::new(pattern).unwrap();
        let word = Word { parts: vec![Part::Text(replacement.to_owned())], style: Style::Raw, span: Span::default() };
        let mut cx = Check::default();
        let pieces = pieces(&word, &pattern, When::Request, &mut cx);
        let found = pieces.map_or_else(
            |_| cx.finish().sorted()[0].text.clone(),
            |pieces| {
                let exchange = Exchange::sample("/", &[]);
                let mut out = Vec::new();
                let captures = pattern.captures(subject).unwrap();
                write(&pieces, &captures, &View { exchange: &exchange, response: None }, &mut out);
                String::from_utf8(out).unwrap()
            },
        );
        assert_eq!(found, expected, "{pattern} {replacement}");
    }

    #[test]
    fn groups_by_number_and_name() {
        check("(a)(?<rest>.*)", "<$2|$1>", "abc", "<bc|a>");
        check("(a)(?<rest>.*)", "${rest}${1}0", "abc", "bca0");
        check("(a)|(b)", "[$1$2]", "b", "[b]");
        check("a", "$0$0", "a", "aa");
        check("a", "5$ $$1", "a", "5$ $1");
        check("a", "$1", "a", "the pattern has no group `$1`");
        check("(a)", "$10", "a", "the pattern has no group `$10`");
        check("(?<x>a)", "${y}", "a", "the pattern has no group `${y}`");
        check("(?<x>a)", "$x", "a", "`$x` is neither text nor a group");
    }

    #[test]
    fn xp03_what_was_captured_is_not_read_again() {
        check("(.*)", "<$1>", "$1 ${x} {host} $$", "<$1 ${x} {host} $$>");
    }
}
