//! Texts with a cursor, for the tests of what answers an editor.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::configuration::Configuration;
use super::cursor::Cursor;
use super::workspace::{Document, Workspace};
use super::{actions, complete, hover, navigate, symbols, tokens};
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

/// Whatever is asked, wherever, of whatever text: somebody answers.
#[test]
fn anything_can_be_asked_anywhere() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut texts: Vec<String> = std::fs::read_dir(examples)
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("Proxyfile")).ok())
        .collect();
    texts.push(
        "snippet s(a=\"ä) { use s \"{arg.a}\" }\nupstream \"ä\na { reverse_proxy \"ä\\n\" `ö {\n@é path \"".to_owned(),
    );
    texts.push(format!(
        "{}{}",
        "snippet a { use b; use b }\nsnippet b { use a; use a }\n",
        "a { use a; b ".repeat(100)
    ));
    assert!(texts.len() > 10);
    for text in texts {
        for cut in (0..text.len()).step_by(149).chain([text.len()]) {
            let cut = text.floor_char_boundary(cut);
            for typed in ["", "{", "\"ä", "@", "\n}\n}"] {
                ask_everything(&format!("{}{typed}{}", &text[..cut], &text[cut..]), cut + typed.len());
                ask_everything(&format!("{}{typed}", &text[..cut]), cut + typed.len());
            }
        }
    }
}

fn ask_everything(text: &str, offset: usize) {
    let path = PathBuf::from("/w/Proxyfile");
    let mut workspace = Workspace::default();
    let uri = super::uri::uri(&path).unwrap();
    workspace.put(path.clone(), Document { uri, version: 1, text: text.to_owned() });
    let configuration = workspace.configuration(&path);
    let offset = Span::new(0, offset, offset).start;
    let cursor = Cursor::new(&configuration, 0, offset);
    let _ = hover::hover(&configuration, &cursor);
    for sign in [None, Some("{")] {
        let _ = complete::complete(&configuration, &cursor, sign);
    }
    let _ = navigate::definitions(&configuration, 0, offset);
    let _ = navigate::rename(&workspace, &configuration, 0, offset, "x");
    let _ = symbols::symbols(&configuration, 0);
    let _ = tokens::tokens(&configuration, 0);
    let _ = actions::actions(&configuration, 0, configuration.range(configuration.whole(0)), &workspace);
    assert!(!workspace.diagnose().is_empty());
}
