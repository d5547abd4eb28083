//! `rp trust` and `rp untrust`: whether this machine believes rp's own authority.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, complain, default_file};
use crate::server::Source;
use crate::tls::Storage;
use crate::tls::internal::Authority;
use crate::tls::storage::{PUBLIC, Place, write_atomically};
use crate::tls::trust::{self, TrustTrouble};

#[derive(Debug, Args)]
pub struct Trust {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
pub struct Untrust {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
struct Of {
    /// The configuration whose `storage` holds the authority [default: Proxyfile, if there is one]
    file: Option<PathBuf>,
    /// The storage folder itself
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    storage: Option<PathBuf>,
}

impl Trust {
    pub fn execute(&self) -> Outcome {
        let outcome = self.of.storage().and_then(|storage| {
            // What is there is only read: opened by root, the files of another user would become root's.
            let kept = Authority::kept_root(&storage).transpose();
            let made = || Authority::open(&storage).map(|authority| authority.root_pem().to_owned());
            let root = Lent::of(&storage, &kept.unwrap_or_else(made).map_err(complain)?).map_err(complain)?;
            told(trust::install(&root.path), "trust", &storage)
        });
        outcome.unwrap_or_else(|failed| failed)
    }
}

impl Untrust {
    pub fn execute(&self) -> Outcome {
        let outcome = self.of.storage().and_then(|storage| {
            let Some(pem) = Authority::kept_root(&storage).map_err(complain)? else {
                return Err(complain(format!("there is no authority in `{}`, so nothing trusts it", storage.place())));
            };
            let root = Lent::of(&storage, &pem).map_err(complain)?;
            told(trust::uninstall(&root.path), "untrust", &storage)
        });
        outcome.unwrap_or_else(|failed| failed)
    }
}

impl Of {
    fn storage(&self) -> Result<Storage, Outcome> {
        storage(self.file.as_ref(), self.storage.as_ref())
    }
}

fn told(done: Result<Vec<String>, TrustTrouble>, command: &str, storage: &Storage) -> Result<Outcome, Outcome> {
    match (done, storage.folder()) {
        (Ok(lines), _) => {
            lines.iter().for_each(|line| println!("{line}"));
            Ok(Outcome::Clean)
        }
        // Under `sudo` the storage would be root's own, which holds another authority.
        (Err(TrustTrouble::NotRoot), Some(_)) => Err(complain(format!(
            "only root can change whom this machine trusts. Run:\n\n    sudo rp {command} --storage {}",
            quoted(storage.place())
        ))),
        (Err(trouble), _) => Err(complain(trouble)),
    }
}

/// The folder that is named, else the storage of a configuration.
pub(super) fn storage(file: Option<&PathBuf>, storage: Option<&PathBuf>) -> Result<Storage, Outcome> {
    let folder = |path: &Path| std::path::absolute(path).map(Storage::file).map_err(complain);
    if let Some(storage) = storage {
        return folder(storage);
    }
    let path = file.cloned().unwrap_or_else(default_file);
    if file.is_none() && !path.exists() {
        return Ok(Storage::default());
    }
    let Some(model) = Source::File(path.clone()).load().model else {
        let path = path.display();
        return Err(complain(format!(
            "`{path}` has errors (see `rp validate {path}`), so its storage is not known: name the folder with --storage"
        )));
    };
    match model.global.storage {
        None => Ok(Storage::default()),
        Some(Place::Folder(path)) => folder(&path),
        Some(place) => Storage::open(&place).map_err(complain),
    }
}

/// The root as a file, which is what other programs take.
struct Lent {
    path: PathBuf,
    is_ours: bool,
}

impl Lent {
    fn of(storage: &Storage, pem: &str) -> std::io::Result<Self> {
        if let Some(folder) = storage.folder() {
            return Ok(Self { path: folder.join("internal/root.crt"), is_ours: false });
        }
        let path = std::env::temp_dir().join(format!("rp-root-{}.crt", std::process::id()));
        write_atomically(&path, pem.as_bytes(), PUBLIC)?;
        Ok(Self { path, is_ours: true })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@%".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
