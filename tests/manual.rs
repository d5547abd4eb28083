//! What is generated lies in the repository as it would be generated now: the reference manual, the completions of shells
//! and the manual pages. `UPDATE_MANUAL=1 cargo test --test manual` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::Shell;
use clap_mangen::Man;
use proxyfile::check::expand::Surroundings;
use proxyfile::cli::{self, manual};
use proxyfile::diagnostic::terminal::{self, Style};
use proxyfile::syntax::include::Files as Shelf;
use proxyfile::{matcher, model};

/// Names of files, and what is in them.
type Files = BTreeMap<String, String>;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Holds a folder to what is generated for it, or writes it there.
fn hold(name: &str, generated: &Files) {
    let folder = folder(name);
    if std::env::var_os("UPDATE_MANUAL").is_some() {
        write(&folder, generated);
    }
    let differing = differing(&folder, generated);
    assert!(
        differing.is_empty(),
        "{name} is not what would be generated now:\n  {}\nrun UPDATE_MANUAL=1 cargo test --test manual",
        differing.join("\n  ")
    );
}

fn write(folder: &Path, generated: &Files) {
    fs::create_dir_all(folder).unwrap();
    for name in names(folder).difference(&generated.keys().cloned().collect()) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    for (name, text) in generated {
        fs::write(folder.join(name), text).unwrap();
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A line for each file that is missing, differs, or has no business there.
fn differing(folder: &Path, generated: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in generated {
        match fs::read_to_string(folder.join(name)) {
            Err(_) => found.push(format!("{name} is missing")),
            Ok(there) if there != *text => {
                let same = there.lines().zip(text.lines()).take_while(|(there, now)| there == now).count();
                found.push(format!("{name} differs from line {}", same + 1));
            }
            Ok(_) => {}
        }
    }
    let surplus = names(folder).into_iter().filter(|name| !generated.contains_key(name));
    found.extend(surplus.map(|name| format!("{name} is surplus")));
    found
}

#[test]
fn the_comparison_compares() {
    let folder = std::env::temp_dir().join(format!("rp-manual-{}", std::process::id()));
    let files = |names: &[(&str, &str)]| -> Files {
        names.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    write(&folder, &files(&[("old", "1\n"), ("same", "1\n"), ("other", "1\n2\n")]));
    let now = files(&[("same", "1\n"), ("other", "1\n3\n"), ("new", "1\n")]);
    assert_eq!(differing(&folder, &now), ["new is missing", "other differs from line 2", "old is surplus"]);
    write(&folder, &now);
    assert_eq!(differing(&folder, &now), Vec::<String>::new());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_reference_is_what_the_tables_say() {
    hold("docs/reference", &manual::pages().into_iter().collect());
}

fn completion(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "rp", &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn completions_are_of_this_command_line() {
    let shells = [(Shell::Bash, "rp.bash"), (Shell::Zsh, "_rp"), (Shell::Fish, "rp.fish")];
    let completions = shells.map(|(shell, name)| (name.to_owned(), completion(shell)));
    hold("packaging/completions", &completions.into_iter().collect());
}

/// As `cli::Outcome` has it.
const EXIT: &str = ".SH \"EXIT STATUS\"\n.TP\n0\nAll is well.\n.TP\n1\nThe configuration has mistakes, or does not do what it must.\n.TP\n2\nThe command could not do its work.\n";
const BESIDE: &str = "\\fBrp help\\fR explains every directive, matcher and finding by its name.\n";

#[test]
fn manual_pages_are_of_this_command_line() {
    let mut command = cli::command();
    command.build();
    let mut pages = Files::new();
    for page in std::iter::once(&command).chain(command.get_subcommands()) {
        let name = page.get_display_name().unwrap_or(page.get_name()).to_owned();
        let mut text = Vec::new();
        let man = Man::new(page.clone()).source(concat!("rp ", env!("CARGO_PKG_VERSION"))).manual("rp");
        man.render(&mut text).unwrap();
        let others = if name == "rp" { "" } else { ".BR rp (1),\n" };
        // A date that is left out is left out as an empty word, or what follows is taken for it.
        let text = String::from_utf8(text).unwrap().replacen(" 1  \"", " 1 \"\" \"", 1);
        let text = format!("{text}{EXIT}.SH \"SEE ALSO\"\n{others}{BESIDE}");
        pages.insert(format!("{name}.1"), text);
    }
    assert!(pages.contains_key("rp.1") && pages.contains_key("rp-run.1"), "{:?}", pages.keys());
    hold("packaging/man", &pages);
}

/// What bash would offer behind these words.
fn offered(words: &[&str]) -> String {
    let script = format!(
        "{}\ncomplete -p rp >&2 || exit 1; COMP_WORDS=(rp {}); COMP_CWORD={}; \
         _rp rp \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
        completion(Shell::Bash),
        words.join(" "),
        words.len()
    );
    let output = Command::new("bash").args(["--noprofile", "--norc", "-c", &script]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.starts_with("complete ") && errors.lines().count() == 1, "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_takes_its_completions() {
    assert_eq!(offered(&["val"]), "validate");
    assert_eq!(offered(&["validate", "--no"]), "--no-files");
    assert_eq!(offered(&["help", "rev"]), "reverse_proxy");
    assert_eq!(offered(&["validate", "--format", "j"]), "json");
}

struct Nothing;

impl Surroundings for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Result<String, String> {
        Ok("secret".to_owned())
    }
}

/// Whatever is imported is there.
struct OneFile;

impl Shelf for OneFile {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok("http://imported.example { respond ok }\n".to_owned())
    }

    fn glob(&self, base: &Path, _: &str) -> Vec<PathBuf> {
        vec![base.join("imported.proxyfile")]
    }
}

fn findings(text: &str) -> String {
    let checked = model::load_text(Path::new("Proxyfile"), text.to_owned(), &OneFile, &Nothing);
    terminal::render(&checked.findings, &checked.sources, Style { color: false, width: 100 })
}

/// Examples of directives are held by `tests/tidy.rs`.
#[test]
fn examples_outside_of_sites_and_of_matchers_hold() {
    let mut texts = Vec::new();
    for top in std::iter::once(&model::top::SITE).chain(model::top::ROOMS) {
        for example in top.examples {
            // Beside what stands alone: a site, which uses what would be unused.
            let site = match top.name {
                "global" | "import" => ":8080 { reverse_proxy 127.0.0.1:3000 }".to_owned(),
                "upstream" => {
                    format!(":8080 {{ reverse_proxy {} }}", example.split_whitespace().nth(1).unwrap_or_default())
                }
                _ => String::new(),
            };
            texts.push(format!("{example}\n{site}\n"));
        }
    }
    for example in matcher::EXAMPLES {
        texts.push(format!(":8080 {{\n{example}\nreverse_proxy 127.0.0.1:3000\n}}\n"));
    }
    for room in matcher::ROOMS {
        let route = format!("route {} {{ respond ok }}", room.example);
        texts.push(match room.name {
            "status" => format!(":8080 {{\n    reverse_proxy 127.0.0.1:3000\n    handle_errors {{ {route} }}\n}}\n"),
            _ => format!(":8080 {{\n    {route}\n    reverse_proxy 127.0.0.1:3000\n}}\n"),
        });
    }
    assert!(texts.len() > 15, "the tables are where this test looks for them");
    let wrong: Vec<String> = texts
        .iter()
        .map(|text| (text, findings(text)))
        .filter(|(_, said)| !said.is_empty())
        .map(|(text, said)| format!("{text}{said}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
