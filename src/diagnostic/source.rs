//! Where text came from: files, and spans of bytes in them.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;

/// Index of a file in [`Sources`].
pub type FileId = u16;

/// A range of bytes in one file. Lines and columns are worked out only when something is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

thread_local! {
    static PLACELESS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `write` with all places left out of what `{:?}` says: by that, what means the same reads the same wherever it
/// stands. (The alternate form would do without this, and takes ten times as long.)
pub fn placeless<T>(write: impl FnOnce() -> T) -> T {
    let outer = PLACELESS.replace(true);
    let value = write();
    PLACELESS.set(outer);
    value
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if PLACELESS.get() { f.write_str("_") } else { write!(f, "{}:{}..{}", self.file, self.start, self.end) }
    }
}

/// A place where something may have been written, or may not. As with a [`Span`], which of both is left out by
/// [`placeless`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Written(pub Option<Span>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if PLACELESS.get() { f.write_str("_") } else { self.0.fmt(f) }
    }
}

impl Span {
    #[must_use]
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        // A Proxyfile is refused long before 4 GiB (`syntax::include::LARGEST`).
        #[allow(clippy::cast_possible_truncation)]
        Self { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both; `other` must be of the same file.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// As the user wrote it, relative to where rp was started.
    pub path: PathBuf,
    pub text: String,
}

/// All files that one configuration was read from.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file, and gives the id that its spans bear.
    ///
    /// # Panics
    /// When there are more than 65,535 files: `syntax::include` refuses that many.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> FileId {
        let id = FileId::try_from(self.files.len()).expect("include refuses so many files");
        self.files.push(Source { path: path.into(), text: text.into() });
        id
    }

    #[must_use]
    pub fn file(&self, id: FileId) -> &Source {
        &self.files[usize::from(id)]
    }

    pub fn files(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// The text under a span.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        &self.file(span.file).text[span.start as usize..span.end as usize]
    }

    /// Line and column of a span's start, both from 1; the column counts characters.
    #[must_use]
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = &self.file(span.file).text[..span.start as usize];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1, before[line_start..].chars().count() + 1)
    }

    /// `path:line:column`, as editors and compilers write it.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.line_column(span);
        format!("{}:{line}:{column}", self.file(span.file).path.display())
    }
}
