//! Findings for machines: one JSON array.

use serde_json::{Value, json};

use super::lines::Indexes;
use super::{Mistake, Severity, Sources, Span};

/// An array with one object a finding: `code`, `severity` (`error`, `warning`), `message`, `label`, `help` (or null),
/// `file`, `start` and `end` (`line` and `column` from 1, the column in characters; `offset` in bytes from 0), and
/// `related`, each with its own `message`, `file`, `start` and `end`.
#[must_use]
pub fn render(mistakes: &[Mistake], sources: &Sources) -> String {
    let mut indexes = Indexes::default();
    let all: Vec<Value> = mistakes.iter().map(|mistake| finding(mistake, sources, &mut indexes)).collect();
    format!("{:#}\n", Value::Array(all))
}

fn finding(mistake: &Mistake, sources: &Sources, indexes: &mut Indexes) -> Value {
    let related: Vec<Value> = mistake
        .others
        .iter()
        .map(|(at, message)| {
            let mut other = place(*at, sources, indexes);
            other["message"] = json!(message);
            other
        })
        .collect();
    let mut value = place(mistake.at, sources, indexes);
    value["code"] = json!(mistake.code.as_str());
    value["severity"] = json!(match mistake.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    });
    value["message"] = json!(mistake.text);
    value["label"] = json!(mistake.label);
    value["help"] = json!(mistake.help);
    value["related"] = json!(related);
    value
}

fn place(at: Span, sources: &Sources, indexes: &mut Indexes) -> Value {
    let source = sources.file(at.file);
    let lines = indexes.of(at.file, sources);
    let point = |offset: u32| {
        let (line, column) = lines.line_column(offset as usize, &source.text);
        json!({ "line": line, "column": column, "offset": offset })
    };
    json!({ "file": source.path.display().to_string(), "start": point(at.start), "end": point(at.end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn places_are_lines_and_characters() {
        let mut sources = Sources::default();
        let file = sources.add("Proxyfile", "é\né log {}\n");
        let mistake = Mistake::new(Code::E0010, Span::new(file, 6, 9), "no `log`")
            .help("write it")
            .other(Span::new(file, 0, 2), "first here");
        let found: Value = serde_json::from_str(&render(&[mistake], &sources)).unwrap();
        let expected = json!([{
            "code": "E0010", "severity": "error", "message": "no `log`", "label": "", "help": "write it",
            "file": "Proxyfile",
            "start": { "line": 2, "column": 3, "offset": 6 }, "end": { "line": 2, "column": 6, "offset": 9 },
            "related": [{
                "message": "first here", "file": "Proxyfile",
                "start": { "line": 1, "column": 1, "offset": 0 }, "end": { "line": 1, "column": 2, "offset": 2 },
            }],
        }]);
        assert_eq!(found, expected);
    }
}
