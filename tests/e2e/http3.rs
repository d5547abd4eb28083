//! HTTP/3 from end to end: requests and answers of every shape, connections that move, and how they end.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use crate::harness::{Authority, Folder, H2, H3, H3Response, Origin, Proxy, Setup, eventually, lock, of, run, soon};

/// A site with a certificate for `example.com`, and who signed that.
struct Secure {
    authority: Authority,
    files: Folder,
    setup: Setup,
}

fn secure(config: &str) -> Secure {
    let (authority, files) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&files, "site");
    let setup = of(config).with("CERT", certificate.display()).with("KEY", key.display());
    Secure { authority, files, setup }
}

const SITE: &str = "https://example.com:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n reverse_proxy {$ORIGIN}\n}\n";

impl Secure {
    fn start(self, origin: &Origin) -> (Proxy, Authority) {
        let mut proxy = self.setup.with("ORIGIN", origin).start();
        proxy.kept.push(self.files);
        (proxy, self.authority)
    }
}

async fn client(proxy: &Proxy, authority: &Authority) -> H3 {
    H3::connect(proxy.address(), "example.com", authority.client(&["h3"])).await
}

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

#[test]
fn a_request_is_served_logged_and_forwarded_like_any_other() {
    let origin = Origin::saying("hello");
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let response = client.get("example.com", "/a?b=c").await;
        assert_eq!((response.status.as_u16(), response.text()), (200, "hello"));
        assert_eq!(response.field("content-length"), Some("5"));
        assert!(response.field("date").is_some());
        assert_eq!(response.field("alt-svc"), None, "the client is there already");
        let line = proxy.logged(response.field("x-request-id").unwrap());
        assert_eq!((line["protocol"].as_str(), line["tls_version"].as_str()), (Some("HTTP/3.0"), Some("TLSv1.3")));
        assert_eq!((line["status"].as_u64(), line["bytes_out"].as_u64()), (Some(200), Some(5)));
        assert_eq!(line["scheme"], "https");
        let request = origin.request();
        assert_eq!((request.method(), request.target()), ("GET", "/a?b=c"));
        assert_eq!(request.field("host"), Some("example.com"));
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.field("transfer-encoding"), None);
        assert_eq!(request.field("content-length"), None);
        // HEAD has the length and no body; an answer without a length has its end.
        let head = client.send(H3::request("HEAD", "example.com", "/"), b"").await.unwrap();
        assert_eq!((head.field("content-length"), head.body.len()), (Some("5"), 0));
    });
}

#[test]
fn bodies_of_twenty_megabytes_pass_both_ways() {
    const SIZE: usize = 20 * 1024 * 1024;
    let origin = Origin::new(|request, wire| {
        let body = request.body.clone();
        wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        wire.say(&body);
    });
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let body = Bytes::from(pattern(SIZE));
        for length in [Some(SIZE), None] {
            let mut request = H3::request("POST", "example.com", "/");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let mut stream = client.open(request).await.unwrap();
            stream.send_data(body.clone()).await.unwrap();
            stream.finish().await.unwrap();
            let response = H3Response::of(&mut stream).await.unwrap();
            assert_eq!(response.field("content-length"), Some(SIZE.to_string().as_str()));
            assert!(response.body == body, "the body has changed on its way");
            let line = proxy.logged(response.field("x-request-id").unwrap());
            assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(SIZE as u64), Some(SIZE as u64)));
        }
    });
}

#[test]
fn streams_pass_each_other() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::new(move |request, wire| {
        if request.target() == "/slow" {
            let _ = released.lock().unwrap().recv();
        }
        wire.ok(request.target());
    });
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let mut slow = client.open(H3::request("GET", "example.com", "/slow")).await.unwrap();
        slow.finish().await.unwrap();
        let mut others = Vec::new();
        for at in 0..40 {
            let mut stream = client.open(H3::request("GET", "example.com", &format!("/{at}"))).await.unwrap();
            stream.finish().await.unwrap();
            others.push(stream);
        }
        for (at, stream) in others.iter_mut().enumerate() {
            assert_eq!(H3Response::of(stream).await.unwrap().text(), format!("/{at}"));
        }
        release.send(()).unwrap();
        assert_eq!(H3Response::of(&mut slow).await.unwrap().text(), "/slow");
    });
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::new(|request, wire| {
        assert_eq!(request.body, b"body");
        wire.say(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
        );
    });
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let mut stream = client.open(H3::request("POST", "example.com", "/").header("te", "trailers")).await.unwrap();
        stream.send_data(Bytes::from_static(b"body")).await.unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        stream.send_trailers(trailers).await.unwrap();
        stream.finish().await.unwrap();
        let response = H3Response::of(&mut stream).await.unwrap();
        assert_eq!(response.text(), "ok");
        assert_eq!(response.trailers.unwrap()["x-sum"], "7");
    });
    assert_eq!(origin.request().trailers, [("x-end".to_owned(), "1".to_owned())]);
}

#[test]
fn an_answer_that_does_not_wait_for_the_body_is_whole() {
    let origin = Origin::nobody();
    let config = SITE.replace("reverse_proxy {$ORIGIN}", "max_body 1KiB\n reverse_proxy 127.0.0.1:{$PORT}");
    let Secure { authority, files, setup } = secure(&config);
    let proxy = setup.with("PORT", origin.port()).start();
    run(async {
        let mut client = client(&proxy, &authority).await;
        let request = H3::request("POST", "example.com", "/").header("content-length", 10_000_000);
        let mut stream = client.open(request).await.unwrap();
        // The rest is never sent, nor waited for.
        let response = H3Response::of(&mut stream).await.unwrap();
        assert_eq!(response.status.as_u16(), 413);
        let again = client.get("example.com", "/").await;
        assert_eq!(again.status.as_u16(), 502);
    });
    drop(files);
}

#[test]
fn a_client_that_gives_up_ends_the_request_at_the_origin() {
    let origin = Origin::new(|request, wire| match request.target() {
        "/headless" => wire.wait_closed(),
        _ => {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            wire.wait_closed();
        }
    });
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        for target in ["/headless", "/half"] {
            let mut stream = client.open(H3::request("GET", "example.com", target)).await.unwrap();
            stream.finish().await.unwrap();
            if target == "/half" {
                assert_eq!(stream.recv_response().await.unwrap().status().as_u16(), 200);
                assert_eq!(stream.recv_data().await.unwrap().unwrap().chunk(), b"half");
            } else {
                soon("the request", || (origin.open() == 1).then_some(())).await;
            }
            drop(stream);
            soon("the end at the origin", || (origin.open() == 0).then_some(())).await;
            let line = proxy.logged_where("of a client that left", |line| line["uri"] == target);
            assert_eq!((line["protocol"].as_str(), line["error"].as_str()), (Some("HTTP/3.0"), Some("client_abort")));
        }
    });
}

#[test]
fn a_body_that_is_broken_off_is_no_whole_request() {
    let origin = Origin::saying("whole");
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let mut stream = client.open(H3::request("POST", "example.com", "/")).await.unwrap();
        stream.send_data(Bytes::from_static(b"half")).await.unwrap();
        soon("the origin's connection", || (origin.open() == 1).then_some(())).await;
        stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
        soon("its end", || (origin.open() == 0).then_some(())).await;
        assert_eq!(origin.whole_requests(), 0);
        assert_eq!(client.get("example.com", "/").await.text(), "whole");
    });
}

#[test]
fn a_connection_that_moves_goes_on_and_keeps_its_name() {
    let origin = Origin::new(|request, wire| wire.ok(request.field("x-real-ip").unwrap_or("-")));
    let config = format!("global {{ workers 4 }}\n{SITE}");
    let (proxy, authority) = secure(&config).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let before = client.local();
        for at in 0..8 {
            if at > 0 {
                assert_ne!(client.migrate(), before);
            }
            let response = client.get("example.com", "/").await;
            assert_eq!(response.status.as_u16(), 200);
        }
        assert_eq!(origin.requests().len(), 8);
    });
    eventually("a line of each", || {
        let lines = proxy.access_lines();
        (lines.iter().filter(|line| line["client_ip"] == "127.0.0.1").count() == 8).then_some(())
    });
}

#[test]
fn alt_svc_tells_clients_over_tls_where_it_is() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAlt-Svc: h3=\":9\"; ma=1\r\n\r\n");
    let config = format!("{SITE}\nhttp://plain.example:0 {{\n bind 127.0.0.2\n respond 200\n}}");
    let Secure { authority, files, setup } = secure(&config);
    let mut proxy = setup.with("ORIGIN", &origin).doors(2).start();
    proxy.kept.push(files);
    let secure = proxy
        .log_lines()
        .into_iter()
        .filter(|line| line["message"] == "listening")
        .position(|line| line["tls"] == true);
    let (secure, plain) = (proxy.door(secure.unwrap()), proxy.door(1 - secure.unwrap()));
    let expected = format!("h3=\":{}\"; ma=86400", secure.port());
    run(async {
        let mut client = H2::tls(secure, "example.com", authority.client(&["h2"])).await;
        for target in ["/", "/again"] {
            assert_eq!(client.get("example.com", target).await.field("alt-svc"), Some(expected.as_str()));
        }
    });
    let mut client = crate::harness::Client::tls(secure, "example.com", authority.client(&["http/1.1"])).unwrap();
    assert_eq!(client.get("example.com", "/").field("alt-svc"), Some(expected.as_str()));
    assert_eq!(crate::harness::get(plain, "plain.example", "/").field("alt-svc"), None);
}

#[test]
fn http3_off_is_off() {
    let origin = Origin::saying("hello");
    let (proxy, authority) = secure(&format!("global {{ http3 off }}\n{SITE}")).start(&origin);
    let listening = proxy.said("listening");
    assert_eq!((listening["tls"].as_bool(), listening["http3"].as_bool()), (Some(true), Some(false)));
    // Nobody has the port.
    std::net::UdpSocket::bind(proxy.address()).unwrap();
    let mut client =
        crate::harness::Client::tls(proxy.address(), "example.com", authority.client(&["http/1.1"])).unwrap();
    assert_eq!(client.get("example.com", "/").field("alt-svc"), None);
}

#[test]
fn t12_sites_with_demands_of_their_own_have_it_too() {
    let config = "https://example.com:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond one\n}\n\
         https://own.example:0 {\n bind 127.0.0.1\n tls {$CERT2} {$KEY2} { versions 1.3; suites TLS_CHACHA20_POLY1305_SHA256 }\n respond other\n}\n\
         https://old.example:0 {\n bind 127.0.0.1\n tls {$CERT2} {$KEY2} { alpn http/1.1 }\n respond old\n}\n\
         https://old.example:0 {\n bind 127.0.0.2\n tls {$CERT2} {$KEY2} { alpn http/1.1 }\n respond old\n}";
    let Secure { authority, files, setup } = secure(config);
    let (certificate, key) = authority.issue(&["own.example", "old.example"]).save(&files, "own");
    let mut proxy = setup.with("CERT2", certificate.display()).with("KEY2", key.display()).doors(2).start();
    proxy.kept.push(files);
    let lines: Vec<_> = proxy.log_lines().into_iter().filter(|line| line["message"] == "listening").collect();
    let first = lines.iter().position(|line| line["http3"] == true).expect("HTTP/3 is spoken");
    assert_eq!(lines[1 - first]["http3"], false, "who asks for HTTP/1.1 alone gets that");
    let address = proxy.door(first);
    let alert = |name: &'static str| async move {
        match H3::try_connect(address, name, Authority::new().client(&["h3"])).await.err() {
            Some(quinn::ConnectionError::ConnectionClosed(close)) => u64::from(close.error_code) & 0xff,
            error => panic!("{name}: {error:?}"),
        }
    };
    run(async {
        for (name, other, text) in [("example.com", "own.example", "one"), ("own.example", "example.com", "other")] {
            let mut client = H3::connect(address, name, authority.client(&["h3"])).await;
            assert_eq!(client.get(name, "/").await.text(), text);
            assert_eq!(client.get(other, "/").await.status.as_u16(), 421, "a handshake is for its own sites");
            let mut client = H2::tls(address, name, authority.client(&["h2"])).await;
            let answer = client.get(name, "/").await;
            assert_eq!((answer.body.as_slice(), answer.field("alt-svc").is_some()), (text.as_bytes(), true));
        }
        // As TLS names them: `no_application_protocol` and `unrecognized_name`.
        assert_eq!((alert("old.example").await, alert("unknown.example").await), (120, 112));
        let mut client = crate::harness::Client::tls(address, "old.example", authority.client(&["http/1.1"])).unwrap();
        let answer = client.get("old.example", "/");
        assert_eq!((answer.text(), answer.field("alt-svc")), ("old", None));
    });
}

#[test]
fn xt01_a_session_of_one_site_is_none_for_another_over_quic() {
    let config = "https://example.com:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond open\n}\n\
         https://closed.example.com:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY} { client_auth require { ca {$CA} } }\n respond closed\n}";
    let (authority, files) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com", "closed.example.com"]).save(&files, "site");
    let ca = files.write("ca.pem", authority.pem());
    let setup = of(config).with("CERT", certificate.display()).with("KEY", key.display()).with("CA", ca.display());
    let mut proxy = setup.start();
    proxy.kept.push(files);
    let address = proxy.address();
    let store = Arc::new(OneForAll::default());
    let friend = authority.client_identity("friend", 7).client_of(&authority, &["h3"]);
    let [friend, stranger] = [friend, authority.client(&["h3"])].map(|config| {
        let mut config = (*config).clone();
        config.resumption = rustls::client::Resumption::store(store.clone());
        Arc::new(config)
    });
    run(async {
        // Whoever has a certificate comes in, and again with the session of that.
        for at in 0..2 {
            let mut client = H3::connect(address, "closed.example.com", friend.clone()).await;
            assert_eq!(client.get("closed.example.com", "/").await.text(), "closed", "{at}");
            soon("a ticket", || (store.len() > 0).then_some(())).await;
        }
        assert_eq!(store.taken(), 1, "the second time");
        // Whoever has none does not, with no session, and with one of the site beside it.
        store.clear();
        assert!(comes_in(address, "closed.example.com", stranger.clone()).await.is_err());
        let mut client = H3::connect(address, "example.com", stranger.clone()).await;
        assert_eq!(client.get("example.com", "/").await.text(), "open");
        soon("a ticket", || (store.len() > 0).then_some(())).await;
        assert_eq!(client.get("closed.example.com", "/").await.status.as_u16(), 421);
        assert!(comes_in(address, "closed.example.com", stranger).await.is_err());
        assert_eq!(store.taken(), 2, "it was tried");
    });
}

/// Sessions for whichever site is asked next: a client that tries it on.
#[derive(Debug, Default)]
struct OneForAll(std::sync::Mutex<(Vec<Tls13ClientSessionValue>, usize)>);

impl OneForAll {
    fn len(&self) -> usize {
        lock(&self.0).0.len()
    }

    fn taken(&self) -> usize {
        lock(&self.0).1
    }

    fn clear(&self) {
        lock(&self.0).0.clear();
    }
}

impl ClientSessionStore for OneForAll {
    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        lock(&self.0).0.push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut held = lock(&self.0);
        let ticket = held.0.pop()?;
        held.1 += 1;
        Some(ticket)
    }

    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
}

/// A client without a certificate has finished its side of the handshake before it is refused: it asks.
async fn comes_in(
    address: std::net::SocketAddr,
    name: &str,
    config: Arc<rustls::ClientConfig>,
) -> Result<String, String> {
    let mut client = H3::try_connect(address, name, config).await.map_err(|error| error.to_string())?;
    let answer = client.send(H3::request("GET", name, "/"), b"").await.map_err(|error| error.to_string())?;
    Ok(answer.text().to_owned())
}

#[test]
fn a_port_that_is_taken_for_udp_is_named() {
    // Where no connection of another test could have the same port of TCP.
    let port = crate::harness::free_port();
    let _taken = std::net::UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let config = SITE.replace(":0", &format!(":{port}")).replace("reverse_proxy {$ORIGIN}", "respond ok");
    let file = folder.write("Proxyfile", config);
    let output = crate::harness::command(&folder)
        .arg("run")
        .arg(file)
        .env("CERT", certificate)
        .env("KEY", key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("by UDP, for HTTP/3: it is taken") && said.contains("http3 off"), "{said}");
}

#[test]
fn a_reload_leaves_connections_and_a_removed_address_ends_them_in_good_order() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::new(move |request, wire| {
        if request.target() == "/slow" {
            let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(10));
        }
        wire.ok("first");
    });
    let (proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        assert_eq!(client.get("example.com", "/").await.text(), "first");
        let config = SITE.replace("reverse_proxy {$ORIGIN}", "route /new { respond second }\n reverse_proxy {$ORIGIN}");
        std::fs::write(&proxy.config, config).unwrap();
        proxy.signal(rustix::process::Signal::HUP);
        proxy.said("configuration reloaded");
        assert_eq!(client.get("example.com", "/new").await.text(), "second");
        let mut slow = client.open(H3::request("GET", "example.com", "/slow")).await.unwrap();
        slow.finish().await.unwrap();
        soon("the slow request", || (origin.requests().len() == 2).then_some(())).await;
        std::fs::write(&proxy.config, ":0 {\n bind 127.0.0.2\n respond gone\n}").unwrap();
        proxy.signal(rustix::process::Signal::HUP);
        proxy.said("no longer listening");
        // Whoever comes now is told at once that there is nothing.
        let config = authority.client(&["h3"]);
        let refused = H3::try_connect(proxy.address(), "example.com", config).await.err().unwrap();
        assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
        release.send(()).unwrap();
        assert_eq!(H3Response::of(&mut slow).await.unwrap().text(), "first");
        assert!(client.wait_closed().await.is_h3_no_error());
    });
}

#[test]
fn a_process_that_begins_anew_tells_clients_of_the_one_before_it() {
    let port = crate::harness::free_port();
    let config = format!("global {{ storage file {{$STORE}} }}\n{}", SITE.replace(":0", &format!(":{port}")));
    let (origin, store) = (Origin::saying("hello"), Folder::new());
    let (authority, files) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&files, "site");
    let start = || {
        let setup = of(&config).with("CERT", certificate.display()).with("KEY", key.display()).with("ORIGIN", &origin);
        setup.with("STORE", store.path().display()).start()
    };
    let mut proxy = start();
    run(async {
        let mut client = client(&proxy, &authority).await;
        assert_eq!(client.get("example.com", "/").await.text(), "hello");
        soon("the key is kept", || store.path().join("quic/key").exists().then_some(())).await;
        proxy.signal(rustix::process::Signal::KILL);
        proxy.wait();
        proxy = start();
        // It is not left to wait for its own patience to end.
        let sent = client.send(H3::request("GET", "example.com", "/"), b"").await;
        assert!(sent.is_err());
        assert!(
            matches!(client.quic.closed().await, quinn::ConnectionError::Reset),
            "{:?}",
            client.quic.closed().await
        );
    });
    let key = store.path().join("quic/key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!((std::fs::read(&key).unwrap().len(), mode & 0o777), (32, 0o600));
}

#[test]
fn connections_of_an_address_are_counted_whatever_they_speak() {
    let origin = Origin::saying("hello");
    let config = format!("global {{ limit connections_per_address 2 }}\n{SITE}");
    let (proxy, authority) = secure(&config).start(&origin);
    run(async {
        let mut first = client(&proxy, &authority).await;
        assert_eq!(first.get("example.com", "/").await.text(), "hello");
        let mut second = H2::tls(proxy.address(), "example.com", authority.client(&["h2"])).await;
        assert_eq!(second.get("example.com", "/").await.status, 200);
        let refused = H3::try_connect(proxy.address(), "example.com", authority.client(&["h3"])).await.err().unwrap();
        assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
        // Whoever leaves makes room.
        first.quic.close(0_u32.into(), b"");
        loop {
            let config = authority.client(&["h3"]);
            if H3::try_connect(proxy.address(), "example.com", config).await.is_ok() {
                break;
            }
        }
    });
}

#[test]
fn a_shutdown_answers_what_is_under_way() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::new(move |_, wire| {
        let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(10));
        wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 20));
        wire.say(pattern(1 << 20));
    });
    let (mut proxy, authority) = secure(SITE).start(&origin);
    run(async {
        let mut client = client(&proxy, &authority).await;
        let mut stream = client.open(H3::request("GET", "example.com", "/")).await.unwrap();
        stream.finish().await.unwrap();
        soon("the request", || (origin.requests().len() == 1).then_some(())).await;
        proxy.signal(rustix::process::Signal::TERM);
        proxy.said("shutting down");
        release.send(()).unwrap();
        let response = H3Response::of(&mut stream).await.unwrap();
        assert!(response.body == pattern(1 << 20));
        assert!(client.wait_closed().await.is_h3_no_error());
    });
    assert!(proxy.wait().success());
}
