//! The older files of a rotated log: their names, how many stay, and their compression.
//!
//! An older file is the log's name with the moment it was put away: `access.log.20261121T003000123`, and `.gz` behind
//! that once it is compressed. What there is to do is read from the folder, so a crash leaves nothing behind for good.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::output::create;
use crate::telemetry::clock;

/// How much is compressed in one go, before the writer looks for new lines again: some milliseconds at most.
const PIECE: usize = 64 * 1024;

/// How long a file rests before it is compressed: another process (the one before an upgrade) may still write to it,
/// and looks only once a second whether it was moved.
const REST: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    /// The log's file name with a dot.
    prefix: OsString,
    work: Option<Work>,
    /// Whether there may be something to compress.
    pending: bool,
}

#[derive(Debug)]
struct Work {
    from: File,
    to: GzEncoder<File>,
    plain: PathBuf,
    part: PathBuf,
    done: PathBuf,
}

impl Archive {
    pub fn of(log: &Path) -> Self {
        let folder = log.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let mut prefix = log.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        Self { folder, prefix, work: None, pending: true }
    }

    /// A name that no older file has, for one that is put away now.
    pub fn new_name(&mut self, now: SystemTime) -> PathBuf {
        self.pending = true;
        let mut at = now;
        loop {
            let stamp = stamp(at);
            if ENDINGS.iter().all(|ending| !self.path(&stamp, ending).exists()) {
                return self.path(&stamp, "");
            }
            at += Duration::from_millis(1);
        }
    }

    /// Removes all but the `keep` newest.
    pub fn prune(&mut self, keep: usize) -> io::Result<()> {
        let stamps = self.stamps()?;
        for stamp in stamps.iter().take(stamps.len().saturating_sub(keep)) {
            let is_in_work = self.work.as_ref().is_some_and(|work| work.plain == self.path(stamp, ""));
            if is_in_work {
                self.work = None;
            }
            for ending in ENDINGS {
                remove(self.path(stamp, ending))?;
            }
        }
        Ok(())
    }

    /// Takes up the oldest file that is not compressed yet, if it has rested.
    pub fn seek_work(&mut self, now: SystemTime) -> io::Result<()> {
        if self.work.is_some() || !self.pending {
            return Ok(());
        }
        for stamp in self.stamps()? {
            let plain = self.path(&stamp, "");
            let Ok(about) = fs::metadata(&plain) else { continue };
            if now.duration_since(about.modified()?).unwrap_or_default() < REST {
                return Ok(());
            }
            // From here on a failure is reported once, and then the file stays as it is until the next rotation.
            self.pending = false;
            self.work = Some(Work::begin(plain, self.path(&stamp, PART), self.path(&stamp, DONE))?);
            self.pending = true;
            return Ok(());
        }
        self.pending = false;
        Ok(())
    }

    pub fn is_working(&self) -> bool {
        self.work.is_some()
    }

    /// Compresses the next piece of the file that was taken up.
    pub fn work(&mut self) -> io::Result<()> {
        let Some(work) = &mut self.work else { return Ok(()) };
        match work.piece() {
            Ok(Progress::More) => return Ok(()),
            Ok(Progress::Done) => {}
            Err(error) => {
                let part = work.part.clone();
                (self.work, self.pending) = (None, false);
                remove(&part)?;
                return Err(error);
            }
        }
        self.work.take().map_or(Ok(()), Work::end)
    }

    /// Gives up what is half done; the next start takes it up again.
    pub fn abandon(&mut self) {
        if let Some(work) = self.work.take() {
            // What stays is overwritten when the file is taken up again.
            let _ = remove(&work.part);
        }
    }

    /// The moments at which files were put away, oldest first.
    fn stamps(&self) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut stamps = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some(rest) = name.as_bytes().strip_prefix(self.prefix.as_bytes()) else { continue };
            let Some((stamp, ending)) = rest.split_at_checked(STAMP) else { continue };
            if is_stamp(stamp) && ENDINGS.iter().any(|known| known.as_bytes() == ending) {
                stamps.insert(stamp.to_vec());
            }
        }
        Ok(stamps)
    }

    fn path(&self, stamp: &[u8], ending: &str) -> PathBuf {
        let name = [self.prefix.as_bytes(), stamp, ending.as_bytes()].concat();
        self.folder.join(OsString::from_vec(name))
    }
}

enum Progress {
    More,
    Done,
}

impl Work {
    fn begin(plain: PathBuf, part: PathBuf, done: PathBuf) -> io::Result<Self> {
        let from = File::open(&plain)?;
        remove(&part)?;
        let to = GzEncoder::new(create(&part)?, Compression::default());
        Ok(Self { from, to, plain, part, done })
    }

    fn piece(&mut self) -> io::Result<Progress> {
        let mut piece = vec![0; PIECE];
        let length = self.from.read(&mut piece)?;
        if length == 0 {
            self.to.try_finish()?;
            return Ok(Progress::Done);
        }
        self.to.write_all(&piece[..length])?;
        Ok(Progress::More)
    }

    /// The old file goes only when the new one has its name.
    fn end(self) -> io::Result<()> {
        fs::rename(&self.part, &self.done)?;
        fs::remove_file(&self.plain)
    }
}

const PART: &str = ".gz.part";
const DONE: &str = ".gz";
const ENDINGS: [&str; 3] = ["", DONE, PART];

/// Length of `20261121T003000123`.
const STAMP: usize = 18;

fn stamp(now: SystemTime) -> Vec<u8> {
    clock::rfc3339(now).into_iter().filter(|b| b.is_ascii_digit() || *b == b'T').collect()
}

fn is_stamp(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, b)| if at == 8 { *b == b'T' } else { b.is_ascii_digit() })
}

fn remove(path: impl AsRef<OsStr>) -> io::Result<()> {
    match fs::remove_file(path.as_ref()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::tests::Folder;
    use super::*;
    use flate2::read::GzDecoder;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn finish(archive: &mut Archive, now: SystemTime) {
        archive.seek_work(now).unwrap();
        while archive.is_working() {
            archive.work().unwrap();
            archive.seek_work(now).unwrap();
        }
    }

    #[test]
    fn names_do_not_repeat() {
        let folder = Folder::new();
        let mut archive = Archive::of(&folder.path("a.log"));
        assert_eq!(archive.new_name(at(784_111_777)), folder.path("a.log.19941106T084937000"));
        folder.write("a.log.19941106T084937000", "");
        folder.write("a.log.19941106T084937001.gz", "");
        assert_eq!(archive.new_name(at(784_111_777)), folder.path("a.log.19941106T084937002"));
    }

    #[test]
    fn the_newest_stay_and_strangers_are_left_alone() {
        let folder = Folder::new();
        let strangers = ["a.log", "a.log.1", "a.log.old", "a.log.19941106T08493700x", "b.log.19941106T084937000"];
        for name in strangers {
            folder.write(name, "");
        }
        for name in ["a.log.19941106T084937000", "a.log.19941106T084937001.gz", "a.log.19941106T084937002.gz.part"] {
            folder.write(name, "");
        }
        folder.write("a.log.19941106T084937003", "");
        Archive::of(&folder.path("a.log")).prune(2).unwrap();
        let mut expected = [&strangers[..], &["a.log.19941106T084937002.gz.part", "a.log.19941106T084937003"]].concat();
        expected.sort_unstable();
        assert_eq!(folder.names(), expected);
    }

    #[test]
    fn older_files_are_compressed_even_after_a_crash() {
        let folder = Folder::new();
        let text = "line\n".repeat(100_000);
        folder.write("a.log.19941106T084937000", &text);
        folder.write("a.log.19941106T084937000.gz.part", "half");
        folder.write("a.log.19941106T084937001", "x\n");
        finish(&mut Archive::of(&folder.path("a.log")), SystemTime::now() + REST);
        assert_eq!(folder.names(), ["a.log.19941106T084937000.gz", "a.log.19941106T084937001.gz"]);
        let mut read = String::new();
        let file = File::open(folder.path("a.log.19941106T084937000.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut read).unwrap();
        assert!(read == text, "what was compressed comes out again");
    }

    #[test]
    fn a_file_rests_before_it_is_compressed() {
        let folder = Folder::new();
        folder.write("a.log.19941106T084937000", "x\n");
        let mut archive = Archive::of(&folder.path("a.log"));
        finish(&mut archive, SystemTime::now());
        assert_eq!(folder.names(), ["a.log.19941106T084937000"]);
        finish(&mut archive, SystemTime::now() + REST);
        assert_eq!(folder.names(), ["a.log.19941106T084937000.gz"]);
    }

    #[test]
    fn what_is_abandoned_leaves_the_old_file() {
        let folder = Folder::new();
        folder.write("a.log.19941106T084937000", &"x".repeat(PIECE * 2));
        let mut archive = Archive::of(&folder.path("a.log"));
        archive.seek_work(SystemTime::now() + REST).unwrap();
        archive.work().unwrap();
        assert!(archive.is_working());
        archive.abandon();
        assert_eq!(folder.names(), ["a.log.19941106T084937000"]);
    }
}
