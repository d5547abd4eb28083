//! Threats XL: floods of what costs little, by many clients or by one.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Client, Origin, Proxy, command, eventually, of};
use crate::watch::{at_rest, back_to, beside, descriptors, processor, resident};

#[test]
fn xl02_bodies_that_trickle_hold_up_nobody() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    beside(&proxy, 16 * 1024, || {
        let mut clients: Vec<Client> = (0..100).map(|_| proxy.client()).collect();
        for client in &mut clients {
            client.send("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n");
        }
        for _ in 0..10 {
            for client in &mut clients {
                client.send("1\r\nx\r\n");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn xl04_a_client_cannot_negotiate_again() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use crate::harness::{Authority, Folder};
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["example.com"]).save(&folder, "site");
    let proxy = of("https://:0 {\n bind 127.0.0.1\n tls {$CERT} {$KEY}\n respond served\n}")
        .with("CERT", certificate.display())
        .with("KEY", key.display())
        .start();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &proxy.address().to_string(), "-servername", "example.com", "-tls1_2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is here");
    // `R` at the beginning of a line asks for another handshake.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"R\nGET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("RENEGOTIATING") && !said.contains("served"), "{said}");
    let mut client = Client::tls(proxy.address(), "example.com", authority.client(&[])).unwrap();
    assert_eq!(client.get("example.com", "/").text(), "served");
}

/// Whoever looks what is wrong is answered.
fn is_administered(proxy: &Proxy) {
    let start = Instant::now();
    let output = command(&proxy.folder).args(["status", "--format", "json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(status["connections"].is_u64() && start.elapsed() < Duration::from_secs(5), "{status}");
}

#[test]
fn xl05_at_the_limit_of_connections_the_administration_is_as_near_as_ever() {
    let origin = Origin::saying("ok");
    let proxy = of("global { limit connections 20 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let mut clients: Vec<Client> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("example.com", "/").status(), 200);
    }
    let waiting: Vec<Client> = (0..200).map(|_| proxy.client()).collect();
    for _ in 0..3 {
        is_administered(&proxy);
        let start = Instant::now();
        assert_eq!(clients[7].get("example.com", "/").status(), 200, "who is there is served");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
    let output = command(&proxy.folder).arg("reload").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    drop(waiting);
}

#[test]
fn xl06_without_descriptors_clients_wait_and_the_processor_rests() {
    let origin = Origin::saying("ok");
    let proxy =
        of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}").with("ORIGIN", &origin).start();
    let mut early = proxy.client();
    assert_eq!(early.get("example.com", "/").status(), 200);
    let few = Some(descriptors(&proxy) as u64 + 4);
    let pid = Pid::from_raw(i32::try_from(proxy.pid()).unwrap());
    let before = getrlimit(Resource::Nofile);
    prlimit(pid, Resource::Nofile, Rlimit { current: few, maximum: before.maximum }).unwrap();
    let clients: Vec<Client> = (0..30).map(|_| proxy.client()).collect();
    proxy.said("cannot accept connections for the moment");
    assert_eq!(early.get("example.com", "/").status(), 200, "who was there before is served");
    for _ in 0..3 {
        is_administered(&proxy);
    }
    let (start, spent) = (Instant::now(), processor(&proxy));
    while start.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(processor(&proxy) - spent < 30, "a third of a second of it in one");
    drop(clients);
    eventually("new clients are served again", || {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        client.try_response().ok().flatten().map(drop)
    });
}

#[test]
fn xl08_no_pattern_takes_longer_than_its_text() {
    let proxy = Proxy::site(
        "route {path} ~ `^/(a+)+$` { respond 403 }\n route {query.q} ~ `(.*a){20}$` { respond 403 }\n \
         rewrite `/r/((x+x+)+y)` `/$1`\n header replace X-A `(a|aa)+$` b\n respond ok",
        Origin::nobody(),
    );
    let start = Instant::now();
    for target in
        [format!("/{}!", "a".repeat(7_000)), format!("/?q={}b", "a".repeat(7_000)), format!("/r/{}", "x".repeat(7_000))]
    {
        assert_eq!(proxy.get(&target).text(), "ok");
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // Nor is a pattern compiled that would take more than its measure of memory.
    let folder = crate::harness::Folder::new();
    let config = folder
        .write("Proxyfile", ":8080 {\n    route {path} ~ `((a{1000}){1000}){1000}` { respond x }\n    respond ok\n}\n");
    let output = crate::harness::command(&folder).arg("validate").arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn xl09_names_that_collide_elsewhere_do_not_here() {
    let proxy = of(":0 {\n bind 127.0.0.1\n rate_limit 100000/s by header X-Key\n respond ok\n}").start();
    let ask = |names: &dyn Fn(usize) -> String| {
        let start = Instant::now();
        let mut client = proxy.client();
        for round in 0..200 {
            let fields: String = (0..90).map(|at| format!("{}: {}\r\n", names(at), names(round * 90 + at))).collect();
            client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\nX-Key: {}\r\n{fields}\r\n", names(round)));
            assert_eq!(client.response().status(), 200);
        }
        start.elapsed()
    };
    let plain = ask(&|at| format!("x-field-{at}"));
    // Words of two letters that have one hash where it is 31 × the first + the second, as in many languages.
    let colliding = ask(&|at| (0..12).map(|bit| if at >> bit & 1 == 0 { "aa" } else { "bB" }).collect());
    assert!(colliding < plain * 5 + Duration::from_millis(500), "{colliding:?} against {plain:?}");
}

#[test]
fn xl12_mistakes_do_not_fill_the_log() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::to(&origin);
    let start = Instant::now();
    for _ in 0..1_000 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\nHost: example.com\n\n");
        assert_eq!(client.response().status(), 400);
    }
    let lines = proxy.log_lines().iter().filter(|line| line["message"] == "a malformed request is refused").count();
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!((1..=seconds + 2).contains(&lines), "{lines} lines in {seconds} s");
}

#[test]
fn xl12_what_is_written_beside_the_configuration_is_told_once() {
    let proxy = of(":0 {\n bind 127.0.0.1\n respond before\n}").start();
    let (noise, start) = (proxy.folder.path().join("noise"), Instant::now());
    while start.elapsed() < Duration::from_secs(2) {
        std::fs::write(&noise, "noise").unwrap();
    }
    proxy.said("much is written beside the configuration");
    at_rest(&proxy);
    assert_eq!(proxy.log_text().matches("much is written").count(), 1);
    // A change of the configuration itself is still found.
    proxy.folder.write("Proxyfile", ":0 {\n bind 127.0.0.1\n respond after\n}");
    eventually("a change", || (proxy.get("/").text() == "after").then_some(()));
}

#[test]
fn xl13_cookies_and_parameters_by_the_thousand_cost_little() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site(
        "route cookie last 1 { respond cookie }\n route query last 1 { respond query }\n reverse_proxy {$ORIGIN}",
        &origin,
    );
    let before = resident(&proxy);
    let start = Instant::now();
    let cookies: String = (0..2_000).map(|_| "a=1; ").collect::<String>() + "last=1";
    let parameters: String = (0..2_000).map(|_| "a&").collect::<String>() + "last=1";
    for _ in 0..50 {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\nCookie: {cookies}\r\n\r\n"));
        assert_eq!(client.response().text(), "cookie");
        assert_eq!(proxy.get(&format!("/?{parameters}")).text(), "query");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(resident(&proxy).saturating_sub(before) < 8 * 1024);
    // One by one they are fields, which are counted.
    let lines = "Cookie: a=1\r\n".repeat(500);
    let mut client = proxy.client();
    assert_eq!(client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n")).response().status(), 431);
}

#[test]
fn xz09_connections_that_come_and_go_leave_nothing() {
    let origin = Origin::saying("ok");
    let proxy = Proxy::site("reverse_proxy {$ORIGIN} { keepalive off }", &origin);
    let churn = |rounds: usize| {
        for at in 0..rounds {
            let mut client = proxy.client();
            match at % 4 {
                0 => drop(client.get("example.com", "/")),
                1 => drop(client.send("GET / HT")),
                2 => drop(client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nab")),
                _ => socket2::SockRef::from(client.pipe.tcp()).set_linger(Some(Duration::ZERO)).unwrap(),
            }
        }
    };
    churn(200);
    eventually("quiet", || (origin.open() <= 2).then_some(()));
    let (before, open) = (resident(&proxy), descriptors(&proxy));
    churn(2_000);
    back_to(&proxy, open + 4);
    let growth = resident(&proxy).saturating_sub(before);
    assert!(growth < 4 * 1024, "{growth} KiB after 2000 connections");
}
