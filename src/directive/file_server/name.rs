//! From a request's path to a name below the folder, or to nothing: what is hidden has no name.

use std::borrow::Cow;

use crate::check::{Value, Wrong};
use crate::http::path;

/// Where a path leads, relative to the folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Name<'p> {
    /// Without slashes at either end; the folder itself is `.`.
    pub relative: Cow<'p, str>,
    /// The path ended with a slash, so it asks for a folder.
    pub folder: bool,
}

impl<'p> Name<'p> {
    /// The name that a canonical path stands for. `None` where a file can't be meant (an escaped separator, bytes that
    /// are not UTF-8) or must not be shown.
    pub fn of(path: &'p str, hiding: &Hiding) -> Option<Self> {
        let decoded = if path.contains('%') { Cow::Owned(path::decode(path)?) } else { Cow::Borrowed(path) };
        // `%2F` would make segments that the client did not write, and `%5C` means one to other systems (threat XP01).
        let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
        if slashes(&decoded) != slashes(path) || decoded.bytes().any(|byte| matches!(byte, b'\\' | 0)) {
            return None;
        }
        let folder = decoded.ends_with('/');
        let relative = match decoded {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('/')),
            Cow::Owned(text) => Cow::Owned(text.trim_matches('/').to_owned()),
        };
        if hiding.hides(&relative) {
            return None;
        }
        Some(Self { relative: if relative.is_empty() { Cow::Borrowed(".") } else { relative }, folder })
    }

    /// A name in this folder.
    pub fn join(&self, name: &str) -> String {
        join(&self.relative, name)
    }
}

/// `name` in the folder `folder`, which is `.` for the root.
pub fn join(folder: &str, name: &str) -> String {
    if folder == "." { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Which names are treated as if they were not there.
#[derive(Debug, Clone, Default)]
pub struct Hiding {
    /// Show names that begin with a dot.
    pub dots: bool,
    pub patterns: Vec<NamePattern>,
}

impl Hiding {
    /// Whether a relative name, or a folder above it, is hidden.
    pub fn hides(&self, relative: &str) -> bool {
        let dotted = |segment: &str| segment.starts_with('.') && segment != ".well-known";
        // Dot segments can't come from a canonical path; that they lead nowhere must not hang on that alone.
        let climbs = |segment: &str| matches!(segment, "." | "..");
        relative.split('/').any(|segment| climbs(segment) || (!self.dots && (dotted(segment) || is_proxyfile(segment))))
            || self.patterns.iter().any(|pattern| pattern.covers(relative))
    }
}

/// A configuration that lies in the folder it serves is nobody's business.
fn is_proxyfile(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("Proxyfile")
}

/// `*.bak` in any folder, `/private` at the top, `a/b` wherever `b` lies in `a`: it and all below it. Letters match in
/// either case, so that a file system that folds them opens no way around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    segments: Vec<String>,
    top: bool,
}

impl NamePattern {
    fn covers(&self, relative: &str) -> bool {
        let names: Vec<&str> = relative.split('/').collect();
        let fits = |window: &[&str]| self.segments.iter().zip(window).all(|(glob, name)| matches(glob, name));
        let mut windows = names.windows(self.segments.len());
        if self.top { windows.next().is_some_and(fits) } else { windows.any(fits) }
    }

    /// Without this pattern the same names would be hidden.
    pub fn is_hidden_anyway(&self) -> bool {
        self.segments.iter().any(|glob| {
            (glob.starts_with('.') && !matches(glob, ".well-known")) || glob.eq_ignore_ascii_case("Proxyfile")
        })
    }
}

impl Value for NamePattern {
    const KIND: &'static str = "a pattern of file names";
    const EXAMPLE: &'static str = "*.bak, node_modules or /private";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let trimmed = text.strip_prefix('/').unwrap_or(text);
        let trimmed = trimmed.strip_suffix("/*").or_else(|| trimmed.strip_suffix('/')).unwrap_or(trimmed);
        if trimmed.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(Wrong::kind());
        }
        if trimmed.contains("**") {
            let plain = trimmed.replace("**/", "").replace("**", "*");
            return Err(Wrong::kind()
                .help(format!("write `{plain}`: a name is hidden in every folder unless it begins with `/`")));
        }
        Ok(Self { segments: trimmed.split('/').map(str::to_owned).collect(), top: text.starts_with('/') })
    }
}

/// Whether `*` and `?` can be filled so that `glob` is `name`. Goes back to the last star only, so its time is bounded
/// by the product of the lengths.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&name[n]) => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiding(patterns: &[&str]) -> Hiding {
        Hiding { dots: false, patterns: patterns.iter().map(|text| NamePattern::parse(text).unwrap()).collect() }
    }

    fn name(path: &str) -> Option<String> {
        Name::of(path, &Hiding::default()).map(|name| name.relative.into_owned() + if name.folder { "/" } else { "" })
    }

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(name("/a/b.txt").as_deref(), Some("a/b.txt"));
        assert_eq!(name("/").as_deref(), Some("./"));
        assert_eq!(name("/a/").as_deref(), Some("a/"));
        assert_eq!(name("/a%20b/%C3%A9").as_deref(), Some("a b/é"));
        assert_eq!(name("/100%25").as_deref(), Some("100%"));
        assert_eq!(name("/%252e%252e/a").as_deref(), Some("%2e%2e/a"));
    }

    #[test]
    fn xp01_what_could_be_read_in_two_ways_has_no_name() {
        for path in ["/a%2Fb", "/..%2F..%2Fetc", "/a%5Cb", "/%FF", "/%C0%AE%C0%AE/a", "/%2F", "/../a", "/a/./b"] {
            assert_eq!(name(path), None, "{path}");
        }
    }

    #[test]
    fn xp08_dot_files_are_hidden_and_so_is_all_below_them() {
        for path in ["/.git/config", "/.env", "/a/.ssh/id", "/.well-known/.x", "/Proxyfile", "/proxyfile", "/..."] {
            assert_eq!(name(path), None, "{path}");
        }
        assert!(name("/.well-known/security.txt").is_some());
        let open = Hiding { dots: true, patterns: Vec::new() };
        assert!(Name::of("/.git/config", &open).is_some());
        assert!(Name::of("/../config", &open).is_none());
    }

    #[test]
    fn patterns_hide_names_in_either_case() {
        let hiding = hiding(&["*.bak", "/private", "a/secret", "img-??.raw"]);
        for hidden in
            ["x.bak", "d/e/X.BAK", "x.bak/y", "private", "Private/x", "a/secret/k", "z/a/secret", "img-01.raw"]
        {
            assert!(hiding.hides(hidden), "{hidden}");
        }
        for shown in ["x.bak2", "d/private", "secret", "a/b/secret", "img-1.raw", "privates"] {
            assert!(!hiding.hides(shown), "{shown}");
        }
    }

    #[test]
    fn a_star_takes_any_run() {
        assert!(matches("*a*b*", "xxaxxbxx"));
        assert!(matches("a*", "a"));
        assert!(!matches("*a*b", "ba"));
        assert!(!matches(&"*a".repeat(30), &"b".repeat(4_000)));
    }

    #[test]
    fn patterns_that_name_nothing_are_refused() {
        for text in ["", "/", "a//b", "../a", "**"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(NamePattern::parse("/private/*").unwrap(), NamePattern::parse("/private").unwrap());
    }
}
