//! The page of a code, as a terminal shows it.

use std::fmt::Write as _;

use super::Code;

const FENCE: &str = "```";

/// The page without its title, and without its Markdown: headings lose their marks, examples their fences, and an example
/// is indented by four columns instead. The name of a file that an example wants beside the first stands above it.
#[must_use]
pub fn body(code: Code) -> String {
    plain(code.page().split_once("\n\n").map_or("", |(_, behind)| behind))
}

fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut example = false;
    for line in markdown.lines() {
        if let Some(info) = line.strip_prefix(FENCE) {
            example = !example;
            if let Some((_, file)) = info.split_once(' ') {
                let _ = writeln!(out, "In {file}:\n");
            }
            continue;
        }
        let _ = match line {
            "" => writeln!(out),
            line if example => writeln!(out, "    {line}"),
            line => writeln!(out, "{}", line.strip_prefix("## ").unwrap_or(line)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_examples_are_indented() {
        let markdown = "Two words,\nand `more`.\n\n## Wrong\n\n```proxyfile\na {\n\n    ## b\n}\n```\n\n```proxyfile x.conf\nc\n```\n";
        let expected = "Two words,\nand `more`.\n\nWrong\n\n    a {\n\n        ## b\n    }\n\nIn x.conf:\n\n    c\n";
        assert_eq!(plain(markdown), expected);
    }

    #[test]
    fn prose_fits_a_terminal() {
        for code in Code::ALL {
            let text = body(*code);
            let long = text.lines().find(|line| !line.starts_with("    ") && line.chars().count() > 90);
            assert_eq!(long, None, "{code}");
            assert!(text.contains("\n\nWrong\n\n    ") && text.contains("\n\nRight\n\n    "), "{code}\n{text}");
        }
    }
}
