//! Heads packed by HPACK in any way: each is a request that servers read as one, or is refused, and what one head leaves in
//! the table does not harm the next.
//!
//! The input: heads, each as its length in a byte and its block. A length above 127 says that a good request stands before
//! the block, and is 128 less.

use super::frames::{HEAD, PREFACE, frame, judge};
use super::through::{Protocol, pass};

const END_STREAM_AND_HEADERS: u8 = 5;

pub fn run(mut data: &[u8]) {
    let mut wire = PREFACE.to_vec();
    let mut stream = 1;
    while let [length, rest @ ..] = data {
        let (block, rest) = rest.split_at(usize::from(*length % 128).min(rest.len()));
        let block = if *length < 128 { block.to_vec() } else { [HEAD, block].concat() };
        wire.extend(frame(1, END_STREAM_AND_HEADERS, stream, &block));
        data = rest;
        stream = if stream < 253 { stream + 2 } else { break };
    }
    let passed = pass(Protocol::Http2, &wire, 0);
    judge(&passed, wire.len());
    assert!(passed.seen.iter().all(|request| request.body.is_empty()), "no head has a body");
}
