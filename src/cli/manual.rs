//! The reference manual as Markdown: folds over the tables that the checker reads. It lies in `docs/reference`, where a
//! test keeps it as it is told here.

mod markdown;

use std::fmt::Write as _;
use std::time::Duration;

use markdown::{Page, code, escaped, link, sentence, span};

use super::help::top_level;
use crate::check::value::{
    Count, FieldName, HostPattern, MethodName, Network, Port, Rate, Size, Status, StatusMatch, Switch,
};
use crate::check::{Opt, Value};
use crate::diagnostic::{Code, Severity};
use crate::directive::{self, Room};
use crate::http::placeholder;
use crate::matcher::{self, PathPattern};
use crate::model::top;

/// Every page: the name of its file, and the Markdown in it.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let directives = directive::ROOMS.iter().map(|room| (room.name, Chapter::of_room(room).page()));
    let top = top_level().map(|top| (top.name, Chapter::of_top(top).page()));
    let lists = [
        ("README", index()),
        ("matchers", matchers()),
        ("placeholders", placeholders()),
        ("values", values()),
        ("findings", findings()),
    ];
    lists.into_iter().chain(directives).chain(top).map(|(name, page)| (format!("{name}.md"), page)).collect()
}

/// The contents: everything once, with its one sentence.
#[must_use]
pub fn index() -> String {
    let mut page = Page::new("Reference");
    page.paragraphs(
        "What a Proxyfile may say, made from the tables that the checker itself reads: `rp help reverse_proxy` shows the same on a terminal.",
    );
    page.section("At the top level");
    for top in top_level() {
        page.item("", &format!("{}: {}", linked(top.name), sentence(top.summary)));
    }
    page.section("In a site");
    page.paragraphs("Statements run in the order in which they are written. These are all of them:");
    for room in directive::ROOMS {
        page.item("", &format!("{}: {}", linked(room.name), sentence(room.summary)));
    }
    page.section("In their words");
    page.item(
        "",
        &format!("{}: questions about a request, behind `route` and `when`.", link("Matchers", "matchers.md")),
    );
    page.item("", &format!("{}: what a text may take from the request.", link("Placeholders", "placeholders.md")));
    page.item("", &format!("{}: how durations, sizes and rates are written.", link("Values", "values.md")));
    page.section("What may be wrong with it");
    page.item("", &format!("{}: every error and warning of the checker.", link("Findings", "findings.md")));
    page.end()
}

/// What the page of a directive and that of a block outside of all sites have in common.
struct Chapter {
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    doc: &'static str,
    options: &'static [Opt],
    examples: &'static [&'static str],
    related: &'static [&'static str],
}

impl Chapter {
    fn of_room(room: &'static Room) -> Self {
        let Room { name, syntax, summary, doc, options, examples, related, check: _ } = room;
        Self { name, syntax, summary, doc, options, examples, related }
    }

    fn of_top(top: &'static top::Room) -> Self {
        let top::Room { name, syntax, summary, doc, options, examples, related } = top;
        Self { name, syntax, summary, doc, options, examples, related }
    }

    fn page(&self) -> String {
        let mut page = Page::new(&span(self.name));
        page.paragraphs(&sentence(self.summary));
        page.fence("text", self.syntax);
        page.paragraphs(&escaped(self.doc));
        if !self.options.is_empty() {
            page.section("Options");
            page.paragraphs("What stands in parentheses holds where an option is not given.");
            options(&mut page, self.options, "");
        }
        page.section(if self.examples.len() == 1 { "Example" } else { "Examples" });
        for example in self.examples {
            page.fence("proxyfile", example);
        }
        page.section("Related");
        let related: Vec<String> = self.related.iter().map(|name| linked(name)).collect();
        page.paragraphs(&format!("{}; {}", related.join(", "), link("contents", "README.md")));
        page.end()
    }
}

fn options(page: &mut Page, table: &[Opt], indent: &str) {
    for option in table {
        let often = if option.repeats { " It may be given more than once." } else { "" };
        let inside = if option.options.is_empty() { "" } else { " Its block takes:" };
        page.entry(indent, option.syntax, &format!("{}{often}{inside}", sentence(option.doc)));
        let inner = format!("{indent}  ");
        for (kind, doc) in option.kinds {
            page.item(&inner, &format!("{}: {}", span(kind), escaped(doc)));
        }
        options(page, option.options, &inner);
    }
}

#[must_use]
pub fn matchers() -> String {
    let mut page = Page::new("Matchers");
    page.paragraphs(&escaped(matcher::DOC));
    for example in matcher::EXAMPLES {
        page.fence("proxyfile", example);
    }
    page.section("All matchers");
    for room in matcher::ROOMS {
        let example = format!("{} For example {}.", sentence(room.doc), code(room.example));
        page.entry("", room.syntax, &example);
    }
    page.section("Comparisons");
    page.table(["sign", "holds if the left side"], matcher::SIGNS.map(|(sign, doc)| [code(sign), escaped(doc)]));
    page.end()
}

#[must_use]
pub fn placeholders() -> String {
    let mut page = Page::new("Placeholders");
    page.paragraphs(&escaped(placeholder::DOC));
    let row = |placeholder: &placeholder::Placeholder| {
        // A name that ends with a dot takes a key.
        let key = if placeholder.name.ends_with('.') { "NAME" } else { "" };
        [code(&format!("{{{}{key}}}", placeholder.name)), escaped(placeholder.doc)]
    };
    for (title, response) in [("Of the request", false), ("Of the answer", true)] {
        page.section(title);
        let rows = placeholder::TABLE.iter().filter(|placeholder| placeholder.response == response);
        page.table(["placeholder", "stands for"], rows.map(row));
    }
    page.end()
}

/// The words in capitals, by the types that read them.
#[must_use]
pub fn values() -> String {
    fn row<V: Value>(words: &str) -> [String; 3] {
        [words.to_owned(), escaped(V::KIND), escaped(V::EXAMPLE)]
    }
    let mut page = Page::new("Values");
    page.paragraphs(
        "Values have types, and a value of another type is an error that says what to write. In the syntax of a statement, a word in capitals stands for one:",
    );
    page.table(
        ["in the syntax", "is", "such as"],
        [
            row::<Duration>("`DURATION`"),
            row::<Size>("`SIZE`"),
            row::<Count>("`COUNT`, `NUMBER`"),
            row::<Rate>("`RATE`"),
            row::<Status>("`STATUS`"),
            row::<StatusMatch>("`STATUS|CLASS`"),
            row::<Network>("`NETWORK`"),
            row::<HostPattern>("`HOST`"),
            row::<Port>("`PORT`"),
            row::<MethodName>("`METHOD`"),
            row::<Switch>("`on|off`"),
            row::<FieldName>("`NAME` of a field"),
            row::<PathPattern>("`PATTERN` of a path"),
        ],
    );
    page.paragraphs("Any other word in capitals is explained where it stands. Square brackets hold what may be left out, `|` stands between alternatives, `…` says that there may be more of the same, and `{ … }` is a block.");
    page.end()
}

/// All codes, each with a link to its page.
#[must_use]
pub fn findings() -> String {
    let mut page = Page::new("Findings");
    page.paragraphs(
        "Codes are stable: none is ever given to something else. A file with an error is not put in force. One with warnings is, unless `--deny warnings` is asked for. Each page shows a file that has the finding and one that has not, and so does `rp help E0012`.",
    );
    let row = |code: &Code| {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        [link(code.as_str(), &format!("../findings/{code}.md")), severity.to_owned(), escaped(code.title())]
    };
    page.table(["code", "severity", "what it is"], Code::ALL.iter().map(row));
    page.end()
}

fn linked(name: &str) -> String {
    let mut link = String::new();
    let _ = write!(link, "[{}]({name}.md)", span(name));
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_related_has_a_page_of_its_own() {
        let names: Vec<&str> =
            directive::ROOMS.iter().map(|room| room.name).chain(top_level().map(|top| top.name)).collect();
        let all = directive::ROOMS.iter().map(|room| (room.name, room.related));
        for (name, related) in all.chain(top_level().map(|top| (top.name, top.related))) {
            assert!(!related.is_empty(), "`{name}` stands alone");
            for (place, other) in related.iter().enumerate() {
                assert!(names.contains(other) && *other != name, "`{name}` is related to `{other}`");
                assert!(!related[..place].contains(other), "`{name}` names `{other}` twice");
            }
        }
    }

    #[test]
    fn every_link_leads_to_a_page() {
        let pages = pages();
        for (file, text) in &pages {
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let known = match target.strip_prefix("../findings/").and_then(|name| name.strip_suffix(".md")) {
                    Some(code) => Code::ALL.iter().any(|known| known.as_str() == code),
                    None => pages.iter().any(|(name, _)| name == target),
                };
                assert!(known, "{file} links to {target}");
            }
        }
    }

    #[test]
    fn everything_is_in_it() {
        let all: String = pages().into_iter().map(|(_, text)| text).collect();
        let nested = |option: &'static Opt| std::iter::once(option).chain(option.options);
        for room in directive::ROOMS {
            for option in room.options.iter().flat_map(nested) {
                assert!(all.contains(&code(option.syntax)), "{}: {}", room.name, option.syntax);
            }
        }
        for option in top_level().flat_map(|top| top.options).flat_map(nested) {
            assert!(all.contains(&code(option.syntax)), "{}", option.syntax);
        }
        for room in matcher::ROOMS {
            assert!(all.contains(&code(room.syntax)), "{}", room.name);
        }
        for placeholder in placeholder::TABLE {
            assert!(all.contains(&format!("`{{{}", placeholder.name)), "{}", placeholder.name);
        }
        for code in Code::ALL {
            assert!(all.contains(&format!("[{code}](../findings/{code}.md)")), "{code}");
        }
    }

    #[test]
    fn lines_of_prose_fit_an_editor() {
        for (file, text) in pages() {
            let mut fenced = false;
            for line in text.lines() {
                fenced ^= line.starts_with("```");
                let free = fenced || line.starts_with('|') || line.contains("- `");
                assert!(free || line.chars().count() <= markdown::WIDTH, "{file}: {line}");
            }
            assert!(!fenced && text.ends_with('\n') && !text.contains("\n\n\n"), "{file}");
        }
    }
}
