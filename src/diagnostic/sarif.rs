//! Findings in the Static Analysis Results Interchange Format, version 2.1.0 (OASIS), for code scanning.

use serde_json::{Value, json};

use super::lines::Indexes;
use super::{Code, Mistake, Severity, Sources, Span, page};

/// One run with the rules that were broken, each with its page, and a result for each finding. Columns count characters
/// (`unicodeCodePoints`).
#[must_use]
pub fn render(mistakes: &[Mistake], sources: &Sources) -> String {
    let mut codes: Vec<Code> = mistakes.iter().map(|mistake| mistake.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let mut indexes = Indexes::default();
    let results: Vec<Value> = mistakes.iter().map(|mistake| result(mistake, &codes, sources, &mut indexes)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "rp", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.title() },
        "help": { "text": page::body(code), "markdown": code.page() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn result(mistake: &Mistake, codes: &[Code], sources: &Sources, indexes: &mut Indexes) -> Value {
    let help = mistake.help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
    let mut result = json!({
        "ruleId": mistake.code.as_str(),
        "ruleIndex": codes.binary_search(&mistake.code).unwrap_or_default(),
        "level": level(mistake.severity()),
        "message": { "text": format!("{}{help}", mistake.text) },
        "locations": [location(mistake.at, sources, indexes)],
    });
    let related: Vec<Value> = (1..)
        .zip(&mistake.others)
        .map(|(id, (at, text))| {
            let mut location = location(*at, sources, indexes);
            location["id"] = json!(id);
            location["message"] = json!({ "text": text });
            location
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

fn location(at: Span, sources: &Sources, indexes: &mut Indexes) -> Value {
    let source = sources.file(at.file);
    let lines = indexes.of(at.file, sources);
    let (line, column) = lines.line_column(at.start as usize, &source.text);
    let (end_line, end_column) = lines.line_column(at.end as usize, &source.text);
    let path = source.path.display().to_string();
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&path) },
            "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
        },
    })
}

/// A path as a URI reference (RFC 3986): an absolute one names its file.
fn uri(path: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(path, KEPT);
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_its_rule_and_its_places() {
        let mut sources = Sources::default();
        let file = sources.add("a b", "é\né log {}\n");
        let twice =
            Mistake::new(Code::E0024, Span::new(file, 6, 9), "`log` twice").other(Span::new(file, 0, 2), "first");
        let unknown = Mistake::new(Code::E0010, Span::new(file, 6, 9), "no `log`").help("write it");
        let log: Value = serde_json::from_str(&render(&[twice, unknown], &sources)).unwrap();
        let run = &log["runs"][0];
        let rules: Vec<_> = run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|r| &r["id"]).collect();
        assert_eq!(rules, ["E0010", "E0024"]);
        let [first, second] = run["results"].as_array().unwrap().as_slice() else { panic!("two results") };
        assert_eq!((&first["ruleIndex"], &second["ruleIndex"]), (&json!(1), &json!(0)));
        assert_eq!(second["message"]["text"], "no `log`\nwrite it");
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b");
        assert_eq!(place["region"], json!({ "startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 6 }));
        assert_eq!(first["relatedLocations"][0]["message"]["text"], "first");
        assert_eq!(uri("/etc/rp/Proxyfile"), "file:///etc/rp/Proxyfile");
    }
}
