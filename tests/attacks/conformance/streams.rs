//! RFC 9113, section 5: what a stream may be sent in which state, and whom its mistakes are counted against.

use super::*;
use crate::frames::{CONTINUATION, PRIORITY, WINDOW_UPDATE};

const CANCEL: &[u8] = &[0, 0, 0, 8];

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, CANCEL)
}

fn window(stream: u32, by: u8) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, by])
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[9]].concat())
}

fn continuation(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, stream, &block(&[("a", "b")]))
}

pub fn cases() -> Vec<Case> {
    let mut cases = idle();
    cases.extend(half_closed());
    cases.extend(closed());
    cases.extend(identifiers());
    cases.extend(errors());
    cases
}

fn idle() -> Vec<Case> {
    vec![
        case("5.1 idle: DATA", data(END_STREAM, 1, b"a"), Wanted::Connection(PROTOCOL)),
        case("5.1 idle: RST_STREAM", reset(1), Wanted::Connection(PROTOCOL)),
        case("5.1 idle: WINDOW_UPDATE", window(1, 100), Wanted::Connection(PROTOCOL)),
        case("5.1 idle: CONTINUATION", continuation(1), Wanted::Connection(PROTOCOL)),
        case("5.1 idle: PRIORITY", [priority(1, 0), get(1, "/")].concat(), Wanted::Served),
    ]
}

/// The client has said all, the server has not.
fn half_closed() -> Vec<Case> {
    // An answer waits for its window.
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let waiting = |more| vec![Step::Say([shut.clone(), get(1, "/")].concat()), Step::Came(HEADERS, 1), Step::Say(more)];
    let after = |more: Vec<u8>| [get(1, "/hang"), more].concat();
    vec![
        case("5.1 half-closed: DATA", after(data(END_STREAM, 1, b"a")), Wanted::Vaguely(STREAM_CLOSED)),
        case("5.1 half-closed: HEADERS", after(get(1, "/")), Wanted::Vaguely(STREAM_CLOSED)),
        case("5.1 half-closed: CONTINUATION", after(continuation(1)), Wanted::Connection(PROTOCOL)),
        steps("5.1 half-closed: WINDOW_UPDATE", waiting(window(1, 1)), Wanted::Sizes(DATA, 1, &[1])),
        steps(
            "5.1 half-closed: PRIORITY",
            waiting([priority(1, 0), window(1, 1)].concat()),
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        case("5.1 half-closed: RST_STREAM", after(reset(1)), Wanted::GoesOn),
    ]
}

fn closed() -> Vec<Case> {
    let given_up = |more: Vec<u8>| [post(1, "/hang", &[]), reset(1), more].concat();
    let over = |more: Vec<u8>| vec![Step::Say(get(1, "/")), Step::Answered(1), Step::Say(more)];
    let closed = Wanted::Stream(1, STREAM_CLOSED);
    vec![
        case("5.1 closed by RST_STREAM: DATA", given_up(data(END_STREAM, 1, b"a")), closed),
        case("5.1 closed by RST_STREAM: HEADERS", given_up(get(1, "/")), Wanted::Vaguely(STREAM_CLOSED)),
        case("5.1 closed by RST_STREAM: CONTINUATION", given_up(continuation(1)), Wanted::Connection(PROTOCOL)),
        steps("5.1 closed by END_STREAM: DATA", over(data(END_STREAM, 1, b"a")), closed),
        steps("5.1 closed by END_STREAM: HEADERS", over(get(1, "/")), Wanted::Vaguely(STREAM_CLOSED)),
        steps("5.1 closed by END_STREAM: CONTINUATION", over(continuation(1)), Wanted::Connection(PROTOCOL)),
        steps("5.1 closed by END_STREAM: PRIORITY", over(priority(1, 0)), Wanted::GoesOn),
        steps("5.1 closed by END_STREAM: WINDOW_UPDATE", over(window(1, 9)), Wanted::GoesOn),
        steps("5.1 closed by END_STREAM: RST_STREAM", over(reset(1)), Wanted::GoesOn),
    ]
}

fn identifiers() -> Vec<Case> {
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let many = [shut].into_iter().chain((0..=STREAMS).map(|at| get(at * 2 + 1, "/hang"))).flatten().collect();
    vec![
        case("5.1.1 an even stream", get(2, "/"), Wanted::Connection(PROTOCOL)),
        case(
            "5.1.1 a stream before one that was opened",
            [get(5, "/hang"), get(3, "/hang")].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case("5.1.2 more streams than allowed", many, Wanted::Stream(STREAMS * 2 + 1, REFUSED_STREAM)),
        case("5.3.1 HEADERS that depend on themselves", on_itself(), Wanted::Stream(1, PROTOCOL)),
        case(
            "5.3.1 PRIORITY that depends on itself",
            [post(1, "/hang", &[]), priority(1, 1)].concat(),
            Wanted::Stream(1, PROTOCOL),
        ),
        case("5.3.1 idle: PRIORITY that depends on itself", priority(1, 1), Wanted::Stream(1, PROTOCOL)),
    ]
}

fn on_itself() -> Vec<u8> {
    let payload = [&[0, 0, 0, 1, 9][..], &request("GET", "/hang", &[])].concat();
    frame(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, &payload)
}

fn errors() -> Vec<Case> {
    vec![
        case(
            "5.4.1 the connection is closed behind GOAWAY",
            frame(PING, 0, 3, b"12345678"),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "5.4.1 the last stream is named",
            [get(1, "/hang"), frame(PING, 0, 3, b"12345678")].concat(),
            Wanted::Last(PROTOCOL, 1),
        ),
        case("5.5 a frame of no known kind", [frame(0x16, 0, 0, b"?"), get(1, "/")].concat(), Wanted::Served),
        case(
            "5.5 a frame of no known kind, of a stream",
            [post(1, "/", &[]), frame(0x16, 0xff, 1, b"?"), data(END_STREAM, 1, b"")].concat(),
            Wanted::Served,
        ),
    ]
}
