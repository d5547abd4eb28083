//! Runs the golden files of an area.

use std::fs;
use std::path::{Path, PathBuf};

const DASHES: &str = "\n-----\n";

/// Checks every file of `tests/golden/<area>`: `render` of its input must be its output.
pub fn run(area: &str, render: impl Fn(&str) -> String) {
    let mut wrong = Vec::new();
    let files = files(area);
    assert!(!files.is_empty(), "tests/golden/{area} holds no golden file");
    for path in files {
        let whole = fs::read_to_string(&path).expect("a golden file can be read");
        // A file without dashes is an input whose output is yet to be written.
        let (input, expected) = match whole.rsplit_once(DASHES) {
            Some((input, expected)) => (format!("{input}\n"), expected),
            None => (whole.clone(), ""),
        };
        // Pictures end lines with spaces where a gutter stands; editors would remove them.
        let found: String = render(&input).lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        if found == expected {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, format!("{}{DASHES}{found}", input.trim_end_matches('\n'))).expect("it can be written");
        } else {
            wrong.push(format!("{}\n--- expected\n{expected}--- found\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} golden files differ\n\n{}", wrong.len(), wrong.join("\n"));
}

/// Hands the input of each golden file of an area on.
pub fn each(area: &str, mut take: impl FnMut(&str)) {
    for path in files(area) {
        let whole = fs::read_to_string(path).expect("a golden file can be read");
        take(whole.rsplit_once(DASHES).map_or(&whole, |(input, _)| input));
    }
}

fn files(area: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(area);
    let entries = fs::read_dir(folder).expect("the area has a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files
}
