//! One configuration as an editor asks about it: what was read and found, and the trees as they were written.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use lsp_types::{Position, Range};

use super::names::Names;
use crate::check::expand::Surroundings;
use crate::diagnostic::lines::Lines;
use crate::diagnostic::{FileId, Severity, Source, Span};
use crate::model::{self, Checked};
use crate::syntax::include::Files;
use crate::syntax::parse;
use crate::syntax::tree::Block;

/// A Proxyfile with all that it imports. What a change does not ask for is worked out when somebody asks.
pub(super) struct Configuration {
    pub root: PathBuf,
    pub checked: Checked,
    trees: OnceCell<Vec<Block>>,
    names: OnceCell<Names>,
    lines: Vec<OnceCell<Lines>>,
}

impl Configuration {
    pub fn load(root: &Path, files: &dyn Files, surroundings: &dyn Surroundings) -> Self {
        let checked = model::load(root, files, surroundings);
        let lines = checked.sources.files().map(|_| OnceCell::new()).collect();
        Self { root: root.to_owned(), checked, trees: OnceCell::new(), names: OnceCell::new(), lines }
    }

    pub fn source(&self, file: FileId) -> &Source {
        self.checked.sources.file(file)
    }

    pub fn files(&self) -> impl Iterator<Item = (FileId, &Source)> {
        (0..).zip(self.checked.sources.files())
    }

    pub fn file(&self, path: &Path) -> Option<FileId> {
        self.files().find(|(_, source)| source.path == path).map(|(file, _)| file)
    }

    /// A file's own statements, no import and no snippet put in its place.
    pub fn tree(&self, file: FileId) -> &Block {
        let trees = self.trees.get_or_init(|| self.files().map(|(file, source)| parse(file, &source.text).0).collect());
        &trees[usize::from(file)]
    }

    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(self))
    }

    /// The files that an import brought in.
    pub fn imported(&self, path: Span) -> impl Iterator<Item = FileId> {
        let whole = (path, FileId::MIN)..=(path, FileId::MAX);
        self.checked.imports.range(whole).map(|(_, file)| *file)
    }

    pub fn text(&self, at: Span) -> &str {
        self.checked.sources.text(at)
    }

    pub fn errors(&self) -> usize {
        self.checked.findings.iter().filter(|finding| finding.severity() == Severity::Error).count()
    }

    // ---- places

    fn lines(&self, file: FileId) -> &Lines {
        self.lines[usize::from(file)].get_or_init(|| Lines::new(&self.source(file).text))
    }

    pub fn range(&self, at: Span) -> Range {
        let place = |offset: u32| position(self.lines(at.file), &self.source(at.file).text, offset as usize);
        Range { start: place(at.start), end: place(at.end) }
    }

    /// The byte that a position names; what lies behind a line is its end.
    pub fn offset(&self, file: FileId, at: Position) -> u32 {
        let offset = offset(self.lines(file), &self.source(file).text, at);
        Span::new(file, offset, offset).start
    }

    /// All of a file.
    pub fn whole(&self, file: FileId) -> Span {
        Span::new(file, 0, self.source(file).text.len())
    }
}

/// Lines and columns from 0; columns count units of UTF-16, as the protocol wants where nothing else was agreed on.
fn position(lines: &Lines, text: &str, offset: usize) -> Position {
    let offset = text.floor_char_boundary(offset);
    let line = lines.line(offset);
    let units = text[lines.start(line)..offset].encode_utf16().count();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: small(line), character: small(units) }
}

fn offset(lines: &Lines, text: &str, at: Position) -> usize {
    let line = at.line as usize;
    if line >= lines.count() {
        return text.len();
    }
    let start = lines.start(line);
    let content = text[start..lines.end(line, text)].trim_end_matches(['\n', '\r']);
    let mut units = 0;
    for (index, sign) in content.char_indices() {
        if units >= at.character as usize {
            return start + index;
        }
        units += sign.len_utf16();
    }
    start + content.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_units_of_utf_16() {
        let text = "ab\r\n😀ä x\n\nend";
        let lines = Lines::new(text);
        for (byte, line, character) in [(0, 0, 0), (2, 0, 2), (4, 1, 0), (8, 1, 2), (10, 1, 3), (13, 2, 0), (17, 3, 3)]
        {
            let at = Position { line, character };
            assert_eq!(position(&lines, text, byte), at, "{byte}");
            assert_eq!(offset(&lines, text, at), byte, "{at:?}");
        }
        // Inside of a sign, behind a line, behind the text.
        assert_eq!(offset(&lines, text, Position { line: 1, character: 1 }), 8);
        assert_eq!(offset(&lines, text, Position { line: 0, character: 99 }), 2);
        assert_eq!(offset(&lines, text, Position { line: 99, character: 0 }), text.len());
        assert_eq!(position(&lines, text, 5), Position { line: 1, character: 0 });
    }
}
