//! What must hold for every text: it parses without a crash and in linear time, and formatting it twice changes nothing,
//! loses nothing and moves nothing.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::diagnostic::{Mistake, Sources, json};
use proxyfile::syntax::format::{diff, format};
use proxyfile::syntax::parse;
use proxyfile::syntax::tree::{Block, Comment, Part};
use rustix::time::{ClockId, clock_gettime};

/// A tree without its spans and its layout: what must survive formatting.
fn meaning(block: &Block) -> String {
    let mut out = String::new();
    describe(block, &mut out);
    out
}

fn describe(block: &Block, out: &mut String) {
    let comments = |all: &mut dyn Iterator<Item = &Comment>| all.map(|c| c.text.clone()).collect::<Vec<_>>();
    let _ = write!(out, "{{ opening {:?} ", block.opening.as_ref().map(|c| &c.text));
    for node in &block.nodes {
        let _ = write!(out, "over {:?} ", comments(&mut node.comments.iter()));
        for word in &node.words {
            let _ = write!(out, "{:?}(", word.style);
            for part in &word.parts {
                let _ = match part {
                    Part::Text(text) => write!(out, "{text:?} "),
                    Part::Placeholder { name, .. } => write!(out, "{{{name}}} "),
                    Part::Environment { name, default, .. } => write!(out, "{{${name}:{default:?}}} "),
                    Part::File { path, .. } => write!(out, "{{file.{path}}} "),
                    Part::Lines { path, .. } => write!(out, "{{lines.{path}}} "),
                };
            }
            out.push_str(") ");
        }
        if let Some(inner) = &node.block {
            describe(inner, out);
        }
        let _ = writeln!(out, "behind {:?}", node.trailing.as_ref().map(|c| &c.text));
    }
    let _ = write!(out, "tail {:?} }}", comments(&mut block.tail.iter()));
}

/// No empty line behind the `{` of a block or before its `}`.
fn is_tight(block: &Block, text: &str) -> bool {
    block.nodes.iter().filter_map(|node| node.block.as_ref()).all(|inner| {
        let opening = inner.opening.as_ref().map_or("", |comment| &comment.text);
        let lines = text[inner.span.start as usize..inner.span.end as usize]
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|rest| rest.trim_matches(' ').strip_prefix(opening));
        lines.is_some_and(|lines| !lines.starts_with("\n\n") && !lines.ends_with("\n\n")) && is_tight(inner, text)
    })
}

fn check_format(text: &str) -> Result<(), TestCaseError> {
    let (tree, mistakes) = parse(0, text);
    let once = match format(text) {
        Ok(once) => once,
        Err(found) => {
            prop_assert_eq!(found, mistakes);
            return Ok(());
        }
    };
    prop_assert!(mistakes.is_empty());
    let (again, mistakes) = parse(0, &once);
    prop_assert!(mistakes.is_empty(), "{:?}\n{}", mistakes, once);
    prop_assert_eq!(meaning(&again), meaning(&tree), "{}", &once);
    prop_assert_eq!(format(&once), Ok(once.clone()));
    prop_assert!(once.is_empty() || once.ends_with('\n') && !once.ends_with("\n\n") && !once.starts_with('\n'));
    prop_assert!(is_tight(&again, &once), "{}", &once);
    prop_assert_eq!(diff(text, &once, "x").is_empty(), text == once);
    Ok(())
}

/// Every span lies in the text, and every face can show it.
fn check_spans(text: &str) -> Result<(), TestCaseError> {
    let (_, mistakes) = parse(0, text);
    for Mistake { at, others, .. } in &mistakes {
        for at in std::iter::once(at).chain(others.iter().map(|(at, _)| at)) {
            prop_assert!(text.get(at.start as usize..at.end as usize).is_some(), "{at:?}");
        }
    }
    let mut sources = Sources::default();
    sources.add("Proxyfile", text);
    let shown = terminal::render(&mistakes, &sources, Style { color: false, width: 80 });
    prop_assert_eq!(shown.is_empty(), mistakes.is_empty());
    prop_assert!(!shown.contains("Failed to read"), "{}", shown);
    prop_assert!(serde_json::from_str::<serde_json::Value>(&json::render(&mistakes, &sources)).is_ok());
    Ok(())
}

fn spacing() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![" ", " ", " ", "  ", "    ", "\t", " \\\n  ", "\\\r\n"])
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "bb",
        "ccc",
        "route",
        "/api/*",
        "é",
        "a#b",
        "text/html;charset=utf-8",
        "a,b",
        "{host}",
        "x{header.X-A}y",
        "{$HOME}",
        "{$X:a,b}",
        "{file./run/x}",
        "\"\"",
        "\"a \\\" \\{ {host} # }\"",
        "``",
        "`{ \" \\`",
        "`two\r\n  lines`",
        "<<END\n\n      text {host}\n        \\{ { }\n\n    END",
        "<<E\nE",
        "<<E\n\ttab\n \n\t  more # no comment\n  E",
        "( a",
        "(a or b)",
        "(",
        ")",
        "x(a",
    ])
}

fn comment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "# c", "   # long comment; { } \" ", "#", "\t#é"])
}

fn statement(depth: u32) -> BoxedStrategy<String> {
    let words = (word(), prop::collection::vec((spacing(), word()), 0..5), prop::bool::weighted(0.15));
    let head = words.prop_filter("begins with a word", |(first, ..)| !first.starts_with(['(', ')'])).prop_map(
        |(first, rest, list)| {
            rest.into_iter().fold(first.to_owned(), |line, (space, word)| {
                line + if list { [", ", ",\n ", " , "][word.len() % 3] } else { "" } + space + word
            })
        },
    );
    if depth == 0 {
        return head.boxed();
    }
    let open = (spacing(), body(depth - 1), prop::bool::weighted(0.1));
    (head, prop::option::weighted(0.4, open))
        .prop_map(|(head, block)| match block {
            Some((space, (body, one_line), chained)) => {
                let space = if space.contains('\\') { " " } else { space };
                let body = if one_line { format!(" {body} ") } else { format!("\n{body}") };
                let next = if chained { format!(" else {{{body}}}") } else { String::new() };
                format!("{head}{space}{{{body}}}{next}")
            }
            None => head,
        })
        .boxed()
}

/// Statements, and whether all of them are on one line.
fn body(depth: u32) -> BoxedStrategy<(String, bool)> {
    let line = (prop::sample::select(vec!["", "", "\n", "\n\n\n"]), comment(), statement(depth), comment());
    let lines = prop::collection::vec(line, 0..5).prop_map(|lines| {
        let mut text = String::new();
        for (blank, over, statement, behind) in lines {
            let _ = write!(text, "{blank}{over}\n  {statement} {behind}\n");
        }
        (text, false)
    });
    let one_line = prop::collection::vec(statement(depth), 0..4).prop_map(|all| (all.join("; "), true));
    prop_oneof![lines, one_line].boxed()
}

fn soup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        3 => word(),
        2 => spacing(),
        4 => prop::sample::select(vec![
            " ", "\n", "\n\n", "{", "}", " {", "{ ", " }", "{\n", "}\n", ";", "; ", ",", ", ", ",\n", " # c\n", "#", "\\", "\\\n",
            "\"", "`", "<<E\n", "E", "\nE\n", "else", " else { ", "\r", "\r\n", "\u{a0}", "\u{feff}", "\u{7}", "\\d", "{2}",
        ]),
    ];
    prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_survive_formatting((text, _) in body(3)) {
        check_format(&text)?;
    }

    #[test]
    fn soup_survives_formatting(text in soup()) {
        check_format(&text)?;
    }

    #[test]
    fn mistakes_in_soup_have_places(text in soup()) {
        check_spans(&text)?;
    }

    #[test]
    fn mistakes_in_anything_have_places(text in any::<String>()) {
        check_format(&text)?;
        check_spans(&text)?;
    }
}

/// A brace that is no block's may have an empty line at its side.
#[test]
fn braces_in_comments_and_strings_are_no_blocks() {
    for text in ["#{\n\na\n", "a #{\n\nb\n", "a { #{\n    b\n}\n", "a `{\n\n}`\n", "a <<E\n    {\n\n    }\nE\n"] {
        check_format(text).unwrap();
        assert_eq!(format(text).as_deref(), Ok(text));
    }
    assert_eq!(format("a { #{\n\n  b #}\n\n  #}\n\n}").as_deref(), Ok("a { #{\n    b #}\n\n    #}\n}\n"));
}

/// What would be quadratic or worse, were a rule of the grammar to read on and fail: eight times the text may take eight
/// times as long, not sixty-four times.
#[test]
fn hostile_text_is_read_in_linear_time() {
    let repeated = [
        "a {",
        "{",
        "}",
        "{\n",
        "a{b ",
        "\"",
        "`",
        "\"\n",
        "\"a`",
        "<<E\n",
        "<<E",
        "a <<E\n",
        ",",
        ",\n",
        ", ",
        ";",
        "; ",
        "\\",
        "\\\n",
        "\\ ",
        " ",
        "\r",
        "\r\n",
        "\t",
        "#",
        "# \n",
        "(",
        "a(",
        "{a",
        "{a}",
        "\"{",
        "\"{a",
        "\"\\",
        "\"}",
        "\"} ",
        "\"}} ",
        "\"{ ",
        "a {} ",
        "a {}; ",
        "a { a {} }\n",
        "a {\n}\n",
        "a\u{a0}",
        "\u{a0}",
        "\u{7}",
        "é",
        "a",
        "a ",
        "a\"b\"",
        "\"a\" \"",
        "a { # c\n",
        "<<A\n{a",
        "a,\n\n",
        "a;;",
        "\"\\u{",
        "a } ",
        "\"}   ",
        "else {} ",
        "<<E\n  x\nE ",
        "<<E\n{a.b",
        "a \\\r\n",
    ];
    let texts = repeated.iter().map(|part| part.repeat((1 << 15) / part.len()));
    // Each heredoc has a tag of its own; a word, a line and an indentation that do not end.
    let tags = (0..4000).fold(String::new(), |text, n| text + &format!("a <<T{n}\n"));
    let long = [
        format!("\"{}", " ".repeat(1 << 15)),
        format!("a{}{{", " ".repeat(1 << 15)),
        format!("{{{}", "a".repeat(1 << 15)),
    ];
    for text in texts.chain([tags]).chain(long) {
        let mut eighth = text.len() / 8;
        while !text.is_char_boundary(eighth) {
            eighth += 1;
        }
        let few = (0..3).map(|_| time(&text[..eighth])).min().unwrap_or_default();
        let many = (0..2).map(|_| time(&text)).min().unwrap_or_default();
        let linear = many < few * 24 || many < Duration::from_millis(150);
        assert!(linear, "{:?}… took {few:?}, then {many:?}", text.chars().take(20).collect::<String>());
    }
}

/// Of the processor, which others may want too.
fn time(text: &str) -> Duration {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let start = spent();
    parse(0, text);
    spent().checked_sub(start).unwrap()
}
