//! A section of fields as it stands on the wire (RFC 9204, section 4.5): its pseudo-fields once, first, and none that is not a
//! client's to say.
//!
//! The library behind us decodes fields into a map, in which order is lost and the last of two wins. Here nothing is decoded:
//! the fields are counted off by their lengths, and pseudo-fields are known by their places in the static table or by their
//! names. Tables that clients fill are not kept, so what refers to one is refused (threat XH09).
//!
//! Of `:protocol` the library knows two values, neither of them ours, and takes a head with another one for malformed: it is
//! found here, and is for whoever passes the head on to leave out.

use std::ops::Range;

use h3::error::Code;

use super::guard::Refusal;

/// Which section of a message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Head,
    Trailers,
}

/// What a request is to be spoken of in after its head (RFC 9220).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    WebSocket,
    Unknown,
}

/// A field `:protocol`, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub protocol: Protocol,
    pub field: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Ordinary,
    /// A bit for each that a request may have.
    Pseudo(u8),
    /// One that it may not.
    Foreign,
}

const AUTHORITY: Name = Name::Pseudo(1);
const METHOD: Name = Name::Pseudo(2);
const PATH: Name = Name::Pseudo(4);
const SCHEME: Name = Name::Pseudo(8);
const PROTOCOL: Name = Name::Pseudo(16);

/// Plain, and in the code of RFC 7541, appendix B.
const NAMES: [(Name, &[u8], &[u8]); 5] = [
    (AUTHORITY, b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]),
    (METHOD, b":method", &[0xb9, 0x49, 0x53, 0x39, 0xe4]),
    (PATH, b":path", &[0xb9, 0x58, 0xd3, 0x3f]),
    (SCHEME, b":scheme", &[0xb8, 0x82, 0x4e, 0x5a, 0x4b]),
    (PROTOCOL, b":protocol", &[0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f]),
];

/// `websocket` with its length, plain and in code.
const WEBSOCKET: [&[u8]; 2] = [b"\x09websocket", &[0x87, 0xf0, 0x58, 0xd0, 0x72, 0x75, 0x2a, 0x7f]];

const MALFORMED: Refusal = Refusal::Stream(Code::H3_MESSAGE_ERROR);
const UNREADABLE: Refusal = Refusal::Connection(Code::QPACK_DECOMPRESSION_FAILED, "a section of fields that is none");

/// Looks at every field of a section.
pub fn check(block: &[u8], section: Section) -> Result<Option<Asked>, Refusal> {
    let mut rest = block;
    // Fields are needed that were put into a table: ours holds none.
    if integer(&mut rest, 8)? != 0 {
        return Err(UNREADABLE);
    }
    integer(&mut rest, 7)?;
    let (mut seen, mut ordinary, mut asked) = (0_u8, false, None);
    while !rest.is_empty() {
        let start = block.len() - rest.len();
        let (name, value) = field(&mut rest)?;
        if name == PROTOCOL {
            let protocol = if WEBSOCKET.contains(&value) { Protocol::WebSocket } else { Protocol::Unknown };
            asked = Some(Asked { protocol, field: start..block.len() - rest.len() });
        }
        match name {
            Name::Ordinary => ordinary = true,
            Name::Pseudo(bit) if section == Section::Head && !ordinary && seen & bit == 0 => seen |= bit,
            Name::Pseudo(_) | Name::Foreign => return Err(MALFORMED),
        }
    }
    Ok(asked)
}

/// Takes one field and says what it is called, and what its value is, its length before it, where that is spelled out.
fn field<'b>(rest: &mut &'b [u8]) -> Result<(Name, &'b [u8]), Refusal> {
    let first = *rest.first().ok_or(UNREADABLE)?;
    let name = match first {
        // Both from the static table.
        0xc0.. => return Ok((of_table(integer(rest, 6)?), &[])),
        // The name from the static table.
        0x50..=0x5f | 0x70..=0x7f => of_table(integer(rest, 4)?),
        // Both spelled out.
        0x20..=0x3f => of_bytes(string(rest, 3)?, first & 0x08 != 0),
        _ => return Err(UNREADABLE),
    };
    let behind = *rest;
    string(rest, 7)?;
    Ok((name, &behind[..behind.len() - rest.len()]))
}

/// RFC 9204, appendix A.
fn of_table(index: u64) -> Name {
    match index {
        0 => AUTHORITY,
        1 => PATH,
        15..=21 => METHOD,
        22 | 23 => SCHEME,
        24..=28 | 63..=71 => Name::Foreign,
        _ => Name::Ordinary,
    }
}

fn of_bytes(name: &[u8], is_coded: bool) -> Name {
    // A colon, plain or in seven bits.
    let is_pseudo = name.first().is_some_and(|first| if is_coded { first >> 1 == 0x5c } else { *first == b':' });
    if !is_pseudo {
        return Name::Ordinary;
    }
    let known = NAMES.iter().find(|(_, plain, coded)| name == if is_coded { *coded } else { *plain });
    known.map_or(Name::Foreign, |(name, _, _)| *name)
}

/// Takes a string whose length has so many bits of its first byte.
fn string<'b>(rest: &mut &'b [u8], bits: u8) -> Result<&'b [u8], Refusal> {
    let length = usize::try_from(integer(rest, bits)?).map_err(|_| UNREADABLE)?;
    let (string, behind) = rest.split_at_checked(length).ok_or(UNREADABLE)?;
    *rest = behind;
    Ok(string)
}

/// Takes a number that begins in the last so many bits of a byte (RFC 7541, section 5.1).
fn integer(rest: &mut &[u8], bits: u8) -> Result<u64, Refusal> {
    let mut take = || -> Result<u8, Refusal> {
        let (first, behind) = rest.split_first().ok_or(UNREADABLE)?;
        *rest = behind;
        Ok(*first)
    };
    let most = u64::from(u8::MAX >> (8 - bits));
    let mut value = u64::from(take()?) & most;
    if value < most {
        return Ok(value);
    }
    // No length of ours needs more than 28 bits beyond.
    for shift in [0, 7, 14, 21] {
        let byte = take()?;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field spelled out.
    fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut field = if name.len() < 7 {
            vec![0x20 | u8::try_from(name.len()).unwrap()]
        } else {
            vec![0x27, u8::try_from(name.len() - 7).unwrap()]
        };
        field.extend_from_slice(name);
        field.push(u8::try_from(value.len()).unwrap());
        field.extend_from_slice(value);
        field
    }

    fn coded(name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut field = literal(name, value);
        field[0] |= 0x08;
        field
    }

    fn check(fields: &[Vec<u8>], expected: Result<(), Refusal>) {
        let block = [&[vec![0, 0]], fields].concat().concat();
        assert_eq!(super::check(&block, Section::Head).map(drop), expected, "{block:x?}");
    }

    #[test]
    fn xg06_pseudo_fields_stand_once_and_first() {
        let (get, https, path) = (vec![0xd1], vec![0xd7], vec![0xc1]);
        let head = [get.clone(), https, path, literal(b":authority", b"a")];
        check(&head, Ok(()));
        for (_, plain, code) in NAMES {
            check(&[literal(plain, b"x")], Ok(()));
            check(&[coded(code, b"x")], Ok(()));
            check(&[literal(plain, b"x"), coded(code, b"x")], Err(MALFORMED));
            check(&[literal(b"x", b"x"), coded(code, b"x")], Err(MALFORMED));
            let block = [vec![0, 0], coded(code, b"x")].concat();
            assert_eq!(super::check(&block, Section::Trailers), Err(MALFORMED));
        }
        check(&[get.clone(), get], Err(MALFORMED));
        for foreign in [literal(b":status", b"200"), literal(b":", b""), vec![0xd9]] {
            check(&[foreign], Err(MALFORMED));
        }
        // `:status` in code.
        check(&[coded(&[0xb8, 0x84, 0x8d, 0x36, 0xa3], b"200")], Err(MALFORMED));
        check(&[coded(&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], b"v")], Ok(()));
    }

    #[test]
    fn xu04_a_protocol_is_the_one_or_unknown() {
        let (name, value) = (b":protocol", [&[0x80], WEBSOCKET[1]].concat());
        let mut coded_value = coded(NAMES[4].2, &value[2..]);
        let length = coded_value.len() - value.len() + 1;
        coded_value[length] |= 0x80;
        for (field, protocol) in [
            (literal(name, b"websocket"), Protocol::WebSocket),
            (coded(NAMES[4].2, b"websocket"), Protocol::WebSocket),
            (coded_value, Protocol::WebSocket),
            (literal(name, b"WebSocket"), Protocol::Unknown),
            (literal(name, b"x\x09websocket"), Protocol::Unknown),
            (literal(name, b"webtransport"), Protocol::Unknown),
            (literal(name, b""), Protocol::Unknown),
        ] {
            let block = [&[0, 0, 0xcf][..], &field, &[0xd7]].concat();
            let asked = super::check(&block, Section::Head).unwrap().unwrap();
            assert_eq!((asked.protocol, asked.field), (protocol, 3..3 + field.len()), "{block:x?}");
        }
        assert_eq!(super::check(&[0, 0, 0xcf], Section::Head), Ok(None));
    }

    #[test]
    fn xh09_there_is_no_table_to_refer_to() {
        let block = |bytes: &[u8]| super::check(bytes, Section::Head);
        assert_eq!(block(&[0, 0]), Ok(None));
        for bytes in [
            &[][..],
            &[0],
            // A required insert count; dynamic names and values, before and behind the base.
            &[1, 0],
            &[0, 0, 0x80],
            &[0, 0, 0x10],
            &[0, 0, 0x40, 0],
            &[0, 0, 0x00, 0],
            // Strings and numbers without an end.
            &[0, 0, 0x23, b'a'],
            &[0, 0, 0x21, b'a', 0x05, b'b'],
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(block(bytes), Err(UNREADABLE), "{bytes:x?}");
        }
    }
}
