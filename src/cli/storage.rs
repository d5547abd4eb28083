//! `rp storage`: what is kept, as one file, to move it to another storage.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Outcome, complain, trust};
use crate::diagnostic::plain;
use crate::tls::storage::{PRIVATE, archive, write_atomically};

#[derive(Debug, Args)]
pub struct Storage {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write accounts, certificates, keys and rp's own authority to a file, which its owner alone can read
    Export(Transfer),
    /// Put what was exported into the storage, over what is there under the same names
    Import(Transfer),
}

#[derive(Debug, Args)]
struct Transfer {
    /// The archive; `-` is standard output, or standard input
    archive: PathBuf,
    /// The configuration whose `storage` is meant [default: Proxyfile, if there is one]
    file: Option<PathBuf>,
    /// The storage folder itself
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    storage: Option<PathBuf>,
}

impl Storage {
    pub fn execute(&self) -> Outcome {
        let outcome = match &self.command {
            Command::Export(transfer) => transfer.export(),
            Command::Import(transfer) => transfer.import(),
        };
        outcome.err().unwrap_or(Outcome::Clean)
    }
}

impl Transfer {
    fn export(&self) -> Result<(), Outcome> {
        let storage = trust::storage(self.file.as_ref(), self.storage.as_ref())?;
        let text = archive::export(&storage).map_err(complain)?;
        let written = if self.archive == Path::new("-") {
            std::io::stdout().write_all(text.as_bytes())
        } else {
            write_atomically(&self.archive, text.as_bytes(), PRIVATE)
        };
        written.map_err(|error| complain(format!("cannot write `{}`: {}", self.archive.display(), plain(&error))))
    }

    fn import(&self) -> Result<(), Outcome> {
        let mut text = String::new();
        let read = if self.archive == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map(drop)
        } else {
            std::fs::read_to_string(&self.archive).map(|read| text = read)
        };
        read.map_err(|error| complain(format!("cannot read `{}`: {}", self.archive.display(), plain(&error))))?;
        let storage = trust::storage(self.file.as_ref(), self.storage.as_ref())?;
        let count = archive::import(&storage, &text).map_err(complain)?;
        eprintln!("{count} things are now in `{}`", storage.place());
        Ok(())
    }
}
