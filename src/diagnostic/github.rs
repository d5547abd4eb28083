//! Findings as GitHub Actions shows them: workflow commands, one a line, that become annotations of the lines.

use std::fmt::Write as _;

use super::lines::Indexes;
use super::{Mistake, Severity, Sources};

/// `::error file=…,line=…,col=…,endLine=…,endColumn=…,title=E0010::text`, the help behind it on a line of its own.
#[must_use]
pub fn render(mistakes: &[Mistake], sources: &Sources) -> String {
    let mut indexes = Indexes::default();
    let mut out = String::new();
    for mistake in mistakes {
        let source = sources.file(mistake.at.file);
        let lines = indexes.of(mistake.at.file, sources);
        let (line, column) = lines.line_column(mistake.at.start as usize, &source.text);
        let (end_line, end_column) = lines.line_column(mistake.at.end as usize, &source.text);
        let kind = match mistake.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let help = mistake.help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
        let file = property(&source.path.display().to_string());
        let text = data(&format!("{}{help}", mistake.text));
        // Writing to memory cannot fail.
        let _ = writeln!(
            out,
            "::{kind} file={file},line={line},col={column},endLine={end_line},endColumn={end_column},title={}::{text}",
            mistake.code
        );
    }
    out
}

/// What would end the line is escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What would end the property, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Span};

    #[test]
    fn each_finding_is_one_line() {
        let mut sources = Sources::default();
        let file = sources.add("a,b:c", "é\né log {}\n");
        let mistake = Mistake::new(Code::E0010, Span::new(file, 6, 9), "100 % `log`\nmore").help("write it");
        assert_eq!(
            render(&[mistake], &sources),
            "::error file=a%2Cb%3Ac,line=2,col=3,endLine=2,endColumn=6,title=E0010::100 %25 `log`%0Amore%0Awrite it\n"
        );
    }
}
