//! RFC 9113, sections 3, 4 and 6: frames, one kind after the other. Section 7: reasons that nobody knows.

use super::*;
use crate::frames::{CONTINUATION, PRIORITY, WINDOW_UPDATE, literal};

const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;
const PUSH_PROMISE: u8 = 5;
const MAX_FRAME: usize = 16 * 1024;

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A head with padding, or with a claim of it.
fn padded(claimed: u8, real: usize) -> Vec<u8> {
    let payload = [&[claimed][..], &request("GET", "/", &[]), &vec![0; real]].concat();
    frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &payload)
}

/// A head with a priority: the stream that it depends on, and its weight.
fn weighed(on: u32, weight: u8) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[weight], &request("GET", "/", &[])].concat();
    frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, &payload)
}

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[weight]].concat())
}

/// A head in pieces, of which the last one says so or does not.
fn pieces(last: u8) -> Vec<u8> {
    let block = request("GET", "/", &[("a", "b")]);
    let (first, rest) = block.split_at(block.len() / 2);
    [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, last, 1, rest)].concat()
}

pub fn cases() -> Vec<Case> {
    let mut cases = format();
    cases.extend(bodies());
    cases.extend(heads());
    cases.extend(priorities_and_resets());
    cases.extend(settings());
    cases.extend(connection());
    cases.extend(windows());
    cases.extend(continuations());
    cases
}

fn format() -> Vec<Case> {
    let large = vec![0; MAX_FRAME + 1];
    vec![
        case("3.4 a preface, and a request", get(1, "/"), Wanted::Served),
        case("4.1 a frame of no known kind", [frame(0xff, 0, 0, b"?"), get(1, "/")].concat(), Wanted::Served),
        case("4.1 flags that are none", [frame(PING, 0xfe, 0, b"12345678"), get(1, "/")].concat(), Wanted::Served),
        case("4.1 the reserved bit", [frame(PING, 0, 1 << 31, b"12345678"), get(1, "/")].concat(), Wanted::Served),
        case(
            "4.2 as many bytes as a frame may have",
            [post(1, "/", &[]), data(END_STREAM, 1, &large[1..])].concat(),
            Wanted::Served,
        ),
        case(
            "4.2 DATA of one byte more",
            [post(1, "/hang", &[]), data(0, 1, &large)].concat(),
            Wanted::Stream(1, &[FRAME_SIZE]),
        ),
        case("4.2 HEADERS of one byte more", frame(HEADERS, 5, 1, &large), Wanted::Connection(&[FRAME_SIZE])),
        case("4.2 SETTINGS of one byte more", frame(SETTINGS, 0, 0, &large), Wanted::Connection(&[FRAME_SIZE])),
        case("4.3 a block that is none", frame(HEADERS, 5, 1, &[0x00, 0x7f]), Wanted::Connection(&[COMPRESSION])),
        case(
            "4.3 PRIORITY within a head",
            [frame(HEADERS, END_STREAM, 1, &request("GET", "/", &[])), priority(1, 0, 1)].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "4.3 another head within a head",
            [frame(HEADERS, END_STREAM, 1, &request("GET", "/", &[])), get(3, "/")].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "7 GOAWAY for a reason that nobody knows",
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]),
            Wanted::GoesOn,
        ),
        case(
            "7 RST_STREAM for a reason that nobody knows",
            [get(1, "/hang"), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])].concat(),
            Wanted::GoesOn,
        ),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        case("6.1 DATA", [post(1, "/", &[]), data(END_STREAM, 1, b"a")].concat(), Wanted::Served),
        case(
            "6.1 DATA, more than once",
            [post(1, "/", &[]), data(0, 1, b"a"), data(0, 1, b"b"), data(END_STREAM, 1, b"")].concat(),
            Wanted::Served,
        ),
        case(
            "6.1 DATA with padding",
            [post(1, "/", &[]), data(END_STREAM | PADDED, 1, &[5, b'a', 0, 0, 0, 0, 0])].concat(),
            Wanted::Served,
        ),
        case("6.1 DATA on no stream", data(END_STREAM, 0, b"a"), Wanted::Connection(&[PROTOCOL])),
        case(
            "6.1 DATA on a stream that has ended",
            [get(1, "/hang"), data(END_STREAM, 1, b"a")].concat(),
            Wanted::Stream(1, &[STREAM_CLOSED]),
        ),
        case(
            "6.1 as much padding as payload",
            [post(1, "/hang", &[]), data(END_STREAM | PADDED, 1, &[5, b'a', 0, 0, 0])].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.1 padding without a length",
            [post(1, "/hang", &[]), data(END_STREAM | PADDED, 1, b"")].concat(),
            Wanted::Connection(&[FRAME_SIZE, PROTOCOL]),
        ),
    ]
}

fn heads() -> Vec<Case> {
    vec![
        case("6.2 HEADERS with padding", padded(7, 7), Wanted::Served),
        case("6.2 HEADERS with a priority", weighed(0, 255), Wanted::Served),
        case(
            "6.2 HEADERS on no stream",
            frame(HEADERS, 5, 0, &request("GET", "/", &[])),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case("6.2 more padding than payload", padded(255, 0), Wanted::Connection(&[PROTOCOL])),
        case(
            "6.2 a priority that is cut off",
            frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, &[0, 0]),
            Wanted::Connection(&[FRAME_SIZE, PROTOCOL]),
        ),
        case(
            "6.2 HEADERS without an end, and DATA",
            [frame(HEADERS, 0, 1, &request("POST", "/", &[])), data(END_STREAM, 1, b"a")].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.2 HEADERS without an end, and others of another stream",
            [frame(HEADERS, 0, 1, &request("GET", "/", &[])), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
    ]
}

fn priorities_and_resets() -> Vec<Case> {
    let reset = |stream, code: &[u8]| frame(RST_STREAM, 0, stream, code);
    vec![
        case("6.3 PRIORITY of weight 1", [priority(1, 0, 0), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of weight 256", [priority(1, 0, 255), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY under another stream", [priority(1, 3, 9), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY in place of others", [priority(1, 3 | 1 << 31, 9), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of a stream to come", [priority(5, 0, 9), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of no stream", priority(0, 1, 9), Wanted::Connection(&[PROTOCOL])),
        case(
            "6.3 PRIORITY of another length",
            [post(1, "/hang", &[]), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            Wanted::Stream(1, &[FRAME_SIZE]),
        ),
        case("6.4 RST_STREAM", [get(1, "/hang"), reset(1, &[0, 0, 0, 8])].concat(), Wanted::GoesOn),
        case("6.4 RST_STREAM of no stream", reset(0, &[0, 0, 0, 8]), Wanted::Connection(&[PROTOCOL])),
        case("6.4 RST_STREAM of a stream that never was", reset(1, &[0, 0, 0, 8]), Wanted::Connection(&[PROTOCOL])),
        case(
            "6.4 RST_STREAM of another length",
            [get(1, "/hang"), reset(1, &[0, 0, 8])].concat(),
            Wanted::Connection(&[FRAME_SIZE]),
        ),
    ]
}

fn settings() -> Vec<Case> {
    vec![
        case("6.5 SETTINGS", [setting(3, 100), get(1, "/")].concat(), Wanted::Served),
        case("6.5 SETTINGS with ACK and content", frame(SETTINGS, ACK, 0, &[0]), Wanted::Connection(&[FRAME_SIZE])),
        case("6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1, &[]), Wanted::Connection(&[PROTOCOL])),
        case("6.5 SETTINGS of another length", frame(SETTINGS, 0, 0, &[0; 3]), Wanted::Connection(&[FRAME_SIZE])),
        case("6.5.2 ENABLE_PUSH of 2", setting(2, 2), Wanted::Connection(&[PROTOCOL])),
        case("6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1", setting(4, 1 << 31), Wanted::Connection(&[FLOW_CONTROL])),
        case("6.5.2 MAX_FRAME_SIZE below 2^14", setting(5, (1 << 14) - 1), Wanted::Connection(&[PROTOCOL])),
        case("6.5.2 MAX_FRAME_SIZE beyond 2^24-1", setting(5, 1 << 24), Wanted::Connection(&[PROTOCOL])),
        case("6.5.2 a setting that nobody knows", [setting(0xff, 1), get(1, "/")].concat(), Wanted::Served),
        steps(
            "6.5.3 the last of several values holds",
            vec![Step::Say(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1])), Step::Say(get(1, "/"))],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        steps(
            "6.5.3 SETTINGS are acknowledged",
            vec![Step::Came(SETTINGS, 0), Step::Came(SETTINGS, 0), Step::Say(setting(4, 100))],
            Wanted::Sizes(SETTINGS, 0, &[0]),
        ),
        case(
            "6.6 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "8.4 PUSH_PROMISE of a client, on a stream",
            [
                post(1, "/hang", &[]),
                frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &request("GET", "/", &[])[..]].concat()),
            ]
            .concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
    ]
}

fn connection() -> Vec<Case> {
    vec![
        case("6.7 PING", frame(PING, 0, 0, b"12345678"), Wanted::Sizes(PING, 0, &[8])),
        case("6.7 PING with ACK", [frame(PING, ACK, 0, b"unasked!"), get(1, "/")].concat(), Wanted::Served),
        case("6.7 PING of a stream", frame(PING, 0, 1, b"12345678"), Wanted::Connection(&[PROTOCOL])),
        case("6.7 PING of another length", frame(PING, 0, 0, b"123456"), Wanted::Connection(&[FRAME_SIZE])),
        case("6.8 GOAWAY", [get(1, "/"), frame(GOAWAY, 0, 0, &[0; 8])].concat(), Wanted::Served),
        case("6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Wanted::Connection(&[PROTOCOL])),
        case("6.8 GOAWAY that is cut off", frame(GOAWAY, 0, 0, &[0; 7]), Wanted::Connection(&[FRAME_SIZE, PROTOCOL])),
    ]
}

fn windows() -> Vec<Case> {
    let most = 0x7fff_ffff;
    vec![
        case("6.9 WINDOW_UPDATE of the connection", [window(0, 1), get(1, "/")].concat(), Wanted::Served),
        case("6.9 WINDOW_UPDATE of a stream", [get(1, "/"), window(1, 1)].concat(), Wanted::Served),
        case("6.9 WINDOW_UPDATE of nothing", window(0, 0), Wanted::Connection(&[PROTOCOL])),
        case(
            "6.9 WINDOW_UPDATE of nothing, of a stream",
            [get(1, "/hang"), window(1, 0)].concat(),
            Wanted::Stream(1, &[PROTOCOL]),
        ),
        case(
            "6.9 WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Wanted::Connection(&[FRAME_SIZE]),
        ),
        case("6.9.1 no more than the window", [setting(4, 1), get(1, "/")].concat(), Wanted::Sizes(DATA, 1, &[1])),
        case(
            "6.9.1 a window that grows beyond 2^31-1",
            [window(0, most), window(0, most)].concat(),
            Wanted::Connection(&[FLOW_CONTROL]),
        ),
        case(
            "6.9.1 a stream's window that grows beyond 2^31-1",
            [get(1, "/hang"), window(1, most), window(1, most)].concat(),
            Wanted::Stream(1, &[FLOW_CONTROL]),
        ),
        steps(
            "6.9.2 a window that is set while an answer waits for it",
            vec![Step::Say([setting(4, 0), get(1, "/")].concat()), Step::Came(HEADERS, 1), Step::Say(setting(4, 1))],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        steps(
            "6.9.2 a window below nothing",
            vec![
                Step::Say([setting(4, 1), get(1, "/")].concat()),
                Step::Came(DATA, 1),
                // One byte is gone: it is at -1, then at 0, and then at 1.
                Step::Say([setting(4, 0), window(1, 1), window(1, 1)].concat()),
            ],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        case(
            "6.9.2 INITIAL_WINDOW_SIZE beyond 2^31-1",
            [get(1, "/hang"), setting(4, u32::MAX)].concat(),
            Wanted::Connection(&[FLOW_CONTROL]),
        ),
    ]
}

fn continuations() -> Vec<Case> {
    let more = literal(b"a", b"b");
    let body = [post(1, "/hang", &[]), data(0, 1, b"a")].concat();
    vec![
        case("6.10 CONTINUATION", pieces(END_HEADERS), Wanted::Served),
        case(
            "6.10 CONTINUATION, more than once",
            [pieces(0), frame(CONTINUATION, 0, 1, &more), frame(CONTINUATION, 4, 1, b"")].concat(),
            Wanted::Served,
        ),
        case(
            "6.10 CONTINUATION, and then DATA",
            [pieces(0), data(END_STREAM, 1, b"a")].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION on no stream",
            [frame(HEADERS, 1, 1, &request("GET", "/", &[])), frame(CONTINUATION, 4, 0, &more)].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION behind a whole head",
            [post(1, "/hang", &[]), frame(CONTINUATION, 4, 1, &more)].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION behind its own end",
            [
                frame(HEADERS, 0, 1, &request("POST", "/hang", &[])),
                frame(CONTINUATION, 4, 1, &more),
                frame(CONTINUATION, 4, 1, &more),
            ]
            .concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION behind DATA",
            [body, frame(CONTINUATION, 4, 1, &more)].concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
        case(
            "5.5 a frame of no known kind within a head",
            [
                frame(HEADERS, 1, 1, &request("GET", "/", &[])),
                frame(0xff, 0, 0, b"?"),
                frame(CONTINUATION, 4, 1, &more),
            ]
            .concat(),
            Wanted::Connection(&[PROTOCOL]),
        ),
    ]
}
