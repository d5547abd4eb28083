//! Signals: what they put in force, and how the process ends.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Origin, Proxy, eventually, of};
use crate::running::{Running, placed, saying};

/// Says half of an answer, and the rest when it is told to.
fn slow(rest: std::sync::mpsc::Receiver<()>) -> Origin {
    let rest = std::sync::Mutex::new(rest);
    Origin::new(move |request, wire| {
        if request.target() == "/idle" {
            return wire.ok("");
        }
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        if rest.lock().unwrap().recv().is_ok() {
            wire.say("world");
        }
    })
}

fn proxy_to(origin: &Origin, grace: &str) -> Proxy {
    let config = format!(
        "global {{ grace {grace}; admin off }}\n:0 {{\n    bind 127.0.0.1\n    reverse_proxy {{$ORIGIN}}\n}}\n"
    );
    of(&config).with("ORIGIN", origin).start()
}

#[test]
fn hangup_reloads_whether_files_changed_or_not() {
    let mut placed = placed(&saying("one"));
    placed.setup = placed.setup.arguments(&["--no-watch"]);
    let proxy = placed.start_in_place();
    proxy.signal(Signal::HUP);
    proxy.reloaded(1);
    proxy.rewrite(&saying("two"));
    proxy.signal(Signal::HUP);
    proxy.reloaded(2);
    assert_eq!(proxy.says(), "two");
    proxy.rewrite("}");
    proxy.signal(Signal::HUP);
    proxy.refused(1);
    assert_eq!(proxy.says(), "two");
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let (tell, rest) = std::sync::mpsc::channel();
    let origin = slow(rest);
    let mut proxy = proxy_to(&origin, "10s");
    // One that says nothing, and one that has nothing more to say, are not waited for.
    let mut silent = proxy.client();
    let mut idle = proxy.client();
    idle.get("a", "/idle");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.pipe.until(b"hello").unwrap();
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    let address = proxy.address();
    eventually("no new connections", || TcpStream::connect(address).is_err().then_some(()));
    silent.assert_closed();
    idle.assert_closed();
    tell.send(()).unwrap();
    assert_eq!(client.pipe.exactly(5).unwrap(), b"world");
    client.assert_closed();
    drop((silent, idle, client));
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn the_end_does_not_wait_longer_than_its_grace() {
    let (_tell, rest) = std::sync::mpsc::channel();
    let origin = slow(rest);
    let mut proxy = proxy_to(&origin, "300ms");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.pipe.until(b"hello").unwrap();
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    proxy.said("requests were still under way");
}

#[test]
fn who_says_it_twice_is_not_made_to_wait() {
    let (_tell, rest) = std::sync::mpsc::channel();
    let origin = slow(rest);
    let mut proxy = proxy_to(&origin, "1h");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.pipe.until(b"hello").unwrap();
    proxy.signal(Signal::INT);
    proxy.said("shutting down");
    proxy.signal(Signal::INT);
    assert_eq!(proxy.wait().code(), Some(0));
}
