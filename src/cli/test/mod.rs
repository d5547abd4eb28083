//! `rp test`: what a configuration must do, written beside it in its own language, and tried out without a network.

mod judge;
mod junit;
mod script;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::script::{Case, Script};
use super::{Format, Outcome, complain, findings};
use crate::diagnostic::{Mistake, Sources};
use crate::server::rehearse::Stage;
use crate::server::{Refused, Source};

#[derive(Debug, Args)]
pub struct Test {
    /// The tests [default: Proxyfile.test]
    files: Vec<PathBuf>,
    /// Only those whose name has this in it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Report,
}

/// How the outcome is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Report {
    /// For people
    Text,
    /// For CI: JUnit's XML
    Junit,
}

/// What came of one file.
struct Outcomes {
    file: PathBuf,
    cases: Vec<(String, Duration, Vec<Mistake>)>,
    filtered: usize,
    sources: Sources,
}

/// The file or its configuration has mistakes, or there is no such file.
enum Trouble {
    Findings(Vec<Mistake>, Sources),
    Unreadable(String),
}

impl Test {
    /// 0: all passed. 1: one failed, or a file has mistakes. 2: a file is not there.
    pub fn execute(self) -> Outcome {
        let files = if self.files.is_empty() { vec!["Proxyfile.test".into()] } else { self.files.clone() };
        let mut all = Vec::new();
        let mut failed = false;
        for file in &files {
            match self.file(file) {
                Ok(outcomes) => {
                    failed |= outcomes.cases.iter().any(|(_, _, wrong)| !wrong.is_empty());
                    all.push(outcomes);
                }
                Err(Trouble::Findings(mistakes, sources)) => {
                    findings::print(&mistakes, &sources, Format::Text);
                    failed = true;
                }
                Err(Trouble::Unreadable(why)) => return complain(why),
            }
        }
        if self.format == Report::Junit {
            print!("{}", junit::render(&all));
        }
        if failed { Outcome::Mistakes } else { Outcome::Clean }
    }

    fn file(&self, file: &Path) -> Result<Outcomes, Trouble> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Trouble::Unreadable(format!("cannot read `{}`: {error}", file.display())))?;
        let script = Script::read(file, &text).map_err(|(found, sources)| Trouble::Findings(found, sources))?;
        let config = script.config.clone();
        let stage = Stage::set(&Source::File(config.clone()))
            .map_err(|Refused { findings, sources }| Trouble::Findings(findings, sources))?;
        // What fails stands in both files.
        let mut sources = stage.sources.clone();
        let script = script.moved_to(sources.add(file, text));
        let chosen = |case: &&Case| self.only.as_ref().is_none_or(|only| case.name.contains(only));
        let cases: Vec<&Case> = script.cases.iter().filter(chosen).collect();
        let filtered = script.cases.len() - cases.len();
        self.say(format_args!("\nrunning {} of {}\n", count(cases.len(), "test"), file.display()));
        let mut outcomes = Outcomes { file: file.to_owned(), cases: Vec::new(), filtered, sources };
        for case in cases {
            self.say(format_args!("test {} ... ", case.name));
            let began = Instant::now();
            let wrong = judge::run(&stage, case, &config)
                .map_err(|mistakes| Trouble::Findings(mistakes, outcomes.sources.clone()))?;
            self.say(format_args!("{}\n", if wrong.is_empty() { "ok" } else { "FAILED" }));
            outcomes.cases.push((case.name.clone(), began.elapsed(), wrong));
        }
        self.sum_up(&outcomes);
        Ok(outcomes)
    }

    /// Nobody reads the outcome of a pipe that is closed.
    fn say(&self, what: std::fmt::Arguments<'_>) {
        if self.format == Report::Text {
            let mut out = std::io::stdout();
            let _ = out.write_fmt(what).and_then(|()| out.flush());
        }
    }

    fn sum_up(&self, outcomes: &Outcomes) {
        let wrong: Vec<Mistake> = outcomes.cases.iter().flat_map(|(_, _, wrong)| wrong.clone()).collect();
        if !wrong.is_empty() && self.format == Report::Text {
            self.say(format_args!("\n"));
            findings::print(&wrong, &outcomes.sources, Format::Text);
        }
        let failed = outcomes.cases.iter().filter(|(_, _, wrong)| !wrong.is_empty()).count();
        let result = if failed == 0 { "ok" } else { "FAILED" };
        let passed = outcomes.cases.len() - failed;
        let filtered = outcomes.filtered;
        self.say(format_args!("\ntest result: {result}. {passed} passed; {failed} failed; {filtered} filtered out\n"));
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
