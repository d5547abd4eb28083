//! Any text can be checked as a whole configuration, in time, without a look at the machine; every finding can be drawn.

use std::io;
use std::path::{Path, PathBuf};

use proxyfile::check::expand::Surroundings;
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::diagnostic::{Severity, json};
use proxyfile::model;
use proxyfile::syntax::include::Files;

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let checked = model::load_text(Path::new("Proxyfile"), text.to_owned(), &Nothing, &Nothing);
    let errors = checked.findings.iter().any(|finding| finding.severity() == Severity::Error);
    assert_eq!(checked.model.is_none(), errors, "there is a model exactly where there is no error");
    let _ = terminal::render(&checked.findings, &checked.sources, Style { color: false, width: 100 });
    let _ = json::render(&checked.findings, &checked.sources);
}

/// A machine with one file to import, one variable and one secret.
struct Nothing;

impl Files for Nothing {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path.ends_with("known") {
            Ok(":81 { respond ok }\n".to_owned())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        if pattern.contains('*') { vec![base.join("known")] } else { Vec::new() }
    }
}

impl Surroundings for Nothing {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "KNOWN").then(|| "a { b } \" ; # c".to_owned())
    }

    fn secret(&self, _: &str) -> Result<String, String> {
        Err("there are none here".to_owned())
    }
}
