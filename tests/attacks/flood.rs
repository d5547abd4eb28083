//! Threats XH: HTTP/2 that costs its sender nothing. Another client is served beside it, and memory is bounded.

use std::time::{Duration, Instant};

use crate::frames::*;
use crate::harness::{H2, Origin, Proxy, eventually, of, run};
use crate::watch::beside;

/// KiB that one hostile connection may cost.
const LITTLE: u64 = 8 * 1024;
/// The same for each of several that hold on to all that they may.
const EACH: u64 = 4 * 1024;

/// A proxy of one worker: an attack and who is served beside it share a thread.
fn alone(origin: &Origin) -> Proxy {
    of("global { workers 1 }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}").with("ORIGIN", origin).start()
}

/// A server that answers some paths and lets others wait; how many of its connections were open at once is for the test.
pub fn origin() -> Origin {
    Origin::new(|request, wire| if request.target() == "/hang" { wire.wait_closed() } else { wire.ok("ok") })
}

#[test]
fn xh01_streams_that_are_reset_at_once_end_the_connection() {
    let origin = origin();
    let proxy = alone(&origin);
    let end = beside(&proxy, LITTLE, || {
        let mut raw = Raw::connect(proxy.address());
        raw.hurry();
        for batch in 0..100_u32 {
            let mut bytes = Vec::new();
            for at in 0..100 {
                let stream = (batch * 100 + at) * 2 + 1;
                bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/hang", &[])));
                bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
            }
            if !raw.pour(&bytes) {
                break;
            }
        }
        raw.end()
    });
    assert!(matches!(end, Outcome::GoAway(ENHANCE_YOUR_CALM) | Outcome::Closed), "{end:?}");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xh01_streams_that_are_reset_one_by_one_end_the_connection() {
    let origin = origin();
    let proxy = alone(&origin);
    let streams = beside(&proxy, LITTLE, || {
        let mut raw = Raw::connect(proxy.address());
        // Each has been taken before it is reset.
        (1..=1_000_u32).find(|at| {
            let stream = at * 2 - 1;
            raw.get(stream, "/hang");
            let taken = raw.settled();
            raw.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
            !taken
        })
    });
    assert!(streams.is_some_and(|streams| streams < 300), "{streams:?}");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xh01_who_resets_some_of_many_goes_on() {
    let origin = origin();
    let proxy = alone(&origin);
    let mut raw = Raw::connect(proxy.address());
    for at in 0..400_u32 {
        let stream = at * 6 + 1;
        raw.get(stream, "/hang").send(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        for more in [2, 4] {
            assert_eq!(raw.get(stream + more, "/").outcome(stream + more), Outcome::Served, "at {at}");
        }
    }
}

/// Opens streams, each with a mistake that makes the server reset it, and says how many were taken.
fn provoke(mistake: impl Fn(u32) -> Vec<u8> + Sync) {
    let origin = origin();
    let proxy = alone(&origin);
    let open = beside(&proxy, LITTLE, || {
        let mut raw = Raw::connect(proxy.address());
        raw.hurry();
        let mut most = 0;
        for at in 0..1_000 {
            let stream = at * 2 + 1;
            raw.head(stream, &request("POST", "/hang", &[]), false);
            if !raw.pour(&mistake(stream)) || !raw.settled() {
                return most;
            }
            most = most.max(origin.open());
        }
        panic!("a thousand mistakes are borne");
    });
    assert!(open <= 101, "{open} servers at once for one connection of 100 streams");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xh02_windows_of_nothing_are_counted() {
    provoke(|stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
}

#[test]
fn xh02_windows_that_overflow_are_counted() {
    provoke(|stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
}

#[test]
fn xh02_priorities_of_a_wrong_length_are_counted() {
    provoke(|stream| frame(PRIORITY, 0, stream, &[0; 4]));
}

#[test]
fn xh02_streams_that_depend_on_themselves_are_counted() {
    provoke(|stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat()));
}

#[test]
fn xh02_data_behind_the_end_is_counted() {
    provoke(|stream| [frame(DATA, END_STREAM, stream, b"x"), frame(DATA, END_STREAM, stream, b"y")].concat());
}

#[test]
fn xh02_heads_behind_the_end_are_counted() {
    provoke(|stream| {
        let again = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/", &[]));
        [frame(DATA, END_STREAM, stream, b"x"), again].concat()
    });
}

#[test]
fn xh02_lengths_that_do_not_fit_are_counted() {
    let origin = origin();
    let proxy = alone(&origin);
    let mut raw = Raw::connect(proxy.address());
    raw.hurry();
    let borne = beside(&proxy, LITTLE, || {
        (0..1_000_u32).find(|at| {
            let stream = at * 2 + 1;
            let head = request("POST", "/hang", &[("content-length", "1")]);
            raw.head(stream, &head, false).send(DATA, 0, stream, b"longer");
            !raw.settled()
        })
    });
    assert!(borne.is_some(), "a thousand mistakes are borne");
    eventually("no server is left waiting", || (origin.open() <= 1).then_some(()));
}

#[test]
fn xh03_a_head_that_goes_on_and_on_ends_the_connection() {
    let origin = Origin::saying("ok");
    let proxy = alone(&origin);
    for fragment in [literal(b"x-a", &[b'b'; 1_000]), literal(b"a", b""), Vec::new()] {
        let sent = beside(&proxy, LITTLE, || {
            let mut raw = Raw::connect(proxy.address());
            raw.hurry().send(HEADERS, 0, 1, &request("GET", "/", &[]));
            let more = frame(CONTINUATION, 0, 1, &fragment).repeat(10);
            let start = Instant::now();
            let sent = (0..20_000).take_while(|_| start.elapsed() < Duration::from_secs(10) && raw.pour(&more)).count();
            let end = raw.end();
            assert!(matches!(end, Outcome::GoAway(_) | Outcome::Closed), "{end:?}");
            sent
        });
        assert!(sent < 20_000, "all of it was read");
    }
    assert!(!origin.all_bytes().windows(4).any(|window| window == b"x-a:"));
}

#[test]
fn xh03_a_head_in_more_than_eight_pieces_is_not_waited_for() {
    let origin = Origin::saying("ok");
    let proxy = alone(&origin);
    // A large head may come so.
    let begin = |raw: &mut Raw| raw.send(HEADERS, END_STREAM, 1, &request("GET", "/", &[])).hurry().pour(&[]);
    let mut raw = Raw::connect(proxy.address());
    begin(&mut raw);
    for _ in 0..3 {
        raw.send(CONTINUATION, 0, 1, &literal(b"x-a", &[b'b'; 5_000]));
    }
    assert_eq!(raw.send(CONTINUATION, END_HEADERS, 1, &[]).outcome(1), Outcome::Served);
    // Nothing more is said: it is these that end the connection. The last is of 32 KiB in all.
    for (fragment, count) in
        [(Vec::new(), 8), (literal(b"a", b""), 8), (vec![0; 1_000], 8), (literal(b"x-a", &vec![b'b'; 16_000]), 8)]
    {
        let mut raw = Raw::connect(proxy.address());
        begin(&mut raw);
        raw.pour(&frame(CONTINUATION, 0, 1, &fragment).repeat(count));
        let end = raw.end();
        assert!(
            matches!(end, Outcome::GoAway(ENHANCE_YOUR_CALM | COMPRESSION_ERROR)),
            "{} × {count}: {end:?}",
            fragment.len()
        );
    }
    assert_eq!(origin.whole_requests(), 1);
}

/// The newest field of the table (RFC 7541, section 6.1).
const REFERENCE: u8 = 0xbe;

/// One large field that enters the table, then references to it, a byte each.
fn bomb(size: usize, references: usize) -> Vec<u8> {
    let mut head = request("GET", "/", &[]);
    head.extend(indexed(b"x-bomb", &vec![b'b'; size]));
    head.extend(std::iter::repeat_n(REFERENCE, references));
    head
}

#[test]
fn xh04_a_head_that_unpacks_to_megabytes_is_not_unpacked() {
    let origin = Origin::saying("ok");
    let proxy = alone(&origin);
    for (size, references) in [(4_000, 12_000), (1, 15_000), (0, 16_000)] {
        beside(&proxy, LITTLE, || {
            for _ in 0..20 {
                let mut raw = Raw::connect(proxy.address());
                let outcome = raw.head(1, &bomb(size, references), true).outcome(1);
                assert!(outcome.is_refusal(), "{size} × {references}: {outcome:?}");
            }
        });
    }
    assert!(!origin.all_bytes().windows(6).any(|window| window == b"x-bomb"));
}

#[test]
fn xh04_heads_that_are_held_on_to_cost_a_connection_no_more_than_it_may_hold() {
    const CONNECTIONS: u64 = 5;
    // One that reads quickly: it is not to be what others wait for.
    let origin = Origin::raw(|wire| {
        while matches!(wire.pipe.fill(), Ok(1..)) {
            if wire.pipe.buffer.ends_with(b"\r\n\r\n") {
                wire.pipe.buffer.clear();
                wire.ok("ok");
            }
        }
    });
    let proxy = alone(&origin);
    // As large as a head may be when it is unpacked, 500 bytes on the wire, and a hundred of them; no answer can end.
    let head = [request("GET", "/", &[]), indexed(b"x-bomb", &[b'b'; 300]), vec![REFERENCE; 85]].concat();
    let mut clients: Vec<Raw> =
        (0..CONNECTIONS).map(|_| Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0)])).collect();
    beside(&proxy, CONNECTIONS * EACH, || {
        for raw in &mut clients {
            for at in 0..100 {
                raw.head(at * 2 + 1, &head, true);
            }
        }
        for raw in &mut clients {
            assert_eq!(raw.outcome(199), Outcome::Served);
        }
    });
}

#[test]
fn xh04_crumbs_and_empty_fields_count_as_much_as_others() {
    let origin = Origin::saying("ok");
    let proxy = alone(&origin);
    beside(&proxy, LITTLE, || {
        for name in ["cookie", "a"] {
            let mut head = request("GET", "/", &[]);
            head.extend(indexed(name.as_bytes(), b""));
            head.extend(std::iter::repeat_n(REFERENCE, 900));
            let mut raw = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
            for at in 0..90 {
                raw.head(at * 2 + 1, &head, true);
            }
            assert!(raw.outcome(179).is_refusal());
        }
    });
    assert!(!origin.all_bytes().windows(7).any(|window| window == b"cookie:"));
}

/// Sends these frames again and again, without ever reading what comes back, until the connection has ended.
fn flood(frames: &[u8]) {
    let origin = origin();
    let proxy = alone(&origin);
    beside(&proxy, LITTLE, || {
        let mut raw = Raw::connect(proxy.address());
        raw.hurry().head(1, &request("POST", "/hang", &[]), false);
        let bytes = frames.repeat(2_000);
        // What the system keeps for a connection is taken by nobody.
        assert!((0..2_000).any(|_| !raw.pour(&bytes)), "four million frames for nothing are taken");
    });
    // A few at a time, each of which has been read when the next are sent: else its last word may be lost.
    let mut raw = Raw::connect(proxy.address());
    raw.head(1, &request("POST", "/hang", &[]), false);
    let few = [&frames.repeat(if frames.len() > 100 { 1 } else { 10 })[..], &frame(PING, 0, 0, b"settled?")].concat();
    let last = (0..1_000).find_map(|_| {
        raw.pour(&few);
        let of_interest = |frame: &Frame| frame.kind == GOAWAY || (frame.kind == PING && frame.payload == b"settled?");
        let said = std::iter::from_fn(|| raw.next()).find(of_interest).expect("a last word");
        (said.kind == GOAWAY).then_some(said)
    });
    assert_eq!(last.expect("the connection ends").payload[4..8], ENHANCE_YOUR_CALM.to_be_bytes());
}

#[test]
fn xh05_empty_data_costs_no_memory() {
    flood(&frame(DATA, 0, 1, b""));
}

#[test]
fn xh05_data_of_padding_costs_no_memory() {
    flood(&frame(DATA, 8, 1, &[2, 0, 0]));
}

#[test]
fn xh05_pings_that_nobody_hears_answered_cost_no_memory() {
    flood(&frame(PING, 0, 0, b"are you?"));
}

#[test]
fn xh05_settings_that_nobody_hears_acknowledged_cost_no_memory() {
    flood(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]));
}

#[test]
fn xh05_priorities_cost_no_memory() {
    flood(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]));
}

#[test]
fn xh05_priorities_of_streams_that_are_not_there_cost_no_memory() {
    let all: Vec<u8> = (0..100_u32).flat_map(|at| frame(PRIORITY, 0, at * 2 + 101, &[0, 0, 0, 3, 1])).collect();
    flood(&all);
}

#[test]
fn xh05_windows_that_open_by_a_byte_cost_no_memory() {
    flood(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
}

#[test]
fn xh05_frames_that_nobody_knows_cost_no_memory() {
    flood(&frame(0xbb, 0xff, 0, b"grease"));
}

/// A stream of small messages both ways, whose client acknowledges each at once, and asks how long it took.
#[test]
fn xh05_who_gets_what_it_asks_for_may_say_more_beside() {
    let origin = Origin::raw(|wire| {
        wire.pipe.until(b"\r\n\r\n");
        wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(byte) = wire.pipe.exactly(1) {
            wire.say(format!("5\r\ntiny{}\r\n", char::from(byte[0])));
        }
    });
    let proxy = alone(&origin);
    let mut raw = Raw::connect(proxy.address());
    // One more than it sends: the last of what was said waits for the end (threat XG02).
    raw.head(1, &request("POST", "/", &[("content-length", "6001")]), false);
    for at in 0..6_000 {
        let window = |stream| frame(WINDOW_UPDATE, 0, stream, &5_u32.to_be_bytes());
        let ping = frame(PING, 0, 0, b"how long");
        assert!(raw.pour(&[frame(DATA, 0, 1, b"x"), window(0), window(1), ping].concat()), "{at}");
        assert!(raw.wait(DATA, 1).is_some(), "the connection ends at message {at}");
    }
}

#[test]
fn xl01_a_head_or_a_frame_that_does_not_end_is_not_waited_for() {
    let origin = origin();
    let proxy = of("global { workers 1; timeout header 700ms }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let head = frame(HEADERS, END_STREAM, 3, &request("GET", "/", &[]));
    let endings: [(&str, &[u8]); 4] = [
        ("no CONTINUATION", &head),
        ("half of HEADERS", &head[..head.len() - 1]),
        ("half of a frame's head", &head[..5]),
        ("half of a SETTINGS", &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])[..12]),
    ];
    for (what, bytes) in endings {
        // Another stream is under way, which does not wait for it.
        let mut raw = Raw::connect(proxy.address());
        raw.get(1, "/hang");
        assert!(raw.settled());
        let start = Instant::now();
        assert!(raw.pour(bytes), "{what}");
        assert!(matches!(raw.end(), Outcome::Closed | Outcome::GoAway(_)), "{what}");
        assert!(start.elapsed() >= Duration::from_millis(700), "{what}: {:?}", start.elapsed());
    }
    // Who takes its time between frames is waited for.
    let mut raw = Raw::connect(proxy.address());
    raw.get(1, "/hang");
    assert!(raw.settled());
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(raw.get(3, "/").outcome(3), Outcome::Served);
}

#[test]
fn xh06_windows_do_not_wrap() {
    let origin = origin();
    let proxy = alone(&origin);
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let end = Raw::connect(proxy.address()).send(WINDOW_UPDATE, 0, 0, &most).end();
    assert_eq!(end, Outcome::GoAway(FLOW_CONTROL_ERROR), "of the connection");
    let outcome = Raw::connect(proxy.address()).get(1, "/hang").send(WINDOW_UPDATE, 0, 1, &most).outcome(1);
    assert_eq!(outcome, Outcome::Reset(FLOW_CONTROL_ERROR), "of a stream");
    let end = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0x8000_0000)]).end();
    assert!(matches!(end, Outcome::GoAway(FLOW_CONTROL_ERROR | PROTOCOL_ERROR)), "at the beginning: {end:?}");
    // Windows that are open already grow with the setting.
    let mut raw = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    raw.get(1, "/hang").send(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    let outcome = raw.settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]).outcome(1);
    assert!(matches!(outcome, Outcome::GoAway(FLOW_CONTROL_ERROR) | Outcome::Reset(FLOW_CONTROL_ERROR)), "{outcome:?}");
    let end = Raw::connect(proxy.address()).send(WINDOW_UPDATE, 0, 0, &[0; 4]).end();
    assert_eq!(end, Outcome::GoAway(PROTOCOL_ERROR), "a window of nothing");
}

#[test]
fn xh06_windows_that_jump_to_and_fro_lose_nothing() {
    let text = "x".repeat(200_000);
    let origin = Origin::saying(&text);
    let proxy = alone(&origin);
    let mut raw = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    raw.send(WINDOW_UPDATE, 0, 0, &0x0fff_ffff_u32.to_be_bytes()).get(1, "/");
    let length = beside(&proxy, LITTLE, || {
        for at in 0..200 {
            raw.settings(&[(INITIAL_WINDOW_SIZE, if at % 2 == 0 { 0 } else { 1_000 })]);
        }
        raw.settings(&[(INITIAL_WINDOW_SIZE, 1_000_000)]);
        let mut length = 0;
        loop {
            let frame = raw.wait(DATA, 1).expect("the whole answer");
            length += frame.payload.len();
            if frame.flags & END_STREAM != 0 {
                break length;
            }
        }
    });
    assert_eq!(length, text.len());
}

#[test]
fn xh07_a_client_does_not_choose_how_much_is_remembered() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let count = AtomicU64::new(0);
    let origin = Origin::new(move |_, wire| {
        let at = count.fetch_add(1, Ordering::Relaxed);
        // Of each answer another 8 KB, which a table of any size would keep.
        let fields: String = (0..8).map(|field| format!("X-Unique-{field}: {at}-{}\r\n", "u".repeat(1_000))).collect();
        wire.say(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    });
    let proxy = alone(&origin);
    beside(&proxy, LITTLE, || {
        let mut raw = Raw::with(proxy.address(), &[(HEADER_TABLE_SIZE, u32::MAX), (INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
        for at in 0..2_000 {
            assert_eq!(raw.get(at * 2 + 1, "/").outcome(at * 2 + 1), Outcome::Served);
        }
    });
}

/// A server with much to say.
fn talker() -> Origin {
    Origin::new(|request, wire| {
        if request.target() == "/beside" {
            return wire.ok("ok");
        }
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
        let piece = [b'x'; 10_000];
        for _ in 0..1_000 {
            if wire.pipe.send(piece).is_err() {
                break;
            }
        }
    })
}

fn impatient(origin: &Origin) -> Proxy {
    of("global { workers 1; timeout write 700ms }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", origin)
        .start()
}

/// KiB for a hundred streams that stand still: what was asked of the servers before they did.
const STALLED: u64 = 100 * 200;

#[test]
fn xh08_streams_whose_window_stays_closed_are_reset() {
    let origin = talker();
    let proxy = impatient(&origin);
    // A window that is closed, and one that opens by a byte again and again.
    for (window, drip) in [(0, false), (1, false), (0, true)] {
        beside(&proxy, STALLED, || {
            let mut raw = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, window)]);
            for at in 0..100 {
                raw.get(at * 2 + 1, "/");
            }
            assert_eq!(raw.outcome(199), Outcome::Served);
            let start = Instant::now();
            while drip && start.elapsed() < Duration::from_secs(3) && origin.open() > 2 {
                for at in 0..100_u32 {
                    raw.send(WINDOW_UPDATE, 0, at * 2 + 1, &[0, 0, 0, 1]);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            eventually("the servers are let go", || (origin.open() <= 2).then_some(()));
            assert!(matches!(raw.outcome(199), Outcome::Reset(_)), "and the client is told");
            assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        });
    }
}

#[test]
fn xh08_a_server_that_is_slow_is_not_the_clients_fault() {
    let origin = Origin::new(|_, wire| {
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        // Longer than a client may take for its part.
        std::thread::sleep(Duration::from_millis(1_500));
        wire.say("cd");
    });
    let proxy = impatient(&origin);
    run(async {
        assert_eq!(H2::connect(proxy.address()).await.get("example.com", "/").await.body, b"abcd");
    });
}

#[test]
fn xh08_a_client_that_takes_it_slowly_gets_all_of_it() {
    let origin = Origin::saying(&"x".repeat(120_000));
    let proxy = of("global { timeout write 2s }\n:0 {\n bind 127.0.0.1\n reverse_proxy {$ORIGIN}\n}")
        .with("ORIGIN", &origin)
        .start();
    let mut raw = Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 16_384)]);
    raw.get(1, "/");
    let mut length = 0;
    while length < 120_000 {
        let frame = raw.wait(DATA, 1).expect("the stream is not given up");
        let taken = u32::try_from(frame.payload.len()).unwrap();
        length += frame.payload.len();
        // Slower in all than the time between two pieces that is allowed.
        std::thread::sleep(Duration::from_millis(400));
        for stream in [0, 1] {
            raw.send(WINDOW_UPDATE, 0, stream, &taken.to_be_bytes());
        }
    }
}

#[test]
fn xh08_answers_that_are_kept_for_a_client_are_bounded() {
    let origin = Origin::saying(&"x".repeat(100_000));
    let proxy = alone(&origin);
    // A window of one byte takes the beginning of each answer, and the rest waits.
    let mut clients: Vec<Raw> = (0..5).map(|_| Raw::with(proxy.address(), &[(INITIAL_WINDOW_SIZE, 1)])).collect();
    beside(&proxy, 5 * STALLED, || {
        for raw in &mut clients {
            for at in 0..100 {
                raw.get(at * 2 + 1, "/");
            }
        }
        for raw in &mut clients {
            assert_eq!(raw.outcome(199), Outcome::Served);
        }
    });
}

#[test]
fn xh11_what_was_accepted_is_answered_before_the_end() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::new(move |_, wire| {
        let _ = wait.lock().unwrap().recv_timeout(crate::harness::PATIENCE);
        wire.ok("finished");
    });
    let mut proxy = alone(&origin);
    let mut raw = Raw::connect(proxy.address());
    for at in 0..10 {
        raw.get(at * 2 + 1, "/");
    }
    origin.wait_for(10);
    proxy.signal(rustix::process::Signal::TERM);
    proxy.said("shutting down");
    for _ in 0..10 {
        go.send(()).unwrap();
    }
    let mut served = 0;
    while let Some(frame) = raw.next() {
        served += usize::from(frame.kind == DATA && frame.payload == b"finished");
        assert!(frame.kind != GOAWAY || frame.payload[4..8] == [0; 4], "no error: {frame:?}");
        if frame.kind == PING && frame.flags & ACK == 0 {
            raw.send(PING, ACK, 0, &frame.payload);
        }
    }
    assert_eq!(served, 10);
    assert!(proxy.wait().success());
}
