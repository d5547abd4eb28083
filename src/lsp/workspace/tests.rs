//! Files that belong together, and what the editor is told of them.

use std::path::Path;

use crate::lsp::testing::at_cursor;
use crate::lsp::workspace::Document;

#[test]
fn a_file_is_checked_through_the_proxyfile_that_imports_it() {
    let text = "import sites/a.conf\nupstream api { server 10.0.0.1:1 }\n== sites/a.conf\nhttp://a.com { |reverse_proxy api }\n";
    let mut scene = at_cursor(text);
    assert_eq!(scene.configuration.root, Path::new("/w/Proxyfile"));
    assert_eq!(scene.configuration.checked.findings, []);
    // No longer imported, it stands for itself.
    scene.workspace.document(Path::new("/w/Proxyfile")).unwrap().text = "http://b.com { respond ok }\n".to_owned();
    scene.workspace.changed();
    let alone = scene.workspace.configuration(&scene.path);
    assert_eq!((alone.root.as_path(), alone.errors()), (scene.path.as_path(), 1));
}

#[test]
fn findings_go_away_with_what_they_were_about() {
    let mut scene = at_cursor("import a.conf\n== a.conf\nhttp://a.com { respnd }\n");
    let path = Path::new("/w/a.conf");
    let count = |news: &[lsp_types::PublishDiagnosticsParams]| {
        let mut count: Vec<_> = news.iter().map(|one| (one.uri.as_str().to_owned(), one.diagnostics.len())).collect();
        count.sort();
        count
    };
    let both = |first, second| vec![("file:///w/Proxyfile".to_owned(), first), ("file:///w/a.conf".to_owned(), second)];
    assert_eq!(count(&scene.workspace.diagnose()), both(0, 1));
    let uri = scene.workspace.uri(path).unwrap();
    let text = "http://a.com { respond ok }\n".to_owned();
    scene.workspace.put(path.to_owned(), Document { uri, version: 2, text });
    assert_eq!(count(&scene.workspace.diagnose()), both(0, 0));
    // The disk has no such file.
    scene.workspace.close(path);
    assert_eq!(count(&scene.workspace.diagnose()), [("file:///w/Proxyfile".to_owned(), 1)]);
    scene.workspace.close(Path::new("/w/Proxyfile"));
    assert_eq!(count(&scene.workspace.diagnose()), [("file:///w/Proxyfile".to_owned(), 0)]);
    assert_eq!(count(&scene.workspace.diagnose()), []);
}
