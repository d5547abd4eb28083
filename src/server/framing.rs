//! Where each request of an HTTP/1 connection ends, decided strictly before anything else reads it.
//!
//! hyper follows RFC 9112 where that allows leniency: bare line feeds, a length beside chunks, repeated lengths, white
//! space in sizes. Every request that two parsers could cut in two ways has been used to smuggle another one past a
//! proxy, so none gets to it. Bodies are skipped by their length, so this costs one look at each line of a head.

use memchr::memchr;

/// Of chunk extensions, whose content nobody uses: in one line, and in one message.
const LONGEST_EXTENSION: usize = 256;
const MOST_EXTENSIONS: usize = 16 * 1024;
/// No size has more digits than 64 bits.
const LONGEST_SIZE: usize = 16;
/// A line that is longer than any head may be is not waited for.
const LONGEST_LINE: usize = 256 * 1024;

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RequestLine,
    Fields,
    /// Bytes of a body.
    Data(u64),
    Size,
    /// Bytes of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// The client wants to speak another protocol: what follows are no requests, whatever becomes of that.
    Unframed,
    Refused,
}

/// What the fields of a head said of its body.
#[derive(Debug, Default, Clone, Copy)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Follows the bytes of one connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    said: Said,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    extensions: usize,
}

/// A rule was broken; `at` bytes before it may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    pub at: usize,
    pub why: &'static str,
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

impl Framing {
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::RequestLine, said: Said::default(), line: Vec::new(), extensions: 0 }
    }

    /// Whether what follows the last head is not to be read as a request.
    #[must_use]
    pub fn is_unframed(&self) -> bool {
        self.state == State::Unframed
    }

    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// Reads on. After an error everything is refused.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            at += match self.state {
                State::Unframed => return Ok(()),
                State::Data(left) | State::Chunk(left) => self.skip(left, bytes.len() - at),
                _ => self.take_line(&bytes[at..]).map_err(|why| {
                    self.state = State::Refused;
                    Broken { at, why }
                })?,
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, available: usize) -> usize {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let left = left - skipped as u64;
        self.state = match (self.state, left) {
            (State::Chunk(_), 0) => State::ChunkEnd,
            (State::Chunk(_), left) => State::Chunk(left),
            (_, 0) => State::RequestLine,
            (_, left) => State::Data(left),
        };
        skipped
    }

    /// Takes a line, or the beginning of one; says how many bytes those were.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > self.longest() { Err("a line without an end") } else { Ok(bytes.len()) };
        };
        if self.line.is_empty() {
            self.line(&bytes[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.line(&line)?;
            // Lines that come in pieces come so again.
            line.clear();
            self.line = line;
        }
        Ok(end + 1)
    }

    fn longest(&self) -> usize {
        match self.state {
            State::ChunkEnd => 1,
            State::Size => LONGEST_SIZE + LONGEST_EXTENSION + 1,
            _ => LONGEST_LINE,
        }
    }

    /// A line, without its line feed.
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let Some(line) = line.strip_suffix(b"\r") else { return Err("a line feed alone") };
        match self.state {
            State::RequestLine => {
                // A line break too many behind a body is forgiven (RFC 9112, section 2.2).
                if !line.is_empty() {
                    if memchr(b'#', line).is_some() {
                        return Err("a fragment in the request target");
                    }
                    self.said = Said::default();
                    self.state = State::Fields;
                }
            }
            State::Fields if line.is_empty() => self.state = self.said.body()?,
            State::Fields => self.said.hear(line)?,
            State::Size => return self.size(line),
            State::ChunkEnd if line.is_empty() => self.state = State::Size,
            State::ChunkEnd => return Err("a chunk longer than its size"),
            State::Trailers if line.is_empty() => {
                self.extensions = 0;
                self.state = State::RequestLine;
            }
            // Bodies are not read by lines.
            State::Trailers | State::Data(_) | State::Chunk(_) | State::Unframed => {}
            State::Refused => return Err("bytes behind what was refused"),
        }
        Ok(())
    }

    fn size(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let digits = memchr(b';', line).unwrap_or(line.len());
        let extension = line.len() - digits;
        self.extensions += extension;
        if extension > LONGEST_EXTENSION || self.extensions > MOST_EXTENSIONS {
            return Err("too many chunk extensions");
        }
        if line[digits..].iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err("a control character in a chunk extension");
        }
        self.state = match hexadecimal(&line[..digits]).ok_or("a chunk size that is none")? {
            0 => State::Trailers,
            size => State::Chunk(size),
        };
        Ok(())
    }
}

impl Said {
    /// Takes note of a field. What makes a field line is for the parser behind us to judge.
    fn hear(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if let Some(value) = value(line, b"content-length") {
            let length = decimal(value).ok_or("a Content-Length that is none")?;
            if self.length.replace(length).is_some() {
                return Err("more than one Content-Length");
            }
        } else if let Some(value) = value(line, b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("a transfer coding other than chunked");
            }
            self.chunked = true;
        } else if let Some(value) = value(line, b"upgrade") {
            self.upgrade |= value.windows(9).any(|word| word.eq_ignore_ascii_case(b"websocket"));
        }
        Ok(())
    }

    fn body(self) -> Result<State, &'static str> {
        match self {
            Self { length: Some(_), chunked: true, .. } => Err("both Content-Length and Transfer-Encoding"),
            Self { upgrade: true, .. } => Ok(State::Unframed),
            Self { chunked: true, .. } => Ok(State::Size),
            Self { length: None | Some(0), .. } => Ok(State::RequestLine),
            Self { length: Some(length), .. } => Ok(State::Data(length)),
        }
    }
}

/// The value of the field line, if the field has this name.
fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    // Nearly all lines end here, at their first byte.
    if line.first()? | 0x20 != name[0] || line.get(name.len()) != Some(&b':') {
        return None;
    }
    line[..name.len()].eq_ignore_ascii_case(name).then(|| trim(&line[name.len() + 1..]))
}

/// Without optional white space (RFC 9110, section 5.6.3), which knows two characters.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    signed(number)
}

/// A number that servers which count with a sign read as the same: beyond these, it is a negative one for them.
fn signed(number: u64) -> Option<u64> {
    i64::try_from(number).is_ok().then_some(number)
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > LONGEST_SIZE {
        return None;
    }
    let number =
        digits.iter().try_fold(0_u64, |sum, digit| Some(sum << 4 | u64::from(char::from(*digit).to_digit(16)?)))?;
    signed(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How a connection with these bytes fares: where it breaks, if it does.
    fn check(bytes: &str, expected: Option<&str>) {
        let outcome = Framing::new().read(bytes.as_bytes());
        assert_eq!(outcome.err().map(|broken| broken.why), expected, "{bytes:?}");
    }

    fn head(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn requests_follow_each_other() {
        let get = head("");
        check(&get.repeat(3), None);
        check(&(head("Content-Length: 5\r\n") + "\n\n\n\n\n" + &get), None);
        check(&(head("content-length:0\r\n") + &get), None);
        check(&(head("Transfer-Encoding: Chunked\r\n") + "5;a=b\r\nhe\nlo\r\n0\r\nX: y\r\n\r\n" + &get), None);
        check(&(head("") + "\r\n" + &get), None);
    }

    #[test]
    fn xf01_to_xf04_a_body_has_one_length() {
        check(
            &head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            Some("both Content-Length and Transfer-Encoding"),
        );
        check(
            &head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            Some("both Content-Length and Transfer-Encoding"),
        );
        check(&head("Content-Length: 5\r\nContent-Length: 5\r\n"), Some("more than one Content-Length"));
        for value in ["", "+5", "5 5", "5,5", "0x5", "18446744073709551616", "9223372036854775808", "5\u{b}", "\u{a0}5"]
        {
            check(&head(&format!("Content-Length: {value}\r\n")), Some("a Content-Length that is none"));
        }
        for value in ["", "gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1", "\u{b}chunked"] {
            check(&head(&format!("Transfer-Encoding: {value}\r\n")), Some("a transfer coding other than chunked"));
        }
    }

    #[test]
    fn xf07_chunks_are_what_they_say() {
        let chunked = head("Transfer-Encoding: chunked\r\n");
        for size in ["", " 5", "5 ", "+5", "-5", "0x5", "g", "11112222333344445", "8000000000000000"] {
            check(&format!("{chunked}{size}\r\nhello\r\n"), Some("a chunk size that is none"));
        }
        check(&format!("{chunked}5\nhello\r\n"), Some("a line feed alone"));
        check(&format!("{chunked}5\r\nhello\n"), Some("a line feed alone"));
        check(&format!("{chunked}5\r\nhelloo\r\n"), Some("a chunk longer than its size"));
        for control in ['\r', '\0', '\u{1}', '\u{7f}'] {
            check(&format!("{chunked}5;a{control}b\r\n"), Some("a control character in a chunk extension"));
        }
        check(&format!("{chunked}5;{}\r\n", "a".repeat(300)), Some("too many chunk extensions"));
        check(
            &format!("{chunked}{}", format!("1;{}\r\nx\r\n", "a".repeat(250)).repeat(70)),
            Some("too many chunk extensions"),
        );
        check(&format!("{chunked}{}", "a".repeat(400)), Some("a line without an end"));
    }

    #[test]
    fn xf09_and_xf13_a_head_is_made_of_whole_lines() {
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", Some("a line feed alone"));
        check("GET / HTTP/1.1\r\nHost: a\n\r\n", Some("a line feed alone"));
        check("GET / HTTP/1.1\r\nHost: a\r\n\n", Some("a line feed alone"));
        check("GET /#a HTTP/1.1\r\n", Some("a fragment in the request target"));
    }

    #[test]
    fn xu01_what_follows_an_upgrade_is_not_looked_at() {
        let mut framing = Framing::new();
        framing.read(head("Upgrade: WebSocket\r\n").as_bytes()).unwrap();
        assert!(framing.is_unframed());
        assert_eq!(framing.read(b"\x81\x05\n\n\n\n\n"), Ok(()));
        let mut framing = Framing::new();
        framing.read(head("Upgrade: h2c\r\n").as_bytes()).unwrap();
        assert!(!framing.is_unframed());
    }

    proptest! {
        /// It makes no difference how the bytes are cut.
        #[test]
        fn cuts_change_nothing(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "X: y\r\n", "\r\n", "abc",
                "3\r\n", "0\r\n", "\n", "\r", "Upgrade: websocket\r\n",
            ]), 0..12),
            cuts in prop::collection::vec(1_usize..8, 1..40),
        ) {
            let bytes = pieces.concat();
            let whole = Framing::new().read(bytes.as_bytes()).err().map(|broken| broken.why);
            let (mut framing, mut at, mut cut) = (Framing::new(), 0, None);
            for length in cuts.iter().cycle().take(bytes.len()) {
                let end = (at + length).min(bytes.len());
                if let Err(broken) = framing.read(&bytes.as_bytes()[at..end]) {
                    cut = Some(broken.why);
                    break;
                }
                at = end;
            }
            // A line that is never ended may be found too long before its end is seen to be wrong, or after.
            prop_assert_eq!(whole.is_some(), cut.is_some(), "{:?}: {:?} {:?}", bytes, whole, cut);
        }
    }
}
