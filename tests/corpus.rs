//! What the fuzzer has found worth keeping, tried again without it: each file of `fuzz/corpus` goes through the case of its
//! folder's name.

#[path = "../fuzz/cases/mod.rs"]
mod cases;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// No input takes longer, unoptimized: time of the processor, since the machine may be busy with others.
const LONGEST: Duration = Duration::from_secs(10);
/// All of it is small enough to be a part of the repository.
const MOST: u64 = 3 * 1024 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

thread_local! {
    /// Panics of this thread; one in a task of the runtime is caught there, and would be seen nowhere else.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// What this thread has had of the processor.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn replay(target: &str) {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    let (_, case) = cases::ALL.iter().find(|(name, _)| *name == target).unwrap();
    let files = files(&folder().join(target));
    assert!(files.len() >= 5, "{target} has a corpus");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let start = spent();
        let panics = PANICS.get();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| case(&bytes)));
        assert!(outcome.is_ok() && panics == PANICS.get(), "{}", file.display());
        let time = spent().saturating_sub(start);
        assert!(time < LONGEST, "{} takes {time:?}", file.display());
    }
}

#[test]
fn parse() {
    replay("parse");
}

#[test]
fn format() {
    replay("format");
}

#[test]
fn check() {
    replay("check");
}

#[test]
fn path() {
    replay("path");
}

#[test]
fn request() {
    replay("request");
}

#[test]
fn response() {
    replay("response");
}

#[test]
fn chunks() {
    replay("chunks");
}

#[test]
fn announced() {
    replay("announced");
}

#[test]
fn hello() {
    replay("hello");
}

#[test]
fn connection() {
    replay("connection");
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn hpack() {
    replay("hpack");
}

#[test]
fn ocsp() {
    replay("ocsp");
}

#[test]
fn what_openssl_answers_as_a_responder_is_read_as_it_was_meant() {
    use proxyfile::tls::staple::Doubt;
    for (name, doubt) in [
        ("good", None),
        ("good-by-a-delegate", None),
        ("good-by-key", None),
        ("good-of-two", None),
        ("revoked", Some(Doubt::Revoked)),
        ("revoked-by-a-delegate", Some(Doubt::Revoked)),
        ("unknown", Some(Doubt::Unknown)),
        ("of-another", Some(Doubt::Another)),
        ("named-by-sha256", Some(Doubt::Another)),
        ("refused", Some(Doubt::Refused(3))),
    ] {
        let answer = fs::read(folder().join("ocsp").join(name)).unwrap();
        assert_eq!(cases::ocsp::judge(&answer).err(), doubt, "{name}");
    }
}

#[test]
fn each_case_is_a_target_with_a_corpus_and_a_test() {
    let names: BTreeSet<String> = cases::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let tests = include_str!("corpus.rs");
    for name in &names {
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"\n")), "{name} is no target");
        assert!(tests.contains(&format!("fn {name}() {{\n    replay(\"{name}\");\n}}")), "{name} has no test");
    }
    let corpora = files(&folder());
    let folders: BTreeSet<String> =
        corpora.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(folders, names);
    let size: u64 = corpora.iter().flat_map(|folder| files(folder)).map(|file| file.metadata().unwrap().len()).sum();
    assert!(size < MOST, "the corpora have {size} bytes");
}
