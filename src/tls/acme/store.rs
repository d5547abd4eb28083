//! What is kept of an authority: `acme/<authority>/account.json` in storage, and `<name>/certificate.pem` for each name.
//!
//! Key and chain are one file, so that a crash can't leave a key beside the chain of another.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::Arc;

use time::OffsetDateTime;

use super::super::certificate::Certificate;
use super::super::storage::{Lock, Storage, wait};
use super::super::trouble::Trouble;

const CERTIFICATE: &str = "certificate.pem";
const ACCOUNT: &str = "account.json";
const ROOT: &str = "acme";
/// What stands for `*.` in a folder's name.
const WILDCARD: &str = "wildcard_.";

/// What is kept of one authority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Store {
    storage: Storage,
    folder: String,
}

impl Store {
    /// In a storage, for a directory's URL. Nothing is touched.
    pub fn of(storage: &Storage, directory: &str) -> Self {
        let bare = directory.split_once("://").map_or(directory, |(_, rest)| rest);
        let plain = |sign: char| if sign.is_ascii_alphanumeric() || ".-".contains(sign) { sign } else { '-' };
        let name: String = bare.to_ascii_lowercase().chars().map(plain).take(200).collect();
        Self { storage: storage.clone(), folder: format!("{ROOT}/{}", name.trim_matches(['-', '.'])) }
    }

    /// All authorities in a storage, in the order of their names.
    pub fn all(storage: &Storage) -> Result<Vec<Self>, Trouble> {
        let keys = wait(storage.list(ROOT))?;
        let folder = |key: &str| Some(format!("{ROOT}/{}", key.split('/').nth(1)?));
        let folders: BTreeSet<String> = keys.iter().filter_map(|key| folder(key)).collect();
        Ok(folders.into_iter().map(|folder| Self { storage: storage.clone(), folder }).collect())
    }

    /// An error says that nothing could be kept.
    pub fn prepare(&self) -> Result<(), Trouble> {
        self.storage.prepare(&self.folder)
    }

    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// What is called this in messages.
    pub fn name(&self) -> String {
        self.folder[ROOT.len() + 1..].to_owned()
    }

    /// The names that there are certificates for.
    pub fn names(&self) -> Result<Vec<String>, Trouble> {
        let keys = wait(self.storage.list(&self.folder))?;
        let name = |key: &String| {
            let (name, file) = key[self.folder.len() + 1..].split_once('/')?;
            (file == CERTIFICATE).then(|| name_of(name))
        };
        Ok(keys.iter().filter_map(name).collect())
    }

    /// The certificate of a name; `None` where there is none. It waits on this thread.
    pub fn load(&self, name: &str) -> Result<Option<Arc<Certificate>>, Trouble> {
        wait(self.fetch(name))
    }

    /// The same for those who need not wait.
    pub async fn fetch(&self, name: &str) -> Result<Option<Arc<Certificate>>, Trouble> {
        let key = self.certificate(name);
        let Some(bytes) = self.storage.load(&key).await? else { return Ok(None) };
        let place = self.storage.name_of(&key);
        Certificate::from_named_pem((&place, &bytes), (&place, &bytes)).map(Arc::new).map(Some)
    }

    /// Keeps a key and its chain, both PEM. Under a lock that another has by now nothing is kept, which is false.
    pub async fn save(&self, lock: Option<&Lock>, name: &str, key: &str, chain: &str) -> Result<bool, Trouble> {
        let (at, pem) = (self.certificate(name), format!("{}\n{chain}", key.trim_end()));
        let is_kept = match lock {
            Some(lock) => self.storage.store_under(lock, &at, pem.as_bytes()).await?,
            None => self.storage.store(&at, pem.as_bytes()).await.map(|()| true)?,
        };
        if let Err(trouble) = self.storage.set_mark().await {
            tracing::debug!(name, %trouble, "other instances are not told of a certificate");
        }
        Ok(is_kept)
    }

    /// Forgets the certificate of a name, if there is one.
    pub async fn remove(&self, name: &str) -> Result<(), Trouble> {
        self.storage.delete(&self.certificate(name)).await?;
        self.storage.set_mark().await
    }

    /// The right to ask for a name's certificate, which one instance has at a time; `None` while another has it.
    pub async fn lock(&self, name: &str) -> Result<Option<Lock>, Trouble> {
        self.storage.lock(&format!("{}/{}", self.folder, folder_of(name))).await
    }

    /// The right to open the account; `None` while another has it.
    pub(super) async fn lock_account(&self) -> Result<Option<Lock>, Trouble> {
        self.storage.lock(&format!("{}/{ACCOUNT}", self.folder)).await
    }

    pub(super) async fn account(&self) -> Result<Option<String>, Trouble> {
        self.storage.load_text(&format!("{}/{ACCOUNT}", self.folder)).await
    }

    pub(super) async fn save_account(&self, text: &str) -> Result<(), Trouble> {
        self.storage.store(&format!("{}/{ACCOUNT}", self.folder), text.as_bytes()).await
    }

    /// What cannot be read may still be of use to somebody.
    pub(super) async fn set_account_aside(&self, text: &str) -> Result<(), Trouble> {
        self.storage.store(&format!("{}/{ACCOUNT}.broken", self.folder), text.as_bytes()).await
    }

    /// A host has no slash and no empty label, so it is one segment of a key and never a way out. The colons of an
    /// address may mean something to whoever keeps it.
    fn certificate(&self, name: &str) -> String {
        format!("{}/{}/{CERTIFICATE}", self.folder, folder_of(name))
    }
}

/// What lies in storage for a name, and of which authority: of the first whose certificate is good for some time, else the
/// one that is good for longest.
pub(super) fn kept(stores: &[Store], name: &str, now: OffsetDateTime) -> Option<(usize, Arc<Certificate>)> {
    let load = |(at, store): (usize, &Store)| {
        let certificate = store.load(name).unwrap_or_else(|trouble| {
            tracing::warn!(name, error = %trouble, "a kept certificate cannot be used");
            None
        });
        certificate.filter(|certificate| certificate.covers(name)).map(|certificate| (at, certificate))
    };
    let mut all: Vec<_> = stores.iter().enumerate().filter_map(load).collect();
    let good = all.iter().position(|(_, certificate)| !certificate.needs_renewal(now));
    let longest = || all.iter().enumerate().max_by_key(|(_, (_, kept))| kept.not_after()).map(|(at, _)| at);
    good.or_else(longest).map(|at| all.swap_remove(at))
}

/// A star in a folder's name is asking for an accident in a shell. No authority gives a certificate for a name with an
/// underscore, so no other name has this folder.
fn folder_of(name: &str) -> String {
    // The colons of an address may mean something to whoever keeps it.
    name.strip_prefix("*.").map_or_else(|| name.replace(':', "-"), |rest| format!("{WILDCARD}{rest}"))
}

fn name_of(folder: &str) -> String {
    if let Ok(address) = folder.replace('-', ":").parse::<Ipv6Addr>() {
        return address.to_string();
    }
    folder.strip_prefix(WILDCARD).map_or_else(|| folder.to_owned(), |rest| format!("*.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::acme::LETS_ENCRYPT;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;

    #[test]
    fn an_authority_has_a_folder_of_its_own() {
        let folder = |directory| Store::of(&Storage::file("/s"), directory).folder;
        assert_eq!(folder(LETS_ENCRYPT), "acme/acme-v02.api.letsencrypt.org-directory");
        assert_eq!(folder("https://CA.test:14000/dir/"), "acme/ca.test-14000-dir");
        assert_eq!(folder("https://../../x"), "acme/x");
    }

    #[test]
    fn xt12_what_is_kept_is_found_again_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Scratch::new();
        let store = Store::of(&scratch.storage(), LETS_ENCRYPT);
        store.prepare().unwrap();
        assert!(store.load("a.test").unwrap().is_none());
        let signed = World::new().sign(&["a.test"]);
        assert!(wait(store.save(None, "a.test", &signed.key, &signed.chain)).unwrap());
        let kept = store.load("a.test").unwrap().unwrap();
        assert!(kept.covers("a.test"));
        wait(store.save_account("{}")).unwrap();
        assert_eq!(store.names().unwrap(), ["a.test"]);
        assert_eq!(Store::all(&scratch.storage()).unwrap(), std::slice::from_ref(&store));
        let mode = |key: &str| std::fs::metadata(scratch.path(key)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.certificate("a.test")), 0o600);
        assert_eq!(mode(&store.folder), 0o700);
    }

    #[test]
    fn a_wildcard_has_a_folder_without_a_star() {
        let scratch = Scratch::new();
        let store = Store::of(&scratch.storage(), LETS_ENCRYPT);
        let signed = World::new().sign(&["*.a.test"]);
        assert!(wait(store.save(None, "*.a.test", &signed.key, &signed.chain)).unwrap());
        assert!(scratch.path(&format!("{}/wildcard_.a.test/certificate.pem", store.folder)).is_file());
        assert_eq!(store.names().unwrap(), ["*.a.test"]);
        assert!(store.load("*.a.test").unwrap().is_some_and(|kept| kept.covers("b.a.test")));
    }

    #[test]
    fn a_broken_file_is_told() {
        let scratch = Scratch::new();
        let store = Store::of(&scratch.storage(), LETS_ENCRYPT);
        scratch.write("acme/acme-v02.api.letsencrypt.org-directory/a.test/certificate.pem", "nothing");
        assert!(store.load("a.test").is_err());
    }

    #[test]
    fn one_asks_at_a_time() {
        let scratch = Scratch::new();
        let store = Store::of(&scratch.storage(), LETS_ENCRYPT);
        let held = wait(store.lock("a.test")).unwrap().unwrap();
        assert!(wait(store.lock("a.test")).unwrap().is_none());
        assert!(wait(store.lock("b.test")).unwrap().is_some());
        wait(store.storage().release(held));
        assert!(wait(store.lock("a.test")).unwrap().is_some());
    }
}
