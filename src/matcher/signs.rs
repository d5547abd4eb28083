//! The words of a matcher that are fixed: protocols, schemes, and what other languages write for `and`, `or` and `not`.

use super::ROOMS;
use crate::check::habit;
use crate::syntax::tree::{Style, Word};

/// The word for a sign of other languages.
pub fn keyword(text: &str) -> Option<&'static str> {
    match text {
        "&&" | "&" | "AND" | "And" => Some("and"),
        "||" | "|" | "OR" | "Or" => Some("or"),
        "!" | "NOT" | "Not" => Some("not"),
        _ => None,
    }
}

/// `!@internal`, `!/api/*`, `!path`
pub fn is_turned(text: &str) -> bool {
    text.len() > 1 && text.starts_with('!')
}

/// What a word that is no matcher was meant as: `method=GET`, `path:/a`, `GET`, `*`, `^/api`, `~ ^/api`.
pub fn meant(name: &str, words: &[Word]) -> Option<String> {
    let next = words.get(1).map(Word::written).unwrap_or_default();
    if let Some((matcher, value)) = name.split_once([':', '=']).filter(|(matcher, _)| is_room(matcher)) {
        return (!value.is_empty()).then(|| format!("{matcher} {value}"));
    }
    match name {
        "*" => Some("/*".to_owned()),
        "~" | "~*" if !next.is_empty() && !next.contains('`') => Some(format!("{{path}} ~ `{next}`")),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
            let path = if next.starts_with('/') { format!(" and {next}") } else { String::new() };
            Some(format!("method {name}{path}"))
        }
        _ if name.starts_with('^') && !name.contains('`') => Some(format!("{{path}} ~ `{name}`")),
        _ => habit::in_text(name).map(|(_, ours)| format!("{ours} = VALUE")),
    }
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|room| room.name == name)
}

/// `host = a.com`, `path ~ ^/a`: a matcher takes its values without a sign.
pub fn compared(words: &[Word], values: usize, word: &Word) -> Option<String> {
    let sign = word.plain().filter(|_| word.style == Style::Bare)?;
    let matcher = words.get(values.checked_sub(1)?)?.plain()?;
    let value = words.get(values + 1)?.written();
    if !std::ptr::eq(words.get(values)?, word) || value.contains('`') {
        return None;
    }
    match sign {
        "=" | "==" | "is" => Some(format!("write: {matcher} {value}")),
        "!=" => Some(format!("write: not {matcher} {value}")),
        "~" | "=~" | "~*" if matches!(matcher, "path" | "host" | "method" | "scheme") => {
            Some(format!("write: {{{matcher}}} ~ `{value}`"))
        }
        _ => None,
    }
}
