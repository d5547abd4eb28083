//! A folder as storage: a file for each key, replaced so that a crash leaves the old or the new one whole, and locks of
//! the kernel's, which end with whoever has them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::future::ready;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, flock};

use super::{Backend, Held, Lock, Work, random};
use crate::tls::hex::hex;
use crate::tls::trouble::Trouble;

/// Read by the owner alone: keys.
pub const PRIVATE: u32 = 0o600;
/// Read by everybody: certificates.
pub const PUBLIC: u32 = 0o644;

/// Below the folder, and no key begins so.
const LOCKS: &str = ".locks";
/// Bytes of a file's name; there are file systems that take no more than 143.
const LONGEST_NAME: usize = 140;
/// The end of a file that is not yet what it will be called.
const UNFINISHED: &str = ".tmp";

/// A folder. Files in it are read by their owner alone, and so are folders below it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let path = self.root.join(key);
        let failed = |why| Trouble::Storage { path: path.clone(), why };
        if path.is_dir() {
            return Ok(None);
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // A key that came from a backup may have come with the rights of one.
        let mode = fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & !mode_of(key) != 0 {
            fs::set_permissions(&path, Permissions::from_mode(mode_of(key))).map_err(failed)?;
        }
        Ok(Some(bytes))
    }

    fn write(&self, key: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |why| Trouble::Storage { path, why }
        };
        private_folder(folder).map_err(failed(folder))?;
        write_atomically(&path, bytes, mode_of(key)).map_err(failed(&path))
    }

    fn remove(&self, key: &str) -> Result<(), Trouble> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Trouble::Storage { path, why: error }),
            _ => Ok(()),
        }
    }

    fn keys(&self, folder: &str) -> Result<Vec<String>, Trouble> {
        let (mut folders, mut keys) = (vec![folder.to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            let path = self.root.join(&folder);
            let failed = |why| Trouble::Storage { path: path.clone(), why };
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match entry.file_type().map_err(failed)? {
                    kind if kind.is_dir() && key != LOCKS => folders.push(key),
                    kind if kind.is_file() && !key.ends_with(UNFINISHED) => keys.push(key),
                    _ => {}
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn try_lock(&self, name: &str) -> Result<Option<Lock>, Trouble> {
        let folder = self.root.join(LOCKS);
        private_folder(&folder).map_err(|why| Trouble::Storage { path: self.root.clone(), why })?;
        let path = folder.join(file_of(name));
        match take(&path) {
            Ok(file) => Ok(file.map(|file| Lock { name: name.to_owned(), held: Held::File(file) })),
            Err(why) => Err(Trouble::Storage { path, why }),
        }
    }

    fn free(&self, lock: Lock) {
        // While it is still held: whoever opened it before finds that it is no longer the file of that name.
        let _ = fs::remove_file(self.root.join(LOCKS).join(file_of(&lock.name)));
        if let Held::File(file) = lock.held {
            drop(file);
        }
    }
}

/// What the file of a lock is called. Names are longer than files' may be where an authority's URL and a host's name are.
fn file_of(name: &str) -> String {
    let flat = name.replace('/', "~");
    if flat.len() <= LONGEST_NAME {
        return flat;
    }
    let sum = digest(&SHA256, flat.as_bytes());
    format!("{}~{}", flat.get(flat.len() - LONGEST_NAME / 2..).unwrap_or_default(), hex(&sum.as_ref()[..16]))
}

/// The file of a lock if nobody has it. The name must still lead to it once it is locked: whoever releases one removes it.
fn take(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let held = file.metadata()?;
        match fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(Some(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}

/// The disk answers at once, or everything on this machine waits.
impl Backend for Folder {
    fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>> {
        Box::pin(ready(self.read(key)))
    }

    fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], _: Option<&'a Lock>) -> Work<'a, bool> {
        // A lock of the kernel's is not lost while we live.
        Box::pin(ready(self.write(key, bytes).map(|()| true)))
    }

    fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()> {
        Box::pin(ready(self.remove(key)))
    }

    fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>> {
        Box::pin(ready(self.keys(folder)))
    }

    fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>> {
        Box::pin(ready(self.try_lock(name)))
    }

    fn extend<'a>(&'a self, _: &'a Lock) -> Work<'a, bool> {
        Box::pin(ready(Ok(true)))
    }

    fn release(&self, lock: Lock) -> Work<'_, ()> {
        self.free(lock);
        Box::pin(ready(Ok(())))
    }

    fn lease(&self) -> Option<Duration> {
        None
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn prepare(&self, folder: &str) -> Result<(), Trouble> {
        let path = self.root.join(folder);
        private_folder(&path).map_err(|why| Trouble::Storage { path, why })
    }
}

fn mode_of(key: &str) -> u32 {
    if Path::new(key).extension().is_some_and(|end| end == "crt") { PUBLIC } else { PRIVATE }
}

/// Makes a folder that only its owner enters, with its parents, and syncs those that got a new one: else a power cut could
/// take away the folder with all that was synced in it. One that exists keeps its rights.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    made.into_iter().try_for_each(|folder| Real.sync_folder(parent(folder)))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces a file in one step: a neighbour is written and synced, takes the name, and the folder is synced, so that
/// after a power cut the name leads to all of the old bytes or all of the new ones.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(&mut Real, path, bytes, mode)
}

/// The steps of a replacement, so that a test may end the world after any of them.
trait Disk {
    type File;
    /// A new file; never one that somebody left under the name.
    fn create(&mut self, path: &Path, mode: u32) -> io::Result<Self::File>;
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

fn replace<D: Disk>(disk: &mut D, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = parent(path);
    let neighbour = neighbour(path)?;
    let mut file = disk.create(&neighbour, mode)?;
    let written =
        disk.write(&mut file, bytes).and_then(|()| disk.sync(&file)).and_then(|()| disk.rename(&neighbour, path));
    if let Err(error) = written {
        let _ = disk.remove(&neighbour);
        return Err(error);
    }
    disk.sync_folder(folder)
}

/// A name beside `path` that nobody else has.
fn neighbour(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}{UNFINISHED}", random().map_err(io::Error::other)?));
    Ok(path.with_file_name(name))
}

struct Real;

impl Disk for Real {
    type File = File;

    fn create(&mut self, path: &Path, mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{Scratch, keeps};
    use super::super::wait;
    use super::*;

    /// A disk that notes what was asked of it, and stops the machine before step `stop`.
    struct Ledger {
        steps: Vec<Step>,
        stop: usize,
    }

    #[derive(Debug, Clone, PartialEq)]
    enum Step {
        Create(PathBuf),
        Write(PathBuf, Vec<u8>),
        Sync(PathBuf),
        Rename(PathBuf, PathBuf),
        SyncFolder,
        Remove(PathBuf),
    }

    impl Ledger {
        fn step(&mut self, step: Step) {
            assert_ne!(self.steps.len(), self.stop, "the power is off");
            self.steps.push(step);
        }
    }

    impl Disk for Ledger {
        type File = PathBuf;
        fn create(&mut self, path: &Path, _: u32) -> io::Result<PathBuf> {
            self.step(Step::Create(path.into()));
            Ok(path.into())
        }
        fn write(&mut self, file: &mut PathBuf, bytes: &[u8]) -> io::Result<()> {
            // Byte by byte, so that it can stop in the middle.
            bytes.iter().for_each(|byte| self.step(Step::Write(file.clone(), vec![*byte])));
            Ok(())
        }
        fn sync(&mut self, file: &PathBuf) -> io::Result<()> {
            self.step(Step::Sync(file.clone()));
            Ok(())
        }
        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.step(Step::Rename(from.into(), to.into()));
            Ok(())
        }
        fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
            self.step(Step::SyncFolder);
            Ok(())
        }
        fn remove(&mut self, path: &Path) -> io::Result<()> {
            self.step(Step::Remove(path.into()));
            Ok(())
        }
    }

    /// What may be under the name after these steps and a power cut: bytes that were not synced may be there or not, and
    /// so may names since the folder was synced, whatever order they came in.
    fn remains(steps: &[Step], path: &Path) -> Vec<Option<Vec<u8>>> {
        let mut synced: BTreeMap<&PathBuf, Vec<u8>> = BTreeMap::new();
        let mut written: BTreeMap<&PathBuf, Vec<u8>> = BTreeMap::new();
        let mut before = vec![Some(b"old".to_vec())];
        for step in steps {
            match step {
                Step::Create(file) => drop(written.insert(file, Vec::new())),
                Step::Write(file, bytes) => written.get_mut(file).unwrap().extend(bytes),
                Step::Sync(file) => drop(synced.insert(file, written[file].clone())),
                Step::Rename(from, to) if to == path => {
                    // Any part of what was never synced may be what is there.
                    let all = &written[from];
                    let least = synced.get(from).map_or(0, Vec::len);
                    before.extend((least..=all.len()).map(|end| Some(all[..end].to_vec())));
                }
                Step::SyncFolder => drop(before.drain(..before.len() - 1)),
                Step::Remove(file) if file == path => before.push(None),
                Step::Rename(..) | Step::Remove(_) => {}
            }
        }
        before
    }

    #[test]
    fn whenever_the_power_goes_the_old_or_the_new_bytes_are_whole() {
        let path = Path::new("/s/a/key");
        let mut seen_new = false;
        for stop in 0.. {
            let mut ledger = Ledger { steps: Vec::new(), stop };
            let replacing = || replace(&mut ledger, path, b"new bytes", PRIVATE);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(replacing));
            for found in remains(&ledger.steps, path) {
                let found = found.expect("it is never gone");
                assert!(found == b"old" || found == b"new bytes", "{found:?} after {:?}", ledger.steps);
                seen_new |= found == b"new bytes";
            }
            if let Ok(done) = done {
                done.unwrap();
                assert_eq!(remains(&ledger.steps, path), [Some(b"new bytes".to_vec())], "what is done stays");
                break;
            }
        }
        assert!(seen_new);
    }

    #[test]
    fn the_model_would_notice_what_is_left_out() {
        let path = Path::new("/s/key");
        let (file, bytes) = (PathBuf::from("/s/key.tmp"), b"new".to_vec());
        let unsynced = [Step::Create(file.clone()), Step::Write(file.clone(), bytes), Step::Rename(file, path.into())];
        assert!(remains(&unsynced, path).contains(&Some(Vec::new())));
    }

    #[test]
    fn a_folder_keeps() {
        let scratch = Scratch::new();
        keeps(&scratch.storage());
    }

    #[test]
    fn what_a_crash_left_is_not_listed() {
        let scratch = Scratch::new();
        scratch.write("a/certificate.pem.0123.tmp", "half");
        scratch.write("a/certificate.pem", "whole");
        assert_eq!(wait(scratch.storage().list("")).unwrap(), ["a/certificate.pem"]);
    }

    #[test]
    fn a_lock_may_be_called_anything() {
        let scratch = Scratch::new();
        let storage = scratch.storage();
        let long = |end| format!("acme/{}/{}{end}", "a".repeat(200), "b".repeat(250));
        let held = wait(storage.lock(&long("a"))).unwrap().unwrap();
        assert!(wait(storage.lock(&long("a"))).unwrap().is_none());
        assert!(wait(storage.lock(&long("b"))).unwrap().is_some());
        assert!(wait(storage.lock(&format!("acme/{}b/{}a", "a".repeat(199), "b".repeat(250)))).unwrap().is_some());
        wait(storage.release(held));
        assert!(wait(storage.lock(&long("a"))).unwrap().is_some());
    }

    #[test]
    fn of_many_who_want_a_lock_one_has_it_at_a_time() {
        let scratch = Scratch::new();
        let storage = scratch.storage();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let most = Duration::from_secs(20);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let lock = storage.lock_within("a", most).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        wait(storage.release(lock));
                    }
                });
            }
        });
    }

    #[test]
    fn keys_are_private_whatever_they_were() {
        let scratch = Scratch::new();
        let storage = scratch.storage();
        let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777;
        wait(storage.store("a/root.crt", b"1")).unwrap();
        wait(storage.store("a/root.key", b"1")).unwrap();
        assert_eq!((mode("a/root.crt"), mode("a/root.key"), mode("a")), (0o644, 0o600, 0o700));
        let restored = scratch.write("a/other.key", "2");
        fs::set_permissions(restored, Permissions::from_mode(0o644)).unwrap();
        wait(storage.load("a/other.key")).unwrap();
        assert_eq!(mode("a/other.key"), 0o600);
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let scratch = Scratch::new();
        let path = scratch.write("key", "old");
        write_atomically(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_no_neighbour() {
        let scratch = Scratch::new();
        let path = scratch.path("folder");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        assert!(write_atomically(&path, b"new", PUBLIC).is_err());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }

    #[test]
    fn a_private_folder_is_private() {
        let scratch = Scratch::new();
        let folder = scratch.path("a/b");
        private_folder(&folder).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
