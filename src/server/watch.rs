//! Watches the files of a configuration, however they are written: in place, by renaming another over them, or by
//! turning a symbolic link on the way to them.
//!
//! Folders are watched, never files: an editor that renames leaves a watch on a file with what is no longer its file.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, NullWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, interval, timeout_at};

/// So long must it have been quiet: an editor's save is several steps, a deployment several files.
const QUIET: Duration = Duration::from_millis(200);
/// Who never stops writing is not waited for.
const LONGEST: Duration = Duration::from_secs(2);
/// Between two looks where the system cannot tell, or tells too much.
const POLL: Duration = Duration::from_secs(2);
/// Events a second that are of no interest. The system tells of every file that is opened or written beside the
/// configuration; where that is a log, or a site's documents, listening costs more than looking.
const NOISE: u32 = 500;
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Tells when files may have changed.
pub struct Watch {
    watcher: Box<dyn Watcher + Send>,
    /// The watched folders, with what tells them from others that took their names.
    folders: HashMap<PathBuf, (u64, u64)>,
    interest: Arc<Interest>,
    changes: mpsc::Receiver<()>,
}

/// What is worth waking up for.
#[derive(Debug, Default)]
struct Interest {
    paths: Mutex<Paths>,
    stirred: Notify,
    /// There are more than [`NOISE`] events.
    noisy: Notify,
    /// Nobody tells: the paths are looked at.
    polls: AtomicBool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Paths {
    /// Files, and symbolic links on the way to them.
    entries: HashSet<PathBuf>,
    /// Folders in which any name may matter, since a pattern looked into them.
    listed: HashSet<PathBuf>,
    /// Where all of these are.
    folders: HashSet<PathBuf>,
}

impl Watch {
    /// Must be called inside a runtime.
    pub fn start() -> Self {
        let interest = Arc::new(Interest::default());
        let (sender, changes) = mpsc::channel(1);
        tokio::spawn(look(interest.clone(), sender.clone()));
        tokio::spawn(settle(interest.clone(), sender));
        let watcher = RecommendedWatcher::new(handler(interest.clone()), Config::default());
        let mut watch = Self { watcher: Box::new(NullWatcher), folders: HashMap::new(), interest, changes };
        match watcher {
            Ok(watcher) => watch.watcher = Box::new(watcher),
            Err(error) => watch.poll_because_of(&error),
        }
        watch
    }

    /// Completes when something changed and it has been quiet since.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some(()) => return,
                    None => std::future::pending().await,
                },
                // Once: what the watcher still tells while it ends is noise, too, and this line may be a part of it.
                () = self.interest.noisy.notified() => if !self.interest.polls.load(Relaxed) {
                    tracing::info!(every = ?POLL, "much is written beside the configuration: looking myself for changes");
                    self.poll();
                }
            }
        }
    }

    /// Asks for another look, as if something had changed.
    pub fn stir(&self) {
        self.interest.stirred.notify_one();
    }

    /// Watches these files and folders from now on. Where that is more than before, somebody may have been quicker than
    /// the watch, so another look follows.
    pub fn renew(&mut self, files: &[PathBuf]) {
        let mut paths = Paths::default();
        for file in files {
            paths.follow(file);
        }
        let wanted = paths.folders.clone();
        *self.interest.paths.lock().unwrap_or_else(PoisonError::into_inner) = paths;
        let stays = |path: &PathBuf, known| wanted.contains(path) && identity(path) == Some(known);
        let gone: Vec<PathBuf> =
            self.folders.iter().filter(|(path, known)| !stays(path, **known)).map(|(path, _)| path.clone()).collect();
        for folder in gone {
            self.folders.remove(&folder);
            // It may be gone itself.
            let _ = self.watcher.unwatch(&folder);
        }
        let new: Vec<PathBuf> = wanted.into_iter().filter(|path| !self.folders.contains_key(path)).collect();
        if !new.is_empty() {
            self.add(&new);
            self.stir();
        }
    }

    fn add(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            let Some(identity) = identity(folder) else { continue };
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder.clone(), identity);
                }
                // Gone since, or a limit of the system.
                Err(error) if self::identity(folder).is_none() => {
                    tracing::debug!(folder = %folder.display(), %error, "cannot watch");
                }
                Err(error) => {
                    return self.poll_because_of(&error);
                }
            }
        }
    }

    fn poll_because_of(&mut self, why: &notify::Error) {
        tracing::warn!(error = %why, every = ?POLL, "the system cannot tell when files change: looking myself");
        self.poll();
    }

    /// Looks every few seconds from now on.
    fn poll(&mut self) {
        self.watcher = Box::new(NullWatcher);
        self.interest.polls.store(true, Relaxed);
    }
}

fn handler(interest: Arc<Interest>) -> impl Fn(notify::Result<Event>) + Send + 'static {
    let noise = Noise::default();
    move |outcome| {
        let matters = match &outcome {
            Ok(event) => interest.paths.lock().unwrap_or_else(PoisonError::into_inner).concerns(event),
            Err(_) => true,
        };
        if matters {
            interest.stirred.notify_one();
        } else if noise.is_too_much() {
            interest.noisy.notify_one();
        }
    }
}

/// Counts what does not matter.
#[derive(Default)]
struct Noise {
    since: Cell<Option<Instant>>,
    count: Cell<u32>,
}

impl Noise {
    fn is_too_much(&self) -> bool {
        let now = Instant::now();
        let since = self.since.get().filter(|since| now.duration_since(*since) < Duration::from_secs(1));
        self.count.set(if since.is_some() { self.count.get() + 1 } else { 1 });
        self.since.set(since.or(Some(now)));
        self.count.get() > NOISE
    }
}

/// Looks for changes while nobody tells of them.
async fn look(interest: Arc<Interest>, sender: mpsc::Sender<()>) {
    let mut seen = None;
    let mut tick = interval(POLL);
    while !sender.is_closed() {
        tick.tick().await;
        if !interest.polls.load(Relaxed) {
            continue;
        }
        let paths = interest.paths.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A file system that hangs holds up this look, and nothing else.
        let Ok(now) = tokio::task::spawn_blocking(move || paths.look()).await else { continue };
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            interest.stirred.notify_one();
        }
    }
}

/// Waits for quiet behind each change. A full channel means that a look is due already.
async fn settle(interest: Arc<Interest>, sender: mpsc::Sender<()>) {
    loop {
        interest.stirred.notified().await;
        let latest = Instant::now() + LONGEST;
        while Instant::now() < latest {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, interest.stirred.notified()).await.is_err() {
                break;
            }
        }
        if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
            return;
        }
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().filter(fs::Metadata::is_dir).map(|meta| (meta.dev(), meta.ino()))
}

impl Paths {
    /// Notes every place where a change could lead this path to other bytes.
    fn follow(&mut self, path: &Path) {
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let Ok(absolute) = std::path::absolute(here) else { return };
        let mut left: Vec<PathBuf> = segments(&absolute);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(segment) = left.pop() {
            match segment.components().next() {
                Some(Component::ParentDir) => {
                    at.pop();
                }
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::Normal(name)) => {
                    let next = at.join(name);
                    match fs::read_link(&next) {
                        Ok(target) if links < MOST_LINKS => {
                            links += 1;
                            self.folders.insert(at.clone());
                            self.entries.insert(next);
                            left.extend(segments(&target));
                        }
                        _ if !left.is_empty() && !next.is_dir() => {
                            // The way ends here: whatever appears under this name matters.
                            self.folders.insert(at);
                            self.entries.insert(next);
                            return;
                        }
                        _ => at = next,
                    }
                }
                _ => {}
            }
        }
        if at.is_dir() {
            self.listed.insert(at.clone());
            self.folders.insert(at);
        } else {
            self.folders.extend(at.parent().map(Path::to_owned));
            self.entries.insert(at);
        }
    }

    /// What stands at each path now, as far as it shows without reading.
    fn look(&self) -> BTreeMap<PathBuf, Option<State>> {
        let listed = self.listed.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let within = listed.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        self.entries.iter().cloned().chain(within).map(|path| (path.clone(), state(&path))).collect()
    }

    fn concerns(&self, event: &Event) -> bool {
        let appears = matches!(
            event.kind,
            EventKind::Create(_)
                | EventKind::Remove(_)
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Access(AccessKind::Close(AccessMode::Write))
        );
        // Reading is what we do ourselves.
        let changes = appears || !matches!(event.kind, EventKind::Access(_));
        event.need_rescan()
            || event.paths.iter().any(|path| {
                changes && self.entries.contains(path)
                    || appears
                        && (self.folders.contains(path)
                            || path.parent().is_some_and(|folder| self.listed.contains(folder)))
            })
    }
}

/// Device, inode, bytes, and the times of the last changes in seconds and nanoseconds.
type State = (u64, u64, u64, (i64, i64), (i64, i64));

fn state(path: &Path) -> Option<State> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), (meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())))
}

/// The parts of a path, the last one first.
fn segments(path: &Path) -> Vec<PathBuf> {
    path.components().rev().map(|component| PathBuf::from(component.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name: String = std::thread::current().name().unwrap_or_default().replace("::", "-");
            let path = std::env::temp_dir().join(format!("rp-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A watch on these files that has nothing more to say of what was before.
    async fn watching(files: &[PathBuf]) -> Watch {
        let mut watch = Watch::start();
        watch.renew(files);
        watch.changed().await;
        watch.renew(files);
        watch
    }

    async fn notices(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    async fn is_quiet(watch: &mut Watch) -> bool {
        tokio::time::timeout(QUIET * 2, watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn writing_in_place_and_renaming_over_are_noticed() {
        let folder = Folder::new();
        let file = folder.write("Proxyfile", "a");
        let mut watch = watching(std::slice::from_ref(&file)).await;
        fs::write(&file, "b").unwrap();
        assert!(notices(&mut watch).await);
        for _ in 0..2 {
            fs::rename(folder.write(".Proxyfile.swp", "c"), &file).unwrap();
            assert!(notices(&mut watch).await);
            watch.renew(std::slice::from_ref(&file));
        }
        fs::remove_file(&file).unwrap();
        assert!(notices(&mut watch).await);
        watch.renew(std::slice::from_ref(&file));
        fs::write(&file, "d").unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn neighbours_do_not_matter_except_where_a_pattern_looks() {
        let folder = Folder::new();
        let file = folder.write("Proxyfile", "a");
        folder.write("sites/a.conf", "");
        let mut watch = watching(&[file, folder.0.join("sites")]).await;
        folder.write("access.log", "line");
        assert!(is_quiet(&mut watch).await);
        folder.write("sites/b.conf", "line");
        assert!(notices(&mut watch).await);
        fs::remove_file(folder.0.join("sites/a.conf")).unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn links_are_followed_as_container_mounts_turn_them() {
        let folder = Folder::new();
        folder.write("..1/Proxyfile", "a");
        folder.write("..2/Proxyfile", "b");
        symlink("..1", folder.0.join("..data")).unwrap();
        symlink("..data/Proxyfile", folder.0.join("Proxyfile")).unwrap();
        let file = folder.0.join("Proxyfile");
        let mut watch = watching(std::slice::from_ref(&file)).await;
        symlink("..2", folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        assert!(notices(&mut watch).await);
        watch.renew(std::slice::from_ref(&file));
        // The file that is meant now is in another folder.
        assert!(notices(&mut watch).await);
        folder.write("..2/Proxyfile", "c");
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_or_not_there_yet_is_awaited() {
        let folder = Folder::new();
        let file = folder.write("conf/Proxyfile", "a");
        let mut watch = watching(std::slice::from_ref(&file)).await;
        fs::rename(folder.0.join("conf"), folder.0.join("old")).unwrap();
        assert!(notices(&mut watch).await);
        watch.renew(std::slice::from_ref(&file));
        assert!(notices(&mut watch).await);
        folder.write("new/Proxyfile", "b");
        fs::rename(folder.0.join("new"), folder.0.join("conf")).unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn where_the_system_cannot_tell_it_is_looked_for() {
        let folder = Folder::new();
        let file = folder.write("Proxyfile", "a");
        let mut watch = Watch::start();
        watch.poll_because_of(&notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        watch.renew(&[file.clone(), folder.0.join("sites")]);
        watch.changed().await;
        fs::rename(folder.write("other", "b"), &file).unwrap();
        assert!(notices(&mut watch).await);
        fs::write(&file, "c").unwrap();
        assert!(notices(&mut watch).await);
        folder.write("sites/a.conf", "");
        assert!(notices(&mut watch).await);
        watch.renew(&[file, folder.0.join("sites")]);
        folder.write("sites/b.conf", "");
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn a_noisy_neighbour_is_not_listened_to() {
        let folder = Folder::new();
        let file = folder.write("Proxyfile", "a");
        let mut watch = watching(std::slice::from_ref(&file)).await;
        for line in 0..=NOISE {
            folder.write("access.log", &line.to_string());
        }
        let polls = async {
            while !watch.interest.polls.load(Relaxed) {
                tokio::select! {
                    () = watch.changed() => {}
                    () = tokio::time::sleep(QUIET) => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), polls).await.expect("it looks for itself");
        fs::write(&file, "b").unwrap();
        assert!(notices(&mut watch).await);
    }
}
