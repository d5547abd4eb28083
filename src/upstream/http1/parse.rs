//! Reads the head of a response, and is strict about it: what an origin may get wrong is how responses are split
//! and smuggled. All field values share the one allocation that they were read into.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use smallvec::SmallVec;

use crate::http::fault::{Cause, Fault};
use crate::http::fields;

/// Of one response head, and what is looked through to find its end.
pub const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 200;

/// How the end of the response's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Empty,
    Length(u64),
    Chunked,
    /// Until the origin closes.
    Close,
}

#[derive(Debug)]
pub struct Head {
    pub response: Response<()>,
    pub framing: Framing,
    /// Whether the origin will take another request on this connection.
    pub keep_alive: bool,
    /// A body that may rightly be silent for long: server-sent events, gRPC.
    pub streams: bool,
}

/// What the request was, as far as it decides how its response is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Head,
    Other,
}

/// Whose memory the values of a head are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// The read buffer's, which they keep from serving again while any of them is there.
    Shared,
    /// Their own, for who keeps values: HPACK remembers those that repeat for as long as a connection lasts.
    Own,
}

/// The head at the start of `buffer`, which it is taken out of; `None` until it is whole.
pub fn parse(buffer: &mut BytesMut, asked: Asked, values: Values) -> Result<Option<Head>, Fault> {
    let Some(lines) = scan(buffer)? else {
        return if buffer.len() >= MAX_BYTES { Err(Cause::HeadersTooLarge.into()) } else { Ok(None) };
    };
    if lines.length > MAX_BYTES {
        return Err(Cause::HeadersTooLarge.into());
    }
    let bytes = match values {
        Values::Shared => buffer.split_to(lines.length).freeze(),
        Values::Own => {
            let bytes = Bytes::copy_from_slice(&buffer[..lines.length]);
            buffer.advance(lines.length);
            bytes
        }
    };
    read(&bytes, &lines, asked).map(Some)
}

/// Where one field stands in the head.
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

struct Lines {
    length: usize,
    status: StatusCode,
    minor: u8,
    fields: SmallVec<[Place; 24]>,
}

/// Finds the lines of a head without taking anything.
fn scan(buffer: &[u8]) -> Result<Option<Lines>, Fault> {
    const PREFIX: &[u8] = b"HTTP/";
    let known = buffer.len().min(PREFIX.len());
    if buffer[..known] != PREFIX[..known] {
        return Err(Fault::detailed(Cause::Protocol, foreign(buffer)));
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, buffer, &mut fields) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => lines(&buffer[..length], &response).map(Some),
        Err(httparse::Error::TooManyHeaders) => {
            Err(Fault::detailed(Cause::HeadersTooLarge, "more than 200 response fields"))
        }
        Err(error) => Err(Fault::detailed(Cause::Malformed, error.to_string())),
    }
}

fn lines(head: &[u8], response: &httparse::Response<'_, '_>) -> Result<Lines, Fault> {
    // The parser forgives a line that ends in a bare LF. Whoever reads that line otherwise than we do can be made to
    // see another response: so each field must begin behind CRLF, and the head must end with two.
    let bare = || Fault::detailed(Cause::Malformed, "a line of the head ends without CRLF");
    if !head.ends_with(b"\r\n\r\n") {
        return Err(bare());
    }
    let origin = head.as_ptr() as usize;
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - origin;
        // Heads are at most as long as what one read brings beyond 64 KiB.
        (u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(start + part.len()).unwrap_or(u32::MAX))
    };
    let mut fields = SmallVec::new();
    for field in response.headers.iter() {
        let name = place(field.name.as_bytes());
        if !head[..name.0 as usize].ends_with(b"\r\n") {
            return Err(bare());
        }
        // An empty value may lie outside of the head.
        let value = if field.value.is_empty() { (0, 0) } else { place(field.value) };
        fields.push(Place { name, value });
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| Fault::detailed(Cause::Malformed, "invalid status code"))?;
    Ok(Lines { length: head.len(), status, minor: response.version.unwrap_or(0), fields })
}

/// What the fields say about the message itself.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one claim, and they do not exclude each other")]
struct Claims {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep: bool,
    streams: bool,
}

fn read(bytes: &Bytes, lines: &Lines, asked: Asked) -> Result<Head, Fault> {
    // Room for the few fields that the proxy adds.
    let mut fields = fields::take(lines.fields.len() + 4);
    let mut claims = Claims::default();
    for Place { name, value } in &lines.fields {
        let name = HeaderName::from_bytes(&bytes[name.0 as usize..name.1 as usize])
            .map_err(|_| Fault::detailed(Cause::Malformed, "invalid field name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(value.0 as usize..value.1 as usize))
            .map_err(|_| Fault::detailed(Cause::Malformed, "invalid field value"))?;
        if claims.hear(&name, &value)? {
            fields.append(name, value);
        }
    }
    if claims.chunked && (claims.length.is_some() || lines.minor == 0) {
        // RFC 9112 §6.1: the mark of smuggling, whichever of the two is believed.
        let reason = if lines.minor == 0 {
            "transfer-encoding in HTTP/1.0"
        } else {
            "both content-length and transfer-encoding"
        };
        return Err(Fault::detailed(Cause::Malformed, reason));
    }
    let framing = framing(&claims, lines.status, asked);
    if lines.status == StatusCode::NO_CONTENT {
        fields.remove(header::CONTENT_LENGTH);
    }
    let mut response = Response::new(());
    *response.status_mut() = lines.status;
    *response.version_mut() = Version::HTTP_11;
    *response.headers_mut() = fields;
    let keep_alive = framing != Framing::Close && !claims.close && (lines.minor == 1 || claims.keep);
    Ok(Head { response, framing, keep_alive, streams: claims.streams })
}

fn framing(claims: &Claims, status: StatusCode, asked: Asked) -> Framing {
    let bodiless = asked == Asked::Head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match claims.length {
        _ if bodiless => Framing::Empty,
        _ if claims.chunked => Framing::Chunked,
        Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Close,
    }
}

impl Claims {
    /// Whether the field is to be passed on.
    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, Fault> {
        if name == header::CONTENT_LENGTH {
            return self.hear_length(value.as_bytes());
        }
        if name == header::TRANSFER_ENCODING {
            // One field, one coding. What is chunked on our way in is framed anew on the way out.
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::detailed(Cause::Malformed, "transfer-encoding other than `chunked`"));
            }
            self.chunked = true;
            return Ok(false);
        }
        if name == header::CONNECTION {
            for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= token.eq_ignore_ascii_case(b"close");
                self.keep |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name == header::CONTENT_TYPE {
            self.streams |= begins(value, b"text/event-stream") || begins(value, b"application/grpc");
        }
        Ok(true)
    }

    fn hear_length(&mut self, value: &[u8]) -> Result<bool, Fault> {
        let length = length(value).ok_or_else(|| Fault::detailed(Cause::Malformed, "invalid content-length"))?;
        match self.length.replace(length) {
            None => Ok(true),
            // RFC 9110 §8.6: the same length said twice is one length.
            Some(known) if known == length => Ok(false),
            Some(_) => Err(Fault::detailed(Cause::Malformed, "two different content-lengths")),
        }
    }
}

/// Digits alone: no sign, no list, nothing beyond 63 bits.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let length = value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    i64::try_from(length).is_ok().then_some(length)
}

fn begins(value: &HeaderValue, prefix: &[u8]) -> bool {
    value.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Names what was spoken instead of HTTP/1, for the log.
fn foreign(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x14..=0x17, 3, ..] => "the server speaks tls; write `https://` before its address",
        [0, _, _, 4, ..] => "the server speaks http/2; write `h2c://` before its address",
        [1, 1..=11, ..] => "the server speaks fastcgi",
        b if b.starts_with(b"SSH-") => "the server speaks ssh",
        _ => "the server does not speak http",
    }
}

/// The fields that may follow a chunked body; `lines` ends with the empty line.
pub fn trailers(lines: &[u8]) -> Result<HeaderMap, Fault> {
    const MAX_TRAILERS: usize = 32;
    let malformed = || Fault::detailed(Cause::Malformed, "invalid trailers");
    let mut places = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let Ok(httparse::Status::Complete((length, fields))) = httparse::parse_headers(lines, &mut places) else {
        return Err(malformed());
    };
    if length != lines.len() {
        return Err(malformed());
    }
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| malformed())?;
        if !is_reserved(&name) {
            map.append(name, value);
        }
    }
    Ok(map)
}

/// RFC 9110 §6.5.1: what frames, routes or authenticates a message means nothing behind it.
pub fn is_reserved(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONNECTION,
        header::TRAILER,
        header::TE,
        header::UPGRADE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(wire: &[u8], asked: Asked) -> Result<Option<(Head, usize)>, Cause> {
        let mut buffer = BytesMut::from(wire);
        let head = parse(&mut buffer, asked, Values::Shared).map_err(|fault| fault.cause)?;
        Ok(head.map(|head| (head, buffer.len())))
    }

    #[test]
    fn the_fields_tell_where_the_body_ends_and_whether_the_connection_goes_on() {
        use Framing::{Chunked, Close, Empty, Length};
        for (head, asked, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Asked::Other, Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Asked::Other, Empty, true),
            ("HTTP/1.1 200\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", Asked::Other, Length(5), true),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n",
                Asked::Other,
                Length(i64::MAX as u64),
                true,
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", Asked::Other, Chunked, true),
            ("HTTP/1.1 200 OK\r\n\r\n", Asked::Other, Close, false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: a, Close\r\n\r\n", Asked::Other, Length(5), false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Asked::Other, Length(5), false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n\r\n", Asked::Other, Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Asked::Head, Empty, true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Asked::Head, Empty, true),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Asked::Other, Empty, true),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Asked::Other, Empty, true),
            ("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", Asked::Other, Empty, true),
        ] {
            let wire = format!("{head}rest");
            let (read, left) =
                parsed(wire.as_bytes(), asked).unwrap_or_else(|cause| panic!("{head:?}: {cause:?}")).unwrap();
            assert_eq!((read.framing, read.keep_alive, left), (framing, keep_alive, 4), "{head:?}");
            assert!(!read.response.headers().contains_key("transfer-encoding"));
            for end in 0..head.len() {
                assert!(matches!(parsed(&wire.as_bytes()[..end], asked), Ok(None)), "{head:?} cut at {end}");
            }
        }
    }

    #[test]
    fn values_are_kept_as_they_are_and_share_one_allocation() {
        let wire = b"HTTP/1.1 200 OK\r\nX-A:  b c \r\nx-empty:\r\nx-a: \xff\r\n\r\n";
        let (head, _) = parsed(wire, Asked::Other).unwrap().unwrap();
        let fields = head.response.headers();
        assert_eq!(fields.get_all("x-a").iter().map(HeaderValue::as_bytes).collect::<Vec<_>>(), [&b"b c"[..], b"\xff"]);
        assert_eq!(fields["x-empty"], "");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for head in [
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nx: 1\n\r\n",
            "HTTP/1.1 200 OK\nx: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: 1\r\n\n",
            "HTTP/1.1 200 OK\r\nx: 1\n\n",
            "HTTP/1.1 200 OK\r\nx: 1\ry: 2\r\n\r\n",
            "HTTP/1.1 200 OK\rx: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\x7fb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n x: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: 1\r\n y: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775808\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/0.9 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
        ] {
            assert!(matches!(parsed(head.as_bytes(), Asked::Other), Err(Cause::Malformed)), "{head:?}");
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        for wire in [
            &b"\x15\x03\x03\x00\x02\x02\x32"[..],
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
            b"\x01\x06\x00\x01",
            b"SSH-2.0-x",
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"http/1.1 200 OK\r\n\r\n",
            b"<html>",
            b"220 mail",
        ] {
            assert!(matches!(parsed(wire, Asked::Other), Err(Cause::Protocol)), "{wire:?}");
        }
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_fields() {
        let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(count));
        assert!(matches!(parsed(fields(200).as_bytes(), Asked::Other), Ok(Some(_))));
        assert!(matches!(parsed(fields(201).as_bytes(), Asked::Other), Err(Cause::HeadersTooLarge)));
        let long = |length: usize| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(length));
        let room = MAX_BYTES - long(0).len();
        assert!(matches!(parsed(long(room).as_bytes(), Asked::Other), Ok(Some(_))));
        assert!(matches!(parsed(long(room + 1).as_bytes(), Asked::Other), Err(Cause::HeadersTooLarge)));
        let endless = long(MAX_BYTES);
        assert!(matches!(parsed(&endless.as_bytes()[..MAX_BYTES], Asked::Other), Err(Cause::HeadersTooLarge)));
    }
}
