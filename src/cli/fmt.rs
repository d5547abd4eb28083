//! `rp fmt`: one canonical form.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Format, Outcome, complain, default_file, findings};
use crate::diagnostic::Sources;
use crate::syntax::format::{diff, format};
use crate::tls::storage::write_atomically;

#[derive(Debug, Args)]
pub struct Fmt {
    /// The files to format; `-` reads standard input and writes standard output [default: Proxyfile]
    files: Vec<PathBuf>,
    /// Change nothing: exit with 1 if a file is not in its canonical form
    #[arg(long)]
    check: bool,
    /// Change nothing: show what would change
    #[arg(long)]
    diff: bool,
}

enum Done {
    Same,
    Differs,
    Broken,
}

impl Fmt {
    pub fn execute(self) -> Outcome {
        let files = if self.files.is_empty() { vec![default_file()] } else { self.files.clone() };
        let (mut differs, mut broken) = (false, false);
        for file in &files {
            match self.file(file) {
                Ok(Done::Same) => {}
                Ok(Done::Differs) => differs = true,
                Ok(Done::Broken) => broken = true,
                Err(error) => return complain(format!("cannot format `{}`: {error}", file.display())),
            }
        }
        if broken || (differs && (self.check || self.diff)) { Outcome::Mistakes } else { Outcome::Clean }
    }

    fn file(&self, path: &Path) -> std::io::Result<Done> {
        let standard = path.as_os_str() == "-";
        let mut before = String::new();
        if standard {
            std::io::stdin().read_to_string(&mut before)?;
        } else {
            before = std::fs::read_to_string(path)?;
        }
        let after = match format(&before) {
            Ok(after) => after,
            Err(mistakes) => {
                let mut sources = Sources::default();
                sources.add(path, before);
                findings::print(&mistakes, &sources, Format::Text);
                return Ok(Done::Broken);
            }
        };
        if self.diff {
            print!("{}", diff(&before, &after, &path.display().to_string()));
        } else if self.check {
            if before != after {
                eprintln!("{} is not formatted: run rp fmt {}", path.display(), path.display());
            }
        } else if standard {
            print!("{after}");
        } else if before != after {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path)?.permissions());
            write_atomically(path, after.as_bytes(), mode & 0o7777)?;
        }
        Ok(if before == after { Done::Same } else { Done::Differs })
    }
}
