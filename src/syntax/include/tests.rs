//! Imports, from a disk that is a list.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;

struct List(BTreeMap<PathBuf, String>);

impl List {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect())
    }
}

impl Files for List {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Knows one pattern: all in a folder.
    fn glob(&self, base: &Path, pattern: &str) -> Vec<PathBuf> {
        let folder = base.join(pattern.trim_end_matches('*'));
        self.0.keys().filter(|path| path.starts_with(&folder)).cloned().collect()
    }
}

fn check(files: &[(&str, &str)], expected: &str) -> Loaded {
    let loaded = load(Path::new(files[0].0), &List::new(files));
    let mut found = String::new();
    names(&loaded.tree, &mut found);
    for mistake in loaded.findings.clone().sorted() {
        let _ = writeln!(found, "{} {}: {}", mistake.code, loaded.sources.place(mistake.at), mistake.text);
    }
    assert_eq!(found, expected);
    loaded
}

fn names(block: &Block, out: &mut String) {
    for node in &block.nodes {
        out.push_str(node.name());
        if let Some(block) = &node.block {
            out.push_str(" { ");
            names(block, out);
            out.push_str("} ");
        } else {
            out.push(' ');
        }
    }
    if !block.nodes.is_empty() && block.span.start == 0 {
        out.push('\n');
    }
}

#[test]
fn an_import_is_replaced_in_place() {
    let loaded = check(
        &[
            ("conf/Proxyfile", "a\nimport sites/*\nz { import common/log.conf; b }\n"),
            ("conf/sites/1.conf", "one { x }"),
            ("conf/sites/2.conf", "import ../common/log.conf\ntwo"),
            ("conf/common/log.conf", "log json"),
        ],
        "a one { x } log two z { log b } \n",
    );
    let watched: Vec<String> = loaded.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(
        watched,
        ["conf/Proxyfile", "conf/sites", "conf/sites/1.conf", "conf/sites/2.conf", "conf/common/log.conf"]
    );
}

#[test]
fn a_loop_shows_its_whole_chain() {
    check(
        &[("Proxyfile", "import a"), ("a", "x\nimport b"), ("b", "import ./a")],
        "x \nE0030 b:1:8: this import closes a loop: `a` → `b` → `a`\n",
    );
    check(&[("a", "import a")], "E0030 a:1:8: `a` imports itself\n");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let loaded = check(
        &[("Proxyfile", "import a\nimport sites/*\nimport\nimport b c\nimport {$DIR}/x\nimport \"\"\n")],
        "E0031 Proxyfile:1:8: cannot import `a`: there is no such file\n\
         W0004 Proxyfile:2:8: no file matches `sites/*`\n\
         E0022 Proxyfile:3:1: `import` does not say what\n\
         E0031 Proxyfile:4:8: cannot import `b`: there is no such file\n\
         E0023 Proxyfile:4:10: `import` takes one path or pattern\n\
         E0029 Proxyfile:5:8: the path of an `import` holds a placeholder\n\
         E0022 Proxyfile:6:8: this path is empty\n",
    );
    assert!(loaded.files.contains(&PathBuf::from("a")), "a file that appears later is worth a reload");
}

#[test]
fn a_file_that_is_not_there_is_a_finding() {
    let loaded = load(Path::new("Proxyfile"), &List::new(&[]));
    let [mistake] = &loaded.findings.sorted()[..] else { panic!("one finding") };
    assert_eq!((mistake.code, mistake.text.as_str()), (Code::E0009, "cannot read `Proxyfile`: there is no such file"));
}

#[test]
fn imports_that_double_end() {
    let files: Vec<(String, String)> =
        (0..40).map(|n| (format!("f{n}"), format!("import f{}\nimport f{}\n", n + 1, n + 1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let loaded = load(Path::new("f0"), &List::new(&files));
    assert!(loaded.findings.has_errors());
    assert_eq!(loaded.sources.files().count(), 40);
}

#[test]
fn imports_that_nest_end() {
    let deep = "a { ".repeat(40) + "import next" + &" }".repeat(40);
    let loaded = load(Path::new("f"), &List::new(&[("f", &deep), ("next", &deep.replace("import next", "x"))]));
    let found = loaded.findings.sorted();
    assert_eq!(found.iter().map(|mistake| mistake.code).collect::<Vec<_>>(), [Code::E0008]);
    let chain: Vec<(String, String)> = (0..100).map(|n| (format!("f{n}"), format!("import f{}\n", n + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let found = load(Path::new("f0"), &List::new(&chain)).findings.sorted();
    assert_eq!(found.iter().map(|mistake| mistake.code).collect::<Vec<_>>(), [Code::E0031]);
}

#[test]
fn the_disk_says_where_a_file_is_not_utf8() {
    let path = std::env::temp_dir().join(format!("proxyfile-latin-{}", std::process::id()));
    std::fs::write(&path, b"a\nb \xe9\n").unwrap();
    let error = Disk.read(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.to_string(), "line 2 is not UTF-8 (byte 4 of the file)");
}
