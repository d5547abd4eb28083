//! Plain words: text, field names, methods, switches, regular expressions.

use http::{HeaderName, Method};
use regex::Regex;

use super::{Value, Wrong};

/// Any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl Value for Text {
    const KIND: &'static str = "a word";
    const EXAMPLE: &'static str = "a word or \"several words\"";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Ok(Text(text.to_owned()))
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);

impl Value for Switch {
    const KIND: &'static str = "`on` or `off`";
    const EXAMPLE: &'static str = "on";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "on" => Ok(Switch(true)),
            "off" => Ok(Switch(false)),
            "true" | "yes" | "1" => Err(neither(text).help("write `on`")),
            "false" | "no" | "0" => Err(neither(text).help("write `off`")),
            _ => Err(neither(text).help("write `on` or `off`")),
        }
    }
}

fn neither(text: &str) -> Wrong {
    Wrong::say(format!("`{text}` is neither `on` nor `off`"))
}

/// The name of a header field: a token (RFC 9110, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName(pub HeaderName);

impl Value for FieldName {
    const KIND: &'static str = "the name of a header field";
    const EXAMPLE: &'static str = "X-Frame-Options or Cache-Control";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(name) = text.strip_suffix(':') {
            return Err(Wrong::kind().help(format!("write it without the colon: `{name}`")));
        }
        HeaderName::from_bytes(text.as_bytes()).map(FieldName).map_err(|_| Wrong::kind())
    }
}

impl FieldName {
    /// Whether a word that stands where a field's name does not was meant as one.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        HeaderName::from_bytes(text.as_bytes()).is_ok()
            && (text.contains('-') || text.starts_with(|first: char| first.is_ascii_uppercase()))
    }
}

/// A method, as case-sensitive as RFC 9110 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodName(pub Method);

impl Value for MethodName {
    const KIND: &'static str = "a method";
    const EXAMPLE: &'static str = "GET or POST";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(Wrong::say(format!("no client sends the method `{text}`"))
                .help(format!("methods are in upper case: `{}`", text.to_ascii_uppercase())));
        }
        Method::from_bytes(text.as_bytes()).map(MethodName).map_err(|_| Wrong::kind())
    }
}

/// A regular expression, bounded in size so that no file can take the memory of the machine.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl Value for Pattern {
    const KIND: &'static str = "a regular expression";
    const EXAMPLE: &'static str = "`^/v[0-9]+/`";

    fn parse(text: &str) -> Result<Self, Wrong> {
        build(text).map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => Wrong::range(format!("`{text}` needs too much memory"))
                .help("write a shorter expression, or smaller repetitions"),
            other => {
                let said = other.to_string();
                let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let help = if last.contains("look-around") {
                    "look-around and back-references are not taken: they can be made to hang; use `and not` instead"
                        .to_owned()
                } else {
                    format!("mend the expression: {last}")
                };
                Wrong::say(format!("`{text}` is not a regular expression")).help(help)
            }
        })
    }
}

/// A regular expression that has to fit the whole of a text, whether it says `^` and `$` or not.
#[derive(Debug, Clone)]
pub struct WholePattern(pub Regex);

impl Value for WholePattern {
    const KIND: &'static str = Pattern::KIND;
    const EXAMPLE: &'static str = "`/old/(.*)`";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Pattern::parse(text)?;
        // The line feed ends a comment, which `(?x)` takes.
        build(&format!(r"\A(?:{text})\z"))
            .or_else(|_| build(&format!("\\A(?:{text}\n)\\z")))
            .map(Self)
            .map_err(|_| Wrong::range(format!("`{text}` needs too much memory")))
    }
}

/// Bounded in size and in time: a match takes time in proportion to its text, whatever the expression (threat XL08).
fn build(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).dfa_size_limit(1 << 20).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_pattern_fits_the_whole_text() {
        let fits = |pattern: &str, text: &str| WholePattern::parse(pattern).unwrap().0.is_match(text);
        assert!(fits("a|ab", "ab") && fits("^/x$", "/x") && fits("(?x) a b # c", "ab"));
        assert!(!fits("/x", "/x/y") && !fits("/x", "/a/x") && !fits("(?m)^/x$", "/x\n"));
        assert!(WholePattern::parse("a)(b").is_err());
    }

    #[test]
    fn habits_get_the_right_form() {
        assert_eq!(Switch::parse("true").unwrap_err().help.as_deref(), Some("write `on`"));
        assert_eq!(FieldName::parse("X-A:").unwrap_err().help.as_deref(), Some("write it without the colon: `X-A`"));
        assert_eq!(MethodName::parse("get").unwrap_err().help.as_deref(), Some("methods are in upper case: `GET`"));
        assert!(Pattern::parse("(").unwrap_err().help.is_some_and(|help| help.contains("unclosed group")));
        assert!(Pattern::parse("(?=x)").unwrap_err().help.is_some_and(|help| help.contains("look-around")));
        assert!(Pattern::parse("((a{1000}){1000}){1000}").unwrap_err().range);
    }
}
