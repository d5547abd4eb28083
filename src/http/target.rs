//! What a request asks for: its canonical path and its query, before and after rewriting.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::Uri;
use http::uri::PathAndQuery;

use super::fault::{Cause, Fault};
use super::path;
use super::readings::Readings;

/// The path that is matched and forwarded, with the query behind it.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it came in.
    original: PathAndQuery,
    /// The canonical or rewritten path, where it differs from the original's.
    path: Option<Box<str>>,
    query: Query,
    /// Of the path, where it has others than itself; found out for the first rule that wants to know. Boxed: most have none.
    readings: OnceCell<Option<Box<Readings>>>,
    /// Servers are said to read paths as rp does: set by `ambiguous_paths`.
    pub ambiguous: bool,
}

/// A query, without its `?`.
#[derive(Debug, Clone)]
enum Query {
    Original,
    Rewritten(Box<str>),
    Removed,
}

impl Target {
    pub fn of(uri: &Uri) -> Result<Self, Fault> {
        let original = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if original.path() == "*" {
            return Ok(Self {
                original,
                path: None,
                query: Query::Original,
                readings: OnceCell::new(),
                ambiguous: false,
            });
        }
        let path = path::canonical(original.path()).map_err(|bad| Fault::detailed(Cause::BadPath, bad.why()))?;
        // `http://example.com?x` has no path, which means `/` (RFC 9112, section 3.2.1), and is not written as one.
        let path = path.or_else(|| original.as_str().starts_with('?').then(|| "/".to_owned()));
        Ok(Self {
            original,
            path: path.map(Into::into),
            query: Query::Original,
            readings: OnceCell::new(),
            ambiguous: false,
        })
    }

    /// For a request whose path can't be made out: it is only answered with what is wrong, and logged as it came.
    #[must_use]
    pub fn refused(uri: &Uri) -> Self {
        let original = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Self { original, path: Some("/".into()), query: Query::Removed, readings: OnceCell::new(), ambiguous: false }
    }

    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.original.path())
    }

    /// Without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        match &self.query {
            Query::Original => self.original.query(),
            Query::Rewritten(query) => Some(query),
            Query::Removed => None,
        }
    }

    /// As the client sent it.
    #[must_use]
    pub fn original(&self) -> &str {
        self.original.as_str()
    }

    /// Puts another path in place; it is brought to its canonical form, so a rewrite can't smuggle dots past a matcher.
    pub fn set_path(&mut self, new: &str) -> Result<(), Fault> {
        let canonical = path::canonical(new).map_err(|bad| Fault::detailed(Cause::BadPath, bad.why()))?;
        self.path = Some(canonical.unwrap_or_else(|| new.to_owned()).into());
        self.readings = OnceCell::new();
        Ok(())
    }

    /// Nobody reads the path otherwise than it is written.
    #[must_use]
    pub fn has_one_reading(&self) -> bool {
        self.readings.get_or_init(|| Readings::of(self.path()).map(Box::new)).is_none()
    }

    /// What servers may make of the path, for a while.
    pub fn take_readings(&mut self) -> Option<Box<Readings>> {
        self.readings.take().flatten()
    }

    /// Puts them back: they are found out once.
    pub fn put_readings(&mut self, readings: Option<Box<Readings>>) {
        self.readings = readings.into();
    }

    /// Puts a reading in the path's place and the path in its, and back.
    pub fn swap_path(&mut self, reading: &mut Box<str>) {
        let own = self.path.take().unwrap_or_else(|| self.original.path().into());
        self.path = Some(std::mem::replace(reading, own));
    }

    pub fn set_query(&mut self, query: Option<&str>) {
        self.query = query.map_or(Query::Removed, |query| Query::Rewritten(query.into()));
    }

    /// In origin-form (RFC 9112, section 3.2.1): what goes to the upstream.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.wire());
    }

    /// [`Target::write`], where it needs no copy.
    #[must_use]
    pub fn wire(&self) -> Cow<'_, [u8]> {
        if self.path.is_none() && matches!(self.query, Query::Original) {
            return Cow::Borrowed(self.original.as_str().as_bytes());
        }
        let path = self.path().as_bytes();
        Cow::Owned(self.query().map_or_else(|| path.to_vec(), |query| [path, b"?", query.as_bytes()].concat()))
    }

    /// The value of the first query parameter of this name, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).next()
    }

    /// The values of all query parameters of this name, decoded.
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.query().into_iter().flat_map(|query| query.split('&')).filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(key) == name).then(|| decode_form(value))
        })
    }

    /// Names and values of the query, decoded until nothing changes: what a server could come to see in them.
    pub fn decoded_parameters(&self) -> impl Iterator<Item = String> {
        let query = self.query().into_iter().flat_map(|query| query.split('&'));
        query.flat_map(|pair| pair.splitn(2, '=')).filter(|text| !text.is_empty()).map(decode_fully)
    }

    /// The query as a whole, decoded in the same way.
    #[must_use]
    pub fn decoded_query(&self) -> String {
        self.query().map(decode_fully).unwrap_or_default()
    }
}

/// A server that decodes once more than another sees another text: three times is more than any is known to.
const MOST_DECODINGS: usize = 3;

/// Decoded until nothing changes.
fn decode_fully(text: &str) -> String {
    let mut decoded = decode_form(text);
    for _ in 1..MOST_DECODINGS {
        if !decoded.contains('%') {
            break;
        }
        decoded = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
    }
    decoded
}

/// `application/x-www-form-urlencoded`: `+` is a space.
fn decode_form(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Target {
        Target::of(&uri.parse().unwrap()).unwrap()
    }

    fn written(target: &Target) -> String {
        let mut out = Vec::new();
        target.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_9112_3_2_1_no_path_is_written_as_a_slash() {
        assert_eq!(written(&target("http://example.com?x=1")), "/?x=1");
        assert_eq!(written(&target("http://example.com")), "/");
    }

    #[test]
    fn what_is_forwarded_is_what_was_matched() {
        let mut t = target("/a/../b%2Dc?x=1");
        assert_eq!(t.path(), "/b-c");
        assert_eq!(written(&t), "/b-c?x=1");
        t.set_path("/v2/x").unwrap();
        assert_eq!(written(&t), "/v2/x?x=1");
        t.set_query(None);
        assert_eq!(written(&t), "/v2/x");
        assert!(t.set_path("no-slash").is_err());
        t.set_path("/a/../c").unwrap();
        assert_eq!(t.path(), "/c");
    }

    #[test]
    fn parameters_are_decoded() {
        let t = target("/?a=1%202&b+c=d+e&a=3&f");
        assert_eq!(t.parameter("a").as_deref(), Some("1 2"));
        assert_eq!(t.parameter("b c").as_deref(), Some("d e"));
        assert_eq!(t.parameter("f").as_deref(), Some(""));
        assert_eq!(t.parameter("g"), None);
        assert_eq!(t.parameters("a").collect::<Vec<_>>(), ["1 2", "3"]);
        let t = target("/?a=%2575nion+b%2B&c%3D=d=e&%25252541");
        assert_eq!(t.decoded_query(), "a=union b+&c==d=e&%41");
        assert_eq!(t.decoded_parameters().collect::<Vec<_>>(), ["a", "union b+", "c=", "d=e", "%41"]);
    }
}
