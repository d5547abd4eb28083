//! Interim responses of an HTTP/2 server, which the library takes in and throws away without counting them.

use std::collections::BTreeMap;

use crate::upstream::http1::MAX_INTERIM;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const FRAME_HEAD: usize = 9;
/// Streams whose heads are counted, far above those that are open at once: the oldest are long gone.
const MAX_STREAMS: usize = 1024;

/// Counts heads on their way to the library, frame by frame (RFC 9113, section 4.1). Which of them is the final one is
/// HPACK's to tell, so that one counts as well.
#[derive(Default)]
pub struct Interim {
    head: [u8; FRAME_HEAD],
    /// Bytes of the frame's head that were seen, and bytes of its payload that are to come.
    known: usize,
    payload: usize,
    /// Heads of streams that may bring another one.
    heads: BTreeMap<u32, u8>,
}

impl Interim {
    /// Whether the server still keeps to the measure.
    pub fn see(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let passed = self.payload.min(bytes.len());
            self.payload -= passed;
            bytes = &bytes[passed..];
            let taken = (FRAME_HEAD - self.known).min(bytes.len());
            if taken == 0 {
                return true;
            }
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == FRAME_HEAD && !self.frame() {
                return false;
            }
        }
    }

    fn frame(&mut self) -> bool {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.known = 0;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        match kind {
            HEADERS if flags & END_STREAM == 0 => return self.count(stream),
            // What follows now is no further answer, or is refused by the library.
            DATA | HEADERS | RST_STREAM => drop(self.heads.remove(&stream)),
            _ => {}
        }
        true
    }

    fn count(&mut self, stream: u32) -> bool {
        let heads = self.heads.entry(stream).or_default();
        *heads = heads.saturating_add(1);
        let few = *heads <= MAX_INTERIM + 1;
        if self.heads.len() > MAX_STREAMS {
            self.heads.pop_first();
        }
        few
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap();
        // A payload is no head, whatever it looks like.
        [vec![0, 0, length, kind, flags, 0, 0, 0, stream], vec![HEADERS; payload]].concat()
    }

    fn heads(stream: u8, count: usize) -> Vec<u8> {
        frame(HEADERS, 4, stream, 40).repeat(count)
    }

    /// Whether it is seen to the end, cut into pieces of any size.
    fn passes(bytes: &[u8]) -> bool {
        let whole = Interim::default().see(bytes);
        for size in 1..60 {
            let mut interim = Interim::default();
            assert_eq!(bytes.chunks(size).all(|piece| interim.see(piece)), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn xg10_the_heads_of_each_stream_are_counted() {
        assert!(passes(&heads(1, 11)), "ten, and the final one");
        assert!(!passes(&heads(1, 12)));
        let last = [heads(1, 10), frame(HEADERS, 5, 1, 3)].concat();
        assert!(passes(&last.repeat(3)), "the end of a stream is the end of its count");
        assert!(passes(&[heads(1, 11), frame(DATA, 0, 1, 9), frame(HEADERS, 5, 1, 9)].concat()));
        assert!(passes(&[heads(1, 11), heads(3, 11)].concat()));
        let between: Vec<u8> =
            (0..12).flat_map(|_| [heads(1, 1), frame(DATA, 0, 3, 9), frame(6, 0, 0, 8)].concat()).collect();
        assert!(!passes(&between), "what is said to others, or to all, is no end");
    }

    #[test]
    fn streams_that_are_left_are_not_kept_for_ever() {
        let mut interim = Interim::default();
        for stream in (1..10_000_u32).step_by(2) {
            let mut bytes = frame(HEADERS, 4, 0, 1);
            bytes[5..9].copy_from_slice(&stream.to_be_bytes());
            assert!(interim.see(&bytes));
        }
        assert_eq!(interim.heads.len(), MAX_STREAMS);
    }
}
