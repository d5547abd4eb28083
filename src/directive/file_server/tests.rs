//! Requests against a folder, through the program that a statement compiles to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::header::HeaderMap;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use crate::check::Check;
use crate::diagnostic::{Code, Mistake, Sources};
use crate::directive;
use crate::http::exchange::Exchange;
use crate::http::fault::Cause;
use crate::site::{Building, Program, Supplies};
use crate::syntax;

/// A folder that is there as long as the test runs.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rp-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, with the folders that it lies in.
    pub fn file(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks and compiles one statement; the folder in it is written `ROOT`.
fn build(scratch: &Scratch, statement: &str) -> (Option<Program>, Vec<Mistake>) {
    let text = statement.replace("ROOT", scratch.path("").to_str().unwrap().trim_end_matches('/'));
    let file = Sources::default().add(Path::new("Proxyfile"), &text);
    let (block, mistakes) = syntax::parse(file, &text);
    assert_eq!(mistakes, []);
    let mut cx = Check::default();
    let body = directive::check_nodes(&block.nodes, &mut cx);
    let mut findings = cx.finish().sorted();
    if findings.iter().any(|mistake| mistake.code.as_str().starts_with('E')) {
        return (None, findings);
    }
    let mut supplies = Supplies::default();
    let mut site = Building::new(&mut supplies);
    match body.compile(&mut site) {
        Ok(()) => (Some(site.finish()), findings),
        Err(mistake) => {
            findings.push(mistake);
            (None, findings)
        }
    }
}

/// A site of one statement.
struct Site {
    scratch: Scratch,
    program: Program,
}

/// What came back, read in full.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    error: Option<Cause>,
}

impl Got {
    fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Site {
    fn new(scratch: Scratch, statement: &str) -> Self {
        let (program, findings) = build(&scratch, statement);
        assert_eq!(findings, []);
        Self { scratch, program: program.unwrap() }
    }

    /// With these files, each holding its own name.
    fn with(files: &[&str], statement: &str) -> Self {
        let scratch = Scratch::new();
        for file in files {
            scratch.file(file, file.as_bytes());
        }
        Self::new(scratch, statement)
    }

    async fn send(&self, mut exchange: Exchange) -> Got {
        let head = exchange.method == Method::HEAD;
        let (parts, body) = self.program.run(&mut exchange).await.into_parts();
        let promised = body.length();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        assert_eq!(promised, Some(body.len() as u64));
        assert!(!head || body.is_empty() || parts.status != StatusCode::OK);
        let error = exchange.notes.error.map(|fault| fault.cause);
        Got { status: parts.status.as_u16(), headers: parts.headers, body, error }
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        self.send(exchange(Method::GET, path, fields)).await
    }

    /// `STATUS BODY`, or of a redirect `STATUS LOCATION`.
    async fn brief(&self, path: &str) -> String {
        let got = self.get(path, &[]).await;
        match got.status {
            200 => format!("200 {}", got.text()),
            308 => format!("308 {}", got.field("location")),
            status => status.to_string(),
        }
    }
}

fn exchange(method: Method, path: &str, fields: &[(&str, &str)]) -> Exchange {
    Exchange { method, ..Exchange::sample(path, fields) }
}

#[tokio::test]
async fn files_are_found_by_their_path() {
    let site = Site::with(&["index.html", "a.txt", "d/index.html", "d/b c.txt", "é", "e/x"], "file_server ROOT");
    for (path, expected) in [
        ("/", "200 index.html"),
        ("/a.txt", "200 a.txt"),
        ("/a.txt?query=1", "200 a.txt"),
        ("/d/", "200 d/index.html"),
        ("/d", "308 /d/"),
        ("/d?x=1&y", "308 /d/?x=1&y"),
        ("//d", "308 /d/"),
        ("//x/..//d", "308 /d/"),
        ("/d/b%20c.txt", "200 d/b c.txt"),
        ("/%C3%A9", "200 é"),
        ("/e/", "404"),
        ("/a.txt/", "404"),
        ("/a.txt/x", "404"),
        ("/nothing", "404"),
        ("/../a.txt", "200 a.txt"),
        ("/d%2Findex.html", "404"),
        ("/d%5Cindex.html", "404"),
        ("/d/..%2F..%2Fa.txt", "404"),
    ] {
        assert_eq!(site.brief(path).await, expected, "{path}");
    }
    assert_eq!(site.get("/nothing", &[]).await.error, Some(Cause::FileNotFound));
    let long = format!("/{}", "x".repeat(5_000));
    assert_eq!(site.brief(&long).await, "404");
}

#[tokio::test]
async fn xp08_what_is_hidden_is_not_there() {
    let files =
        [".env", ".git/config", ".well-known/security.txt", "a.bak", "Proxyfile", "private/x", "p/private/y", "a"];
    let site = Site::with(&files, "file_server ROOT { hide *.bak /private; browse on }");
    std::os::unix::fs::symlink("/etc/hostname", site.scratch.path("link")).unwrap();
    for path in ["/.env", "/.git/config", "/.git/", "/.git", "/a.bak", "/A.BAK", "/Proxyfile", "/private/x", "/link"] {
        assert_eq!(site.brief(path).await, "404", "{path}");
    }
    assert_eq!(site.brief("/.well-known/security.txt").await, "200 .well-known/security.txt");
    assert_eq!(site.brief("/p/private/y").await, "200 p/private/y");
    let listing = site.get("/", &[("accept", "application/json")]).await;
    let names: serde_json::Value = serde_json::from_slice(&listing.body).unwrap();
    let names: Vec<_> = names.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, [".well-known", "p", "a"]);
    let open = Site::with(&[".env"], "file_server ROOT { hidden on; follow_links on }");
    std::os::unix::fs::symlink("/etc/hostname", open.scratch.path("link")).unwrap();
    assert_eq!(open.brief("/.env").await, "200 .env");
    assert_eq!(open.get("/link", &[]).await.status, 200);
}

#[tokio::test]
async fn methods_are_those_that_files_have() {
    let site = Site::with(&["a.txt"], "file_server ROOT");
    let head = site.send(exchange(Method::HEAD, "/a.txt", &[("range", "bytes=0-1")])).await;
    let get = site.get("/a.txt", &[]).await;
    assert_eq!((head.status, head.field("content-length"), head.body.len()), (200, "5", 0));
    for name in ["content-type", "etag", "last-modified", "accept-ranges"] {
        assert_eq!(head.headers[name], get.headers[name], "{name}");
    }
    let post = site.send(exchange(Method::POST, "/a.txt", &[])).await;
    assert_eq!((post.status, post.field("allow")), (405, "GET, HEAD, OPTIONS"));
    assert_eq!(post.error, Some(Cause::MethodNotAllowed));
    let options = site.send(exchange(Method::OPTIONS, "/a.txt", &[])).await;
    assert_eq!((options.status, options.field("allow")), (204, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let site = Site::with(&["a.css"], "file_server ROOT { expires 7d immutable }");
    let got = site.get("/a.css", &[]).await;
    assert_eq!(got.field("content-type"), "text/css; charset=utf-8");
    assert_eq!(got.field("cache-control"), "public, max-age=604800, immutable");
    let (etag, modified) = (got.field("etag").to_owned(), got.field("last-modified").to_owned());
    let again = site.get("/a.css", &[("if-none-match", &format!("W/{etag}"))]).await;
    assert_eq!((again.status, again.body.len(), again.field("etag")), (304, 0, &*etag));
    assert_eq!(again.field("cache-control"), "public, max-age=604800, immutable");
    assert!(!again.headers.contains_key("content-type") && !again.headers.contains_key("last-modified"));
    assert_eq!(site.get("/a.css", &[("if-modified-since", &modified)]).await.status, 304);
    assert_eq!(site.get("/a.css", &[("if-match", "\"x\"")]).await.status, 412);
    assert_eq!(site.get("/a.css", &[("if-match", &etag), ("if-none-match", "\"x\"")]).await.status, 200);
    let bare = Site::with(&["a.css"], "file_server ROOT { etag off }");
    let again = bare.get("/a.css", &[("if-modified-since", &modified)]).await;
    assert!(again.status == 304 && again.headers.contains_key("last-modified") && !again.headers.contains_key("etag"));
}

#[tokio::test]
async fn parts_of_small_and_large_files() {
    for size in [1_000, 400_000] {
        let scratch = Scratch::new();
        let bytes: Vec<u8> = (0..size).map(|n: usize| u8::try_from(n % 251).unwrap()).collect();
        scratch.file("f.bin", &bytes);
        let site = Site::new(scratch, "file_server ROOT");
        assert_eq!(site.get("/f.bin", &[]).await.body, bytes);
        let part = site.get("/f.bin", &[("range", "bytes=10-19")]).await;
        assert_eq!((part.status, part.field("content-range")), (206, &*format!("bytes 10-19/{size}")));
        assert_eq!(part.body, &bytes[10..20]);
        let tail = site.get("/f.bin", &[("range", "bytes=-7")]).await;
        assert_eq!(tail.body, &bytes[size - 7..]);
        let beyond = site.get("/f.bin", &[("range", "bytes=400000-")]).await;
        assert_eq!((beyond.status, beyond.field("content-range")), (416, &*format!("bytes */{size}")));
        let stale = site.get("/f.bin", &[("range", "bytes=10-19"), ("if-range", "\"other\"")]).await;
        assert_eq!((stale.status, stale.body.len()), (200, size));
        let etag = stale.field("etag").to_owned();
        let same = site.get("/f.bin", &[("range", "bytes=10-19"), ("if-range", &etag)]).await;
        assert_eq!(same.status, 206);
        let two = exchange(Method::GET, "/f.bin", &[("range", "bytes=0-0"), ("range", "bytes=2-2")]);
        assert_eq!(site.send(two).await.status, 200);
    }
}

#[tokio::test]
async fn rfc9110_14_6_several_parts_at_once() {
    for size in [200_usize, 300_000] {
        let scratch = Scratch::new();
        scratch.file("f.txt", &vec![b'x'; size]);
        let site = Site::new(scratch, "file_server ROOT");
        let got = site.get("/f.txt", &[("range", "bytes=0-1,10-11,-3")]).await;
        assert_eq!(got.status, 206);
        let boundary = got.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range: &str, data: &str| {
            format!(
                "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/{size}\r\n\r\n{data}\r\n"
            )
        };
        let last = format!("{}-{}", size - 3, size - 1);
        let expected =
            [part("0-1", "xx"), part("10-11", "xx"), part(&last, "xxx"), format!("--{boundary}--\r\n")].concat();
        assert_eq!(got.text(), expected);
        assert!(!got.headers.contains_key("content-range"));
        let many: Vec<String> = (0..17).map(|n| format!("{0}-{0}", n * 2)).collect();
        let got = site.get("/f.txt", &[("range", &format!("bytes={}", many.join(",")))]).await;
        assert_eq!((got.status, got.body.len()), (200, size));
    }
}

#[tokio::test]
async fn compressed_siblings_go_to_those_who_take_them() {
    let site = Site::with(
        &["a.js", "a.js.gz", "a.js.br", "b.js", "old.js", "old.js.gz"],
        "file_server ROOT { precompressed br gzip }",
    );
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let old = fs::File::options().write(true).open(site.scratch.path("old.js.gz")).unwrap();
    old.set_modified(yesterday).unwrap();
    let mut tags = Vec::new();
    for (path, accept, coding, body) in [
        ("/a.js", "gzip, br", "br", "a.js.br"),
        ("/a.js", "gzip, br;q=0.5", "gzip", "a.js.gz"),
        ("/a.js", "zstd", "", "a.js"),
        ("/b.js", "gzip, br", "", "b.js"),
        ("/old.js", "gzip", "", "old.js"),
    ] {
        let got = site.get(path, &[("accept-encoding", accept)]).await;
        assert_eq!((got.field("content-encoding"), got.text()), (coding, body), "{path} {accept}");
        assert_eq!(got.field("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(got.field("vary"), "Accept-Encoding");
        tags.push(got.field("etag").to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5);
}

#[tokio::test]
async fn paths_are_tried_in_their_order() {
    let files = ["index.html", "a.txt", "d/index.html", "page.html", "e/x", ".env"];
    let site = Site::with(&files, "file_server ROOT { try_files {path} {path}.html {path}/ /index.html }");
    for (path, expected) in [
        ("/a.txt", "200 a.txt"),
        ("/page", "200 page.html"),
        ("/", "200 index.html"),
        ("/d", "308 /d/"),
        ("/d/", "200 d/index.html"),
        ("/e", "200 index.html"),
        ("/deep/route", "200 index.html"),
        ("/.env", "200 index.html"),
        ("/%2e%2e/%2e%2e/etc/passwd", "200 index.html"),
    ] {
        assert_eq!(site.brief(path).await, expected, "{path}");
    }
    let site = Site::with(&["www/v/1.txt", "secret"], "file_server ROOT/www { try_files \"v/{query.n}.txt\" }");
    assert_eq!(site.brief("/x?n=1").await, "200 www/v/1.txt");
    for path in ["/x", "/x?n=..%2F..%2Fsecret%23", "/x?n=%252e%252e%252f1", "/x?n=%00"] {
        assert_eq!(site.brief(path).await, "404", "{path}");
    }
}

#[tokio::test]
async fn a_folder_that_was_rewritten_is_served_where_it_is() {
    let site = Site::with(&["docs/index.html"], "file_server ROOT");
    let rewritten = |from: &str, to: &str| {
        let mut exchange = exchange(Method::GET, from, &[]);
        exchange.target.set_path(to).unwrap();
        exchange
    };
    let kept = site.send(rewritten("/static/docs?a=b", "/docs")).await;
    assert_eq!((kept.status, kept.field("location")), (308, "/static/docs/?a=b"));
    assert_eq!(site.send(rewritten("/manual", "/docs")).await.text(), "docs/index.html");
    assert_eq!(site.send(rewritten("/manual/", "/docs")).await.text(), "docs/index.html");
}

#[tokio::test]
async fn an_error_page_has_the_status_of_what_failed() {
    let site = Site::with(
        &["404.html"],
        "file_server ROOT { index off; expires 7d }\nhandle_errors { file_server ROOT { try_files /404.html; expires 7d } }",
    );
    for method in [Method::GET, Method::HEAD] {
        let exchange = exchange(method, "/nothing", &[("range", "bytes=0-1"), ("if-none-match", "*")]);
        let got = site.send(exchange).await;
        assert_eq!((got.status, got.field("cache-control")), (404, "no-store"));
        assert_eq!(got.field("content-type"), "text/html; charset=utf-8");
        assert!(!got.headers.contains_key("etag") && !got.headers.contains_key("accept-ranges"));
    }
}

#[tokio::test]
async fn a_folder_is_listed_only_where_it_may_be() {
    let site = Site::with(&["d/a.txt", "i/index.html"], "file_server ROOT { browse on }");
    let page = site.get("/d/", &[]).await;
    assert_eq!((page.status, page.field("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().contains("href=\"./a.txt\"") && page.text().contains("href=\"../\""));
    assert!(page.field("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(site.brief("/i/").await, "200 i/index.html");
    assert_eq!(site.brief("/d").await, "308 /d/");
    assert_eq!(site.brief("/nothing/").await, "404");
    let head = site.send(exchange(Method::HEAD, "/d/", &[])).await;
    assert_eq!(head.field("content-length"), page.body.len().to_string());
    let closed = Site::with(&["d/a.txt"], "file_server ROOT");
    assert_eq!(closed.brief("/d/").await, "404");
}

#[tokio::test]
async fn a_change_shows_within_a_second() {
    let site = Site::with(&["a.txt"], "file_server ROOT");
    assert_eq!(site.brief("/a.txt").await, "200 a.txt");
    site.scratch.file("a.txt", b"new");
    let mut later = exchange(Method::GET, "/a.txt", &[]);
    later.started += super::shelf::FRESH;
    assert_eq!(site.send(later).await.text(), "new");
}

#[tokio::test]
async fn a_link_that_is_swapped_is_followed_to_its_new_place() {
    let scratch = Scratch::new();
    scratch.file("one/a", b"one");
    scratch.file("two/a", b"two");
    std::os::unix::fs::symlink("one", scratch.path("current")).unwrap();
    let site = Site::new(scratch, "file_server ROOT/current");
    assert_eq!(site.brief("/a").await, "200 one");
    std::os::unix::fs::symlink("two", site.scratch.path("next")).unwrap();
    fs::rename(site.scratch.path("next"), site.scratch.path("current")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // The request's own clock runs ahead of the shelf, so only the folder's is waited for.
        let mut later = exchange(Method::GET, "/a", &[]);
        later.started += super::shelf::FRESH;
        if site.send(later).await.text() == "two" {
            break;
        }
        assert!(Instant::now() < deadline, "the old folder is still served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_forbidden() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::with(&["a"], "file_server ROOT");
    fs::set_permissions(site.scratch.path("a"), fs::Permissions::from_mode(0o000)).unwrap();
    // Nothing is forbidden to root.
    let expected = if fs::File::open(site.scratch.path("a")).is_ok() { 200 } else { 403 };
    assert_eq!(site.get("/a", &[]).await.status, expected);
}

#[test]
fn mistakes_are_found_before_a_request_comes() {
    let scratch = Scratch::new();
    scratch.file("file", b"");
    for (statement, code) in [
        ("file_server", Code::E0022),
        ("file_server ROOT x", Code::E0023),
        ("file_server \"\"", Code::E0020),
        ("file_server ROOT { brows on }", Code::E0011),
        ("file_server ROOT { browse }", Code::E0022),
        ("file_server ROOT { browse true }", Code::E0020),
        ("file_server ROOT { index a/b }", Code::E0020),
        ("file_server ROOT { try_files {path} =404 }", Code::E0020),
        ("file_server ROOT { try_files {pth} }", Code::E0012),
        ("file_server ROOT { precompressed gzip br gzip }", Code::E0024),
        ("file_server ROOT { precompressed brotli }", Code::E0020),
        ("file_server ROOT { hide ../x }", Code::E0020),
        ("file_server ROOT { hide .git }", Code::W0009),
        ("file_server ROOT { expires 7 }", Code::E0020),
        ("file_server ROOT { expires 7d forever }", Code::E0023),
        ("file_server ROOT/{path}", Code::E0029),
        ("file_server ROOT/nothing", Code::E0053),
        ("file_server ROOT/file", Code::E0053),
    ] {
        let (program, findings) = build(&scratch, statement);
        let codes: Vec<Code> = findings.iter().map(|mistake| mistake.code).collect();
        assert_eq!(codes, [code], "{statement}");
        assert!(findings[0].help.is_some(), "{statement}");
        assert_eq!(program.is_some(), code == Code::W0009, "{statement}");
    }
    assert_eq!(build(&scratch, "file_server ROOT { hidden on; hide .git }").1, []);
    for example in super::ROOM.examples {
        let (_, findings) = build(&scratch, &example.replacen(example.split(' ').nth(1).unwrap(), "ROOT", 1));
        assert_eq!(findings, [], "{example}");
    }
}
