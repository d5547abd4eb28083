//! `rp help`: the language from the tables that the checker reads, and the commands.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use clap::{Args, CommandFactory};

use super::{Cli, Outcome, complain};
use crate::check::{Opt, near};
use crate::diagnostic::{Code, page as findings};
use crate::directive::{self, Room};
use crate::http::placeholder;
use crate::matcher;
use crate::model::top;

const WIDTH: usize = 90;
const LISTS: [&str; 3] = ["directives", "matchers", "placeholders"];

#[derive(Debug, Args)]
pub struct Help {
    /// A command, a directive, the code of a finding, or one of: directives, matchers, placeholders
    topic: Option<String>,
}

impl Help {
    pub fn execute(&self) -> Outcome {
        let Some(topic) = &self.topic else { return say(&overview()) };
        match page(topic) {
            Some(page) => say(&page),
            None => complain(unknown(topic)),
        }
    }
}

/// A reader that has seen enough is no failure.
fn say(page: &str) -> Outcome {
    let _ = std::io::stdout().write_all(page.as_bytes());
    Outcome::Clean
}

fn page(topic: &str) -> Option<String> {
    match topic {
        "directives" => {
            let beside = top::ROOMS.iter().map(|room| (room.syntax, room.summary));
            Some(list(directive::ROOMS.iter().map(|room| (room.syntax, room.summary)).chain(beside)))
        }
        "matchers" => Some(matchers()),
        "placeholders" => Some(placeholders()),
        _ => named(topic),
    }
}

/// All that has this name: `status` is a command and a matcher.
fn named(name: &str) -> Option<String> {
    let matcher = matcher::ROOMS.iter().find(|room| room.name == name);
    let pages = [
        command(name),
        finding(name),
        directive::find(name).map(directive_page),
        top_level().find(|room| room.name == name).map(top_page),
        matcher.map(matcher_page),
    ];
    let pages: Vec<String> = pages.into_iter().flatten().collect();
    (!pages.is_empty()).then(|| pages.join("\n"))
}

fn overview() -> String {
    let mut page = Cli::command().render_help().to_string();
    page.push_str("\n`rp help` also knows every directive, matcher and finding by its name:\n");
    page.push_str("  rp help reverse_proxy, rp help client_ip, rp help E0012, and all of them by\n");
    for list in LISTS {
        let _ = writeln!(page, "  rp help {list}");
    }
    page
}

fn command(name: &str) -> Option<String> {
    let mut cli = Cli::command();
    cli.build();
    Some(cli.find_subcommand_mut(name)?.render_help().to_string())
}

fn finding(code: &str) -> Option<String> {
    let code = Code::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(code))?;
    let severity = match code.severity() {
        crate::diagnostic::Severity::Error => "error: a file that has it is not put in force",
        crate::diagnostic::Severity::Warning => "warning: the file is put in force (`--deny warnings` refuses it)",
    };
    Some(format!("{code}  {}\n\n    {severity}\n\n{}", code.title(), findings::body(*code)))
}

fn directive_page(room: &'static Room) -> String {
    chapter((room.syntax, room.summary), room.options, room.doc, room.examples, room.related)
}

/// A site, too, which begins with no word of its own.
pub fn top_level() -> impl Iterator<Item = &'static top::Room> {
    std::iter::once(&top::SITE).chain(top::ROOMS)
}

fn top_page(top: &'static top::Room) -> String {
    chapter((top.syntax, top.summary), top.options, top.doc, top.examples, top.related)
}

fn chapter(head: (&str, &str), options: &[Opt], doc: &str, examples: &[&str], related: &[&str]) -> String {
    let mut page = entry(head.0, head.1);
    if !options.is_empty() {
        page.push_str("\nOptions, in its block\n\n");
        for option in options {
            page.push_str(&entry(option.syntax, option.doc));
            for (kind, doc) in option.kinds {
                page.push_str(&wrapped(&format!("{kind}: {doc}"), "        "));
            }
            for inner in option.options {
                let _ = write!(page, "    {}\n{}", inner.syntax, wrapped(inner.doc, "        "));
            }
        }
    }
    page.push_str(&paragraphs(doc));
    page.push_str(&for_example(examples));
    let related: Vec<String> = related.iter().map(|name| format!("rp help {name}")).collect();
    let _ = write!(page, "\nSee also\n\n{}", wrapped(&related.join(", "), "    "));
    page
}

fn matcher_page(room: &matcher::Room) -> String {
    format!("In a matcher:\n\n{}{}", entry(room.syntax, room.doc), for_example(&[room.example]))
}

fn for_example(examples: &[&str]) -> String {
    let lines = examples.iter().flat_map(|example| example.lines());
    format!("\nFor example\n\n{}", lines.map(|line| format!("    {line}\n")).collect::<String>())
}

fn matchers() -> String {
    let signs = list(matcher::SIGNS.map(|(sign, doc)| (sign, doc)));
    let list = list(matcher::ROOMS.iter().map(|room| (room.syntax, room.doc)));
    let examples = for_example(matcher::EXAMPLES);
    format!("{list}{}{examples}\nComparisons: what the left side is\n\n{signs}", paragraphs(matcher::DOC))
}

fn placeholders() -> String {
    let mut page = String::new();
    for placeholder in placeholder::TABLE {
        // A name that ends with a dot takes a key.
        let key = if placeholder.name.ends_with('.') { "NAME" } else { "" };
        let when = if placeholder.response { "; known once there is an answer" } else { "" };
        page.push_str(&entry(&format!("{{{}{key}}}", placeholder.name), &format!("{}{when}", placeholder.doc)));
    }
    page + &paragraphs(placeholder::DOC)
}

/// Each below an empty line.
fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(|paragraph| format!("\n{}", wrapped(paragraph, ""))).collect()
}

fn list<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    entries.into_iter().map(|(syntax, doc)| entry(syntax, doc)).collect()
}

fn entry(syntax: &str, doc: &str) -> String {
    format!("{syntax}\n{}", wrapped(doc, "    "))
}

fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let count = word.chars().count();
        if length == 0 || length + 1 + count > WIDTH {
            lines.push_str(if length == 0 { "" } else { "\n" });
            lines.push_str(indent);
            length = indent.len();
        } else {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += count;
    }
    lines.push('\n');
    lines
}

/// All that there is help on, each once.
pub fn topics() -> Vec<&'static str> {
    static CLI: LazyLock<clap::Command> = LazyLock::new(Cli::command);
    let commands = CLI.get_subcommands().map(clap::Command::get_name);
    let known = directive::ROOMS.iter().map(|room| room.name);
    let known = known.chain(matcher::ROOMS.iter().map(|room| room.name)).chain(commands).chain(LISTS);
    let known = known.chain(top_level().map(|room| room.name)).chain(Code::ALL.iter().map(|code| code.as_str()));
    let mut seen = HashSet::new();
    known.filter(|name| seen.insert(*name)).collect()
}

fn unknown(topic: &str) -> String {
    match near::nearest(topic, topics()) {
        Some(near) => format!("no help on `{topic}`: is it `rp help {near}`?"),
        None => format!("no help on `{topic}`: `rp help` says what there is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_has_a_page_with_all_its_options() {
        for room in directive::ROOMS {
            let text = page(room.name).unwrap();
            assert!(text.contains(room.syntax) && text.contains(room.examples[0].lines().next().unwrap()), "{text}");
            for option in room.options {
                assert!(text.contains(option.syntax), "{}: {}", room.name, option.syntax);
            }
            assert!(page("directives").unwrap().contains(room.syntax));
        }
        for room in matcher::ROOMS {
            assert!(page(room.name).unwrap().contains(room.syntax), "{}", room.name);
        }
        assert!(page("upstream").unwrap().contains("server"));
        assert!(page("global").unwrap().contains("workers"));
    }

    #[test]
    fn each_placeholder_and_each_code_is_there() {
        let text = page("placeholders").unwrap();
        for placeholder in placeholder::TABLE {
            assert!(text.contains(&format!("{{{}", placeholder.name)), "{}", placeholder.name);
        }
        for code in Code::ALL {
            let text = page(&code.as_str().to_lowercase()).unwrap();
            assert!(text.contains(code.title()) && text.contains("\nWrong\n\n    "), "{text}");
        }
    }

    #[test]
    fn commands_have_their_own_page() {
        for command in Cli::command().get_subcommands() {
            assert!(page(command.get_name()).unwrap().contains("Usage: rp"), "{}", command.get_name());
        }
        assert!(overview().contains("rp help directives"));
    }

    #[test]
    fn every_topic_has_its_page() {
        for topic in topics() {
            assert!(page(topic).is_some(), "{topic}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is_near() {
        assert_eq!(page("reverse_prxy"), None);
        assert_eq!(unknown("reverse_prxy"), "no help on `reverse_prxy`: is it `rp help reverse_proxy`?");
        assert_eq!(unknown("qqqqqqqq"), "no help on `qqqqqqqq`: `rp help` says what there is");
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(40), "    ");
        assert!(text.lines().all(|line| line.starts_with("    word") && line.len() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
