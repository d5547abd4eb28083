//! Where certificates and keys are kept: a folder, or a server that several instances share.
//!
//! What is kept has a key that reads like a path: `acme/ca.example-directory/example.com/certificate.pem`. A backend knows
//! nothing of what lies under it.

pub mod archive;
mod clerk;
mod copy;
pub mod file;
pub mod redis;
pub mod s3;
pub mod secret;

use std::cmp::Ordering;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;

pub use file::{PRIVATE, PUBLIC, private_folder, write_atomically};
pub use secret::Secret;

use super::trouble::Trouble;

/// Another value whenever something is new.
const MARK: &str = "changed";
/// Between two looks at a lock that another has.
const LOOK: Duration = Duration::from_millis(50);
/// Leases that are begun anew at one time.
const AT_ONCE: usize = 8;

/// What a backend is doing. It ends by itself, within the backend's own time.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// A way to keep things. Keys are valid ones ([`is_key`]).
pub trait Backend: fmt::Debug + Send + Sync {
    /// `None` where there is nothing under the key.
    fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>>;
    /// After it, and after any crash during it, all of the new bytes are there or all of the old ones. Under a lock it gives
    /// false, and changes nothing, where the lock is no longer ours.
    fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], lock: Option<&'a Lock>) -> Work<'a, bool>;
    /// What is not there is deleted already.
    fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()>;
    /// All keys below a folder, in order; all that there are below the empty one.
    fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>>;
    /// Takes a lock if nobody has it.
    fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>>;
    /// Begins the lease anew; false where another has the lock by now.
    fn extend<'a>(&'a self, lock: &'a Lock) -> Work<'a, bool>;
    fn release(&self, lock: Lock) -> Work<'_, ()>;
    /// How long a lock outlives whoever died with it; `None` where it does not.
    fn lease(&self) -> Option<Duration>;
    /// How often it is worth a look whether others changed something.
    fn period(&self) -> Duration;
    /// Says at once that nothing could be kept below a folder, where that can be known.
    fn prepare(&self, _folder: &str) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A lock that is held. Dropped without [`Storage::release`] it ends with its lease.
#[derive(Debug)]
pub struct Lock {
    name: String,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// Of a folder: the kernel frees what hangs on it.
    File(std::fs::File),
    /// Ours and nobody else's.
    Token(String),
}

impl Lock {
    fn token(&self) -> Option<&str> {
        match &self.held {
            Held::Token(token) => Some(token),
            Held::File(_) => None,
        }
    }
}

/// What a configuration says of where things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Folder(PathBuf),
    Redis { server: redis::Server, copy: Copy },
    S3 { bucket: s3::Bucket, copy: Copy },
}

/// Where a machine keeps its copies of a storage elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Copy {
    /// Below the usual folder.
    #[default]
    Usual,
    In(PathBuf),
    Off,
}

/// A place to keep things, shared by all who hold it.
#[derive(Debug, Clone)]
pub struct Storage {
    backend: Arc<dyn Backend>,
    /// For people: without secrets.
    place: Arc<str>,
    /// The same where all of it is the same, secrets included.
    identity: Arc<str>,
    /// Of a folder.
    folder: Option<Arc<Path>>,
}

impl Storage {
    /// A folder. Nothing is touched.
    pub fn file(folder: impl Into<PathBuf>) -> Self {
        let folder: Arc<Path> = folder.into().into();
        let place: Arc<str> = folder.display().to_string().into();
        let identity = Arc::clone(&place);
        Self { backend: Arc::new(file::Folder::new(&folder)), place, identity, folder: Some(folder) }
    }

    /// What a configuration names. Nothing is touched and nobody asked; a file of authorities that cannot be read is an
    /// error.
    pub fn open(place: &Place) -> Result<Self, Trouble> {
        let (remote, name, copy): (Box<dyn Backend>, _, _) = match place {
            Place::Folder(folder) => return Ok(Self::file(folder)),
            Place::Redis { server, copy } => (Box::new(redis::Redis::new(server)?), server.to_string(), copy),
            Place::S3 { bucket, copy } => (Box::new(s3::S3::new(bucket)?), bucket.to_string(), copy),
        };
        let backend: Arc<dyn Backend> = match copy.folder(&name) {
            Some(folder) => Arc::new(copy::Copied::new(remote, &folder)),
            None => remote.into(),
        };
        Ok(Self { backend, place: name.into(), identity: format!("{place:?}").into(), folder: None })
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its folder, if it is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether other machines may have it, too.
    pub fn is_shared(&self) -> bool {
        self.folder.is_none()
    }

    /// Where something is, for people.
    pub fn name_of(&self, key: &str) -> String {
        format!("{}/{key}", self.place.trim_end_matches('/'))
    }

    /// An error says that nothing could be kept below a folder. A server that cannot be reached now may be later.
    pub fn prepare(&self, folder: &str) -> Result<(), Trouble> {
        self.backend.prepare(folder)
    }

    pub async fn load(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.backend.load(key).await
    }

    /// The same for text; bytes that are none are replaced.
    pub async fn load_text(&self, key: &str) -> Result<Option<String>, Trouble> {
        Ok(self.load(key).await?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub async fn store(&self, key: &str, bytes: &[u8]) -> Result<(), Trouble> {
        self.backend.store(key, bytes, None).await.map(drop)
    }

    /// The same by somebody who needs a lock for it; false where another has that lock by now, and nothing was stored.
    pub async fn store_under(&self, lock: &Lock, key: &str, bytes: &[u8]) -> Result<bool, Trouble> {
        self.backend.store(key, bytes, Some(lock)).await
    }

    /// Tells other instances that something is new.
    pub async fn set_mark(&self) -> Result<(), Trouble> {
        if self.is_shared() { self.store(MARK, random()?.as_bytes()).await } else { Ok(()) }
    }

    /// What differs when something is new.
    pub async fn mark(&self) -> Result<Option<Vec<u8>>, Trouble> {
        self.load(MARK).await
    }

    /// How often that is worth a look.
    pub fn period(&self) -> Duration {
        self.backend.period()
    }

    pub async fn delete(&self, key: &str) -> Result<(), Trouble> {
        self.backend.delete(key).await
    }

    pub async fn exists(&self, key: &str) -> Result<bool, Trouble> {
        Ok(self.load(key).await?.is_some())
    }

    /// All keys below a folder, in order; all that there are below the empty one.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, Trouble> {
        self.backend.list(folder).await
    }

    /// Takes a lock if nobody has it.
    pub async fn lock(&self, name: &str) -> Result<Option<Lock>, Trouble> {
        self.backend.lock(name).await
    }

    pub async fn release(&self, lock: Lock) {
        let name = lock.name.clone();
        if let Err(error) = self.backend.release(lock).await {
            tracing::debug!(lock = name, %error, "a lock is left to its lease");
        }
    }

    /// Does something that takes long under locks, whose leases are begun anew until it is done.
    pub async fn during<T>(&self, locks: &[Lock], work: impl Future<Output = T>) -> T {
        let Some(lease) = self.backend.lease() else { return work.await };
        tokio::select! {
            biased;
            done = work => done,
            never = self.extend_all(locks, lease / 3) => match never {},
        }
    }

    async fn extend_all(&self, locks: &[Lock], period: Duration) -> Infallible {
        loop {
            tokio::time::sleep(period).await;
            // One by one, the last of a hundred would have lapsed by the time of its turn.
            stream::iter(locks).for_each_concurrent(AT_ONCE, |lock| self.extend(lock)).await;
        }
    }

    async fn extend(&self, lock: &Lock) {
        match self.backend.extend(lock).await {
            Ok(true) => {}
            // What it is held for goes on: whoever stores under it is told.
            Ok(false) => tracing::debug!(lock = lock.name, "a lock is lost"),
            Err(error) => tracing::debug!(lock = lock.name, %error, "a lease cannot be begun anew"),
        }
    }

    /// Waits for a lock, on this thread and not longer than this.
    pub fn lock_within(&self, name: &str, patience: Duration) -> Result<Lock, Trouble> {
        let end = Instant::now() + patience;
        loop {
            if let Some(lock) = wait(self.lock(name))? {
                return Ok(lock);
            }
            if Instant::now() >= end {
                return Err(Trouble::Locked { place: self.name_of(name) });
            }
            thread::sleep(LOOK);
        }
    }
}

impl Place {
    /// The file of authorities that a server's certificate is checked by.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Self::Redis { server: redis::Server { address: redis::Address::Tls { root, .. }, .. }, .. } => {
                root.as_deref()
            }
            Self::S3 { bucket, .. } => bucket.endpoint.root.as_deref(),
            _ => None,
        }
    }
}

impl Copy {
    /// Of a storage that is called this.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Off => None,
            Self::In(folder) => Some(folder.clone()),
            Self::Usual => {
                let plain = |sign: char| if sign.is_ascii_alphanumeric() || ".-".contains(sign) { sign } else { '-' };
                let name: String = name.chars().map(plain).collect();
                Some(default_storage().join("copies").join(name.trim_matches(['-', '.'])))
            }
        }
    }
}

/// The usual folder.
impl Default for Storage {
    fn default() -> Self {
        Self::file(default_storage())
    }
}

impl PartialEq for Storage {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Storage {}

impl PartialOrd for Storage {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Storage {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity.cmp(&other.identity)
    }
}

/// Segments of plain signs between slashes, none of which leads elsewhere.
pub fn is_key(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*~".contains(&byte);
    let segment =
        |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain);
    key.len() <= 900 && key.split('/').all(segment)
}

/// Waits on this thread. Backends work elsewhere or at once, so that this is safe inside a runtime, too.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    // A task of a runtime has a budget, and this one never comes back to have it filled.
    let mut work = pin!(tokio::task::unconstrained(work));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// 128 random bits as text.
fn random() -> Result<String, Trouble> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Trouble::Signing("no random bytes".to_owned()))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

/// `$XDG_DATA_HOME/rp`, else `/var/lib/rp` for root and `~/.local/share/rp` for anyone else.
pub fn default_storage() -> PathBuf {
    storage_for(&|name| std::env::var_os(name).map(PathBuf::from), crate::telemetry::identity::is_of_system())
}

fn storage_for(variable: &dyn Fn(&str) -> Option<PathBuf>, root: bool) -> PathBuf {
    // The base directory specification says to ignore a relative path.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return data.join("rp");
    }
    match absolute("HOME") {
        Some(home) if !root => home.join(".local/share/rp"),
        _ => PathBuf::from("/var/lib/rp"),
    }
}

#[cfg(test)]
pub(super) mod tests;
