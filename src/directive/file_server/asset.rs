//! A file made ready: its fields, its validators, its content.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderValue};

use super::coding::Coding;
use super::condition::Validators;
use super::folder::{Pace, Trouble};
use super::pieces::read_promptly;
use crate::telemetry::clock;

/// Up to this size a file is read as one, and may be kept for a second.
pub const SMALL: u64 = 128 * 1024;

/// One representation of a file.
#[derive(Debug)]
pub struct Asset {
    /// Those of a 200, but for its length.
    pub fields: HeaderMap,
    /// Seconds since 1970; where nothing is known that a client could ask by, `None`.
    pub modified: Option<u64>,
    pub size: u64,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Memory(Bytes),
    Disk(Arc<File>),
}

/// What a `file_server` adds to every file's fields.
#[derive(Debug, Clone, Default)]
pub struct Dress {
    pub cache_control: Option<HeaderValue>,
    pub etag: bool,
    /// What is served depends on `Accept-Encoding`.
    pub vary: bool,
}

impl Asset {
    /// `name` settles the type; it is that of the original where `coding` says that this is a compressed sibling.
    pub fn load(
        (file, facts): (File, &Metadata),
        name: &str,
        coding: Option<Coding>,
        dress: &Dress,
        pace: Pace,
    ) -> Result<Self, Trouble> {
        let size = facts.size();
        let mut fields = HeaderMap::with_capacity(8);
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // The epoch stands for "unknown" in archives and package stores that make builds repeatable: two versions of a
        // file would share a validator.
        let modified = u64::try_from(facts.mtime()).ok().filter(|seconds| *seconds > 1);
        if modified.is_some() {
            if dress.etag {
                fields.insert(header::ETAG, etag(facts, coding));
            }
            if let Some(date) = facts.modified().ok().filter(|at| *at <= SystemTime::now()) {
                fields
                    .extend(HeaderValue::from_bytes(&clock::http_date(date)).map(|date| (header::LAST_MODIFIED, date)));
            }
        }
        if let Some(coding) = coding {
            fields.insert(header::CONTENT_ENCODING, coding.value());
        }
        if dress.vary {
            fields.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if let Some(cache_control) = &dress.cache_control {
            fields.insert(header::CACHE_CONTROL, cache_control.clone());
        }
        let content =
            if size <= SMALL { Content::Memory(read(&file, size, pace)?) } else { Content::Disk(Arc::new(file)) };
        Ok(Self { fields, modified, size, content })
    }

    pub fn validators(&self) -> Validators<'_> {
        Validators { etag: self.fields.get(header::ETAG), modified: self.modified }
    }
}

/// Strong: from the time of the last change in nanoseconds and the size. Not from the inode, which differs between
/// machines that serve the same files.
fn etag(facts: &Metadata, coding: Option<Coding>) -> HeaderValue {
    let suffix = coding.map_or("", Coding::suffix).replace('.', "-");
    let text = format!("\"{:x}{:08x}-{:x}{suffix}\"", facts.mtime(), facts.mtime_nsec(), facts.size());
    HeaderValue::try_from(text).expect("digits, hyphens and letters between quotes")
}

/// All `size` bytes.
fn read(file: &File, size: u64, pace: Pace) -> Result<Bytes, Trouble> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    match pace {
        Pace::Patient => file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Trouble::Failed(io::Error::other("it became shorter while it was read")),
            _ => error.into(),
        })?,
        // Whatever is not simply there is for the patient to find out.
        Pace::Prompt => match read_promptly(file, &mut bytes, 0) {
            Ok(read) if read == bytes.len() => {}
            _ => return Err(Trouble::WouldWait),
        },
    }
    Ok(bytes.into())
}

/// By the name's ending. Text is UTF-8, as all text is that is written today; XML says itself what it is in.
fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    // Source maps are JSON (ECMA-426), and scripts are `text/javascript` whatever their ending (RFC 9239).
    let kind = match ending {
        "map" => "application/json",
        "mjs" => "text/javascript",
        _ => mime_guess::from_ext(ending).first_raw().unwrap_or("application/octet-stream"),
    };
    match kind {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" | "application/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/markdown" => "text/markdown; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        "text/calendar" => "text/calendar; charset=utf-8",
        "text/vtt" => "text/vtt; charset=utf-8",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::directive::file_server::tests::Scratch;

    fn load(scratch: &Scratch, name: &str, coding: Option<Coding>) -> Asset {
        let file = File::open(scratch.path(name)).unwrap();
        let facts = file.metadata().unwrap();
        let dress = Dress { cache_control: None, etag: true, vary: false };
        Asset::load((file, &facts), name, coding, &dress, Pace::Patient).unwrap()
    }

    fn touch(scratch: &Scratch, name: &str, since: Duration) {
        File::options().write(true).open(scratch.path(name)).unwrap().set_modified(UNIX_EPOCH + since).unwrap();
    }

    #[test]
    fn types_follow_the_ending() {
        for (name, kind) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.js.map", "application/json"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.tar.gz", "application/gzip"),
            ("LICENSE", "application/octet-stream"),
            ("a.nothing", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), kind, "{name}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_time_and_size() {
        let scratch = Scratch::new();
        scratch.file("a.txt", b"12345");
        touch(&scratch, "a.txt", Duration::new(784_111_777, 5));
        let asset = load(&scratch, "a.txt", None);
        assert_eq!(asset.fields[header::ETAG], "\"2ebc98a100000005-5\"");
        assert_eq!(asset.fields[header::LAST_MODIFIED], "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(matches!(&asset.content, Content::Memory(bytes) if bytes == "12345"));
        touch(&scratch, "a.txt", Duration::new(784_111_777, 6));
        assert_ne!(load(&scratch, "a.txt", None).fields[header::ETAG], asset.fields[header::ETAG]);
        let gzip = load(&scratch, "a.txt", Some(Coding::Gzip));
        assert_eq!(gzip.fields[header::ETAG], "\"2ebc98a100000006-5-gz\"");
    }

    #[test]
    fn times_that_say_nothing_are_not_told() {
        let scratch = Scratch::new();
        scratch.file("a", b"x");
        touch(&scratch, "a", Duration::from_secs(1));
        let epoch = load(&scratch, "a", None);
        assert!(epoch.modified.is_none() && !epoch.fields.contains_key(header::ETAG));
        assert!(!epoch.fields.contains_key(header::LAST_MODIFIED));
        // RFC 9110, section 8.8.2.1: never later than the answer itself.
        let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(24);
        touch(&scratch, "a", tomorrow);
        let future = load(&scratch, "a", None);
        assert!(future.fields.contains_key(header::ETAG) && !future.fields.contains_key(header::LAST_MODIFIED));
    }

    #[test]
    fn large_files_stay_on_disk() {
        let scratch = Scratch::new();
        scratch.file("a", &vec![1; usize::try_from(SMALL).unwrap() + 1]);
        assert!(matches!(load(&scratch, "a", None).content, Content::Disk(_)));
        scratch.file("b", b"");
        assert!(matches!(load(&scratch, "b", None).content, Content::Memory(bytes) if bytes.is_empty()));
    }
}
