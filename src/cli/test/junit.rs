//! The outcome as JUnit's XML, which CI systems read.

use std::fmt::Write as _;

use super::Outcomes;
use crate::diagnostic::terminal::{self, Style};

pub fn render(files: &[Outcomes]) -> String {
    let failures = |file: &Outcomes| file.cases.iter().filter(|(_, _, wrong)| !wrong.is_empty()).count();
    let tests: usize = files.iter().map(|file| file.cases.len()).sum();
    let failed: usize = files.iter().map(failures).sum();
    let mut xml =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\" failures=\"{failed}\">\n");
    for file in files {
        let name = escaped(&file.file.display().to_string());
        let (tests, failed) = (file.cases.len(), failures(file));
        // Writing to memory cannot fail.
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\">");
        for (case, took, wrong) in &file.cases {
            let (case, seconds) = (escaped(case), took.as_secs_f64());
            let head = format!("    <testcase classname=\"{name}\" name=\"{case}\" time=\"{seconds:.6}\"");
            match wrong.first() {
                None => xml.push_str(&format!("{head}/>\n")),
                Some(first) => {
                    let text = terminal::render(wrong, &file.sources, Style { color: false, width: 100 });
                    let (message, text) = (escaped(&first.text), escaped(&text));
                    let _ = writeln!(
                        xml,
                        "{head}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>"
                    );
                }
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// XML 1.0 knows no control characters but tabs and line ends.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}[0m\n"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}[0m\n");
    }
}
