//! Threat XP01 against servers in use: what nginx, Apache and Python make of the path that rp sends them is the path
//! that rp matched, or one that all rules take alike.

use std::net::SocketAddr;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::harness::{Folder, Message, Program, Proxy, door, installed, of};

const CASES: u32 = 300;
/// The same paths each time: a failure in CI is the same failure here.
const SEED: [u8; 32] = [0x5e; 32];

/// Places of a site that have rules of their own, as prefixes of whole segments.
const AREAS: [&str; 3] = ["/admin", "/api/v1", "/static"];

struct Server {
    name: &'static str,
    address: SocketAddr,
    _program: Program,
}

impl Server {
    fn all() -> [Self; 3] {
        [Self::start("nginx", nginx), Self::start("Apache", apache), Self::start("Python", python)]
    }

    fn start(name: &'static str, start: fn(SocketAddr) -> Program) -> Self {
        let address = door();
        Self { name, address, _program: start(address) }
    }
}

/// Which area it took the path for, and the path itself: as the two lines of its answer.
fn nginx(door: SocketAddr) -> Program {
    let areas: String = AREAS
        .iter()
        .map(|area| {
            format!("location = {area} {{ return 200 \"{area}\\n$uri\"; }} location {area}/ {{ return 200 \"{area}\\n$uri\"; }}\n")
        })
        .collect();
    let server = format!("server {{ listen {door}; {areas} location / {{ return 200 \"/\\n$uri\"; }} }}");
    Program::nginx(Folder::new(), &[door], &server)
}

/// The same as fields, the path with escapes.
fn apache(door: SocketAddr) -> Program {
    let folder = Folder::new();
    let modules = std::path::Path::new("/usr/lib/apache2/modules");
    let modules: String = ["mpm_event", "authz_core", "headers"]
        .iter()
        .map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()))
        .collect();
    let areas: String = AREAS
        .iter()
        .map(|area| format!("<Location \"{area}\">\nHeader always set X-Area \"{area}\"\n</Location>\n"))
        .collect();
    folder.write("empty/.keep", "");
    let config = folder.write(
        "apache.conf",
        format!(
            "ServerRoot {place}\nServerName localhost\nListen {door}\nPidFile {place}/pid\nErrorLog {place}/log\n{modules}
             DocumentRoot {place}/empty\n<Directory />\nAllowOverride None\nRequire all granted\n</Directory>
             Header always set X-Area /\nHeader always set X-Path \"expr=%{{escape:%{{REQUEST_URI}}}}\"\n{areas}",
            place = folder.path().display()
        ),
    );
    let mut command = Command::new(installed("apache2", "apache2-bin"));
    command.args(["-X", "-f"]).arg(config);
    Program::start(folder, &mut command, &[door])
}

/// As `http.server` finds a file: cut at the query, decoded, dots resolved.
fn python(door: SocketAddr) -> Program {
    const SCRIPT: &str = r##"
import posixpath, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?", 1)[0].split("#", 1)[0]
        slash = "/" if path.rstrip().endswith("/") else ""
        path = posixpath.normpath(urllib.parse.unquote(path, "latin-1"))
        area = next((area for area in sys.argv[2:] if path == area or path.startswith(area + "/")), "/")
        path += "" if path.endswith("/") else slash
        body = (area + "\n" + path).encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"##;
    let folder = Folder::new();
    let script = folder.write("server.py", SCRIPT);
    let mut command = Command::new(installed("python3", "python3"));
    command.arg(script).arg(door.port().to_string()).args(AREAS);
    Program::start(folder, &mut command, &[door])
}

fn proxy(server: &Server, statement: &str) -> Proxy {
    let routes: String = AREAS
        .iter()
        .map(|area| format!("route {area}/* {{ header set X-Route {area}; reverse_proxy {{$ORIGIN}} }}\n"))
        .collect();
    of(&format!(
        "global {{ log off; workers 1 }}
         :0 {{
             bind 127.0.0.1
             header set X-Matched {{path}}
             {statement}
             {routes}
             header set X-Route /
             reverse_proxy {{$ORIGIN}}
         }}"
    ))
    .with("ORIGIN", server.address)
    .start()
}

/// Area and path, decoded.
type Reading = (String, Vec<u8>);

/// What the server understood; `None` where it was not asked, or makes nothing of such a path.
fn understood(answer: &Message) -> Option<Reading> {
    if let Some(path) = answer.field("x-path") {
        return Some((answer.field("x-area")?.to_owned(), decode(path)));
    }
    let at = answer.body.iter().position(|byte| *byte == b'\n').filter(|_| answer.status() == 200)?;
    Some((String::from_utf8(answer.body[..at].to_vec()).unwrap(), answer.body[at + 1..].to_vec()))
}

fn matched(answer: &Message) -> Option<Reading> {
    Some((answer.field("x-route")?.to_owned(), decode(answer.field("x-matched")?)))
}

fn decode(path: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(path).collect()
}

/// Pieces of paths that have led around rules, and some chance.
fn segment() -> impl Strategy<Value = String> {
    let known = "admin|admin|api|v1|static|x|.|..|...||%2e|%2E%2e|.%2e|%61dmin|%41dmin|ADMIN|st%61tic|%2f|..%2f|%2F..%2Fadmin|admin%2f|%5c|..%5c|%5Cadmin|\
                 admin;x|;admin|..;|%3b|%25|%252e%252e|%2561dmin|%20|admin%20|%09|%0a|%0d%0aX:y|%00|admin%00|%7e|~|+|%2b|%3f|%23|%c3%a9|%c0%ae|%e3%80%82|%ff|%|%zz|*|%2a|\
                 :|@|=|&|,|$|!|'|(|)|admin.|admin:80";
    let known: Vec<String> = known.split('|').map(|piece| piece.trim().to_owned()).collect();
    prop_oneof![
        6 => proptest::sample::select(known),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        1 => any::<u8>().prop_map(|byte| format!("admin%{byte:02X}")),
        1 => "[!-~]{1,3}",
    ]
}

fn target() -> impl Strategy<Value = String> {
    let query = prop_oneof![6 => Just(String::new()), 1 => Just("?".to_owned()), 1 => Just("?/../admin".to_owned())];
    (proptest::collection::vec(segment(), 1..6), prop_oneof![4 => Just(""), 1 => Just("/")], query)
        .prop_map(|(segments, slash, query)| format!("/{}{slash}{query}", segments.join("/")))
}

/// Servers may decode once more where one of these is in the path, and rp knows it.
fn is_ambiguous(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default().to_ascii_lowercase();
    ["%2f", "%5c", "%25"].iter().any(|sign| path.contains(sign))
}

#[test]
fn xp01_servers_read_the_path_that_was_matched() {
    let servers = Server::all();
    let proxies: Vec<Proxy> = servers.iter().map(|server| proxy(server, "")).collect();
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let (asked, ambiguous) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    runner
        .run(&target(), |target| {
            for (server, proxy) in servers.iter().zip(&proxies) {
                let answer = proxy.get(&target);
                let (Some(reading), Some(own)) = (understood(&answer), matched(&answer)) else { continue };
                asked.set(asked.get() + 1);
                if is_ambiguous(&target) {
                    ambiguous.set(ambiguous.get() + 1);
                    // It may be spelled otherwise, but no rule would have taken it otherwise.
                    prop_assert_eq!(reading.0, own.0, "{} was asked for {}", server.name, target);
                } else {
                    prop_assert_eq!(reading, own, "{} was asked for {}", server.name, target);
                }
            }
            Ok(())
        })
        .unwrap_or_else(|why| panic!("{why}"));
    assert!(asked.get() > CASES, "{} answers of servers show little", asked.get());
    assert!(ambiguous.get() > CASES / 20, "{} answers to ambiguous paths show little", ambiguous.get());
}

/// What docs/security.md says of servers that take liberties is no exaggeration.
#[test]
fn xp01_what_is_refused_would_have_led_around_rules() {
    let servers = Server::all();
    for (name, target) in [("nginx", "/x%2F..%2Fadmin"), ("Python", "/x%2F..%2Fadmin"), ("Apache", "/x%2F..%2Fadmin")] {
        let server = servers.iter().find(|server| server.name == name).unwrap();
        let answer = proxy(server, "ambiguous_paths allow").get(target);
        let (matched, understood) = (matched(&answer).expect("it is passed on"), understood(&answer));
        assert_eq!(matched.0, "/", "{name}");
        // Apache makes nothing of an escaped slash unless it is told to.
        assert_eq!(understood.is_some_and(|(area, _)| area == "/admin"), name != "Apache", "{name}");
        assert_eq!(proxy(server, "").get(target).status(), 400, "{name}");
    }
}
