//! Threats XP: a rule that is stepped around by another spelling.

use crate::harness::{Client, Folder, Origin, Proxy, command, free_port, get, of};

/// What a server makes of a path that it was sent.
type Reading = fn(&str) -> String;

/// Decodes percent escapes, once.
fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn resolve(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn merge(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Segments without what stands behind a semicolon.
fn cut(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
}

fn plain(path: &str) -> String {
    resolve(&merge(&path.replace('\\', "/")))
}

/// Servers, each with liberties that some take.
const READINGS: [(&str, Reading); 11] = [
    ("as it is", str::to_owned),
    ("dots resolved", resolve),
    ("slashes merged", |path| resolve(&merge(path))),
    // An escaped slash is part of its segment.
    ("segments decoded", |path| {
        path.split('/').map(|segment| decode(segment).replace('/', "\u{1}")).collect::<Vec<_>>().join("/")
    }),
    ("decoded, then cut into segments", |path| plain(&decode(path))),
    ("decoded twice", |path| plain(&decode(&decode(path)))),
    ("case folded", |path| plain(&decode(path)).to_lowercase()),
    ("without parameters", |path| plain(&decode(&cut(path)))),
    ("without parameters, resolved at once", |path| plain(&decode(&plain(&cut(path))))),
    ("decoded, and looked at again where it ends", |path| {
        plain(&decode(path)).split(['?', '#']).next().map(plain).unwrap()
    }),
    ("all of it", |path| plain(&cut(&decode(&decode(&cut(path))))).to_lowercase()),
];

/// Whether the guarded area is meant.
fn is_guarded(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

#[test]
fn xp01_no_spelling_of_a_guarded_path_reaches_a_server_as_it() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::site("route /admin/* { respond 403 }\n reverse_proxy {$ORIGIN}", &origin);
    let guarded = [
        "/admin",
        "/admin/",
        "/admin/x",
        "/%61dmin",
        "/%61%64%6d%69%6E",
        "//admin",
        "///admin//x",
        "/./admin",
        "/x/../admin",
        "/x/y/../../admin",
        "/%2e%2e/admin",
        "/%2E/admin",
        "/.%2e/admin",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin/y",
        "/../admin",
        "/../../admin",
        "/admin/.",
        "/admin/x/..",
        "/admin?",
        "/admin?x=/public",
        "/x/..//admin",
        "/x//../admin",
    ];
    for spelling in guarded {
        assert_eq!(proxy.get(spelling).status(), 403, "{spelling}");
    }
    let refused = [
        "/admin%00",
        "/admin%00/x",
        "\\admin",
        "/\\admin",
        "/x\\..\\admin",
        "/admin#",
        "/admin#x",
        "/%",
        "/%6",
        "/%zz",
        "/admin%",
        "admin",
        "/admin\u{1}",
        "/%u0061dmin",
    ];
    for spelling in refused {
        assert_eq!(proxy.get(spelling).status(), 400, "{spelling}");
    }
    assert_eq!(origin.connections(), 0);
}

/// Each of these either meets the rule or is something else to every server.
const ODD: [&str; 31] = [
    "/admin;x",
    "/admin;x=1/y",
    "/admin%3bx",
    "/x/..;/admin",
    "/x/..;a=b/admin",
    "/admin%2F",
    "/admin%2f..%2f",
    "/x%2F..%2Fadmin",
    "/x%2f%2e%2e%2fadmin",
    "/%2fadmin",
    "/%5cadmin",
    "/x%5c..%5cadmin",
    "/ADMIN",
    "/Admin/x",
    "/ADMIN;x",
    "/%41DMIN",
    "/%2561dmin",
    "/%252e%252e/admin",
    "/x%252F..%252Fadmin",
    "/%252fadmin",
    "/%25%2F..%2Fadmin",
    "/admin%09",
    "/admin%20",
    "/adm%c0%af",
    "/%c0%ae%c0%ae/admin2",
    "/x%2F..;%2Fz/admin",
    "/admin%3Fx",
    "/admin%23/x",
    "/ADMIN%3F",
    "/x/..%3b/admin%3f.css",
    "/administrator",
];

#[test]
fn xp01_what_servers_read_in_their_own_way_meets_the_rule_or_is_no_guarded_path() {
    let origin = Origin::saying("reached");
    let rules = [
        "route /admin/* { respond 403 }",
        "when /admin/* { respond 403 }",
        "route /admin/* { basic_auth { user ann $2y$04$abcdefghijklmnopqrstuuQ1r0kL5Vw0k9Gd5cBqTqjTBwvqJp0bW }; reverse_proxy {$ORIGIN} }",
        "route not /public/* and not /x/* and not /adm%C0%AF and not /administrator { respond 403 }",
        // Written in another case than it is asked for.
        "route /Admin/* { respond 403 }",
    ];
    for rule in rules {
        let proxy = Proxy::site(&format!("{rule}\n reverse_proxy {{$ORIGIN}}"), &origin);
        for spelling in ODD.iter().chain(&["/admin", "/admin/x"]) {
            let before = origin.requests().len();
            let status = proxy.get(spelling).status();
            let Some(request) = origin.requests().get(before).cloned() else {
                assert!(matches!(status, 400 | 401 | 403), "{rule}: {spelling}: {status}");
                continue;
            };
            for (how, reading) in READINGS {
                let read = reading(request.target());
                assert!(!is_guarded(&read), "{rule}: {spelling} is read as {read:?} ({how})");
            }
        }
    }
}

/// A site, what of it is for everybody, and spellings of what is not.
type Bypass = (&'static str, fn(&str) -> bool, &'static [&'static str]);

const AUTH: &str = "basic_auth { user ann $2y$04$abcdefghijklmnopqrstuuQ1r0kL5Vw0k9Gd5cBqTqjTBwvqJp0bW }";

#[test]
fn xp01_nothing_leads_past_a_rule_that_stands_below() {
    let origin = Origin::saying("reached");
    let all: &[Bypass] = &[
        (
            "route /api/auth/* { reverse_proxy {$ORIGIN} }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path.starts_with("/api/auth"),
            &["/api/auth/..;/users", "/api/auth/..;x=1/users", "/api/auth/%2e%2e;/users", "/api/auth/..%3b/users"],
        ),
        (
            "when /api/auth/* { reverse_proxy {$ORIGIN} }\n require { methods GET }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path.starts_with("/api/auth"),
            &["/api/auth/..;/users", "/api/auth/x;/..%2f..;/..;/users"],
        ),
        // Parameters alone do it where a rule looks at how a path ends, or at what it is not.
        (
            "route /*-open { reverse_proxy {$ORIGIN} }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path.ends_with("-open"),
            &["/admin;-open", "/admin%3b-open", "/a;/..;/admin;-open"],
        ),
        (
            "route not /admin { reverse_proxy {$ORIGIN} }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path != "/admin",
            &["/admin;x", "/x/..;/admin"],
        ),
        (
            "when /admin { header request set X-Area admin } else { reverse_proxy {$ORIGIN} }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path != "/admin",
            &["/admin;x", "/x/..;/admin"],
        ),
        // What no route takes is for nobody.
        (
            "route /public/* { reverse_proxy {$ORIGIN} }\n route {path} $= -open { reverse_proxy {$ORIGIN} }",
            |path| path.starts_with("/public") || path.ends_with("-open"),
            &["/public/..;/users", "/users;-open"],
        ),
        // In a block of its own, and behind the block that it is in.
        (
            "route /v1/* { route /v1/open/* { reverse_proxy {$ORIGIN} }\n {AUTH}\n reverse_proxy {$ORIGIN} }\n respond 404",
            |path| path.starts_with("/v1/open"),
            &["/v1/open/..;/users"],
        ),
        (
            "when header Host { when /open/*-open { reverse_proxy {$ORIGIN} } }\n {AUTH}\n reverse_proxy {$ORIGIN}",
            |path| path.starts_with("/open") && path.ends_with("-open"),
            &["/open/..;/users", "/open/users;-open", "/open/..;/users/a-open"],
        ),
        // Comparisons are asked, too.
        (
            "route {path} ~ \"^/admin\" { respond 403 }\n reverse_proxy {$ORIGIN}",
            |path| !path.starts_with("/admin"),
            &["/x/..;/admin", "/x%2f..;%2fz/admin"],
        ),
        (
            "route {uri} ^= /admin { respond 403 }\n reverse_proxy {$ORIGIN}",
            |path| !path.starts_with("/admin"),
            &["/x/..;/admin"],
        ),
        (
            "route {path} ~ \"^/admin$\" { respond 403 }\n reverse_proxy {$ORIGIN}",
            |path| path != "/admin",
            &["/admin;x", "/admin%3Fx", "/admin%23"],
        ),
        // A rule that keeps nobody out may lead another way all the same.
        (
            "route /open/* { reverse_proxy {$ORIGIN} }\n header request set X-Internal 1\n reverse_proxy {$ORIGIN}",
            |path| path.starts_with("/open"),
            &["/open/..;/users"],
        ),
    ];
    for (site, is_public, spellings) in all {
        let proxy = Proxy::site(&site.replace("{AUTH}", AUTH), &origin);
        for spelling in *spellings {
            let before = origin.requests().len();
            let status = proxy.get(spelling).status();
            let Some(request) = origin.requests().get(before).cloned() else {
                assert!(matches!(status, 400 | 401 | 403 | 404), "{site}: {spelling}: {status}");
                continue;
            };
            for (how, reading) in READINGS {
                let read = reading(request.target());
                assert!(is_public(&read), "{site}: {spelling} is read as {read:?} ({how})");
            }
        }
    }
}

#[test]
fn xp01_parameters_that_lead_past_nothing_are_passed_on() {
    let origin = Origin::new(|request, wire| wire.ok(request.target()));
    let site = format!(
        "route /login {{ reverse_proxy {{$ORIGIN}} }}\n route /api/* {{ reverse_proxy {{$ORIGIN}} }}\n \
         route /tags/:tag/posts {{ reverse_proxy {{$ORIGIN}} }}\n route /admin/* {{ {AUTH}\n reverse_proxy {{$ORIGIN}} }}\n \
         when /*.css {{ header set Cache-Control max-age=60 }}\n reverse_proxy {{$ORIGIN}}"
    );
    let proxy = Proxy::site(&site, &origin);
    for target in [
        // The first page that Tomcat sends has these in its links.
        "/login;jsessionid=0A1B",
        "/app.css;jsessionid=0A1B",
        "/;jsessionid=0A1B",
        "/api/Cars;color=red/parts;v=1",
        "/heroes;id=15;name=x",
        "/tags/C%23/posts",
        "/tags/why%3F/posts",
        "/wiki/C%23",
        "/LOGIN",
    ] {
        assert_eq!(proxy.get(target).text(), target, "{target}");
    }
}

#[test]
fn xp01_a_path_that_all_rules_take_alike_is_passed_on_as_it_is() {
    let origin = Origin::new(|request, wire| wire.ok(request.target()));
    let proxy = Proxy::site(
        "route /admin/* { respond 403 }\n route /projects/* { reverse_proxy {$ORIGIN} }\n \
         route /one/:id { reverse_proxy {$ORIGIN} }\n \
         route /data/* { ambiguous_paths allow; route /data/:id { reverse_proxy {$ORIGIN} } }\n reverse_proxy {$ORIGIN}",
        &origin,
    );
    for target in [
        "/projects/group%2Fname/issues",
        "/projects/a;v=1",
        "/projects/A%5Cb%25c",
        "/Files/A%2FB",
        "/%7Eann/x;y",
        "/data/group%2Fname",
    ] {
        let sent = target.replace("%7E", "~");
        assert_eq!(proxy.get(target).text(), sent, "{target}");
    }
    // Case and parameters are of interest to rules that keep somebody out, and to no others.
    assert_eq!(proxy.get("/ONE/7").text(), "/ONE/7");
    assert_eq!(proxy.get("/one;x/7").text(), "/one;x/7");
    // A server that decodes it would be asked for `/one/group/name`, which the rule does not take.
    assert_eq!(proxy.get("/one/group%2Fname").status(), 400);
    assert_eq!(proxy.get("/data%2F..%2Fadmin").status(), 400);
}

#[test]
fn xp01_what_is_matched_is_what_is_sent() {
    let origin = Origin::new(|request, wire| wire.ok(request.target()));
    let proxy = Proxy::to(&origin);
    for (asked, sent) in [
        ("/a/./b/../c", "/a/c"),
        ("//a///b", "/a/b"),
        ("/%41%2e%2E/x", "/A../x"),
        ("/a%2fb%5cc", "/a%2Fb%5Cc"),
        ("/a/..", "/"),
        ("/a/../../..", "/"),
        ("/a%3fb?c%2f../d", "/a%3Fb?c%2f../d"),
    ] {
        assert_eq!(proxy.get(asked).text(), sent, "{asked}");
    }
}

#[test]
fn xp04_no_spelling_of_a_host_leads_past_its_site() {
    let origin = Origin::saying("reached");
    let proxy = Proxy::site("route host secret.example { respond 403 }\n reverse_proxy {$ORIGIN}", &origin);
    for host in [
        "secret.example",
        "SECRET.example",
        "sEcReT.eXaMpLe",
        "secret.example.",
        "secret.example:80",
        "SECRET.EXAMPLE.:8080",
    ] {
        assert_eq!(get(proxy.address(), host, "/").status(), 403, "{host}");
    }
    for host in [
        "secret.example,other",
        "other:80@secret.example",
        "secret%2eexample",
        "secret.example:",
        "secret.example/",
        "secret.example..",
        "[::1",
        "secret.example\u{7f}",
        &"a.".repeat(130),
    ] {
        let status = get(proxy.address(), host, "/").status();
        assert!(matches!(status, 400 | 403), "{host:?}: {status}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn xp04_many_sites_are_told_apart_in_any_case() {
    let port = free_port();
    let sites: String = (0..150)
        .map(|at| format!("http://Site-{at}.Example:{port} {{\n bind 127.0.0.1\n respond \"{at}\"\n}}\n"))
        .collect();
    let proxy = of(&sites).start();
    for at in [0, 7, 99, 100, 149] {
        for host in [format!("SITE-{at}.EXAMPLE"), format!("site-{at}.example."), format!("site-{at}.example:{port}")] {
            assert_eq!(get(proxy.address(), &host, "/").text(), at.to_string(), "{host}");
        }
    }
    assert_eq!(get(proxy.address(), "site-150.example", "/").status(), 421);
}

#[test]
fn xp05_a_method_is_what_it_says_and_nothing_else() {
    let proxy = Proxy::site(
        "route method GET { respond get }\n route method DELETE { respond delete }\n respond other",
        Origin::nobody(),
    );
    let ask = |method: &str, fields: &str| {
        let mut client = proxy.client();
        client.send(format!("{method} /?_method=DELETE HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).response()
    };
    assert_eq!(ask("GET", "").text(), "get");
    for method in ["get", "Get", "GETX", "G"] {
        assert_eq!(ask(method, "").text(), "other", "{method}");
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"] {
        assert_eq!(ask("GET", &format!("{name}: DELETE\r\n")).text(), "get", "{name}");
    }
}

#[test]
fn xp06_the_exact_host_decides_wherever_it_stands() {
    let port = free_port();
    let site = |host: &str, text: &str| format!("http://{host}:{port} {{\n bind 127.0.0.1\n respond {text}\n}}\n");
    let all =
        [site("*.example.com", "wildcard"), site("api.example.com", "exact"), site("*.api.example.com", "deeper")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let proxy = of(&order.map(|at| all[at].clone()).concat()).start();
        for (host, text) in [
            ("api.example.com", "exact"),
            ("API.example.com.", "exact"),
            ("x.example.com", "wildcard"),
            ("x.api.example.com", "deeper"),
        ] {
            assert_eq!(get(proxy.address(), host, "/").text(), text, "{host}");
        }
        for host in ["example.com", "x.y.example.com", "evilexample.com", "api.example.com.evil"] {
            assert_eq!(get(proxy.address(), host, "/").status(), 421, "{host}");
        }
    }
}

#[test]
fn xp07_no_redirect_leads_to_a_stranger() {
    let files = Folder::new();
    files.write("evil.example/inner/x", "x");
    let proxy = of(&format!(
        ":0 {{\n bind 127.0.0.1\n route /r/* {{ strip_prefix /r; redirect {{path}} }}\n \
         route /u/* {{ strip_prefix /u; redirect {{uri}} }}\n route /q {{ redirect {{query.to}} }}\n file_server {}\n}}",
        files.path().display()
    ))
    .start();
    for target in [
        "/r//evil.example/x",
        "/r/%2F/evil.example",
        "/r/%5cevil.example",
        "/r/.//evil.example",
        "/r/%2e%2f/evil.example",
        "/u//evil.example/x",
        "/u///evil.example",
        "/u/..//evil.example",
        "//evil.example/inner",
        "//evil.example",
        "/evil.example/inner",
        "/q?to=//evil.example",
        "/q?to=/%5cevil.example",
        "/q?to=/%09/evil.example",
        "/q?to=%5c%5cevil.example",
    ] {
        let response = proxy.get(target);
        let Some(location) = response.field("location") else { continue };
        let rest = location.strip_prefix('/').unwrap_or_else(|| panic!("{target} leads to {location}"));
        assert!(!rest.starts_with(['/', '\\', '\t', '\r', '\n']), "{target} leads to {location}");
    }
}

#[test]
fn xp09_a_client_does_not_choose_the_server() {
    let (chosen, other) = (Origin::saying("chosen"), Origin::saying("other"));
    let proxy = Proxy::to(&chosen);
    let host = other.address.to_string();
    let mut client: Client = proxy.client();
    client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.response().text(), "chosen");
    for field in ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Forwarded-Server", "X-Original-URL", "X-Rewrite-URL"] {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{field}: http://{host}/\r\n\r\n"));
        assert_eq!(client.response().text(), "chosen", "{field}");
    }
    assert_eq!(other.connections(), 0);
    // Nor can a configuration let it.
    for server in ["{query.to}", "{host}", "http://{header.X-To}:80", "{path}"] {
        let folder = Folder::new();
        let config = folder.write("Proxyfile", format!(":8080 {{\n    reverse_proxy {server}\n}}\n"));
        let output = command(&folder).arg("validate").arg(config).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{server}: {output:?}");
    }
}
