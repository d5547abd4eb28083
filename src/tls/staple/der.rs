//! As much of DER (X.690) as an answer of a responder needs: one value after the other, none longer than what holds it.
//!
//! asn1-rs, which reads certificates, takes lengths that are longer than they need be, and could not take this one's place
//! without a check of its own for that.

/// Universal and context tags that are met here.
pub(super) mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const BITS: u8 = 0x03;
    pub const OCTETS: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;

    /// `[number] EXPLICIT`, or a constructed `[number] IMPLICIT`.
    pub const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }

    /// A primitive `[number] IMPLICIT`.
    pub const fn primitive(number: u8) -> u8 {
        0x80 | number
    }
}

/// What has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One value, with its tag and length and without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub tag: u8,
    pub whole: &'a [u8],
    pub content: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever it is. Tags of several bytes and lengths above 64 KiB are in no answer.
    pub fn any(&mut self) -> Option<Item<'a>> {
        let (tag, length, head) = match *self.0 {
            [tag, length @ 0..=0x7f, ..] => (tag, usize::from(length), 2),
            [tag, 0x81, length, ..] if length > 0x7f => (tag, usize::from(length), 3),
            [tag, 0x82, high, low, ..] if high > 0 => (tag, usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return None,
        };
        if tag & 0x1f == 0x1f {
            return None;
        }
        let whole = self.0.get(..head + length)?;
        self.0 = &self.0[whole.len()..];
        Some(Item { tag, whole, content: &whole[head..] })
    }

    /// The next value if it has this tag; else nothing is read.
    pub fn optional(&mut self, tag: u8) -> Option<Item<'a>> {
        if self.0.first() == Some(&tag) { self.any() } else { None }
    }

    /// What is in the next value, which must have this tag.
    pub fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.optional(tag).map(|item| item.content)
    }

    /// The same as something to read.
    pub fn inside(&mut self, tag: u8) -> Option<Self> {
        self.content(tag).map(Self)
    }
}

/// A value as bytes. Parts are put one behind the other.
pub(super) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => bytes.push(short),
        Ok(long) => bytes.extend([0x81, long]),
        // What is written here is far shorter.
        Err(_) => bytes.extend([&[0x82][..], &u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()].concat()),
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use x509_parser::asn1_rs::FromDer as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_short_is_not() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let bytes = write(tag::OCTETS, &[&vec![7; length]]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.content(tag::OCTETS).map(<[u8]>::len), Some(length));
            assert!(reader.is_empty());
            assert!(Reader::new(&bytes[..bytes.len() - 1]).any().is_none());
        }
        // Lengths that are longer than they need be, and those without an end.
        for bytes in
            [&[4, 0x81, 1, 0][..], &[4, 0x82, 0, 1, 0], &[4, 0x80, 0, 0], &[0x1f, 1, 0], &[4, 0x83, 0, 0, 0], &[]]
        {
            assert!(Reader::new(bytes).any().is_none(), "{bytes:?}");
        }
        let is_taken = |bytes| x509_parser::asn1_rs::Any::from_der(bytes).is_ok();
        assert!(is_taken(&[4, 0x81, 1, 0]) && is_taken(&[4, 0x82, 0, 1, 0]), "this reader can make way for asn1-rs");
    }
}
