//! Threats XT01 to XT03: sites that demand different things of handshakes, and clients that look for a way around it.

use crate::harness::{Authority, Client, Folder, H2, Proxy, of, run};

/// Sites of these names at one port, each with its options, behind one certificate that is good for all of them: so
/// browsers send requests for one over connections to another.
pub fn sites(authority: &Authority, sites: &[(&str, &str)]) -> Proxy {
    let folder = Folder::new();
    let names: Vec<&str> = sites.iter().map(|(name, _)| *name).collect();
    let (certificate, key) = authority.issue(&names).save(&folder, "site");
    let config: String = sites
        .iter()
        .map(|(name, options)| {
            format!(
                "https://{name}:0 {{\n bind 127.0.0.1\n tls {{$CERT}} {{$KEY}} {options}\n respond \"{name}\"\n}}\n"
            )
        })
        .collect();
    let config = config.replace("{CA}", &folder.write("ca.pem", authority.pem()).display().to_string());
    let mut proxy = of(&config).with("CERT", certificate.display()).with("KEY", key.display()).start();
    proxy.kept.push(folder);
    proxy
}

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
        assert_eq!(tls12("x.a.test", &proxy).as_deref(), Ok("x.a.test"));
        assert!(tls12("y.a.test", &proxy).is_err());
        let both = [("*.a.test", ""), ("x.a.test", "{ versions 1.3 }")];
        let proxy = sites(&authority, &order.map(|at| both[at]));
        assert_eq!(tls12("y.a.test", &proxy).as_deref(), Ok("*.a.test"));
        for name in ["x.a.test", "X.A.Test"] {
            assert!(tls12(name, &proxy).is_err(), "{name}");
        }
    }
}
