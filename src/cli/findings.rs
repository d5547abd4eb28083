//! Findings, printed where they belong.

use std::io::IsTerminal as _;

use super::Format;
use crate::diagnostic::terminal::Style;
use crate::diagnostic::{Mistake, Sources, github, json, sarif, terminal};

/// Findings as text for standard error, or for machines on standard output.
pub fn print(findings: &[Mistake], sources: &Sources, format: Format) {
    match format {
        Format::Json => print!("{}", json::render(findings, sources)),
        Format::Sarif => print!("{}", sarif::render(findings, sources)),
        Format::Github => print!("{}", github::render(findings, sources)),
        Format::Text if findings.is_empty() => {}
        Format::Text => eprint!("{}", render(findings, sources, std::io::stderr().is_terminal())),
    }
}

/// For people, as wide as their terminal.
#[must_use]
pub fn render(findings: &[Mistake], sources: &Sources, terminal: bool) -> String {
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100);
    terminal::render(findings, sources, Style { color, width })
}
