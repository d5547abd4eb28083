//! Requirements F and threats XP08, XC06: the files of a folder, and nothing else, to clients that look at every byte.

use std::fs::File;
use std::os::unix::fs::symlink;

use crate::harness::{Ask, Folder, Framing, Origin, Protocol, Proxy, Speaker, Stream, command, each, eventually};

/// A site over a folder; `{$ROOT}` in the statements is the folder.
fn serving(over: Protocol, root: &Folder, statements: &str) -> Proxy {
    over.of(&format!(":0 {{\n bind 127.0.0.1\n {statements}\n}}"))
        .with("ROOT", root.path().join("www").display())
        .start()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn f01_files_of_every_size_arrive_whole() {
    each(|over| {
        let root = Folder::new();
        // Around the sizes where the way of sending changes: nothing, one piece, kept in memory, several pieces.
        let sizes = [0, 1, 1_024, 65_536, 131_072, 131_073, 3 << 20];
        for size in sizes {
            root.write(&format!("www/{size}"), pattern(size));
        }
        let proxy = serving(over, &root, "file_server {$ROOT}");
        let mut speaker = proxy.speaker();
        for size in sizes {
            for _ in 0..2 {
                let got = speaker.get(&format!("/{size}"));
                // Where a stream ends with its head, there is no need to say so.
                let framing = if size == 0 && !over.is_http1() { Framing::Stream } else { Framing::Length(size) };
                assert_eq!((got.status(), &got.framing), (200, &framing));
                assert!(got.body == pattern(size), "{size} bytes came changed");
            }
        }
    });
}

#[test]
fn f01_one_connection_takes_every_kind_of_answer() {
    each(|over| {
        let root = Folder::new();
        root.write("www/a.txt", pattern(1_000));
        root.write("www/big", pattern(200_000));
        let proxy = serving(over, &root, "file_server {$ROOT}");
        let mut speaker = proxy.speaker();
        let mut ask = |method: &str, target: &str, fields: &str| speaker.ask(Ask::of(method, target).fields(fields));
        let head = ask("HEAD", "/big", "");
        assert_eq!((head.status(), head.field("content-length")), (200, Some("200000")));
        let etag = format!("If-None-Match: {}\r\n", head.field("etag").unwrap());
        assert_eq!(ask("GET", "/big", &etag).status(), 304);
        assert_eq!(ask("HEAD", "/big", &etag).status(), 304);
        let part = ask("GET", "/big", "Range: bytes=150000-150009\r\n");
        assert_eq!((part.status(), part.field("content-range")), (206, Some("bytes 150000-150009/200000")));
        assert_eq!(part.body, &pattern(200_000)[150_000..150_010]);
        assert_eq!(ask("GET", "/a.txt", "Range: bytes=1000-\r\n").field("content-range"), Some("bytes */1000"));
        let several = ask("GET", "/big", "Range: bytes=0-9,100000-100009\r\n");
        assert_eq!(several.status(), 206);
        assert!(several.field("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
        let post = ask("POST", "/a.txt", "Content-Length: 0\r\n");
        assert_eq!((post.status(), post.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
        assert_eq!(proxy.logged_for(&post)["error"], "method_not_allowed");
        assert_eq!(ask("OPTIONS", "/a.txt", "").status(), 204);
        assert_eq!(ask("GET", "/a.txt", "").body, pattern(1_000));
    });
}

#[test]
fn xc06_ranges_that_ask_for_too_much_get_no_more_than_the_file() {
    each(|over| {
        let root = Folder::new();
        root.write("www/f", pattern(100));
        let proxy = serving(over, &root, "file_server {$ROOT}");
        let mut speaker = proxy.speaker();
        let many: Vec<String> = (0..500).map(|_| "0-".to_owned()).collect();
        for (range, status, length) in [
            ("0-18446744073709551615".to_owned(), 206, 100),
            ("-18446744073709551616".to_owned(), 206, 100),
            ("18446744073709551615-".to_owned(), 416, 0),
            ("0-99,0-99,0-99".to_owned(), 206, 100),
            (many.join(","), 200, 100),
            ("50-40".to_owned(), 200, 100),
        ] {
            let got = speaker.ask(Ask::get("/f").field("Range", &format!("bytes={range}")));
            assert_eq!((got.status(), got.body.len()), (status, length), "{range:.40}");
        }
    });
}

#[test]
fn f04_xp08_no_spelling_leads_out_of_the_folder_or_to_what_is_hidden() {
    each(|over| {
        let root = Folder::new();
        root.write("secret", "SECRET");
        root.write("www/index.html", "index");
        root.write("www/.env", "SECRET");
        root.write("www/.git/config", "SECRET");
        root.write("www/d/a", "a");
        root.write("www-other/x", "SECRET");
        symlink("../secret", root.path().join("www/link")).unwrap();
        symlink(root.path(), root.path().join("www/d/up")).unwrap();
        let proxy = serving(over, &root, "file_server {$ROOT} { browse on; index off }");
        for target in [
            "/../secret",
            "/d/../../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/..%5csecret",
            "/%2e%2e%2fsecret",
            "/..%252fsecret",
            "/%c0%ae%c0%ae/secret",
            "/.%00./secret",
            "/d/..;/..;/secret",
            "/....//secret",
            "//../secret",
            "/d/%2e%2e/%2e%2e/secret",
            "/link",
            "/link/",
            "/d/up/secret",
            "/d/up/",
            "/.env",
            "/%2eenv",
            "/./.env",
            "/.git/config",
            "/.git",
            "/.git/",
            "/d/../.env",
            "/.ENV",
            "/../www-other/x",
            "/-other/x",
            "/.env%20",
            "/.env/",
            "/\\..\\secret",
        ] {
            let got = proxy.get(target);
            assert!(matches!(got.status(), 400 | 404), "{target}: {}", got.start);
            assert!(!got.text().contains("SECRET"), "{target}");
        }
        let links = |target: &str| {
            let page = proxy.get(target);
            page.text()
                .split("href=\"./")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        // The first is the trail's link to the folder itself.
        assert_eq!(links("/"), ["", "d/", "index.html"]);
        assert_eq!(links("/d/"), ["", "a"]);
    });
}

#[test]
fn f02_what_is_no_file_goes_to_the_application() {
    each(|over| {
        let root = Folder::new();
        root.write("www/app.js", "script");
        let origin = Origin::saying("application");
        let site = "route file {$ROOT} { file_server {$ROOT} }\n reverse_proxy {$ORIGIN}";
        let proxy = over
            .of(&format!(":0 {{\n bind 127.0.0.1\n {site}\n}}"))
            .with("ROOT", root.path().join("www").display())
            .with("ORIGIN", &origin)
            .start();
        assert_eq!(proxy.get("/app.js").text(), "script");
        assert_eq!(proxy.get("/").text(), "application");
        assert_eq!(proxy.get("/app.css").text(), "application");
    });
}

#[test]
fn f02_an_application_in_the_browser_gets_its_page_for_every_route() {
    each(|over| {
        let root = Folder::new();
        root.write("www/index.html", "page");
        root.write("www/app.js", "script");
        root.write("www/errors/404.html", "not here");
        let proxy = serving(
            over,
            &root,
            "route /app/* { file_server {$ROOT} { try_files /index.html } }\n file_server {$ROOT}\n handle_errors 404 { file_server {$ROOT} { try_files /errors/404.html } }",
        );
        assert_eq!(proxy.get("/app/deep/route?x=1").text(), "page");
        assert_eq!(proxy.get("/app.js").text(), "script");
        let missing = proxy.get("/nothing");
        assert_eq!((missing.status(), missing.text()), (404, "not here"));
        assert_eq!(proxy.logged_for(&missing)["error"], "file_not_found");
    });
}

#[test]
fn f03_files_may_be_kept_as_long_as_the_site_says() {
    each(|over| {
        let root = Folder::new();
        root.write("www/a.css", "a");
        let proxy = serving(over, &root, "file_server {$ROOT} { expires 7d immutable }");
        assert_eq!(proxy.get("/a.css").field("cache-control"), Some("public, max-age=604800, immutable"));
        assert_eq!(proxy.get("/b.css").field("cache-control"), Some("no-store"));
    });
}

#[test]
fn f05_a_folder_under_another_name_is_linked_by_that_name() {
    each(|over| {
        let root = Folder::new();
        root.write("www/img/a.png", "a");
        root.write("www/docs/index.html", "docs");
        let proxy = serving(
            over,
            &root,
            "route /static/* { strip_prefix /static; file_server {$ROOT} { browse on } }\n file_server {$ROOT}/img",
        );
        assert_eq!(proxy.get("/static/img/a.png").text(), "a");
        assert_eq!(proxy.get("/a.png").text(), "a");
        let redirect = proxy.get("/static/docs?x=1");
        assert_eq!((redirect.status(), redirect.field("location")), (308, Some("/static/docs/?x=1")));
        assert_eq!(proxy.get("/static/docs/").text(), "docs");
        assert!(proxy.get("/static/").text().contains("<title>/static/</title>"));
        // XP08: the way out of a stripped prefix, as it was open in other servers.
        assert_eq!(proxy.get("/static../secret").status(), 404);
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_broken_off() {
    each(|over| {
        let root = Folder::new();
        let path = root.write("www/big", "");
        // More than all buffers between the two hold.
        File::options().write(true).open(&path).unwrap().set_len(256 << 20).unwrap();
        let proxy = serving(over, &root, "file_server {$ROOT}");
        let mut speaker = proxy.speaker();
        let mut stream = speaker.send(Ask::get("/big")).unwrap();
        let head = stream.head().unwrap();
        assert_eq!(head.field("content-length"), Some("268435456"));
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let outcome = stream.rest(head).map(|whole| whole.body.len());
        assert!(outcome.is_err(), "it must not look whole: {outcome:?}");
        let line = proxy.logged_where("of the file", |line| line["uri"] == "/big");
        assert_eq!(line["error"], "file_unreadable");
    });
}

#[test]
fn clients_that_leave_take_their_files_with_them() {
    each(|over| {
        let root = Folder::new();
        let path = root.write("www/big", "");
        File::options().write(true).open(&path).unwrap().set_len(256 << 20).unwrap();
        let proxy = serving(over, &root, "file_server {$ROOT}");
        let open = || {
            let descriptors = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
            descriptors
                .filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|to| to == path))
                .count()
        };
        let mut speakers: Vec<Speaker> = (0..20).map(|_| proxy.speaker()).collect();
        let begin = |speaker| {
            let mut stream = Speaker::send(speaker, Ask::get("/big")).unwrap();
            stream.head().unwrap();
            stream
        };
        let streams: Vec<Stream> = speakers.iter_mut().map(begin).collect();
        assert_eq!(open(), 20);
        drop(streams);
        speakers.into_iter().for_each(Speaker::leave);
        eventually("the end of all sending", || (open() == 0).then_some(()));
    });
}

#[test]
fn a_folder_that_is_not_there_is_found_before_the_start() {
    let folder = Folder::new();
    folder.write("Proxyfile", ":0 {\n    file_server /no/such/folder\n}\n");
    let ended = command(&folder).arg("run").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("E0053") && said.contains("Proxyfile:2:17"), "{said}");
    assert!(said.contains("there is no folder `/no/such/folder`"), "{said}");
}
