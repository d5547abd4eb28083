//! Findings, as an editor shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString,
};

use super::configuration::Configuration;
use super::workspace::Workspace;
use crate::diagnostic::{Code, Mistake, Severity};

/// The findings of every file of a configuration; of a clean file none, which takes away what was shown of it.
pub(super) fn diagnose(configuration: &Configuration, workspace: &Workspace) -> BTreeMap<PathBuf, Vec<Diagnostic>> {
    let mut found: BTreeMap<PathBuf, Vec<Diagnostic>> =
        configuration.files().map(|(_, source)| (source.path.clone(), Vec::new())).collect();
    for mistake in &configuration.checked.findings {
        let path = &configuration.source(mistake.at.file).path;
        found.entry(path.clone()).or_default().push(diagnostic(mistake, configuration, workspace));
    }
    found
}

pub(super) fn diagnostic(mistake: &Mistake, configuration: &Configuration, workspace: &Workspace) -> Diagnostic {
    let others = mistake.others.iter().filter_map(|(at, text)| {
        let uri = workspace.uri(&configuration.source(at.file).path)?;
        let location = Location { uri, range: configuration.range(*at) };
        Some(DiagnosticRelatedInformation { location, message: text.clone() })
    });
    let others: Vec<_> = others.collect();
    Diagnostic {
        range: configuration.range(mistake.at),
        severity: Some(match mistake.severity() {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(mistake.code.as_str().to_owned())),
        source: Some("rp".to_owned()),
        message: message(mistake),
        related_information: (!others.is_empty()).then_some(others),
        tags: is_unused(mistake.code).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..Diagnostic::default()
    }
}

/// What is wrong, and on a second line what to write instead.
fn message(mistake: &Mistake) -> String {
    let mut message = mistake.text.clone();
    if !mistake.label.is_empty() {
        message = format!("{message} ({})", mistake.label);
    }
    match &mistake.help {
        Some(help) => format!("{message}\n{help}"),
        None => message,
    }
}

/// Editors show what nothing uses in a paler colour.
fn is_unused(code: Code) -> bool {
    matches!(code, Code::W0005 | Code::W0006 | Code::W0007)
}
