//! What people see: each file under `tests/golden/<area>` holds an input, a line of dashes, and the exact output.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes the outputs anew; read the difference before committing it.

mod harness;

use std::path::Path;

use proxyfile::diagnostic::Sources;
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::syntax;

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

#[test]
fn format() {
    harness::run("format", |input| {
        let formatted = syntax::format::format(input).expect("the input parses");
        assert_eq!(syntax::format::format(&formatted).as_ref(), Ok(&formatted), "a second time changes it");
        formatted
    });
}
