//! A folder's content as a page, or as JSON for programs.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderValue};
use http::{Method, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::folder::{Folder, Pace, Trouble};
use super::name::{Hiding, join};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::path;
use crate::http::step::Answer;
use crate::telemetry::clock;

/// Names on one page. What lies behind is said to be there; a page of everything would let one request take all memory.
const MOST: usize = 10_000;

/// All but unreserved characters (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the client wants to see the folder.
#[derive(Debug, Clone)]
pub struct Look {
    /// What the client asked for, canonical, with a slash at its end.
    path: String,
    sort: Sort,
    descending: bool,
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Size,
    Time,
}

impl Look {
    pub fn of(exchange: &Exchange, path: String) -> Self {
        let accept = exchange.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        Self {
            path,
            sort: match exchange.target.parameter("sort").as_deref() {
                Some("size") => Sort::Size,
                Some("time") => Sort::Time,
                _ => Sort::Name,
            },
            descending: exchange.target.parameter("order").as_deref() == Some("desc"),
            json: accept.contains("application/json") && !accept.contains("text/html"),
        }
    }
}

/// A listing, ready to be sent.
#[derive(Debug)]
pub struct Listing {
    text: String,
    json: bool,
}

impl Listing {
    pub fn answer(self, method: &Method) -> Answer {
        let length = self.text.len();
        let head = method == Method::HEAD;
        let mut answer = Response::new(if head { Body::Empty } else { Body::from(self.text) });
        let fields = answer.headers_mut();
        if head {
            fields.insert(header::CONTENT_LENGTH, length.into());
        }
        let kind = if self.json { "application/json" } else { "text/html; charset=utf-8" };
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(header::VARY, HeaderValue::from_static("Accept"));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Names come from whoever may write into the folder: even one that got past the escaping could do nothing.
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
        fields.insert(header::CONTENT_SECURITY_POLICY, policy);
        answer
    }
}

#[derive(Debug)]
struct Entry {
    name: String,
    folder: bool,
    size: u64,
    modified: SystemTime,
}

/// Reads the folder `name`, which is open as `file`. May wait for the disk.
pub fn list(file: &File, folder: &Folder, name: &str, hiding: &Hiding, look: &Look) -> Result<Listing, Trouble> {
    let (mut entries, more) = read(file, folder, name, hiding, MOST)?;
    entries.sort_by(|a, b| {
        let order = match look.sort {
            Sort::Name => std::cmp::Ordering::Equal,
            Sort::Size => a.size.cmp(&b.size),
            Sort::Time => a.modified.cmp(&b.modified),
        };
        let order = order.then_with(|| a.name.to_lowercase().cmp(&b.name.to_lowercase())).then(a.name.cmp(&b.name));
        b.folder.cmp(&a.folder).then(if look.descending { order.reverse() } else { order })
    });
    let text = if look.json { json(&entries) } else { page(&entries, more, look) };
    Ok(Listing { text, json: look.json })
}

/// The entries that could be asked for by name, and whether there are more.
fn read(file: &File, folder: &Folder, name: &str, hiding: &Hiding, most: usize) -> Result<(Vec<Entry>, bool), Trouble> {
    let mut entries = Vec::new();
    for found in Dir::read_from(file)? {
        let found = found?;
        let Ok(own) = found.file_name().to_str() else { continue };
        let relative = join(name, own);
        if matches!(own, "." | "..") || own.contains('\\') || hiding.hides(&relative) {
            continue;
        }
        let Some(entry) = entry(file, folder, own, &relative) else { continue };
        if entries.len() == most {
            return Ok((entries, true));
        }
        entries.push(entry);
    }
    Ok((entries, false))
}

/// `None` for what is gone again, what is neither file nor folder, and links that lead out.
fn entry(parent: &File, folder: &Folder, own: &str, relative: &str) -> Option<Entry> {
    let stat = statat(parent, own, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (directory, size, modified) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (false, u64::try_from(stat.st_size).unwrap_or(0), stat.st_mtime),
        FileType::Directory => (true, 0, stat.st_mtime),
        FileType::Symlink => {
            let (_, facts) = folder.open(relative, Pace::Patient).ok()?;
            (facts.is_dir(), if facts.is_dir() { 0 } else { facts.size() }, facts.mtime())
        }
        _ => return None,
    };
    let modified = UNIX_EPOCH + Duration::from_secs(u64::try_from(modified).unwrap_or(0));
    Some(Entry { name: own.to_owned(), folder: directory, size, modified })
}

fn json(entries: &[Entry]) -> String {
    let list = entries.iter().map(|entry| {
        let modified = clock::rfc3339(entry.modified);
        serde_json::json!({
            "name": entry.name,
            "type": if entry.folder { "folder" } else { "file" },
            "size": entry.size,
            "modified": String::from_utf8_lossy(&modified),
        })
    });
    list.collect::<serde_json::Value>().to_string()
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 12%,transparent);--soft:color-mix(in srgb,currentColor 60%,transparent);--link:light-dark(#0b57d0,#8ab4f8)}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.25rem;font-weight:600;margin:0 0 1.25rem;overflow-wrap:anywhere}
h1 span{color:var(--soft);font-weight:400;padding:0 .2em}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.45rem .6rem;border-bottom:1px solid var(--line)}
th{font-size:.8rem;font-weight:600;position:sticky;top:0;background:Canvas}th a{color:inherit}
td:first-child{overflow-wrap:anywhere;width:100%}
td:nth-child(n+2),th:nth-child(n+2){text-align:right;white-space:nowrap;color:var(--soft)}
tbody tr:hover{background:color-mix(in srgb,currentColor 5%,transparent)}
svg{width:1.1em;height:1.1em;vertical-align:-.18em;margin-right:.55em;fill:none;stroke:var(--soft);stroke-width:1.5}
svg.d{fill:color-mix(in srgb,var(--link) 25%,transparent);stroke:var(--link)}
p{color:var(--soft)}
@media(max-width:36rem){td:nth-child(3),th:nth-child(3){display:none}}";

const SHAPES: &str = "<svg hidden><symbol id=d viewBox=\"0 0 20 20\"><path d=\"M2 5.5A1.5 1.5 0 0 1 3.5 4h4l2 2.5h7A1.5 1.5 0 0 1 18 8v7a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 2 15z\"/></symbol>\
<symbol id=f viewBox=\"0 0 20 20\"><path d=\"M5 2.5h6.5L16 7v10.5H5zM11.5 2.5V7H16\"/></symbol></svg>";

fn page(entries: &[Entry], more: bool, look: &Look) -> String {
    let shown = path::decode(&look.path).unwrap_or_else(|| look.path.clone());
    let mut out = String::with_capacity(4_096 + entries.len() * 256);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{}</title>\n<style>{STYLE}</style>\n{SHAPES}\n<h1>{}</h1>\n<table><thead><tr>",
        Escaped(&shown),
        Trail(&shown)
    );
    for (sort, name, title) in
        [(Sort::Name, "name", "Name"), (Sort::Size, "size", "Size"), (Sort::Time, "time", "Modified")]
    {
        let turned = look.sort == sort && !look.descending;
        let arrow = if look.sort != sort {
            ""
        } else if look.descending {
            " ↓"
        } else {
            " ↑"
        };
        let _ = write!(
            out,
            "<th><a href=\"?sort={name}&amp;order={}\">{title}{arrow}</a>",
            if turned { "desc" } else { "asc" }
        );
    }
    out.push_str("<tbody>\n");
    if look.path != "/" {
        out.push_str("<tr><td><a href=\"../\"><svg class=d><use href=\"#d\"/></svg>..</a><td><td>\n");
    }
    for entry in entries {
        row(entry, &mut out);
    }
    out.push_str("</table>\n");
    if entries.is_empty() {
        out.push_str("<p>This folder is empty.</p>\n");
    } else if more {
        out.push_str("<p>There is more than this page shows.</p>\n");
    }
    out
}

/// `./` before a name: else `a:b` would be a URL of scheme `a`.
fn row(entry: &Entry, out: &mut String) {
    let (shape, slash) = if entry.folder { ("d", "/") } else { ("f", "") };
    let stamp = clock::rfc3339(entry.modified);
    let stamp = std::str::from_utf8(&stamp).unwrap_or_default();
    let (day, time) = (stamp.get(..10).unwrap_or_default(), stamp.get(11..16).unwrap_or_default());
    let _ = writeln!(
        out,
        "<tr><td><a href=\"./{}{slash}\"><svg class={shape}><use href=\"#{shape}\"/></svg>{}{slash}</a><td>{}\
         <td><time datetime=\"{stamp}\">{day} {time}</time>",
        utf8_percent_encode(&entry.name, ESCAPED),
        Escaped(&entry.name),
        Size((!entry.folder).then_some(entry.size)),
    );
}

/// The way from the top to here, each folder a link. Relative, so that it holds below a prefix that was stripped too.
struct Trail<'a>(&'a str);

impl std::fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let segments: Vec<&str> = self.0.split('/').filter(|segment| !segment.is_empty()).collect();
        let up = |levels: usize| if levels == 0 { "./".to_owned() } else { "../".repeat(levels) };
        write!(f, "<a href=\"{}\">/</a>", up(segments.len()))?;
        for (index, segment) in segments.iter().enumerate() {
            let slash = if index == 0 { "" } else { "<span>/</span>" };
            write!(f, "{slash}<a href=\"{}\">{}</a>", up(segments.len() - 1 - index), Escaped(segment))?;
        }
        Ok(())
    }
}

/// Text that can stand between tags and between quotes.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // Line breaks and the controls that turn the direction of writing would let a name pose as another.
            char if char.is_control()
                || matches!(char, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                f.write_char('\u{fffd}')
            }
            char => f.write_char(char),
        })
    }
}

/// `1.5 MiB`; of a folder, nothing.
struct Size(Option<u64>);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(bytes) = self.0 else { return Ok(()) };
        let mut unit = 0;
        let mut tenths = u128::from(bytes) * 10;
        while tenths >= 10_240 && unit < 5 {
            tenths /= 1_024;
            unit += 1;
        }
        let name = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit];
        if unit == 0 || tenths >= 1_000 {
            write!(f, "{} {name}", tenths / 10)
        } else {
            write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::file_server::folder::Links;
    use crate::directive::file_server::tests::Scratch;

    const LOOK: Look = Look { path: String::new(), sort: Sort::Name, descending: false, json: false };

    fn listing(scratch: &Scratch, look: &Look) -> String {
        let folder = Folder::new(scratch.path("."), Links::Beneath);
        let (file, _) = folder.open(".", Pace::Patient).unwrap();
        list(&file, &folder, ".", &Hiding::default(), look).unwrap().text
    }

    fn names(scratch: &Scratch, sort: Sort, descending: bool) -> Vec<String> {
        let list: serde_json::Value =
            serde_json::from_str(&listing(scratch, &Look { sort, descending, json: true, ..LOOK })).unwrap();
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn folders_come_first_and_the_rest_in_the_order_asked_for() {
        let scratch = Scratch::new();
        for (name, size) in [("b", 1), ("A", 30), ("c", 20)] {
            scratch.file(name, &vec![0; size]);
        }
        scratch.file("z/x", b"");
        scratch.file(".hidden", b"");
        std::os::unix::fs::symlink("/etc/passwd", scratch.path("out")).unwrap();
        std::os::unix::fs::symlink("b", scratch.path("in")).unwrap();
        assert_eq!(names(&scratch, Sort::Name, false), ["z", "A", "b", "c", "in"]);
        assert_eq!(names(&scratch, Sort::Name, true), ["z", "in", "c", "b", "A"]);
        assert_eq!(names(&scratch, Sort::Size, false), ["z", "b", "in", "c", "A"]);
    }

    #[test]
    fn a_name_is_text_and_never_markup() {
        let scratch = Scratch::new();
        scratch.file("<img src=x onerror=alert(1)>\"'&.txt", b"");
        scratch.file("javascript:alert(1)", b"");
        scratch.file("a\nb\u{202e}c", b"");
        let page = listing(&scratch, &Look { path: "/%3Cb%3E/".to_owned(), ..LOOK });
        for dangerous in ["<img", "<b>", "href=\"javascript", "a\nb", "\u{202e}"] {
            assert!(!page.contains(dangerous), "{dangerous}\n{page}");
        }
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;.txt"));
        assert!(page.contains("href=\"./javascript%3Aalert%281%29\""));
        assert!(page.contains("href=\"./a%0Ab%E2%80%AEc\""));
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (10 << 20, "10.0 MiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(Size(Some(bytes)).to_string(), text);
        }
    }

    #[test]
    fn the_trail_leads_up() {
        assert_eq!(Trail("/").to_string(), "<a href=\"./\">/</a>");
        assert_eq!(
            Trail("/a/b/").to_string(),
            "<a href=\"../../\">/</a><a href=\"../\">a</a><span>/</span><a href=\"./\">b</a>"
        );
    }

    #[test]
    fn a_page_is_bounded() {
        let scratch = Scratch::new();
        for name in ["a", "b", "c"] {
            scratch.file(name, b"");
        }
        let folder = Folder::new(scratch.path("."), Links::Beneath);
        let (file, _) = folder.open(".", Pace::Patient).unwrap();
        for (most, more) in [(2, true), (3, false)] {
            let (entries, is_more) = read(&file, &folder, ".", &Hiding::default(), most).unwrap();
            assert_eq!((entries.len(), is_more), (most, more));
            assert_eq!(page(&entries, is_more, &LOOK).contains("more than this page shows"), more);
        }
    }
}
