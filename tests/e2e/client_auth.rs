//! Requirement T16: clients that show certificates, and what is known of them.

use std::sync::Arc;

use crate::harness::{Authority, Client, Folder, H2, H3, Origin, Proxy, of, run};

/// A site for `a.test` that asks clients for certificates of this authority, in this way.
fn site(authority: &Authority, how: &str, statements: &str) -> Proxy {
    let folder = Folder::new();
    let (certificate, key) = authority.issue(&["a.test"]).save(&folder, "site");
    let ca = folder.write("ca.pem", authority.pem());
    let mut proxy = of(&format!(
        "https://a.test:0 {{\n bind 127.0.0.1\n tls {{$CERT}} {{$KEY}} {{ client_auth {how} }}\n {statements}\n}}"
    ))
    .with("CERT", certificate.display())
    .with("KEY", key.display())
    .with("CA", ca.display())
    .start();
    proxy.kept.push(folder);
    proxy
}

fn ask(proxy: &Proxy, config: Arc<rustls::ClientConfig>) -> Result<String, String> {
    let mut client = Client::tls(proxy.address(), "a.test", config)?;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.try_response()?.map(|response| response.text().to_owned()).ok_or_else(|| "closed".to_owned())
}

/// The same by HTTP/3.
fn ask_over_quic(proxy: &Proxy, config: &rustls::ClientConfig) -> Result<String, String> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    run(async {
        let client = H3::try_connect(proxy.address(), "a.test", Arc::new(config)).await;
        let mut client = client.map_err(|error| error.to_string())?;
        // A client has finished its side of the handshake before it is refused.
        let answer = client.send(H3::request("GET", "a.test", "/"), b"").await.map_err(|error| error.to_string())?;
        Ok(answer.text().to_owned())
    })
}

#[test]
fn t16_a_certificate_is_required_asked_for_or_taken_from_anybody() {
    let (authority, others) = (Authority::new(), Authority::new());
    let alice = authority.client_identity("alice", 1).client_of(&authority, &[]);
    let eve = others.client_identity("eve", 1).client_of(&authority, &[]);
    let server = authority
        .issue_with(&["b.test"], |params| {
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        })
        .client_of(&authority, &[]);
    let nobody = authority.client(&[]);
    let statement = "respond \"{tls.client.verified} {tls.client.subject}\"";
    let check = |how: &str, expected: [Option<&str>; 4]| {
        let proxy = site(&authority, how, statement);
        for (config, expected) in [&alice, &eve, &server, &nobody].into_iter().zip(expected) {
            for said in [ask(&proxy, config.clone()), ask_over_quic(&proxy, config)] {
                assert_eq!(said.as_deref().ok(), expected, "{how}: {said:?}");
            }
        }
    };
    check("{ ca {$CA} }", [Some("yes CN=alice"), None, None, None]);
    check("require { ca {$CA} }", [Some("yes CN=alice"), None, None, None]);
    check("optional { ca {$CA} }", [Some("yes CN=alice"), None, None, Some("no ")]);
    check("unverified", [Some("no CN=alice"), Some("no CN=eve"), Some("no CN=rcgen self signed cert"), Some("no ")]);
}

#[test]
fn t16_what_is_known_of_a_client_is_for_routes_fields_and_the_log() {
    let (authority, origin) = (Authority::new(), Origin::saying("app"));
    let identity = authority.issue_with(&[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0xab, 0xcd]));
        params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://a.test/web".try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let proxy = site(
        &authority,
        "{ ca {$CA} }",
        &format!(
            "route {{tls.client.san}} $= /web {{
                header request set X-Who \"{{tls.client.subject}}|{{tls.client.issuer}}|{{tls.client.serial}}\"
                header request set X-Print \"{{tls.client.fingerprint}}\"
                header request set X-Suite \"{{tls.suite}} {{tls.version}} {{tls.group}} {{tls.sni}}\"
                reverse_proxy {origin}
            }}
            respond 403"
        ),
    );
    let response = run(async {
        let mut client = H2::tls(proxy.address(), "a.test", identity.client_of(&authority, &["h2"])).await;
        client.get("a.test", "/").await
    });
    assert_eq!(response.body, b"app");
    let request = origin.request();
    assert_eq!(request.field("x-who"), Some("CN=alice,O=Acme|CN=authority of a test|ABCD"));
    let print = request.field("x-print").unwrap().to_owned();
    assert!(print.len() == 64 && print.bytes().all(|byte| byte.is_ascii_hexdigit()), "{print}");
    assert_eq!(request.field("x-suite"), Some("TLS_AES_256_GCM_SHA384 TLSv1.3 x25519mlkem768 a.test"));
    let line = proxy.logged_where("the request", |line| line["status"] == 200);
    assert_eq!(line["tls_client"], "CN=alice,O=Acme");
    let config = identity.client_of(&authority, &["http/1.1"]);
    // A session that is resumed brings the certificate along.
    for _ in 0..2 {
        let mut client = Client::tls(proxy.address(), "a.test", config.clone()).unwrap();
        assert_eq!(client.get("a.test", "/").text(), "app");
        assert_eq!(origin.requests().last().unwrap().field("x-print"), Some(&*print));
    }
    for _ in 0..2 {
        assert_eq!(ask_over_quic(&proxy, &config).as_deref(), Ok("app"));
        let request = origin.requests().pop().unwrap();
        // Suite and group are not told over QUIC.
        let known = (request.field("x-who"), request.field("x-print"), request.field("x-suite"));
        assert_eq!(
            known,
            (Some("CN=alice,O=Acme|CN=authority of a test|ABCD"), Some(&*print), Some("TLSv1.3  a.test"))
        );
    }
    let line = proxy.logged_where("of HTTP/3", |line| line["protocol"] == "HTTP/3.0");
    assert_eq!(line["tls_client"], "CN=alice,O=Acme");
    let other = authority.client_identity("bob", 2).client_of(&authority, &[]);
    assert_eq!(Client::tls(proxy.address(), "a.test", other).unwrap().get("a.test", "/").status(), 403);
}
