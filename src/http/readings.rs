//! What servers may make of a path in its canonical form.
//!
//! RFC 3986 has one reading of a path, and servers take liberties: they decode it before they cut it into segments (nginx,
//! and most that serve files), or twice, take `\` for `/`, cut off `;x`, or fold case. A rule that decides one way for the
//! path that it sees and another for the one that a server would see can be led around; who asks all readings knows.

use super::path::canonical;

/// Decoding more often than this is known of nobody.
const MOST: usize = 3;

/// More readings than this are made by hand, to hide one of them.
const TOO_MANY: usize = 48;

/// The readings of one path other than itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// By servers that decode what separates, once or again and again, or find dots where parameters stood: no path that
    /// somebody means holds `..;`. Every rule is asked. Without escapes and parameters there are none.
    pub resolved: Box<[Box<str>]>,
    /// By servers that cut off parameters. `/page;v=1` may be all that an application means, so only rules are asked that
    /// keep somebody out, or lead past what does.
    pub cut: Box<[Box<str>]>,
    /// All of them in lower case, by servers that fold case; for rules that keep somebody out.
    pub loose: Box<[Box<str>]>,
    /// By servers that decode `%3F` and `%23` and then look where the path ends; for those, where they let somebody by.
    pub ended: Box<[Box<str>]>,
    /// One of them is none, since it has a NUL, or there are too many to ask.
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
        let Ok(drafts) = drafts(path) else {
            return Some(Self { broken: true, ..Self::default() });
        };
        let settled = || drafts.iter().filter(|draft| draft.settled);
        let others =
            |cut: bool| settled().skip(1).filter(move |draft| draft.cut == cut).map(|draft| draft.text.clone());
        Some(Self {
            resolved: distinct(others(false)),
            cut: distinct(others(true)),
            // The digits of an escape are no letters that somebody could fold.
            loose: distinct(settled().map(|draft| fold(&draft.text))),
            ended: distinct(settled().flat_map(|draft| ends(&draft.text))),
            broken: false,
        })
    }
}

fn distinct(texts: impl Iterator<Item = String>) -> Box<[Box<str>]> {
    let mut all: Vec<Box<str>> = Vec::new();
    for text in texts {
        if !all.iter().any(|known| **known == *text) {
            all.push(text.into());
        }
    }
    all.into()
}

/// A path as a server has it in hand, on its way to what it takes it for.
struct Draft {
    text: String,
    decodings: usize,
    /// Parameters are gone, and nothing else is.
    cut: bool,
    /// In canonical form: a reading.
    settled: bool,
}

impl Draft {
    /// The next ones: a server may decode, or cut, and resolve dots at once or last.
    fn next(&self) -> [Option<Self>; 2] {
        let decoded = (self.decodings < MOST).then(|| decode(&self.text)).flatten();
        let decoded = decoded.map(|text| Self { text, decodings: self.decodings + 1, cut: self.cut, settled: false });
        let cut = cut(&self.text).map(|text| Self { text, decodings: self.decodings, cut: true, settled: false });
        [decoded, cut]
    }
}

/// All that servers may make of a path by decoding it and by cutting off parameters, in any order. It is the first itself.
fn drafts(path: &str) -> Result<Vec<Draft>, ()> {
    let mut all = vec![Draft { text: path.to_owned(), decodings: 0, cut: false, settled: true }];
    let mut at = 0;
    while at < all.len() {
        for mut draft in all[at].next().into_iter().flatten() {
            match canonical(&draft.text).map_err(|_| ())? {
                None => draft.settled = true,
                Some(text) => add(&mut all, Draft { text, decodings: draft.decodings, cut: false, settled: true }),
            }
            add(&mut all, draft);
        }
        if all.len() > TOO_MANY {
            return Err(());
        }
        at += 1;
    }
    Ok(all)
}

fn add(all: &mut Vec<Draft>, draft: Draft) {
    match all.iter_mut().find(|known| known.text == draft.text) {
        Some(known) => known.cut &= draft.cut,
        None => all.push(draft),
    }
}

/// Decodes what could separate segments, or hide an escape; the rest can't change what a rule decides.
fn decode(path: &str) -> Option<String> {
    if !path.contains('%') {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    let (mut rest, mut changed) = (path, false);
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (text, length) = match escape.get(1..3) {
            Some("2F" | "2f" | "5C" | "5c") => ("/", 3),
            Some("3B" | "3b") => (";", 3),
            // A sign by itself would be no escape.
            Some("25") if is_hex(escape.as_bytes().get(3..5)) => ("%", 3),
            _ => ("%", 1),
        };
        changed |= length == 3;
        out.push_str(text);
        rest = &escape[length..];
    }
    out.push_str(rest);
    changed.then_some(out)
}

fn is_hex(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_hexdigit))
}

/// Without parameters of segments, as servers of servlets take it: `/x/..;a/y` is `/x/../y`.
fn cut(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    Some(segments.join("/"))
}

/// What stands before a question mark or a fragment, if they were sent as such.
fn ends(path: &str) -> impl Iterator<Item = String> {
    ["%3F", "%23"].into_iter().filter_map(|end| {
        let before = &path[..path.find(end)?];
        Some(canonical(before).ok()?.unwrap_or_else(|| before.to_owned()))
    })
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
        assert_eq!(Readings::of("/caf%C3%A9").unwrap().resolved.len(), 0, "no escape of a separator");
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
            assert_eq!(texts(&Readings::of(path).unwrap().resolved), readings, "{path}");
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

    #[test]
    fn xp01_dots_behind_parameters_are_told_from_parameters() {
        for (path, resolved, cut) in [
            ("/api/..;/users", &["/users"][..], &[][..]),
            ("/api/.;/users", &["/api/users"], &[]),
            ("/api/;x=1/users", &["/api/users"], &[]),
            ("/a;x/..;/b;y", &["/b"], &[]),
            ("/page;v=1", &[], &["/page"]),
            ("/;v=1", &[], &["/"]),
            ("/a;x/b;y=1", &[], &["/a/b"]),
            // As Tomcat takes it: cut, decoded, resolved.
            ("/x%2F..;%2Fz/admin", &["/x/..;/z/admin", "/z/admin", "/admin"], &["/x%2F../admin"]),
        ] {
            let readings = Readings::of(path).unwrap();
            assert_eq!((texts(&readings.resolved), texts(&readings.cut)), (resolved.to_vec(), cut.to_vec()), "{path}");
        }
    }

    #[test]
    fn xp01_servers_that_look_again_where_a_path_ends_are_foreseen() {
        for (path, reading) in [
            ("/admin%3Fx", "/admin"),
            ("/admin%23", "/admin"),
            ("/admin%253F.css", "/admin"),
            ("/x/..;/admin%3F", "/admin"),
            ("/x/..%23", "/"),
        ] {
            assert!(texts(&Readings::of(path).unwrap().ended).contains(&reading), "{path}: {:?}", Readings::of(path));
        }
    }

    /// Made of what separates, and of what hides it.
    fn odd() -> impl Strategy<Value = String> {
        const PIECES: [&str; 18] = [
            "/", "/", "..", ".", ";", ";x", "%2F", "%5C", "%3B", "%25", "2F", "3b", "%2e", "%3F", "%23", "a", "B", "00",
        ];
        proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12)
            .prop_map(|all| format!("/{}", all.concat()))
    }

    proptest! {
        #[test]
        fn every_reading_is_canonical(raw in prop_oneof!["/[a-zA-Z0-9%./~;:@-]{0,40}", odd()]) {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            let path = path.unwrap_or(raw);
            let Some(readings) = Readings::of(&path) else { return Ok(()) };
            let Readings { resolved, cut, loose, ended, .. } = &readings;
            for reading in resolved.iter().chain(cut).chain(loose).chain(ended) {
                prop_assert_eq!(canonical(reading), Ok(None), "{} of {}", reading, path);
            }
        }

        #[test]
        fn xp01_in_whichever_order_a_server_goes_it_is_foreseen(raw in odd(), order in "[dcr]{1,6}") {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            let path = path.unwrap_or(raw);
            let readings = Readings::of(&path).unwrap_or_default();
            if readings.broken {
                return Ok(());
            }
            let (mut read, mut decodings) = (path.clone(), 0);
            for step in order.chars() {
                let next = match step {
                    'd' if decodings == MOST => None,
                    'd' => { decodings += 1; decode(&read) }
                    'c' => super::cut(&read),
                    _ => canonical(&read).unwrap(),
                };
                read = next.unwrap_or(read);
            }
            let read = canonical(&read).unwrap().unwrap_or(read);
            let foreseen = read == path || readings.resolved.iter().chain(&readings.cut).any(|known| **known == *read);
            prop_assert!(foreseen, "{} is {} by {}: {:?}", path, read, order, readings);
        }
    }
}
