//! The page that says what each proxy does with each class of requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::cases::Case;
use crate::outcome::{Kind, Outcome};
use crate::peers::Peer;

const MARK: &str =
    "<!-- What follows is written by the test: UPDATE_DIFFERENTIAL=1 cargo test --test differential -->\n";

pub fn check(cases: &[Case], outcomes: &[(Peer, Vec<Outcome>)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differential.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (written, known) = page.split_once(MARK).expect("the line behind which the table stands");
    let made = table(cases, outcomes);
    if std::env::var_os("UPDATE_DIFFERENTIAL").is_some() {
        return std::fs::write(&path, format!("{written}{MARK}{made}")).unwrap();
    }
    // What the others do is what they did when the page was written, in their versions of then; rp is held to it.
    let (known, made) = (ours(known), ours(&made));
    let lines = known.iter().zip(&made).filter(|(known, made)| known != made);
    let changes: String = lines.map(|(known, made)| format!("- {known}\n+ {made}\n")).collect();
    assert!(known == made, "docs/differential.md is stale; UPDATE_DIFFERENTIAL=1 writes it anew:\n{changes}");
}

/// Class, number and rp's column.
fn ours(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| class"));
    rows.map(|line| line.split(" | ").take(3).collect::<Vec<_>>().join(" | ")).collect()
}

fn table(cases: &[Case], outcomes: &[(Peer, Vec<Outcome>)]) -> String {
    let mut classes: Vec<&str> = cases.iter().map(|case| case.class).collect();
    classes.dedup();
    let mut out = format!("\n{} requests in {} classes.\n\n| class | requests |", cases.len(), classes.len());
    for (peer, _) in outcomes {
        let _ = write!(out, " {} {} |", peer.name(), peer.version());
    }
    let _ = writeln!(out, "\n| --- | --- |{}", " --- |".repeat(outcomes.len()));
    for class in classes {
        let of = |outcomes: &[Outcome]| {
            let ours = cases.iter().zip(outcomes).filter(|(case, _)| case.class == class);
            ours.map(|(_, outcome)| outcome.kind()).collect::<Vec<_>>()
        };
        let _ = write!(out, "| {class} | {} |", of(&outcomes[0].1).len());
        for (_, outcomes) in outcomes {
            let _ = write!(out, " {} |", tell(&of(outcomes)));
        }
        out.push('\n');
    }
    let _ = write!(out, "| **all that have two readings where they arrive** | |");
    for (_, outcomes) in outcomes {
        let count = outcomes.iter().filter(|outcome| outcome.kind() == Kind::Ambiguous).count();
        let _ = write!(out, " **{count}** |");
    }
    out.push('\n');
    out
}

fn tell(kinds: &[Kind]) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for kind in kinds {
        *counts.entry(*kind).or_default() += 1;
    }
    let only = counts.len() == 1;
    let each = counts.iter().map(|(kind, count)| if only { kind.to_string() } else { format!("{kind} {count}") });
    each.collect::<Vec<_>>().join(", ")
}
