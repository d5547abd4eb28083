//! Texts with a cursor, for the tests of what answers an editor.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::configuration::Configuration;
use super::workspace::{Document, Workspace};
use crate::diagnostic::{FileId, Span};

pub(super) struct Scene {
    pub workspace: Workspace,
    pub configuration: Rc<Configuration>,
    pub path: PathBuf,
    pub file: FileId,
    pub offset: u32,
}

/// Files that are open: the first is `/w/Proxyfile`, each other one begins with a line `== name`. A `|` is the cursor.
pub(super) fn at_cursor(text: &str) -> Scene {
    let mut workspace = Workspace::default();
    let mut cursor = None;
    for part in format!("== Proxyfile\n{text}").split("== ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        let path = Path::new("/w").join(name);
        if let Some(at) = text.find('|') {
            cursor = Some((path.clone(), at));
        }
        let uri = super::uri::uri(&path).unwrap();
        workspace.put(path, Document { uri, version: 1, text: text.replacen('|', "", 1) });
    }
    let (path, at) = cursor.unwrap_or((PathBuf::from("/w/Proxyfile"), 0));
    let configuration = workspace.configuration(&path);
    let file = configuration.file(&path).unwrap();
    let offset = Span::new(file, at, at).start;
    Scene { workspace, configuration, path, file, offset }
}
