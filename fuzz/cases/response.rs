//! A server's answer of any shape: it is read or refused, and how it is cut into pieces makes no difference.

use bytes::BytesMut;
use proxyfile::upstream::wire::{Asked, Decoder, Head, Step, Values, parse};

pub fn run(data: &[u8]) {
    let (cut, wire) = match data {
        [cut, wire @ ..] => (usize::from(*cut).max(1), wire),
        [] => return,
    };
    let whole = read(wire, wire.len().max(1));
    let pieces = read(wire, cut);
    assert_eq!(whole, pieces);
}

/// Status, body, trailers, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    status: Option<u16>,
    body: Vec<u8>,
    trailers: usize,
    end: &'static str,
}

fn read(wire: &[u8], step: usize) -> Read {
    let mut read = Read { status: None, body: Vec::new(), trailers: 0, end: "starved" };
    let mut buffer = BytesMut::new();
    let mut decoder: Option<Decoder> = None;
    for piece in wire.chunks(step) {
        buffer.extend_from_slice(piece);
        if decoder.is_none() {
            match parse(&mut buffer, Asked::Other, Values::Own) {
                Ok(None) => continue,
                Ok(Some(Head { response, framing, .. })) => {
                    read.status = Some(response.status().as_u16());
                    decoder = Some(framing.into());
                }
                Err(_) => return Read { end: "refused head", ..read },
            }
        }
        let Some(decoder) = &mut decoder else { continue };
        loop {
            match decoder.step(&mut buffer) {
                Ok(Step::Data(data)) => {
                    assert!(!data.is_empty(), "progress");
                    read.body.extend_from_slice(&data);
                }
                Ok(Step::Trailers(trailers)) => read.trailers += trailers.len(),
                Ok(Step::Done) => return Read { end: "done", ..read },
                Ok(Step::Starved) => break,
                Err(_) => return Read { end: "refused body", ..read },
            }
        }
    }
    read
}
