//! Storages that are reached as they are in earnest: Redis over TLS, and a bucket of S3. Two instances, one order.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use crate::SITE;
use crate::authority::{Gate, Pebble, directory_at};
use crate::harness::{Authority, Client, Folder, Proxy, eventually, free_port, of};

const GLOBAL: &str = "global {
    storage {$STORE}
    http_port {$HTTP}
    https_port {$HTTPS}
    acme {
        ca {$DIRECTORY}
        root {$ROOT}
    }
}
";

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn instance(store: &str, pebble: &Pebble, directory: &str, ports: [u16; 2]) -> Proxy {
    // A kind of storage and its block are no single word.
    of(&format!("{GLOBAL}{SITE}").replace("{$STORE}", store))
        .with("HTTP", ports[0])
        .with("HTTPS", ports[1])
        .with("DIRECTORY", directory)
        .with("ROOT", pebble.root_file())
        .arguments(&["--no-watch"])
        .doors(2)
        .start()
}

fn served(pebble: &Pebble, port: u16) -> String {
    let believer = pebble.believer();
    let address = ([127, 0, 0, 1], port).into();
    let mut client = eventually("a certificate", || Client::tls(address, "example.com", believer.clone()).ok());
    client.get("example.com", "/").text().to_owned()
}

/// What `openssl s_client` says of a session.
fn session(port: u16, arguments: &[&str]) -> String {
    let address = format!("127.0.0.1:{port}");
    let mut child = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-servername", "example.com", "-connect", &address])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is here");
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

/// One asks; the authority comes to the other; both show what came; and a session of one goes on at the other.
fn two_share(store: &str) {
    let (pebble, folder) = (Pebble::start(), Folder::new());
    let gate = Gate::before(pebble.address());
    let aside = [free_port(), free_port()];
    let asks = instance(store, &pebble, &directory_at(gate.port), aside);
    asks.said("session tickets are shared");
    // It has the lock as soon as it has asked.
    eventually("a question", || gate.is_asked().then_some(()));
    let shows = instance(store, &pebble, &directory_at(gate.port), [pebble.http, pebble.https]);
    shows.said("session tickets are shared");
    gate.open();
    assert_eq!([served(&pebble, aside[1]), served(&pebble, pebble.https)], ["secure", "secure"]);
    assert_eq!(asks.said("certificate obtained")["challenge"], "http-01");
    shows.said("another process has obtained the certificate");
    assert_eq!(pebble.orders(), 1);
    let kept = folder.path().join("session").display().to_string();
    assert!(session(aside[1], &["-sess_out", &kept]).contains("200 OK"));
    let said = session(pebble.https, &["-sess_in", &kept]);
    assert!(said.contains("Reused, TLSv1.3") && said.contains("200 OK"), "{said}");
}

#[test]
fn instances_meet_at_redis_over_tls_and_believe_its_authority_alone() {
    let (authority, folder, port) = (Authority::new(), Folder::new(), free_port());
    let path = |name: &str| folder.path().join(name).display().to_string();
    authority.issue(&["localhost"]).save(&folder, "redis");
    folder.write("ca.pem", authority.pem());
    folder.write("other.pem", Authority::new().pem());
    let mut redis = Command::new("redis-server");
    redis
        .args(["--port", "0", "--save", "", "--tls-auth-clients", "no", "--requirepass", "a-password"])
        .args(["--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--dir", &path("")])
        .args(["--tls-cert-file", &path("redis.pem"), "--tls-key-file", &path("redis.key")])
        .args(["--tls-ca-cert-file", &path("ca.pem")])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let _redis = Server(redis.spawn().expect("redis-server is here"));
    eventually("redis-server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let store = |root: &str| {
        let root = path(root);
        format!("redis rediss://localhost:{port} {{ password {{$WORD:a-password}}; root {root}; copy off; lease 5s }}")
    };
    two_share(&store("ca.pem"));
    // Whoever does not know its authority speaks with nobody.
    let pebble = Pebble::start();
    let alone = instance(&store("other.pem"), &pebble, &pebble.directory(), [free_port(), free_port()]);
    let told = alone.said("session tickets are not shared")["trouble"].to_string();
    assert!(told.contains("localhost"), "{told}");
    assert_eq!(pebble.orders(), 0);
}

#[test]
fn instances_meet_at_a_bucket() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/s3-server");
    let mut server = Command::new(script);
    server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Server(server.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [port, key, secret] = words[..] else { panic!("`.ci/s3-server serve` says {line:?}") };
    two_share(&format!("s3 http://127.0.0.1:{port}/rp-test {{ key {key}; secret {secret}; copy off }}"));
}
