//! `{lines.PATH}`: a word for each line of a file, in place.

use super::{Expansion, Values};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Part, Style, Word};

/// Lists of networks that people publish have some thousand.
const MOST: usize = 100_000;

impl Expansion<'_> {
    /// What stands in the place of a word: itself, as a rule.
    pub(super) fn words(&mut self, word: &Word, values: Option<&Values>) -> Vec<Word> {
        let word = self.word(word, values);
        let Some((path, span)) = word.parts.iter().find_map(|part| match part {
            Part::Lines { path, span } => Some((path.clone(), *span)),
            _ => None,
        }) else {
            return vec![word];
        };
        if word.parts.len() > 1 {
            let sentence = format!("`{{lines.{path}}}` is a list of values, and here it is part of one");
            self.cx.report(
                Mistake::new(Code::E0020, span, sentence).help("let it stand alone, with a space on each side"),
            );
            return vec![word];
        }
        self.lines(&path, span).unwrap_or(vec![word])
    }

    /// Words of data: what a line says is no keyword, and opens nothing. `None` where it was reported that there are none.
    fn lines(&mut self, path: &str, span: Span) -> Option<Vec<Word>> {
        let text = match self.surroundings.secret(path) {
            Ok(text) => text,
            Err(why) => {
                self.cx.report(
                    Mistake::new(Code::E0053, span, format!("cannot read `{path}`: {why}"))
                        .help("name a file that this user can read"),
                );
                return None;
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let words: Vec<Word> = lines
            .take(MOST + 1)
            .map(|line| Word { parts: vec![Part::Text(line.to_owned())], style: Style::Quoted, span })
            .collect();
        let wrong = match words.len() {
            0 => format!("`{path}` has no line with a value"),
            count if count > MOST => format!("`{path}` has more than {MOST} lines"),
            _ => String::new(),
        };
        if !wrong.is_empty() {
            let help = "each line of it is a value; a line that is empty or begins with `#` is none";
            self.cx.report(Mistake::new(Code::E0021, span, wrong).help(help));
            return None;
        }
        let bytes = words.iter().flat_map(|word| &word.parts).map(super::length).sum();
        self.spend(bytes, span).ok().map(|()| words)
    }
}
