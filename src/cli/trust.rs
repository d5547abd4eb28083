//! `rp trust`: makes this machine believe rp's own authority.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, complain, default_file};
use crate::server::Source;
use crate::tls::default_storage;
use crate::tls::internal::Authority;
use crate::tls::trust::{self, TrustTrouble};

#[derive(Debug, Args)]
pub struct Trust {
    /// The configuration whose `storage` holds the authority [default: Proxyfile, if there is one]
    file: Option<PathBuf>,
    /// The storage folder itself
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    storage: Option<PathBuf>,
    /// Take the trust back
    #[arg(long)]
    uninstall: bool,
}

impl Trust {
    pub fn execute(&self) -> Outcome {
        let storage = match storage(self.file.as_ref(), self.storage.as_ref()) {
            Ok(storage) => storage,
            Err(outcome) => return outcome,
        };
        let root = storage.join("internal/root.crt");
        // What is there is only read: opened by root, the files of another user would become root's.
        if !root.exists() {
            if self.uninstall {
                return complain(format!("there is no authority in `{}`, so nothing trusts it", storage.display()));
            }
            if let Err(trouble) = Authority::open(&storage) {
                return complain(trouble);
            }
        }
        let done = if self.uninstall { trust::uninstall(&root) } else { trust::install(&root) };
        match done {
            Ok(lines) => {
                lines.iter().for_each(|line| println!("{line}"));
                Outcome::Clean
            }
            // Under `sudo` the storage would be root's own, which holds another authority.
            Err(TrustTrouble::NotRoot) => complain(format!(
                "only root can change whom this machine trusts. Run:\n\n    sudo rp trust{} --storage {}",
                if self.uninstall { " --uninstall" } else { "" },
                quoted(&storage.display().to_string())
            )),
            Err(trouble) => complain(trouble),
        }
    }
}

/// The folder that is named, else that of a configuration.
pub(super) fn storage(file: Option<&PathBuf>, storage: Option<&PathBuf>) -> Result<PathBuf, Outcome> {
    if let Some(storage) = storage {
        return std::path::absolute(storage).map_err(complain);
    }
    let path = file.cloned().unwrap_or_else(default_file);
    if file.is_none() && !path.exists() {
        return Ok(default_storage());
    }
    let Some(model) = Source::File(path.clone()).load().model else {
        let path = path.display();
        return Err(complain(format!(
            "`{path}` has errors (see `rp validate {path}`), so its storage is not known: name the folder with --storage"
        )));
    };
    std::path::absolute(model.global.storage.unwrap_or_else(default_storage)).map_err(complain)
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@%".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
