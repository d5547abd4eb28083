//! Secrets that stand in a file in plain text. Looks at the tree as it was written: what comes from the environment or
//! from a file of its own is where it belongs.

use crate::check::Check;
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::{Block, Node, Part, Word};

/// Fields of requests whose values are secrets, in lower case.
pub const SECRET_FIELDS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-vault-token",
    "private-token",
];

/// A cookie with a shorter value is a setting, such as `lang=en`.
const SHORTEST_COOKIE: usize = 16;
/// A shorter word behind `Bearer` is the beginning of one, to compare with, or a word of a sentence.
const SHORTEST_TOKEN: usize = 8;

/// Warns of every secret that whoever sees the file sees.
pub fn secrets(tree: &Block, cx: &mut Check) {
    for node in tree.nodes.iter().filter(|node| !node.name().starts_with('@')) {
        if node.name() == "use" {
            tokens(node, cx);
        }
        node.block.iter().for_each(|block| inside(block, cx));
    }
    tree.nodes.iter().filter(|node| node.name().starts_with('@')).for_each(|node| tokens(node, cx));
}

fn inside(block: &Block, cx: &mut Check) {
    for node in &block.nodes {
        match node.name() {
            "header" => header(node, cx),
            // Names may stand before it.
            _ if node.is_secret() => {
                node.words[1..].last().into_iter().for_each(|word| option(node.name(), word, cx));
            }
            "use" | "route" | "when" => tokens(node, cx),
            name if name.starts_with('@') => tokens(node, cx),
            _ => {}
        }
        // In the address of a server it is a mistake of its own.
        if !matches!(node.name(), "reverse_proxy" | "server") {
            node.words[1..].iter().filter(|word| login(word)).for_each(|word| _ = cx.report(url(word)));
        }
        // What stands in the block of a `header` has been seen.
        node.block.iter().filter(|_| node.name() != "header").for_each(|block| inside(block, cx));
    }
}

/// The values that are given to fields of the request.
fn header(node: &Node, cx: &mut Check) {
    let Some("request") = node.words.get(1).and_then(Word::plain) else { return };
    operation(&node.words[2..], cx);
    node.block.iter().flat_map(|block| &block.nodes).for_each(|inner| operation(&inner.words, cx));
}

/// `set NAME VALUE`
fn operation(words: &[Word], cx: &mut Check) {
    let [verb, name, values @ ..] = words else { return };
    let (Some(verb), Some(name)) = (verb.plain(), name.plain()) else { return };
    let value = if verb == "replace" { values.get(1) } else { values.first() };
    let Some((word, text)) = value.and_then(|word| Some((word, word.plain()?))) else { return };
    let lower = name.to_ascii_lowercase();
    let secret = match lower.as_str() {
        "cookie" => {
            text.split(';').filter_map(|pair| pair.split_once('=')).any(|(_, v)| v.trim().len() >= SHORTEST_COOKIE)
        }
        name if SECRET_FIELDS.contains(&name) => !text.trim().is_empty(),
        _ => token(text).is_some(),
    };
    if secret {
        cx.report(field(word, name, text));
    }
}

/// `Bearer …` and `Basic …` among the words, and what a matcher compares a secret with.
fn tokens(node: &Node, cx: &mut Check) {
    for [matcher, name, value] in node.words.array_windows() {
        let (Some("header"), Some(name)) = (matcher.plain(), name.plain()) else { continue };
        let Some(text) = value.plain().filter(|text| !matches!(*text, "and" | "or" | ")" | "")) else { continue };
        if SECRET_FIELDS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            cx.report(field(value, name, text));
        }
    }
    for word in &node.words[1..] {
        if let Some(text) = word.plain().filter(|text| token(text).is_some()) {
            cx.report(field(word, "Authorization", text));
        }
    }
}

/// The scheme before a token of RFC 9110, section 11.2.
fn token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    let signs = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic");
    (known && token.len() >= SHORTEST_TOKEN && token.trim_end_matches('=').bytes().all(signs)).then_some(scheme)
}

/// Whether it is a URL with a name and a password, both written out.
fn login(word: &Word) -> bool {
    let Some(Part::Text(text)) = word.parts.first() else { return false };
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
    scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !scheme.is_empty()
        && password.is_some_and(|(_, password)| !password.is_empty())
}

fn field(word: &Word, name: &str, text: &str) -> Mistake {
    let instead = |environment: &str, file: &str| match token(text) {
        Some(scheme) => format!("\"{scheme} {{${environment}}}\" or \"{scheme} {{file./run/secrets/{file}}}\""),
        None => format!("{{${environment}}} or {{file./run/secrets/{file}}}"),
    };
    let instead = match name.to_ascii_lowercase().as_str() {
        "cookie" => instead("COOKIE", "cookie"),
        lower if lower.contains("key") => instead("API_KEY", "api_key"),
        _ => instead("API_TOKEN", "api_token"),
    };
    Mistake::new(Code::W0019, word.span, format!("a secret for `{name}` stands here for all who see this file"))
        .help(format!("take it from the environment or from a file: {instead}"))
}

/// An option that takes nothing but a secret.
fn option(name: &str, word: &Word, cx: &mut Check) {
    if word.plain().is_some_and(|text| !text.is_empty()) {
        let text = format!("the `{name}` stands here for all who see this file");
        let (variable, file) = (name.to_ascii_uppercase(), name);
        cx.report(Mistake::new(Code::W0019, word.span, text).help(format!(
            "take it from the environment or from a file: {name} {{${variable}}}, or: {name} {{file./run/secrets/{file}}}"
        )));
    }
}

fn url(word: &Word) -> Mistake {
    Mistake::new(Code::W0019, word.span, "a password stands in this URL for all who see this file").help(
        "take it from the environment or from a file: `https://{$LOGIN}@…` or `https://{file./run/secrets/login}@…`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;
    use crate::syntax::tree::Style;

    #[test]
    fn tokens_are_told_from_sentences() {
        for secret in ["Bearer abcdefgh", "bearer eyJhbGciOi.J9_-", "Basic dXNlcjpwYXNzd29yZA=="] {
            assert!(token(secret).is_some(), "{secret}");
        }
        for other in
            ["Bearer ", "Bearer ey", "Bearer [a-z]{9}", "Basic realm=\"inner\"", "Basic terms of use", "abcdefghij"]
        {
            assert!(token(other).is_none(), "{other}");
        }
    }

    #[test]
    fn urls_with_a_password() {
        let word =
            |text: &str| Word { parts: vec![Part::Text(text.into())], style: Style::Bare, span: Span::default() };
        for secret in ["https://user:word@example.com/a", "redis://:word@cache:6379"] {
            assert!(login(&word(secret)), "{secret}");
        }
        for other in
            ["https://user@example.com", "https://example.com/a:b@c", "https://user:@a.example", "see https://a:b@c"]
        {
            assert!(!login(&word(other)), "{other}");
        }
    }
}
