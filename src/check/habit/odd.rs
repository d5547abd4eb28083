//! Signs of other languages in statements whose names are known: `=`, single quotes, `//`, a matcher as the first argument.

use super::fill;
use crate::check::{Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::{Node, Part, Style, Word};

/// The statements without what was meant as comments; those are reported.
pub fn without_comments<'n>(nodes: &'n [Node], cx: &mut Check) -> Vec<&'n Node> {
    let mut kept = Vec::with_capacity(nodes.len());
    let mut open = false;
    for node in nodes {
        let name = node.name();
        let bare = node.words[0].style == Style::Bare;
        let begins = bare && (name.starts_with("//") || name.starts_with("/*") || matches!(name, "--" | "<!--"));
        if !open && !begins {
            kept.push(node);
            continue;
        }
        if !open {
            report(&node.words, cx);
        }
        let closed = node.words.iter().any(|word| word.plain().is_some_and(|text| text.ends_with("*/")));
        open = (open || name.starts_with("/*")) && !closed;
    }
    kept
}

fn report(words: &[Word], cx: &mut Check) -> Reported {
    let at = words[0].span.to(words[words.len() - 1].span);
    let marks = |text: &str| matches!(text, "//" | "/*" | "*/" | "--" | "<!--" | "-->");
    let said: Vec<String> = words.iter().map(Word::written).filter(|text| !marks(text)).collect();
    let said = said.join(" ");
    let said = said.trim_start_matches(['/', '*']).trim_end_matches(['/', '*']);
    let help = match said.trim() {
        text if text.is_empty() || text.len() > 60 => "begin each line of it with `#`".to_owned(),
        text => format!("write: # {text}"),
    };
    let sign = words[0].plain().unwrap_or("//");
    let sign = if sign.starts_with("//") { "//" } else { sign };
    cx.report(Mistake::new(Code::E0018, at, format!("`{sign}` begins no comment here")).help(help))
}

/// Refuses the signs of other languages among the arguments of a statement.
pub fn odd(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let name = node.name();
    for (index, word) in node.words.iter().enumerate().skip(1).filter(|(_, word)| word.style == Style::Bare) {
        let text = word.plain().unwrap_or_default();
        match text {
            "=" | ":" | "=>" if index == 1 => {
                let help = format!("write: {}", fill::statement(name, &node.words[2..], node));
                let text = format!("nothing stands between `{name}` and its value");
                return Err(cx.report(Mistake::new(Code::E0018, word.span, text).help(help)));
            }
            _ if matches!(name, "tls" | "file_server") && is_assignment(text) => {
                let value = |word: &Word| word.written().rsplit('=').next().unwrap_or_default().to_owned();
                let values: Vec<String> = node.words[index..].iter().map(value).collect();
                let mistake = Mistake::new(Code::E0018, word.span, format!("arguments of `{name}` have no names"));
                return Err(cx.report(mistake.help(format!("write: {name} {}", values.join(" ")))));
            }
            "//" | "*/" => return Err(report(&node.words[index..], cx)),
            _ => {}
        }
        if let Some((open, close)) = quotes(word) {
            return Err(odd_quotes(open, close, &node.words[index..], cx));
        }
    }
    Ok(())
}

/// `root=/var/www`
fn is_assignment(text: &str) -> bool {
    let named = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.split_once('=').is_some_and(|(name, _)| named(name))
}

/// The quotes of other languages that this word begins with.
fn quotes(word: &Word) -> Option<(char, char)> {
    let Some(Part::Text(text)) = word.parts.first() else { return None };
    let first = text.chars().next()?;
    let pairs = [('\'', '\''), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('”', '”'), ('’', '’')];
    pairs.into_iter().find(|(open, _)| *open == first)
}

fn odd_quotes(open: char, close: char, words: &[Word], cx: &mut Check) -> Reported {
    let ends = |word: &Word| word.written().len() > 1 && word.written().ends_with(close);
    let last = words.iter().position(ends).unwrap_or(0);
    let said: Vec<String> = words[..=last].iter().map(Word::written).collect();
    let said = said.join(" ");
    let inside = said.trim_matches([open, close]);
    let mistake =
        Mistake::new(Code::E0018, words[0].span.to(words[last].span), format!("`{open}` is not a quote here"));
    cx.report(match inside {
        _ if inside.len() > 60 || inside.contains(['"', '\\', '`']) => mistake.help("put the text between `\"`"),
        _ => mistake.help(format!("write \"{inside}\"")),
    })
}

/// A first argument that is a matcher, as other servers take it: `respond /health 200`.
pub fn matcher_first(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let [name, first, rest @ ..] = node.words.as_slice() else { return Ok(()) };
    let name = name.plain().unwrap_or_default();
    let text = first.plain().unwrap_or_default();
    if first.style != Style::Bare || !is_matcher(name, text, rest) {
        return Ok(());
    }
    let depth = cx.scopes();
    // That it is unused would be the same mistake, told a second time.
    cx.use_matcher(text, depth);
    let statement = fill::statement(name, &sorted(name, rest), node);
    let mistake = Mistake::new(Code::E0023, first.span, format!("`{name}` takes no matcher"));
    Err(cx.report(match text {
        "*" => mistake.help(format!("write: {statement}")),
        _ => mistake.help(format!("write: route {text} {{ {statement} }}")),
    }))
}

fn is_matcher(name: &str, first: &str, rest: &[Word]) -> bool {
    let second = rest.first().and_then(Word::plain).unwrap_or("{");
    let path = first.starts_with('/');
    match name {
        "route" | "when" | "else" | "handle_errors" | "log" | "bind" => false,
        _ if first.starts_with('@') || (first == "*" && !rest.is_empty()) => true,
        "header" | "encode" | "rate_limit" | "max_body" => path,
        "reverse_proxy" | "respond" => path && !rest.is_empty(),
        "redirect" => path && (first.contains('*') || second.starts_with('/') || second.contains(':')),
        "file_server" => path && first.contains('*'),
        _ => false,
    }
}

/// The words as we sort them: the status of `respond` stands before its text.
fn sorted(name: &str, words: &[Word]) -> Vec<Word> {
    let mut words = words.to_vec();
    if let ("respond", [_, status]) = (name, words.as_slice())
        && status.plain().is_some_and(|text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
    {
        words.swap(0, 1);
    }
    // Operations on fields begin with their names.
    if name == "header" && words.len() == 2 {
        let set = Word { parts: vec![Part::Text("set".into())], ..words[0].clone() };
        words.insert(0, set);
    }
    words
}
