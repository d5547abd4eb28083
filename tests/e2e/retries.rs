//! What servers are sent when their connections end under a request.

use std::net::TcpStream;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Ask, Origin, Protocol, each_of, eventually, lock};

/// As many as a worker keeps.
const CONNECTIONS: usize = 32;
/// What a server would take for a request if it were told that the one before it had no body.
const BODY: &str = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// Resets all of them as soon as the first is written to: a worker that has more to send knows nothing of it yet, and its
/// first write fails.
fn spring(mut streams: Vec<TcpStream>) {
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut byte = [0];
    while streams.iter().all(|stream| stream.peek(&mut byte).is_err()) {
        std::thread::yield_now();
    }
    streams.clear();
}

#[test]
fn xf19_a_retried_request_is_framed_anew_and_whole() {
    each_of(&[Protocol::Http2, Protocol::Http3], |over| (0..4).for_each(|_| retried(over)));
}

fn retried(over: Protocol) {
    let held = Arc::<Mutex<Vec<TcpStream>>>::default();
    let (keep, together) = (held.clone(), Barrier::new(CONNECTIONS));
    let origin = Origin::raw(move |wire| {
        if wire.number < CONNECTIONS {
            wire.request().unwrap();
            // None of them is free before all are there.
            together.wait();
            wire.ok("warm");
            lock(&keep).push(wire.pipe.tcp().try_clone().unwrap());
            return;
        }
        while wire.request().is_some() {
            wire.ok("again");
        }
    });
    let proxy = over
        .of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let mut speaker = proxy.speaker();
    let logged = |method: &str| {
        let lines = proxy.access_lines().into_iter().filter(|line| line["method"] == method);
        Some(lines.collect::<Vec<_>>()).filter(|lines| lines.len() == CONNECTIONS)
    };
    (0..CONNECTIONS).for_each(|_| speaker.ask_and_go_on(Ask::get("/warm")));
    eventually("all are answered", || logged("GET"));
    let streams = eventually("all are held", || {
        let mut held = lock(&held);
        (held.len() == CONNECTIONS).then(|| std::mem::take(&mut *held))
    });
    let trap = std::thread::spawn(move || spring(streams));
    // The worker finds all of them at once.
    proxy.signal(Signal::STOP);
    (0..CONNECTIONS).for_each(|_| speaker.ask_and_go_on(Ask::of("POST", "/post").body(BODY)));
    proxy.signal(Signal::CONT);
    trap.join().unwrap();
    let lines = eventually("all are answered or given up", || logged("POST"));
    for line in &lines {
        assert!(["200", "502"].contains(&line["status"].to_string().as_str()), "{line}");
    }
    // How many were tried again is a question of time, for which there are several rounds; that each is whole is not.
    let requests = origin.requests();
    assert_eq!(requests.iter().filter(|request| request.target() == "/warm").count(), CONNECTIONS);
    for request in &requests[CONNECTIONS..] {
        assert_eq!((request.method(), request.target()), ("POST", "/post"));
        assert_eq!(request.field("content-length"), Some(BODY.len().to_string().as_str()));
        assert_eq!(request.text(), BODY);
    }
}
