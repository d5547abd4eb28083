//! The one path of a request: built once, used by matchers, rewriting, files and forwarding alike.
//!
//! What is matched is what is forwarded. A path that can be read in two ways is brought to one form (RFC 3986,
//! section 6.2.2): percent-encoded unreserved characters are decoded, other escapes get upper-case digits, dot segments
//! and doubled slashes go. `%2F` and `%5C` stay as they are, since decoding them would make segments that the client
//! did not write. What can't be brought to one form is refused.

use std::fmt::Write as _;

/// Why a path is refused; the sentence is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    NotAbsolute,
    Escape,
    Nul,
    Control,
    Backslash,
    Fragment,
}

impl BadPath {
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not start with a slash",
            Self::Escape => "a percent sign without two hexadecimal digits",
            Self::Nul => "an encoded NUL",
            Self::Control => "a space or a control character",
            Self::Backslash => "a backslash",
            Self::Fragment => "a fragment",
        }
    }
}

/// The canonical form of `raw`, or `None` where `raw` is that already.
///
/// Most paths are canonical, and for them this is one look at each byte.
pub fn canonical(raw: &str) -> Result<Option<String>, BadPath> {
    let bytes = raw.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(BadPath::NotAbsolute);
    }
    let mut before = 0;
    let mut plain = true;
    for &byte in bytes {
        let class = CLASS[usize::from(byte)];
        // Two segments' border, or a dot that begins one, or what has to be decoded.
        plain &= class & (before | ENCODED | BAD) == 0;
        before = (class & SLASH) << 1;
    }
    if plain {
        return Ok(None);
    }
    if let Some(bad) = bytes.iter().find_map(|byte| bad(*byte)) {
        return Err(bad);
    }
    let decoded = unescape(bytes)?;
    let cleaned = remove_dots(&decoded);
    Ok(if cleaned == raw { None } else { Some(cleaned) })
}

/// What a byte is to [`canonical`], as bits: so that a path is looked at in one go, without a branch for each byte.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0_u8;
    loop {
        class[byte as usize] = match byte {
            b'/' => SLASH | AFTER_SLASH,
            b'.' => AFTER_SLASH,
            b'%' | 0x80.. => ENCODED,
            b'\\' | b'#' | 0..=b' ' | 0x7f => BAD,
            _ => 0,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    class
};
const SLASH: u8 = 1;
/// Counts behind a slash: the next bit, where that was.
const AFTER_SLASH: u8 = 2;
const ENCODED: u8 = 4;
const BAD: u8 = 8;

fn bad(byte: u8) -> Option<BadPath> {
    match byte {
        b'\\' => Some(BadPath::Backslash),
        b'#' => Some(BadPath::Fragment),
        0..=b' ' | 0x7f => Some(BadPath::Control),
        _ => None,
    }
}

/// Decodes what is unreserved, writes other escapes in upper case, escapes raw bytes beyond ASCII.
fn unescape(bytes: &[u8]) -> Result<String, BadPath> {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let (Some(high), Some(low)) = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) else {
                return Err(BadPath::Escape);
            };
            let value = high * 16 + low;
            match value {
                0 => return Err(BadPath::Nul),
                _ if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') => {
                    out.push(char::from(value));
                }
                _ => {
                    let _ = write!(out, "%{value:02X}");
                }
            }
            at += 3;
        } else {
            if byte.is_ascii() {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            at += 1;
        }
    }
    Ok(out)
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986, section 5.2.4, and doubled slashes with it. `..` at the root stays at the root.
fn remove_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut directory = false;
    for segment in path.split('/').skip(1) {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if directory || segments.is_empty() {
        out.push('/');
    }
    out
}

/// Whether a segment is `.` or `..`, in any spelling: text put together from a request's parts must not climb.
#[must_use]
pub fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        dots == "." || dots == ".."
    })
}

/// Percent-decodes a canonical path for the file system. NUL can't be in it; what is not UTF-8 has no file.
#[must_use]
pub fn decode(path: &str) -> Option<String> {
    percent_encoding::percent_decode_str(path).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(canonical(raw).map(|path| path.unwrap_or_else(|| raw.to_owned())), Ok(expected.to_owned()), "{raw}");
    }

    #[test]
    fn xp01_many_spellings_have_one_form() {
        check("/admin", "/admin");
        check("/%61dmin", "/admin");
        check("//admin", "/admin");
        check("/./admin", "/admin");
        check("/x/../admin", "/admin");
        check("/x/%2e%2e/admin", "/admin");
        check("/%2E%2E/%2e%2e/admin", "/admin");
        check("/../../etc", "/etc");
        check("/a/..", "/");
        check("/a/b/.", "/a/b/");
        check("/a//b///c/", "/a/b/c/");
        check("/admin%2f..%2fx", "/admin%2F..%2Fx");
        check("/%5cadmin", "/%5Cadmin");
        check("/caf\u{e9}", "/caf%C3%A9");
        check("/a.b/.hidden/...", "/a.b/.hidden/...");
        check("/%7Euser", "/~user");
    }

    #[test]
    fn xp02_dots_are_seen_in_every_spelling() {
        for path in ["/..", "/a/../b", "/a/%2e%2E", "/.%2e/x", "/%2e", "/./"] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/", "/a.b", "/...", "/..a/", "/%2e%2e%2e", "/a%2F..%2Fb"] {
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn xp01_what_has_no_one_form_is_refused() {
        for raw in ["/a%", "/a%2", "/a%zz", "/a%00", "/a\\b", "/a#b", "/a b", "/a\u{1}", "/a\u{7f}", "a", ""] {
            assert!(canonical(raw).is_err(), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_canonical(raw in "/[a-zA-Z0-9%./~;:@-]{0,40}") {
            if let Ok(Some(once)) = canonical(&raw) {
                prop_assert_eq!(canonical(&once), Ok(None), "{}", once);
            }
        }

        #[test]
        fn no_dot_segment_is_left(raw in "/([a-c./]|%2[eEfF]){0,30}") {
            if let Ok(path) = canonical(&raw) {
                let path = path.unwrap_or(raw);
                let escaped = path.split('/').skip(1).any(|s| s == ".." || s == ".");
                prop_assert!(!escaped && !path.contains("//"), "{}", path);
            }
        }
    }
}
