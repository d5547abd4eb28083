//! Text of strangers, made safe for a log line: nothing in it can end the line, end the string, or talk to a terminal.

use std::fmt;

/// Where safe text ends up; the two differ in how an escape is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Inside a JSON string (RFC 8259 section 7).
    Json,
    /// On a terminal, where nothing reads the line back.
    Plain,
}

/// Appends `bytes` with every control, every invisible direction mark and every byte that is not UTF-8 escaped.
///
/// Bytes that are no UTF-8 become the four characters `\xNN`: a JSON string cannot hold them, and a replacement
/// character would hide which bytes an attacker sent.
pub fn push(to: &mut Vec<u8>, bytes: &[u8], spelling: Spelling) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = plain_prefix(rest, spelling);
        to.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        if let Some(&first) = rest.first() {
            let used = if first < 0x80 { push_ascii(to, first, spelling) } else { push_wide(to, rest, spelling) };
            rest = &rest[used..];
        }
    }
}

/// At most `most` bytes of `bytes`, never cut within a character, and how many bytes were left away.
pub fn cut(bytes: &[u8], most: usize) -> (&[u8], usize) {
    if bytes.len() <= most {
        return (bytes, 0);
    }
    // A character has at most three continuation bytes; more of them are no UTF-8, so any place is as good.
    let back = bytes[..=most].iter().rev().take(4).position(|b| b & 0xC0 != 0x80).unwrap_or(0);
    (&bytes[..most - back], bytes.len() - most + back)
}

/// Appends `bytes` like [`push`], and for what goes beyond `most` bytes the mark `…(+N bytes)`.
pub fn push_cut(to: &mut Vec<u8>, bytes: &[u8], most: usize, spelling: Spelling) {
    let (kept, lost) = cut(bytes, most);
    push(to, kept, spelling);
    push_mark(to, lost);
}

/// The mark of a text that was cut; nothing when nothing was lost.
pub fn push_mark(to: &mut Vec<u8>, lost: usize) {
    if lost > 0 {
        to.extend_from_slice("…(+".as_bytes());
        push_number(to, lost as u64);
        to.extend_from_slice(b" bytes)");
    }
}

/// Appends a number in decimal, without the machinery of `write!`: a line has ten of them.
pub fn push_number(to: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = digit(left % 10);
        left /= 10;
        if left == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// Appends microseconds as milliseconds: `1234` is `1.234`.
pub fn push_millis(to: &mut Vec<u8>, micros: u64) {
    push_number(to, micros / 1000);
    let part = micros % 1000;
    to.extend_from_slice(&[b'.', digit(part / 100), digit(part / 10 % 10), digit(part % 10)]);
}

/// The ASCII digit of a number below 10.
pub fn digit(number: u64) -> u8 {
    debug_assert!(number < 10, "one digit");
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// Lets `write!` go through [`push`], so that `Display` and `Debug` output needs no string of its own.
pub struct Escaped<'a> {
    pub to: &'a mut Vec<u8>,
    pub spelling: Spelling,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push(self.to, text.as_bytes(), self.spelling);
        Ok(())
    }
}

/// How many bytes need no escape: by sixteen, without a branch for each. With keys as one literal
/// (`access::key`) it brought a JSON line from 1.19 to 0.61 µs.
fn plain_prefix(bytes: &[u8], spelling: Spelling) -> usize {
    let mut at = 0;
    while let Some(block) = bytes[at..].first_chunk::<16>()
        && !block.iter().fold(false, |any, &b| any | is_special(b, spelling))
    {
        at += block.len();
    }
    at + bytes[at..].iter().position(|&b| is_special(b, spelling)).unwrap_or(bytes.len() - at)
}

#[allow(clippy::needless_bitwise_bool, reason = "a branch here keeps `plain_prefix` from being vectorised")]
fn is_special(byte: u8, spelling: Spelling) -> bool {
    let ends_string = (byte == b'"') | (byte == b'\\');
    !(0x20..0x7F).contains(&byte) | (ends_string & (spelling == Spelling::Json))
}

fn push_ascii(to: &mut Vec<u8>, byte: u8, spelling: Spelling) -> usize {
    match (byte, spelling) {
        (b'"' | b'\\', _) => to.extend_from_slice(&[b'\\', byte]),
        (b'\n', _) => to.extend_from_slice(b"\\n"),
        (b'\r', _) => to.extend_from_slice(b"\\r"),
        (b'\t', _) => to.extend_from_slice(b"\\t"),
        (_, Spelling::Json) => push_code(to, u32::from(byte)),
        (_, Spelling::Plain) => push_byte(to, byte, spelling),
    }
    1
}

/// Appends the character that `rest` begins with, and gives the number of bytes that it took.
fn push_wide(to: &mut Vec<u8>, rest: &[u8], spelling: Spelling) -> usize {
    let head = &rest[..rest.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    let Some(first) = valid.chars().next() else {
        push_byte(to, rest[0], spelling);
        return 1;
    };
    let length = first.len_utf8();
    if is_invisible(first) {
        push_code(to, u32::from(first));
    } else {
        to.extend_from_slice(&rest[..length]);
    }
    length
}

/// C1 controls (a terminal may take U+009B for `ESC [`), line separators, and the marks that turn the direction of
/// text, with which a line can be made to show what it does not say. All lie within four hexadecimal digits.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}' | '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn push_code(to: &mut Vec<u8>, code: u32) {
    to.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        to.push(hex(code >> shift));
    }
}

fn push_byte(to: &mut Vec<u8>, byte: u8, spelling: Spelling) {
    to.extend_from_slice(if spelling == Spelling::Json { b"\\\\x" } else { b"\\x" });
    to.extend_from_slice(&[hex(u32::from(byte) >> 4), hex(u32::from(byte))]);
}

/// The lower four bits as a hexadecimal digit.
fn hex(number: u32) -> u8 {
    b"0123456789abcdef"[(number & 15) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], json: &str, plain: &str) {
        for (spelling, expected) in [(Spelling::Json, json), (Spelling::Plain, plain)] {
            let mut to = Vec::new();
            push(&mut to, bytes, spelling);
            assert_eq!(String::from_utf8(to).unwrap(), expected);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        check(b"", "", "");
        check("/caf\u{e9}/\u{1F980}?q=1".as_bytes(), "/caf\u{e9}/\u{1F980}?q=1", "/caf\u{e9}/\u{1F980}?q=1");
    }

    #[test]
    fn what_ends_a_string_or_a_line_is_escaped() {
        check(b"a\"b\\c", r#"a\"b\\c"#, r#"a"b\c"#);
        check(b"a\r\nb\t\0", r"a\r\nb\t\u0000", r"a\r\nb\t\x00");
    }

    #[test]
    fn nothing_talks_to_a_terminal() {
        check(b"\x1b[31m\x7f", r"\u001b[31m\u007f", r"\x1b[31m\x7f");
        check("\u{9b}31m".as_bytes(), r"\u009b31m", r"\u009b31m");
        check("a\u{202e}b\u{2028}\u{2066}".as_bytes(), r"a\u202eb\u2028\u2066", r"a\u202eb\u2028\u2066");
        // The eight-bit form of the same control, which is no UTF-8.
        check(b"\x9b31m", r"\\x9b31m", r"\x9b31m");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named() {
        check(b"a\xff\xc3", r"a\\xff\\xc3", r"a\xff\xc3");
        check(b"\xe2\x82", r"\\xe2\\x82", r"\xe2\x82");
        check(b"\xc3\xa9\xff\xc3\xa9", "\u{e9}\\\\xff\u{e9}", "\u{e9}\\xff\u{e9}");
    }

    #[test]
    fn a_cut_spares_characters() {
        assert_eq!(cut(b"abcd", 4), (&b"abcd"[..], 0));
        assert_eq!(cut(b"abcd", 3), (&b"abc"[..], 1));
        assert_eq!(cut("ab\u{e9}d".as_bytes(), 3), (&b"ab"[..], 3));
        assert_eq!(cut("ab\u{e9}d".as_bytes(), 4), ("ab\u{e9}".as_bytes(), 1));
        assert_eq!(cut("\u{1F980}".as_bytes(), 3), (&b""[..], 4));
        assert_eq!(cut(&[0x80; 9], 5), (&[0x80; 5][..], 4));
        let mut to = Vec::new();
        push_cut(&mut to, b"abcdef", 2, Spelling::Json);
        assert_eq!(String::from_utf8(to).unwrap(), "ab…(+4 bytes)");
    }

    #[test]
    fn numbers() {
        for (number, plain, millis) in [
            (0, "0", "0.000"),
            (7, "7", "0.007"),
            (1234, "1234", "1.234"),
            (12_000, "12000", "12.000"),
            (u64::MAX, "18446744073709551615", "18446744073709551.615"),
        ] {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            push_number(&mut a, number);
            push_millis(&mut b, number);
            assert_eq!((a.as_slice(), b.as_slice()), (plain.as_bytes(), millis.as_bytes()));
        }
    }
}
