//! Threads, stuck targets, and what is still there in the end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use super::*;

/// A folder of a test's own, which goes with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rp-telemetry-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const LONG: Duration = Duration::from_secs(30);

fn open(path: PathBuf) -> (Writer, Sink) {
    Writer::open(Target::File(path), Rotation::default()).unwrap()
}

fn line(sink: &Sink, text: impl fmt::Display) {
    sink.push(|to| writeln!(to, "{text}").unwrap());
}

/// Looks again and again, until it holds or too long has passed.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn lines_of_all_threads_arrive_whole() {
    let folder = Folder::new();
    let (writer, sink) = open(folder.path("a.log"));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let sink = sink.clone();
            // What is in the buffer when a thread ends is handed over then.
            std::thread::spawn(move || (0..2_000).for_each(|n| line(&sink, format_args!("{thread}-{n}-{:0>60}", ""))))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(writer.shutdown(LONG));
    assert_eq!(sink.dropped(), 0);
    let text = folder.read("a.log");
    for thread in 0..4 {
        let prefix = format!("{thread}-");
        let numbers: Vec<u32> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix(&format!("-{:0>60}", ""))?.parse().ok())
            .collect();
        assert!(numbers.iter().copied().eq(0..2_000), "lines of one thread keep their order");
    }
    assert_eq!(text.lines().count(), 8_000);
}

#[test]
fn a_flush_brings_lines_out_without_an_end() {
    let folder = Folder::new();
    let (_writer, sink) = open(folder.path("a.log"));
    line(&sink, "a");
    assert_eq!(folder.read("a.log"), "");
    flush();
    until("the line is written", || folder.read("a.log") == "a\n");
}

#[test]
fn a_writer_ends_by_itself_when_nobody_uses_it() {
    let folder = Folder::new();
    let (writer, sink) = open(folder.path("a.log"));
    line(&sink, "a");
    drop(sink);
    assert!(writer.sink().is_some(), "the buffer holds the sink");
    flush();
    flush();
    assert!(writer.sink().is_none());
    assert_eq!(writer.ended.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    assert_eq!(folder.read("a.log"), "a\n");
}

#[test]
fn lines_after_the_end_are_counted() {
    let folder = Folder::new();
    let (writer, sink) = open(folder.path("a.log"));
    drop(writer);
    line(&sink, "a");
    flush();
    assert_eq!(sink.dropped(), 1);
}

#[test]
fn a_line_within_a_line_is_dropped_and_does_not_panic() {
    let folder = Folder::new();
    let (writer, sink) = open(folder.path("a.log"));
    sink.push(|to| {
        line(&sink, "inner");
        to.extend_from_slice(b"outer\n");
    });
    assert!(writer.shutdown(LONG));
    assert_eq!((folder.read("a.log").as_str(), sink.dropped()), ("outer\n", 1));
}

/// A named pipe whose reading end is open, so that a writer can open the other.
fn pipe(path: &Path) -> File {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

#[test]
fn a_flood_never_waits_for_a_stuck_target() {
    let folder = Folder::new();
    let mut reader = pipe(&folder.path("pipe"));
    let (writer, sink) = open(folder.path("pipe"));
    // 12 MB, where the pipe takes 64 KiB and the channel 4 MiB; nobody reads until all of it was pushed.
    let pushed = 120_000;
    (0..pushed).for_each(|n| line(&sink, format_args!("{n:0>99}")));
    flush();
    let dropped = sink.dropped();
    assert!(dropped > pushed / 2, "{dropped} of {pushed} lines were dropped");

    // Now somebody reads: what was accepted comes out, whole and in order.
    let ending = std::thread::spawn(move || writer.shutdown(LONG));
    let mut text = Vec::new();
    until("the writer ends", || {
        // Non-blocking: it may be empty for a moment.
        let _ = reader.read_to_end(&mut text);
        ending.is_finished()
    });
    let _ = reader.read_to_end(&mut text);
    assert!(ending.join().unwrap());
    let numbers: Vec<u64> = text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(number).collect();
    assert_eq!(numbers.len() as u64 + sink.dropped(), pushed);
    assert!(numbers.is_sorted());
}

fn number(line: &[u8]) -> u64 {
    assert_eq!(line.len(), 99);
    std::str::from_utf8(line).unwrap().parse().unwrap()
}

#[test]
fn a_target_that_stays_stuck_does_not_keep_us_from_ending() {
    let folder = Folder::new();
    let _reader = pipe(&folder.path("pipe"));
    let (writer, sink) = open(folder.path("pipe"));
    (0..2_000).for_each(|n| line(&sink, format_args!("{n:0>99}")));
    assert!(!writer.shutdown(Duration::from_millis(50)));
}

#[test]
fn a_pipe_without_a_reader_is_an_error_at_once() {
    let folder = Folder::new();
    drop(pipe(&folder.path("pipe")));
    assert!(Writer::open(Target::File(folder.path("pipe")), Rotation::default()).is_err());
}

#[test]
fn a_full_disk_drops_and_counts() {
    let (writer, sink) = open("/dev/full".into());
    (0..1_000).for_each(|n| line(&sink, n));
    flush();
    line(&sink, "one more");
    assert!(writer.shutdown(LONG));
    assert_eq!(sink.dropped(), 1_001);
}

#[test]
fn reopening_follows_the_name() {
    let folder = Folder::new();
    let (writer, sink) = open(folder.path("a.log"));
    line(&sink, "a");
    flush();
    until("the line is written", || folder.read("a.log") == "a\n");
    fs::rename(folder.path("a.log"), folder.path("moved")).unwrap();
    writer.reopen();
    until("the file is there again", || folder.path("a.log").exists());
    line(&sink, "b");
    assert!(writer.shutdown(LONG));
    assert_eq!((folder.read("moved").as_str(), folder.read("a.log").as_str()), ("a\n", "b\n"));
}

#[test]
fn a_flood_is_rotated_and_loses_nothing() {
    let folder = Folder::new();
    let rotation = Rotation { size: Some(50_000), keep: 100, gzip: false, ..Rotation::default() };
    let (writer, sink) = Writer::open(Target::File(folder.path("a.log")), rotation).unwrap();
    (0..10_000).for_each(|n| line(&sink, format_args!("{n:0>99}")));
    assert!(writer.shutdown(LONG));
    assert_eq!(sink.dropped(), 0);
    // Older files sort before newer ones, and all of them before the one in use when that is read last.
    let mut names = folder.names();
    names.rotate_left(1);
    let text: String = names.iter().map(|name| folder.read(name)).collect();
    assert!(names.len() >= 20, "{names:?}");
    assert!(text.lines().map(|line| number(line.as_bytes())).eq(0..10_000));
}

#[test]
fn sites_share_a_file_and_a_reload_adopts_it() {
    let folder = Folder::new();
    let mut writers = Writers::default();
    let target = || Target::File(folder.path("a.log"));
    let first = writers.sink(target(), Rotation::default()).unwrap();
    let second = writers.sink(target(), Rotation { keep: 3, ..Rotation::default() }).unwrap();
    let other = writers.sink(Target::File(folder.path("b.log")), Rotation::default()).unwrap();
    assert!(Arc::ptr_eq(&first.shared, &second.shared));
    assert!(!Arc::ptr_eq(&first.shared, &other.shared));
    line(&first, "a");
    line(&second, "b");
    line(&other, "c");
    // The old configuration goes; what it logged is written, and a later one opens the file again.
    drop((first, second, other));
    flush();
    flush();
    let third = writers.sink(target(), Rotation::default()).unwrap();
    line(&third, "d");
    assert_eq!(writers.open.len(), 1, "the one that nobody used is gone");
    assert!(writers.shutdown(LONG));
    assert_eq!((folder.read("a.log").as_str(), folder.read("b.log").as_str()), ("a\nb\nd\n", "c\n"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let error = Writers::default().sink(Target::File(folder.path("no/a.log")), Rotation::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
