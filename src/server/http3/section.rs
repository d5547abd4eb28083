//! A section of fields as it stands on the wire (RFC 9204, section 4.5): its pseudo-fields once, first, and none that is not a
//! client's to say.
//!
//! The library behind us decodes fields into a map, in which order is lost and the last of two wins. Here nothing is decoded:
//! the fields are counted off by their lengths, and pseudo-fields are known by their places in the static table or by their
//! names. Tables that clients fill are not kept, so what refers to one is refused (threat XH09).

use h3::error::Code;

use super::guard::Refusal;

/// Which section of a message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Head,
    Trailers,
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

/// Plain, and in the code of RFC 7541, appendix B.
const NAMES: [(Name, &[u8], &[u8]); 4] = [
    (AUTHORITY, b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]),
    (METHOD, b":method", &[0xb9, 0x49, 0x53, 0x39, 0xe4]),
    (PATH, b":path", &[0xb9, 0x58, 0xd3, 0x3f]),
    (SCHEME, b":scheme", &[0xb8, 0x82, 0x4e, 0x5a, 0x4b]),
];

const MALFORMED: Refusal = Refusal::Stream(Code::H3_MESSAGE_ERROR);
const UNREADABLE: Refusal = Refusal::Connection(Code::QPACK_DECOMPRESSION_FAILED, "a section of fields that is none");

/// Looks at every field of a section.
pub fn check(block: &[u8], section: Section) -> Result<(), Refusal> {
    let mut rest = block;
    // Fields are needed that were put into a table: ours holds none.
    if integer(&mut rest, 8)? != 0 {
        return Err(UNREADABLE);
    }
    integer(&mut rest, 7)?;
    let (mut seen, mut ordinary) = (0_u8, false);
    while !rest.is_empty() {
        match field(&mut rest)? {
            Name::Ordinary => ordinary = true,
            Name::Pseudo(bit) if section == Section::Head && !ordinary && seen & bit == 0 => seen |= bit,
            Name::Pseudo(_) | Name::Foreign => return Err(MALFORMED),
        }
    }
    Ok(())
}

/// Takes one field and says what it is called.
fn field(rest: &mut &[u8]) -> Result<Name, Refusal> {
    let first = *rest.first().ok_or(UNREADABLE)?;
    match first {
        // Both from the static table.
        0xc0.. => Ok(of_table(integer(rest, 6)?)),
        // The name from the static table.
        0x50..=0x5f | 0x70..=0x7f => {
            let name = of_table(integer(rest, 4)?);
            string(rest, 7)?;
            Ok(name)
        }
        // Both spelled out.
        0x20..=0x3f => {
            let (name, is_coded) = (string(rest, 3)?, first & 0x08 != 0);
            string(rest, 7)?;
            Ok(of_bytes(name, is_coded))
        }
        _ => Err(UNREADABLE),
    }
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
        assert_eq!(super::check(&block, Section::Head), expected, "{block:x?}");
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
        for foreign in
            [literal(b":status", b"200"), literal(b":protocol", b"websocket"), literal(b":", b""), vec![0xd9]]
        {
            check(&[foreign], Err(MALFORMED));
        }
        // `:status` and `:protocol` in code.
        check(&[coded(&[0xb8, 0x84, 0x8d, 0x36, 0xa3], b"200")], Err(MALFORMED));
        check(&[coded(&[0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f], b"websocket")], Err(MALFORMED));
        check(&[coded(&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], b"v")], Ok(()));
    }

    #[test]
    fn xh09_there_is_no_table_to_refer_to() {
        let block = |bytes: &[u8]| super::check(bytes, Section::Head);
        assert_eq!(block(&[0, 0]), Ok(()));
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
