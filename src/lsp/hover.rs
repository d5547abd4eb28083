//! What is under the cursor, in the words of `rp help`.

use std::fmt::Write as _;

use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind};

use super::configuration::Configuration;
use super::cursor::Cursor;
use super::place::Place;
use crate::check::Opt;
use crate::diagnostic::Span;
use crate::directive::{self, Room};
use crate::http::placeholder;
use crate::matcher;
use crate::model::top;
use crate::syntax::tree::Part;

/// Lines of a definition that are shown.
const MOST_LINES: usize = 30;

pub(super) fn hover(configuration: &Configuration, cursor: &Cursor<'_>) -> Option<Hover> {
    let (text, at) = explain(configuration, cursor)?;
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: text });
    Some(Hover { contents, range: Some(configuration.range(at)) })
}

fn explain(configuration: &Configuration, cursor: &Cursor<'_>) -> Option<(String, Span)> {
    if let Some((part, at)) = cursor.part() {
        return Some((of_part(part)?, at));
    }
    let names = configuration.names();
    if let Some(one) = names.named(cursor.file, cursor.offset) {
        let definitions = names.definitions(cursor.file, cursor.offset);
        let whole = definitions.first().and_then(|found| found.defines)?;
        return Some((code(&excerpt(configuration, whole)), one.at));
    }
    let (node, (index, word)) = (cursor.node?, cursor.word()?);
    let text = word.plain()?;
    let page = if index == 0 {
        of_statement(cursor.place, text)
    } else if cursor.place.takes_matcher(node) {
        matcher::ROOMS.iter().find(|room| room.name == text).map(|room| entry(room.syntax, room.doc))
    } else {
        None
    };
    Some((page?, word.span))
}

/// The page of a statement, by the place that it stands in.
pub(super) fn of_statement(place: Place, name: &str) -> Option<String> {
    let beside = top::find(name).filter(|room| room.stands_anywhere() || matches!(place, Place::Top));
    match place {
        Place::Options(owner, _) => {
            if let Some(option) = place.option(name) {
                return Some(format!(
                    "{}\n\nOption of `{owner}`.{}{}",
                    entry(option.syntax, option.doc),
                    kinds(option),
                    list(option.options)
                ));
            }
        }
        Place::Body => {
            if let Some(room) = directive::find(name) {
                return Some(of_room(room));
            }
        }
        Place::Top => {}
    }
    beside.map(|room| page((room.syntax, room.summary), room.doc, room.options, room.examples))
}

fn of_room(room: &Room) -> String {
    page((room.syntax, room.summary), room.doc, room.options, room.examples)
}

fn page((syntax, summary): (&str, &str), doc: &str, options: &[Opt], examples: &[&str]) -> String {
    let mut page = format!("{}\n\n{doc}{}", entry(syntax, summary), list(options));
    let _ = write!(page, "\n\nFor example\n\n{}", code(&examples.join("\n")));
    page
}

fn of_part(part: &Part) -> Option<String> {
    match part {
        Part::Placeholder { name, .. } if name.starts_with("arg.") => {
            Some(entry(&format!("{{{name}}}"), "what the `use` of this snippet gives"))
        }
        Part::Placeholder { name, .. } => placeholder::find(name).map(|(known, _)| of_placeholder(known)),
        Part::Environment { name, default, .. } => {
            let default = match default {
                Some(default) => format!("; where it is not set: `{default}`"),
                None => "; it must be set".to_owned(),
            };
            Some(entry(
                &format!("{{${name}}}"),
                &format!("`{name}` of the environment, put in when the file is read{default}"),
            ))
        }
        Part::File { path, .. } => {
            Some(entry(&format!("{{file.{path}}}"), "what this file holds, put in when the configuration is read"))
        }
        Part::Lines { path, .. } => Some(entry(
            &format!("{{lines.{path}}}"),
            "a word for each line of this file, put in when the configuration is read",
        )),
        Part::Text(_) => None,
    }
}

pub(super) fn of_placeholder(known: &placeholder::Placeholder) -> String {
    let key = if known.name.ends_with('.') { "NAME" } else { "" };
    let when = if known.response { "; known once there is an answer" } else { "" };
    entry(&format!("{{{}{key}}}", known.name), &format!("{}{when}", known.doc))
}

pub(super) fn entry(syntax: &str, doc: &str) -> String {
    format!("{}\n\n{doc}", code(syntax))
}

fn code(text: &str) -> String {
    format!("```proxyfile\n{text}\n```")
}

/// The words that an option may begin with.
fn kinds(option: &Opt) -> String {
    let lines: String = option.kinds.iter().map(|(kind, doc)| format!("\n- `{kind}`: {doc}")).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn list(options: &[Opt]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let lines: String = options.iter().map(|option| format!("\n- `{}`: {}", option.syntax, option.doc)).collect();
    format!("\n\nOptions, in its block:\n{lines}")
}

/// A definition as it was written, with what stands before its first word on the line taken from every line.
fn excerpt(configuration: &Configuration, whole: Span) -> String {
    let source = &configuration.source(whole.file).text;
    let line = source[..whole.start as usize].rfind('\n').map_or(0, |at| at + 1);
    let indent = &source[line..whole.start as usize];
    let mut lines = configuration.text(whole).lines();
    let mut text: Vec<&str> =
        lines.by_ref().take(MOST_LINES).map(|line| line.strip_prefix(indent).unwrap_or(line)).collect();
    if lines.next().is_some() {
        text.push("…");
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use crate::lsp::testing::{Scene, at_cursor};

    /// What is said, line by line without the frame of code; the cursor stands at `|`.
    fn check(text: &str, expected: &str) {
        let Scene { configuration, file, offset, .. } = at_cursor(text);
        let cursor = super::Cursor::new(&configuration, file, offset);
        let said = super::explain(&configuration, &cursor).map(|(text, at)| {
            let text: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("```")).collect();
            format!("{}: {}", configuration.text(at), text.join(" / "))
        });
        let said = said.unwrap_or_default();
        assert!(if expected.is_empty() { said.is_empty() } else { said.starts_with(expected) }, "{text}\n{said}");
    }

    #[test]
    fn statements_are_told_by_where_they_stand() {
        check("a.com {\n    resp|ond ok\n}\n", "respond: respond [STATUS] [TEXT] / ");
        check("a.com {\n    route /x { |encode gzip }\n}\n", "encode: encode ");
        check("a.com { reverse_proxy a:1 { tim|eout read 1s } }\n", "timeout: timeout connect");
        check("upstream a { bal|ance least_conn }\n", "balance: balance round_robin|least_conn / ");
        check("upstream a { tls { veri|fy off } }\n", "verify: verify on|off / ");
        check("glob|al { }\n", "global: global { … } / ");
        check("global { log json { ke|ep 3 } }\n", "keep: keep COUNT / ");
        check("a.com { us|e x }\nsnippet x { respond }\n", "use: use NAME [VALUE …]");
        check("a.com { respond o|k }\n", "");
        check("# respond| here\na.com { respond }\n", "");
    }

    #[test]
    fn a_snippet_is_what_it_is_used_as() {
        check("snippet s { timeo|ut read 1s }\na.com { reverse_proxy a:1 { use s } }\n", "timeout: timeout connect");
        check("snippet s { respo|nd }\na.com { use s }\n", "respond: respond");
    }

    #[test]
    fn matchers_and_placeholders_are_told() {
        check("a.com { route cli|ent_ip 10.0.0.0/8 { respond } }\n", "client_ip: client_ip NETWORK … / the client's");
        check("a.com { respond \"x {hos|t}\" }\n", "{host}: {host} / the host that");
        check("a.com { respond {header.X|-A} }\n", "{header.X-A}: {header.NAME} / a field");
        check("a.com { respond {$HO|ME:x} }\n", "{$HOME:x}: {$HOME} / `HOME` of the environment");
    }

    #[test]
    fn names_show_their_definition() {
        let text = "upstream api {\n    server 10.0.0.1:1\n}\na.com { reverse_proxy a|pi }\n";
        check(text, "api: upstream api { /     server 10.0.0.1:1 / }");
        check("a.com {\n    @x path /x\n    route not @|x { respond }\n}\n", "@x: @x path /x");
        check("snippet s { respond ok }\na.com { use |s }\n", "s: snippet s { respond ok }");
        check("a.com { reverse_proxy no|ne }\n", "");
    }
}
