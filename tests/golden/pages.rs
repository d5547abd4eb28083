//! The pages of `docs/findings`: each has the title of its code, and its examples are taken at their word by `rp` itself.

use std::collections::BTreeSet;

use proxyfile::diagnostic::Code;
use proxyfile::syntax;

use crate::machine::Machine;

/// Found only by `rp run`, each with its reason; all others are found by `rp validate`.
const BY_RUNNING: &[(Code, &str)] = &[(Code::E0052, "it is found by opening an address, and `rp validate` opens none")];

struct Page<'p> {
    wrong: Example<'p>,
    right: Example<'p>,
}

/// A Proxyfile, and the files by name that it wants beside it.
struct Example<'p> {
    text: String,
    files: Vec<(&'p str, String)>,
}

/// What is not right about the page of a code; empty where all is.
pub fn judge(code: Code, machine: &Machine) -> Vec<String> {
    let page = match read(code) {
        Ok(page) => page,
        Err(wrong) => return vec![format!("{code}: {wrong}")],
    };
    let command = match code {
        Code::E0060 => "test",
        _ if BY_RUNNING.iter().any(|(known, _)| *known == code) => "run",
        _ => "validate",
    };
    let mut wrong = Vec::new();
    let said = page.wrong.try_out(command, machine);
    if codes(&said) != BTreeSet::from([code.as_str()]) {
        wrong.push(format!("{code}: the wrong example raises something else\n{said}"));
    }
    // What is right would be served for ever.
    let said = page.right.try_out(if command == "test" { "test" } else { "validate" }, machine);
    if said != if command == "test" { "" } else { "Proxyfile is valid\n" } {
        wrong.push(format!("{code}: the right example is not right\n{said}"));
    }
    for text in page.right.files.iter().map(|(_, text)| text).chain([&page.right.text]) {
        if syntax::format::format(text).as_ref() != Ok(text) {
            wrong.push(format!("{code}: `rp fmt` would write the right example otherwise\n{text}"));
        }
    }
    wrong
}

fn read(code: Code) -> Result<Page<'static>, String> {
    let title = format!("# {code}: {}\n\n", code.title());
    let rest = code.page().strip_prefix(&title).ok_or_else(|| format!("it does not begin with {title:?}"))?;
    let (prose, rest) = rest.split_once("\n## Wrong\n\n").ok_or("it has no wrong example")?;
    let (wrong, right) = rest.split_once("\n## Right\n\n").ok_or("it has no right example")?;
    let paragraphs = prose.trim().split("\n\n").filter(|paragraph| !paragraph.is_empty()).count();
    if !(1..=3).contains(&paragraphs) || prose.contains("\n#") {
        return Err(format!("it has {paragraphs} paragraphs, or a heading of its own"));
    }
    Ok(Page { wrong: Example::read(wrong)?, right: Example::read(right)? })
}

impl<'p> Example<'p> {
    /// Fenced blocks and nothing else: the first is the Proxyfile, others have a name behind their fence.
    fn read(section: &'p str) -> Result<Self, String> {
        let mut blocks = Vec::new();
        let mut rest = section.trim_start();
        while !rest.is_empty() {
            let block = rest.strip_prefix("```proxyfile").ok_or_else(|| format!("there is no example at {rest:?}"))?;
            let (name, block) = block.split_once('\n').ok_or("an example has no text")?;
            let (text, behind) = block.split_once("\n```\n").ok_or("an example never ends")?;
            blocks.push((name.trim(), format!("{text}\n")));
            rest = behind.trim_start();
        }
        let mut blocks = blocks.into_iter();
        let Some(("", text)) = blocks.next() else { return Err("the first example has a name, or is missing".into()) };
        let files: Vec<_> = blocks.collect();
        if files.iter().any(|(name, _)| name.is_empty()) {
            return Err("an example beside the first has no name".into());
        }
        Ok(Self { text, files })
    }

    fn try_out(&self, command: &str, machine: &Machine) -> String {
        let text = format!("# rp {command}\n{}", self.text);
        machine.run_beside(&self.files, &text)
    }
}

/// Each finding begins with a line such as `error E0012`; what it shows of a file is indented.
fn codes(said: &str) -> BTreeSet<&str> {
    let heads = said.lines().filter_map(|line| line.strip_prefix("error ").or_else(|| line.strip_prefix("warning ")));
    heads.collect()
}

#[test]
fn a_finding_is_told_from_what_it_shows() {
    let said = "warning W0001\n\n  ⚠ this\n 1 │ error E0001\n\nerror E0054\n\n1 error, 1 warning\n";
    assert_eq!(codes(said), BTreeSet::from(["E0054", "W0001"]));
}
