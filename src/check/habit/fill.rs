//! The user's own words, put into what they should have written.

use std::time::Duration;

use super::variable::translated;
use crate::check::value::{Count, Size, Status, Value};
use crate::syntax::tree::{Node, Style, Word};

/// Longer words are not written again.
const LONGEST: usize = 80;

/// The arguments as they can be written again: variables of other servers are placeholders, and a pattern that its
/// parentheses took apart is whole.
pub fn arguments(words: &[Word]) -> Vec<String> {
    words
        .chunk_by(|one, next| {
            let parted = one.style == Style::Punctuation || next.style == Style::Punctuation;
            parted && one.span.end == next.span.start
        })
        .map(|words| match words {
            [word] => written(word),
            many => many.iter().map(translated).collect(),
        })
        // Lists stand between brackets elsewhere.
        .filter(|arg| !matches!(arg.as_str(), "[" | "]"))
        .collect()
}

/// Without the quotes of other languages.
fn written(word: &Word) -> String {
    if word.style != Style::Bare {
        return quoted(&translated(word), word.style);
    }
    let text = translated(word);
    let bare = text.trim_matches(['\'', '“', '”', '‘', '’']);
    if bare.is_empty() { text } else { bare.to_owned() }
}

fn quoted(text: &str, style: Style) -> String {
    match style {
        _ if text.contains('\n') => "…".to_owned(),
        Style::Raw => format!("`{text}`"),
        Style::Quoted if text.contains(['"', '\\']) => format!("`{text}`"),
        Style::Quoted => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

/// The statement as the user wrote it, under another name.
#[must_use]
pub fn statement(name: &str, words: &[Word], node: &Node) -> String {
    let mut text = name.to_owned();
    for arg in arguments(words) {
        text.push(' ');
        text.push_str(&arg);
    }
    if node.block.is_some() {
        text.push_str(" { … }");
    }
    text
}

/// Puts `args` into the slots of a template.
pub fn fill(template: &str, args: &[String]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('<') {
        let (slot, behind) = behind.split_once('>').unwrap_or((behind, ""));
        out.push_str(before);
        let value = Slot::read(slot).value(args);
        // `/` with all below it is `/*`, and alone it is itself.
        if value.is_empty() && slot.contains('/') && !behind.starts_with('/') {
            out.push('/');
        }
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Slot<'t> {
    optional: bool,
    from: usize,
    all: bool,
    otherwise: &'t str,
}

impl<'t> Slot<'t> {
    fn read(text: &'t str) -> Self {
        let (number, otherwise) = text.split_once(' ').unwrap_or((text, ""));
        let digits = number.trim_start_matches('?').trim_end_matches('+');
        Self {
            optional: number.starts_with('?'),
            from: digits.parse::<usize>().map_or(0, |number| number.saturating_sub(1)),
            all: number.ends_with('+'),
            otherwise,
        }
    }

    fn value(&self, args: &[String]) -> String {
        let args = args.get(self.from..).unwrap_or_default();
        let args = if self.all { args } else { &args[..args.len().min(1)] };
        if self.otherwise == "MATCHER" {
            return matcher(args).unwrap_or_else(|| self.otherwise.to_owned());
        }
        let known: Option<Vec<String>> = args.iter().map(|arg| self.fits(arg)).collect();
        match known.filter(|known| !known.is_empty()) {
            Some(known) => known.join(" "),
            None if self.optional => String::new(),
            None => self.otherwise.trim_end_matches('/').to_owned(),
        }
    }

    /// The argument as what this slot is for, where it can be that.
    fn fits(&self, arg: &str) -> Option<String> {
        if arg.len() > LONGEST || arg.contains(['…', '<', '>']) || matches!(arg, "{" | "}") {
            return None;
        }
        match self.otherwise {
            "SIZE" => value::<Size>(arg),
            "DURATION" => value::<Duration>(arg),
            "FIELD" => Some(arg.trim_start_matches(['-', '+', '?']).to_owned()),
            "COUNT" => value::<Count>(arg),
            "STATUS" => value::<Status>(arg),
            "ADDRESS" => Some(address(arg)).filter(|address| !has_path(address)),
            "PATTERN" => pattern("", arg),
            "ANYCASE" => pattern("(?i)", arg),
            "FOLDER" | "FILE" | "KEY" | "CERTIFICATE" => arg.starts_with(['/', '.']).then(|| arg.to_owned()),
            path if path.starts_with('/') => {
                let known = arg.trim_matches('`').trim_matches('"');
                known.starts_with('/').then(|| known.trim_end_matches(['*', '/']).to_owned())
            }
            _ if arg.contains(['(', ')', '\\']) && !arg.starts_with(['`', '"']) => None,
            _ => Some(arg.to_owned()),
        }
    }
}

/// As it is, or as its kind says that it is to be written.
fn value<V: Value>(text: &str) -> Option<String> {
    let Err(wrong) = V::parse(text) else { return Some(text.to_owned()) };
    let help = wrong.help?;
    let offered = help.split('`').nth(1)?;
    V::parse(offered).is_ok().then(|| offered.to_owned())
}

/// A condition, without the parentheses that it has elsewhere.
fn matcher(args: &[String]) -> Option<String> {
    let joined = args.join(" ").replace(" == ", " = ").replace(" =~ ", " ~ ");
    let inside = joined.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(&joined).trim();
    let compares = inside.starts_with('{') && [" = ", " != ", " ~ "].iter().any(|sign| inside.contains(sign));
    let known = inside.starts_with(['/', '@']) || compares;
    (known && inside.len() <= LONGEST && !inside.contains(['(', ')', '$'])).then(|| inside.to_owned())
}

/// Paths are changed by statements of their own, which ones only the user knows.
fn has_path(address: &str) -> bool {
    let host = address.find("://").map_or(0, |at| at + 3);
    !address.starts_with("unix") && address[host..].contains('/')
}

fn address(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("127.0.0.1:{text}");
    }
    let text = text.trim_end_matches('/');
    // `http://backend` is how others name an upstream.
    match text.strip_prefix("http://") {
        Some(name) if !name.contains(['.', ':', '/', '$', '{']) && name != "localhost" => name.to_owned(),
        _ => text.to_owned(),
    }
}

fn pattern(flags: &str, text: &str) -> Option<String> {
    let text = text.trim_matches('"');
    (!text.contains('`')).then(|| format!("`{flags}{text}`"))
}
