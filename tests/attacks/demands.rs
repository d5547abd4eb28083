//! Threats XT01 to XT05: sites that demand different things of handshakes, and clients that look for a way around it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::{Authority, Client, Folder, H2, Origin, Proxy, command, eventually, of, run, sites};

/// The status of a request for `host` on a connection that asked for `sni`, over both protocols.
fn statuses(proxy: &Proxy, authority: &Authority, sni: &str, host: &str) -> (u16, u16) {
    let mut client = Client::tls(proxy.address(), sni, authority.client(&["http/1.1"])).unwrap();
    let first = client.get(host, "/").status();
    let second = run(async {
        let mut client = H2::tls(proxy.address(), sni, authority.client(&["h2"])).await;
        client.get(host, "/").await.status.as_u16()
    });
    (first, second)
}

#[test]
fn xt02_a_request_on_a_connection_with_other_demands_is_sent_away() {
    let authority = Authority::new();
    let proxy = sites(
        &authority,
        &[
            ("plain.test", ""),
            ("other.test", ""),
            ("new.test", "{ versions 1.3 }"),
            ("next.test", "{ versions 1.3 }"),
            ("strict.test", "{ strict_sni on }"),
        ],
    );
    let status = |sni, host| statuses(&proxy, &authority, sni, host);
    for name in ["plain.test", "new.test", "strict.test"] {
        assert_eq!(status(name, name), (200, 200), "{name}");
    }
    // What demands the same may share connections.
    assert_eq!(status("plain.test", "other.test"), (200, 200));
    assert_eq!(status("new.test", "next.test"), (200, 200));
    assert_eq!(status("strict.test", "plain.test"), (200, 200));
    assert_eq!(status("plain.test", "new.test"), (421, 421));
    assert_eq!(status("new.test", "plain.test"), (421, 421));
    assert_eq!(status("plain.test", "strict.test"), (421, 421));
    assert_eq!(status("plain.test", "NEW.test:443"), (421, 421), "in another spelling");
    let mut client = Client::tls(proxy.address(), "plain.test", authority.client(&[])).unwrap();
    let response = client.get("new.test", "/");
    assert_eq!(proxy.logged_for(&response)["error"], "misdirected");
}

#[test]
fn xt03_the_most_specific_name_decides_what_is_demanded() {
    let authority = Authority::new();
    let tls12 = |name: &str, proxy: &Proxy| {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        Client::tls(proxy.address(), name, config.into()).map(|mut client| client.get(name, "/").text().to_owned())
    };
    for order in [[0, 1], [1, 0]] {
        let both = [("*.a.test", "{ versions 1.3 }"), ("x.a.test", "")];
        let proxy = sites(&authority, &order.map(|at| both[at]));
        assert_eq!(tls12("x.a.test", &proxy).as_deref(), Ok("x.a.test TLSv1.2"));
        assert!(tls12("y.a.test", &proxy).is_err());
        let both = [("*.a.test", ""), ("x.a.test", "{ versions 1.3 }")];
        let proxy = sites(&authority, &order.map(|at| both[at]));
        assert_eq!(tls12("y.a.test", &proxy).as_deref(), Ok("*.a.test TLSv1.2"));
        for name in ["x.a.test", "X.A.Test"] {
            assert!(tls12(name, &proxy).is_err(), "{name}");
        }
    }
}

/// What a client gets, or that it gets nothing: a client learns that its certificate was refused when it reads.
fn ask(proxy: &Proxy, config: &Arc<rustls::ClientConfig>, sni: &str, host: &str) -> Result<(u16, String), String> {
    let mut client = Client::tls(proxy.address(), sni, config.clone())?;
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    match client.try_response()? {
        Some(response) => Ok((response.status(), response.text().to_owned())),
        None => Err("closed".to_owned()),
    }
}

const CLOSED: &str = "{ client_auth { ca {CA} } }";

#[test]
fn xt02_the_way_to_a_closed_site_does_not_lead_through_an_open_one() {
    let authority = Authority::new();
    let proxy = sites(&authority, &[("open.test", ""), ("closed.test", CLOSED)]);
    let stranger = authority.client(&["http/1.1"]);
    let known = authority.client_identity("alice", 1).client_of(&authority, &["http/1.1"]);
    assert_eq!(ask(&proxy, &stranger, "open.test", "open.test"), Ok((200, "open.test TLSv1.3".to_owned())));
    assert_eq!(ask(&proxy, &known, "closed.test", "closed.test"), Ok((200, "closed.test TLSv1.3".to_owned())));
    assert!(ask(&proxy, &stranger, "closed.test", "closed.test").is_err());
    for host in ["closed.test", "CLOSED.TEST", "closed.test:443", "closed.test."] {
        let status = ask(&proxy, &stranger, "open.test", host).map(|(status, _)| status);
        assert_eq!(status, Ok(421), "{host}");
    }
    // Nor does the certificate that one site asked for follow its owner to another.
    assert_eq!(ask(&proxy, &known, "closed.test", "open.test").unwrap().0, 421);
    assert_eq!(statuses(&proxy, &authority, "open.test", "closed.test"), (421, 421));
}

#[test]
fn xt03_the_most_specific_name_decides_who_is_asked() {
    let authority = Authority::new();
    let stranger = authority.client(&["http/1.1"]);
    let proxy = sites(&authority, &[("*.a.test", CLOSED), ("open.a.test", "")]);
    assert_eq!(ask(&proxy, &stranger, "open.a.test", "open.a.test").unwrap().0, 200);
    assert!(ask(&proxy, &stranger, "x.a.test", "x.a.test").is_err());
    assert_eq!(ask(&proxy, &stranger, "open.a.test", "x.a.test").unwrap().0, 421);
    let proxy = sites(&authority, &[("*.a.test", ""), ("closed.a.test", CLOSED)]);
    assert_eq!(ask(&proxy, &stranger, "x.a.test", "x.a.test").unwrap().0, 200);
    assert!(ask(&proxy, &stranger, "closed.a.test", "closed.a.test").is_err());
    assert_eq!(ask(&proxy, &stranger, "x.a.test", "closed.a.test").unwrap().0, 421);
}

/// What `openssl s_client` is answered, with a session from a file or for one.
fn s_client(proxy: &Proxy, name: &str, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-connect", &proxy.address().to_string(), "-servername", name])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is here");
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    // Where the handshake fails, nobody reads it.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn xt01_a_session_opens_no_site_that_asks_for_more() {
    let (authority, others, folder) = (Authority::new(), Authority::new(), Folder::new());
    let ca = folder.write("others.pem", others.pem());
    let other = format!("{{ client_auth {{ ca {} }} }}", ca.display());
    let proxy =
        sites(&authority, &[("open.test", ""), ("closed.test", CLOSED), ("other.test", &other), ("twin.test", CLOSED)]);
    let (certificate, key) = authority.client_identity("alice", 1).save(&folder, "alice");
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let shown = ["-cert", &certificate, "-key", &key];
    for version in ["-tls1_2", "-tls1_3"] {
        let [open, closed] = ["open", "closed"].map(|name| folder.path().join(name).display().to_string());
        let with = |name: &str, more: &[&str]| s_client(&proxy, name, &[&[version], more].concat());
        assert!(with("open.test", &["-sess_out", &open]).contains("200 OK"));
        assert!(with("closed.test", &[&shown[..], &["-sess_out", &closed]].concat()).contains("200 OK"));
        // It is good for where it comes from, and there the client is known by it.
        let said = with("closed.test", &["-sess_in", &closed]);
        assert!(said.contains("Reused, TLSv1") && said.contains("200 OK"), "{version}: {said}");
        for (session, name) in [(&open, "closed.test"), (&open, "other.test"), (&closed, "other.test")] {
            let said = with(name, &["-sess_in", session]);
            assert!(!said.contains("200 OK") && !said.contains("Reused, TLSv1"), "{version} {name}: {said}");
        }
        let said = with("open.test", &["-sess_in", &closed]);
        assert!(said.contains("New, TLSv1") && said.contains("200 OK"), "{version}: {said}");
    }
}

#[test]
fn xt04_an_authority_of_clients_that_cannot_be_read_lets_nobody_in() {
    let folder = Folder::new();
    let (certificate, key) = Authority::new().issue(&["a.test"]).save(&folder, "site");
    let cases = [
        folder.path().join("missing.pem"),
        folder.write("empty.pem", ""),
        folder.write("text.pem", "no certificate"),
        folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        key.clone(),
    ];
    for mode in ["", "optional"] {
        for ca in &cases {
            let config = format!(
                "https://a.test:0 {{\n    bind 127.0.0.1\n    tls {} {} {{ client_auth {mode} {{ ca {} }} }}\n    respond ok\n}}\n",
                certificate.display(),
                key.display(),
                ca.display()
            );
            let config = folder.write("Proxyfile", config);
            let output = command(&folder).arg("run").arg(config).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}: {output:?}", ca.display());
            assert!(String::from_utf8_lossy(&output.stderr).contains("E0050"), "{}: {output:?}", ca.display());
        }
    }
}

#[test]
fn xt05_who_was_revoked_stays_out_with_an_old_session_too() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let crl = folder.write("clients.crl", authority.revoke(&[2], (2999, 1, 1)));
    let options = format!("{{ client_auth {{ ca {{CA}}; crl {} }} }}", crl.display());
    let proxy = sites(&authority, &[("open.test", ""), ("closed.test", &options)]);
    let [alice, mallory] = [("alice", 1), ("mallory", 2)].map(|(name, serial)| authority.client_identity(name, serial));
    let alice_config = alice.client_of(&authority, &[]);
    assert_eq!(ask(&proxy, &alice_config, "closed.test", "closed.test").unwrap().0, 200);
    let refused = ask(&proxy, &mallory.client_of(&authority, &[]), "closed.test", "closed.test");
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(proxy.said("TLS handshake failed")["reason"], "revoked");
    let (certificate, key) = alice.save(&folder, "alice");
    let session = folder.path().join("session").display().to_string();
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let said = s_client(&proxy, "closed.test", &["-cert", &certificate, "-key", &key, "-sess_out", &session]);
    assert!(said.contains("200 OK"), "{said}");
    // Now it is her turn. The list is read again without a word.
    folder.write("clients.crl", authority.revoke(&[1, 2], (2999, 1, 1)));
    eventually("the new list", || ask(&proxy, &alice_config, "closed.test", "closed.test").err());
    let said = s_client(&proxy, "closed.test", &["-cert", &certificate, "-key", &key, "-sess_in", &session]);
    assert!(!said.contains("200 OK"), "{said}");
}

#[test]
fn xt05_lists_fail_closed() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let stranger = Authority::named("somebody else");
    let old = folder.write("old.crl", authority.revoke(&[2], (2024, 2, 29))).display().to_string();
    let foreign = folder.write("foreign.crl", stranger.revoke(&[2], (2999, 1, 1))).display().to_string();
    let config = authority.client_identity("alice", 1).client_of(&authority, &[]);
    for (list, how, comes) in [
        (&old, "", false),
        (&old, "{ expired accept }", true),
        (&foreign, "", false),
        (&foreign, "{ unknown accept }", true),
    ] {
        let options = format!("{{ client_auth {{ ca {{CA}}; crl {list} {how} }} }}");
        let proxy = sites(&authority, &[("a.test", &options)]);
        let outcome = ask(&proxy, &config, "a.test", "a.test");
        assert_eq!(outcome.is_ok(), comes, "{list} {how}: {outcome:?}");
    }
}

#[test]
fn xa01_nobody_says_which_certificate_they_have_but_by_having_it() {
    let authority = Authority::new();
    let folder = Folder::new();
    let (certificate, key) = authority.issue(&["a.test"]).save(&folder, "site");
    let ca = folder.write("ca.pem", authority.pem());
    let origin = Origin::saying("ok");
    let proxy = of("https://a.test:0 {
        bind 127.0.0.1
        tls {$CERT} {$KEY} { client_auth optional { ca {$CA} } }
        header request set X-SSL-Client-S-DN {tls.client.subject}
        header request set Client-Cert {tls.client.certificate}
        reverse_proxy {$ORIGIN}
    }")
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .with("CA", ca.display())
    .with("ORIGIN", &origin)
    .start();
    let pretence = "X-SSL-Client-S-DN: CN=admin\r\nX-SSL-Client-Verify: SUCCESS\r\nssl-client-verify: SUCCESS\r\n\
                    ssl-client-cert: x\r\nClient-Cert: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\nX-Client-Cert: x\r\n\
                    X-Forwarded-Client-Cert: Subject=\"CN=admin\"\r\nX-Amzn-Mtls-Clientcert: x\r\nX_SSL_Client_Verify: SUCCESS\r\n";
    for (config, subject) in
        [(authority.client(&[]), ""), (authority.client_identity("alice", 1).client_of(&authority, &[]), "CN=alice")]
    {
        let mut client = Client::tls(proxy.address(), "a.test", config).unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{pretence}Connection: Client-Cert\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        let requests = origin.requests();
        let request = requests.last().unwrap();
        for name in [
            "x-ssl-client-verify",
            "ssl-client-verify",
            "ssl-client-cert",
            "client-cert-chain",
            "x-client-cert",
            "x-forwarded-client-cert",
            "x-amzn-mtls-clientcert",
            "x_ssl_client_verify",
        ] {
            assert_eq!(request.field(name), None, "{name}");
        }
        assert_eq!(request.field("x-ssl-client-s-dn").unwrap_or_default(), subject);
        let certificate = request.field("client-cert").unwrap_or_default();
        assert_eq!(certificate.starts_with(":MII"), !subject.is_empty(), "{certificate}");
        assert_ne!(certificate, ":AAAA:");
    }
}
