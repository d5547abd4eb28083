//! What servers may make of a path in its canonical form.
//!
//! RFC 3986 has one reading of a path, and servers take liberties: they decode it before they cut it into segments (nginx,
//! and most that serve files), or twice, take `\` for `/`, cut off `;x`, or fold case. A rule that decides one way for the
//! path that it sees and another for the one that a server would see can be led around; who asks all readings knows.

use super::path::canonical;

/// Decoding more often than this is known of nobody.
const MOST: usize = 3;

/// The readings of one path other than itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// By servers that decode what separates, once or again and again. Without escapes there are none.
    pub decoded: Box<[Box<str>]>,
    /// In lower case, by servers that cut off parameters and fold case; for rules that keep somebody out.
    pub loose: Box<[Box<str>]>,
    /// One of them is none: it has a NUL.
    pub broken: bool,
}

impl Readings {
    /// Of a canonical path. Most have no other reading: for them this is one look at each byte.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (mut escaped, mut loose) = (false, false);
        for byte in path.bytes() {
            escaped |= byte == b'%';
            loose |= byte == b';' || byte.is_ascii_uppercase();
        }
        if !escaped && !loose {
            return None;
        }
        let Ok(decoded) = decodings(path) else {
            return Some(Self { broken: true, ..Self::default() });
        };
        // The digits of an escape are no letters that somebody could fold.
        let all = std::iter::once(path).chain(decoded.iter().map(|text| &**text));
        let mut folded: Vec<Box<str>> = Vec::new();
        for reading in all.flat_map(|text| [Some(text.to_owned()), cut(text)]).flatten() {
            let reading = fold(&reading);
            if !folded.iter().any(|known| **known == *reading) {
                folded.push(reading.into());
            }
        }
        Some(Self { decoded: decoded.into(), loose: folded.into(), broken: false })
    }
}

/// What becomes of a path that is decoded until nothing changes, step by step.
fn decodings(path: &str) -> Result<Vec<Box<str>>, ()> {
    let mut all: Vec<Box<str>> = Vec::new();
    let mut last = path.to_owned();
    for _ in 0..MOST {
        let next = decode(&last)?;
        if next == last {
            break;
        }
        all.push(next.as_str().into());
        last = next;
    }
    Ok(all)
}

/// Decodes what could separate segments, or hide an escape; the rest can't change what a rule decides.
fn decode(path: &str) -> Result<String, ()> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (text, length) = match escape.get(1..3) {
            Some("2F" | "5C") => ("/", 3),
            Some("3B") => (";", 3),
            // A sign by itself would be no escape.
            Some("25") if is_hex(escape.as_bytes().get(3..5)) => ("%", 3),
            _ => ("%", 1),
        };
        out.push_str(text);
        rest = &escape[length..];
    }
    out.push_str(rest);
    let form = canonical(&out).map_err(|_| ())?;
    Ok(form.unwrap_or(out))
}

fn is_hex(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_hexdigit))
}

/// Without parameters of segments, as servers of servlets resolve it: `/x/..;a/y` is `/y`.
fn cut(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    let joined = segments.join("/");
    Some(canonical(&joined).ok()?.unwrap_or(joined))
}

/// Lower case, but for escapes: their digits are in upper case in every canonical path.
#[must_use]
pub fn fold(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    let mut escape = 0;
    for letter in path.chars() {
        folded.push(if escape > 0 { letter } else { letter.to_ascii_lowercase() });
        escape = if letter == '%' { 2 } else { i32::max(escape - 1, 0) };
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(all: &[Box<str>]) -> Vec<&str> {
        all.iter().map(|text| &**text).collect()
    }

    #[test]
    fn xp01_most_paths_have_one_reading() {
        for path in ["/", "/admin", "/a/b.c/~d", "/a-b_c:1@2"] {
            assert_eq!(Readings::of(path), None, "{path}");
        }
        assert_eq!(Readings::of("/caf%C3%A9").unwrap().decoded.len(), 0, "no escape of a separator");
    }

    #[test]
    fn xp01_servers_that_decode_more_are_foreseen() {
        for (path, readings) in [
            ("/x%2F..%2Fadmin", &["/admin"][..]),
            ("/%2Fadmin", &["/admin"]),
            ("/%5Cadmin", &["/admin"]),
            ("/x%5C..%5Cadmin", &["/admin"]),
            ("/admin%2F", &["/admin/"]),
            ("/%2561dmin", &["/admin"]),
            ("/%252561dmin", &["/%2561dmin", "/admin"]),
            ("/x%252F..%252Fadmin", &["/x%2F..%2Fadmin", "/admin"]),
            // What is no escape hides nothing behind it.
            ("/%25%2F..%2Fadmin", &["/%25/../admin"]),
            ("/%25zz%2Fx", &["/%25zz/x"]),
        ] {
            let readings: Vec<String> =
                readings.iter().map(|text| canonical(text).unwrap().unwrap_or_else(|| (*text).to_owned())).collect();
            assert_eq!(texts(&Readings::of(path).unwrap().decoded), readings, "{path}");
        }
        assert!(Readings::of("/%2500").unwrap().broken);
    }

    #[test]
    fn xp01_servers_that_fold_and_cut_are_foreseen() {
        for (path, reading) in [
            ("/ADMIN", "/admin"),
            ("/admin;x", "/admin"),
            ("/admin;x=1/y", "/admin/y"),
            ("/x/..;/admin", "/admin"),
            ("/x/..;a=b/Admin", "/admin"),
            ("/admin%3Bx", "/admin"),
            ("/x%2F..;%2FADMIN", "/admin"),
        ] {
            assert!(texts(&Readings::of(path).unwrap().loose).contains(&reading), "{path}: {:?}", Readings::of(path));
        }
        assert_eq!(fold("/%C3%A9/ABC%2F"), "/%C3%A9/abc%2F");
    }

    proptest! {
        #[test]
        fn every_reading_is_canonical(raw in "/[a-zA-Z0-9%./~;:@-]{0,40}") {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            let path = path.unwrap_or(raw);
            let Some(readings) = Readings::of(&path) else { return Ok(()) };
            for reading in readings.decoded.iter().chain(&readings.loose) {
                prop_assert_eq!(canonical(reading), Ok(None), "{} of {}", reading, path);
            }
        }
    }
}
