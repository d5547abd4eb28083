//! What no person writes: nesting without end, words of a megabyte, names that double. Each is judged and formatted by
//! the real binary in about the time that its bytes need, with an answer that says what is too much of it.

#[path = "e2e/harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::{Folder, command};

/// Without optimisation, and beside other tests, everything takes many times as long. What takes the square of its size
/// takes minutes either way.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

/// Without optimisation a quarter of everything: the other tests want the processor too.
const SHARE: usize = if cfg!(debug_assertions) { 4 } else { 1 };
const MANY: usize = 100_000 / SHARE;
const MEGABYTE: usize = (1 << 20) / SHARE;
/// Routes, snippets, matchers.
const THOUSANDS: usize = 20_000 / SHARE;

fn site(statements: &str) -> String {
    format!("http://example.com {{\n    {statements}\n    respond ok\n}}\n")
}

/// What each of so many is, in a row.
fn each(count: usize, write: impl Fn(usize) -> String) -> String {
    (0..count).map(write).collect()
}

/// Ends by itself, in time; its standard output.
fn timed(what: &str, mut command: Command, folder: &Folder) -> (ExitStatus, Vec<u8>) {
    let output = folder.path().join("output");
    let file = std::fs::File::create(&output).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what} takes more than {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    println!("{what}: {:?}", start.elapsed());
    (status, std::fs::read(output).unwrap())
}

/// Judges and formats a file: these codes are found, each at least once, and no others.
fn check(text: &str, expected: &[&str]) {
    let folder = Folder::new();
    folder.write("Proxyfile", text);
    judge(&folder, expected);
    for arguments in [&["fmt", "--check"][..], &["fmt"]] {
        let mut fmt = command(&folder);
        fmt.args(arguments);
        let (status, _) = timed("rp fmt", fmt, &folder);
        assert!(matches!(status.code(), Some(0 | 1)), "rp fmt ends with {status}");
    }
}

fn judge(folder: &Folder, expected: &[&str]) {
    let mut validate = command(folder);
    validate.args(["validate", "--no-files", "--format", "json"]);
    let (status, output) = timed("rp validate", validate, folder);
    let errors = expected.iter().any(|code| code.starts_with('E'));
    assert_eq!(status.code(), Some(i32::from(errors)), "rp validate ends with {status}");
    let found: Vec<serde_json::Value> = serde_json::from_slice(&output).unwrap();
    let codes: BTreeSet<&str> = found.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    let whole = found.first().map_or("nothing".to_owned(), ToString::to_string);
    assert_eq!(codes, expected.iter().copied().collect(), "the first of {}: {whole:.2000}", found.len());
    let mut text = command(folder);
    text.args(["validate", "--no-files"]);
    timed("rp validate for people", text, folder);
}

#[test]
fn parentheses_that_never_end() {
    let (open, close) = ("(".repeat(MANY), ")".repeat(MANY));
    check(&site(&format!("route {open} {{ respond x }}")), &["E0008"]);
    check(&site(&format!("route {open}/a{close} {{ respond x }}")), &["E0008"]);
    check(&site(&format!("@a {open}/a{close}\n    route @a {{ respond x }}")), &["E0008"]);
    let open = "not (".repeat(MANY);
    check(&site(&format!("route {open}/a{close} {{ respond x }}")), &["E0008"]);
    check(&site(&format!("route {open}")), &["E0008", "E0025"]);
}

#[test]
fn negations_that_never_end() {
    let nots = "not ".repeat(MANY);
    check(&site(&format!("route {nots}/a {{ respond x }}")), &[]);
    check(&site(&format!("route {nots} {{ respond x }}")), &["E0033"]);
}

#[test]
fn parentheses_and_names_together() {
    // Each is within its bounds, but not where it stands.
    let half = |inner: &str| format!("{}{inner}{}", "(".repeat(40), ")".repeat(40));
    let text = format!("@a {}\n    @b {}\n    route @b {{ respond x }}", half("/a"), half("@a"));
    check(&site(&text), &["E0008"]);
}

#[test]
fn blocks_that_never_end() {
    check(&site(&("route /a {\n".repeat(MANY) + &"}\n".repeat(MANY))), &["E0008"]);
    check(&site(&("route /a { ".repeat(MANY) + &"} ".repeat(MANY))), &["E0008"]);
    check(&site(&"route /a {\n".repeat(MANY)), &["E0008"]);
    check(&"{".repeat(MEGABYTE), &["E0005", "E0008", "E0017"]);
    let routes = "route /a { ".repeat(60) + "respond x" + &" }".repeat(60);
    check(&site(&routes), &[]);
}

#[test]
fn words_of_a_megabyte() {
    let (x, y) = ("x".repeat(MEGABYTE), "y".repeat(MEGABYTE));
    check(&site(&format!("{x} y")), &["E0010"]);
    check(&site(&format!("rate_limit {x}")), &["E0020"]);
    check(&site(&format!("route /{x} {{ respond x }}")), &[]);
    check(&site(&format!("respond \"{x}\"")), &["W0001"]);
    check(&site(&format!("respond \"{x}")), &["E0003", "W0001"]);
    check(&site(&format!("header set X {{{x}}}")), &["E0012"]);
    check(&site(&format!("header set X {}", "{path}".repeat(MEGABYTE / 6))), &[]);
    check(&site(&format!("reverse_proxy 127.0.0.1:1 {{ {x} }}")), &["E0011"]);
    check(&format!("{x} {{ respond x }}\n"), &["E0020"]);
    // What it was meant to be is not looked for: that would take the product of their lengths.
    check(&format!("upstream {y} {{ server 10.0.0.1:1 }}\n{}", site(&format!("reverse_proxy {x}"))), &["E0014"]);
    check(&format!("snippet {y} {{ respond x }}\n{}", site(&format!("use {x}"))), &["E0015"]);
    check(&format!("@{y} path /a\n{}", site(&format!("route @{x} {{ respond x }}"))), &["E0013"]);
}

#[test]
fn one_expression_of_a_megabyte() {
    let joined = |word: &str| format!("/a {word} ").repeat(MEGABYTE / 8) + "/a";
    check(&site(&format!("route {} {{ respond x }}", joined("or"))), &[]);
    check(&site(&format!("route {} {{ respond x }}", joined("and"))), &[]);
    check(&site(&format!("route path {} {{ respond x }}", "/a ".repeat(MEGABYTE / 3))), &["W0021"]);
    let list = |letter: char| each(MEGABYTE / 16, |at| format!(" /{letter}{at}"));
    let (one, other) = (list('a'), list('b'));
    check(&site(&format!("route path{one} and path{other} {{ respond x }}")), &[]);
    check(&site(&format!("route path{one} {{ respond x }}\n    route path{other} {{ respond x }}")), &[]);
    let alternatives = |letter: char| each(MEGABYTE / 16, |at| format!("/{letter}{at} or ")) + "/c";
    let (one, other) = (alternatives('a'), alternatives('b'));
    check(&site(&format!("route {one} {{ respond x }}\n    route {other} {{ respond x }}")), &[]);
}

#[test]
fn routes_by_the_ten_thousand() {
    let routes =
        |test: &dyn Fn(usize) -> String| site(&each(THOUSANDS, |at| format!("route {} {{ respond x }}\n", test(at))));
    check(&routes(&|_| "/a".to_owned()), &["W0002"]);
    check(&routes(&|at| format!("/a{at}")), &[]);
    check(&routes(&|at| format!("/a{at}/*")), &[]);
    check(&routes(&|at| format!("/a{at} or /b{at}")), &[]);
    check(&routes(&|at| format!("method GET and /a{at}/*")), &[]);
    check(&routes(&|at| format!("header X-Number {at}")), &[]);
    check(&routes(&|at| format!("/a and header X-Number {at}")), &[]);
    // The second half is covered by the first, each by another one.
    check(&routes(&|at| format!("/a{}/b{}", at % 100, at % (THOUSANDS / 2))), &["W0002"]);
}

#[test]
fn statements_that_never_run() {
    check(&site(&"respond x\n".repeat(THOUSANDS)), &["W0001"]);
}

#[test]
fn statements_that_undo_each_other() {
    let fields = each(THOUSANDS, |at| format!("header set X-A{at} a\n    header set X-A{at} b\n"));
    check(&site(&fields), &["W0016"]);
    check(&site(&format!("{fields}header remove X-A* X-B*")), &["W0016"]);
    check(&site(&each(THOUSANDS, |at| format!("header remove X-{at}*\n    header set X-A{at} b\n"))), &[]);
    // Each allows more at once than those above it, and less in the long run.
    let limit = |at| format!("rate_limit {}/{}s\n", at + 1, (at + 1) * (at + 1));
    check(&site(&each(THOUSANDS, limit)), &[]);
    let hosts = each(THOUSANDS, |at| format!("when host a{at}.example.com b{at}.example.com {{ respond x }}\n"));
    check(&site(&hosts), &["W0008"]);
}

#[test]
fn matchers_by_name_on_each_other() {
    let chain = each(THOUSANDS, |at| format!("@m{} @m{at}\n", at + 1));
    let last = site(&format!("route @m{THOUSANDS} {{ respond x }}"));
    check(&format!("@m0 path /a\n{chain}{last}"), &["E0008"]);
    let circle = each(THOUSANDS, |at| format!("@m{at} @m{}\n", (at + 1) % THOUSANDS));
    check(&format!("{circle}{}", site("route @m0 { respond x }")), &["E0042"]);
    let doubled = each(50, |at| format!("@m{} @m{at} or @m{at}\n", at + 1));
    check(&format!("@m0 path /a\n{doubled}{}", site("route @m50 { respond x }")), &["E0008"]);
    let large = "/a or ".repeat(MEGABYTE / 12) + "/a";
    check(&format!("@large {large}\n{}", site(&"route @large { respond x }\n".repeat(THOUSANDS))), &["E0008", "W0002"]);
}

#[test]
fn snippets_that_use_each_other() {
    let uses = |name: usize| site(&format!("use s{name}"));
    let circle = |count: usize| each(count, |at| format!("snippet s{at} {{ use s{} }}\n", (at + 1) % count)) + &uses(0);
    check(&circle(10), &["E0034"]);
    check(&circle(THOUSANDS), &["E0008"]);
    let chain = each(THOUSANDS, |at| format!("snippet s{} {{ use s{at} }}\n", at + 1));
    check(&format!("snippet s0 {{ respond x }}\n{chain}{}", uses(THOUSANDS)), &["E0008"]);
    for first in ["respond x", ""] {
        let doubled = each(50, |at| format!("snippet s{} {{ use s{at}; use s{at} }}\n", at + 1));
        check(&format!("snippet s0 {{ {first} }}\n{doubled}{}", uses(50)), &["E0008"]);
    }
    let deep =
        each(50, |at| format!("snippet s{} {{ {}use s{at}{} }}\n", at + 1, "route /a { ".repeat(40), " }".repeat(40)));
    check(&format!("snippet s0 {{ respond x }}\n{deep}{}", uses(50)), &["E0008"]);
}

#[test]
fn snippets_that_make_much_of_little() {
    let word = "x".repeat(MEGABYTE);
    let repeated = site(&"use s\n".repeat(THOUSANDS));
    check(&format!("snippet s {{ header set X \"{word}\" }}\n{repeated}"), &["E0008"]);
    let longer = each(50, |at| format!("snippet s{}(a) {{ use s{at} {{arg.a}}{{arg.a}} }}\n", at + 1));
    check(&format!("snippet s0(a) {{ respond {{arg.a}} }}\n{longer}{}", site("use s50 x")), &["E0008"]);
    let parameters = each(THOUSANDS, |at| format!("p{at}, ")) + "last";
    check(&format!("snippet s({parameters}) {{ respond x }}\n{}", site("use s")), &["E0023"]);
}

#[test]
fn names_that_nobody_has_by_the_thousand() {
    let sites = |statement: &dyn Fn(usize) -> String| {
        each(THOUSANDS / 4, |at| format!("http://site{at}.example.com {{ {} }}\n", statement(at)))
    };
    let upstreams = each(THOUSANDS / 4, |at| format!("upstream pool{at} {{ server 10.0.0.1:{} }}\n", at + 1));
    check(&(upstreams + &sites(&|at| format!("reverse_proxy pull{at}x"))), &["E0014"]);
    let snippets = each(THOUSANDS / 4, |at| format!("snippet part{at} {{ respond x }}\n"));
    check(&(snippets + &sites(&|at| format!("use port{at}x"))), &["E0015"]);
    let matchers = each(THOUSANDS / 4, |at| format!("@name{at} path /a\n"));
    check(&(matchers + &sites(&|at| format!("route @mane{at}x {{ respond x }}"))), &["E0013"]);
}

#[test]
fn signs_without_sense() {
    check(&"}".repeat(MEGABYTE / 8), &["E0001"]);
    check(&"\"".repeat(MEGABYTE / 8), &["E0007", "E0025"]);
    check(&"`".repeat(MEGABYTE), &["E0007", "E0025"]);
    check(&"a <<A\n".repeat(MANY), &["E0006", "E0025"]);
    check(&"a, ".repeat(MANY), &["E0022", "E0025"]);
    check(&"\\".repeat(MEGABYTE), &["E0018", "E0025"]);
}

#[test]
fn a_file_that_imports_itself_in_ten_thousand_ways() {
    let folder = Folder::new();
    let mut text = String::new();
    for _ in 0..10_000 / 4 / SHARE {
        let _ = write!(text, "import Proxyfile\nimport ./Proxyfile\nimport x/../Proxyfile\nimport Proxy*\n");
    }
    folder.write("Proxyfile", &text);
    judge(&folder, &["E0030"]);

    // By way of a link, it is the same file under another name.
    std::os::unix::fs::symlink(".", folder.path().join("self")).unwrap();
    folder.write("Proxyfile", "import self/Proxyfile\n".repeat(10_000 / SHARE));
    judge(&folder, &["E0030"]);

    let folder = Folder::new();
    for file in 0..100 {
        folder.write(&format!("sites/{file}.proxyfile"), "import *.proxyfile\n");
    }
    folder.write("Proxyfile", "import sites/*.proxyfile\n");
    judge(&folder, &["E0030"]);
}
