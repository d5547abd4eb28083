//! What other proxies have fallen to, and the tests that show that rp does not: each threat has an id, each test that is
//! about one bears it in its name, and the table at the end of docs/security.md is made from these names.
//!
//! `UPDATE_SECURITY=1 cargo test --test security` writes the table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Families, by the first two letters of their ids.
const FAMILIES: &[(&str, &str)] = &[
    ("xf", "Requests that can be cut in two ways"),
    ("xg", "From HTTP/2 and HTTP/3 to HTTP/1"),
    ("xu", "Upgrades and tunnels"),
    ("xr", "Answers of servers"),
    ("xh", "HTTP/2 and HTTP/3 as weapons"),
    ("xl", "Slow clients and floods"),
    ("xt", "TLS and identity"),
    ("xp", "Paths, hosts and routing"),
    ("xa", "Who says what of whom"),
    ("xc", "What is kept for others"),
    ("xz", "Compression, logs, administration, and time"),
];

/// Every threat, in a few words.
const THREATS: &[(&str, &str)] = &[
    ("xf01", "a length and chunks in one request"),
    ("xf02", "two lengths, or a list of them"),
    ("xf03", "a length that is no plain number"),
    ("xf04", "transfer codings that only one side understands"),
    ("xf05", "chunks in HTTP/1.0"),
    ("xf06", "a request whose body ends with the connection"),
    ("xf07", "chunk sizes and line ends that parsers read differently"),
    ("xf08", "a body that nobody read, taken for the next request"),
    ("xf09", "lines that end in half a line break"),
    ("xf10", "names of fields that are none"),
    ("xf11", "control characters in values"),
    ("xf12", "values that go on in the next line"),
    ("xf13", "request lines with two meanings; two hosts"),
    ("xf14", "expectations in disguise"),
    ("xf15", "bodies where none is awaited; TRACE and CONNECT"),
    ("xf16", "requests in a row that cross over"),
    ("xf17", "white space around names"),
    ("xf18", "framing fields in hidden spellings"),
    ("xf19", "a connection used again after it lost its place"),
    ("xg01", "fields of one hop in HTTP/2"),
    ("xg02", "a length that does not fit the DATA"),
    ("xg03", "an HTTP/3 stream that ends before its body"),
    ("xg04", "line breaks, colons and capitals in HTTP/2 fields"),
    ("xg05", "pseudo-fields that would make another request line"),
    ("xg06", "pseudo-fields twice, unknown or late"),
    ("xg07", "`:authority` beside another host; crumbs of cookies"),
    ("xg08", "rewriting that puts bytes between requests"),
    ("xg09", "trailers that frame, route or authenticate"),
    ("xg10", "interim answers without end; a switch nobody asked for"),
    ("xu01", "requests hidden behind a refused upgrade"),
    ("xu02", "upgrades to anything but WebSocket"),
    ("xu03", "fields of one hop on the answer that opens a tunnel"),
    ("xu04", "extended CONNECT for other protocols"),
    ("xr01", "line breaks in the head of an answer"),
    ("xr02", "answers cut short that look whole"),
    ("xr03", "a body where there is none"),
    ("xr04", "heads without measure"),
    ("xr05", "an answer that nobody asked for"),
    ("xr06", "decompression bombs"),
    ("xr07", "includes in pages of strangers"),
    ("xh01", "streams opened and reset (rapid reset)"),
    ("xh02", "streams that rp is made to reset"),
    ("xh03", "CONTINUATION without end"),
    ("xh04", "small heads that unpack to large ones, and stay"),
    ("xh05", "floods of frames that cost nothing to send"),
    ("xh06", "windows that overflow or jump"),
    ("xh07", "huge tables for the encoder"),
    ("xh08", "a client that opens no window"),
    ("xh09", "QPACK streams that block"),
    ("xh10", "amplification, migration and floods in QUIC"),
    ("xh11", "streams lost in a graceful end"),
    ("xl01", "heads that trickle"),
    ("xl02", "bodies that trickle"),
    ("xl03", "answers that are not taken"),
    ("xl04", "handshakes that stall; renegotiation"),
    ("xl05", "more connections than allowed"),
    ("xl06", "no file descriptors left"),
    ("xl07", "connections lost in a reload"),
    ("xl08", "patterns that take exponential time"),
    ("xl09", "keys chosen to collide"),
    ("xl10", "limits filled with made-up clients"),
    ("xl11", "cached pages by made-up queries"),
    ("xl12", "a log flooded by mistakes"),
    ("xl13", "cookies and parameters by the thousand"),
    ("xt01", "a session resumed at another site"),
    ("xt02", "one name in TLS, another in the request"),
    ("xt03", "a wildcard that decides over the name itself"),
    ("xt04", "an authority's file that is missing or empty"),
    ("xt05", "revoked certificates that pass"),
    ("xt06", "servers with a certificate of somebody else"),
    ("xt07", "bytes put in before a server's handshake"),
    ("xt08", "server names that are odd or unknown"),
    ("xt09", "another protocol than was agreed on"),
    ("xt10", "a ClientHello in pieces"),
    ("xt11", "early data replayed"),
    ("xt12", "certificates issued for somebody else"),
    ("xt13", "floods of key updates"),
    ("xp01", "other spellings of a guarded path"),
    ("xp02", "rewriting that climbs or leaves the root"),
    ("xp03", "data that is expanded again"),
    ("xp04", "other spellings of a host"),
    ("xp05", "other spellings of a method"),
    ("xp06", "a wildcard before an exact host"),
    ("xp07", "redirects that lead to a stranger"),
    ("xp08", "files outside the folder, or hidden"),
    ("xp09", "a client that chooses the server"),
    ("xa01", "made-up forwarding fields"),
    ("xa02", "made-up fields in other spellings"),
    ("xa03", "identity fields that an authenticator left out"),
    ("xa04", "`Connection` that names away what rp says"),
    ("xa05", "several values read as one"),
    ("xa06", "authentication that fails open"),
    ("xa07", "tokens that sign themselves"),
    ("xa08", "passwords told by time, or asked at too high a price"),
    ("xa09", "`Proxy`, which CGI takes for its own setting"),
    ("xa10", "PROXY lines from strangers"),
    ("xa11", "origins that look like the right one"),
    ("xa12", "forged cookies of affinity"),
    ("xa13", "limits avoided by made-up addresses"),
    ("xc01", "poison by what is not in the key"),
    ("xc02", "private pages kept for their ending"),
    ("xc03", "variants mixed up"),
    ("xc04", "what was not to be kept"),
    ("xc05", "errors and halves kept"),
    ("xc06", "ranges without measure"),
    ("xc07", "keys by another path than the route's"),
    ("xc08", "two contents under one tag"),
    ("xc09", "purges by strangers"),
    ("xc10", "errors kept to deny a page"),
    ("xc11", "kept pages given past authentication"),
    ("xz01", "secrets told by compressed size"),
    ("xz02", "encoders that take memory without bound"),
    ("xz03", "lines forged in a log"),
    ("xz04", "an admin door that pages or strangers can use"),
    ("xz05", "data that becomes configuration"),
    ("xz06", "names that resolve to anything, at any length"),
    ("xz07", "helpers' answers without measure"),
    ("xz08", "one fault that ends the process"),
    ("xz09", "memory and descriptors lost over time"),
    ("xz10", "more rights than are needed"),
    ("xz11", "work that goes on for a client that has gone"),
    ("xz12", "reloads in the middle of everything"),
    ("xz13", "times that are zero, negative or too long"),
];

/// Threats to what rp does not have, each with the reason.
const DOES_NOT_APPLY: &[(&str, &str)] = &[
    ("xr06", "rp decompresses nothing"),
    ("xl11", "there is no cache"),
    ("xa03", "there is no `forward_auth`"),
    ("xa06", "there is no `forward_auth`"),
    ("xa07", "tokens are not read"),
    ("xa12", "there is no affinity by cookie"),
    ("xc01", "there is no cache"),
    ("xc02", "there is no cache"),
    ("xc03", "there is no cache"),
    ("xc04", "there is no cache"),
    ("xc05", "there is no cache"),
    ("xc07", "there is no cache"),
    ("xc08", "there is no cache"),
    ("xc09", "there is no cache"),
    ("xc10", "there is no cache"),
    ("xc11", "there is no cache"),
];

/// Where the written part of the page ends.
const MARK: &str =
    "<!-- What follows is made from the names of the tests: UPDATE_SECURITY=1 cargo test --test security -->\n";

/// The tests about each threat, as `file::function`.
type Shown = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The names of the functions of a source text that are tests.
fn tests(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let head = ["async fn ", "fn "].iter().find_map(|start| line.strip_prefix(start));
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(head) = head {
            if is_test {
                found.push(head.split(['(', '<']).next().unwrap_or_default());
            }
            is_test = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    found
}

fn id(word: &str) -> Option<(&str, u32)> {
    let bytes = word.as_bytes();
    let fits = bytes.len() == 4 && bytes[0] == b'x' && bytes[1].is_ascii_lowercase();
    if fits { Some((&word[..2], word[2..].parse().ok()?)) } else { None }
}

/// The ids in a test's name; `xf01_to_xf04` are four.
fn ids(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some((family, number)) = id(word) else { continue };
        let first = match at.checked_sub(2).map(|before| (words[before], words[before + 1])) {
            Some((before, "to")) => id(before).filter(|(other, _)| *other == family).map(|(_, first)| first + 1),
            _ => None,
        };
        found.extend((first.unwrap_or(number)..=number).map(|number| format!("{family}{number:02}")));
    }
    found
}

fn shown() -> Shown {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    let mut shown = Shown::new();
    for file in files {
        let place = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        for name in tests(&fs::read_to_string(&file).unwrap()) {
            for id in ids(name) {
                shown.entry(id).or_default().insert(format!("{place}::{name}"));
            }
        }
    }
    shown
}

fn table(shown: &Shown) -> String {
    let mut out = String::from("\n## Threats and their tests\n");
    for (family, title) in FAMILIES {
        out += &format!("\n### {title}\n\n| id | threat | tests |\n| --- | --- | --- |\n");
        for (id, threat) in THREATS.iter().filter(|(id, _)| id.starts_with(family)) {
            let told = match (shown.get(*id), DOES_NOT_APPLY.iter().find(|(other, _)| other == id)) {
                (Some(names), _) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>"),
                (None, Some((_, reason))) => format!("does not apply yet: {reason}"),
                (None, None) => "**no test**".to_owned(),
            };
            out += &format!("| {} | {threat} | {told} |\n", id.to_ascii_uppercase());
        }
    }
    out
}

#[test]
fn each_threat_has_a_test_or_a_reason() {
    let shown = shown();
    let known = |id: &str| THREATS.iter().any(|(known, _)| *known == id);
    let missing: Vec<_> = THREATS
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| !shown.contains_key(*id) && !DOES_NOT_APPLY.iter().any(|(other, _)| other == id))
        .collect();
    assert!(missing.is_empty(), "threats that no test shows: {missing:?}");
    let unknown: Vec<_> = shown.iter().filter(|(id, _)| !known(id)).collect();
    assert!(unknown.is_empty(), "tests of threats that are not in the table: {unknown:?}");
    let idle: Vec<_> =
        DOES_NOT_APPLY.iter().filter(|(id, _)| !known(id) || shown.contains_key(*id)).map(|(id, _)| *id).collect();
    assert!(idle.is_empty(), "said not to apply, and tested or not known: {idle:?}");
    let strays: Vec<_> =
        THREATS.iter().filter(|(id, _)| !FAMILIES.iter().any(|(family, _)| id.starts_with(family))).collect();
    assert!(strays.is_empty(), "threats of no family: {strays:?}");
}

#[test]
fn the_page_is_made_from_the_tests() {
    let path = root().join("docs/security.md");
    let page = fs::read_to_string(&path).unwrap();
    let (written, _) = page.split_once(MARK).expect("docs/security.md has the line behind which the table stands");
    let made = format!("{written}{MARK}{}", table(&shown()));
    if std::env::var_os("UPDATE_SECURITY").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let stale = made != page && std::env::var_os("UPDATE_SECURITY").is_none();
    assert!(!stale, "docs/security.md is stale: UPDATE_SECURITY=1 cargo test --test security");
}

#[test]
fn names_are_read_as_they_are_meant() {
    assert_eq!(ids("xf01_to_xf03_a_body"), ["xf01", "xf02", "xf03"]);
    assert_eq!(ids("d07_xl07_xz12_and_xp01_it_holds"), ["xl07", "xz12", "xp01"]);
    assert!(ids("x01_xmas_xf1_fxf01").is_empty());
    let text = "#[test]\n#[allow(x)]\nfn one() {}\nfn two() {}\n#[tokio::test(a)]\n// why\nasync fn three<T>() {}\n#[test]\nlet x;\nfn four() {}";
    assert_eq!(tests(text), ["one", "three"]);
}
