//! A configuration of two hundred lines with five mistakes: one look at it finds them all, and mended it runs as written.

use std::process::Output;

use serde_json::Value;

use crate::harness::{
    Ask, Authority, Folder, Identity, Message, Origin, Protocol, Proxy, SECURE, Speaker, command, each_of, free_port,
    get, of,
};

const MENDED: [(&str, &str); 2] = [
    ("Proxyfile", include_str!("shop/mended/Proxyfile")),
    ("sites/office.proxyfile", include_str!("shop/mended/sites/office.proxyfile")),
];
const MISTAKEN: [(&str, &str); 2] = [
    ("Proxyfile", include_str!("shop/mistaken/Proxyfile")),
    ("sites/office.proxyfile", include_str!("shop/mistaken/sites/office.proxyfile")),
];

/// Each mistake: its code, its place, and what its help offers to be pasted.
const FOUND: [(&str, &str, &str); 5] = [
    ("E0020", "Proxyfile:43:24", "`300s`"),
    ("E0003", "Proxyfile:118:44", "`\"public, max-age=60\"`"),
    ("E0010", "Proxyfile:154:9", "strip_prefix /PATH"),
    ("E0014", "Proxyfile:168:23", "reverse_proxy search"),
    ("E0040", "sites/office.proxyfile:18:1", "office.shop.example { … }"),
];

/// The files of the shop, its certificate beside them.
struct Shop {
    folder: Folder,
    authority: Authority,
}

impl Shop {
    fn of(files: &[(&str, &str)]) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder.write("files/assets/app.css", "body {}");
        folder.write("files/downloads/manual.pdf", "a manual");
        folder.write("files/downloads/next.pdf.part", "half a manual");
        let identity: Identity = authority.issue(&["shop.example", "*.shop.example"]);
        let chain = identity.certificate.clone() + &authority.pem();
        Identity { certificate: chain, key: identity.key }.save(&folder, "shop");
        Self { folder, authority }
    }

    fn variables(&self) -> [(&'static str, String); 3] {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        [("CERTIFICATE", path("shop.pem")), ("KEY", path("shop.key")), ("FILES", path("files"))]
    }

    /// `rp` in the folder of the shop.
    fn rp(&self, arguments: &[&str]) -> Output {
        command(&self.folder).args(arguments).envs(self.variables()).output().unwrap()
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let shop = Shop::of(&MISTAKEN);
    let output = shop.rp(&["validate", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let places: Vec<(String, String)> = found
        .iter()
        .map(|finding| {
            let (file, start) = (finding["file"].as_str().unwrap(), &finding["start"]);
            let place = format!("{file}:{}:{}", start["line"], start["column"]);
            (finding["code"].as_str().unwrap().to_owned(), place)
        })
        .collect();
    let expected: Vec<(String, String)> =
        FOUND.iter().map(|(code, place, _)| ((*code).to_owned(), (*place).to_owned())).collect();
    assert_eq!(places, expected);
    for (finding, (code, _, paste)) in found.iter().zip(FOUND) {
        let help = finding["help"].as_str().unwrap();
        assert!(help.contains(paste), "{code}: {help}");
    }
}

#[test]
fn all_mistakes_are_shown_to_people() {
    let shop = Shop::of(&MISTAKEN);
    let output = shop.rp(&["validate"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let said = String::from_utf8(output.stderr).unwrap();
    let mut rest = said.as_str();
    for (code, place, paste) in FOUND {
        for piece in [&*format!("error {code}\n"), &*format!("╭─[{place}]\n"), "help: ", paste] {
            let at = rest.find(piece).unwrap_or_else(|| panic!("no {piece:?} of {code} in its order:\n{said}"));
            rest = &rest[at..];
        }
    }
    assert!(said.ends_with("\n5 errors\n"), "{said}");
    let run = shop.rp(&["run"]);
    assert_eq!(run.status.code(), Some(1), "it is not served, either");
    let fmt = shop.rp(&["fmt"]);
    assert_eq!(fmt.status.code(), Some(1), "what does not parse is left as it is");
    assert_eq!(std::fs::read_to_string(shop.folder.path().join("Proxyfile")).unwrap(), MISTAKEN[0].1);
}

/// The two differ in the five places that were mended, and in no other.
#[test]
fn mending_is_five_lines() {
    let mut lines = Vec::new();
    for ((name, mended), (_, mistaken)) in MENDED.iter().zip(MISTAKEN) {
        assert_eq!(mended.lines().count(), mistaken.lines().count());
        let pairs = mended.lines().zip(mistaken.lines()).enumerate();
        lines.extend(pairs.filter(|(_, (one, other))| one != other).map(|(at, _)| format!("{name}:{}:", at + 1)));
    }
    assert_eq!(lines.len(), FOUND.len(), "{lines:?}");
    for (line, (_, place, _)) in lines.iter().zip(FOUND) {
        assert!(place.starts_with(line), "{line} was mended, and {place} was found");
    }
    assert!(MENDED[0].1.lines().count() >= 200);
}

#[test]
fn what_was_mended_is_clean() {
    let shop = Shop::of(&MENDED);
    let output = shop.rp(&["validate", "--deny", "warnings", "--format", "json"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"[]\n"[..]));
    let output = shop.rp(&["validate"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Proxyfile is valid\n");
    let output = shop.rp(&["fmt", "--check", "Proxyfile", "sites/office.proxyfile"]);
    assert!(output.status.success(), "{output:?}");
}

/// The shop as it runs.
struct Running {
    over: Protocol,
    shop: Shop,
    proxy: Proxy,
    http: u16,
    https: u16,
    pages: [Origin; 2],
    search: Origin,
    accounts: Origin,
}

impl Running {
    fn start(over: Protocol) -> Self {
        let shop = Shop::of(&MENDED);
        let (http, https) = (free_port(), free_port());
        let pages = ["pages", "pages"].map(Origin::saying);
        let [search, accounts] = ["search", "accounts"].map(Origin::saying);
        let mut setup = of(MENDED[0].1).doors(2);
        for (name, text) in &MENDED[1..] {
            setup = setup.file(name, text);
        }
        for (name, value) in shop.variables() {
            setup = setup.with(name, value);
        }
        let proxy = setup
            .with("HTTP_PORT", http)
            .with("HTTPS_PORT", https)
            .with("SHOP", &pages[0])
            .with("SHOP_SECOND", &pages[1])
            .with("SEARCH", &search)
            .with("ACCOUNTS", &accounts)
            .start();
        Self { over, shop, proxy, http, https, pages, search, accounts }
    }

    fn speaker(&self, host: &str) -> Speaker {
        let address = ([127, 0, 0, 1], self.https).into();
        Speaker::connect_to(address, self.over, host, &self.shop.authority)
    }

    fn ask(&self, host: &str, ask: Ask) -> Message {
        self.speaker(host).ask(ask.host(host))
    }

    fn get(&self, host: &str, target: &str) -> Message {
        self.ask(host, Ask::get(target))
    }

    fn plain(&self, host: &str, target: &str) -> Message {
        get(([127, 0, 0, 1], self.http).into(), host, target)
    }
}

#[test]
fn what_was_mended_runs_as_written() {
    each_of(&SECURE, |over| runs_as_written(&Running::start(over)));
}

fn runs_as_written(running: &Running) {
    assert_eq!(running.proxy.doors.len(), 2);
    pages(running);
    api(running);

    let style = running.get("static.shop.example", "/assets/app.css");
    assert_eq!((style.status(), style.text()), (200, "body {}"));
    assert_eq!(style.field("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(style.field("access-control-allow-origin"), Some("https://shop.example"));
    let manual = running.get("static.shop.example", "/downloads/manual.pdf");
    assert_eq!((manual.status(), manual.field("content-disposition")), (200, Some("attachment")));
    assert_eq!(running.get("static.shop.example", "/downloads/next.pdf.part").status(), 404);

    let report = running.get("office.shop.example", "/reports/2024?month=5");
    assert_eq!((report.status(), report.text()), (200, "accounts"));
    assert_eq!(running.accounts.requests().last().unwrap().target(), "/2024?month=5");
    assert_eq!(running.get("office.shop.example", "/").text(), "the office\n");
    let old = running.get("old-office.shop.example", "/orders?x=1");
    assert_eq!((old.status(), old.field("location")), (308, Some("https://office.shop.example/orders?x=1")));

    assert_eq!(running.plain("status.shop.example", "/health").text(), "ok\n");
    assert_eq!(running.plain("status.shop.example", "/").status(), 404);
    assert_eq!(running.plain("nobody.shop.example", "/").status(), 421);
}

fn pages(running: &Running) {
    let https = running.https;
    let sent = running.plain("shop.example", "/cart?x=1");
    assert_eq!(
        (sent.status(), sent.field("location")),
        (308, Some(&*format!("https://shop.example:{https}/cart?x=1")))
    );
    let www = running.get("www.shop.example", "/about");
    assert_eq!((www.status(), www.field("location")), (308, Some("https://shop.example/about")));

    let page = running.get("shop.example", "/");
    assert_eq!((page.status(), page.text()), (200, "pages"));
    assert_eq!(page.field("cache-control"), Some("public, max-age=60"), "the string that was not closed");
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    assert!(page.field("content-security-policy").unwrap().ends_with("frame-ancestors 'none'"));
    assert_eq!(running.get("shop.example", "/?preview=on").field("cache-control"), Some("no-store"));
    assert_eq!(running.ask("shop.example", Ask::get("/").field("User-Agent", "BadBot")).status(), 403);

    let renamed = running.get("shop.example", "/catalogue/2023/shoes");
    assert_eq!((renamed.status(), renamed.field("location")), (308, Some("/products/shoes?year=2023")));
    assert_eq!(running.get("shop.example", "/search?q=shoes").text(), "search");
    let cart = running.ask("shop.example", Ask::of("POST", "/cart/add").length(0));
    assert_eq!((cart.status(), cart.text()), (200, "pages"));
    let large = running
        .speaker("shop.example")
        .begin(Ask::of("POST", "/cart/add").host("shop.example").length(70_000))
        .answer()
        .unwrap();
    assert_eq!(large.status(), 413);
    let seen: Vec<Message> = running.pages.iter().flat_map(Origin::requests).collect();
    assert!(seen.len() >= 3 && seen.iter().all(|request| request.field("x-forwarded-proto") == Some("https")));
}

fn api(running: &Running) {
    let account =
        running.ask("api.shop.example", Ask::get("/v1/accounts/42").fields("X-User: root\r\nX-Internal-Id: 1\r\n"));
    assert_eq!((account.status(), account.text()), (200, "accounts"));
    assert!(account.field("content-security-policy").unwrap().ends_with("frame-ancestors 'self'"));
    let seen = running.accounts.requests().pop().unwrap();
    assert_eq!(seen.target(), "/42");
    assert_eq!((seen.field("x-user"), seen.field("x-internal-id")), (None, None));

    assert_eq!(running.get("api.shop.example", "/v1/search?q=x").text(), "search", "the upstream that was misspelt");
    assert_eq!(running.search.requests().last().unwrap().target(), "/query?q=x");
    let login = || running.ask("api.shop.example", Ask::of("POST", "/v1/login").length(0)).status();
    let logins: Vec<u16> = (0..4).map(|_| login()).collect();
    assert_eq!(logins, [200, 200, 200, 429]);
    assert_eq!(running.accounts.requests().last().unwrap().target(), "/login", "the prefix that was not stripped");
    let order = running.get("api.shop.example", "/v1/orders/7");
    assert_eq!((order.text(), order.field("x-order")), ("pages", Some("7")));
    assert_eq!(running.get("api.shop.example", "/v0/anything").status(), 410);
    let nothing = running.get("api.shop.example", "/nothing");
    let said: Value = serde_json::from_slice(&nothing.body).unwrap();
    assert_eq!((nothing.status(), &said["status"]), (404, &404.into()));
}
