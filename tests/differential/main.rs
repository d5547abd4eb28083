//! The same odd requests to rp, nginx, HAProxy and Caddy, each before a server that records what reaches it. What rp lets
//! through must have one reading, whoever reads it; docs/differential.md says what each of them does.
//!
//! `UPDATE_DIFFERENTIAL=1 cargo test --test differential` writes that page anew.

#[path = "../e2e/harness/mod.rs"]
mod harness;

mod cases;
mod grammar;
mod lanes;
mod outcome;
mod paths;
mod peers;
mod readers;
mod recorder;
mod report;

use cases::cases;
use lanes::run;
use outcome::Outcome;
use peers::Peer;
use readers::READERS;

#[test]
fn xf01_to_xf18_what_passes_has_one_reading() {
    let cases = cases();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let outcomes: Vec<(Peer, Vec<Outcome>)> = std::thread::scope(|scope| {
        let cases = &cases;
        let runs: Vec<_> = Peer::all().into_iter().map(|peer| (peer, scope.spawn(move || run(peer, cases)))).collect();
        runs.into_iter().map(|(peer, run)| (peer, run.join().expect("a run"))).collect()
    });
    let (_, ours) = outcomes.iter().find(|(peer, _)| *peer == Peer::Rp).unwrap();
    let doubts: Vec<String> = cases
        .iter()
        .zip(ours)
        .flat_map(|(case, outcome)| outcome.doubts().into_iter().map(move |doubt| format!("{case}: {doubt}")))
        .collect();
    assert!(doubts.is_empty(), "what rp let through has more than one reading:\n{}", doubts.join("\n"));
    let passed = ours.iter().filter(|outcome| outcome.passes()).count();
    assert!(passed > cases.len() / 5, "a proxy that refuses all shows nothing: {passed} passed");
    report::check(&cases, &outcomes);
}

/// Over few connections to one server, used again and again, as it is in earnest: a request that took a byte too much or
/// too little would leave all that follow it in doubt.
#[test]
fn xf16_xf19_rows_on_kept_connections_have_one_reading() {
    let recorder = recorder::Recorder::new();
    let times = "timeout header 400ms; timeout body 400ms; timeout idle 100ms";
    let proxy = harness::of(&format!("global {{ {times} }}\n:0 {{\n bind 127.0.0.1\n reverse_proxy {{$ORIGIN}}\n}}"))
        .with("ORIGIN", recorder.address)
        .start();
    let cases = cases();
    for batch in cases.chunks(100) {
        let mut clients: Vec<harness::Client> = batch.iter().map(|_| proxy.client()).collect();
        for (client, case) in clients.iter_mut().zip(batch) {
            client.send(&case.bytes);
        }
        clients.iter_mut().for_each(|client| drop(client.pipe.drain()));
    }
    assert_eq!(proxy.get("/after").status(), 200);
    let connections = recorder.connections();
    assert!(connections.len() < cases.len() / 2, "connections are used again");
    for bytes in connections {
        let doubts = readers::doubts(&bytes);
        assert!(doubts.is_empty(), "{doubts:?}\n{}", String::from_utf8_lossy(&bytes));
    }
}

/// Readers that never disagree would show nothing.
#[test]
fn readers_disagree_about_what_has_two_readings() {
    for (what, bytes) in readers::AMBIGUOUS {
        assert!(!readers::doubts(bytes.as_bytes()).is_empty(), "{what}: {} readers agree", READERS.len());
    }
    for plain in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ] {
        assert_eq!(readers::doubts(plain.as_bytes()), Vec::<String>::new());
    }
}
