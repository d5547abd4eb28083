//! A certificate that is kept in two files, read again when either changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificate::Certificate;
use super::trouble::Trouble;

/// Two files and what was last read from them.
#[derive(Debug)]
pub struct Pair {
    certificate_path: PathBuf,
    key_path: PathBuf,
    seen: Stamps,
    certificate: Arc<Certificate>,
}

impl Pair {
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Trouble> {
        // Stamped before it is read, so that what changes meanwhile counts as a change.
        let seen = Stamps::of(certificate, key);
        let loaded = Arc::new(Certificate::load(certificate, key)?);
        Ok(Self { certificate_path: certificate.into(), key_path: key.into(), seen, certificate: loaded })
    }

    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// Certificate and key.
    pub fn paths(&self) -> (&Path, &Path) {
        (&self.certificate_path, &self.key_path)
    }

    /// Whether either file is another one than when it was last read. Two `stat` calls.
    pub fn changed(&self) -> bool {
        self.seen != Stamps::of(&self.certificate_path, &self.key_path)
    }

    /// Reads the files again if they changed, and gives the new certificate. After an error the old one stays, and the
    /// error comes once: it is not tried again before the files change again, as they will when a renewal has written
    /// the certificate and is about to write the key.
    pub fn reload_if_changed(&mut self) -> Result<Option<Arc<Certificate>>, Trouble> {
        let now = Stamps::of(&self.certificate_path, &self.key_path);
        if now == self.seen {
            return Ok(None);
        }
        self.seen = now;
        self.certificate = Arc::new(Certificate::load(&self.certificate_path, &self.key_path)?);
        Ok(Some(Arc::clone(&self.certificate)))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 2]);

/// Links are followed, so a link that is turned to another file is a change. The change time covers what keeps the
/// modification time, as `chmod`, `mv` and `cp -p` do.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    fn of(certificate: &Path, key: &Path) -> Self {
        Self([certificate, key].map(|path| fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))))
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;
    use crate::tls::storage::{PRIVATE, write_atomically};

    #[test]
    fn a_renewal_in_two_steps_is_taken_when_it_is_whole() {
        let (scratch, world) = (Scratch::new(), World::new());
        let (old, new) = (world.sign(&["a.test"]), world.sign(&["b.test"]));
        let (chain, key) = (scratch.write("c.pem", &old.chain), scratch.write("k.pem", &old.key));
        let mut pair = Pair::load(&chain, &key).unwrap();
        assert!(!pair.changed());
        assert!(pair.reload_if_changed().unwrap().is_none());

        write_atomically(&chain, new.chain.as_bytes(), PRIVATE).unwrap();
        assert!(pair.changed());
        assert!(matches!(pair.reload_if_changed(), Err(Trouble::Mismatch { .. })));
        assert!(pair.certificate().covers("a.test"));
        assert!(pair.reload_if_changed().unwrap().is_none());

        write_atomically(&key, new.key.as_bytes(), PRIVATE).unwrap();
        assert!(pair.reload_if_changed().unwrap().expect("changed").covers("b.test"));
        assert!(!pair.changed());
    }

    #[test]
    fn a_turned_link_and_a_lost_file_are_changes() {
        let (scratch, world) = (Scratch::new(), World::new());
        let (old, new) = (world.sign(&["a.test"]), world.sign(&["b.test"]));
        for (folder, signed) in [("one", &old), ("two", &new)] {
            scratch.write(&format!("{folder}/c.pem"), &signed.chain);
            scratch.write(&format!("{folder}/k.pem"), &signed.key);
        }
        let (link, next) = (scratch.path("data"), scratch.path("next"));
        std::os::unix::fs::symlink("one", &link).unwrap();
        let mut pair = Pair::load(&link.join("c.pem"), &link.join("k.pem")).unwrap();
        std::os::unix::fs::symlink("two", &next).unwrap();
        fs::rename(&next, &link).unwrap();
        assert!(pair.reload_if_changed().unwrap().expect("turned").covers("b.test"));
        fs::remove_file(&link).unwrap();
        assert!(matches!(pair.reload_if_changed(), Err(Trouble::Unreadable { .. })));
        assert!(pair.certificate().covers("b.test"));
    }
}
