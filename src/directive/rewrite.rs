//! `rewrite`: another path, and another query if it says one.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use regex::{Captures, Regex};

use super::{Directive, Room};
use crate::check::value::WholePattern;
use crate::check::{Arguments, Check, Reported, habit};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::path::{canonical, climbs};
use crate::http::placeholder::View;
use crate::http::replacement::{self, Piece};
use crate::http::step::{Answer, Filter};
use crate::http::template::When;
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "rewrite",
    syntax: "rewrite [PATTERN] TARGET",
    summary: "puts another path in place, and another query if it names one",
    doc: "What stands below sees the new path, and so does the upstream; the client sees nothing of it. A target without `?` keeps the query, one that ends with `?` removes it, and `{path}?{query}&a=b` adds to it.\n\nWith a pattern, a regular expression, only a path that fits it as a whole is rewritten, and `$1` or `${name}` in the target stand for what its groups captured. It meets the path in its canonical form, percent-encoded.\n\nWhat a request brings into a target is percent-encoded there, so it can't add a parameter or, unless it is part of the path already, a segment. A path that climbs by `..` in spite of that is answered 400.",
    options: &[],
    examples: &["rewrite /new{path}", "rewrite {path}?{query}&source=proxy", "rewrite `/old-api/(.*)` `/api/v2/$1`"],
    related: &["strip_prefix", "add_prefix", "redirect"],
    check,
};

#[derive(Debug, Clone)]
struct Rewrite {
    /// Only paths that fit it are rewritten.
    pattern: Option<Regex>,
    target: Vec<Spot>,
    /// The target says what the query is to be.
    names_query: bool,
}

/// A piece of the target, and what of it is percent-encoded.
#[derive(Debug, Clone)]
struct Spot {
    piece: Piece,
    encoded: &'static AsciiSet,
}

/// What is a path or a query already.
static AS_IT_IS: &AsciiSet = &CONTROLS.add(b' ');
/// A part of a path within a path: slashes and escapes are its own.
static PATH: &AsciiSet = &AS_IT_IS
    .add(b'?')
    .add(b'#')
    .add(b'\\')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// A part of a path as the value of a parameter.
static PATH_IN_QUERY: &AsciiSet = &AS_IT_IS
    .add(b'#')
    .add(b'&')
    .add(b'+')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Anything within one segment: all but what RFC 3986, section 3.3, lets a segment hold.
static DATA: &AsciiSet = &DATA_IN_QUERY
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
/// Anything as the value of a parameter: all but what is unreserved.
static DATA_IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

// ---- Tree → model

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let first = args.expect_word("a target", cx)?;
    let second = args.word();
    in_parts(node, cx)?;
    args.done_without_block(cx)?;
    let (pattern, word) = match second {
        None => (None, first),
        Some(word) => (Some(pattern(first, cx)?), word),
    };
    let pieces = match &pattern {
        Some(pattern) => replacement::pieces(word, pattern, When::Request, cx)?,
        None => replacement::pieces_alone(word, When::Request, cx)?,
    };
    prove(&pieces, word, cx)?;
    let (target, names_query) = spots(pieces);
    Ok(Box::new(Rewrite { pattern, target, names_query }))
}

/// A pattern that stands outside of backticks, so that its parentheses are words: `rewrite ^/a/(.*)$ /b/$1 permanent`.
fn in_parts(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let [_, words @ ..] = node.words.as_slice() else { return Ok(()) };
    let flag = |word: &Word| matches!(word.plain(), Some("last" | "break" | "permanent" | "redirect"));
    let flagged = words.len() == 3 && flag(&words[2]);
    if !flagged && !words.iter().any(|word| word.is_punctuation("(")) {
        return Ok(());
    }
    let words = habit::arguments(words);
    let [pattern, target, flag @ ..] = words.as_slice() else { return Ok(()) };
    let mistake = Mistake::new(
        Code::E0018,
        node.words[1].span.to(node.words[node.words.len() - 1].span),
        if flagged { "`rewrite` takes no flag" } else { "a pattern with parentheses stands between backticks" },
    );
    // `^` and `$` say nothing more: the pattern must fit the path as a whole.
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let help = match flag.first().map(String::as_str) {
        Some("permanent" | "redirect") => {
            let status = if flag[0] == "permanent" { "permanent" } else { "302" };
            let pattern = pattern.replacen('(', "(?<rest>", 1);
            let target = target.replace("$1", "{param.rest}");
            format!("to send the client there, write: route {{path}} ~ `^{pattern}$` {{ redirect {target} {status} }}")
        }
        _ => format!("write: rewrite `{pattern}` {target}"),
    };
    Err(cx.report(mistake.help(help)))
}

fn pattern(word: &Word, cx: &mut Check) -> Result<Regex, Reported> {
    let text = cx.plain(word)?;
    if let Some(stem) = text.strip_suffix("/*").filter(|stem| stem.starts_with('/')) {
        return Err(cx.report(
            Mistake::new(
                Code::E0020,
                word.span,
                format!("`{text}` is a path pattern, and `rewrite` takes a regular expression"),
            )
            .help(format!("write `{stem}/(.*)`, or put it into a route: route {text} {{ rewrite … }}")),
        ));
    }
    cx.value::<WholePattern>(word).map(|pattern| pattern.0)
}

/// What can be known of a target before any request: that it is a path, in the form that paths have here.
fn prove(pieces: &[Piece], word: &Word, cx: &mut Check) -> Result<(), Reported> {
    let shown = word.written();
    let say = |text: String, help: String, cx: &mut Check| {
        Err(cx.report(Mistake::new(Code::E0020, word.span, text).help(help)))
    };
    match pieces.first() {
        None => return say("a target is a path, and this is empty".into(), "write `/` for the root".into(), cx),
        Some(Piece::Text(text)) if text.contains("://") => {
            return say(
                format!("`{shown}` is a URL, and a target is a path"),
                format!("to send the client there, write: redirect {shown}"),
                cx,
            );
        }
        Some(Piece::Text(text)) if text.starts_with('/') => {}
        Some(Piece::Value(name, _)) if is_rooted(name) || name.starts_with("param.") => {}
        Some(Piece::Group(_)) => {}
        Some(_) => return say(format!("`{shown}` does not start with a slash"), format!("write `/{shown}`"), cx),
    }
    let (path, query) = sample(pieces);
    match canonical(&path) {
        Ok(None) => {}
        Ok(Some(form)) => {
            let fixed = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
            let help =
                if fixed { format!("write `{form}`") } else { "write it without `.`, `..` and doubled slashes".into() };
            return say(format!("`{shown}` is not the canonical form of a path"), help, cx);
        }
        Err(bad) => {
            let help = "write it as URLs have it: a space is `%20`".into();
            return say(format!("no path can be `{shown}`: it has {}", bad.why()), help, cx);
        }
    }
    let odd = |byte: u8| byte <= b' ' || byte >= 0x7f || byte == b'#';
    if query.bytes().any(odd) {
        let help = "write it as URLs have it: a space is `%20`, `#` is `%23`".into();
        return say(format!("`{shown}` holds what no query can"), help, cx);
    }
    let brings_query = |piece: &Piece| matches!(piece, Piece::Value(name, _) if brings_query(name));
    if pieces.iter().any(brings_query) && pieces.iter().any(|p| matches!(p, Piece::Text(text) if text.contains('?'))) {
        return Err(cx.report(
            Mistake::new(Code::E0028, word.span, "`{uri}` brings a query, and this target has another")
                .help("write `{path}?{query}&name=value`"),
        ));
    }
    Ok(())
}

/// The target with something harmless for what is not known yet: its path, and its query.
fn sample(pieces: &[Piece]) -> (String, String) {
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            _ if whole.is_empty() => whole.push_str("/x"),
            Piece::Group(_) | Piece::Value(..) => whole.push('x'),
        }
    }
    match whole.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (whole, String::new()),
    }
}

/// Its value starts with a slash.
fn is_rooted(placeholder: &str) -> bool {
    matches!(placeholder, "path" | "uri" | "original_uri")
}

fn brings_query(placeholder: &str) -> bool {
    matches!(placeholder, "uri" | "original_uri")
}

/// Gives each piece its rule of encoding; and whether the target has a query of its own.
fn spots(pieces: Vec<Piece>) -> (Vec<Spot>, bool) {
    let mut in_query = false;
    let mut spots = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let encoded = match (&piece, in_query) {
            (Piece::Text(_), _) => AS_IT_IS,
            (Piece::Group(_), false) => PATH,
            (Piece::Group(_), true) => PATH_IN_QUERY,
            (Piece::Value(name, _), false) if is_rooted(name) => AS_IT_IS,
            (Piece::Value(name, _), true) if name == "query" => AS_IT_IS,
            (Piece::Value(name, _), false) if name.starts_with("param.") => PATH,
            (Piece::Value(name, _), true) if is_rooted(name) || name.starts_with("param.") => PATH_IN_QUERY,
            (Piece::Value(..), false) => DATA,
            (Piece::Value(..), true) => DATA_IN_QUERY,
        };
        in_query |= match &piece {
            Piece::Text(text) => text.contains('?'),
            Piece::Value(name, _) => brings_query(name),
            Piece::Group(_) => false,
        };
        spots.push(Spot { piece, encoded });
    }
    (spots, in_query)
}

// ---- Model → running code

impl Directive for Rewrite {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Filter for Rewrite {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        let path = exchange.target.path();
        // `OPTIONS *` asks about the server, not about a path.
        if path == "*" {
            return Ok(None);
        }
        let target = match &self.pattern {
            None => self.render(None, exchange),
            Some(pattern) => match pattern.captures(path) {
                Some(captures) => self.render(Some(&captures), exchange),
                None => return Ok(None),
            },
        };
        // No piece of the path holds a `?` but what the target itself has, or a whole {uri}.
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.trim_matches('&')).filter(|query| !query.is_empty())),
            None => (&*target, None),
        };
        if climbs(path) {
            return Err(Fault::detailed(Cause::BadPath, "a rewritten path that climbs"));
        }
        exchange.target.set_path(path)?;
        if self.names_query {
            exchange.target.set_query(query);
        }
        Ok(None)
    }
}

impl Rewrite {
    fn render(&self, captures: Option<&Captures<'_>>, exchange: &Exchange) -> String {
        let view = View { exchange, response: None };
        let mut target = String::with_capacity(128);
        let mut value = Vec::new();
        for Spot { piece, encoded } in &self.target {
            let bytes = match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Group(group) => {
                    captures.and_then(|captures| captures.get(*group)).map_or("", |found| found.as_str()).as_bytes()
                }
                Piece::Value(_, template) => {
                    value.clear();
                    template.write(&view, &mut value);
                    &value
                }
            };
            target.extend(percent_encode(bytes, encoded));
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::testing::{findings, pass};

    fn rewritten(statements: &str, uri: &str, fields: &[(&str, &str)]) -> String {
        let mut exchange = Exchange::sample(uri, fields);
        let answer = pass(&format!("{statements}\nrespond 204"), &mut exchange);
        if answer.status() != 204 {
            return answer.status().as_str().to_owned();
        }
        let mut target = Vec::new();
        exchange.target.write(&mut target);
        String::from_utf8(target).unwrap()
    }

    fn check(statements: &str, uri: &str, expected: &str) {
        assert_eq!(rewritten(statements, uri, &[]), expected, "{statements} at {uri}");
    }

    #[test]
    fn a_target_replaces_the_path() {
        check("rewrite /new", "/old?a=b", "/new?a=b");
        check("rewrite /new{path}", "/old/x?a=b", "/new/old/x?a=b");
        check("rewrite /new{uri}", "/old?a=b", "/new/old?a=b");
        check("rewrite /new{uri}", "/old", "/new/old");
        check("rewrite {path}?a=b", "/x?c=d", "/x?a=b");
        check("rewrite {path}?", "/x?c=d", "/x");
        check("rewrite {path}?{query}&a=b", "/x?c=d%20e", "/x?c=d%20e&a=b");
        check("rewrite {path}?{query}&a=b", "/x", "/x?a=b");
        check("rewrite /index.php?p={path}", "/a&b=c/caf%C3%A9", "/index.php?p=/a%26b=c/caf%C3%A9");
        check("rewrite /x", "*", "*");
        check("rewrite /a\nrewrite {path}/b", "/x", "/a/b");
    }

    #[test]
    fn m01_a_pattern_keeps_query_and_encoding() {
        check(
            "rewrite `/old-api/(.*)` `/api/v2/$1`",
            "/old-api/caf%C3%A9/a%2Fb?x=%20",
            "/api/v2/caf%C3%A9/a%2Fb?x=%20",
        );
        check("rewrite `^/old-api/(.*)$` `/api/v2/$1`", "/old-api/x", "/api/v2/x");
        check("rewrite `/old-api/(.*)` `/api/v2/$1`", "/other/old-api/x", "/other/old-api/x");
        check("rewrite `/u/(?<id>[0-9]+)` `/user?id=${id}`", "/u/7?x", "/user?id=7");
        check("rewrite `/u/([0-9]+)` \"/user/$1/{host}\"", "/u/7", "/user/7/example.com");
        check("rewrite `/u/(?<id>[0-9]+)` /user/${id}/edit", "/u/7", "/user/7/edit");
    }

    #[test]
    fn xp02_data_cannot_climb_or_leave_the_root() {
        check("rewrite /files/{query.f}", "/x?f=../../etc", "/files/..%2F..%2Fetc?f=../../etc");
        check("rewrite /files/{query.f}/x", "/x?f=..", "400");
        check("rewrite /files/.{query.f}/x", "/x?f=.", "400");
        check("rewrite /files/{query.f}", "/x?f=%2e%2e", "400");
        check("rewrite `/r/(.*)` `$1`", "/r/evil.example", "400");
        check("rewrite `/r(.*)` `/$1`", "/r/evil.example", "/evil.example");
        check("rewrite /v1{original_uri}", "/../x", "400");
        assert_eq!(rewritten("rewrite /{header.X-A}", "/", &[("x-a", "/evil.example")]), "/%2Fevil.example");
        assert_eq!(rewritten("rewrite /{header.X-A}", "/", &[("x-a", "a%00")]), "/a%2500");
    }

    #[test]
    fn xp03_data_is_not_read_again() {
        let fields = [("x-a", "{host}$1?b=c#d&e=f g")];
        assert_eq!(rewritten("rewrite /a/{header.X-A}", "/", &fields), "/a/%7Bhost%7D$1%3Fb=c%23d&e=f%20g");
        assert_eq!(rewritten("rewrite /a?x={header.X-A}", "/", &fields), "/a?x=%7Bhost%7D%241%3Fb%3Dc%23d%26e%3Df%20g");
        check("rewrite `/(.*)` `/x/$1`", "/$1{host}", "/x/$1%7Bhost%7D");
    }

    #[test]
    fn targets_are_proved_before_any_request() {
        let said = |line: &str| findings(&format!("{line}\nrespond 204")).concat();
        assert_eq!(said("rewrite new"), "E0020 `new` does not start with a slash; write `/new`");
        assert!(said("rewrite https://a.example/b").ends_with("write: redirect https://a.example/b"));
        assert!(said("rewrite /a/../b").ends_with("write `/b`"));
        assert!(said("rewrite {path}/../b").starts_with("E0020"));
        assert!(said("rewrite \"/a b\"").contains("%20"));
        assert!(said("rewrite \"/a?b c\"").contains("%20"));
        assert!(said("rewrite {uri}?a=b").starts_with("E0028"));
        assert!(said("rewrite {status}").starts_with("E0029"));
        assert!(said("rewrite {header.X-A}").ends_with("write `/{header.X-A}`"));
        assert!(said("rewrite \"\"").starts_with("E0020"));
        assert!(said("rewrite /old/* /new").contains("write `/old/(.*)`"));
        assert!(said("rewrite `/old/.*` `/new/$1`").starts_with("E0012"));
        assert!(said("rewrite `(` /new").starts_with("E0020"));
    }
}
