//! `header`: the fields of requests and answers.

mod apply;
mod touched;

use http::header::{self, HeaderName};

pub use self::touched::{Changes, How, Touch};
use super::{Directive, Effect, Room};
use crate::check::value::{FieldName, Pattern};
use crate::check::{Arguments, Check, Opt, Reported, habit, known, near, no_block};
use crate::diagnostic::{Code, Mistake};
use crate::http::replacement::{self, Piece};
use crate::http::template::{ValueTemplate, When};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "header",
    syntax: "header [request] set NAME VALUE, or header [request] { set NAME VALUE; … }",
    summary: "changes the fields of the answer, or of the request",
    doc: "Without `request`, it is the answer's fields that change: of every answer given below the statement in its block, error pages included. With `request`, it is those of the request, for whatever stands below. Operations run in written order, so of two about one field the lower one wins.\n\nFields of one hop and those that frame a message (`Connection`, `Content-Length`, `Transfer-Encoding`, …) can't be changed: rp writes them from what it really sends. Neither can the request's `Host` and `X-Forwarded-…`, which `reverse_proxy` writes.\n\nIn the value of `replace`, `$1` and `${name}` stand for what the pattern's groups captured. What a request brings into a value is put in once and never read again, and can't break out of its field.",
    options: OPERATIONS,
    examples: &[
        "header set Strict-Transport-Security \"max-age=63072000\"",
        "header { set X-Content-Type-Options nosniff; remove Server X-Powered-By }",
        "header request { set X-Tenant {host}; remove X-Internal-* }",
        "header replace Location `^http://` `https://`",
        "header set X-Served-By {hostname}",
    ],
    related: &["respond", "reverse_proxy"],
    check,
};

static OPERATIONS: &[Opt] = &[
    Opt::many("set", "set NAME VALUE", "puts this value in place of every one that is there"),
    Opt::many("add", "add NAME VALUE", "adds a value to those that are there"),
    Opt::many("set_if_absent", "set_if_absent NAME VALUE", "sets the field only where the message lacks it"),
    Opt::many("remove", "remove NAME …", "removes fields; `X-Internal-*` stands for all that begin so"),
    Opt::many(
        "replace",
        "replace NAME PATTERN REPLACEMENT",
        "replaces each match of a regular expression in the field's values",
    ),
];

/// A checked statement: what runs, and what is known of it.
#[derive(Debug)]
struct Header {
    operations: Vec<Operation>,
    changes: Changes,
}

/// Changes to the fields of an answer.
#[derive(Debug, Clone)]
struct ResponseFields(Vec<Operation>);

/// Changes to the fields of a request.
#[derive(Debug, Clone)]
struct RequestFields(Vec<Operation>);

#[derive(Debug, Clone)]
enum Operation {
    Set(HeaderName, ValueTemplate),
    Add(HeaderName, ValueTemplate),
    SetIfAbsent(HeaderName, ValueTemplate),
    Remove(Vec<Removed>),
    Replace(HeaderName, Pattern, Vec<Piece>),
}

#[derive(Debug, Clone)]
enum Removed {
    One(HeaderName),
    /// All that begin so, in lower case.
    Below(Box<str>),
}

// ---- Tree → model

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let when = if args.keyword("request") { When::Request } else { When::Response };
    let mut header = match (args.rest(), &node.block) {
        ([], None) => return Err(args.missing("an operation", cx)),
        ([], Some(block)) => all(&block.nodes, when, cx)?,
        (words, _) => {
            // `header set NAME VALUE` is the one statement that would stand in the block.
            let span = words[0].span.to(node.span);
            let line = Node { words: words.to_vec(), span, block: node.block.clone(), ..bare(node) };
            all(&[line], when, cx)?
        }
    };
    // What the whole statement comes from, each of its operations comes from.
    header.changes.touches.iter_mut().for_each(|touch| touch.used_at = touch.used_at.or(node.used_at));
    Ok(Box::new(header))
}

fn bare(node: &Node) -> Node {
    Node { comments: Vec::new(), blank_before: false, words: Vec::new(), block: None, trailing: None, ..*node }
}

/// Every one is read, so that each mistake is reported.
fn all(nodes: &[Node], when: When, cx: &mut Check) -> Result<Header, Reported> {
    let read: Vec<_> = nodes.iter().map(|node| operation(node, when, cx)).collect();
    let operations = read.into_iter().collect::<Result<_, _>>()?;
    let of_request = when == When::Request;
    let touches = nodes.iter().flat_map(|node| touched::of(node, of_request)).collect();
    Ok(Header { operations, changes: Changes { of_request, touches } })
}

fn operation(node: &Node, when: When, cx: &mut Check) -> Result<Operation, Reported> {
    let Some(known) = OPERATIONS.iter().find(|operation| operation.name == node.name()) else {
        return Err(unknown(node, when, cx));
    };
    no_block(node, cx)?;
    let mut args = Arguments::of(node, known.syntax);
    if known.name == "remove" {
        let first = args.expect_word("the name of a field", cx)?;
        let rest = args.rest().iter();
        return std::iter::once(first)
            .chain(rest)
            .map(|word| removed(word, when, cx))
            .collect::<Result<_, _>>()
            .map(Operation::Remove);
    }
    let name = name(args.expect_word("the name of a field", cx)?, when, cx)?;
    if known.name == "replace" {
        let pattern: Pattern = args.expect("a pattern", cx)?;
        let word = args.expect_word("a replacement", cx)?;
        one_value(word, &args, known.name, cx)?;
        let pieces = replacement::pieces(word, &pattern.0, when, cx)?;
        return Ok(Operation::Replace(name, pattern, pieces));
    }
    let word = args.expect_word("a value", cx)?;
    one_value(word, &args, known.name, cx)?;
    let value = ValueTemplate::check(word, when, cx)?;
    Ok(match known.name {
        "set" => Operation::Set(name, value),
        "add" => Operation::Add(name, value),
        _ => Operation::SetIfAbsent(name, value),
    })
}

/// Nothing may stand behind the value: one of several words wants quotes.
fn one_value(value: &Word, args: &Arguments<'_>, name: &str, cx: &mut Check) -> Result<(), Reported> {
    let Some(last) = args.rest().last() else { return Ok(()) };
    let mut text = String::new();
    let mut end = value.span.start;
    for word in std::iter::once(value).chain(args.rest()) {
        if word.span.start > end {
            text.push(' ');
        }
        text.push_str(&word.written());
        end = word.span.end;
    }
    let quoted = if text.contains(['"', '\\']) { format!("`{text}`") } else { format!("\"{text}\"") };
    Err(cx.report(
        Mistake::new(Code::E0023, value.span.to(last.span), format!("`{name}` takes one value"))
            .label("these are several words")
            .help(format!("put it in quotes: {quoted}")),
    ))
}

fn unknown(node: &Node, when: When, cx: &mut Check) -> Reported {
    let word = node.name();
    let mistake = Mistake::new(Code::E0011, node.words[0].span, format!("`header` has no operation `{word}`"));
    if let Some(near) = near::nearest(word, OPERATIONS.iter().map(|operation| operation.name)) {
        let syntax = OPERATIONS.iter().find(|operation| operation.name == near).map_or("", |known| known.syntax);
        return cx.report(mistake.meant(word, near).help(format!("write: {syntax}")));
    }
    if word == "response" {
        return cx.report(mistake.help("leave it out: without `request`, it is the answer's fields that change"));
    }
    let (operation, name) = match word.split_at_checked(1) {
        Some(("-", name)) => ("remove", name),
        Some(("+", name)) => ("add", name),
        Some(("?", name)) => ("set_if_absent", name),
        _ => match word {
            "delete" | "unset" | "del" => ("remove", ""),
            "append" => ("add", ""),
            "default" | "setifempty" => ("set_if_absent", ""),
            _ => ("set", word),
        },
    };
    if !name.is_empty() && !FieldName::looks_like(name) {
        return cx.report(mistake.help(known("operation", OPERATIONS.iter().map(|operation| operation.name))));
    }
    let words = [name.to_owned()].into_iter().chain(habit::arguments(&node.words[1..]));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let request = if when == When::Request { "request " } else { "" };
    cx.report(mistake.help(format!("write: header {request}{operation} {}", words.join(" "))))
}

fn name(word: &Word, when: When, cx: &mut Check) -> Result<HeaderName, Reported> {
    let FieldName(name) = cx.value(word)?;
    if name.as_str().contains('*') {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, "one `*` for many fields is known to `remove` only")
                .help("write the name of one field"),
        ));
    }
    own(name, word, when, cx)
}

fn removed(word: &Word, when: When, cx: &mut Check) -> Result<Removed, Reported> {
    let text = cx.plain(word)?;
    let Some((stem, behind)) = text.split_once('*') else { return name(word, when, cx).map(Removed::One) };
    let begins = HeaderName::from_bytes(stem.as_bytes()).ok();
    match begins {
        Some(stem) if behind.is_empty() => Ok(Removed::Below(stem.as_str().into())),
        Some(_) => Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("in `{text}` the `*` is not the end of the name"))
                .help(format!("write `{stem}*`, or the whole name")),
        )),
        None => Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("`{text}` does not say how the names begin"))
                .help("write what they have in common, then `*`: `X-Internal-*`"),
        )),
    }
}

/// Refuses what rp writes from what it really sends, whatever a file says.
fn own(name: HeaderName, word: &Word, when: When, cx: &mut Check) -> Result<HeaderName, Reported> {
    let shown = word.plain().unwrap_or_default();
    let (sentence, help) = if is_framing(&name) {
        let (what, help) = match name.as_str() {
            "content-length" | "transfer-encoding" | "trailer" => {
                ("says how a message is framed", "remove this: rp frames what it sends")
            }
            _ => ("is of one connection only", "remove this: WebSocket and other upgrades pass without it"),
        };
        (format!("`{shown}` {what}, and rp writes it from what it really sends"), help.to_owned())
    } else if when == When::Response {
        return Ok(name);
    } else if name == header::HOST {
        (
            "`Host` is what the upstream is asked for, and `reverse_proxy` decides it".to_owned(),
            "to send the server's own name, write: reverse_proxy ADDRESS { host server }".to_owned(),
        )
    } else if is_forwarding(&name) {
        (
            format!("`reverse_proxy` writes `{shown}` itself, after this"),
            "if a proxy in front of rp knows better, trust it: global { trusted_proxies 10.0.0.0/8 }".to_owned(),
        )
    } else if name.as_str().contains(['_', '.']) {
        (
            format!(
                "`reverse_proxy` sends no field with `_` or `.` in its name, since some servers take `{shown}` for another"
            ),
            format!("write `{}`", shown.replace(['_', '.'], "-")),
        )
    } else {
        return Ok(name);
    };
    Err(cx.report(Mistake::new(Code::E0035, word.span, sentence).help(help)))
}

/// Written by `forwarded::write` for every request that is passed on.
fn is_forwarding(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-real-ip"
            | "x-request-id"
    )
}

/// Fields of one hop (RFC 9110, section 7.6.1) and those that say how long a message is.
fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

// ---- Model → running code

impl Directive for Header {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let operations = self.operations.clone();
        if self.changes.of_request {
            site.filter(RequestFields(operations));
        } else {
            site.filter(ResponseFields(operations));
        }
        Ok(())
    }

    fn effect(&self) -> Effect<'_> {
        Effect::Fields(&self.changes)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::directive::testing::{findings, pass};
    use crate::http::exchange::Exchange;

    fn shown(fields: &HeaderMap) -> String {
        let mut all: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        all.sort();
        all.join("\n")
    }

    fn request(statements: &str, fields: &[(&str, &str)], expected: &[&str]) {
        let mut exchange = Exchange::sample("/a?b=%0d%0aX-Evil:1", fields);
        pass(&format!("{statements}\nrespond 204"), &mut exchange);
        exchange.headers.remove("host");
        assert_eq!(shown(&exchange.headers), expected.join("\n"), "{statements}");
    }

    fn response(statements: &str, expected: &[&str]) {
        let mut exchange = Exchange::sample("/a", &[]);
        let answer = pass(statements, &mut exchange);
        assert_eq!(shown(answer.headers()), expected.join("\n"), "{statements}");
    }

    #[test]
    fn m06_fields_of_the_request() {
        request("header request set X-A b", &[("x-a", "1"), ("x-a", "2")], &["x-a: b"]);
        request("header request { add X-A b; add X-A {method} }", &[], &["x-a: GET", "x-a: b"]);
        request(
            "header request remove X-Internal-* X-Y",
            &[("x-internal-id", "1"), ("x-y", "2"), ("x-z", "3")],
            &["x-z: 3"],
        );
        request("header request remove C*", &[("connection", "close"), ("cookie", "a=b")], &["connection: close"]);
        request(
            "header request replace Cookie `secret=[^;]*; ?` \"\"",
            &[("cookie", "secret=1; a=b")],
            &["cookie: a=b"],
        );
    }

    #[test]
    fn m07_m08_fields_of_the_answer() {
        response("header set X-Served-By {host}\nrespond 204", &["x-served-by: example.com"]);
        response("header { set Content-Type text/css; remove Server }\nrespond 200 ok", &["content-type: text/css"]);
        response("header add Vary Origin\nheader add Vary Cookie\nrespond 204", &["vary: Cookie", "vary: Origin"]);
        response("header set X-Status {status}\nrespond 204", &["x-status: 204"]);
        response(
            "header replace Location `^http://([^/]+)` `https://$1`\nredirect http://a.example/b",
            &["location: https://a.example/b"],
        );
    }

    #[test]
    fn m09_the_application_wins_over_set_if_absent() {
        response("header set_if_absent Content-Type a/b\nrespond 200 ok", &["content-type: text/plain; charset=utf-8"]);
        response("header set_if_absent X-A b\nrespond 204", &["x-a: b"]);
    }

    #[test]
    fn s09_fields_add_up_over_blocks_and_stand_on_errors() {
        let site = "header set X-Frame-Options DENY\nroute /a { header set Referrer-Policy no-referrer }";
        let mut exchange = Exchange::sample("/a", &[]);
        let answer = pass(site, &mut exchange);
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    }

    #[test]
    fn of_two_about_one_field_the_lower_one_wins() {
        response("header set X-A outer\nroute /a { header set X-A inner; respond 204 }", &["x-a: inner"]);
        response("header set X-A outer\nroute /a { header remove X-A; respond 204 }", &[]);
        response("header { set X-A 1; add X-A 2 }\nwhen /a { header set X-A 3 }\nrespond 204", &["x-a: 3"]);
    }

    #[test]
    fn xp03_what_a_request_brings_stays_in_its_field() {
        request("header request set X-A \"<{query.b}>\"", &[], &["x-a: <  X-Evil:1>"]);
        request(
            "header request set X-B {header.X-A}\nheader request replace X-B `^` {header.X-A}",
            &[("x-a", "{host}$1")],
            &["x-a: {host}$1", "x-b: {host}$1{host}$1"],
        );
    }

    #[test]
    fn fields_that_rp_writes_are_refused() {
        let said = |line: &str| findings(&format!("{line}\nrespond 204")).concat();
        for name in ["Connection", "content-length", "Transfer-Encoding", "Upgrade", "TE", "Trailer", "Keep-Alive"] {
            assert!(said(&format!("header set {name} x")).starts_with("E0035"), "{name}");
            assert!(said(&format!("header request remove {name}")).starts_with("E0035"), "{name}");
        }
        assert!(said("header request set Host x").starts_with("E0035"));
        assert!(said("header request set X-Forwarded-For x").starts_with("E0035"));
        assert!(said("header request set X_A x").starts_with("E0035"));
        assert_eq!(said("header set X-Forwarded-For x"), "");
    }

    #[test]
    fn habits_get_the_right_form() {
        let help = |line: &str| {
            let said = findings(&format!("{line}\nrespond 204")).concat();
            said.split_once("; ").unwrap_or_default().1.to_owned()
        };
        assert_eq!(help("header X-Frame-Options DENY"), "write: header set X-Frame-Options DENY");
        assert_eq!(help("header -Server"), "write: header remove Server");
        assert_eq!(help("header request { +X-A b }"), "write: header request add X-A b");
        assert_eq!(help("header delete Server"), "write: header remove Server");
        assert_eq!(help("header sett A b"), "write: set NAME VALUE");
        assert_eq!(help("header response set A b").split(':').next(), Some("leave it out"));
        assert_eq!(help("header set A b c"), "put it in quotes: \"b c\"");
    }
}
