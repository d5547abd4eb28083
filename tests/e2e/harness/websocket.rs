//! WebSocket frames (RFC 6455), written and read by hand.

use super::pipe::Pipe;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub opcode: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(opcode: Opcode, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, opcode: opcode as u8, masked: false, payload: payload.as_ref().to_vec() }
    }

    /// As clients must send it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut out = vec![u8::from(self.fin) << 7 | self.opcode];
        let mask_bit = u8::from(self.masked) << 7;
        match u16::try_from(self.payload.len()) {
            Ok(length @ 0..126) => out.push(mask_bit | u8::try_from(length).unwrap()),
            Ok(length) => {
                out.push(mask_bit | 0x7e);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(mask_bit | 0x7f);
                out.extend_from_slice(&(self.payload.len() as u64).to_be_bytes());
            }
        }
        if self.masked {
            out.extend_from_slice(&MASK);
            out.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            out.extend_from_slice(&self.payload);
        }
        out
    }

    /// The frame that these bytes begin with, and how long it is; `None` where it is not whole. Servers mask nothing.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        assert_eq!(second & 0x80, 0, "masked");
        let (length, start) = match second {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
            127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap(), 10),
            short => (usize::from(short), 2),
        };
        let payload = bytes.get(start..start + length)?.to_vec();
        Some((Self { fin: first & 0x80 != 0, opcode: first & 0x0f, masked: false, payload }, start + length))
    }

    /// The next frame; `None` where the connection ends.
    pub fn read(pipe: &mut Pipe) -> Option<Self> {
        let head = pipe.exactly(2)?;
        let masked = head[1] & 0x80 != 0;
        let length = match head[1] & 0x7f {
            126 => usize::from(u16::from_be_bytes(pipe.exactly(2)?.try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(pipe.exactly(8)?.try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        let mask = if masked { pipe.exactly(4)? } else { vec![0; 4] };
        let mut payload = pipe.exactly(length)?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Some(Self { fin: head[0] & 0x80 != 0, opcode: head[0] & 0x0f, masked, payload })
    }
}

/// The parts of a handshake.
pub struct WebSocket;

impl WebSocket {
    /// RFC 6455, section 1.3: a key and what must be answered to it.
    pub const KEY: &'static str = "dGhlIHNhbXBsZSBub25jZQ==";
    pub const ACCEPT: &'static str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    pub fn request(host: &str, target: &str, more: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n",
            Self::KEY
        )
    }

    pub fn accepted(more: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{more}\r\n",
            Self::ACCEPT
        )
    }
}
