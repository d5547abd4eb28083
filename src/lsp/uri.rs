//! Addresses of files as editors write them, and paths as this machine does.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use lsp_types::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// All but what RFC 3986 (section 2.3) leaves unreserved, and the slashes between segments.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The path that is meant. What is no file (a buffer without a name) goes by its whole address.
pub(super) fn path(uri: &Uri) -> PathBuf {
    let text = uri.as_str();
    // Behind the two slashes stands a host, and a file of this machine has none.
    let Some(at) = text.strip_prefix("file://").and_then(|rest| rest.find('/').map(|slash| &rest[slash..])) else {
        return PathBuf::from(text);
    };
    OsString::from_vec(percent_decode_str(at).collect()).into()
}

/// `None` for what no address can name.
pub(super) fn uri(path: &Path) -> Option<Uri> {
    let bytes = path.as_os_str().as_bytes();
    if !path.is_absolute() {
        return path.to_str()?.parse().ok();
    }
    format!("file://{}", percent_encode(bytes, RESERVED)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_way_there_and_back() {
        for text in ["/etc/rp/Proxyfile", "/a b/ä#?%/x:y@z", "untitled:Untitled-1"] {
            assert_eq!(path(&uri(Path::new(text)).unwrap()), Path::new(text), "{text}");
        }
        assert_eq!(path(&"file:///a%20b/%C3%A4".parse().unwrap()), Path::new("/a b/ä"));
        assert_eq!(path(&"file://localhost/a".parse().unwrap()), Path::new("/a"));
        assert_eq!(uri(Path::new("/a b/ä")).unwrap().as_str(), "file:///a%20b/%C3%A4");
    }
}
