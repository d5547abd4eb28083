//! Paths of files and folders.

use std::path::{Path, PathBuf};

use lsp_types::{CompletionItem, CompletionItemKind};

use super::{Completion, Offer};
use crate::diagnostic::Span;

/// Names of a folder that are offered.
const MOST: usize = 500;

impl Completion<'_> {
    /// An import is relative to the file that it stands in.
    pub(super) fn folder_of_file(&self) -> PathBuf {
        let path = &self.configuration.source(self.cursor.file).path;
        path.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// Everything else is relative to where rp is started, and that is most likely beside the Proxyfile.
    pub(super) fn folder_of_root(&self) -> PathBuf {
        self.configuration.root.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// What the folder holds that is named so far; folders with a slash, to go on from there.
    pub(super) fn files(&self, base: &Path) -> Vec<CompletionItem> {
        let (prefix, at) = self.cursor.prefix();
        let quotes = prefix.len() - prefix.trim_start_matches(['"', '`']).len();
        let written = &prefix[quotes..];
        let (folder, name) =
            written.rsplit_once('/').map_or(("", written), |(_, name)| written.split_at(written.len() - name.len()));
        let Ok(entries) = std::fs::read_dir(base.join(folder)) else { return Vec::new() };
        let names = entries.filter_map(Result::ok).filter_map(|entry| {
            let label = entry.file_name().into_string().ok()?;
            // A word with white space would have to be quoted.
            let shown = (name.starts_with('.') || !label.starts_with('.')) && !label.contains(char::is_whitespace);
            shown.then(|| (label, entry.path().is_dir()))
        });
        let mut names: Vec<(String, bool)> = names.take(MOST).collect();
        names.sort();
        let offers = names.into_iter().map(|(name, is_folder)| {
            if is_folder {
                Offer::new(format!("{name}/"), CompletionItemKind::FOLDER)
            } else {
                Offer::new(name, CompletionItemKind::FILE)
            }
        });
        let start = at.start as usize + quotes + folder.len();
        self.items(offers.collect(), Span::new(at.file, start, at.end as usize))
    }
}
