//! `rp diff`: what changes in meaning from one configuration to another.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Format, Outcome, Output, findings};
use crate::model::outline::{Change, Kind, Outline};
use crate::server::Source;

#[derive(Debug, Args)]
pub struct Diff {
    /// The configuration as it was
    old: PathBuf,
    /// The configuration as it is to be
    new: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

/// Columns before a place.
const PLACE: usize = 64;

impl Diff {
    /// 0: both mean the same. 1: they do not, or one of them has mistakes.
    pub fn execute(self) -> Outcome {
        let (Some(old), Some(new)) = (outline(self.old), outline(self.new)) else { return Outcome::Mistakes };
        let changes = old.changes(&new);
        match self.format {
            Output::Json => println!("{:#}", changes.iter().map(object).collect::<Value>()),
            Output::Text => {
                let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                changes.iter().for_each(|change| println!("{}", line(change, color)));
            }
        }
        if changes.is_empty() { Outcome::Clean } else { Outcome::Mistakes }
    }
}

fn outline(path: PathBuf) -> Option<Outline> {
    let checked = Source::File(path).load();
    if checked.model.is_none() {
        findings::print(&checked.findings, &checked.sources, Format::Text);
    }
    Some(Outline::of(&checked.model?, &checked.sources))
}

fn line(change: &Change, color: bool) -> String {
    let (text, place) = (change.to_string(), &change.place);
    let code = match change.kind {
        Kind::Added => "32",
        Kind::Removed => "31",
        Kind::Changed => "33",
    };
    if color {
        format!("\x1b[{code}m{text:<PLACE$}\x1b[0m \x1b[2m{place}\x1b[0m")
    } else {
        format!("{text:<PLACE$} {place}")
    }
}

/// `change` (`added`, `removed`, `changed`), `depth`, `text` and `at`.
fn object(change: &Change) -> Value {
    let kind = match change.kind {
        Kind::Added => "added",
        Kind::Removed => "removed",
        Kind::Changed => "changed",
    };
    json!({ "change": kind, "depth": change.depth, "text": change.text, "at": change.place })
}
