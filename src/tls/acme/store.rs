//! What is kept of an authority: `<storage>/acme/<authority>/account.json`, and `<name>/certificate.pem` for each name.
//!
//! Key and chain are one file, so that a crash can't leave a key beside the chain of another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::certificate::Certificate;
use super::super::storage::{PRIVATE, private_folder, write_atomically};
use super::super::trouble::{Part, Trouble};

const CERTIFICATE: &str = "certificate.pem";

/// The folder of one authority. Files in it are read by their owner alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Below a storage folder, for a directory's URL. Nothing is touched.
    pub fn of(storage: &Path, directory: &str) -> Self {
        let bare = directory.split_once("://").map_or(directory, |(_, rest)| rest);
        let plain = |sign: char| if sign.is_ascii_alphanumeric() || ".-".contains(sign) { sign } else { '-' };
        let name: String = bare.to_ascii_lowercase().chars().map(plain).take(200).collect();
        Self { folder: storage.join("acme").join(name.trim_matches(['-', '.'])) }
    }

    /// All authorities below a storage folder, in the order of their names.
    pub fn all(storage: &Path) -> io::Result<Vec<Self>> {
        let folders = folders(&storage.join("acme"))?;
        Ok(folders.into_iter().map(|folder| Self { folder }).collect())
    }

    /// Makes the folder; an error says that nothing could be kept.
    pub fn prepare(&self) -> Result<(), Trouble> {
        private_folder(&self.folder).map_err(|why| Trouble::Storage { path: self.folder.clone(), why })
    }

    /// What is called this in messages.
    pub fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The names that there are certificates for.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let named = |folder: PathBuf| {
            let is_there = folder.join(CERTIFICATE).is_file();
            is_there.then(|| folder.file_name().map(|name| name.to_string_lossy().into_owned())).flatten()
        };
        Ok(folders(&self.folder)?.into_iter().filter_map(named).collect())
    }

    /// The certificate of a name; `None` where there is no file.
    pub fn load(&self, name: &str) -> Result<Option<Arc<Certificate>>, Trouble> {
        let path = self.certificate(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(Trouble::Unreadable { part: Part::Key, file: path.display().to_string(), why }),
        };
        let file = path.display().to_string();
        Certificate::from_named_pem((&file, &bytes), (&file, &bytes)).map(Arc::new).map(Some)
    }

    /// Keeps a key and its chain, both PEM.
    pub fn save(&self, name: &str, key: &str, chain: &str) -> Result<(), Trouble> {
        let path = self.certificate(name);
        let folder = path.parent().unwrap_or(&self.folder);
        private_folder(folder)
            .and_then(|()| write_atomically(&path, format!("{}\n{chain}", key.trim_end()).as_bytes(), PRIVATE))
            .map_err(|why| Trouble::Storage { path: path.clone(), why })
    }

    pub(super) fn account(&self) -> Result<Option<String>, Trouble> {
        let path = self.folder.join("account.json");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(Trouble::Storage { path, why }),
        }
    }

    pub(super) fn save_account(&self, text: &str) -> Result<(), Trouble> {
        let path = self.folder.join("account.json");
        private_folder(&self.folder)
            .and_then(|()| write_atomically(&path, text.as_bytes(), PRIVATE))
            .map_err(|why| Trouble::Storage { path, why })
    }

    /// A host has no slash and no empty label, so it is a folder's name and never a way out.
    fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(name).join(CERTIFICATE)
    }
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::acme::LETS_ENCRYPT;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;

    #[test]
    fn an_authority_has_a_folder_of_its_own() {
        let folder = |directory| Store::of(Path::new("/s"), directory).folder.display().to_string();
        assert_eq!(folder(LETS_ENCRYPT), "/s/acme/acme-v02.api.letsencrypt.org-directory");
        assert_eq!(folder("https://CA.test:14000/dir/"), "/s/acme/ca.test-14000-dir");
        assert_eq!(folder("https://../../x"), "/s/acme/x");
    }

    #[test]
    fn xt12_what_is_kept_is_found_again_and_private() {
        let scratch = Scratch::new();
        let store = Store::of(&scratch.0, LETS_ENCRYPT);
        store.prepare().unwrap();
        assert!(store.load("a.test").unwrap().is_none());
        let signed = World::new().sign(&["a.test"]);
        store.save("a.test", &signed.key, &signed.chain).unwrap();
        let kept = store.load("a.test").unwrap().unwrap();
        assert!(kept.covers("a.test"));
        assert_eq!(store.names().unwrap(), ["a.test"]);
        assert_eq!(Store::all(&scratch.0).unwrap(), std::slice::from_ref(&store));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.certificate("a.test")), 0o600);
        assert_eq!(mode(&store.folder), 0o700);
    }

    #[test]
    fn a_broken_file_is_told() {
        let scratch = Scratch::new();
        let store = Store::of(&scratch.0, LETS_ENCRYPT);
        scratch.write("acme/acme-v02.api.letsencrypt.org-directory/a.test/certificate.pem", "nothing");
        assert!(store.load("a.test").is_err());
    }
}
