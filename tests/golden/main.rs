//! What people see: each file under `tests/golden/<area>` holds an input, a line of dashes, and the exact output.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes the outputs anew; read the difference before committing it.

mod advice;
mod commands;
#[path = "../e2e/harness/mod.rs"]
mod e2e;
mod harness;
mod machine;
mod pages;

use std::io;
use std::path::{Path, PathBuf};

use proxyfile::check::expand::Surroundings;
use proxyfile::diagnostic::json;
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::diagnostic::{Code, Sources};
use proxyfile::model::outline::Outline;
use proxyfile::syntax::include::Files;
use proxyfile::syntax::tree::Block;
use proxyfile::{model, syntax};

/// Without colour, 100 columns wide: what stands in the golden files.
const STYLE: Style = Style { color: false, width: 100 };

#[test]
fn syntax() {
    harness::run("syntax", |input| {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("Proxyfile"), input);
        let (_, mistakes) = syntax::parse(file, input);
        terminal::render(&mistakes, &sources, STYLE)
    });
}

/// A machine without files, with two variables in its environment.
struct Bare;

impl Files for Bare {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl Surroundings for Bare {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "PATIENCE" => Some("30".to_owned()),
            "UPSTREAM" => Some("10.0.0.1:3000 } evil {".to_owned()),
            _ => None,
        }
    }

    fn secret(&self, _: &str) -> Result<String, String> {
        Err("no such file or directory".to_owned())
    }
}

/// Everything that is found in a whole file without traffic. Each file is one mistake that people make, and is named after
/// it; what it shows must be what they need to read.
#[test]
fn check() {
    harness::run("check", |input| {
        let checked = model::load_text(Path::new("Proxyfile"), input.to_owned(), &Bare, &Bare);
        terminal::render(&checked.findings, &checked.sources, STYLE)
    });
}

/// What machines read has the documented form, whatever was found.
#[test]
fn findings_fit_their_schema() {
    let schema = include_str!("../../docs/schemas/findings.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).expect("it is JSON")).expect("it is a schema");
    let mut count = 0;
    harness::each("check", |input| {
        let checked = model::load_text(Path::new("Proxyfile"), input.to_owned(), &Bare, &Bare);
        let found = serde_json::from_str(&json::render(&checked.findings, &checked.sources)).expect("it is JSON");
        if let Err(error) = schema.validate(&found) {
            panic!("{error}\n{input}");
        }
        count += checked.findings.len();
    });
    assert!(count > 100, "only {count} findings");
}

/// Whole files as people write them who come from another server. Each habit is told once, and the way that it goes here.
#[test]
fn habits() {
    harness::run("habits", |input| {
        let checked = model::load_text(Path::new("Proxyfile"), input.to_owned(), &Bare, &Bare);
        terminal::render(&checked.findings, &checked.sources, STYLE)
    });
}

#[test]
fn format() {
    harness::run("format", |input| {
        let formatted = syntax::format::format(input).expect("the input parses");
        assert_eq!(syntax::format::format(&formatted).as_ref(), Ok(&formatted), "a second time changes it");
        formatted
    });
}

/// Every text that there is here, examples included: formatted, it is the same a second time, means what it meant, and has
/// each comment at its statement.
#[test]
fn formatting_keeps_meaning_and_comments() {
    let mut texts = examples();
    for area in ["check", "format", "compile"] {
        harness::each(area, |input| texts.push(input.to_owned()));
    }
    let mut compared = 0;
    for text in &texts {
        let Ok(formatted) = syntax::format::format(text) else { continue };
        assert_eq!(syntax::format::format(&formatted).as_ref(), Ok(&formatted), "a second time changes it");
        assert_eq!(statements(&formatted), statements(text), "{text}");
        let [before, after] = [text, &formatted].map(|text| {
            let checked = model::load_text(Path::new("Proxyfile"), text.clone(), &Bare, &Bare);
            let outline = checked.model.map(|model| Outline::of(&model, &checked.sources));
            (outline, checked.findings.iter().map(|finding| finding.code).collect::<Vec<_>>())
        });
        assert_eq!(before.1, after.1, "other findings\n{text}");
        if let (Some(before), Some(after)) = (before.0, after.0) {
            assert_eq!(before.changes(&after), [], "{text}");
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} of {} texts have a meaning", texts.len());
}

fn examples() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folders = std::fs::read_dir(root).expect("there are examples").map(|entry| entry.expect("one of them").path());
    folders.map(|folder| std::fs::read_to_string(folder.join("Proxyfile")).expect("each has a Proxyfile")).collect()
}

/// Statements and comments in their order, without the places and the quotes.
fn statements(text: &str) -> Vec<String> {
    let mut sources = Sources::default();
    let file = sources.add(Path::new("Proxyfile"), text);
    let (tree, _) = syntax::parse(file, text);
    let mut all = Vec::new();
    walk(&tree, &mut all);
    all
}

fn walk(block: &Block, all: &mut Vec<String>) {
    all.extend(block.opening.iter().map(|comment| format!("opening {}", comment.text)));
    for node in &block.nodes {
        all.extend(node.comments.iter().map(|comment| format!("over {}", comment.text)));
        all.push(node.words.iter().map(|word| format!("{:?} ", word.written())).collect());
        if let Some(inner) = &node.block {
            all.push("{".to_owned());
            walk(inner, all);
            all.push("}".to_owned());
        }
        all.extend(node.trailing.iter().map(|comment| format!("behind {}", comment.text)));
    }
    all.extend(block.tail.iter().map(|comment| format!("last {}", comment.text)));
}

/// Files that import each other: a line `=== NAME` begins each but the first. A file that holds `(not text)` is none.
struct Folder(Vec<(PathBuf, String)>);

impl Files for Folder {
    fn read(&self, path: &Path) -> io::Result<String> {
        let found = self.0.iter().find(|(name, _)| name == path).ok_or(io::ErrorKind::NotFound)?;
        if found.1.contains("(not text)") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "line 1 is not UTF-8 (byte 3 of the file)"));
        }
        Ok(found.1.clone())
    }

    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        let pattern = base.join(pattern);
        let (before, behind) = pattern.to_str().and_then(|text| text.split_once('*')).expect("one star");
        let fits = |name: &Path| name.to_str().is_some_and(|n| n.starts_with(before) && n.ends_with(behind));
        self.0.iter().map(|(name, _)| name.clone()).filter(|name| fits(name)).collect()
    }
}

#[test]
fn imports() {
    harness::run("imports", |input| {
        let mut parts = input.split("=== ");
        let first = parts.next().unwrap_or_default().to_owned();
        let files = parts
            .map(|part| part.split_once('\n').expect("a name and a text"))
            .map(|(name, text)| (PathBuf::from(name), text.to_owned()))
            .chain([(PathBuf::from("Proxyfile"), first.clone())])
            .collect();
        let checked = model::load_text(Path::new("Proxyfile"), first, &Folder(files), &Bare);
        terminal::render(&checked.findings, &checked.sources, STYLE)
    });
}

/// What is found only where the files are that a configuration names: by `rp validate`, or by `rp run` just before it
/// would serve. The first line of each says which.
#[test]
fn compile() {
    let machine = machine::Machine::new();
    harness::run("compile", |input| match machine.run_to_its_end(input) {
        (said, Some(code)) => format!("{}\n\nexit code {code}\n", said.trim_end()),
        (said, None) => panic!("it was killed: {said}"),
    });
}

/// What commands say that take a configuration and don't serve it.
#[test]
fn commands() {
    harness::run("commands", commands::run);
}

/// What `rp help E0012` shows: the wrong example of each page raises its code and nothing else, the right one nothing.
#[test]
fn pages() {
    let machine = machine::Machine::new();
    let wrong: Vec<String> = Code::ALL.iter().flat_map(|code| pages::judge(*code, &machine)).collect();
    assert!(wrong.is_empty(), "{} pages are wrong\n\n{}", wrong.len(), wrong.join("\n"));
}
