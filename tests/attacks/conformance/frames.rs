//! RFC 9113, sections 3, 4 and 6: frames, one kind after the other. Section 7: reasons that nobody knows.

use super::*;
use crate::frames::{CONTINUATION, PRIORITY, WINDOW_UPDATE, literal};

const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;
const PUSH_PROMISE: u8 = 5;
const MAX_FRAME: usize = 16 * 1024;

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &pair(id, value))
}

fn pair(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
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
    let long = "x".repeat(4000);
    let fields = ["x-1", "x-2", "x-3", "x-4", "x-5"].map(|name| (name, long.as_str()));
    let rest = frame(CONTINUATION, END_HEADERS, 1, &literal(b"a", b"b"));
    let misspelt = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", &frame(SETTINGS, 0, 0, &[])[..], &get(1, "/")].concat();
    vec![
        case("3.4 a preface, and a request", get(1, "/"), Wanted::Served),
        // Nothing is waited for before.
        steps("3.4 the server's settings come first", vec![], Wanted::Settings),
        case("3.4 no preface", b"HELLO * WORLD\r\n\r\n".to_vec(), Wanted::Foreign),
        case("3.4 a preface with a mistake", misspelt, Wanted::Foreign),
        case("4.1 a frame of no known kind", [frame(0xff, 0, 0, b"?"), get(1, "/")].concat(), Wanted::Served),
        case("4.1 flags that are none", frame(PING, 0xfe, 0, b"12345678"), Wanted::Pong(b"12345678")),
        case("4.1 the reserved bit", frame(PING, 0, 1 << 31, b"12345678"), Wanted::Pong(b"12345678")),
        case(
            "4.2 as many bytes as a frame may have",
            [post(1, "/", &[]), data(END_STREAM, 1, &large[1..])].concat(),
            Wanted::Served,
        ),
        case(
            "4.2 DATA of one byte more",
            [post(1, "/hang", &[]), data(END_STREAM, 1, &large)].concat(),
            Wanted::Connection(FRAME_SIZE),
        ),
        case("4.2 HEADERS of one byte more", frame(HEADERS, 5, 1, &large), Wanted::Connection(FRAME_SIZE)),
        case(
            "4.2 HEADERS of many more",
            frame(HEADERS, 5, 1, &request("GET", "/", &fields)),
            Wanted::Connection(FRAME_SIZE),
        ),
        case("4.2 SETTINGS of one byte more", frame(SETTINGS, 0, 0, &large), Wanted::Connection(FRAME_SIZE)),
        case("4.3 a block that breaks off", frame(HEADERS, 5, 1, &[0x40]), Wanted::Vaguely(COMPRESSION)),
        case("4.3 a block that is none", frame(HEADERS, 5, 1, &[0x00, 0x7f]), Wanted::Vaguely(COMPRESSION)),
        case(
            "4.3 PRIORITY within a head",
            [frame(HEADERS, 0, 1, &request("GET", "/", &[])), priority(1, 0, 255), rest.clone()].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "4.3 another head within a head",
            [frame(HEADERS, 0, 1, &request("GET", "/", &[])), get(3, "/"), rest].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "7 GOAWAY for a reason that nobody knows",
            // Without a stream there would be nothing to go on for.
            [get(1, "/hang"), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])].concat(),
            Wanted::GoesOn,
        ),
        case(
            "7 RST_STREAM for a reason that nobody knows",
            [post(1, "/hang", &[]), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])].concat(),
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
        case("6.1 DATA on no stream", data(END_STREAM, 0, b"a"), Wanted::Connection(PROTOCOL)),
        case(
            "6.1 DATA on a stream that has ended",
            [get(1, "/hang"), data(END_STREAM, 1, b"a")].concat(),
            Wanted::Vaguely(STREAM_CLOSED),
        ),
        case(
            "6.1 more padding than payload",
            [post(1, "/hang", &[("content-length", "4")]), data(END_STREAM | PADDED, 1, b"\x06test")].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.1 as much padding as payload",
            [post(1, "/hang", &[]), data(END_STREAM | PADDED, 1, &[5, b'a', 0, 0, 0])].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.1 padding without a length",
            [post(1, "/hang", &[]), data(END_STREAM | PADDED, 1, b"")].concat(),
            Wanted::Connection(FRAME_SIZE),
        ),
    ]
}

fn heads() -> Vec<Case> {
    vec![
        case("6.2 HEADERS with padding", padded(7, 7), Wanted::Served),
        case("6.2 HEADERS with a priority", weighed(0, 255), Wanted::Served),
        case("6.2 HEADERS on no stream", frame(HEADERS, 5, 0, &request("GET", "/", &[])), Wanted::Connection(PROTOCOL)),
        case("6.2 more padding than payload", padded(255, 0), Wanted::Connection(PROTOCOL)),
        case(
            "6.2 a priority that is cut off",
            frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, &[0, 0]),
            Wanted::Connection(FRAME_SIZE),
        ),
        case(
            "6.2 HEADERS without an end, and DATA",
            [frame(HEADERS, 0, 1, &request("POST", "/", &[])), data(END_STREAM, 1, b"a")].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.2 HEADERS without an end, and others of another stream",
            [frame(HEADERS, 0, 1, &request("GET", "/", &[])), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            Wanted::Connection(PROTOCOL),
        ),
    ]
}

fn priorities_and_resets() -> Vec<Case> {
    let reset = |stream, code: &[u8]| frame(RST_STREAM, 0, stream, code);
    vec![
        case("6.3 PRIORITY of weight 1", [priority(1, 0, 0), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of weight 256", [priority(1, 0, 255), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY under another stream", [priority(3, 1, 0), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY in place of others", [priority(1, 1 << 31, 0), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of a stream to come", [priority(3, 0, 255), get(1, "/")].concat(), Wanted::Served),
        case("6.3 PRIORITY of no stream", priority(0, 1, 9), Wanted::Connection(PROTOCOL)),
        case(
            "6.3 PRIORITY of another length",
            [get(1, "/hang"), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            Wanted::Connection(FRAME_SIZE),
        ),
        case("6.4 RST_STREAM", [post(1, "/hang", &[]), reset(1, &[0, 0, 0, 8])].concat(), Wanted::GoesOn),
        case("6.4 RST_STREAM of no stream", reset(0, &[0, 0, 0, 8]), Wanted::Connection(PROTOCOL)),
        case("6.4 RST_STREAM of a stream that never was", reset(1, &[0, 0, 0, 8]), Wanted::Connection(PROTOCOL)),
        case(
            "6.4 RST_STREAM of another length",
            [get(1, "/hang"), reset(1, &[0, 0, 8])].concat(),
            Wanted::Connection(FRAME_SIZE),
        ),
    ]
}

/// Settings, once those of the preface have been acknowledged.
fn told(settings: Vec<u8>) -> Vec<Step> {
    vec![Step::Came(SETTINGS, 0), Step::Came(SETTINGS, 0), Step::Say(settings)]
}

fn settings() -> Vec<Case> {
    let pairs: [(u16, u32); 6] = [(1, 4096), (2, 1), (3, 100), (4, 65_535), (5, 16_384), (6, 100)];
    let every = frame(SETTINGS, 0, 0, &pairs.map(|(id, value)| pair(id, value)).concat());
    let promise = [&[0, 0, 0, 3], &request("GET", "/", &[])[..]].concat();
    vec![
        case("6.5 SETTINGS", [setting(3, 100), get(1, "/")].concat(), Wanted::Served),
        steps("6.5 SETTINGS of all that there are", told(every), Wanted::Acknowledged),
        case("6.5 SETTINGS with ACK and content", frame(SETTINGS, ACK, 0, &[0]), Wanted::Connection(FRAME_SIZE)),
        case("6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100]), Wanted::Connection(PROTOCOL)),
        case("6.5 SETTINGS of another length", frame(SETTINGS, 0, 0, &[0; 3]), Wanted::Connection(FRAME_SIZE)),
        case("6.5.2 ENABLE_PUSH of 2", setting(2, 2), Wanted::Connection(PROTOCOL)),
        case("6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1", setting(4, 1 << 31), Wanted::Vaguely(FLOW_CONTROL)),
        case("6.5.2 MAX_FRAME_SIZE below 2^14", setting(5, (1 << 14) - 1), Wanted::Connection(PROTOCOL)),
        case("6.5.2 MAX_FRAME_SIZE beyond 2^24-1", setting(5, 1 << 24), Wanted::Connection(PROTOCOL)),
        case("6.5.2 a setting that nobody knows", [setting(0xff, 1), get(1, "/")].concat(), Wanted::Served),
        steps(
            "6.5.3 the last of several values holds",
            vec![Step::Say(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1])), Step::Say(get(1, "/"))],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        steps("6.5.3 SETTINGS are acknowledged", told(setting(2, 0)), Wanted::Acknowledged),
        case(
            "8.4 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "8.4 PUSH_PROMISE of a client, on a stream",
            [post(1, "/hang", &[]), frame(PUSH_PROMISE, END_HEADERS, 1, &promise)].concat(),
            Wanted::Connection(PROTOCOL),
        ),
    ]
}

fn connection() -> Vec<Case> {
    vec![
        case("6.7 PING", frame(PING, 0, 0, b"12345678"), Wanted::Pong(b"12345678")),
        case(
            "6.7 PING with ACK",
            [frame(PING, ACK, 0, b"unasked!"), frame(PING, 0, 0, b"12345678")].concat(),
            Wanted::Pong(b"12345678"),
        ),
        case("6.7 PING of a stream", frame(PING, 0, 1, b"12345678"), Wanted::Connection(PROTOCOL)),
        case("6.7 PING of another length", frame(PING, 0, 0, b"123456"), Wanted::Connection(FRAME_SIZE)),
        case("6.8 GOAWAY", [get(1, "/"), frame(GOAWAY, 0, 0, &[0; 8])].concat(), Wanted::Served),
        case(
            "6.8 GOAWAY with words",
            [get(1, "/hang"), frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0goodbye")].concat(),
            Wanted::GoesOn,
        ),
        case("6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Wanted::Connection(PROTOCOL)),
        case("6.8 GOAWAY that is cut off", frame(GOAWAY, 0, 0, &[0; 7]), Wanted::Connection(FRAME_SIZE)),
    ]
}

fn windows() -> Vec<Case> {
    let most = 0x7fff_ffff;
    vec![
        case("6.9 WINDOW_UPDATE of the connection", [window(0, 1), get(1, "/")].concat(), Wanted::Served),
        case("6.9 WINDOW_UPDATE of a stream", [get(1, "/"), window(1, 1)].concat(), Wanted::Served),
        case("6.9 WINDOW_UPDATE of nothing", window(0, 0), Wanted::Connection(PROTOCOL)),
        case(
            "6.9 WINDOW_UPDATE of nothing, of a stream",
            [post(1, "/hang", &[]), window(1, 0)].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.9 WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Wanted::Connection(FRAME_SIZE),
        ),
        case("6.9.1 no more than the window", [setting(4, 1), get(1, "/")].concat(), Wanted::Sizes(DATA, 1, &[1])),
        case(
            "6.9.1 a window that grows beyond 2^31-1",
            [window(0, most), window(0, most)].concat(),
            Wanted::Connection(FLOW_CONTROL),
        ),
        case(
            "6.9.1 a stream's window that grows beyond 2^31-1",
            [post(1, "/hang", &[]), window(1, most), window(1, most)].concat(),
            Wanted::Stream(1, FLOW_CONTROL),
        ),
        steps(
            "6.9.2 a window that is set while an answer waits for it",
            vec![Step::Say([setting(4, 0), get(1, "/")].concat()), Step::Came(HEADERS, 1), Step::Say(setting(4, 1))],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        steps(
            "6.9.2 a window below nothing",
            vec![
                Step::Say([setting(4, 3), get(1, "/")].concat()),
                Step::Came(DATA, 1),
                // Three bytes are gone: it is at -1, and then at 1.
                Step::Say([setting(4, 2), window(1, 2)].concat()),
            ],
            Wanted::Sizes(DATA, 1, &[1]),
        ),
        case(
            "6.9.2 INITIAL_WINDOW_SIZE beyond 2^31-1",
            [get(1, "/hang"), setting(4, u32::MAX)].concat(),
            Wanted::Vaguely(FLOW_CONTROL),
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
            [
                frame(HEADERS, 0, 1, &request("POST", "/", &[])),
                frame(CONTINUATION, 0, 1, &more),
                data(END_STREAM, 1, b"a"),
            ]
            .concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.10 CONTINUATION on no stream",
            [frame(HEADERS, 1, 1, &request("GET", "/", &[])), frame(CONTINUATION, 4, 0, &more)].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.10 CONTINUATION behind a whole head",
            [get(1, "/hang"), frame(CONTINUATION, 4, 1, &more)].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.10 CONTINUATION behind its own end",
            [
                frame(HEADERS, END_STREAM, 1, &request("GET", "/hang", &[])),
                frame(CONTINUATION, 4, 1, &more),
                frame(CONTINUATION, 4, 1, &more),
            ]
            .concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.10 CONTINUATION behind DATA within a head",
            [
                frame(HEADERS, 0, 1, &request("POST", "/", &[])),
                data(END_STREAM, 1, b"a"),
                frame(CONTINUATION, 0, 1, &more),
                frame(CONTINUATION, 4, 0, &more),
            ]
            .concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "6.10 CONTINUATION behind DATA",
            [body, frame(CONTINUATION, 4, 1, &more)].concat(),
            Wanted::Connection(PROTOCOL),
        ),
        case(
            "5.5 a frame of no known kind within a head",
            [
                frame(HEADERS, 1, 1, &request("GET", "/", &[])),
                frame(0xff, 0, 0, b"?"),
                frame(CONTINUATION, 4, 1, &more),
            ]
            .concat(),
            Wanted::Connection(PROTOCOL),
        ),
    ]
}
