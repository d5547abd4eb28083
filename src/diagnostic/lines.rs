//! An index of lines, so that a thousand findings do not read their file a thousand times.

use std::collections::HashMap;

use super::{FileId, Sources, Span};

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { starts }
    }

    /// The line that holds an offset, from 0.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    pub(crate) fn start(&self, line: usize) -> usize {
        self.starts[line]
    }

    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Where a line ends, its newline included.
    pub(crate) fn end(&self, line: usize, text: &str) -> usize {
        self.starts.get(line + 1).copied().unwrap_or(text.len())
    }

    /// Line and column of an offset, both from 1; the column counts characters.
    pub(crate) fn line_column(&self, offset: usize, text: &str) -> (usize, usize) {
        let line = self.line(offset);
        (line + 1, text[self.start(line)..offset].chars().count() + 1)
    }
}

/// The indexes of all files that a list of findings touches, made when they are needed.
#[derive(Default)]
pub(crate) struct Indexes {
    files: HashMap<FileId, Lines>,
}

impl Indexes {
    pub(super) fn of(&mut self, file: FileId, sources: &Sources) -> &Lines {
        self.files.entry(file).or_insert_with(|| Lines::new(&sources.file(file).text))
    }

    /// `path:line:column` of a span's start.
    pub(crate) fn place(&mut self, at: Span, sources: &Sources) -> String {
        let source = sources.file(at.file);
        let (line, column) = self.of(at.file, sources).line_column(at.start as usize, &source.text);
        format!("{}:{line}:{column}", source.path.display())
    }
}
