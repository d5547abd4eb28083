//! The frames that a client of HTTP/2 sends, counted by what they cost and what they move.
//!
//! Frames that ask for nothing (PING, SETTINGS, PRIORITY, `WINDOW_UPDATE`, DATA without data) take nine bytes each from their
//! sender, and an answer or a look at the streams from us, as often as it likes (CVE-2019-9511 to 9518). Real clients send
//! them beside what they ask for and get, so each may cost as many bytes as have moved, and some more.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::http::deadline::{self, Deadline};

const HEADER: u32 = 9;
const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;
/// As much as a frame may be padded, with the byte that says so.
const MOST_PADDING: u32 = 256;

/// Bytes that are for nothing: a thousand PINGs with their answers.
const MOST: u32 = 26_000;
/// What of it comes back, each second.
const REFILL: u64 = 2_600;
/// A request is worth more than its bytes: it may be sent with a priority and a window, watched by a PING, and given up.
const REQUEST: u32 = 90;

/// The frames of a connection, and how long one may take that has begun.
#[derive(Debug)]
pub struct Pace {
    pub frames: Frames,
    unfinished: Deadline,
    most: Duration,
}

impl Pace {
    #[must_use]
    pub fn new(most: Duration) -> Self {
        Self { frames: Frames::new(), unfinished: Deadline::new(), most }
    }

    /// Takes note of what has come, and mends it as [`Frames::read`] does.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<(), Flood> {
        self.frames.read(bytes)?;
        if self.frames.is_unfinished() != self.unfinished.is_set() {
            if self.unfinished.is_set() { self.unfinished.clear() } else { self.unfinished.set(self.most) }
        }
        Ok(())
    }

    /// Ready when the rest of a frame or of a head has not come in time; to be asked when nothing has come.
    pub fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.unfinished.is_set() { self.unfinished.poll_passed(cx) } else { Poll::Pending }
    }
}

/// Where a connection's bytes are in their frames.
#[derive(Debug)]
pub struct Frames {
    header: [u8; HEADER as usize],
    /// Of the header, the bytes that have come.
    have: usize,
    /// Bytes of the preface or of a payload that are to come.
    left: u32,
    /// The payload is that of DATA, for which others wait.
    in_data: bool,
    /// A head has begun and not ended.
    in_head: bool,
    /// The last stream that was opened.
    stream: u32,
    budget: u32,
    /// When it was last filled, by the thread's coarse clock in milliseconds.
    filled: u64,
}

/// A connection is used up by frames that ask for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood;

impl Frames {
    #[must_use]
    pub fn new() -> Self {
        Self {
            header: [0; HEADER as usize],
            have: 0,
            left: PREFACE,
            in_data: false,
            in_head: false,
            stream: 0,
            budget: MOST,
            filled: deadline::now(),
        }
    }

    /// Takes note of what has come. A frame that cannot be as long as it says is made to say more than any may have: the
    /// HTTP/2 library ends the connection for `FRAME_SIZE_ERROR` then, as it must (RFC 9113, section 4.2), but for
    /// `PROTOCOL_ERROR` if it reads it as it is. (A header in pieces has left already.)
    pub fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = bytes.len().min(self.left as usize);
                self.left -= u32::try_from(skipped).unwrap_or(self.left);
                bytes = &mut bytes[skipped..];
                continue;
            }
            let (taken, rest) = bytes.split_at_mut(bytes.len().min(self.header.len() - self.have));
            self.header[self.have..self.have + taken.len()].copy_from_slice(taken);
            self.have += taken.len();
            bytes = rest;
            if self.have == self.header.len() {
                self.have = 0;
                if taken.len() == self.header.len() && !self.fits() {
                    taken[..3].fill(0xff);
                }
                self.frame()?;
            }
        }
        Ok(())
    }

    /// Takes note of so many bytes that the client was sent.
    pub fn wrote(&mut self, bytes: usize) {
        self.add(u32::try_from(bytes).unwrap_or(MOST));
    }

    /// A frame or a head has begun, and the rest of it is to come. That of DATA is waited for by whoever wants it.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.in_head || self.have > 0 || (self.left > 0 && !self.in_data)
    }

    /// What a client is told that has sent too many (RFC 9113, sections 6.8 and 7: `ENHANCE_YOUR_CALM`).
    #[must_use]
    pub fn goodbye(&self) -> [u8; 17] {
        let [a, b, c, d] = self.stream.to_be_bytes();
        [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0xb]
    }

    /// Whether a frame of this kind may be of this length.
    fn fits(&self) -> bool {
        let [a, b, c, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        let padding = u32::from(flags & PADDED != 0);
        match kind {
            DATA => length >= padding,
            HEADERS => length >= padding + if flags & PRIORITIZED == 0 { 0 } else { 5 },
            PRIORITY => length == 5,
            RST_STREAM | WINDOW_UPDATE => length == 4,
            SETTINGS => length.is_multiple_of(6) && (flags & ACK == 0 || length == 0),
            PING => length == 8,
            GOAWAY => length >= 8,
            _ => true,
        }
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.left = length;
        self.in_data = kind == DATA;
        match kind {
            DATA if length > if flags & PADDED == 0 { 0 } else { MOST_PADDING } => self.add(length + 2 * HEADER),
            DATA if flags & END_STREAM != 0 => {}
            HEADERS => {
                self.stream = self.stream.max(u32::from_be_bytes(stream) & (u32::MAX >> 1));
                self.in_head = flags & END_HEADERS == 0;
                self.add(REQUEST);
            }
            CONTINUATION => {
                self.in_head &= flags & END_HEADERS == 0;
                self.spend(HEADER)?;
            }
            // Their answers are written, too, and are not to be taken for something that moves.
            PING => self.spend(HEADER + HEADER + 8)?,
            SETTINGS => self.spend(2 * HEADER)?,
            _ => self.spend(HEADER)?,
        }
        Ok(())
    }

    fn add(&mut self, bytes: u32) {
        self.budget = self.budget.saturating_add(bytes).min(MOST);
    }

    fn spend(&mut self, bytes: u32) -> Result<(), Flood> {
        if self.budget < bytes {
            let now = deadline::now();
            let filled = now.saturating_sub(self.filled).saturating_mul(REFILL) / 1000;
            self.filled = now;
            self.add(u32::try_from(filled).unwrap_or(MOST));
        }
        self.budget = self.budget.checked_sub(bytes).ok_or(Flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        frames.read(&mut [b'x'; PREFACE as usize]).unwrap();
        frames
    }

    /// How many of these are taken.
    fn taken(frames: &mut Frames, each: &[u8], answer: usize) -> usize {
        let mut count = 0;
        while count < 100_000 && frames.read(&mut each.to_vec()).is_ok() {
            frames.wrote(answer);
            count += 1;
        }
        count
    }

    #[test]
    fn xh05_frames_that_ask_for_nothing_are_taken_a_while() {
        let nothing: [(&str, Vec<u8>, usize); 7] = [
            ("PING", frame(PING, 0, 0, &[0; 8]), 17),
            ("SETTINGS", frame(SETTINGS, 0, 0, &[]), 9),
            ("PRIORITY", frame(2, 0, 1, &[0; 5]), 0),
            ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1]), 0),
            ("DATA without data", frame(DATA, 0, 1, &[]), 0),
            ("padding", frame(DATA, PADDED, 1, &[3, 0, 0, 0]), 0),
            ("of no known kind", frame(0xfe, 0, 0, b"?"), 0),
        ];
        for (what, each, answer) in nothing {
            let count = taken(&mut begun(), &each, answer);
            assert!((1_000..5_000).contains(&count), "{what}: {count}");
        }
    }

    #[test]
    fn xh05_who_moves_something_may_send_as_many_as_it_likes() {
        let ping = frame(PING, 0, 0, &[0; 8]);
        let window = frame(8, 0, 1, &[0, 0, 0, 29]);
        // A stream of small messages from the server, each acknowledged and timed.
        assert_eq!(taken(&mut begun(), &[window.clone(), window.clone(), ping.clone()].concat(), 29 + 17), 100_000);
        // And from the client.
        assert_eq!(taken(&mut begun(), &[frame(DATA, 0, 1, b"tiny"), ping].concat(), 17), 100_000);
        // Requests that are given up are counted elsewhere.
        let given_up = [frame(HEADERS, 5, 1, b"?"), frame(2, 0, 1, &[0; 5]), window, frame(3, 0, 1, &[0; 4])].concat();
        assert_eq!(taken(&mut begun(), &given_up, 0), 100_000);
    }

    #[test]
    fn xl01_what_has_begun_is_unfinished_until_its_last_byte() {
        let mut frames = Frames::new();
        assert!(frames.is_unfinished(), "the preface is to come");
        frames.read(&mut [b'x'; PREFACE as usize]).unwrap();
        assert!(!frames.is_unfinished());
        let head =
            [frame(HEADERS, 1, 7, b"one"), frame(CONTINUATION, 0, 7, b"two"), frame(CONTINUATION, 4, 7, b"")].concat();
        for (at, byte) in head.iter().enumerate() {
            frames.read(&mut [*byte]).unwrap();
            assert_eq!(frames.is_unfinished(), at + 1 < head.len(), "{at}");
        }
        frames.read(&mut frame(DATA, 0, 7, b"half")[..11]).unwrap();
        assert!(!frames.is_unfinished(), "a body has a time of its own");
        frames.read(&mut [b'l', b'f']).unwrap();
        frames.read(&mut frame(PING, 0, 0, &[0; 8])[..5]).unwrap();
        assert!(frames.is_unfinished());
        assert_eq!(frames.goodbye()[9..13], [0, 0, 0, 7]);
    }

    #[test]
    fn a_length_that_cannot_be_is_made_one_that_the_library_knows_as_such() {
        let good = [
            frame(DATA, PADDED, 1, &[0]),
            frame(HEADERS, PADDED | PRIORITIZED, 1, &[0; 6]),
            frame(PRIORITY, 0, 1, &[0; 5]),
            frame(RST_STREAM, 0, 1, &[0; 4]),
            frame(SETTINGS, ACK, 0, &[]),
            frame(SETTINGS, 0, 0, &[0; 12]),
            frame(PING, 0, 0, &[0; 8]),
            frame(GOAWAY, 0, 0, &[0; 9]),
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            frame(CONTINUATION, 0, 1, &[]),
            frame(0xfe, 0xff, 0, &[]),
        ]
        .concat();
        let mut read = good.clone();
        begun().read(&mut read).unwrap();
        assert_eq!(read, good);
        let bad = [
            frame(DATA, PADDED, 1, &[]),
            frame(HEADERS, PADDED | PRIORITIZED, 1, &[0; 5]),
            frame(PRIORITY, 0, 1, &[0; 4]),
            frame(RST_STREAM, 0, 1, &[0; 5]),
            frame(SETTINGS, ACK, 0, &[0; 6]),
            frame(SETTINGS, 0, 0, &[0; 3]),
            frame(PING, 0, 0, &[0; 6]),
            frame(GOAWAY, 0, 0, &[0; 7]),
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        ];
        for bad in bad {
            let mut read = [&good[..], &bad].concat();
            begun().read(&mut read).unwrap();
            assert_eq!(read, [&good, &[0xff; 3][..], &bad[3..]].concat());
        }
    }
}
