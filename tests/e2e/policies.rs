//! Requirements T05, T06 and T10 for each site: what one demands of handshakes holds for its names and for no others.

use std::sync::Arc;

use crate::harness::{
    Ask, Authority, Client, Folder, H2, H3, Proxy, SECURE, Speaker, each_of, eventually, of, run, sites,
};

/// A client of one version alone.
fn speaks(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[&str],
) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[test]
fn t05_a_site_has_its_own_versions() {
    let authority = Authority::new();
    let proxy =
        sites(&authority, &[("old.test", ""), ("new.test", "{ versions 1.3 }"), ("fixed.test", "{ versions 1.2 }")]);
    for (name, with_12, with_13) in [("old.test", true, true), ("new.test", false, true), ("fixed.test", true, false)] {
        for (version, works) in [(&rustls::version::TLS12, with_12), (&rustls::version::TLS13, with_13)] {
            let client = Client::tls(proxy.address(), name, speaks(&authority, version, &[]));
            match client {
                Ok(mut client) => {
                    assert!(works, "{name} {version:?}");
                    let spoken = if with_13 && *version == rustls::version::TLS13 { "TLSv1.3" } else { "TLSv1.2" };
                    assert_eq!(client.get(name, "/").text(), format!("{name} {spoken}"));
                }
                Err(error) => assert!(!works && error.contains("ProtocolVersion"), "{name} {version:?}: {error}"),
            }
        }
    }
}

#[test]
fn t06_a_site_has_its_own_suites_curves_and_protocols() {
    let authority = Authority::new();
    let proxy = sites(
        &authority,
        &[
            ("usual.test", ""),
            ("narrow.test", "{ suites TLS_CHACHA20_POLY1305_SHA256; versions 1.3; curves p384; alpn http/1.1 }"),
        ],
    );
    let shake = |name: &'static str| {
        let config = authority.client(&["h2", "http/1.1"]);
        let mut session = rustls::ClientConnection::new(config, name.try_into().unwrap()).unwrap();
        let mut tcp = std::net::TcpStream::connect(proxy.address()).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut tcp).unwrap();
        }
        (
            session.negotiated_cipher_suite().unwrap().suite(),
            session.negotiated_key_exchange_group().unwrap().name(),
            session.alpn_protocol().map(<[u8]>::to_vec),
        )
    };
    let (_, group, alpn) = shake("usual.test");
    assert_eq!((group, alpn.as_deref()), (rustls::NamedGroup::X25519MLKEM768, Some(&b"h2"[..])));
    let (suite, group, alpn) = shake("narrow.test");
    assert_eq!(suite, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    assert_eq!((group, alpn.as_deref()), (rustls::NamedGroup::secp384r1, Some(&b"http/1.1"[..])));
}

#[test]
fn t10_a_folder_has_the_certificates_of_many_sites() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let put = |file: &str, names: &[&str]| authority.issue(names).save(&folder, file);
    put("one", &["one.test"]);
    put("wild", &["*.two.test"]);
    put("any", &["elsewhere.test"]);
    let proxy = of("https://one.test:0, https://a.two.test:0 { bind 127.0.0.1; tls {$FOLDER}/; respond named }
         https://:0 { bind 127.0.0.1; tls {$FOLDER}/; respond any }")
    .with("FOLDER", folder.path().display())
    .start();
    let said = |name: &str| {
        Client::tls(proxy.address(), name, authority.client(&[]))
            .map(|mut client| client.get(name, "/").text().to_owned())
    };
    assert_eq!(said("one.test").as_deref(), Ok("named"));
    assert_eq!(said("a.two.test").as_deref(), Ok("named"));
    assert_eq!(said("b.two.test").as_deref(), Ok("any"));
    assert_eq!(said("elsewhere.test").as_deref(), Ok("any"));
    assert!(said("late.test").is_err());
    // Whoever puts one there need tell nobody. The key comes first, as a careful script has it.
    let late = authority.issue(&["late.test"]);
    folder.write("late.key", &late.key);
    folder.write("late.pem", &late.certificate);
    assert_eq!(eventually("the new certificate", || said("late.test").ok()), "any");
    each_of(&SECURE, |over| {
        let said = |name: &str| Speaker::connect_to(proxy.address(), over, name, &authority).get("/").text().to_owned();
        assert_eq!(["one.test", "b.two.test", "late.test"].map(said), ["named", "any", "any"]);
    });
}

#[test]
fn t05_http2_is_left_out_where_a_site_does_not_want_it() {
    let authority = Authority::new();
    let proxy = sites(&authority, &[("usual.test", ""), ("old.test", "{ alpn http/1.1 }")]);
    let mut client = Client::tls(proxy.address(), "old.test", authority.client(&["h2", "http/1.1"])).unwrap();
    assert_eq!(client.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(client.get("old.test", "/").status(), 200);
    assert!(Client::tls(proxy.address(), "old.test", authority.client(&["h2"])).is_err());
    let response = run(async {
        let mut client = H2::tls(proxy.address(), "usual.test", authority.client(&["h2"])).await;
        client.get("usual.test", "/").await
    });
    assert_eq!(response.status, 200);
}

#[test]
fn xt08_a_site_can_stand_in_for_names_that_are_unknown() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["a.test", "b.test", "127.0.0.1"]).save(&folder, "site");
    let start = |global: &str| {
        of(&format!(
            "global {{ {global} }}
             https://a.test:0 {{ bind 127.0.0.1; tls {{$CERT}} {{$KEY}} {{ versions 1.3 }}; respond a }}
             https://b.test:0 {{ bind 127.0.0.1; tls {{$CERT}} {{$KEY}}; respond b }}"
        ))
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start()
    };
    // What the certificate is for has been tested elsewhere: these clients look at the version alone.
    let shown = |proxy: &Proxy, arguments: &[&str]| {
        let output = std::process::Command::new("openssl")
            .args(["s_client", "-connect", &proxy.address().to_string(), "-brief"])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl is here");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        said.contains("CONNECTION ESTABLISHED")
    };
    let none = ["-noservername"];
    let unknown = ["-servername", "unknown.test"];
    let old = ["-servername", "unknown.test", "-tls1_2"];
    let proxy = start("workers 1");
    assert!(!shown(&proxy, &none) && !shown(&proxy, &unknown));
    let proxy = start("default_sni b.test");
    assert!(shown(&proxy, &none) && !shown(&proxy, &unknown));
    assert!(shown(&proxy, &["-noservername", "-tls1_2"]));
    // Its options come along with its certificate.
    let proxy = start("fallback_sni a.test");
    assert!(!shown(&proxy, &none) && shown(&proxy, &unknown) && !shown(&proxy, &old));
    assert!(
        Client::tls(proxy.address(), "127.0.0.1", authority.client(&[])).is_err(),
        "an address is asked for by no name"
    );
    let proxy = start("fallback_sni a.test; default_sni a.test");
    each_of(&SECURE, |over| {
        let mut nameless = Speaker::connect_to(proxy.address(), over, "127.0.0.1", &authority);
        assert_eq!(nameless.ask(Ask::get("/").host("a.test")).text(), "a");
        assert_eq!(nameless.ask(Ask::get("/").host("b.test")).status(), 421);
    });
}

#[test]
fn the_keys_of_sessions_are_written_where_somebody_asks_for_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["a.test"]).save(&folder, "site");
    let log = folder.path().join("keys.log");
    let proxy = of("global { key_log {$LOG} }
         https://a.test:0 { bind 127.0.0.1; tls {$CERT} {$KEY}; respond ok }")
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .with("LOG", log.display())
    .start();
    let said = proxy.said("the keys of TLS sessions are written to a file: who has it can read the traffic");
    assert_eq!(said["level"], "warn");
    let mut client = Client::tls(proxy.address(), "a.test", authority.client(&[])).unwrap();
    assert_eq!(client.get("a.test", "/").text(), "ok");
    let known = || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")).count()
    };
    each_of(&SECURE, |over| {
        let before = known();
        assert_eq!(Speaker::connect_to(proxy.address(), over, "a.test", &authority).get("/").text(), "ok");
        assert_eq!(known(), before + 1);
    });
    let text = std::fs::read_to_string(&log).unwrap();
    let first = text.lines().find(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")).expect("it is there");
    let lengths: Vec<usize> = first.split(' ').map(str::len).collect();
    assert_eq!(lengths[1], 64, "{first}");
    assert_eq!(lengths[2], 96, "of SHA-384: {first}");
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn t09_the_versions_that_servers_are_spoken_to_in_are_chosen() {
    use crate::harness::Origin;
    let (authority, folder) = (Authority::new(), Folder::new());
    let ca = folder.write("ca.pem", authority.pem());
    let identity = authority.issue(&["localhost"]);
    let old = Origin::tls(identity.server_of(&[], &[&rustls::version::TLS12]), |_, wire| wire.ok("old"));
    let new = Origin::tls(identity.server_of(&[], &[&rustls::version::TLS13]), |_, wire| wire.ok("new"));
    let status = |origin: &Origin, versions: &str| {
        of(&format!(
            ":0 {{\n bind 127.0.0.1\n reverse_proxy https://localhost:{{$PORT}} {{ tls {{ ca {{$CA}}; {versions} }} }}\n}}"
        ))
        .with("PORT", origin.address.port())
        .with("CA", ca.display())
        .start()
        .get("/")
        .status()
    };
    assert_eq!((status(&old, ""), status(&new, "")), (200, 200));
    assert_eq!((status(&old, "versions 1.3"), status(&new, "versions 1.3")), (502, 200));
    assert_eq!((status(&old, "versions 1.2"), status(&new, "versions 1.2")), (200, 502));
}

#[test]
fn clients_are_known_by_how_they_greet_over_quic_too() {
    let authority = Authority::new();
    let folder = Folder::new();
    let (certificate, key) = authority.issue(&["a.test"]).save(&folder, "site");
    let proxy = of("https://a.test:0 {
        bind 127.0.0.1
        tls {$CERT} {$KEY}
        when ja4 q13d03* t13d03* { respond 403 }
        respond \"{tls.ja4}\"
    }")
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .start();
    // One suite that every client of QUIC has, and all of them.
    let client = |suites: usize, alpn: &str| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suite.version() == &rustls::version::TLS13);
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        provider.cipher_suites.truncate(suites);
        let mut config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Arc::new(config)
    };
    let over_tcp = |suites: usize| {
        let answer = Client::tls(proxy.address(), "a.test", client(suites, "http/1.1")).unwrap().get("a.test", "/");
        (answer.status(), answer.text().to_owned())
    };
    let over_quic = |suites: usize| {
        run(async {
            let mut client = H3::connect(proxy.address(), "a.test", client(suites, "h3")).await;
            let answer = client.get("a.test", "/").await;
            (answer.status.as_u16(), answer.text().to_owned())
        })
    };
    let ((status, tcp), (again, quic)) = (over_tcp(1), over_quic(1));
    assert_eq!((status, again), (200, 200));
    let (tcp, quic): (Vec<&str>, Vec<&str>) = (tcp.split('_').collect(), quic.split('_').collect());
    // The digest of `1301`; the parameters of QUIC are an extension of their own.
    assert_eq!((tcp[1], quic[1]), ("0f2cb44170f4", "0f2cb44170f4"));
    assert!(tcp[0].starts_with("t13d01") && tcp[0].ends_with("h1"), "{tcp:?}");
    assert!(quic[0].starts_with("q13d01") && quic[0].ends_with("h3"), "{quic:?}");
    assert_ne!(tcp[2], quic[2]);
    assert_eq!((over_tcp(3).0, over_quic(3).0), (403, 403));
}

#[test]
fn clients_are_known_by_how_they_greet() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["a.test"]).save(&folder, "site");
    let proxy = of("https://a.test:0 {
        bind 127.0.0.1
        tls {$CERT} {$KEY}
        route ja4 t12* { respond 403 }
        when ja4 t13d0311h1_342068d8c85c_37c09640425f and sni *.test { header set X-Known {tls.sni} }
        respond \"{tls.ja4}\"
    }")
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .start();
    let ask = |arguments: &[&str]| {
        let mut child = std::process::Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &proxy.address().to_string(), "-servername", "a.test"])
            .args(["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-ciphersuites", "TLS_AES_128_GCM_SHA256"])
            .args(["-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256", "-groups", "P-256"])
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl is here");
        let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), request).unwrap();
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
    };
    // What `openssl s_client -trace` shows of this hello: 1301, c02b and 00ff; the extensions 0, a, b, d, 10, 16, 17, 23, 2b, 2d
    // and 33. The digests are those of `00ff,1301,c02b` and of
    // `000a,000b,000d,0016,0017,0023,002b,002d,0033_0403,0804`.
    let said = ask(&["-alpn", "http/1.1"]);
    assert!(said.ends_with("t13d0311h1_342068d8c85c_37c09640425f"), "{said}");
    assert!(said.contains("x-known: a.test\r\n"), "{said}");
    assert!(!ask(&[]).contains("x-known"));
    assert!(ask(&["-tls1_2"]).contains("403 Forbidden"));
}
