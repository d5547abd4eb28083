//! What is open in the editor, and the configurations that it belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lsp_types::{Diagnostic, PublishDiagnosticsParams, Uri};

use super::configuration::Configuration;
use super::{diagnose, uri};
use crate::check::expand::{Process, Surroundings};
use crate::syntax::include::{self, Disk, Files};

/// Findings that are shown of one file: nobody reads more of them in an editor.
const MOST_SHOWN: usize = 1_000;
/// Bytes of a secret that is read to be judged.
const LARGEST_SECRET: u64 = 64 * 1024;

/// A buffer of the editor.
pub(super) struct Document {
    /// As the editor wrote it.
    pub uri: Uri,
    pub version: i32,
    pub text: String,
}

#[derive(Default)]
pub(super) struct Workspace {
    open: HashMap<PathBuf, Document>,
    /// By their root files; forgotten with every change.
    configurations: HashMap<PathBuf, Rc<Configuration>>,
    /// Where each open file was found to belong the last time.
    roots: HashMap<PathBuf, PathBuf>,
    /// Those of them that were looked for since the last change.
    settled: HashSet<PathBuf>,
    published: HashMap<PathBuf, Vec<Diagnostic>>,
}

impl Workspace {
    pub fn put(&mut self, path: PathBuf, document: Document) {
        self.open.insert(path, document);
        self.changed();
    }

    pub fn close(&mut self, path: &Path) {
        self.open.remove(path);
        self.roots.remove(path);
        self.changed();
    }

    pub fn document(&mut self, path: &Path) -> Option<&mut Document> {
        self.open.get_mut(path)
    }

    /// Something changed, in a buffer or on the disk.
    pub fn changed(&mut self) {
        self.configurations.clear();
        self.settled.clear();
    }

    /// The address of a file, as the editor knows it.
    pub fn uri(&self, path: &Path) -> Option<Uri> {
        self.open.get(path).map_or_else(|| uri::uri(path), |document| Some(document.uri.clone()))
    }

    /// The configuration that a file belongs to.
    pub fn configuration(&mut self, path: &Path) -> Rc<Configuration> {
        let settled = !self.settled.insert(path.to_owned());
        if let Some(root) = self.roots.get(path).filter(|root| settled || *root != path).cloned() {
            let known = self.rooted(&root);
            if settled || known.file(path).is_some() {
                return known;
            }
        }
        let root = self.root(path);
        self.roots.insert(path.to_owned(), root.clone());
        self.rooted(&root)
    }

    fn rooted(&mut self, root: &Path) -> Rc<Configuration> {
        if let Some(known) = self.configurations.get(root) {
            return known.clone();
        }
        let made = Rc::new(Configuration::load(root, &Overlay { open: &self.open, instead: None }, &Editor));
        self.configurations.insert(root.to_owned(), made.clone());
        made
    }

    /// The same configuration, if these files held something else.
    pub fn imagine(&self, root: &Path, instead: &HashMap<PathBuf, String>) -> Configuration {
        Configuration::load(root, &Overlay { open: &self.open, instead: Some(instead) }, &Editor)
    }

    /// The nearest Proxyfile further up whose imports reach this file, or the file itself.
    fn root(&self, path: &Path) -> PathBuf {
        let overlay = Overlay { open: &self.open, instead: None };
        let reaches = |candidate: &PathBuf| {
            let there = self.open.contains_key(candidate) || candidate.is_file();
            there && include::load(candidate, &overlay).sources.files().any(|source| source.path == path)
        };
        let folders = path.ancestors().skip(1).filter(|folder| folder.is_absolute());
        let mut candidates = folders.map(|folder| folder.join("Proxyfile")).filter(|candidate| candidate != path);
        candidates.find(reaches).unwrap_or_else(|| path.to_owned())
    }

    /// What is to be told to the editor since the last time: of every open file, and of others where it is new.
    pub fn diagnose(&mut self) -> Vec<PublishDiagnosticsParams> {
        let open: Vec<PathBuf> = self.open.keys().cloned().collect();
        let mut roots: BTreeMap<PathBuf, Rc<Configuration>> = BTreeMap::new();
        for path in &open {
            let configuration = self.configuration(path);
            roots.insert(configuration.root.clone(), configuration);
        }
        let mut found: BTreeMap<PathBuf, Vec<Diagnostic>> = BTreeMap::new();
        for configuration in roots.values() {
            for (path, diagnostics) in diagnose::diagnose(configuration, self) {
                // A file of two configurations has the findings of both, and what they agree on once.
                let all = found.entry(path).or_default();
                let room = MOST_SHOWN.saturating_sub(all.len());
                let fresh: Vec<_> = diagnostics.into_iter().take(room).filter(|one| !all.contains(one)).collect();
                all.extend(fresh);
            }
        }
        self.news(found)
    }

    fn news(&mut self, mut found: BTreeMap<PathBuf, Vec<Diagnostic>>) -> Vec<PublishDiagnosticsParams> {
        for path in self.published.keys() {
            found.entry(path.clone()).or_default();
        }
        let mut news = Vec::new();
        for (path, diagnostics) in found {
            let version = self.open.get(&path).map(|document| document.version);
            let before = self.published.get(&path).map_or(&[][..], Vec::as_slice);
            if version.is_none() && before == diagnostics {
                continue;
            }
            if let Some(uri) = self.uri(&path) {
                news.push(PublishDiagnosticsParams { uri, diagnostics: diagnostics.clone(), version });
            }
            if version.is_none() && diagnostics.is_empty() {
                self.published.remove(&path);
            } else {
                self.published.insert(path, diagnostics);
            }
        }
        news
    }
}

/// The disk, with what is open in the editor in place of what was saved.
struct Overlay<'a> {
    open: &'a HashMap<PathBuf, Document>,
    instead: Option<&'a HashMap<PathBuf, String>>,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if let Some(text) = self.instead.and_then(|instead| instead.get(path)) {
            return Ok(text.clone());
        }
        match self.open.get(path) {
            Some(document) => Ok(document.text.clone()),
            None => regular(path).and_then(|()| Disk.read(path)),
        }
    }

    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        Disk.glob(base, pattern)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        Disk.identity(path)
    }

    fn folders(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        Disk.folders(base, pattern)
    }
}

/// A pipe or a device would have the editor wait for ever. A folder has a message of its own.
fn regular(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?;
    if kind.is_file() || kind.is_dir() { Ok(()) } else { Err(io::Error::other("it is no regular file")) }
}

/// The process, for a file that nobody has vouched for yet.
struct Editor;

impl Surroundings for Editor {
    fn variable(&self, name: &str) -> Option<String> {
        Process.variable(name)
    }

    fn secret(&self, path: &str) -> Result<String, String> {
        let too_large = std::fs::metadata(path).is_ok_and(|kind| kind.len() > LARGEST_SECRET);
        regular(Path::new(path)).map_err(|error| crate::diagnostic::plain(&error))?;
        if too_large { Err("it is larger than 64 KiB".to_owned()) } else { Process.secret(path) }
    }
}

#[cfg(test)]
mod tests;
