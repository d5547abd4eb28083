//! Whether the client has the file already, or another than it thinks: preconditions in the order of RFC 9110, section
//! 13.2.2.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// What is compared: the file as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Strong, with its quotes.
    pub etag: Option<&'a HeaderValue>,
    /// Seconds since 1970.
    pub modified: Option<u64>,
}

/// What the preconditions of a GET or HEAD come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Send,
    /// 304
    Unchanged,
    /// 412
    Failed,
}

impl Validators<'_> {
    pub fn judge(self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(header::IF_MATCH) {
            if !self.is_listed(headers, &header::IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let Some((since, modified)) = date(headers, &header::IF_UNMODIFIED_SINCE).zip(self.modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        let unchanged = if headers.contains_key(header::IF_NONE_MATCH) {
            self.is_listed(headers, &header::IF_NONE_MATCH, Comparison::Weak)
        } else {
            date(headers, &header::IF_MODIFIED_SINCE).zip(self.modified).is_some_and(|(since, at)| at <= since)
        };
        if unchanged { Verdict::Unchanged } else { Verdict::Send }
    }

    /// Whether `Range` holds for the file as it is: `If-Range` is absent, or names it strongly.
    pub fn admits_range(self, headers: &HeaderMap) -> bool {
        let Some(field) = headers.get(header::IF_RANGE) else { return true };
        if field.as_bytes().contains(&b'"') {
            return self.etag.is_some_and(|etag| etag == field);
        }
        // A date is strong only where the file can't have changed again within its second (section 8.8.2.2).
        let now = SystemTime::now();
        date(headers, &header::IF_RANGE).zip(self.modified).is_some_and(|(date, modified)| {
            date == modified && now > UNIX_EPOCH + Duration::from_secs(modified.saturating_add(1))
        })
    }

    fn is_listed(self, headers: &HeaderMap, field: &HeaderName, comparison: Comparison) -> bool {
        headers.get_all(field).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            if value == b"*" {
                return true;
            }
            let Some(own) = self.etag else { return false };
            Tags(value).any(|tag| tag.opaque == own.as_bytes() && (comparison == Comparison::Weak || !tag.weak))
        })
    }
}

/// Section 8.8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

struct Tag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// The entity tags of a list. They may hold commas, so the list is not split at those. Ends where it is not well formed.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let rest = &self.0[start..];
        let (weak, rest) = rest.strip_prefix(b"W/").map_or((false, rest), |rest| (true, rest));
        let inner = rest.strip_prefix(b"\"")?;
        let close = memchr::memchr(b'"', inner)?;
        self.0 = &inner[close + 1..];
        Some(Tag { weak, opaque: &rest[..close + 2] })
    }
}

/// The one date of a field, in seconds since 1970. What is no date is as if the field were not there.
fn date(headers: &HeaderMap, field: &HeaderName) -> Option<u64> {
    let text = headers.get(field)?.to_str().ok()?;
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEWER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn with<T>(use_it: impl FnOnce(Validators<'_>) -> T) -> T {
        let etag = HeaderValue::from_static("\"a,b\"");
        use_it(Validators { etag: Some(&etag), modified: Some(784_111_777) })
    }

    fn check(fields: &[(&'static str, &str)], expected: Verdict) {
        with(|file| assert_eq!(file.judge(&headers(fields)), expected, "{fields:?}"));
    }

    #[test]
    fn rfc9110_13_2_2_the_order_of_preconditions() {
        use Verdict::{Failed, Send, Unchanged};
        check(&[], Send);
        check(&[("if-match", "\"x\", \"a,b\"")], Send);
        check(&[("if-match", "*")], Send);
        check(&[("if-match", "W/\"a,b\"")], Failed);
        check(&[("if-match", "\"x\"")], Failed);
        check(&[("if-match", "\"a,b\""), ("if-unmodified-since", OLDER)], Send);
        check(&[("if-unmodified-since", OLDER)], Failed);
        check(&[("if-unmodified-since", SAME)], Send);
        check(&[("if-unmodified-since", "yesterday")], Send);
        check(&[("if-none-match", "\"a,b\"")], Unchanged);
        check(&[("if-none-match", "\"x\" ,W/\"a,b\"")], Unchanged);
        check(&[("if-none-match", "*")], Unchanged);
        check(&[("if-none-match", "\"x\""), ("if-modified-since", NEWER)], Send);
        check(&[("if-none-match", "a,b"), ("if-modified-since", NEWER)], Send);
        check(&[("if-modified-since", OLDER)], Send);
        check(&[("if-modified-since", SAME)], Unchanged);
        check(&[("if-modified-since", "Sunday, 06-Nov-94 08:49:38 GMT")], Unchanged);
        check(&[("if-match", "\"x\""), ("if-none-match", "\"a,b\"")], Failed);
    }

    #[test]
    fn two_lines_are_one_list() {
        check(&[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")], Verdict::Unchanged);
    }

    #[test]
    fn a_file_without_a_tag_is_only_matched_by_a_star() {
        let bare = Validators { etag: None, modified: None };
        assert_eq!(bare.judge(&headers(&[("if-match", "\"x\"")])), Verdict::Failed);
        assert_eq!(bare.judge(&headers(&[("if-match", "*")])), Verdict::Send);
        assert_eq!(bare.judge(&headers(&[("if-none-match", "\"x\""), ("if-modified-since", NEWER)])), Verdict::Send);
        assert_eq!(bare.judge(&headers(&[("if-unmodified-since", OLDER)])), Verdict::Send);
    }

    #[test]
    fn rfc9110_13_1_5_if_range_wants_the_very_same() {
        let admits = |value: &str| with(|file| file.admits_range(&headers(&[("if-range", value)])));
        assert!(admits("\"a,b\"") && admits(SAME));
        assert!(!admits("W/\"a,b\"") && !admits("\"x\"") && !admits(OLDER) && !admits(NEWER) && !admits("x"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let fresh = Validators { etag: None, modified: Some(now) };
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
        assert!(!fresh.admits_range(&headers(&[("if-range", &text)])));
    }
}
