//! Certificates of rp's own authority are renewed by what is in force, whatever the files say meanwhile.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::harness::h3::quic;
use crate::harness::{Authority, Client, Folder, Program, Proxy, door, eventually, installed};
use crate::running::{Placed, Running, placed};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const DAY: u64 = 24 * 3600;

/// The clocks of a process, which can be set ahead: its timers run out with them.
struct Clock(Folder);

impl Clock {
    fn of(mut placed: Placed) -> (Self, Placed) {
        assert!(std::path::Path::new(LIBRARY).exists(), "install Debian's package faketime");
        let folder = Folder::new();
        let file = folder.write("clock", "+0\n");
        placed.setup = placed
            .setup
            .with("LD_PRELOAD", LIBRARY)
            .with("FAKETIME_TIMESTAMP_FILE", file.display())
            .with("FAKETIME_NO_CACHE", "1");
        (Self(folder), placed)
    }

    /// In one step: a file that is empty for a moment would be the real time.
    fn set_ahead(&self, seconds: u64) {
        let next = self.0.write("next", format!("+{seconds}\n"));
        std::fs::rename(next, self.0.path().join("clock")).unwrap();
    }
}

/// A client's clock, so much ahead.
#[derive(Debug)]
struct Ahead(u64);

impl TimeProvider for Ahead {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + self.0)))
    }
}

/// Believes the root that lies in the process's storage, and nobody else.
fn believer(proxy: &Proxy, ahead: u64, alpn: &str) -> ClientConfig {
    let root = proxy.folder.path().join("xdg_data_home/rp/internal/root.crt");
    believer_of(&std::fs::read(root).unwrap(), ahead, alpn)
}

fn believer_of(root: &[u8], ahead: u64, alpn: &str) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Ahead(ahead)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

/// The site's certificate, as a client sees it that believes what it is shown.
fn shown(proxy: &Proxy, name: &str, config: ClientConfig) -> Result<Vec<u8>, String> {
    shake(proxy, name, &Arc::new(config)).map(|session| session.peer_certificates().unwrap()[0].to_vec())
}

/// A handshake, and all of an answer, with which tickets come.
fn shake(proxy: &Proxy, name: &str, config: &Arc<ClientConfig>) -> Result<ClientConnection, String> {
    use std::io::{Read as _, Write as _};
    let mut session = ClientConnection::new(Arc::clone(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut tcp = std::net::TcpStream::connect(proxy.address()).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut tcp);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{name}: {}", String::from_utf8_lossy(&answer));
    Ok(session)
}

/// Waits until another certificate than this one is shown to who believes the authority, at that time.
fn replaced(proxy: &Proxy, name: &str, before: &[u8], ahead: u64) -> Vec<u8> {
    eventually("another certificate", || {
        // Whoever asks wakes the process, and it finds what time it is.
        proxy.status();
        shown(proxy, name, believer(proxy, ahead, "http/1.1")).ok().filter(|now| now != before)
    })
}

fn site(text: &str) -> String {
    format!(
        "global {{ admin unix/{{$PLACE}}/admin.sock }}\nhttps://localhost:0 {{\n    bind 127.0.0.1\n    respond \"{text}\"\n}}\n"
    )
}

/// In one step: a file that is empty for a moment is another one, too.
fn save(proxy: &Proxy, config: &str) {
    let next = proxy.folder.write("Proxyfile.next", config);
    std::fs::rename(next, &proxy.config).unwrap();
}

fn says(proxy: &Proxy, ahead: u64) -> String {
    let config = Arc::new(believer(proxy, ahead, "http/1.1"));
    Client::tls(proxy.address(), "localhost", config).unwrap().get("localhost", "/").text().to_owned()
}

#[test]
fn a_file_that_is_refused_keeps_no_certificate_from_being_renewed() {
    let (clock, placed) = Clock::of(placed(&site("one")));
    let proxy = placed.start_in_place();
    let first = shown(&proxy, "localhost", believer(&proxy, 0, "http/1.1")).unwrap();
    save(&proxy, "localhost { respond");
    proxy.refused(1);
    let mut before = first;
    // The last two are days on which the first one, and then the authority's own, are over.
    for days in [4, 8, 29, 36] {
        clock.set_ahead(days * DAY);
        before = replaced(&proxy, "localhost", &before, days * DAY);
        assert_eq!(says(&proxy, days * DAY), "one");
    }
    assert_eq!((proxy.reloads(), proxy.refusals()), (0, 1));
    let status = proxy.status();
    assert_eq!((&status["reloads"]["done"], &status["reloads"]["refused"]), (&0.into(), &1.into()));
    assert_eq!(status["certificates"]["first"]["days"], 6, "what is told of it is of the new one: {status}");
}

#[test]
fn a_renewal_puts_nothing_in_force_that_nobody_asked_for() {
    let (clock, mut placed) = Clock::of(placed(&site("one")));
    placed.setup = placed.setup.arguments(&["--no-watch"]);
    let proxy = placed.start_in_place();
    let first = shown(&proxy, "localhost", believer(&proxy, 0, "http/1.1")).unwrap();
    save(&proxy, &site("two"));
    clock.set_ahead(4 * DAY);
    let second = replaced(&proxy, "localhost", &first, 4 * DAY);
    assert_eq!((says(&proxy, 4 * DAY).as_str(), proxy.reloads()), ("one", 0));
    // A reload takes over what is good.
    assert!(proxy.ask(&["reload"]).status.success());
    assert_eq!(says(&proxy, 4 * DAY), "two");
    assert_eq!(shown(&proxy, "localhost", believer(&proxy, 4 * DAY, "http/1.1")), Ok(second));
}

#[test]
fn a_storage_that_is_lost_keeps_no_certificate_from_being_renewed() {
    let (clock, placed) = Clock::of(placed(&site("one")));
    let proxy = placed.start_in_place();
    let folder = proxy.folder.path().join("xdg_data_home/rp/internal");
    let root = std::fs::read(folder.join("root.crt")).unwrap();
    let believed = |ahead| shown(&proxy, "localhost", believer_of(&root, ahead, "http/1.1"));
    let first = believed(0).unwrap();
    // From here on nobody has opened it for what is in force.
    save(&proxy, &site("two"));
    proxy.reloaded(1);
    assert_eq!(believed(0).as_ref(), Ok(&first), "a reload takes over what is good");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let mut before = first;
    for days in [4, 8] {
        clock.set_ahead(days * DAY);
        before = eventually("another certificate", || {
            proxy.status();
            believed(days * DAY).ok().filter(|now| *now != before)
        });
    }
    assert_eq!(proxy.log_text().matches("the internal authority goes on as it is known").count(), 1);
    assert_eq!((proxy.reloads(), proxy.refusals()), (1, 0));
}

#[test]
fn whatever_way_a_client_comes_it_is_shown_the_next_certificate() {
    let authority = Authority::new();
    let staff = authority.client_identity("staff", 7);
    let folder = Folder::new();
    let config = "global { admin unix/{$PLACE}/admin.sock }
https://a.internal:0 { bind 127.0.0.1; respond hello }
https://127.0.0.1:0 { bind 127.0.0.1; respond address }
https://:0 { bind 127.0.0.1; tls internal; respond any }
https://staff.internal:0 {
    bind 127.0.0.1
    tls internal { client_auth { ca {$CA} } }
    respond \"{tls.client.subject}\"
}
";
    let (clock, mut placed) = Clock::of(placed(config));
    placed.setup = placed.setup.with("CA", folder.write("ca.pem", authority.pem()).display());
    // A file that is a moment old is read twice, and that would be a reload.
    placed.setup = placed.setup.arguments(&["--no-watch"]);
    let proxy = placed.start_in_place();
    let identified = |ahead| {
        let mut config = believer(&proxy, ahead, "http/1.1");
        config.client_auth_cert_resolver = staff.client_of(&authority, &[]).client_auth_cert_resolver.clone();
        config
    };
    let over_quic = |ahead| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = Arc::new(believer(&proxy, ahead, "h3"));
        runtime.block_on(async {
            let (_endpoint, connection) = quic(proxy.address(), "a.internal", config).await.ok()?;
            let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer>>().ok()?;
            Some(chain[0].to_vec())
        })
    };
    let all = |ahead| {
        let over_tcp = |name| shown(&proxy, name, believer(&proxy, ahead, "http/1.1"));
        let anybody = over_tcp("localhost");
        let chains =
            [over_tcp("a.internal"), over_tcp("127.0.0.1"), shown(&proxy, "staff.internal", identified(ahead))];
        assert_eq!(over_quic(ahead).as_ref(), chains[0].as_ref().ok(), "one for TCP and UDP");
        [chains.to_vec(), vec![anybody]].concat()
    };
    let before = all(0);
    clock.set_ahead(4 * DAY);
    for (name, before) in ["a.internal", "127.0.0.1"].into_iter().zip(&before) {
        replaced(&proxy, name, before.as_ref().unwrap(), 4 * DAY);
    }
    let after = all(4 * DAY);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.as_ref().unwrap(), after.as_ref().unwrap());
    }
    // Whom it does not know it lets in no more than before, and sessions go on.
    let mut stranger = Client::tls(proxy.address(), "staff.internal", Arc::new(believer(&proxy, 4 * DAY, "http/1.1")));
    assert!(stranger.as_mut().map_or(true, |client| {
        client.send("GET / HTTP/1.1\r\nHost: staff.internal\r\n\r\n").try_response().map_or(true, |it| it.is_none())
    }));
    for (name, config) in
        [("a.internal", believer(&proxy, 4 * DAY, "http/1.1")), ("staff.internal", identified(4 * DAY))]
    {
        let config = Arc::new(config);
        let kinds = [(); 2].map(|()| shake(&proxy, name, &config).unwrap().handshake_kind());
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{name}");
    }
    assert_eq!(proxy.reloads(), 0);
}

#[test]
fn what_is_shown_while_the_storage_is_away_is_replaced_when_it_is_back() {
    let redis = door();
    let config =
        site("one").replace("global {", "global { storage redis redis://{$REDIS} { timeout 500ms; copy off };");
    let (clock, mut placed) = Clock::of(placed(&config));
    placed.setup = placed.setup.with("REDIS", redis);
    let proxy = placed.start_in_place();
    // What is shown, and how long it is good for.
    let passing = || {
        let der = seen(&proxy);
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let until = parsed.validity().not_after.timestamp();
        (der, until - i64::try_from(UnixTime::now().as_secs()).unwrap())
    };
    let (first, until) = passing();
    assert!((240..=300).contains(&until), "{until}");
    save(&proxy, "localhost { respond");
    proxy.refused(1);
    clock.set_ahead(3600);
    eventually("another one", || {
        proxy.status();
        let (now, until) = passing();
        (now != first && (3600 + 200..=3600 + 300).contains(&until)).then_some(())
    });
    let told = |what| proxy.log_text().matches(what).count();
    assert_eq!((told("a certificate that nobody trusts"), told("not renewed")), (1, 0), "it is told once");
    let server = Program::start(
        Folder::new(),
        Command::new(installed("redis-server", "redis-server")).args([
            "--save",
            "",
            "--bind",
            "127.0.0.1",
            "--port",
            &redis.port().to_string(),
        ]),
        &[redis],
    );
    clock.set_ahead(2 * 3600);
    eventually("one that is trusted", || {
        proxy.status();
        let root = Command::new("redis-cli")
            .args(["-p", &redis.port().to_string(), "--raw", "GET", "rp:internal/root.crt"])
            .output()
            .unwrap();
        let root = String::from_utf8(root.stdout).unwrap();
        let config = root.starts_with("-----BEGIN").then(|| believer_of(root.as_bytes(), 2 * 3600, "http/1.1"))?;
        shown(&proxy, "localhost", config).ok()
    });
    drop(server);
    assert_eq!((proxy.reloads(), proxy.refusals()), (0, 1));
}

/// What is shown to whoever asks, believed or not.
fn seen(proxy: &Proxy) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(["s_client", "-servername", "localhost", "-connect", &proxy.address().to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    child.wait().unwrap();
    CertificateDer::from_pem_slice(&text).unwrap().to_vec()
}
