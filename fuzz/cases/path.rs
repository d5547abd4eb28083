//! A path of any spelling has one form or none. That form says the same, keeps to itself through another reading, and
//! climbs nowhere.

use http::Uri;
use proxyfile::http::path::{canonical, climbs, decode};
use proxyfile::http::target::Target;

pub fn run(data: &[u8]) {
    let Ok(raw) = str::from_utf8(data) else { return };
    if let Ok(path) = canonical(raw) {
        let path = path.unwrap_or_else(|| raw.to_owned());
        is_canonical(&path);
        assert_eq!(meaning(&path), meaning(raw), "{raw:?} → {path:?}");
        assert!(decode(&path).is_none_or(|decoded| !decoded.contains('\0')));
    }
    through(raw);
}

fn is_canonical(path: &str) {
    assert_eq!(canonical(path), Ok(None), "{path:?} has another form");
    assert!(path.starts_with('/') && !path.contains("//") && !climbs(path), "{path:?}");
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        assert!(byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'), "{byte:#x} in {path:?}");
        if byte == b'%' {
            let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("two digits"));
            let value = u8::from_str_radix(str::from_utf8(&digits).expect("digits"), 16).expect("hexadecimal");
            let unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
            assert!(value != 0 && !unreserved && !digits.iter().any(u8::is_ascii_lowercase), "{path:?}");
        }
    }
}

/// The names from the root to what a path is of, as a server would decode them, and whether it is of a folder.
fn meaning(path: &str) -> (Vec<Vec<u8>>, bool) {
    let mut names = Vec::new();
    let mut folder = true;
    for segment in path.split('/') {
        let name: Vec<u8> = percent_encoding::percent_decode_str(segment).collect();
        folder = matches!(name.as_slice(), b"" | b"." | b"..");
        match name.as_slice() {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            _ => names.push(name),
        }
    }
    let folder = folder || names.is_empty();
    (names, folder)
}

/// A target as it comes off the wire, and as the next server reads what it is sent.
fn through(raw: &str) {
    let Ok(uri) = Uri::try_from(raw) else { return };
    let Ok(mut target) = Target::of(&uri) else { return };
    if target.path() == "*" {
        return;
    }
    forwarded(&target);
    // A rewrite may put anything into its place.
    if target.set_path(raw).is_ok() {
        is_canonical(target.path());
    }
    target.set_query(None);
    assert_eq!(target.wire(), target.path().as_bytes());
}

fn forwarded(target: &Target) {
    is_canonical(target.path());
    let wire = String::from_utf8(target.wire().into_owned()).expect("a target is ASCII, or was UTF-8");
    assert!(!wire.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#'), "{wire:?}");
    let next = Uri::try_from(wire.as_str()).unwrap_or_else(|error| panic!("{wire:?}: {error}"));
    assert_eq!((next.scheme(), next.authority()), (None, None), "{wire:?} is of another host");
    let next = Target::of(&next).unwrap_or_else(|fault| panic!("{wire:?}: {fault:?}"));
    assert_eq!((next.path(), next.query()), (target.path(), target.query()), "{wire:?}");
}
