//! What the process counts, as a collector gets it (requirements O12, T12).

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use rustix::process::Signal;
use time::{Duration, OffsetDateTime};

use crate::harness::{Ask, Authority, Client, Folder, Message, Origin, Proxy, each, eventually, of};

const SITES: &str = "global {
    metrics 127.0.0.1:0
}
https://example.com:0, https://www.example.com:0 {
    bind 127.0.0.1
    tls {$CERT} {$KEY}
    respond secure
}
";

/// With a certificate that was made for 90 days and has 9 and a half left.
fn start(folder: &Folder) -> Proxy {
    start_of(folder, &Authority::named("quoted \"authority\""))
}

fn start_of(folder: &Folder, authority: &Authority) -> Proxy {
    let now = OffsetDateTime::now_utc();
    let identity = authority.issue_with(&["example.com", "www.example.com"], |params| {
        params.not_before = now - Duration::days(80);
        params.not_after = now + Duration::hours(9 * 24 + 12);
    });
    let (certificate, key) = identity.save(folder, "site");
    // Files that are a moment old are read twice, and that would be a reload.
    let setup = of(SITES).with("CERT", certificate.display()).with("KEY", key.display());
    setup.arguments(&["--no-watch"]).start()
}

fn place(proxy: &Proxy) -> SocketAddr {
    proxy.said("metrics are served")["address"].as_str().unwrap().parse().unwrap()
}

fn collect(at: SocketAddr, accept: &str) -> Message {
    let mut client = Client::connect(at);
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: rp\r\nAccept: {accept}\r\n\r\n"));
    client.response()
}

/// The number behind this, in a page that has it once.
fn sample(page: &str, name: &str) -> i64 {
    let found: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '))).collect();
    assert_eq!(found.len(), 1, "{name} in {page}");
    found[0].parse().unwrap()
}

#[test]
fn t12_a_collector_sees_when_certificates_end() {
    let folder = Folder::new();
    let authority = Authority::named("quoted \"authority\"");
    let proxy = start_of(&folder, &authority);
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&["http/1.1"])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "secure");
    let answer = collect(place(&proxy), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!(answer.field("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let page = answer.text();
    for name in ["example.com", "www.example.com"] {
        let labels = format!("{{name=\"https://{name}:0\",source=\"files\",issuer=\"quoted \\\"authority\\\"\"}}");
        let left = sample(page, &format!("rp_certificate_remaining_seconds{labels}"));
        assert!((9 * 86_400..10 * 86_400).contains(&left), "{left}");
    }
    assert_eq!(sample(page, "rp_requests_total{class=\"2xx\"}"), 1);
    assert_eq!(sample(page, "rp_certificates_missing"), 0);
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    // A family stands together, under one line of its kind.
    let kinds = page.lines().filter(|line| line.starts_with("# TYPE rp_certificate_remaining_seconds ")).count();
    assert_eq!(kinds, 1);
    let said = proxy.said("certificate ends soon");
    assert_eq!((said["days"].as_i64(), said["source"].as_str()), (Some(9), Some("files")), "{said}");
}

#[test]
fn o12_what_clients_do_counts_whatever_they_speak() {
    each(|over| {
        let origin = Origin::new(|request, wire| match request.target() {
            "/" => wire.ok("ok"),
            _ => wire.wait_closed(),
        });
        let proxy = over
            .of("global { metrics 127.0.0.1:0 }\n:0 {\n bind 127.0.0.1\n route /away { reverse_proxy {$NOBODY} }\n reverse_proxy {$ORIGIN}\n}")
            .with("ORIGIN", &origin)
            .with("NOBODY", Origin::nobody())
            .start();
        let count = |name: &str| sample(collect(place(&proxy), "*/*").text(), name);
        let mut speaker = proxy.speaker();
        assert_eq!(speaker.get("/").status(), 200);
        assert_eq!(count("rp_upstream_connects_total{result=\"ok\"}"), 1);
        assert_eq!(count("rp_upstream_connects_total{result=\"failed\"}"), 0);
        assert_eq!(speaker.get("/away").status(), 502);
        assert_eq!(count("rp_upstream_connects_total{result=\"ok\"}"), 1);
        assert_eq!(count("rp_upstream_connects_total{result=\"failed\"}"), 2, "once, and once more");
        assert_eq!(speaker.ask(Ask::of("TRACE", "/")).status(), 405);
        assert_eq!(count("rp_requests_total{class=\"2xx\"}"), 1);
        assert_eq!(count("rp_requests_total{class=\"4xx\"}"), 1);
        let mut other = proxy.speaker();
        other.ask_and_go_on(Ask::get("/waits"));
        eventually("it is under way", || (count("rp_requests_active") == 1).then_some(()));
        other.leave();
        eventually("it is given up", || (count("rp_requests_active") == 0).then_some(()));
        speaker.leave();
        eventually("nobody is there", || (count("rp_connections_open") == 0).then_some(()));
        assert_eq!(count("rp_connections_accepted_total"), 2);
    });
}

#[test]
fn collectors_of_the_older_form_get_it_and_others_get_nothing() {
    let folder = Folder::new();
    let proxy = start(&folder);
    let at = place(&proxy);
    let answer = collect(at, "*/*");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = answer.text();
    assert!(page.contains("# TYPE rp_requests_total counter\n") && !page.contains("# EOF"), "{page}");
    assert_eq!(Client::connect(at).get("rp", "/").status(), 404);
    let mut client = Client::connect(at);
    client.send("POST /metrics HTTP/1.1\r\nHost: rp\r\nContent-Length: 0\r\n\r\n");
    let refusal = client.response();
    assert_eq!((refusal.status(), refusal.field("allow")), (405, Some("GET, HEAD")));
    // Who sends nothing keeps nobody else out.
    let idle: Vec<Client> = (0..8).map(|_| Client::connect(at)).collect();
    assert_eq!(collect(at, "*/*").status(), 200);
    drop(idle);
}

#[test]
fn a_reload_moves_the_place_of_metrics_and_a_taken_one_is_refused() {
    let folder = Folder::new();
    let proxy = start(&folder);
    let at = place(&proxy);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = |address: &str| proxy.folder.write("Proxyfile", SITES.replace("127.0.0.1:0", address));
    to(&taken.local_addr().unwrap().to_string());
    proxy.signal(Signal::HUP);
    proxy.said("the new configuration is refused");
    eventually("the reason", || proxy.log_text().contains("it is taken").then_some(()));
    assert_eq!(sample(collect(at, "*/*").text(), "rp_reloads_total{result=\"failed\"}"), 1);
    let socket = proxy.folder.path().join("m");
    to(&format!("unix/{}", socket.display()));
    proxy.signal(Signal::HUP);
    proxy.said("configuration reloaded");
    eventually("the old place is closed", || std::net::TcpStream::connect(at).is_err().then_some(()));
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: rp\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("rp_reloads_total{result=\"ok\"} 1\n"), "{page}");
    proxy.folder.write("Proxyfile", SITES.replace("metrics 127.0.0.1:0", "workers 1"));
    proxy.signal(Signal::HUP);
    eventually("it is gone", || (!socket.exists()).then_some(()));
}
