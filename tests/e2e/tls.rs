//! Requirements T: HTTPS towards clients and towards servers.

use rustls::pki_types::pem::PemObject as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::{Authority, Client, Folder, H2, Identity, Origin, Proxy, Setup, free_port, get, of, run};

/// A site with a certificate of this authority.
fn site(statements: &str, identity: &Identity, folder: &Folder) -> Setup {
    let (certificate, key) = identity.save(folder, "site");
    of(&format!("https://:0 {{\n bind 127.0.0.1\n tls {{$CERT}} {{$KEY}}\n {statements}\n}}"))
        .with("CERT", certificate.display())
        .with("KEY", key.display())
}

fn simple() -> (Authority, Proxy) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let proxy = site("respond \"{scheme} {host}\"", &authority.issue(&["example.com"]), &folder).start();
    (authority, proxy)
}

/// What `openssl s_client` says to these arguments.
fn s_client(proxy: &Proxy, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address().to_string(), "-servername", "example.com"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is here");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn t01_tls_ends_here_and_the_origin_gets_plain_http() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), Origin::saying("hello"));
    let proxy =
        site("reverse_proxy {$ORIGIN}", &authority.issue(&["example.com"]), &folder).with("ORIGIN", &origin).start();
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&["http/1.1"])).unwrap();
    assert_eq!(client.alpn.as_deref(), Some(&b"http/1.1"[..]));
    let response = client.get("example.com", "/");
    assert_eq!(response.text(), "hello");
    assert_eq!(origin.request().field("x-forwarded-proto"), Some("https"));
    let line = proxy.logged_for(&response);
    assert_eq!((&line["scheme"], &line["tls_version"]), (&"https".into(), &"TLSv1.3".into()));
    let response = run(async {
        let mut client = H2::tls(proxy.address(), "example.com", authority.client(&["h2", "http/1.1"])).await;
        client.get("example.com", "/").await
    });
    assert_eq!(response.body, b"hello");
}

#[test]
fn t01_another_certificate_is_not_believed() {
    let (_, proxy) = simple();
    assert!(Client::tls(proxy.address(), "example.com", Authority::new().client(&[])).is_err());
}

#[test]
fn t04_http_is_sent_on_to_https_with_path_and_query() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let (http, https) = (free_port(), free_port());
    let proxy = of(&format!(
        "global {{ http_port {http}; https_port {https} }}
         example.com {{ bind 127.0.0.1; tls {{$CERT}} {{$KEY}}; respond secure }}"
    ))
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .doors(2)
    .start();
    let door = |port: u16| *proxy.doors.iter().find(|door| door.port() == port).unwrap();
    for (host, target) in
        [("example.com", "/a/b?c=d&e"), ("EXAMPLE.com:80", "//evil.example/"), ("example.com", "/%2e%2e/x")]
    {
        let response = get(door(http), host, target);
        assert_eq!(response.status(), 308);
        let location = response.field("location").unwrap();
        let expected = format!("https://example.com:{https}/");
        assert!(location.to_lowercase().starts_with(&expected), "{location}");
        assert!(!location[expected.len()..].starts_with('/'), "{location}");
    }
    let response = get(door(http), "example.com", "/a/b?c=d&e");
    assert_eq!(response.field("location"), Some(&*format!("https://example.com:{https}/a/b?c=d&e")));
    let mut client = Client::tls(door(https), "example.com", authority.client(&[])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "secure");
}

#[test]
fn t05_only_tls_1_2_and_1_3_are_spoken() {
    let (_, proxy) = simple();
    for (flag, works) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false), ("-tls1", false)] {
        let said = s_client(&proxy, &[flag, "-cipher", "ALL@SECLEVEL=0", "-brief"], b"");
        assert_eq!(said.contains("CONNECTION ESTABLISHED"), works, "{flag}: {said}");
    }
}

#[test]
fn t05_http2_is_preferred_and_unknown_protocols_are_refused() {
    let (_, proxy) = simple();
    assert!(s_client(&proxy, &["-alpn", "http/1.1,h2"], b"").contains("ALPN protocol: h2"));
    assert!(s_client(&proxy, &["-alpn", "http/1.1"], b"").contains("ALPN protocol: http/1.1"));
    assert!(!s_client(&proxy, &["-alpn", "smtp"], b"").contains("ALPN protocol: smtp"));
}

#[test]
fn t05_a_client_is_not_talked_down_to_an_older_version() {
    let (_, proxy) = simple();
    let said = s_client(&proxy, &["-tls1_2", "-fallback_scsv", "-brief"], b"");
    assert!(said.contains("inappropriate fallback"), "{said}");
    assert_eq!(proxy.said("TLS handshake failed")["reason"], "inappropriate_fallback");
    let said = s_client(&proxy, &["-fallback_scsv", "-brief"], b"");
    assert!(said.contains("CONNECTION ESTABLISHED"), "with the newest version it means nothing: {said}");
}

#[test]
fn t13_a_handshake_that_fails_is_logged_with_its_reason() {
    let (_, proxy) = simple();
    s_client(&proxy, &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], b"");
    let line = proxy.said("TLS handshake failed");
    assert_eq!((&line["peer"], &line["reason"]), (&"127.0.0.1".into(), &"version".into()));
    assert_eq!((&line["versions"], &line["alpn"]), (&"TLSv1.1".into(), &"-".into()));
    let (_, proxy) = simple();
    s_client(&proxy, &["-tls1_3", "-alpn", "smtp,imap"], b"");
    let line = proxy.said("TLS handshake failed");
    assert_eq!((&line["sni"], &line["reason"]), (&"example.com".into(), &"alpn".into()));
    assert_eq!((&line["versions"], &line["alpn"]), (&"TLSv1.3".into(), &"smtp imap".into()));
}

#[test]
fn t15_the_end_of_a_connection_is_said() {
    let (_, proxy) = simple();
    let said = s_client(
        &proxy,
        &["-quiet", "-ign_eof", "-msg"],
        b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
    );
    assert!(said.lines().any(|line| line.starts_with("<<<") && line.contains("Alert")), "no close_notify: {said}");
}

#[test]
fn t15_the_chain_is_sent_whole() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let mut identity = authority.issue(&["example.com"]);
    identity.certificate += &authority.pem();
    let proxy = site("respond ok", &identity, &folder).start();
    let said = s_client(&proxy, &["-showcerts"], b"");
    assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 2, "{said}");
}

#[test]
fn t09_servers_are_spoken_to_over_tls_and_verified() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.pem());
    let origin = Origin::tls(authority.issue(&["app.internal"]).server(&[]), |_, wire| wire.ok("verified"));
    let start = |options: &str| {
        of(&format!(":0 {{\n bind 127.0.0.1\n reverse_proxy https://{{$ORIGIN}} {{ tls {{ {options} }} }}\n}}"))
            .with("ORIGIN", &origin)
            .with("CA", ca.display())
            .start()
    };
    let response = start("ca {$CA}; name app.internal").get("/");
    assert_eq!((response.status(), response.text()), (200, "verified"));
    assert_eq!(start("ca {$CA}").get("/").status(), 502, "the address is not in the certificate");
    assert_eq!(start("name app.internal").get("/").status(), 502, "the system does not know the authority");
    assert_eq!(start("verify off").get("/").text(), "verified");
}

#[test]
fn t09_a_server_that_offers_http2_is_spoken_to_in_it() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.pem());
    let origin = Origin::tls(authority.issue(&["app.internal"]).server(&["http/1.1"]), |_, wire| wire.ok("one"));
    let proxy =
        of(":0 {\n bind 127.0.0.1\n reverse_proxy https://{$ORIGIN} { tls { ca {$CA}; name app.internal } }\n}")
            .with("ORIGIN", &origin)
            .with("CA", ca.display())
            .start();
    for _ in 0..3 {
        assert_eq!(proxy.get("/").text(), "one");
    }
    assert!(origin.requests().iter().all(|request| request.start.ends_with("HTTP/1.1")));
}

#[test]
fn t09_a_server_can_ask_for_a_certificate() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.pem());
    let mine = authority.issue_with(&["proxy.internal"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (certificate, key) = mine.save(&folder, "client");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider.clone())
            .build()
            .unwrap();
    let mut config = (*authority.issue(&["app.internal"]).server(&[])).clone();
    let resolver = config.cert_resolver.clone();
    config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    let origin = Origin::tls(Arc::new(config), |_, wire| wire.ok("known"));
    let start = |options: &str| {
        of(&format!(
            ":0 {{\n bind 127.0.0.1\n reverse_proxy https://{{$ORIGIN}} {{ tls {{ ca {{$CA}}; name app.internal; {options} }} }}\n}}"
        ))
        .with("ORIGIN", &origin)
        .with("CA", ca.display())
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start()
    };
    assert_eq!(start("certificate {$CERT} {$KEY}").get("/").text(), "known");
    assert_eq!(start("").get("/").status(), 502);
}

#[test]
fn t10_one_certificate_serves_many_sites() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["*.example.com", "example.org"]).save(&folder, "site");
    let proxy = of("https://a.example.com:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; respond a }
         https://b.example.com:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; respond b }
         https://example.org:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; respond c }")
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .start();
    for (name, text) in [("a.example.com", "a"), ("b.example.com", "b"), ("example.org", "c")] {
        let mut client = Client::tls(proxy.address(), name, authority.client(&[])).unwrap();
        assert_eq!(client.get(name, "/").text(), text);
    }
}

#[test]
fn t14_a_server_with_another_tls_is_told_in_the_log() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.pem());
    let origin = Origin::tls(authority.issue(&["localhost"]).server(&["smtp"]), |_, wire| wire.ok("never"));
    let proxy = of(":0 {\n bind 127.0.0.1\n reverse_proxy https://localhost:{$PORT} { tls { ca {$CA} } }\n}")
        .with("PORT", origin.address.port())
        .with("CA", ca.display())
        .start();
    let response = proxy.get("/");
    assert_eq!(response.status(), 502);
    assert_eq!(proxy.logged_for(&response)["error"], "upstream_tls");
}

#[test]
fn t17_localhost_is_served_by_an_authority_of_its_own() {
    let proxy = of("localhost:0 { respond \"hello {scheme}\" }").start();
    let root = find(proxy.folder.path(), "root").expect("the authority's certificate is kept");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_file_iter(&root).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = crate::harness::client_config(roots, &[]);
    let mut client = Client::tls(proxy.address(), "localhost", config).unwrap();
    assert_eq!(client.get("localhost", "/").text(), "hello https");
}

/// A certificate below this folder whose name begins so.
fn find(folder: &std::path::Path, start: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            return find(&path, start);
        }
        (name.starts_with(start) && !name.contains("key")).then_some(path)
    })
}

#[test]
fn xt08_names_that_are_unknown_get_a_clear_answer() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let proxy = of("https://example.com:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; respond ok }")
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start();
    let Err(error) = Client::tls(proxy.address(), "other.example", authority.client(&[])) else { panic!("served") };
    assert!(error.contains("UnrecognizedName") || error.contains("UnrecognisedName"), "{error}");
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&[])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "ok");
    assert_eq!(client.get("other.example", "/").status(), 421, "a name behind another's certificate");
}

#[test]
fn e03_one_line_is_a_whole_configuration() {
    let origin = Origin::saying("app");
    let (http, https) = (free_port(), free_port());
    // The ports alone are not those that anybody would write: this process may not have the usual ones.
    let proxy =
        of(&format!("global {{ http_port {http}; https_port {https} }}\nlocalhost {{ reverse_proxy {{$ORIGIN}} }}"))
            .with("ORIGIN", &origin)
            .doors(2)
            .start();
    let plain = get(([127, 0, 0, 1], http).into(), "localhost", "/x?y");
    assert_eq!((plain.status(), plain.field("location")), (308, Some(&*format!("https://localhost:{https}/x?y"))));
    let root = find(proxy.folder.path(), "root").unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", "--write-out", " %{http_version}", "--cacert"])
        .arg(&root)
        .args(["--resolve", &format!("localhost:{https}:127.0.0.1"), &format!("https://localhost:{https}/x?y")])
        .output()
        .expect("curl is here");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "app 2", "{}", String::from_utf8_lossy(&output.stderr));
    let request = origin.request();
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn a_shutdown_waits_for_no_handshake() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let mut proxy = site("respond ok", &authority.issue(&["example.com"]), &folder).start();
    let (mut silent, mut half) = (proxy.client(), proxy.client());
    // The head of a record that never comes.
    half.send(b"\x16\x03\x01\x02\x00\x01");
    // Both are there once this one, which came after them, has been served.
    let config = authority.client(&[]);
    assert_eq!(Client::tls(proxy.address(), "example.com", config).unwrap().get("example.com", "/").status(), 200);
    let start = std::time::Instant::now();
    proxy.signal(rustix::process::Signal::TERM);
    silent.assert_closed();
    half.assert_closed();
    assert!(proxy.wait().success());
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
