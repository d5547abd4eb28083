//! HTTP/2, frame by frame, with nobody between a test and its mistakes (RFC 9113, section 4).

use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::Client;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const HEADER_TABLE_SIZE: u16 = 1;

/// `:status` 200 as it stands in HPACK's table.
const OK: u8 = 0x88;

/// One connection.
pub struct Raw {
    pub client: Client,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 200.
    Served,
    /// An answer of another status.
    Answered,
    Reset(u32),
    /// The connection ends, for this reason.
    GoAway(u32),
    Closed,
}

impl Outcome {
    /// Neither served nor left open.
    pub fn is_refusal(&self) -> bool {
        *self != Self::Served
    }
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[])
    }

    /// Says these settings at its beginning.
    pub fn with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self { client: Client::connect(address) };
        raw.client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.settings(settings);
        raw
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) -> &mut Self {
        let pairs: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        self.send(SETTINGS, 0, 0, &pairs)
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.client.send(frame(kind, flags, stream, payload));
        self
    }

    /// A whole head; the stream ends with it, or goes on.
    pub fn head(&mut self, stream: u32, block: &[u8], end: bool) -> &mut Self {
        self.send(HEADERS, END_HEADERS | u8::from(end), stream, block)
    }

    /// A GET of this path.
    pub fn get(&mut self, stream: u32, path: &str) -> &mut Self {
        self.head(stream, &request("GET", path, &[]), true)
    }

    /// The next frame; `None` where the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        let head = self.client.pipe.exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.client.pipe.exactly(usize::try_from(length).unwrap())?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this kind on this stream.
    pub fn wait(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind && frame.stream == stream {
                return Some(frame);
            }
        }
    }

    /// What becomes of a stream, or of the connection.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.next() {
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    return if frame.payload.first() == Some(&OK) { Outcome::Served } else { Outcome::Answered };
                }
                RST_STREAM if frame.stream == stream => return Outcome::Reset(word(&frame.payload)),
                GOAWAY => return Outcome::GoAway(word(&frame.payload[4..])),
                _ => {}
            }
        }
        Outcome::Closed
    }

    /// How the connection ends, once it has been provoked.
    pub fn end(&mut self) -> Outcome {
        self.outcome(u32::MAX)
    }

    /// Waits until all that was sent has been read: a PING is answered in its turn. `false` where the connection ended.
    pub fn settled(&mut self) -> bool {
        self.send(PING, 0, 0, b"settled?");
        loop {
            match self.next() {
                Some(frame) if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == b"settled?" => {
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// A connection that takes nothing more is not waited for.
    pub fn hurry(&mut self) -> &mut Self {
        self.client.pipe.tcp().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        self
    }

    /// Sends bytes; `false` where they are not taken.
    pub fn pour(&mut self, bytes: &[u8]) -> bool {
        self.client.pipe.send(bytes).is_ok()
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// A field in HPACK, neither indexed nor compressed (RFC 7541, section 6.2.2).
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// A field that enters the table.
pub fn indexed(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40][..], &text(name), &text(value)].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.len() < 127 {
        out.push(u8::try_from(bytes.len()).unwrap());
    } else {
        out.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend_from_slice(bytes);
    out
}

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

/// The head of a request to `example.com`.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", path)];
    [block(&pseudo), block(more)].concat()
}
