//! Where lines end up: a stream, or a file that is rotated, reopened, and may run into a full disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::archive::Archive;
use super::{Rotation, Target};
use crate::telemetry::clock::since_epoch;

#[derive(Debug)]
pub struct Output {
    file: File,
    /// What there is beside the bytes when the target is a regular file.
    log: Option<Log>,
    /// Whether the last line that got out lacks its end.
    torn: bool,
}

/// What a write could not get out.
#[derive(Debug)]
pub struct Lost {
    pub lines: u64,
    pub error: io::Error,
}

impl Output {
    pub fn open(target: &Target, rotation: Rotation) -> io::Result<Self> {
        let (file, log) = match target {
            // Duplicates, so that the buffers of the standard library are not in between.
            Target::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            Target::Stderr => (File::from(io::stderr().as_fd().try_clone_to_owned()?), None),
            Target::File(path) => {
                let file = append(path)?;
                let log = Log::of(path, &file, rotation)?;
                (file, log)
            }
        };
        Ok(Self { file, log, torn: false })
    }

    /// Writes whole lines, after rotating where the time has come. A rotation that fails costs no line: they go on
    /// into the old file, and the error is the second that is returned.
    pub fn write(&mut self, lines: &[u8], now: SystemTime) -> (Result<(), Lost>, io::Result<()>) {
        let rotated = match &mut self.log {
            Some(log) if log.is_due(lines.len(), now) => log.rotate(now).map(|file| self.file = file),
            _ => Ok(()),
        };
        let written = put(&mut &self.file, lines, &mut self.torn, || wait(self.file.as_fd()));
        if let Some(log) = &mut self.log {
            log.period = log.rotation.period(now);
            log.size += lines.len() as u64;
        }
        (written, rotated)
    }

    /// Opens the file anew under its name; streams have none. When that fails the old one stays in use.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            self.file = append(&log.path)?;
            log.look(&self.file)?;
        }
        Ok(())
    }

    pub fn rotate_by(&mut self, rotation: Rotation) {
        if let Some(log) = &mut self.log {
            log.rotation = rotation;
        }
    }

    /// What is to be done once a second: see whether somebody moved the file away or cut it, and take up compression.
    pub fn tend(&mut self, now: SystemTime) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.is_stuck = false;
        if log.was_moved() {
            self.file = append(&log.path)?;
        }
        log.look(&self.file)?;
        if log.rotation.gzip { log.archive.seek_work(now) } else { Ok(()) }
    }

    pub fn is_compressing(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.archive.is_working())
    }

    /// Compresses a piece of an older file.
    pub fn compress(&mut self) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), |log| log.archive.work())
    }

    pub fn close(mut self) {
        if let Some(log) = &mut self.log {
            log.archive.abandon();
        }
    }
}

/// A regular file.
#[derive(Debug)]
struct Log {
    path: std::path::PathBuf,
    rotation: Rotation,
    archive: Archive,
    /// Device and inode: which file the name stood for when it was opened.
    identity: (u64, u64),
    size: u64,
    /// The period ([`Rotation::period`]) of the newest line.
    period: u64,
    /// The last rotation failed: no new try before the next [`Output::tend`].
    is_stuck: bool,
}

impl Log {
    /// None for what is no regular file: a pipe, a terminal, `/dev/null`.
    fn of(path: &Path, file: &File, rotation: Rotation) -> io::Result<Option<Self>> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Ok(None);
        }
        let mut log = Self {
            path: path.to_owned(),
            rotation,
            archive: Archive::of(path),
            identity: (0, 0),
            size: 0,
            // Lines of yesterday's process are put away by today's.
            period: rotation.period(about.modified()?),
            is_stuck: false,
        };
        log.look(file)?;
        Ok(Some(log))
    }

    fn look(&mut self, file: &File) -> io::Result<()> {
        let about = file.metadata()?;
        self.identity = (about.dev(), about.ino());
        self.size = about.len();
        Ok(())
    }

    fn was_moved(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |about| (about.dev(), about.ino()) != self.identity)
    }

    fn is_due(&self, more: usize, now: SystemTime) -> bool {
        let is_full = self.rotation.size.is_some_and(|most| self.size.saturating_add(more as u64) > most);
        let is_old = self.rotation.age.is_some() && self.period < self.rotation.period(now);
        self.size > 0 && !self.is_stuck && (is_full || is_old)
    }

    /// Puts the file away and gives the new one.
    fn rotate(&mut self, now: SystemTime) -> io::Result<File> {
        self.is_stuck = true;
        if !self.was_moved() {
            fs::rename(&self.path, self.archive.new_name(now))?;
        }
        let file = append(&self.path)?;
        self.look(&file)?;
        self.is_stuck = false;
        // The new file is there; an old one that cannot be removed is no reason to fail.
        if let Err(error) = self.archive.prune(self.rotation.keep) {
            tracing::warn!(log = %self.path.display(), %error, "an old access log cannot be removed");
        }
        Ok(file)
    }
}

/// Opens for appending, readable by the owner and the group. Non-blocking matters for a named pipe: without a reader
/// it is an error at once, and not a start that hangs.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Makes a file that is not there yet.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// Lines hold addresses and paths of people: not for everyone on the machine.
const MODE: u32 = 0o640;

/// Writes all, or says how many lines did not get out. After a line that was torn by an error the next write begins
/// on a new line, so that one line is spoilt and not two.
fn put(to: &mut impl Write, lines: &[u8], torn: &mut bool, wait: impl Fn() -> io::Result<()>) -> Result<(), Lost> {
    if *torn {
        put_bytes(to, b"\n", &wait).map_err(|(_, error)| Lost { lines: count(lines), error })?;
        *torn = false;
    }
    put_bytes(to, lines, &wait).map_err(|(written, error)| {
        *torn = written > 0 && lines[written - 1] != b'\n';
        Lost { lines: count(lines) - count(&lines[..written]), error }
    })
}

fn put_bytes(to: &mut impl Write, bytes: &[u8], wait: &impl Fn() -> io::Result<()>) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait().map_err(|error| (written, error))?,
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Until a stream takes bytes again. Only the writer's own thread waits here.
fn wait(stream: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::from_borrowed_fd(stream, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

impl Rotation {
    /// Which period a moment lies in. Periods begin at multiples of `age` since 1970, so a day begins at midnight UTC
    /// whenever rp was started.
    fn period(&self, at: SystemTime) -> u64 {
        self.age.map_or(0, |age| since_epoch(at).as_secs() / age.as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::tests::Folder;
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn open(folder: &Folder, rotation: Rotation) -> Output {
        Output::open(&Target::File(folder.path("a.log")), Rotation { gzip: false, ..rotation }).unwrap()
    }

    fn write(output: &mut Output, lines: &str, now: SystemTime) {
        let (written, rotated) = output.write(lines.as_bytes(), now);
        written.unwrap();
        rotated.unwrap();
    }

    #[test]
    fn rotation_by_size_keeps_so_many() {
        let folder = Folder::new();
        let mut output = open(&folder, Rotation { size: Some(10), keep: 2, ..Rotation::default() });
        for (second, line) in
            ["first\n", "abc\n", "second\n", "third\n", "a line over the limit\n", "x\n"].iter().enumerate()
        {
            write(&mut output, line, at(second as u64));
        }
        assert_eq!(folder.names(), ["a.log", "a.log.19700101T000004000", "a.log.19700101T000005000"]);
        assert_eq!(folder.read("a.log"), "x\n");
        assert_eq!(folder.read("a.log.19700101T000005000"), "a line over the limit\n");
        assert_eq!(folder.read("a.log.19700101T000004000"), "third\n");
    }

    #[test]
    fn what_was_there_counts_for_the_size() {
        let folder = Folder::new();
        folder.write("a.log", "123456\n");
        let mut output = open(&folder, Rotation { size: Some(10), ..Rotation::default() });
        write(&mut output, "new\n", at(0));
        assert_eq!(folder.read("a.log"), "new\n");
        assert_eq!(folder.read("a.log.19700101T000000000"), "123456\n");
    }

    #[test]
    fn rotation_by_age_begins_a_file_each_period() {
        let folder = Folder::new();
        let age = Some(Duration::from_secs(DAY));
        let mut output = open(&folder, Rotation { age, ..Rotation::default() });
        // The file is empty and of today: nothing is put away before it holds a line of an older day.
        let today = since_epoch(SystemTime::now()).as_secs() / DAY * DAY;
        write(&mut output, "a\n", at(today + 5 * DAY));
        write(&mut output, "b\n", at(today + 6 * DAY - 1));
        write(&mut output, "c\n", at(today + 6 * DAY));
        assert_eq!(folder.names().len(), 2);
        assert_eq!(folder.read("a.log"), "c\n");
        assert_eq!(folder.read(&folder.names()[1]), "a\nb\n");
    }

    #[test]
    fn a_file_of_yesterday_is_put_away_by_a_new_process() {
        let folder = Folder::new();
        folder.write("a.log", "old\n");
        File::options().write(true).open(folder.path("a.log")).unwrap().set_modified(at(DAY)).unwrap();
        let age = Some(Duration::from_secs(DAY));
        write(&mut open(&folder, Rotation { age, ..Rotation::default() }), "new\n", at(2 * DAY));
        assert_eq!(folder.read("a.log"), "new\n");
        assert_eq!(folder.read("a.log.19700103T000000000"), "old\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = Folder::new();
        let mut output = open(&folder, Rotation::default());
        write(&mut output, "a\n", at(0));
        fs::rename(folder.path("a.log"), folder.path("moved")).unwrap();
        write(&mut output, "b\n", at(0));
        output.tend(at(1)).unwrap();
        write(&mut output, "c\n", at(1));
        fs::remove_file(folder.path("a.log")).unwrap();
        output.reopen().unwrap();
        write(&mut output, "d\n", at(1));
        assert_eq!((folder.read("moved").as_str(), folder.read("a.log").as_str()), ("a\nb\n", "d\n"));
    }

    #[test]
    fn a_file_that_was_cut_counts_from_its_new_size() {
        let folder = Folder::new();
        let mut output = open(&folder, Rotation { size: Some(10), ..Rotation::default() });
        write(&mut output, "12345678\n", at(0));
        File::options().write(true).open(folder.path("a.log")).unwrap().set_len(0).unwrap();
        output.tend(at(1)).unwrap();
        write(&mut output, "abc\n", at(1));
        assert_eq!(folder.names(), ["a.log"]);
        assert_eq!(folder.read("a.log"), "abc\n");
    }

    #[test]
    fn a_rotation_that_fails_costs_no_line() {
        let folder = Folder::new();
        fs::create_dir(folder.path("in")).unwrap();
        let target = Target::File(folder.path("in/a.log"));
        let rotation = Rotation { size: Some(3), gzip: false, ..Rotation::default() };
        let mut output = Output::open(&target, rotation).unwrap();
        write(&mut output, "a\n", at(0));
        // The folder is gone from its place, so that neither a rename nor a new file can succeed.
        fs::rename(folder.path("in"), folder.path("out")).unwrap();
        let (written, rotated) = output.write(b"b\n", at(0));
        assert!(written.is_ok() && rotated.is_err());
        write(&mut output, "c\n", at(0));
        assert!(output.tend(at(1)).is_err());
        fs::rename(folder.path("out"), folder.path("in")).unwrap();
        assert_eq!(folder.read("in/a.log"), "a\nb\nc\n");
        output.tend(at(2)).unwrap();
        write(&mut output, "d\n", at(2));
        assert_eq!(folder.read("in/a.log"), "d\n");
    }

    #[test]
    fn not_everyone_may_read() {
        let folder = Folder::new();
        write(&mut open(&folder, Rotation::default()), "a\n", at(0));
        let mode = fs::metadata(folder.path("a.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !MODE, 0, "{mode:o}");
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_how_many() {
        let mut output = Output::open(&Target::File("/dev/full".into()), Rotation::default()).unwrap();
        let (written, rotated) = output.write(b"a\nb\nc\n", at(0));
        let lost = written.unwrap_err();
        assert_eq!((lost.lines, lost.error.kind()), (3, io::ErrorKind::StorageFull));
        rotated.unwrap();
    }

    /// Takes as many bytes as it has room for, then fails until there is room again.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let mut narrow = Narrow { room: 5, taken: Vec::new() };
        let mut torn = false;
        let mut put = |narrow: &mut Narrow, lines: &[u8]| put(narrow, lines, &mut torn, || Ok(())).map_err(|l| l.lines);
        assert_eq!(put(&mut narrow, b"one\ntwo\nthree\n"), Err(2));
        assert_eq!(put(&mut narrow, b"four\n"), Err(1));
        narrow.room = 100;
        assert_eq!(put(&mut narrow, b"five\n"), Ok(()));
        assert_eq!(put(&mut narrow, b"six\n"), Ok(()));
        assert_eq!(String::from_utf8(narrow.taken).unwrap(), "one\nt\nfive\nsix\n");
    }
}
