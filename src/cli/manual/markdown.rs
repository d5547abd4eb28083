//! A page of Markdown, piece by piece.

use std::fmt::Write as _;

pub const WIDTH: usize = 100;

/// A page under construction.
#[derive(Debug)]
pub struct Page {
    text: String,
    /// The last piece was an item of a list, and another one may follow it closely.
    in_list: bool,
}

impl Page {
    pub fn new(title: &str) -> Self {
        Self { text: format!("# {title}\n"), in_list: false }
    }

    pub fn section(&mut self, title: &str) {
        self.apart();
        let _ = writeln!(self.text, "## {title}");
    }

    /// What empty lines part stays apart.
    pub fn paragraphs(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            self.apart();
            self.text.push_str(&wrapped(paragraph, "", ""));
        }
    }

    pub fn fence(&mut self, language: &str, text: &str) {
        self.apart();
        let _ = writeln!(self.text, "```{language}\n{text}\n```");
    }

    pub fn item(&mut self, indent: &str, text: &str) {
        if !self.in_list {
            self.apart();
        }
        self.in_list = true;
        self.text.push_str(&wrapped(text, &format!("{indent}- "), &format!("{indent}  ")));
    }

    /// An item that explains a piece of syntax.
    pub fn entry(&mut self, indent: &str, syntax: &str, doc: &str) {
        if !self.in_list {
            self.apart();
        }
        self.in_list = true;
        // Two spaces break the line, but nobody sees them; a backslash can be seen.
        let _ = writeln!(self.text, "{indent}- {}\\", code(syntax));
        let inner = format!("{indent}  ");
        self.text.push_str(&wrapped(doc, &inner, &inner));
    }

    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        self.apart();
        let _ = writeln!(self.text, "| {} |\n|{}", head.join(" | "), " --- |".repeat(N));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }

    pub fn end(self) -> String {
        self.text
    }

    fn apart(&mut self) {
        self.in_list = false;
        self.text.push('\n');
    }
}

pub fn link(text: &str, target: &str) -> String {
    format!("[{text}]({target})")
}

/// A name as code.
pub fn span(name: &str) -> String {
    format!("`{name}`")
}

/// Any text as code: one that holds backticks stands between two of them (`CommonMark`, "code spans").
pub fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { span(text) }
}

/// As a sentence: the tables begin without a capital and end without a stop.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    escaped(&format!("{first}{}{stop}", letters.as_str()))
}

/// What would mean something to Markdown is made to mean itself, but for code.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, piece) in text.split('`').enumerate() {
        if place > 0 {
            out.push('`');
        }
        if place % 2 == 1 {
            out.push_str(piece);
            continue;
        }
        for letter in piece.chars() {
            if matches!(letter, '<' | '*' | '_' | '[' | ']' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
    }
    out
}

/// Breaks lines between words, never inside of code.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut out = String::from(first);
    let mut length = first.chars().count();
    let mut begun = false;
    for word in words(text) {
        let count = word.chars().count();
        // A line that begins so would be an item of a list or a heading.
        let marks = matches!(word.as_str(), "-" | "+" | "1." | "1)") || word.starts_with(['#', '>']);
        if begun && length + 1 + count > WIDTH && !marks {
            out.push('\n');
            out.push_str(others);
            length = others.len();
        } else if begun {
            out.push(' ');
            length += 1;
        }
        begun = true;
        out.push_str(&word);
        length += count;
    }
    out.push('\n');
    out
}

/// Words, where code is one word with all that touches it.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if open => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_in_one_line_and_prose_does_not() {
        let text = format!("{}`a b c` {}", "word ".repeat(19), "word ".repeat(5));
        let lines = wrapped(&text, "- ", "  ");
        assert_eq!(lines, format!("- {}\n  `a b c` {}\n", ["word"; 19].join(" "), ["word"; 5].join(" ")));
        // A line never begins with what would be the mark of a list.
        let lines = wrapped(&format!("{} - and", "word ".repeat(20)), "", "");
        assert!(lines.ends_with("word -\nand\n"), "{lines}");
    }

    #[test]
    fn only_prose_is_escaped() {
        assert_eq!(escaped("a_b <c> `d_e <f>` [g]*"), "a\\_b \\<c> `d_e <f>` \\[g\\]\\*");
        assert_eq!(sentence("answers `a_b`"), "Answers `a_b`.");
        assert_eq!(sentence("`off` is off."), "`off` is off.");
        assert_eq!(code("a `b` c"), "`` a `b` c ``");
    }

    #[test]
    fn a_page_is_apart_where_it_must_be() {
        let mut page = Page::new("A");
        page.paragraphs("one\n\ntwo");
        page.item("", "b");
        page.item("  ", "bb");
        page.entry("", "c|d", "e.");
        page.section("F");
        page.table(["g", "h"], [["`i|j`".to_owned(), "k".to_owned()]]);
        page.fence("text", "l\nm");
        let expected = "# A\n\none\n\ntwo\n\n- b\n  - bb\n- `c|d`\\\n  e.\n\n## F\n\n| g | h |\n| --- | --- |\n| `i\\|j` | k |\n\n```text\nl\nm\n```\n";
        assert_eq!(page.end(), expected);
    }
}
