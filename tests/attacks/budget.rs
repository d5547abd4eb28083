//! Threats XL05 and XZ09: one client with all the connections, and requests that take all the memory.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Client, Origin, Proxy, command, eventually, get, of};
use crate::watch::resident;

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A connection from another address of this machine.
fn from(address: [u8; 4], proxy: &Proxy) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&proxy.address().into()).unwrap();
    let stream: TcpStream = socket.into();
    Client { pipe: crate::harness::Pipe::plain(stream), alpn: None }
}

#[test]
fn xl05_one_address_has_so_many_connections_and_others_have_theirs() {
    let proxy =
        of("global { limit connections_per_address 8 }\n:0 {\n bind 127.0.0.1\n respond {client_ip}\n}").start();
    let mut held: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut held {
        assert_eq!(client.get("example.com", "/").text(), "127.0.0.1");
    }
    for _ in 0..20 {
        proxy.client().send(GET).assert_closed();
    }
    assert_eq!(proxy.said("as many connections as it may have")["peer"], "127.0.0.1");
    assert_eq!(from([127, 0, 0, 9], &proxy).get("example.com", "/").text(), "127.0.0.9");
    assert_eq!(held[7].get("example.com", "/").text(), "127.0.0.1", "who is there stays");
    held.truncate(7);
    // The end of a connection is seen a moment after it.
    eventually("a place is free again", || {
        let mut client = proxy.client();
        let outcome = client.send(GET).try_response();
        outcome.ok().flatten().map(|_| held.push(client))
    });
    drop(held);
    eventually("all are", || {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = proxy.client();
                let answered = matches!(client.send(GET).try_response(), Ok(Some(_)));
                (client, answered)
            })
            .collect();
        clients.iter().all(|(_, answered)| *answered).then_some(())
    });
}

#[test]
fn s13_trusted_proxies_bring_many_clients_and_the_announced_one_counts() {
    let proxy = of(
        "global { trusted_proxies 127.0.0.1; limit connections_per_address 2 }\n:0 {\n bind 127.0.0.1\n respond ok\n}",
    )
    .start();
    let mut held: Vec<Client> = (0..5).map(|_| proxy.client()).collect();
    assert!(held.iter_mut().all(|client| client.get("example.com", "/").status() == 200));
    let proxy = of("global { proxy_protocol 127.0.0.1; limit connections_per_address 2 }\n:0 {\n bind 127.0.0.1\n respond {client_ip}\n}")
        .start();
    let open = |ip: &str| {
        let mut client = proxy.client();
        client.send(format!("PROXY TCP4 {ip} 127.0.0.1 1 2\r\n{GET}"));
        client
    };
    let mut held = [open("203.0.113.1"), open("203.0.113.1"), open("203.0.113.2")];
    assert!(held.iter_mut().all(|client| client.response().status() == 200));
    open("203.0.113.1").assert_closed();
    assert_eq!(open("203.0.113.2").response().text(), "203.0.113.2");
}

#[test]
fn xz09_above_its_memory_rp_sheds_load_and_recovers() {
    let origin = Origin::saying("ok");
    let most = 48 * 1024 * 1024;
    let config = "global { limit memory 48MiB; limit header 1MiB; workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}";
    let proxy = of(config).with("ORIGIN", &origin).start();
    let mut early = proxy.client();
    assert_eq!(early.get("example.com", "/").status(), 200);
    // Heads that are kept for as long as their requests last, and bodies that never come.
    let fields: String = (0..20).map(|at| format!("X-{at}: {}\r\n", "v".repeat(15_000))).collect();
    let head = format!("POST /slow HTTP/1.1\r\nHost: example.com\r\n{fields}Content-Length: 10\r\n\r\n");
    let mut held = Vec::new();
    let mut highest = 0;
    let start = Instant::now();
    while !proxy.log_text().contains("memory above its budget") {
        assert!(start.elapsed() < Duration::from_secs(30), "{} KiB", resident(&proxy));
        let mut client = proxy.client();
        client.send(&head);
        held.push(client);
        highest = highest.max(resident(&proxy) * 1024);
    }
    // Nothing new is begun, however many come; who asks on a connection that is there is told when to ask again.
    let refused = early.get("example.com", "/");
    assert_eq!(
        (refused.status(), refused.field("retry-after"), refused.field("connection")),
        (503, Some("2"), Some("close"))
    );
    // What had been accepted by then is still read.
    let mut before = resident(&proxy);
    eventually("what was accepted before to be in", || {
        let last = std::mem::replace(&mut before, resident(&proxy));
        std::thread::sleep(Duration::from_millis(100));
        (resident(&proxy) == last).then_some(())
    });
    for _ in 0..50 {
        let mut client = proxy.client();
        client.send(&head);
        held.push(client);
    }
    assert!(resident(&proxy) < before + 4096, "{} KiB after {before}", resident(&proxy));
    assert!(highest < 2 * most, "{highest}");
    // The administration answers.
    let status = command(&proxy.folder).arg("status").output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    drop(held);
    proxy.said("memory within its budget again");
    assert_eq!(get(proxy.address(), "example.com", "/").status(), 200);
}
