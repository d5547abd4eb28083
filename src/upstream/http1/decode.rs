//! Finds the end of a response's body: by length, by chunks (RFC 9112 §7.1, strictly), or by close.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::parse;
use crate::http::fault::{Cause, Fault};

/// Bytes of chunk extensions: of one chunk, and of one message.
const MAX_EXTENSION: usize = 256;
const MAX_EXTENSIONS: usize = 16 * 1024;
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// 64 bits, the extension, CRLF.
const MAX_SIZE_LINE: usize = 16 + MAX_EXTENSION + 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    Done,
    /// Bytes still to come; never zero.
    Length(u64),
    /// Before the line that gives the size of the next chunk. How many bytes of extensions there were so far.
    Size {
        extensions: usize,
    },
    Chunk {
        left: u64,
        extensions: usize,
    },
    /// Before the CRLF that ends a chunk.
    ChunkEnd {
        extensions: usize,
    },
    Trailers,
    Close,
}

#[derive(Debug)]
pub enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body has ended.
    Done,
    /// Nothing can be said before more bytes come.
    Starved,
}

impl From<parse::Framing> for Decoder {
    fn from(framing: parse::Framing) -> Self {
        match framing {
            parse::Framing::Empty | parse::Framing::Length(0) => Self::Done,
            parse::Framing::Length(length) => Self::Length(length),
            parse::Framing::Chunked => Self::Size { extensions: 0 },
            parse::Framing::Close => Self::Close,
        }
    }
}

impl Decoder {
    /// Takes the next piece of the body off `buffer`.
    pub fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Fault> {
        loop {
            match *self {
                Self::Done => return Ok(Step::Done),
                Self::Length(_) | Self::Chunk { .. } | Self::Close if buffer.is_empty() => return Ok(Step::Starved),
                Self::Close => return Ok(Step::Data(buffer.split().freeze())),
                Self::Length(left) => {
                    let data = take(buffer, left);
                    let left = left - data.len() as u64;
                    *self = if left == 0 { Self::Done } else { Self::Length(left) };
                    return Ok(Step::Data(data));
                }
                Self::Chunk { left, extensions } => {
                    let data = take(buffer, left);
                    let left = left - data.len() as u64;
                    *self = if left == 0 { Self::ChunkEnd { extensions } } else { Self::Chunk { left, extensions } };
                    return Ok(Step::Data(data));
                }
                Self::ChunkEnd { extensions } => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size { extensions };
                    }
                    None if buffer.is_empty() || buffer[0] == b'\r' => return Ok(Step::Starved),
                    _ => return Err(malformed("a chunk is longer than its size")),
                },
                Self::Size { extensions } => match size_line(buffer)? {
                    None => return Ok(Step::Starved),
                    Some(line) => {
                        let extensions = extensions + line.extension;
                        if extensions > MAX_EXTENSIONS {
                            return Err(malformed("chunk extensions of more than 16 KiB"));
                        }
                        buffer.advance(line.length);
                        *self =
                            if line.size == 0 { Self::Trailers } else { Self::Chunk { left: line.size, extensions } };
                    }
                },
                Self::Trailers => return self.trailers(buffer),
            }
        }
    }

    /// Takes the end of the body off `buffer` where it lies there already, so that the connection is free at once.
    pub fn settle(&mut self, buffer: &mut BytesMut) {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if matches!(self, Self::ChunkEnd { .. }) && buffer.starts_with(END) {
            buffer.advance(END.len());
            *self = Self::Done;
        }
    }

    /// Whether the end of the stream is the end of the body.
    pub fn ends_by_close(self) -> bool {
        matches!(self, Self::Close | Self::Done)
    }

    /// How many bytes the next read had best make room for.
    pub fn wants(self) -> Option<u64> {
        match self {
            Self::Length(left) | Self::Chunk { left, .. } => Some(left),
            _ => None,
        }
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Step, Fault> {
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            *self = Self::Done;
            return Ok(Step::Done);
        }
        let limit = buffer.len().min(MAX_TRAILER_BYTES);
        let Some(end) = memchr::memmem::find(&buffer[..limit], b"\r\n\r\n") else {
            let full = buffer.len() >= MAX_TRAILER_BYTES;
            return if full { Err(malformed("trailers of more than 8 KiB")) } else { Ok(Step::Starved) };
        };
        let lines = buffer.split_to(end + 4);
        if memchr::memchr_iter(b'\n', &lines).any(|at| at == 0 || lines[at - 1] != b'\r') {
            return Err(malformed("a trailer ends without CRLF"));
        }
        *self = Self::Done;
        parse::trailers(&lines).map(Step::Trailers)
    }
}

fn take(buffer: &mut BytesMut, left: u64) -> Bytes {
    let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
    buffer.split_to(length).freeze()
}

struct SizeLine {
    size: u64,
    extension: usize,
    /// Of the whole line.
    length: usize,
}

/// `1*HEXDIG [ ";" extension ] CRLF`: no sign, no prefix, no space, no bare LF.
fn size_line(buffer: &[u8]) -> Result<Option<SizeLine>, Fault> {
    let mut size = 0_u64;
    let digits = buffer.iter().take(17).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 16 {
        return Err(malformed("a chunk size of more than 16 digits"));
    }
    for byte in &buffer[..digits] {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        size = size << 4 | u64::from(digit);
    }
    let Some(after) = buffer.get(digits) else { return Ok(None) };
    if digits == 0 || !matches!(after, b'\r' | b';') {
        return Err(malformed("invalid chunk size"));
    }
    if i64::try_from(size).is_err() {
        return Err(malformed("a chunk size beyond 63 bits"));
    }
    let rest = &buffer[digits..buffer.len().min(MAX_SIZE_LINE)];
    let end = rest.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t');
    // The limit is the same for a line that is there already and for one that is still coming.
    if end.unwrap_or(rest.len()) > MAX_EXTENSION {
        return Err(malformed("a chunk extension of more than 256 bytes"));
    }
    let Some(end) = end else { return Ok(None) };
    match rest.get(end..end + 2) {
        Some(b"\r\n") => Ok(Some(SizeLine { size, extension: end, length: digits + end + 2 })),
        None if rest[end] == b'\r' && end + 1 == rest.len() && rest.len() <= MAX_EXTENSION + 1 => Ok(None),
        _ => Err(malformed("the line of a chunk size ends without CRLF")),
    }
}

fn malformed(reason: &'static str) -> Fault {
    Fault::detailed(Cause::Malformed, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and the trailers of `wire`, fed `segment` bytes at a time; what is left behind is `Err(None)`.
    fn decode(wire: &[u8], segment: usize) -> Result<(Vec<u8>, Option<HeaderMap>, usize), Option<Fault>> {
        let mut decoder = Decoder::from(parse::Framing::Chunked);
        let (mut buffer, mut body, mut trailers) = (BytesMut::new(), Vec::new(), None);
        let mut segments = wire.chunks(segment);
        loop {
            match decoder.step(&mut buffer).map_err(Some)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::Trailers(map) => trailers = Some(map),
                Step::Starved => buffer.extend_from_slice(segments.next().ok_or(None)?),
                Step::Done => return Ok((body, trailers, buffer.len())),
            }
        }
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let wire = b"5\r\nhello\r\n0001;a=b\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n";
        for segment in 1..=wire.len() {
            let (body, trailers, left) = decode(wire, segment).unwrap();
            assert_eq!((body.as_slice(), trailers, left), (b"hello 0123456789".as_slice(), None, 0));
        }
    }

    #[test]
    fn an_extension_has_one_limit_however_it_is_cut() {
        for (extension, fits) in [(255, true), (256, false), (270, false)] {
            let wire = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(extension)).into_bytes();
            for segment in [1, 2, 257, wire.len()] {
                assert_eq!(decode(&wire, segment).is_ok(), fits, "{extension} by {segment}");
            }
        }
    }

    #[test]
    fn trailers_are_kept_save_those_that_frame_or_authenticate() {
        let wire = b"1\r\nx\r\n0\r\ngrpc-status: 0\r\nContent-Length: 9\r\nSet-Cookie: a\r\nx-sum: 1\r\n\r\n";
        for segment in 1..=wire.len() {
            let (_, trailers, left) = decode(wire, segment).unwrap();
            let trailers = trailers.unwrap();
            assert_eq!((trailers.len(), left), (2, 0));
            assert_eq!(trailers["grpc-status"], "0");
        }
    }

    #[test]
    fn anything_but_the_one_spelling_is_refused() {
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(400));
        let many = format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "e".repeat(200)).repeat(90));
        let trailer = format!("0\r\nx: {}\r\n\r\n", "e".repeat(9000));
        let trailers = format!("0\r\n{}\r\n", "x: 1\r\n".repeat(33));
        let wires: &[&[u8]] = &[
            b"+1\r\nx\r\n0\r\n\r\n",
            b"-1\r\nx\r\n0\r\n\r\n",
            b"0x1\r\nx\r\n0\r\n\r\n",
            b" 1\r\nx\r\n0\r\n\r\n",
            b"1 \r\nx\r\n0\r\n\r\n",
            b"1\nx\r\n0\r\n\r\n",
            b"1\rx\r\n0\r\n\r\n",
            b"\r\nx",
            b"1;a\nb\r\nx\r\n0\r\n\r\n",
            b"1;a\rb\r\nx\r\n0\r\n\r\n",
            b"1;\0\r\nx\r\n0\r\n\r\n",
            b"1\r\nxy\r\n0\r\n\r\n",
            b"1\r\nx\n0\r\n\r\n",
            b"1\r\nx0\r\n\r\n",
            b"00000000000000001\r\nx\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFF\r\nx",
            b"8000000000000000\r\nx",
            b"0\r\na\r\n\r\n",
            b"0\r\n a: b\r\n\r\n",
            b"0\r\na: b\n\r\n\r\n",
            b"0\r\na: b\r\n c\r\n\r\n",
            long.as_bytes(),
            many.as_bytes(),
            trailer.as_bytes(),
            trailers.as_bytes(),
        ];
        for wire in wires {
            for segment in [1, 3, wire.len()] {
                let fault = decode(wire, segment).unwrap_err();
                let text = String::from_utf8_lossy(wire);
                assert_eq!(fault.map(|fault| fault.cause), Some(Cause::Malformed), "{text:?} by {segment}");
            }
        }
    }
}
