//! A file and all that it imports, as one tree.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::parse::parse;
use super::tree::{Block, Node, Word};
use super::{DEEPEST, glob};
use crate::diagnostic::{Code, FileId, Findings, Mistake, Sources, Span};

/// Bytes of the largest file that is read.
pub const LARGEST: u64 = 16 * 1024 * 1024;
/// Files of one configuration, counted each time that they are imported: imports that double would never end.
pub const MOST_FILES: usize = 10_000;
/// Bytes of all of them together.
const LARGEST_TOTAL: usize = 64 * 1024 * 1024;

/// A configuration as it was written: every import replaced by what it imports.
#[derive(Debug, Default)]
pub struct Loaded {
    pub sources: Sources,
    pub tree: Block,
    pub findings: Findings,
    /// What a watcher should watch: every file (those too that could not be read), and every folder that a glob looked into.
    pub files: Vec<PathBuf>,
    /// Which files each import brought in, by the place of its path.
    pub imports: BTreeSet<(Span, FileId)>,
}

/// Where files come from: the disk, or a test.
pub trait Files {
    /// A file's text. An error of [`io::ErrorKind::InvalidData`] says that it is not UTF-8, and where.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The files that match a pattern, in order. The pattern is relative to `base`, or absolute.
    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf>;

    /// One name for one file, whatever links lead to it.
    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// The folders that a pattern looks into, there or not.
    fn folders(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        vec![base.join(glob::fixed_part(pattern))]
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        use io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..at]).count() + 1;
            io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 (byte {at} of the file)"))
        })
    }

    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        glob::find(base, pattern, MOST_FILES + 1)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    fn folders(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        glob::folders(base, pattern, MOST_FILES)
    }
}

/// Reads a Proxyfile and all that it imports.
pub fn load(path: &Path, files: &dyn Files) -> Loaded {
    match files.read(path) {
        Ok(text) => load_text(path, text, files),
        Err(error) => {
            let mut loaded = Loaded { files: vec![path.to_owned()], ..Loaded::default() };
            let file = loaded.sources.add(path, "");
            let text = format!("cannot read `{}`: {}", path.display(), reason(&error));
            loaded.findings.push(Mistake::new(Code::E0009, Span::new(file, 0, 0), text).help(advice(&error)));
            loaded
        }
    }
}

/// The same for a text that is not, or not yet, what the disk holds at `path`.
pub fn load_text(path: &Path, text: String, files: &dyn Files) -> Loaded {
    let mut loader = Loader {
        files,
        loaded: Loaded::default(),
        known: HashMap::new(),
        chain: Vec::new(),
        count: 0,
        bytes: 0,
        full: false,
        loops: HashSet::new(),
        watched: HashSet::new(),
    };
    let mut tree = loader.parsed(path, text);
    loader.chain.push(Open { path: path.to_owned(), identity: files.identity(path), import: None });
    loader.expand(&mut tree, 0);
    Loaded { tree, ..loader.loaded }
}

struct Loader<'a> {
    files: &'a dyn Files,
    loaded: Loaded,
    /// What has been read already, its imports not yet replaced: a file has one id, however often it is imported.
    known: HashMap<PathBuf, (FileId, Block)>,
    /// The files that are being read, outermost first, each with the import that asked for it.
    chain: Vec<Open>,
    /// Imports so far, and the bytes that they brought in: each counts again when it is repeated.
    count: usize,
    bytes: usize,
    /// There is too much of it: that was reported, and nothing more is imported.
    full: bool,
    /// Imports that close a loop: they are followed no further, wherever else they are met.
    loops: HashSet<Span>,
    watched: HashSet<PathBuf>,
}

/// A file that is being read.
struct Open {
    path: PathBuf,
    /// Of several names by way of links, always the same.
    identity: PathBuf,
    import: Option<Span>,
}

impl Loader<'_> {
    fn parsed(&mut self, path: &Path, text: String) -> Block {
        self.watch(path);
        let file = self.loaded.sources.add(path, text);
        let (tree, mistakes) = parse(file, &self.loaded.sources.file(file).text);
        self.loaded.findings.extend(mistakes);
        self.known.insert(path.to_owned(), (file, tree.clone()));
        tree
    }

    /// Replaces the imports among a block's statements, and below them.
    fn expand(&mut self, block: &mut Block, depth: usize) {
        if !block.nodes.iter().any(|node| is_import(node) || node.block.is_some()) {
            return;
        }
        let nodes = std::mem::take(&mut block.nodes);
        for mut node in nodes {
            if is_import(&node) {
                if let Some(pattern) = self.pattern(&node) {
                    self.import(&pattern, node.words[1].span, depth, &mut block.nodes);
                }
                continue;
            }
            if let Some(inner) = &mut node.block {
                self.expand(inner, depth + 1);
            }
            block.nodes.push(node);
        }
    }

    /// What an import asks for, where it is written as it should be.
    fn pattern(&mut self, node: &Node) -> Option<String> {
        if let Some(block) = &node.block {
            let open = Span { end: block.span.start + 1, ..block.span };
            self.report(Mistake::new(Code::E0026, open, "`import` takes no block").help("remove it"));
        }
        let [_, pattern, surplus @ ..] = node.words.as_slice() else {
            let help = "name a file, such as `import sites/a.conf`, or many, such as `import sites/*.conf`";
            self.report(Mistake::new(Code::E0022, node.span, "`import` does not say what").help(help));
            return None;
        };
        if let [first, ..] = surplus {
            let at = first.span.to(surplus[surplus.len() - 1].span);
            let help = "write an `import` for each file, and a path with spaces in quotes";
            self.report(Mistake::new(Code::E0023, at, "`import` takes one path or pattern").help(help));
        }
        self.plain(pattern)
    }

    fn plain(&mut self, pattern: &Word) -> Option<String> {
        match pattern.plain() {
            Some("") => {
                let mistake = Mistake::new(Code::E0022, pattern.span, "this path is empty");
                self.report(mistake.help("name a file, such as `import sites/a.conf`"));
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                let mistake = Mistake::new(Code::E0029, pattern.span, "the path of an `import` holds a placeholder");
                self.report(mistake.help("write the path itself: imports are read before anything else is known"));
                None
            }
        }
    }

    fn import(&mut self, pattern: &str, at: Span, depth: usize, nodes: &mut Vec<Node>) {
        if self.full || self.loops.contains(&at) {
            return;
        }
        let folder = self.chain.last().and_then(|open| open.path.parent()).unwrap_or(Path::new("")).to_owned();
        if !glob::is_pattern(pattern) {
            self.import_file(clean(&folder.join(pattern)), at, depth, nodes);
            return;
        }
        for looked in self.files.folders(&folder, pattern) {
            self.watch(&clean(&looked));
        }
        let found = self.files.glob(&folder, pattern);
        if found.is_empty() {
            let mistake = Mistake::new(Code::W0004, at, format!("no file matches `{pattern}`"));
            let place = if folder.as_os_str().is_empty() { ".".into() } else { folder.display().to_string() };
            self.report(mistake.help(format!("it is looked for in `{place}`; write another pattern, or remove it")));
        }
        for path in found {
            if !self.import_file(clean(&path), at, depth, nodes) {
                break;
            }
        }
    }

    /// False where no other file of the same glob should be tried.
    fn import_file(&mut self, path: PathBuf, at: Span, depth: usize, nodes: &mut Vec<Node>) -> bool {
        let identity = self.files.identity(&path);
        if let Some(start) = self.chain.iter().position(|open| open.identity == identity) {
            if self.loops.insert(at) {
                let mistake = self.loop_of(start, &path, at);
                self.report(mistake);
            }
            return false;
        }
        self.count += 1;
        self.full |= self.count >= MOST_FILES;
        if self.full || self.chain.len() >= DEEPEST {
            let mistake = Mistake::new(Code::E0031, at, format!("`{}` is one file too many", path.display()));
            let help =
                format!("a configuration is at most {MOST_FILES} files, and imports nest at most {DEEPEST} deep");
            self.report(mistake.help(help));
            return false;
        }
        let mut tree = match self.tree(&path, at) {
            Ok(tree) => tree,
            Err(mistake) => {
                self.report(mistake);
                return true;
            }
        };
        self.bytes += (tree.span.end - tree.span.start) as usize;
        if self.bytes > LARGEST_TOTAL {
            self.full = true;
            let text = format!("with `{}`, the configuration is larger than 64 MiB", path.display());
            self.report(Mistake::new(Code::E0031, at, text).help("import fewer files, or smaller ones"));
            return false;
        }
        if depth + height(&tree) > DEEPEST {
            let text = format!("with this import, blocks are nested deeper than {DEEPEST}");
            self.report(Mistake::new(Code::E0008, at, text).help("import it further out"));
            return true;
        }
        if let Some((file, _)) = self.known.get(&path) {
            self.loaded.imports.insert((at, *file));
        }
        self.chain.push(Open { path, identity, import: Some(at) });
        self.expand(&mut tree, depth);
        self.chain.pop();
        nodes.extend(tree.nodes);
        true
    }

    fn tree(&mut self, path: &Path, at: Span) -> Result<Block, Mistake> {
        if let Some((_, tree)) = self.known.get(path) {
            return Ok(tree.clone());
        }
        let text = self.files.read(path).map_err(|error| {
            self.watch(path);
            let code = if error.kind() == io::ErrorKind::InvalidData { Code::E0009 } else { Code::E0031 };
            let text = format!("cannot import `{}`: {}", path.display(), reason(&error));
            Mistake::new(code, at, text).help(advice_on_import(path, &error))
        })?;
        Ok(self.parsed(path, text))
    }

    fn loop_of(&self, start: usize, path: &Path, at: Span) -> Mistake {
        let open = &self.chain[start..];
        let mut names: Vec<String> = open.iter().map(|open| format!("`{}`", open.path.display())).collect();
        names.push(format!("`{}`", path.display()));
        let text = if open.len() == 1 {
            format!("{} imports itself", names[0])
        } else {
            format!("this import closes a loop: {}", names.join(" → "))
        };
        let mistake = Mistake::new(Code::E0030, at, text).help("remove one of these imports, or narrow its pattern");
        open.iter()
            .skip(1)
            .filter_map(|open| Some((&open.path, open.import?)))
            .fold(mistake, |mistake, (path, at)| mistake.other(at, format!("`{}` is imported here", path.display())))
    }

    fn watch(&mut self, path: &Path) {
        if self.watched.insert(path.to_owned()) {
            self.loaded.files.push(path.to_owned());
        }
    }

    fn report(&mut self, mistake: Mistake) {
        self.loaded.findings.push(mistake);
    }
}

fn is_import(node: &Node) -> bool {
    node.name() == "import"
}

/// How many blocks stand in each other.
fn height(block: &Block) -> usize {
    block.nodes.iter().filter_map(|node| node.block.as_ref()).map(|block| 1 + height(block)).max().unwrap_or(0)
}

/// Without `.` and, where it can be told from the text alone, without `..`: one name for one file.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        _ => error.to_string(),
    }
}

/// The same for what is imported: other servers import statements by name, too.
fn advice_on_import(path: &Path, error: &io::Error) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if error.kind() == io::ErrorKind::NotFound && path.extension().is_none() {
        return format!("for a snippet, write: use {name}; a path is relative to the file that it is written in");
    }
    advice(error).to_owned()
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path: it is relative to the file that it is written in",
        io::ErrorKind::PermissionDenied => "let the user that rp runs as read it",
        io::ErrorKind::IsADirectory => "for all files in a folder, write `import folder/*`",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        io::ErrorKind::FileTooLarge => "split it, and import the parts",
        _ => "make it readable, or remove it",
    }
}

#[cfg(test)]
mod tests;
