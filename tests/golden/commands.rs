//! Commands on files: what they say, and how they end.

use std::process::Stdio;

use crate::e2e::{Folder, command};

/// Runs the command of the first line, `# $ rp explain http://example.com/`, in a folder with the files of the input: the
/// first is the Proxyfile, and a line `=== NAME` begins each other.
pub fn run(input: &str) -> String {
    let folder = Folder::new();
    let mut parts = input.split("=== ");
    let first = parts.next().unwrap_or_default();
    let line = first.lines().next().and_then(|line| line.strip_prefix("# $ rp ")).expect("a command comes first");
    folder.write("Proxyfile", first);
    for part in parts {
        let (name, text) = part.split_once('\n').expect("a name and a text");
        folder.write(name, text);
    }
    // The shell takes the line apart as it does for people.
    let rp = command(&folder);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("exec \"$RP\" {line} 2>&1")).env("RP", rp.get_program()).env("COLUMNS", "100");
    for (name, value) in rp.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.current_dir(folder.path()).stdin(Stdio::null()).output().expect("a shell can be run");
    let mut said = String::from_utf8(output.stdout).expect("it is text");
    if !output.status.success() {
        said = format!("{said}[{}]\n", output.status);
    }
    timeless(&said)
}

/// How long something took is another time each time.
fn timeless(said: &str) -> String {
    let mut parts = said.split(" time=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, part| {
        format!("{before} time=\"0{}", part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'))
    })
}
