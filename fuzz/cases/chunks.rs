//! Chunks are decoded by one rule (RFC 9112, section 7.1), whoever sends them: the reader of requests, the reader of
//! answers and a third one, written for this alone, agree on where a body ends and on what it is.

use bytes::BytesMut;
use proxyfile::server::alone::Framing;
use proxyfile::upstream::wire::{Decoder, Step};

use super::strict::{Chunks, chunks};

pub fn run(data: &[u8]) {
    let [cut, wire @ ..] = data else { return };
    let cut = usize::from(*cut).max(1);
    let expected = chunks(wire);
    let found = answer(wire, cut);
    match (&found, &expected) {
        (Some((body, length)), Chunks::Done { body: other, length: end, .. }) => {
            assert_eq!((body, length), (other, end));
        }
        (Some(found), _) => panic!("an answer ends where none does: {found:?}, {expected:?}"),
        (None, Chunks::Done { odd: false, .. }) => panic!("an answer does not end: {expected:?}"),
        (None, _) => {}
    }
    request(wire, cut, &expected);
}

/// The body, and where it ended; `None` where it did not, or was refused.
fn answer(wire: &[u8], cut: usize) -> Option<(Vec<u8>, usize)> {
    let mut decoder = Decoder::Size { extensions: 0 };
    let (mut buffer, mut body, mut read) = (BytesMut::new(), Vec::new(), 0);
    let mut pieces = wire.chunks(cut);
    loop {
        match decoder.step(&mut buffer).ok()? {
            Step::Data(data) => {
                assert!(!data.is_empty(), "progress");
                body.extend_from_slice(&data);
            }
            Step::Trailers(_) => {}
            Step::Done => return Some((body, read - buffer.len())),
            Step::Starved => {
                let piece = pieces.next()?;
                read += piece.len();
                buffer.extend_from_slice(piece);
            }
        }
    }
}

fn request(wire: &[u8], cut: usize, expected: &Chunks) {
    let mut framing = Framing::new();
    framing.read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").expect("a good head");
    if let Chunks::Done { length, .. } = expected {
        for piece in wire[..*length].chunks(cut) {
            framing.read(piece).expect("what ends is taken");
        }
    } else if wire.chunks(cut).any(|piece| framing.read(piece).is_err()) {
        return;
    }
    // In a head, and only there, this is a field that is refused for what it says.
    let next = framing.read(b"GET / HTTP/1.1\r\nContent-Length: none\r\n").err().map(|broken| broken.why);
    let is_head = next == Some("a Content-Length that is none");
    assert_eq!(is_head, matches!(expected, Chunks::Done { .. }), "{expected:?}: {next:?}");
}
