//! What a machine keeps of a storage elsewhere, so that it starts while that cannot be reached: certificates, and the root
//! of rp's own authority.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::file::Folder;
use super::{Backend, Lock, MARK, Work};
use crate::tls::trouble::Trouble;

/// A storage elsewhere, and a folder that follows it.
#[derive(Debug)]
pub(super) struct Copied {
    remote: Box<dyn Backend>,
    local: Folder,
    /// The last question had no answer, and that has been told.
    told: AtomicBool,
}

impl Copied {
    pub fn new(remote: Box<dyn Backend>, folder: &Path) -> Self {
        Self { remote, local: Folder::new(folder), told: AtomicBool::new(false) }
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        if !is_copied(key) {
            return self.remote.load(key).await;
        }
        match self.remote.load(key).await {
            Ok(Some(bytes)) => {
                self.told.store(false, Ordering::Relaxed);
                self.follow(key, &bytes).await;
                Ok(Some(bytes))
            }
            Ok(None) => self.bring_back(key).await,
            Err(trouble) => match self.local.load(key).await {
                Ok(Some(bytes)) => {
                    if !self.told.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%trouble, "the copies of this machine are used");
                    }
                    Ok(Some(bytes))
                }
                _ => Err(trouble),
            },
        }
    }

    /// A server that came up empty would have every name asked for again. Where it still has its mark, somebody wanted this
    /// to be gone.
    async fn bring_back(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let Ok(Some(bytes)) = self.local.load(key).await else { return Ok(None) };
        if self.remote.load(MARK).await?.is_some() {
            self.local.delete(key).await?;
            return Ok(None);
        }
        tracing::warn!(key, "storage has lost this: the copy of this machine is put back");
        self.remote.store(key, &bytes, None).await?;
        Ok(Some(bytes))
    }

    /// A copy that cannot be written is missed only if the server is, too.
    async fn follow(&self, key: &str, bytes: &[u8]) {
        if matches!(self.local.load(key).await, Ok(Some(kept)) if kept == bytes) {
            return;
        }
        if let Err(trouble) = self.local.store(key, bytes, None).await {
            tracing::debug!(key, %trouble, "no copy is kept");
        }
    }
}

/// What a start needs, and nothing that others change under a lock.
fn is_copied(key: &str) -> bool {
    key.starts_with("internal/") || (key.starts_with("acme/") && key.ends_with("/certificate.pem"))
}

impl Backend for Copied {
    fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>> {
        Box::pin(self.read(key))
    }

    fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], lock: Option<&'a Lock>) -> Work<'a, bool> {
        Box::pin(async move {
            let outcome = self.remote.store(key, bytes, lock).await;
            // What could not be stored is kept here at least.
            if is_copied(key) && !matches!(outcome, Ok(false)) {
                self.follow(key, bytes).await;
            }
            outcome
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            self.remote.delete(key).await?;
            if is_copied(key) { self.local.delete(key).await } else { Ok(()) }
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>> {
        self.remote.list(folder)
    }

    fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>> {
        self.remote.lock(name)
    }

    fn extend<'a>(&'a self, lock: &'a Lock) -> Work<'a, bool> {
        self.remote.extend(lock)
    }

    fn release(&self, lock: Lock) -> Work<'_, ()> {
        self.remote.release(lock)
    }

    fn lease(&self) -> Option<Duration> {
        self.remote.lease()
    }

    fn period(&self) -> Duration {
        self.remote.period()
    }

    fn prepare(&self, folder: &str) -> Result<(), Trouble> {
        self.remote.prepare(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::Scratch;
    use super::super::wait;
    use super::*;

    /// A folder that can be out of reach.
    #[derive(Debug)]
    struct Far(Folder, Arc<AtomicBool>);

    impl Far {
        fn asked(&self) -> Result<(), Trouble> {
            let unreachable = || Trouble::Unreachable { place: "far".to_owned(), why: "gone".to_owned() };
            if self.1.load(Ordering::Relaxed) { Err(unreachable()) } else { Ok(()) }
        }
    }

    impl Backend for Far {
        fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>> {
            Box::pin(async move { self.asked().map(|()| self.0.load(key))?.await })
        }
        fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], lock: Option<&'a Lock>) -> Work<'a, bool> {
            Box::pin(async move { self.asked().map(|()| self.0.store(key, bytes, lock))?.await })
        }
        fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()> {
            self.0.delete(key)
        }
        fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>> {
            self.0.list(folder)
        }
        fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>> {
            self.0.lock(name)
        }
        fn extend<'a>(&'a self, lock: &'a Lock) -> Work<'a, bool> {
            self.0.extend(lock)
        }
        fn release(&self, lock: Lock) -> Work<'_, ()> {
            self.0.release(lock)
        }
        fn lease(&self) -> Option<Duration> {
            None
        }
        fn period(&self) -> Duration {
            self.0.period()
        }
        fn prepare(&self, folder: &str) -> Result<(), Trouble> {
            self.0.prepare(folder)
        }
    }

    #[test]
    fn a_machine_goes_on_with_its_copies() {
        let (far, near) = (Scratch::new(), Scratch::new());
        let gone = Arc::new(AtomicBool::new(false));
        let copied = Copied::new(Box::new(Far(Folder::new(&far.0), Arc::clone(&gone))), &near.0);
        let (certificate, account) = ("acme/ca/a.test/certificate.pem", "acme/ca/account.json");
        far.write(certificate, "1");
        far.write(account, "{}");
        let load = |key| wait(copied.load(key));
        assert_eq!(load(certificate).unwrap().as_deref(), Some(&b"1"[..]));
        assert!(load(account).unwrap().is_some());
        wait(copied.store("internal/root.key", b"2", None)).unwrap();

        gone.store(true, Ordering::Relaxed);
        assert_eq!(load(certificate).unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(load("internal/root.key").unwrap().as_deref(), Some(&b"2"[..]));
        assert!(load(account).is_err() && load("acme/ca/b.test/certificate.pem").is_err());
        // What cannot be stored there now is kept here.
        assert!(wait(copied.store(certificate, b"3", None)).is_err());
        assert_eq!(load(certificate).unwrap().as_deref(), Some(&b"3"[..]));

        gone.store(false, Ordering::Relaxed);
        assert_eq!(load(certificate).unwrap().as_deref(), Some(&b"1"[..]), "what is there holds");
        std::fs::remove_file(far.path(certificate)).unwrap();
        assert_eq!(load(certificate).unwrap().as_deref(), Some(&b"1"[..]));
        assert!(far.path(certificate).exists(), "it is put back");
        wait(copied.delete(certificate)).unwrap();
        assert_eq!(load(certificate).unwrap(), None);

        // What another instance took away is not put back.
        far.write(certificate, "1");
        assert!(load(certificate).unwrap().is_some());
        far.write(MARK, "x");
        std::fs::remove_file(far.path(certificate)).unwrap();
        assert_eq!(load(certificate).unwrap(), None);
        assert!(!near.path(certificate).exists());
    }
}
