//! Several instances with one storage: one asks, all serve, and what one does not know another has shown.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::authority::{Gate, Pebble, directory_at, secure};
use crate::harness::{self, Authority, Folder, Proxy, Setup, eventually, free_port, of};
use crate::{SITE, entry};

const GLOBAL: &str = "global {
    storage redis {$REDIS} { lease 2s; copy {$STORAGE}/copies }
    admin unix/{$STORAGE}/admin.sock
    http_port {$HTTP}
    https_port {$HTTPS}
    acme {
        ca {$DIRECTORY}
        root {$ROOT}
    }
}
";

/// A server of Redis on a socket of its own; it ends with the test.
pub struct Redis {
    child: Option<Child>,
    folder: Folder,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self { child: None, folder: Folder::new() };
        redis.run();
        redis
    }

    fn run(&mut self) {
        let mut server = Command::new("redis-server");
        server
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.socket());
        server.stdin(Stdio::null()).stdout(Stdio::null());
        let started = server.spawn().unwrap_or_else(|error| panic!("{error} (the package is `redis-server`)"));
        self.child = Some(started);
        eventually("redis-server", || std::os::unix::net::UnixStream::connect(self.socket()).ok());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn place(&self) -> String {
        format!("unix/{}", self.socket().display())
    }

    /// As `redis-cli` has it.
    fn say(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ports that the authority comes to.
fn here(pebble: &Pebble) -> [u16; 2] {
    [pebble.http, pebble.https]
}

/// Ports that it knows nothing of.
fn aside() -> [u16; 2] {
    [free_port(), free_port()]
}

fn instance(redis: &Redis, pebble: &Pebble, directory: &str, storage: &Folder, ports: [u16; 2], sites: &str) -> Setup {
    of(&format!("{GLOBAL}{sites}"))
        .with("REDIS", redis.place())
        .with("STORAGE", storage.path().display())
        .with("HTTP", ports[0])
        .with("HTTPS", ports[1])
        .with("DIRECTORY", directory)
        .with("ROOT", pebble.root_file())
        // Files that are a moment old are read twice, and that would be a reload.
        .arguments(&["--no-watch"])
}

/// Says what the site says once clients take its certificate at this port.
fn served_at(pebble: &Pebble, port: u16) -> String {
    let believer = pebble.believer();
    let address = ([127, 0, 0, 1], port).into();
    let mut client =
        eventually("a certificate", || harness::Client::tls(address, "example.com", believer.clone()).ok());
    client.get("example.com", "/").text().to_owned()
}

fn count(proxy: &Proxy, message: &str) -> usize {
    proxy.log_text().matches(message).count()
}

fn holder(redis: &Redis) -> bool {
    redis.say(&["--scan", "--pattern", "rp:lock/acme/*example.com"]).contains("example.com")
}

#[test]
fn one_instance_asks_and_another_shows_the_token() {
    let (redis, pebble) = (Redis::start(), Pebble::start());
    let gate = Gate::before(pebble.address());
    let (one, two) = (Folder::new(), Folder::new());
    let ports = aside();
    // It has the lock, and waits for an answer.
    let asks = instance(&redis, &pebble, &directory_at(gate.port), &one, ports, SITE).doors(2).start();
    eventually("the lock", || holder(&redis).then_some(()));
    let shows = instance(&redis, &pebble, &directory_at(gate.port), &two, here(&pebble), SITE).doors(2).start();
    gate.open();
    assert_eq!(served_at(&pebble, ports[1]), "secure");
    assert_eq!(served_at(&pebble, pebble.https), "secure");
    assert_eq!(asks.said("certificate obtained")["challenge"], "http-01");
    shows.said("another process has obtained the certificate");
    assert_eq!((count(&shows, "certificate obtained"), pebble.orders()), (0, 1));
    assert_eq!(count(&asks, "an account with") + count(&shows, "an account with"), 1);
    eventually("the end of the challenge", || {
        redis.say(&["--scan", "--pattern", "rp:challenges/*"]).is_empty().then_some(())
    });
    // What nobody shows goes on to the site.
    let path = "/.well-known/acme-challenge/a-token-of-somebody-else";
    assert_eq!(harness::get(([127, 0, 0, 1], pebble.http).into(), "example.com", path).status(), 308);
}

#[test]
fn another_shows_the_certificate_of_a_handshake() {
    let (redis, pebble) = (Redis::start(), Pebble::start());
    let gate = Gate::before(pebble.address());
    let (one, two) = (Folder::new(), Folder::new());
    let config = format!("{GLOBAL}{SITE}").replace("admin unix", "https_redirect off\n    admin unix");
    let start = |storage, ports: [u16; 2]| {
        instance(&redis, &pebble, &directory_at(gate.port), storage, ports, "").config(&config).start()
    };
    let ports = aside();
    let asks = start(&one, ports);
    eventually("the lock", || holder(&redis).then_some(()));
    let _shows = start(&two, here(&pebble));
    gate.open();
    assert_eq!(served_at(&pebble, ports[1]), "secure");
    assert_eq!(served_at(&pebble, pebble.https), "secure");
    assert_eq!(asks.said("certificate obtained")["challenge"], "tls-alpn-01");
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn the_lock_of_one_that_was_killed_ends_with_its_lease() {
    let (redis, pebble) = (Redis::start(), Pebble::start());
    let gate = Gate::before(pebble.address());
    let (one, two) = (Folder::new(), Folder::new());
    let mut killed = instance(&redis, &pebble, &directory_at(gate.port), &one, aside(), SITE).doors(2).start();
    eventually("the lock", || holder(&redis).then_some(()));
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(holder(&redis));
    let next = instance(&redis, &pebble, &directory_at(gate.port), &two, here(&pebble), SITE).doors(2).start();
    gate.open();
    assert_eq!(served_at(&pebble, pebble.https), "secure");
    next.said("certificate obtained");
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn sites_come_up_without_the_server_and_it_is_used_once_it_is_there() {
    let (mut redis, pebble, storage) = (Redis::start(), Pebble::start(), Folder::new());
    redis.stop();
    let sites = format!("{SITE}localhost {{\n bind 127.0.0.1\n respond inside\n}}\n");
    let start =
        |redis: &Redis| instance(redis, &pebble, &pebble.directory(), &storage, here(&pebble), &sites).doors(2).start();
    let proxy = start(&redis);
    proxy.said("rp goes on with what it has");
    let address = ([127, 0, 0, 1], pebble.https).into();
    for name in ["example.com", "localhost"] {
        let refusal = harness::Client::tls(address, name, pebble.believer()).err().expect("nobody trusts it yet");
        assert!(refusal.contains("certificate") || refusal.contains("Issuer"), "{name}: {refusal}");
    }
    drop(proxy);
    let proxy = start(&redis);
    redis.run();
    proxy.said("the storage is back");
    assert_eq!(served_at(&pebble, pebble.https), "secure");
    drop(proxy);
    // What it has a copy of is shown at once, though the server is gone again.
    redis.stop();
    let proxy = start(&redis);
    assert!(secure(&pebble, &pebble.believer(), "example.com").is_ok());
    assert_eq!(count(&proxy, "not obtained"), 0);
    drop(proxy);
    // A server that came up empty is given back what there was.
    redis.run();
    assert!(!redis.say(&["--scan", "--pattern", "*"]).contains("certificate.pem"));
    let _proxy = start(&redis);
    assert!(secure(&pebble, &pebble.believer(), "example.com").is_ok());
    eventually("what was lost", || {
        redis.say(&["--scan", "--pattern", "*"]).contains("example.com/certificate.pem").then_some(())
    });
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn what_another_instance_gets_is_shown_soon() {
    let (redis, pebble, storage) = (Redis::start(), Pebble::start(), Folder::new());
    let proxy = instance(&redis, &pebble, &pebble.directory(), &storage, here(&pebble), SITE).doors(2).start();
    assert_eq!(served_at(&pebble, pebble.https), "secure");
    let other = Authority::new();
    let now = OffsetDateTime::now_utc();
    let newer = other.issue_with(&["example.com"], |params| {
        (params.not_before, params.not_after) = (now, now + Duration::days(90));
    });
    let key = redis.say(&["--scan", "--pattern", "*certificate.pem"]);
    redis.say(&["SET", &key, &format!("{}{}", newer.key, newer.certificate)]);
    redis.say(&["SET", "rp:changed", "1"]);
    let believer = other.client(&["http/1.1"]);
    eventually("the other certificate", || secure(&pebble, &believer, "example.com").ok());
    assert_eq!(pebble.orders(), 1);

    // Where nobody runs, the server is asked.
    let mut rp = harness::command(&proxy.folder);
    rp.envs([("REDIS", redis.place()), ("STORAGE", storage.path().display().to_string())]);
    for (name, value) in [("HTTP", "1"), ("HTTPS", "2"), ("DIRECTORY", "https://a.test"), ("ROOT", "none")] {
        rp.env(name, value);
    }
    let file = proxy.folder.path().join("Proxyfile");
    std::fs::remove_file(storage.path().join("admin.sock")).unwrap();
    let output = rp.args(["certs", "--format", "json"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = entry(&output.stdout, "example.com");
    assert_eq!(told["issuer"], "authority of a test");
}

/// What `rp` with these words says, and whether it was content.
fn rp(words: &[&str]) -> (bool, String) {
    let folder = Folder::new();
    let output = harness::command(&folder).args(words).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn what_is_kept_moves_from_a_folder_to_a_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let (redis, files) = (Redis::start(), Folder::new());
    let signed = Authority::new().issue(&["example.com"]);
    files.write("old/acme/ca.test-dir/example.com/certificate.pem", format!("{}{}", signed.key, signed.certificate));
    let at = |name: &str| files.path().join(name).display().to_string();
    files.write("old/internal/root.crt", "root");
    files.write("old/internal/root.key", "key");
    files.write("old/challenges/http-01/token", "what passes is not kept");
    let (archive, file) = (at("all.json"), at("Proxyfile"));
    assert_eq!(rp(&["storage", "export", &archive, "--storage", &at("old")]), (true, String::new()));
    let mode = std::fs::metadata(&archive).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let config = format!("global {{ storage redis {} {{ copy off }} }}\n:0 {{ respond ok }}\n", redis.place());
    files.write("Proxyfile", config);
    let (done, told) = rp(&["storage", "import", &archive, &file]);
    assert!(done && told.starts_with("3 things are now in `unix/"), "{told}");
    let told = rp(&["certs", "--format", "json", &file]).1;
    assert_eq!(entry(told.as_bytes(), "example.com")["issuer"], "authority of a test");
    let back = rp(&["storage", "export", "-", &file]).1;
    assert_eq!(back, std::fs::read_to_string(&archive).unwrap());

    std::fs::create_dir(files.path().join("empty")).unwrap();
    let (done, told) = rp(&["untrust", "--storage", &at("empty")]);
    assert!(!done && told.contains("so nothing trusts it"), "{told}");

    files.write("broken.json", "{}");
    let (done, told) = rp(&["storage", "import", &at("broken.json"), &file]);
    assert!(!done && told.contains("this is no archive of a storage"), "{told}");
}
