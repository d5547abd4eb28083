//! Frames of HTTP/2 of any kind and in any order: nothing panics, nothing is left behind, servers are sent requests that a
//! strict reader takes, and the client is sent frames, and not many more than it asked for.
//!
//! The input: how many bytes come at a time, then frames, each as kind, flags, stream, the length of its payload in two
//! bytes, and that payload. Three kinds that are none stand for what is hard to find by chance.

use super::through::{Passed, Protocol, pass};

/// A head of a good request goes before the payload.
const REQUEST: u8 = 0xf0;
/// The payload is sent as it is, without the head of a frame.
const BYTES: u8 = 0xf1;
/// The frame is sent this often.
const AGAIN: u8 = 0xf2;

const RST_STREAM: u8 = 3;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// GET, http, `/`, from the static table, and a host (RFC 7541, appendix A).
pub const HEAD: &[u8] = b"\x82\x86\x84\x01\x01a";

pub fn run(data: &[u8]) {
    let [cut, records @ ..] = data else { return };
    let wire = [PREFACE, &frames(records)].concat();
    let passed = pass(Protocol::Http2, &wire, usize::from(*cut) * 8);
    judge(&passed, wire.len());
}

fn frames(mut records: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut times = 1;
    while let [kind, flags, stream, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        records = rest;
        let bytes = match *kind {
            AGAIN => {
                times = usize::from(*flags).max(1);
                continue;
            }
            BYTES => payload.to_vec(),
            REQUEST => frame(1, *flags, *stream, &[HEAD, payload].concat()),
            kind => frame(kind, *flags, *stream, payload),
        };
        wire.extend(bytes.repeat(times));
        times = 1;
    }
    wire
}

pub fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// What the client was sent is frames; `said` bytes were all that it said.
pub fn judge(passed: &Passed, said: usize) {
    let mut rest = passed.answer.as_slice();
    while let [a, b, c, kind, _, w, x, y, z, more @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes([*w, *x, *y, *z]);
        assert!(*kind <= 9 && length <= 16 * 1024, "frame of kind {kind}, {length} bytes, stream {stream}");
        // The library resets a stream of the wrong parity before it ends the connection for it.
        assert!(stream == 0 || stream % 2 == 1 || *kind == RST_STREAM, "rp opens no stream, and here is {stream}");
        rest = more.get(length..).unwrap_or_else(|| panic!("a frame of {length} bytes breaks off"));
    }
    assert!(rest.is_empty(), "half the head of a frame: {rest:?}");
    // A request takes 15 bytes and is answered by 40,000 at most, a PING by as many as it has.
    assert!(passed.answer.len() <= (said / 15 + 1) * 41_000, "{} bytes for {said}", passed.answer.len());
    assert!(passed.seen.len() <= said / 10, "{} requests from {said} bytes", passed.seen.len());
}
