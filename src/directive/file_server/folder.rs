//! Opens what lies below a folder, and nothing that lies outside it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::http::fault::{Cause, Fault};

/// Whether opening and reading may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Only what the kernel has in memory; else [`Trouble::WouldWait`]. For a worker's own thread.
    Prompt,
    /// For a thread that may block.
    Patient,
}

/// Symbolic links that lead out of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Beneath,
    Anywhere,
}

/// Why there is no file.
#[derive(Debug)]
pub enum Trouble {
    Missing,
    Forbidden,
    WouldWait,
    Failed(io::Error),
}

impl Trouble {
    /// What the client and the log are told. `name` is for the log alone.
    pub fn fault(self, name: &str) -> Fault {
        match self {
            Self::Missing => Cause::FileNotFound.into(),
            Self::Forbidden => Fault::detailed(Cause::Forbidden, format!("no permission to read {name}")),
            Self::WouldWait => Fault::detailed(Cause::FileUnreadable, format!("{name} never became readable")),
            Self::Failed(error) => {
                let full = matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM));
                let cause = if full { Cause::Overloaded } else { Cause::FileUnreadable };
                Fault::detailed(cause, format!("{name}: {error}"))
            }
        }
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ => Self::Missing,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::AGAIN => Self::WouldWait,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or_else(|| Self::Failed(error), Self::from)
    }
}

/// A folder whose files are served.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    links: Links,
    held: ArcSwapOption<Held>,
}

/// The folder, opened. Kept a second, not for good: a deployment that swaps the link `current` must take effect.
#[derive(Debug)]
struct Held {
    descriptor: OwnedFd,
    since: Instant,
}

const HOLD: Duration = Duration::from_secs(1);

/// `NONBLOCK`: opening a named pipe must not wait for its writer; it is refused afterwards.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Folder {
    pub fn new(root: PathBuf, links: Links) -> Self {
        Self { root, links, held: ArcSwapOption::empty() }
    }

    /// Opens a relative name, which holds no dot segments; `.` is the folder itself. Only files and folders are opened.
    pub fn open(&self, name: &str, pace: Pace) -> Result<(File, Metadata), Trouble> {
        let held = self.hold(pace)?;
        let file = File::from(match self.links {
            Links::Anywhere => open(&held.descriptor, name, READ, ResolveFlags::empty(), pace)?,
            Links::Beneath => {
                match open(&held.descriptor, name, READ, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS, pace) {
                    // XDEV: an absolute link, which may still lead to a place inside. The others: kernels before 5.6, and
                    // sandboxes that don't know the call.
                    Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => {
                        self.open_resolved(&held.descriptor, name, pace)?
                    }
                    other => other?,
                }
            }
        });
        let facts = file.metadata()?;
        if facts.is_file() || facts.is_dir() { Ok((file, facts)) } else { Err(Trouble::Missing) }
    }

    fn hold(&self, pace: Pace) -> Result<Arc<Held>, Trouble> {
        let now = Instant::now();
        if let Some(held) = self.held.load_full().filter(|held| now.duration_since(held.since) < HOLD) {
            return Ok(held);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = open(CWD, &self.root, flags, ResolveFlags::empty(), pace)?;
        let held = Arc::new(Held { descriptor, since: now });
        self.held.store(Some(Arc::clone(&held)));
        Ok(held)
    }

    /// Follows the links by hand, and opens what they lead to if it lies in the folder. What is swapped for a link
    /// between the two is refused.
    fn open_resolved(&self, root: &OwnedFd, name: &str, pace: Pace) -> Result<OwnedFd, Trouble> {
        if pace == Pace::Prompt {
            return Err(Trouble::WouldWait);
        }
        let real = fs::canonicalize(self.root.join(name))?;
        let rest = real.strip_prefix(fs::canonicalize(&self.root)?).map_err(|_| Trouble::Missing)?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        match open(root, rest, READ, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS, pace) {
            Err(Errno::NOSYS | Errno::PERM) => Ok(openat(root, rest, READ | OFlags::NOFOLLOW, Mode::empty())?),
            other => Ok(other?),
        }
    }
}

/// `openat2`, which at a prompt pace looks no further than the kernel's memory (Linux 5.12).
fn open(
    at: impl std::os::fd::AsFd + Copy,
    name: impl rustix::path::Arg + Copy,
    flags: OFlags,
    resolve: ResolveFlags,
    pace: Pace,
) -> Result<OwnedFd, Errno> {
    if pace == Pace::Prompt {
        return match openat2(at, name, flags, Mode::empty(), resolve | ResolveFlags::CACHED) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::INTR) => Err(Errno::AGAIN),
            other => other,
        };
    }
    if resolve.is_empty() {
        return rustix::io::retry_on_intr(|| openat(at, name, flags, Mode::empty()));
    }
    // The kernel says AGAIN where a rename elsewhere kept it from proving that `..` stayed inside.
    let mut last = Errno::AGAIN;
    for _ in 0..16 {
        match openat2(at, name, flags, Mode::empty(), resolve) {
            Err(again @ (Errno::AGAIN | Errno::INTR)) => last = again,
            other => return other,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::directive::file_server::tests::Scratch;

    fn opens(folder: &Folder, name: &str) -> bool {
        let patient = folder.open(name, Pace::Patient);
        // A prompt answer, where there is one, is the patient one.
        match folder.open(name, Pace::Prompt) {
            Err(Trouble::WouldWait) => {}
            prompt => assert_eq!(prompt.is_ok(), patient.is_ok(), "{name}"),
        }
        match patient {
            Ok(_) => true,
            Err(Trouble::Missing) => false,
            Err(other) => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn xp08_links_that_leave_the_folder_lead_nowhere() {
        let scratch = Scratch::new();
        scratch.file("secret", b"s");
        scratch.file("www/a", b"a");
        scratch.file("www/d/b", b"b");
        let www = scratch.path("www");
        symlink("../secret", www.join("up")).unwrap();
        symlink(scratch.path("secret"), www.join("absolute")).unwrap();
        symlink("..", www.join("d/inside")).unwrap();
        symlink(www.join("a"), www.join("absolute_inside")).unwrap();
        symlink("../..", www.join("d/climb")).unwrap();
        symlink("loop", www.join("loop")).unwrap();
        symlink("/proc/self/root", www.join("magic")).unwrap();
        let folder = Folder::new(www.clone(), Links::Beneath);
        for name in ["a", "d", "d/b", ".", "d/inside/a", "absolute_inside"] {
            assert!(opens(&folder, name), "{name}");
        }
        for name in ["up", "absolute", "d/climb/secret", "loop", "magic/etc/hostname", "nothing", "a/b", "a/"] {
            assert!(!opens(&folder, name), "{name}");
        }
        let anywhere = Folder::new(www, Links::Anywhere);
        assert!(opens(&anywhere, "up") && opens(&anywhere, "absolute"));
    }

    #[test]
    fn pipes_and_devices_are_not_there() {
        let scratch = Scratch::new();
        scratch.file("www/a", b"a");
        let pipe = scratch.path("www/pipe");
        rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(scratch.path("www/sock")).unwrap();
        symlink("/dev/zero", scratch.path("www/zero")).unwrap();
        let folder = Folder::new(scratch.path("www"), Links::Anywhere);
        for name in ["pipe", "sock", "zero"] {
            assert!(!opens(&folder, name), "{name}");
        }
    }

    #[test]
    fn the_way_without_openat2_keeps_inside_too() {
        let scratch = Scratch::new();
        scratch.file("secret", b"s");
        scratch.file("www/d/b", b"b");
        symlink("../secret", scratch.path("www/up")).unwrap();
        symlink("d/b", scratch.path("www/ok")).unwrap();
        let folder = Folder::new(scratch.path("www"), Links::Beneath);
        let held = folder.hold(Pace::Patient).unwrap();
        let by_hand = |name: &str| folder.open_resolved(&held.descriptor, name, Pace::Patient);
        assert!(by_hand("ok").is_ok() && by_hand("d/b").is_ok() && by_hand(".").is_ok());
        assert!(matches!(by_hand("up"), Err(Trouble::Missing)));
    }
}
