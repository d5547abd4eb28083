//! TLS as others see it: a listener on loopback, and `openssl s_client`, `curl` and rustls in front of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use proxyfile::tls::Storage;
use proxyfile::tls::client::server_name;
use proxyfile::tls::{
    Authority, Certificate, Client, ClientOptions, Name, Names, Options, Resolver, SystemRoots, TlsFacts, Verify,
    Version, accept, install_provider, server_config,
};
use rustls::{NamedGroup, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

// The numbers of RFC 8446, section 6: OpenSSL words some of them differently from release to release.
const HANDSHAKE_FAILURE: &str = "SSL alert number 40";
const ILLEGAL_PARAMETER: &str = "SSL alert number 47";
const PROTOCOL_VERSION: &str = "SSL alert number 70";
const UNRECOGNIZED_NAME: &str = "SSL alert number 112";
const NO_APPLICATION_PROTOCOL: &str = "SSL alert number 120";

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority, the names in force, and a listener that tells each client what was agreed on.
struct Server {
    scratch: Scratch,
    authority: Authority,
    resolver: Arc<Resolver>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(names: &[&str], options: &Options) -> Self {
        install_provider();
        let scratch = Scratch(std::env::temp_dir().join(format!("rp-openssl-{:016x}", random())));
        let authority = Authority::open(&Storage::file(&*scratch.0)).unwrap();
        let resolver = Resolver::new(serve(&issue(&authority, names)));
        let config = server_config(Arc::clone(&resolver) as _, options).unwrap();
        let (address, stop, thread) = listen(config);
        Self { scratch, authority, resolver, address, stop: Some(stop), thread: Some(thread) }
    }

    fn root(&self) -> String {
        self.root_file().display().to_string()
    }

    fn root_file(&self) -> PathBuf {
        self.scratch.0.join("internal/root.crt")
    }

    /// What `openssl s_client` says, and whether it was content.
    fn s_client(&self, arguments: &[&str]) -> (bool, String) {
        s_client(self.address, &self.root(), arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u64::from_ne_bytes(bytes)
}

fn issue(authority: &Authority, names: &[&str]) -> Certificate {
    let names: Vec<Name> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
    authority.issue(&names).unwrap()
}

fn serve(certificate: &Certificate) -> Names {
    let mut names = Names::new();
    for name in certificate.names() {
        names.add(name, Arc::clone(certificate.key()));
    }
    names
}

/// A thread with a listener: an HTTP answer with the facts in it for everybody, then the end.
fn listen(config: Arc<ServerConfig>) -> (SocketAddr, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(socket).unwrap();
            let accepting = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let config = Arc::clone(&config);
                    tokio::spawn(async move { answer(stream, &config).await });
                }
            };
            tokio::select! { () = accepting => {}, _ = stopped => {} }
        });
    });
    (address, stop, thread)
}

async fn answer(stream: TcpStream, config: &Arc<ServerConfig>) {
    let Ok(mut stream) = accept(stream, config).await else { return };
    let facts = TlsFacts::of(stream.get_ref().1).unwrap();
    let body = format!(
        "facts: {} {} {} {} {}\n",
        facts.version.as_str(),
        facts.suite,
        facts.alpn.map_or("-", proxyfile::tls::Alpn::as_str),
        facts.sni.as_deref().unwrap_or("-"),
        if facts.resumed { "resumed" } else { "full" },
    );
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
    // Until the client closes, so that what it still sends does not reset what it has not read.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
}

/// Reads until the server ends the connection: the ticket of TLS 1.3 comes behind the handshake.
fn s_client(address: SocketAddr, root: &str, arguments: &[&str]) -> (bool, String) {
    let address = address.to_string();
    let fixed =
        ["20", "openssl", "s_client", "-ign_eof", "-verify_return_error", "-CAfile", root, "-connect", &address];
    let output = Command::new("timeout").args(fixed).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[track_caller]
fn taken((content, said): (bool, String), wanted: &[&str]) {
    assert!(content, "{said}");
    for wanted in wanted {
        assert!(said.contains(wanted), "`{wanted}` in {said}");
    }
}

#[track_caller]
fn refused((content, said): (bool, String), wanted: &str) {
    assert!(!content, "{said}");
    assert!(said.contains(wanted), "`{wanted}` in {said}");
    assert!(!said.contains("facts:"), "{said}");
}

#[test]
fn the_whole_chain_is_shown_and_verifies() {
    let server = Server::start(&["localhost", "*.app.internal"], &Options::default());
    let host = ["-servername", "localhost", "-verify_hostname", "localhost", "-showcerts"];
    let (content, said) = server.s_client(&host);
    assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 2);
    taken(
        (content, said),
        &["Verify return code: 0 (ok)", "TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384", "facts: TLSv1.3"],
    );
    taken(
        server.s_client(&["-servername", "x.app.internal", "-verify_hostname", "x.app.internal"]),
        &["Verification: OK"],
    );
    let strict = ["-servername", "localhost", "-tls1_2", "-x509_strict"];
    taken(
        server.s_client(&strict),
        &[
            "Secure Renegotiation IS supported",
            "Compression: NONE",
            "facts: TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ],
    );
}

#[test]
fn the_client_orders_suites_and_the_server_protocols() {
    let server = Server::start(&["localhost"], &Options::default());
    let with = |arguments: &[&str]| server.s_client(&[&["-servername", "localhost"], arguments].concat());
    taken(with(&["-alpn", "http/1.1,h2"]), &["ALPN protocol: h2", " h2 localhost full"]);
    taken(with(&["-alpn", "http/1.1"]), &["ALPN protocol: http/1.1"]);
    taken(with(&[]), &["No ALPN negotiated", " - localhost full"]);
    refused(with(&["-alpn", "ftp"]), NO_APPLICATION_PROTOCOL);
    let suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
    taken(with(&["-ciphersuites", suites]), &["facts: TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"]);
    taken(with(&["-groups", "P-384"]), &["Server Temp Key: ECDH, secp384r1"]);
}

#[test]
fn old_versions_and_weak_suites_are_refused() {
    let server = Server::start(&["localhost"], &Options::default());
    for version in ["-tls1", "-tls1_1"] {
        let arguments = ["-servername", "localhost", version, "-cipher", "DEFAULT@SECLEVEL=0"];
        // They send no signature algorithms, and rustls looks for those before it looks at the version.
        refused(server.s_client(&arguments), HANDSHAKE_FAILURE);
    }
    for suite in ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"] {
        refused(server.s_client(&["-servername", "localhost", "-tls1_2", "-cipher", suite]), HANDSHAKE_FAILURE);
    }
    let modern = Server::start(&["localhost"], &Options { min: Version::Tls13, ..Options::default() });
    refused(modern.s_client(&["-servername", "localhost", "-tls1_2"]), PROTOCOL_VERSION);
    taken(modern.s_client(&["-servername", "localhost"]), &["facts: TLSv1.3"]);
}

#[test]
fn xt01_sessions_resume_in_both_versions_and_only_in_their_scope() {
    let options = Options::default();
    let server = Server::start(&["localhost"], &options);
    let certificate = issue(&server.authority, &["localhost"]);
    let listen_with = |options: &Options| listen(server_config(Resolver::new(serve(&certificate)), options).unwrap());
    // A reload builds a new configuration around the same tickets; a site with other demands has tickets of its own.
    let (reloaded, _stop_reloaded, _) = listen_with(&options);
    let (other, _stop_other, _) = listen_with(&Options::default());
    for version in ["-tls1_2", "-tls1_3"] {
        let file = server.scratch.0.join("session").display().to_string();
        let with = |address, arguments: &[&str]| {
            s_client(address, &server.root(), &[&["-servername", "localhost", version], arguments].concat())
        };
        taken(with(server.address, &["-sess_out", &file]), &["New, TLSv1", "localhost full"]);
        taken(with(other, &["-sess_in", &file]), &["New, TLSv1", "localhost full"]);
        taken(with(reloaded, &["-sess_in", &file]), &["Reused, TLSv1", "localhost resumed"]);
        taken(
            with(server.address, &["-sess_in", &file]),
            &["Reused, TLSv1", "lifetime hint: 3600", "localhost resumed"],
        );
    }
}

#[test]
fn xt08_names_are_known_in_any_spelling_or_refused_by_alert() {
    let server = Server::start(&["localhost", "a.internal"], &Options::default());
    for name in ["localhost", "LocalHost", "A.INTERNAL", "a.internal."] {
        taken(server.s_client(&["-servername", name]), &["facts:"]);
    }
    for name in ["unknown.internal", "b.a.internal", "xn--bcher-kva.internal"] {
        refused(server.s_client(&["-servername", name]), UNRECOGNIZED_NAME);
        refused(server.s_client(&["-servername", name, "-tls1_2"]), UNRECOGNIZED_NAME);
    }
    refused(server.s_client(&["-noservername"]), UNRECOGNIZED_NAME);
    // An address is no host name (RFC 6066, section 3): it counts as none.
    refused(server.s_client(&["-servername", "127.0.0.1"]), UNRECOGNIZED_NAME);
    refused(server.s_client(&["-servername", &"a".repeat(254)]), ILLEGAL_PARAMETER);

    let mut names = serve(&issue(&server.authority, &["a.internal"]));
    names.set_default(Arc::clone(issue(&server.authority, &["default.internal"]).key()));
    server.resolver.swap(names);
    for arguments in [&["-noservername"][..], &["-servername", "unknown.internal"], &["-servername", "127.0.0.1"]] {
        taken(server.s_client(arguments), &["subject=CN = default.internal"]);
    }
    taken(server.s_client(&["-servername", "a.internal"]), &["subject=CN = a.internal"]);
}

#[test]
fn an_address_of_its_own_has_a_certificate_of_its_own() {
    let server = Server::start(&["localhost", "127.0.0.1"], &Options::default());
    let local = server.address.ip();
    assert_eq!(server.resolver.names().addresses().collect::<Vec<_>>(), [local]);
    let (address, _stop, _) = listen(server_config(server.resolver.at(local), &Options::default()).unwrap());
    let arguments = ["-noservername", "-verify_ip", "127.0.0.1"];
    taken(s_client(address, &server.root(), &arguments), &["Verify return code: 0 (ok)"]);
    refused(server.s_client(&arguments), UNRECOGNIZED_NAME);
}

#[test]
fn a_new_certificate_is_shown_from_the_next_handshake_on() {
    let server = Server::start(&["localhost"], &Options::default());
    let serial = || {
        let (content, said) = server.s_client(&["-servername", "localhost"]);
        assert!(content, "{said}");
        let from = said.find("BEGIN CERTIFICATE").unwrap();
        said[from..from + 200].to_owned()
    };
    let before = serial();
    assert_eq!(before, serial());
    server.resolver.swap(serve(&issue(&server.authority, &["localhost"])));
    assert_ne!(before, serial());
}

#[test]
fn curl_believes_the_root_and_nothing_else() {
    let server =
        Server::start(&["localhost"], &Options { alpn: vec![proxyfile::tls::Alpn::Http11], ..Options::default() });
    let root = server.root();
    let url = format!("https://localhost:{}/", server.address.port());
    let curl = |arguments: &[&str]| {
        let fixed = ["--silent", "--show-error", "--noproxy", "*", "--ipv4", "--max-time", "20"];
        let output = Command::new("curl").args(fixed).args(arguments).arg(&url).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, body) = curl(&["--cacert", &root]);
    assert_eq!(code, Some(0));
    assert_eq!(body, "facts: TLSv1.3 TLS_AES_256_GCM_SHA384 http/1.1 localhost full\n");
    // 60: the peer's certificate cannot be authenticated.
    assert_eq!(curl(&[]).0, Some(60));
}

#[tokio::test]
async fn a_client_that_can_takes_the_hybrid_group() {
    let server = Server::start(&["localhost"], &Options::default());
    let verify = Verify::Authorities(server.root_file());
    let client = Client::build(&ClientOptions { verify, ..ClientOptions::default() }, &SystemRoots::default()).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = client.connect(stream, server_name("localhost").unwrap()).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}
