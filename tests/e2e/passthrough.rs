//! Requirement T08: connections that are passed through by the name in their handshake, and never decrypted.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::harness::{
    Authority, Client, Folder, H2, H3, Origin, Program, Proxy, Setup, Wire, command, door, eventually, free_port, get,
    of, run,
};

/// Beside a site of rp's own, whose certificate would do for the other name as well.
const BESIDE: &str = "https://*.example.com:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond ours\n}\n";

fn site(options: &str) -> String {
    format!("https://db.example.com:0 {{\n bind 127.0.0.1\n passthrough {{$ORIGIN}} {options}\n}}\n")
}

/// With the authority of rp's own certificate.
fn beside(config: &str, origin: impl std::fmt::Display) -> (Authority, Setup, Folder) {
    let (ours, files) = (Authority::named("authority of rp's site"), Folder::new());
    let (certificate, key) = ours.issue(&["*.example.com"]).save(&files, "site");
    let setup = of(config).with("CERT", certificate.display()).with("KEY", key.display()).with("ORIGIN", origin);
    (ours, setup, files)
}

fn start(config: &str, origin: impl std::fmt::Display) -> (Authority, Proxy) {
    let (ours, setup, files) = beside(config, origin);
    let mut proxy = setup.start();
    proxy.kept.push(files);
    (ours, proxy)
}

fn only(options: &str, origin: impl std::fmt::Display) -> Proxy {
    of(&site(options)).with("ORIGIN", origin).start()
}

/// The line of a connection that has ended.
fn line(proxy: &Proxy) -> Value {
    proxy.logged_where("of what was passed through", |line| line["protocol"] == "TLS")
}

/// The session of a client, and its first flight.
fn hello(name: &str, authority: &Authority) -> (rustls::ClientConnection, Vec<u8>) {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = rustls::ClientConnection::new(authority.client(&["http/1.1"]), name).unwrap();
    let mut flight = Vec::new();
    session.write_tls(&mut flight).unwrap();
    (session, flight)
}

fn first_flight(name: &str) -> Vec<u8> {
    hello(name, &Authority::new()).1
}

/// The same message in records of so many bytes.
fn in_records(flight: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat();
    flight[5..].chunks(size).flat_map(record).collect()
}

/// Whether the next that comes is this alert, and then the end.
fn is_refused(client: &mut Client, alert: u8) -> bool {
    client.pipe.drain().0 == [21, 3, 3, 0, 2, 2, alert]
}

const UNRECOGNIZED_NAME: u8 = 112;
const ACCESS_DENIED: u8 = 49;
const INTERNAL_ERROR: u8 = 80;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

/// A web server of somebody else's, with a certificate of an authority that rp never hears of.
struct Nginx {
    program: Program,
    door: SocketAddr,
    authority: Authority,
}

impl Nginx {
    fn start() -> Self {
        let (folder, door, authority) = (Folder::new(), door(), Authority::named("the server's own authority"));
        let (certificate, key) = authority.issue(&["db.example.com"]).save(&folder, "server");
        folder.write("www/large", pattern(500_000));
        let (certificate, key) = (certificate.display(), key.display());
        let http = format!(
            "client_max_body_size 1m; root www;
             server {{ listen {door} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
             ssl_protocols TLSv1.2 TLSv1.3;
             location /large {{ }}
             location /taken {{ client_body_in_single_buffer on; proxy_pass https://{door}/length; }}
             location /length {{ return 200 $http_content_length; }}
             location / {{ return 200 \"$ssl_protocol $ssl_server_name $remote_addr\"; }} }}"
        );
        Self { program: Program::nginx(folder, &[door], &http), door, authority }
    }

    fn roots(&self) -> std::path::PathBuf {
        self.program.folder.write("authority.pem", self.authority.pem())
    }
}

/// What `openssl` prints of the certificate that a client is shown at this address.
fn fingerprint(address: SocketAddr, nginx: &Nginx, arguments: &[&str]) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "db.example.com", "-verify_return_error"])
        .args(["-verify_hostname", "db.example.com", "-CAfile"])
        .arg(nginx.roots())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is here");
    let x509 = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256"])
        .stdin(client.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(client.wait().unwrap().success(), "the certificate is believed");
    String::from_utf8(x509.stdout).unwrap()
}

#[test]
fn t08_clients_see_the_certificate_of_the_server() {
    let nginx = Nginx::start();
    let (_, proxy) = start(&(site("") + BESIDE), nginx.door);
    for version in ["-tls1_3", "-tls1_2"] {
        let shown = fingerprint(proxy.address(), &nginx, &[version]);
        assert!(shown.to_lowercase().starts_with("sha256 fingerprint="), "{shown}");
        assert_eq!(shown, fingerprint(nginx.door, &nginx, &[version]), "{version}");
    }
    let mut client = Client::tls(proxy.address(), "db.example.com", nginx.authority.client(&["http/1.1"])).unwrap();
    assert_eq!(client.get("db.example.com", "/").text(), "TLSv1.3 db.example.com 127.0.0.1");
}

#[test]
fn t08_much_passes_both_ways_unchanged() {
    let nginx = Nginx::start();
    let proxy = only("", nginx.door);
    let mut client = Client::tls(proxy.address(), "db.example.com", nginx.authority.client(&["http/1.1"])).unwrap();
    let response = client.get("db.example.com", "/large");
    assert!(response.body == pattern(500_000), "{} bytes", response.body.len());
    client.send("POST /taken HTTP/1.1\r\nHost: db.example.com\r\nContent-Length: 500000\r\n\r\n");
    client.send(pattern(500_000));
    assert_eq!(client.response().text(), "500000");
    drop(client);
    let line = line(&proxy);
    assert!(line["bytes_in"].as_u64().unwrap() > 500_000 && line["bytes_out"].as_u64().unwrap() > 500_000, "{line}");
    assert_eq!((&line["sni"], &line["client_ip"]), (&"db.example.com".into(), &"127.0.0.1".into()));
    assert_eq!((&line["upstream"], &line["attempts"]), (&nginx.door.to_string().into(), &1.into()));
    assert_eq!((&line["tunnel_end"], &line["site"]), (&"closed_by_client".into(), &"https://db.example.com:0".into()));
    assert!(line["duration_ms"].is_number() && line["error"].is_null() && line["status"].is_null(), "{line}");
}

/// How a first flight is sent.
type Shape = dyn Fn(&mut TcpStream, &[u8]);

/// Sends its first flight in another shape than its session had it.
struct Cut<'c> {
    tcp: TcpStream,
    first: Option<&'c Shape>,
}

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Cut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.first.take() {
            Some(send) => send(&mut self.tcp, bytes),
            None => self.tcp.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn t08_a_hello_comes_in_any_pieces_and_goes_on_as_it_came() {
    let authority = Authority::new();
    let identity = authority.issue(&["db.example.com"]);
    let origin = Origin::tls(identity.server(&["http/1.1"]), |_, wire| wire.ok("the server's own"));
    let (_, proxy) = start(&(site("") + BESIDE), &origin);
    let byte_by_byte =
        |tcp: &mut TcpStream, flight: &[u8]| flight.iter().for_each(|byte| tcp.write_all(&[*byte]).unwrap());
    let small_records = |tcp: &mut TcpStream, flight: &[u8]| tcp.write_all(&in_records(flight, 7)).unwrap();
    let tiny_records = |tcp: &mut TcpStream, flight: &[u8]| tcp.write_all(&in_records(flight, 1)).unwrap();
    let both = |tcp: &mut TcpStream, flight: &[u8]| {
        in_records(flight, 50).iter().for_each(|byte| tcp.write_all(&[*byte]).unwrap());
    };
    let shapes: [&Shape; 4] = [&byte_by_byte, &small_records, &tiny_records, &both];
    for (at, shape) in shapes.into_iter().enumerate() {
        let tcp = TcpStream::connect(proxy.address()).unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("db.example.com").unwrap();
        let mut session = rustls::ClientConnection::new(authority.client(&["http/1.1"]), name).unwrap();
        let mut wire = Cut { tcp, first: Some(shape) };
        let mut stream = rustls::Stream::new(&mut session, &mut wire);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: db.example.com\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK", "shape {at}");
    }
    // Not a byte more, and none less.
    let (sent, seen) = mpsc::channel();
    let origin = Origin::raw(move |wire| {
        wire.wait_closed();
        let _ = sent.send(wire.pipe.buffer.clone());
    });
    let proxy = only("", &origin);
    let flight = in_records(&first_flight("db.example.com"), 3);
    let mut client = proxy.client();
    for piece in flight.chunks(11) {
        client.send(piece);
    }
    client.send("what stands behind it").pipe.finish();
    client.pipe.drain();
    assert!(seen.recv_timeout(crate::harness::PATIENCE).unwrap() == [&flight[..], b"what stands behind it"].concat());
}

#[test]
fn t08_a_hello_that_never_ends_is_given_up() {
    let origin = Origin::raw(Wire::wait_closed);
    let proxy = of(&format!("global {{ timeout handshake 300ms }}\n{}", site(""))).with("ORIGIN", &origin).start();
    let flight = first_flight("db.example.com");
    for begun in [&flight[..3], &flight[..flight.len() - 1]] {
        let start = Instant::now();
        let mut client = proxy.client();
        client.send(begun).assert_closed();
        assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < Duration::from_secs(5));
    }
    // Nor is one that goes on for ever: it is no ClientHello that a client sends.
    let mut client = proxy.client();
    client.send([&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff, 3, 3][..], &vec![7; 70_000]].concat());
    client.pipe.drain();
    assert_eq!(origin.connections(), 0);
    assert_eq!(proxy.access_lines(), Vec::<Value>::new());
}

#[test]
fn t08_either_end_may_close_first() {
    let origin = Origin::raw(|wire| {
        // All of it, up to the client's end, and then the answer.
        wire.wait_closed();
        let heard = wire.pipe.buffer.len();
        wire.say(format!("{heard} bytes "));
        wire.say(pattern(300_000));
        wire.close();
    });
    let proxy = only("", &origin);
    let flight = first_flight("db.example.com");
    let mut client = proxy.client();
    client.send(&flight).send(pattern(200_000)).pipe.finish();
    let said = format!("{} bytes ", flight.len() + 200_000);
    let (heard, orderly) = client.pipe.drain();
    assert!(orderly && heard == [said.as_bytes(), &pattern(300_000)].concat(), "{} bytes", heard.len());
    let line = line(&proxy);
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&(flight.len() + 200_000).into(), &heard.len().into()));
    assert_eq!(line["tunnel_end"], "closed_by_client");

    let origin = Origin::raw(|wire| {
        wire.say("goodbye");
        wire.finish();
        wire.wait_closed();
    });
    let proxy = only("", &origin);
    let mut client = proxy.client();
    client.send(&flight);
    // Up to the server's end, which is passed on: before it has come, which of the two closes first is open.
    assert_eq!(client.pipe.drain(), (b"goodbye".to_vec(), true));
    client.send("one more word").pipe.finish();
    assert_eq!(self::line(&proxy)["tunnel_end"], "closed_by_upstream");
    eventually("the last word", || origin.bytes(0).ends_with(b"one more word").then_some(()));
}

#[test]
fn t08_a_server_that_is_away_is_told_to_the_client_and_the_log() {
    let proxy = only("", Origin::nobody());
    let mut client = proxy.client();
    client.send(first_flight("db.example.com"));
    assert!(is_refused(&mut client, INTERNAL_ERROR));
    let line = line(&proxy);
    assert_eq!((&line["error"], &line["attempts"]), (&"upstream_connection_refused".into(), &1.into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&0.into(), &0.into()));
    assert!(line["tunnel_end"].is_null(), "{line}");
}

/// Says its name to each connection.
fn named(name: &'static str) -> Origin {
    Origin::raw(move |wire| {
        wire.say(name);
        wire.wait_closed();
    })
}

/// Which server a connection comes to.
fn reached(proxy: &Proxy) -> (Client, String) {
    let mut client = proxy.client();
    client.send(first_flight("db.example.com"));
    let name = client.pipe.exactly(5).map_or_else(String::new, |name| String::from_utf8(name).unwrap());
    (client, name)
}

#[test]
fn t08_the_next_server_is_tried_where_one_is_away() {
    let (gone, origin) = (Origin::nobody(), named("third"));
    let config = format!(
        "https://db.example.com:0 {{\n bind 127.0.0.1\n passthrough {gone} {} {origin} {{ timeout connect 2s }}\n}}",
        Origin::nobody()
    );
    let proxy = of(&config).start();
    let lines: Vec<Value> = (1..=3)
        .map(|count| {
            assert_eq!(reached(&proxy).1, "third");
            eventually("its line", || proxy.access_lines().get(count - 1).cloned())
        })
        .collect();
    let attempts: Vec<u64> = lines.iter().map(|line| line["attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts.iter().max(), Some(&3), "{attempts:?}");
    assert!(lines.iter().all(|line| line["upstream"] == origin.to_string() && line["error"].is_null()), "{lines:?}");
}

#[test]
fn t08_an_upstream_by_name_says_whose_turn_it_is() {
    let [first, second, spare] = [named("first"), named("other"), named("spare")];
    let config = |balance: &str| {
        format!(
            "upstream db {{\n server {first}\n server {second}\n server {spare} backup\n balance {balance}\n}}\n\
             https://db.example.com:0 {{\n bind 127.0.0.1\n passthrough db\n}}"
        )
    };
    let proxy = of(&config("round_robin")).start();
    let mut turns: Vec<String> = (0..4).map(|_| reached(&proxy).1).collect();
    turns.sort();
    assert_eq!(turns, ["first", "first", "other", "other"]);
    // Connections that stand are load.
    let proxy = of(&config("least_conn")).start();
    let (held, busy) = reached(&proxy);
    for _ in 0..3 {
        let (client, name) = reached(&proxy);
        assert_ne!(name, busy);
        let ended = proxy.access_lines().len();
        drop(client);
        eventually("the end of it", || (proxy.access_lines().len() > ended).then_some(()));
    }
    drop(held);
}

#[test]
fn t08_names_at_one_port_are_kept_apart() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.issue(&["db.example.com"]).server(&["http/1.1"]), |_, wire| wire.ok("theirs"));
    let (ours, proxy) = start(&(site("") + BESIDE), &origin);
    for _ in 0..2 {
        let mut client = Client::tls(proxy.address(), "db.example.com", authority.client(&["http/1.1"])).unwrap();
        let response = client.get("db.example.com", "/");
        assert_eq!((response.text(), response.field("alt-svc")), ("theirs", None));
        let mut client = Client::tls(proxy.address(), "www.example.com", ours.client(&["http/1.1"])).unwrap();
        assert_eq!(client.get("www.example.com", "/").text(), "ours");
    }
    // The name in capitals is the same name; below a wildcard stands another.
    let mut client = proxy.client();
    client.send(first_flight("DB.example.COM"));
    assert_eq!(client.pipe.exactly(1).as_deref(), Some(&[22][..]), "the server's handshake");
    // A request for the name that comes by way of another one is none that rp may answer.
    let mut client = Client::tls(proxy.address(), "www.example.com", ours.client(&["http/1.1"])).unwrap();
    assert_eq!(client.get("db.example.com", "/").status(), 421);
    let status = run(async {
        let mut client = H2::tls(proxy.address(), "www.example.com", ours.client(&["h2"])).await;
        client.get("db.example.com", "/").await.status.as_u16()
    });
    assert_eq!(status, 421);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn t08_who_asks_for_nobody_or_somebody_else_is_met_as_ever() {
    let origin = Origin::raw(Wire::wait_closed);
    let proxy = only("", &origin);
    let mut client = proxy.client();
    client.send(first_flight("www.example.com"));
    assert!(is_refused(&mut client, UNRECOGNIZED_NAME));
    assert_eq!(proxy.said("TLS handshake failed")["sni"], "www.example.com");
    // Rustls names no address in its handshake.
    let mut client = proxy.client();
    client.send(first_flight("127.0.0.1"));
    assert!(is_refused(&mut client, UNRECOGNIZED_NAME));
    for nonsense in ["GET / HTTP/1.1\r\nHost: db.example.com\r\n\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "\x16\x03"]
    {
        let mut client = proxy.client();
        client.send(nonsense).pipe.finish();
        client.pipe.drain();
    }
    assert_eq!(origin.connections(), 0);
    assert_eq!(proxy.access_lines(), Vec::<Value>::new());
}

#[test]
fn t08_versions_that_rp_does_not_speak_are_the_servers_business() {
    let (sent, seen) = mpsc::channel();
    let origin = Origin::raw(move |wire| {
        let _ = sent.send(wire.exactly(5));
    });
    let proxy = only("", &origin);
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address().to_string(), "-servername", "db.example.com", "-tls1"])
        .args(["-cipher", "ALL@SECLEVEL=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is here");
    let heard = seen.recv_timeout(crate::harness::PATIENCE).unwrap();
    client.wait().unwrap();
    assert_eq!(heard.map(|bytes| bytes[..3].to_vec()), Some(vec![22, 3, 1]));
}

#[test]
fn t08_a_reload_moves_new_connections_and_leaves_the_others() {
    let (before, after) = (named("first"), named("other"));
    let config = |origin: &Origin| {
        format!("https://db.example.com:0 {{\n bind 127.0.0.1\n passthrough {origin} {{ timeout idle 5m }}\n}}\n")
    };
    let proxy = of(&config(&before)).start();
    let (mut held, name) = reached(&proxy);
    assert_eq!(name, "first");
    std::fs::write(&proxy.config, config(&after)).unwrap();
    proxy.said("configuration reloaded");
    eventually("the new server", || (reached(&proxy).1 == "other").then_some(()));
    // What stands goes on.
    held.send("still there");
    eventually("its bytes", || before.bytes(0).ends_with(b"still there").then_some(()));
    // A name that is passed through no longer is rp's own, at once.
    std::fs::write(&proxy.config, "https://db.example.com:0 {\n bind 127.0.0.1\n tls internal\n respond ours\n}\n")
        .unwrap();
    eventually("a certificate of rp's", || {
        let mut client = proxy.client();
        client.send(first_flight("db.example.com"));
        client.pipe.exactly(1).filter(|first| first == &[22])
    });
    held.send(", and there");
    eventually("its bytes", || before.bytes(0).ends_with(b", and there").then_some(()));
}

#[test]
fn t08_the_proxy_protocol_is_believed_and_passed_on() {
    let origin = Origin::raw(|wire| {
        let header = wire.exactly(28).unwrap_or_default();
        wire.say(format!("{};", header.escape_ascii()));
        wire.wait_closed();
    });
    let config = format!("global {{ proxy_protocol 127.0.0.0/8 }}\n{}", site("{ proxy_protocol v2 }"));
    let proxy = of(&config).with("ORIGIN", &origin).start();
    let mut client = proxy.client();
    client.send("PROXY TCP4 203.0.113.9 198.51.100.2 4000 443\r\n").send(first_flight("db.example.com"));
    let told = client.pipe.until(b";").unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(told, r"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c\xcb\x00q\t\xc63d\x02\x0f\xa0\x01\xbb;");
    client.pipe.close();
    assert_eq!(line(&proxy)["client_ip"], "203.0.113.9");
}

#[test]
fn t08_only_some_may_come() {
    let origin = named("quiet");
    let proxy =
        of(&format!("global {{ proxy_protocol 127.0.0.0/8 }}\n{}", site("{ allow 203.0.113.0/24 2001:db8::7 }")))
            .with("ORIGIN", &origin)
            .start();
    let come = |from: &str| {
        let mut client = proxy.client();
        let to = if from.contains(':') { "TCP6 FROM ::1" } else { "TCP4 FROM 198.51.100.2" }.replace("FROM", from);
        client.send(format!("PROXY {to} 4000 443\r\n")).send(first_flight("db.example.com"));
        client
    };
    for from in ["203.0.113.9", "2001:db8::7"] {
        assert_eq!(come(from).pipe.exactly(5).as_deref(), Some(&b"quiet"[..]), "{from}");
    }
    for from in ["203.0.114.9", "2001:db8::8"] {
        assert!(is_refused(&mut come(from), ACCESS_DENIED), "{from}");
        let line = proxy.logged_where("of a stranger", |line| line["client_ip"] == from);
        assert_eq!((&line["error"], &line["upstream"]), (&"forbidden".into(), &Value::Null));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn t08_silence_ends_a_connection() {
    let origin = named("quiet");
    let proxy = only("{ timeout idle 500ms }", &origin);
    let start = Instant::now();
    let (mut client, _) = reached(&proxy);
    client.assert_closed();
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(line(&proxy)["tunnel_end"], "idle");
    eventually("the server's end", || (origin.open() == 0).then_some(()));
}

#[test]
fn t08_a_shutdown_ends_what_has_no_end_of_its_own() {
    let origin = named("quiet");
    let mut proxy = of(&format!("global {{ grace 2s }}\n{}", site(""))).with("ORIGIN", &origin).start();
    let (mut client, _) = reached(&proxy);
    proxy.signal(Signal::TERM);
    client.assert_closed();
    assert!(proxy.wait().success());
    assert_eq!(line(&proxy)["tunnel_end"], "shutdown");
}

#[test]
fn t08_limits_and_numbers_know_of_it() {
    let origin = named("quiet");
    let config = format!("global {{ metrics 127.0.0.1:0; limit connections_per_address 2 }}\n{}", site(""));
    let proxy = of(&config).with("ORIGIN", &origin).start();
    let metrics: SocketAddr = proxy.said("metrics are served")["address"].as_str().unwrap().parse().unwrap();
    let has = |sample: &str| {
        let page = get(metrics, "rp", "/metrics").text().to_owned();
        page.lines().any(|line| line == sample)
    };
    let held = [reached(&proxy).0, reached(&proxy).0];
    assert!(has("rp_passthrough_open 2") && has("rp_passthrough_connections_total{result=\"ok\"} 2"));
    assert!(has("rp_connections_open 2"));
    let mut third = proxy.client();
    third.send(first_flight("db.example.com"));
    assert_eq!(third.pipe.drain().0, b"");
    drop(held);
    eventually("their end", || has("rp_passthrough_open 0").then_some(()));
    assert_eq!(reached(&proxy).1, "quiet");
}

#[test]
fn t08_http3_is_not_spoken_for_the_name() {
    let origin = Origin::raw(Wire::wait_closed);
    let (ours, proxy) = start(&(site("") + BESIDE), &origin);
    run(async {
        let mut client = H3::connect(proxy.address(), "www.example.com", ours.client(&["h3"])).await;
        assert_eq!(client.get("www.example.com", "/").await.text(), "ours");
        // A request for the name finds nothing there, either.
        assert_eq!(client.get("db.example.com", "/").await.status.as_u16(), 421);
        let refused = H3::try_connect(proxy.address(), "db.example.com", ours.client(&["h3"])).await.err().unwrap();
        assert!(refused.to_string().contains("120"), "no_application_protocol: {refused}");
    });
    assert_eq!(origin.connections(), 0);
}

#[test]
fn t08_no_certificate_is_asked_for_and_nothing_is_redirected() {
    let origin = named("quiet");
    let (http, https) = (free_port(), free_port());
    let config = format!(
        "global {{ http_port {http}; https_port {https}; acme {{ ca https://127.0.0.1:1/directory }} }}\n\
         db.example.com {{\n bind 127.0.0.1\n passthrough {{$ORIGIN}}\n}}\n"
    );
    let proxy = of(&config).with("ORIGIN", &origin).start();
    assert_eq!(reached(&proxy).1, "quiet");
    assert_eq!(proxy.doors.len(), 1);
    assert!(TcpStream::connect(("127.0.0.1", http)).is_err(), "nobody listens there");
    let certs = command(&proxy.folder).args(["certs", "--format", "json"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&certs.stdout).contains("db.example.com"), "{certs:?}");
    assert!(!proxy.log_text().contains("certificate"), "{}", proxy.log_text());
}
