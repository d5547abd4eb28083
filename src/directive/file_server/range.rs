//! Which parts of a file a client asks for (RFC 9110, section 14).

use std::ops::Range;

use smallvec::SmallVec;

/// What a `Range` field comes to for a file of known size.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// No range, or one that may be ignored: another unit, not well formed, too many.
    Whole,
    /// In ascending order, neither overlapping nor touching. Never empty.
    Parts(Parts),
    /// Well formed, but all of it behind the end.
    Nothing,
}

pub type Parts = SmallVec<[Range<u64>; 1]>;

/// More ranges than any player or downloader needs; each costs a part of its own (threat XC06).
const MOST: usize = 16;

/// Reads a `Range` field. An empty file has no parts, so it is always sent whole.
pub fn asked(field: &[u8], size: u64) -> Asked {
    let Some(set) = byte_ranges(field) else { return Asked::Whole };
    if size == 0 {
        return Asked::Whole;
    }
    let mut parts = Parts::new();
    let mut seen = 0;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        seen += 1;
        let Some(part) = part(spec, size) else { return Asked::Whole };
        if seen > MOST {
            return Asked::Whole;
        }
        parts.extend(part.filter(|part| !part.is_empty()));
    }
    match (seen, parts.is_empty()) {
        (0, _) => Asked::Whole,
        (_, true) => Asked::Nothing,
        _ => Asked::Parts(joined(parts)),
    }
}

/// What stands behind `bytes=`. Units are compared without regard to case.
fn byte_ranges(field: &[u8]) -> Option<&str> {
    let (unit, set) = std::str::from_utf8(field).ok()?.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(set)
}

/// `None`: not well formed. `Some(None)`: well formed and behind the end.
#[allow(clippy::option_option, reason = "two different nothings, both told apart by the one caller")]
fn part(spec: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0).then(|| size.saturating_sub(suffix)..size));
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        size
    } else {
        let last = number(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(size)
    };
    Some((first < size).then_some(first..end))
}

/// Digits only. What does not fit is behind the end of every file (CVE-2017-7529 was a sum that wrapped).
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// RFC 9110, section 15.3.7.2 lets a server join what overlaps or touches; then no byte is ever sent twice.
fn joined(mut parts: Parts) -> Parts {
    parts.sort_by_key(|part| part.start);
    let mut joined = Parts::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn check(field: &str, expected: &[Range<u64>]) {
        assert_eq!(asked(field.as_bytes(), 100), Asked::Parts(expected.iter().cloned().collect()), "{field}");
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn ranges_are_cut_to_the_file() {
        check("bytes=0-0", &[0..1]);
        check("bytes=0-99", &[0..100]);
        check("Bytes=10-", &[10..100]);
        check("bytes=-10", &[90..100]);
        check("bytes=-1000", &[0..100]);
        check("bytes=99-99999999999999999999999999", &[99..100]);
        check("bytes=-99999999999999999999999999", &[0..100]);
        check("bytes=0-18446744073709551615", &[0..100]);
        check("bytes= 0-0 ,, 5-6", &[0..1, 5..7]);
        check("bytes=200-300, 1-1", &[1..2]);
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn xc06_ranges_that_overlap_or_touch_are_one() {
        check("bytes=0-9, 5-19, 20-29", &[0..30]);
        check("bytes=50-59, 0-9", &[0..10, 50..60]);
        check("bytes=-1, 0-, 3-4", &[0..100]);
    }

    #[test]
    fn what_may_be_ignored_is() {
        let many = format!("bytes={}", (0..17).map(|n| format!("{}-{}", n * 3, n * 3)).collect::<Vec<_>>().join(","));
        for field in [
            "bytes",
            "bytes=",
            "bytes=,",
            "lines=1-2",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=-",
            "bytes=1-2x",
            "bytes=+1-2",
            &many,
        ] {
            assert_eq!(asked(field.as_bytes(), 100), Asked::Whole, "{field}");
        }
        assert_eq!(asked(b"bytes=0-", 0), Asked::Whole);
    }

    #[test]
    fn behind_the_end_is_nothing() {
        for field in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=18446744073709551615-18446744073709551615"] {
            assert_eq!(asked(field.as_bytes(), 100), Asked::Nothing, "{field}");
        }
    }

    proptest! {
        #[test]
        fn parts_lie_in_the_file_in_order(field in "bytes=([0-9]{0,20}-[0-9]{0,20},? ?){1,6}", size in 0..=u64::MAX) {
            if let Asked::Parts(parts) = asked(field.as_bytes(), size) {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= size));
                prop_assert!(parts.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }
}
