//! What a configuration was read from, as one digest: a file that was written again with the same bytes is no change.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::diagnostic::Sources;
use crate::tls::hex;

/// The content of every file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    digest: [u8; 32],
    /// No file changed while it was being read.
    settled: bool,
}

/// The moment at which reading begins, by the clock that the kernel dates files with.
#[derive(Debug, Clone, Copy)]
pub struct Moment(Timespec);

impl Moment {
    pub fn now() -> Self {
        Self(clock_gettime(ClockId::RealtimeCoarse))
    }

    /// Whether a file was changed at that moment or since.
    fn is_before(self, changed: &fs::Metadata) -> bool {
        (changed.ctime(), changed.ctime_nsec()) >= (self.0.tv_sec, self.0.tv_nsec)
    }
}

impl Stamp {
    /// `sources` hold the very bytes that were read. `others` (certificates, keys, secrets) are read once more: one that
    /// changed after `began` may not be what the configuration was built from.
    pub fn of(sources: &Sources, others: &[PathBuf], began: Moment) -> Self {
        let mut context = Context::new(&SHA256);
        for source in sources.files() {
            add(&mut context, &source.path, Some(source.text.as_bytes()));
        }
        let mut settled = true;
        let mut others: Vec<&PathBuf> = others.iter().collect();
        others.sort_unstable();
        others.dedup();
        for path in others {
            settled &= fs::metadata(path).map_or(true, |meta| !began.is_before(&meta));
            add(&mut context, path, fs::read(path).ok().or_else(|| names(path)).as_deref());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self { digest, settled }
    }

    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether these are the same bytes, and those that were read.
    pub fn is(&self, other: &Self) -> bool {
        self.digest == other.digest && other.settled
    }

    /// Enough of it to tell configurations apart, in hexadecimal.
    pub fn short(&self) -> String {
        hex(&self.digest[..6])
    }
}

/// Of a folder: what is in it. Those of its files that matter are read for themselves.
fn names(folder: &Path) -> Option<Vec<u8>> {
    let entries = fs::read_dir(folder).ok()?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    Some(names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect())
}

/// Lengths keep neighbours apart: `ab` and `c` are not `a` and `bc`.
fn add(context: &mut Context, path: &Path, bytes: Option<&[u8]>) {
    let path = path.as_os_str().as_bytes();
    context.update(&path.len().to_le_bytes());
    context.update(path);
    context.update(&bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
    context.update(bytes.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(files: &[(&str, &str)], others: &[PathBuf]) -> Stamp {
        let mut sources = Sources::default();
        for (path, text) in files {
            sources.add(*path, *text);
        }
        Stamp::of(&sources, others, Moment::now())
    }

    #[test]
    fn content_and_names_count() {
        let a = stamp(&[("x", "ab"), ("y", "c")], &[]);
        assert!(a.is(&stamp(&[("x", "ab"), ("y", "c")], &[])));
        assert!(!a.is(&stamp(&[("x", "a"), ("y", "bc")], &[])));
        assert!(!a.is(&stamp(&[("x", "ab"), ("z", "c")], &[])));
        assert!(!a.is(&stamp(&[("x", "ab")], &[])));
    }

    #[test]
    fn a_missing_file_is_not_an_empty_one() {
        let folder = std::env::temp_dir().join(format!("rp-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let others = [folder.join("key")];
        let missing = stamp(&[], &others);
        assert!(missing.is_settled());
        let before = Moment::now();
        fs::write(&others[0], "").unwrap();
        let empty = Stamp::of(&Sources::default(), &others, before);
        fs::remove_dir_all(&folder).unwrap();
        assert_ne!(missing.short(), empty.short());
        // Written after reading began: it must be looked at again, though the bytes are the same.
        assert!(!empty.is_settled());
        assert!(!empty.is(&empty));
    }
}
