//! Path patterns: exact, by whole segments, with captures.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::check::{Value, Wrong};
use crate::http::path::canonical;
use crate::http::readings::fold;

/// `/exact`, `/below/*`, `/users/:id`, `/img/*.png`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
    /// Ends in `/*`: the path itself, and all below it.
    below: bool,
    /// No segment is special: one comparison settles it.
    literal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// One whole segment, not empty.
    Capture(Arc<str>),
    /// What must stand at the start and at the end of the segment.
    Glob(Box<str>, Box<str>),
}

/// Name and value of what was captured.
pub type Captures = SmallVec<[(Arc<str>, Box<str>); 2]>;

impl Value for PathPattern {
    const KIND: &'static str = "a path pattern";
    const EXAMPLE: &'static str = "/exact, /below/* or /users/:id";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::kind().help(format!("a path starts with a slash: `/{text}`")));
        }
        if text.contains('?') {
            return Err(Wrong::say(format!("`{text}` holds a query, and a path pattern sees the path alone"))
                .help("add: and query NAME VALUE"));
        }
        let (stem, below) = match text.strip_suffix("/*") {
            Some(stem) => (stem, true),
            None if text == "/**" => return Err(Wrong::kind().instead("/*")),
            None => (text, false),
        };
        let segments: Vec<Segment> = stem.split('/').skip(1).map(segment).collect::<Result<_, _>>()?;
        let literal = segments.iter().all(|segment| matches!(segment, Segment::Literal(_)));
        if literal {
            let path = if stem.is_empty() { "/" } else { stem };
            match canonical(path) {
                Ok(None) => {}
                Ok(Some(form)) => {
                    let tail = if below { "/*" } else { "" };
                    let form = if below { form.trim_end_matches('/') } else { &form };
                    return Err(Wrong::say(format!(
                        "no request has the path `{text}`: paths are compared in their canonical form"
                    ))
                    .instead(format!("{form}{tail}")));
                }
                Err(bad) => {
                    return Err(Wrong::say(format!("no request has the path `{text}`: it has {}", bad.why()))
                        .help("write it as URLs have it: a space is `%20`"));
                }
            }
        }
        Ok(Self { text: stem.into(), segments, below, literal })
    }
}

fn segment(text: &str) -> Result<Segment, Wrong> {
    if let Some(name) = text.strip_prefix(':') {
        return if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            Ok(Segment::Capture(name.into()))
        } else {
            Err(Wrong::say(format!("`:{name}` is not the name of a capture"))
                .help("write letters, digits and `_` only: `/users/:id`"))
        };
    }
    match text.split_once('*') {
        None => Ok(Segment::Literal(text.into())),
        Some((_, after)) if after.contains('*') => Err(Wrong::say(format!("`{text}` has two `*` in one segment"))
            .help("write a regular expression instead: {path} ~ `…`")),
        Some((before, after)) => Ok(Segment::Glob(before.into(), after.into())),
    }
}

impl PathPattern {
    #[must_use]
    pub fn captures(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Capture(_)))
    }

    /// The same for paths in lower case.
    #[must_use]
    pub fn folded(&self) -> Self {
        let fold = |text: &str| -> Box<str> { fold(text).into() };
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(fold(text)),
            Segment::Capture(name) => Segment::Capture(name.clone()),
            Segment::Glob(start, end) => Segment::Glob(fold(start), fold(end)),
        };
        Self { text: fold(&self.text), segments: self.segments.iter().map(segment).collect(), ..*self }
    }

    /// Whether a canonical path fits.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        if self.literal {
            let Some(rest) = path.strip_prefix(&*self.text) else { return false };
            return rest.is_empty() || (self.below && rest.starts_with('/'));
        }
        self.walk(path, &mut |_, _| {})
    }

    /// The segments with which every path begins that fits.
    pub fn beginning(&self) -> impl Iterator<Item = &str> {
        self.segments
            .iter()
            .map_while(|segment| if let Segment::Literal(text) = segment { Some(&**text) } else { None })
    }

    /// As [`Self::holds`], and what it captured.
    pub fn capture(&self, path: &str, into: &mut Captures) -> bool {
        let before = into.len();
        let held = self.walk(path, &mut |name, value| into.push((name.clone(), value.into())));
        if !held {
            into.truncate(before);
        }
        held
    }

    fn walk(&self, path: &str, captured: &mut dyn FnMut(&Arc<str>, &str)) -> bool {
        let mut given = path.split('/').skip(1);
        for segment in &self.segments {
            let Some(text) = given.next() else { return false };
            match segment {
                Segment::Literal(literal) if **literal == *text => {}
                Segment::Capture(name) if !text.is_empty() => captured(name, text),
                Segment::Glob(start, end)
                    if text.len() >= start.len() + end.len()
                        && text.starts_with(&**start)
                        && text.ends_with(&**end)
                        && !text.is_empty() => {}
                _ => return false,
            }
        }
        self.below || given.next().is_none()
    }

    /// Every path that fits `other` fits this one too. May answer no where yes could be proved.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let enough = if self.below {
            other.segments.len() >= self.segments.len()
        } else {
            !other.below && other.segments.len() == self.segments.len()
        };
        enough
            && self.segments.iter().zip(&other.segments).all(|(mine, theirs)| match (mine, theirs) {
                (Segment::Capture(_), Segment::Capture(_)) => true,
                (Segment::Capture(_), Segment::Literal(text)) => !text.is_empty(),
                (Segment::Glob(start, end), Segment::Literal(text)) => {
                    !text.is_empty()
                        && text.len() >= start.len() + end.len()
                        && text.starts_with(&**start)
                        && text.ends_with(&**end)
                }
                (Segment::Glob(start, end), Segment::Capture(_)) => start.is_empty() && end.is_empty(),
                (mine, theirs) => mine == theirs,
            })
    }

    /// No path fits both.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let clash = self
            .segments
            .iter()
            .zip(&other.segments)
            .any(|(a, b)| matches!((a, b), (Segment::Literal(a), Segment::Literal(b)) if a != b));
        let short = |a: &Self, b: &Self| !a.below && b.segments.len() > a.segments.len();
        clash || short(self, other) || short(other, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
    }

    fn check(text: &str, holds: &[&str], fails: &[&str]) {
        for path in holds {
            assert!(pattern(text).holds(path), "{text} should take {path}");
        }
        for path in fails {
            assert!(!pattern(text).holds(path), "{text} should not take {path}");
        }
    }

    #[test]
    fn patterns_go_by_whole_segments() {
        check("/api/*", &["/api", "/api/", "/api/x", "/api/x/y"], &["/apiary", "/ap", "/", "/API"]);
        check("/api", &["/api"], &["/api/", "/api/x"]);
        check("/*", &["/", "/x", "/x/y"], &[]);
        check("/", &["/"], &["/x"]);
        check("/users/:id", &["/users/7"], &["/users/", "/users", "/users/7/x"]);
        check("/users/:id/*", &["/users/7", "/users/7/x"], &["/users//x"]);
        check("/img/*.png", &["/img/a.png"], &["/img/a.jpg", "/img/x/a.png"]);
        check("/a/*/b", &["/a/x/b"], &["/a/b", "/a/x/y/b"]);
    }

    #[test]
    fn captures_are_named() {
        let mut captures = Captures::new();
        assert!(pattern("/u/:user/r/:repo").capture("/u/ann/r/x", &mut captures));
        let named: Vec<_> = captures.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(named, [("user", "ann"), ("repo", "x")]);
        assert!(!pattern("/u/:user/z").capture("/u/ann/y", &mut captures));
        assert_eq!(captures.len(), 2);
    }

    #[test]
    fn what_no_request_can_have_is_refused() {
        for bad in ["api", "/a//b", "/a/../b", "/a?b", "/%61", "/a\\b", "/:", "/a*b*c"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn covers_and_excludes_tell_the_truth(
            a in "(/(a|b|:x|\\*|a\\*)){0,3}(/\\*)?", b in "(/(a|b|:x|\\*|a\\*)){0,3}(/\\*)?", path in "(/(a|b|ab|c)){0,4}"
        ) {
            let (Ok(a), Ok(b)) = (PathPattern::parse(&a), PathPattern::parse(&b)) else { return Ok(()) };
            let path = if path.is_empty() { "/" } else { &path };
            if a.covers(&b) && b.holds(path) {
                prop_assert!(a.holds(path), "{:?} covers {:?} but not at {}", a, b, path);
            }
            if a.excludes(&b) {
                prop_assert!(!(a.holds(path) && b.holds(path)), "{:?} {:?} {}", a, b, path);
            }
        }
    }
}
