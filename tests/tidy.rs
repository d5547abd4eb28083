//! The rules of the house that no compiler holds: who may use whom, how long things may be, and that what is promised
//! for every directive and every finding is there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proxyfile::check::expand::Surroundings;
use proxyfile::diagnostic::Code;
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::syntax::include::Disk;
use proxyfile::{directive, model};

/// A module may use those to its left. ARCHITECTURE.md says why they stand in this order.
const ORDER: [&str; 14] = [
    "diagnostic",
    "syntax",
    "check",
    "telemetry",
    "http",
    "upstream",
    "tls",
    "site",
    "matcher",
    "directive",
    "model",
    "server",
    "lsp",
    "cli",
];

/// Uses against the order, each with its reason. A use that is not here fails the test; so does an entry that is no
/// longer needed.
const AGAINST_THE_ORDER: &[(&str, &str, &str)] = &[];

/// Lines of a file before its tests, and of a function.
const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 60;
/// Nine functions in ten are shorter than this.
const MOST_FUNCTIONS: usize = 25;

/// Files and functions that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[];

struct Source {
    /// From `src/`.
    name: String,
    text: String,
}

impl Source {
    /// Up to its tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    fn module(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap_or_default()
    }

    fn is_test(&self) -> bool {
        self.name.ends_with("tests.rs") || self.name.ends_with("testing.rs")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 50, "the sources are where this test looks for them");
    files
        .into_iter()
        .map(|path| Source {
            name: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}\n", found.join("\n  "));
}

#[test]
fn modules_use_only_what_stands_left_of_them() {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(own) = place(source.module()) else { continue };
        for (number, line) in source.code().lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for part in line.split("crate::").skip(1) {
                let other: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let Some(there) = place(&other) else { continue };
                match AGAINST_THE_ORDER.iter().find(|(file, module, _)| *file == source.name && *module == other) {
                    Some(known) => drop(used.insert((known.0, known.1))),
                    None if there > own => wrong.push(format!("src/{}:{}: uses {other}", source.name, number + 1)),
                    None => {}
                }
            }
        }
    }
    none("modules that reach to their right", &wrong);
    let idle: Vec<String> = AGAINST_THE_ORDER
        .iter()
        .filter(|known| !used.contains(&(known.0, known.1)))
        .map(|(file, module, _)| format!("{file} no longer uses {module}"))
        .collect();
    none("exceptions that are not needed", &idle);
}

#[test]
fn one_file_knows_the_parser_library() {
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| source.name != "syntax/parse.rs")
        .filter(|source| source.text.contains("pest::") || source.text.contains("pest_derive"))
        .map(|source| source.name.clone())
        .collect();
    none("files that name the parser library", &wrong);
}

#[test]
fn files_say_first_what_they_are_for() {
    let wrong: Vec<String> =
        sources().iter().filter(|s| !s.text.starts_with("//! ")).map(|source| source.name.clone()).collect();
    none("files without a purpose at their top", &wrong);
}

#[test]
fn files_are_named_for_what_they_hold() {
    const EMPTY: [&str; 6] = ["utils", "util", "helpers", "types", "common", "misc"];
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| source.name.split(['/', '.']).any(|part| EMPTY.contains(&part)))
        .map(|source| source.name.clone())
        .collect();
    none("files whose names say nothing", &wrong);
}

#[test]
fn nothing_is_left_unfinished() {
    // In two pieces, so that this file does not find itself.
    let marks: Vec<String> =
        ["todo!", "unimplemented!", "dbg!", "TO-DO", "FIX-ME", "XX-X"].iter().map(|m| m.replace('-', "")).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                wrong.push(format!("src/{}:{}: {}", source.name, number + 1, line.trim()));
            }
        }
    }
    none("unfinished business", &wrong);
}

#[test]
fn files_and_functions_can_be_read_in_one_go() {
    let (mut wrong, mut lengths) = (Vec::new(), Vec::new());
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.code().lines().count();
        if lines > LONGEST_FILE && !allowed(&source.name) {
            wrong.push(format!("src/{}: {lines} lines", source.name));
        }
        for (name, length) in functions(source.code()) {
            lengths.push(length);
            if length > LONGEST_FUNCTION && !allowed(&format!("{}::{name}", source.name)) {
                wrong.push(format!("src/{}: fn {name} has {length} lines", source.name));
            }
        }
    }
    none("too long", &wrong);
    lengths.sort_unstable();
    let ninth = lengths[lengths.len() * 9 / 10];
    assert!(ninth <= MOST_FUNCTIONS, "one function in ten has more than {ninth} lines");
}

fn allowed(name: &str) -> bool {
    LONG.iter().any(|(known, _)| *known == name)
}

/// Functions by name, with their lines from `fn` to the brace that closes them. rustfmt puts that brace in the column
/// that the function begins in.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let words = trimmed.split("fn ").next().unwrap_or_default();
        let heads = ["", "pub ", "const ", "async ", "unsafe ", "pub(super) ", "pub(crate) "];
        let is_head = trimmed.contains("fn ")
            && words.split_inclusive(' ').all(|word| heads.contains(&word) || word.starts_with("pub(in"));
        if !is_head {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let name = trimmed.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).unwrap_or_default();
        // A declaration, or a body on the line of its head, ends where the head ends.
        let head = lines[start..].iter().position(|line| line.ends_with(['{', ';', '}'])).unwrap_or(0);
        let end = if lines[start + head].ends_with('{') {
            lines[start..].iter().position(|line| *line == close).unwrap_or(head)
        } else {
            head
        };
        found.push((name.to_owned(), end + 1));
    }
    found
}

#[test]
fn the_measure_of_functions_measures() {
    let code = "pub fn a() {\n    let x = 1;\n}\n\nimpl X {\n    fn b(&self) -> u8 { 1 }\n\n    async fn c(\n        x: u8,\n    ) {\n        x\n    }\n    fn d(&self);\n}\n";
    let expected = [("a", 3), ("b", 1), ("c", 5), ("d", 1)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(functions(code), expected);
}

#[test]
fn each_directive_is_explained_and_its_examples_hold() {
    let mut wrong = Vec::new();
    for room in directive::ROOMS {
        for (what, text) in [("doc", room.doc), ("summary", room.summary), ("syntax", room.syntax)] {
            if text.trim().is_empty() {
                wrong.push(format!("`{}` has no {what}", room.name));
            }
        }
        if room.examples.is_empty() {
            wrong.push(format!("`{}` has no example", room.name));
        }
        for example in room.examples {
            // One that does not answer stands above something that does, and one about handshakes where there are some.
            let (plain, secure) = ("http://example.com:8080", "https://example.com:8443");
            let said = [(plain, ""), (plain, "    reverse_proxy api\n"), (secure, "")]
                .map(|(site, behind)| findings(&format!("{PRELUDE}{site} {{\n    {example}\n{behind}}}\n")));
            if said.iter().all(|said| !said.is_empty()) {
                wrong.push(format!("`{example}`\n{}", said[1]));
            }
        }
        for option in room.options {
            if option.doc.trim().is_empty() || !option.syntax.starts_with(option.name) {
                wrong.push(format!("option `{}` of `{}` is not explained", option.name, room.name));
            }
        }
    }
    none("directives", &wrong);
}

/// What the examples' names stand for.
const PRELUDE: &str = "upstream api { server 10.0.0.1:3000 }\nhttp://api.example.com:8080 { reverse_proxy api }\n";

struct Nothing;

impl Surroundings for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Result<String, String> {
        Ok("secret".to_owned())
    }
}

fn findings(text: &str) -> String {
    let checked = model::load_text(Path::new("Proxyfile"), text.to_owned(), &Disk, &Nothing);
    terminal::render(&checked.findings, &checked.sources, Style { color: false, width: 100 })
}

#[test]
fn each_code_is_shown_by_a_golden_file() {
    let mut golden = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), &mut golden);
    let all: String = golden.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut missing = String::new();
    for code in Code::ALL {
        // As it is shown, not as an input may name it.
        if !all.contains(&format!("error {code}\n")) && !all.contains(&format!("warning {code}\n")) {
            let _ = writeln!(missing, "  {code}: {}", code.title());
        }
    }
    assert!(missing.is_empty(), "codes that no golden file shows:\n{missing}");
}

fn texts(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "txt") {
            files.push(path);
        }
    }
}
