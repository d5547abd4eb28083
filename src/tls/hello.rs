//! A ClientHello as it came: what rustls does not tell of it, for the log and for JA4.

use std::fmt::Write as _;

use super::certificate::sha256;
use super::hex::hex;

/// Bytes of the first flight that are kept; a ClientHello with two post-quantum shares has 4 KiB.
pub const LARGEST: usize = 16 * 1024;

/// The types of a record and of a message.
const HANDSHAKE: usize = 22;
const CLIENT_HELLO: u8 = 1;

/// What the first bytes of a client tell of the name that it asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Sight {
    /// The ClientHello is not whole yet.
    Cut,
    /// Its name, in lower case.
    Name(Box<str>),
    /// It asks for none, or this is no ClientHello.
    Nobody,
}

impl Sight {
    /// Of a flight as far as it has come, split over records and segments in any way.
    pub fn of(flight: &[u8]) -> Self {
        match is_whole(flight) {
            Some(false) => Self::Cut,
            Some(true) => Hello::read(flight).and_then(|hello| hello.name).map_or(Self::Nobody, Self::Name),
            None => Self::Nobody,
        }
    }
}

/// Whether the ClientHello that begins there has come to its end; `None` where it is none, or larger than any. Contents are
/// stepped over: a client that sends byte by byte asks this for each of them.
fn is_whole(flight: &[u8]) -> Option<bool> {
    let (mut records, mut head, mut come) = (Reader(flight), [0; 4], 0);
    while let Some(kind) = records.number(1) {
        if kind != HANDSHAKE {
            return None;
        }
        let (Some(_), Some(length)) = (records.short(), records.number(2)) else { return Some(false) };
        let there = &records.0[..length.min(records.0.len())];
        for (to, byte) in head.iter_mut().skip(come).zip(there) {
            *to = *byte;
        }
        come += there.len();
        let [message, high, middle, low] = head;
        let wanted = 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
        // A record without content is none of a handshake (RFC 8446, section 5.1).
        if length == 0 || come > 0 && message != CLIENT_HELLO || wanted > LARGEST {
            return None;
        }
        if come >= 4 && come >= wanted {
            return Some(true);
        }
        if records.take(length).is_none() {
            break;
        }
    }
    Some(false)
}

/// What carries a handshake: a fingerprint begins with a letter for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Tcp,
    Quic,
}

/// What a client has offered, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Whom it asks for, in lower case.
    name: Option<Box<str>>,
    /// Of the message itself, as before TLS 1.3.
    legacy: u16,
    suites: Vec<u16>,
    extensions: Vec<u16>,
    /// `supported_versions`; empty where it is not sent.
    versions: Vec<u16>,
    signatures: Vec<u16>,
    protocols: Vec<Vec<u8>>,
}

/// Takes bytes from the front, and nothing beyond the end.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn short(&mut self) -> Option<u16> {
        u16::try_from(self.number(2)?).ok()
    }

    /// What stands behind its length, which is of so many bytes.
    fn inner(&mut self, bytes: usize) -> Option<Self> {
        let length = self.number(bytes)?;
        Some(Self(self.take(length)?))
    }

    fn shorts(&mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.short()).collect()
    }
}

impl Hello {
    /// Reads the records of a client's first flight. `None` where they are not a whole ClientHello (RFC 8446, section 4.1.2).
    pub fn read(flight: &[u8]) -> Option<Self> {
        Self::message(&unwrapped(flight))
    }

    /// Reads the message itself, which QUIC carries without records; what follows it is left.
    pub fn message(bytes: &[u8]) -> Option<Self> {
        let (mut hello, body) = (Self::default(), begun(bytes)?.inner(3)?);
        hello.fill(body, true)?;
        Some(hello)
    }

    /// What can be told of a flight that may end anywhere, or be broken: what is not there is empty. `None` where not even a
    /// ClientHello has begun. For the log alone; nothing is decided by half a message.
    pub fn glimpse(flight: &[u8]) -> Option<Self> {
        Self::glimpse_message(&unwrapped(flight))
    }

    /// The same of the message itself.
    pub fn glimpse_message(bytes: &[u8]) -> Option<Self> {
        let mut message = begun(bytes)?;
        let (mut hello, length) = (Self::default(), message.number(3)?);
        let is_whole = message.0.len() >= length;
        let is_read = hello.fill(Reader(&message.0[..length.min(message.0.len())]), is_whole).is_some();
        if !(is_whole && is_read) && hello.versions.is_empty() {
            // Every client of today claims 1.2 there, and says what it means in an extension that may be missing.
            hello.legacy = 0;
        }
        Some(hello)
    }

    /// Reads what it offers, one after the other, until something is missing.
    fn fill(&mut self, mut body: Reader<'_>, is_whole: bool) -> Option<()> {
        self.legacy = body.short()?;
        body.take(32)?;
        body.inner(1)?;
        self.suites = body.inner(2)?.shorts();
        body.inner(1)?;
        let mut extensions = if is_whole {
            // Very old clients end here.
            body.inner(2).unwrap_or(Reader(&[]))
        } else {
            body.take(2)?;
            body
        };
        while !extensions.0.is_empty() {
            let kind = extensions.short()?;
            self.extension(kind, extensions.inner(2)?);
        }
        Some(())
    }

    /// What cannot be read of one is empty: rustls judges it.
    fn extension(&mut self, kind: u16, mut content: Reader<'_>) {
        let is_second = kind == SNI && self.extensions.contains(&SNI);
        self.extensions.push(kind);
        match kind {
            // Nobody could say which of two the server believes.
            SNI => self.name = if is_second { None } else { host_name(content) },
            SIGNATURES => self.signatures = content.inner(2).map(|mut list| list.shorts()).unwrap_or_default(),
            VERSIONS => self.versions = content.inner(1).map(|mut list| list.shorts()).unwrap_or_default(),
            ALPN => {
                let mut list = content.inner(2).unwrap_or(Reader(&[]));
                self.protocols = std::iter::from_fn(|| Some(list.inner(1)?.0.to_vec())).collect();
            }
            _ => {}
        }
    }

    /// Whom it asks for, for the log; empty where it asks for nobody.
    pub fn name(&self) -> String {
        self.name.as_deref().unwrap_or_default().bytes().map(plain).collect()
    }

    /// The versions that are offered, for the log: `TLSv1.3 TLSv1.2`.
    pub fn versions(&self) -> String {
        let all = if self.versions.is_empty() { std::slice::from_ref(&self.legacy) } else { &self.versions };
        let is_said = |version: &&u16| **version != 0 && !is_grease(**version);
        let names = all.iter().filter(is_said).map(|version| match version {
            0x0304 => "TLSv1.3".to_owned(),
            0x0303 => "TLSv1.2".to_owned(),
            0x0302 => "TLSv1.1".to_owned(),
            0x0301 => "TLSv1.0".to_owned(),
            0x0300 => "SSLv3".to_owned(),
            other => format!("{other:#06x}"),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    /// The protocols that are offered, for the log: `h2 http/1.1`.
    pub fn protocols(&self) -> String {
        let names =
            self.protocols.iter().take(8).map(|name| name.iter().copied().take(32).map(plain).collect::<String>());
        names.collect::<Vec<_>>().join(" ")
    }

    /// The client's fingerprint, by the rules of JA4: a readable part, and the digests of what is offered, sorted, so that a
    /// client that shuffles its extensions stays the same.
    pub fn ja4(&self, carrier: Carrier) -> String {
        let real = |list: &[u16]| -> Vec<u16> { list.iter().copied().filter(|value| !is_grease(*value)).collect() };
        let (mut suites, mut extensions) = (real(&self.suites), real(&self.extensions));
        let version = match real(&self.versions).into_iter().max().unwrap_or(self.legacy) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let named = if extensions.contains(&SNI) { 'd' } else { 'i' };
        let letter = match carrier {
            Carrier::Tcp => 't',
            Carrier::Quic => 'q',
        };
        let mut out = format!("{letter}{version}{named}{:02}{:02}", suites.len().min(99), extensions.len().min(99));
        out.push_str(&self.ends());
        suites.sort_unstable();
        extensions.retain(|kind| !matches!(*kind, SNI | ALPN));
        extensions.sort_unstable();
        let mut offered = listed(&extensions);
        let signatures = real(&self.signatures);
        if !signatures.is_empty() {
            let _ = write!(offered, "_{}", listed(&signatures));
        }
        let digest_of =
            |list: &[u16], text: &str| if list.is_empty() { "000000000000".to_owned() } else { digest(text) };
        let _ = write!(out, "_{}_{}", digest_of(&suites, &listed(&suites)), digest_of(&extensions, &offered));
        out
    }

    /// The first and the last sign of the protocol that the client likes best.
    fn ends(&self) -> String {
        let Some((first, last)) = self.protocols.first().and_then(|name| Some((*name.first()?, *name.last()?))) else {
            return "00".to_owned();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [first, last].map(char::from).iter().collect();
        }
        let (first, last) = (format!("{first:02x}"), format!("{last:02x}"));
        format!("{}{}", &first[..1], &last[1..])
    }
}

/// What stands behind the kind of a message, if that is a ClientHello.
fn begun(bytes: &[u8]) -> Option<Reader<'_>> {
    let mut message = Reader(bytes);
    (message.number(1)? == usize::from(CLIENT_HELLO)).then_some(message)
}

/// What one byte of a client is in the log.
fn plain(byte: u8) -> char {
    if byte.is_ascii_graphic() { char::from(byte) } else { '?' }
}

/// The messages that records hold, as far as they have come.
fn unwrapped(flight: &[u8]) -> Vec<u8> {
    let (mut records, mut messages) = (Reader(flight), Vec::new());
    while records.number(1) == Some(HANDSHAKE) {
        let (Some(_), Some(length)) = (records.short(), records.number(2)) else { break };
        messages.extend_from_slice(records.take(length.min(records.0.len())).unwrap_or_default());
    }
    messages
}

const SNI: u16 = 0;
const SIGNATURES: u16 = 13;
const ALPN: u16 = 16;
const VERSIONS: u16 = 43;

/// The one host that an extension names (RFC 6066, section 3); `None` where it is not text, or there is more.
fn host_name(mut content: Reader<'_>) -> Option<Box<str>> {
    const HOST: usize = 0;
    let mut list = content.inner(2)?;
    let kind = list.number(1)?;
    let name = std::str::from_utf8(list.inner(2)?.0).ok()?;
    let is_all = kind == HOST && list.0.is_empty() && content.0.is_empty();
    (is_all && !name.is_empty() && name.len() <= 253 && name.is_ascii()).then(|| name.to_ascii_lowercase().into())
}

/// Values that mean nothing, so that servers stay used to such (RFC 8701).
fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

fn listed(values: &[u16]) -> String {
    values.iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",")
}

fn digest(text: &str) -> String {
    hex(&sha256(text.as_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &str) -> Vec<u16> {
        list.split(',').map(|number| u16::from_str_radix(number, 16).unwrap()).collect()
    }

    /// By what is published of a client: its suites, its extensions without the two that are left out, its signatures.
    fn client(suites: &str, extensions: &str, signatures: &str) -> Hello {
        let mut all = numbers(extensions);
        all.extend([SNI, ALPN, 0x1a1a]);
        all.reverse();
        let mut suites = numbers(suites);
        suites.insert(0, 0x0a0a);
        Hello {
            legacy: 0x0303,
            suites,
            extensions: all,
            versions: vec![0x2a2a, 0x0304, 0x0303],
            signatures: numbers(signatures),
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..Hello::default()
        }
    }

    #[test]
    fn published_fingerprints_are_ours() {
        let chrome = client(
            "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9",
            "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01",
            "0403,0804,0401,0503,0805,0501,0806,0601",
        );
        assert_eq!(chrome.ja4(Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        let crawler = client(
            "00ff,1301,1302,1303,c02b,c02c,c02f,c030,cca8,cca9",
            "0005,000a,000b,000d,0017,0023,002b,002d,0033",
            "0503,0403,0807,0806,0805,0804,0601,0501,0401",
        );
        assert_eq!(crawler.ja4(Carrier::Tcp), "t13d1011h2_61a7ad8aa9b6_3fcd1a44f3e3");
    }

    #[test]
    fn a_published_fingerprint_over_quic_is_ours() {
        let mut browser = client(
            "1301,1302,1303",
            "000a,000d,001b,0029,002b,002d,0033,0039,4469,fe0d",
            "0403,0804,0401,0503,0805,0501,0806,0601,0201",
        );
        browser.versions = vec![0x0a0a, 0x0304];
        browser.protocols = vec![b"h3".to_vec()];
        assert_eq!(browser.ja4(Carrier::Quic), "q13d0312h3_55b375c5d22e_06cda9e17597");
        assert_eq!(browser.ja4(Carrier::Tcp), "t13d0312h3_55b375c5d22e_06cda9e17597");
    }

    #[test]
    fn what_is_missing_has_its_sign() {
        let bare = Hello { legacy: 0x0301, suites: vec![0x002f], ..Hello::default() };
        assert_eq!(bare.ja4(Carrier::Tcp), format!("t10i010000_{}_000000000000", digest("002f")));
        assert_eq!(bare.versions(), "TLSv1.0");
        let odd = Hello { protocols: vec![vec![0xab, b'x', 0xcd]], ..Hello::default() };
        assert!(odd.ja4(Carrier::Tcp).starts_with("t00i0000ad_"), "{}", odd.ja4(Carrier::Tcp));
        assert_eq!(odd.protocols(), "?x?");
    }

    /// The first flight of a client of rustls.
    fn flight() -> Vec<u8> {
        let provider = crate::tls::provider::provider();
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = rustls::ClientConnection::new(config.into(), "a.test".try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_flight_is_read_whole_in_records_of_any_size_and_never_in_part() {
        let whole = flight();
        let hello = Hello::read(&whole).unwrap();
        assert_eq!((hello.versions(), hello.protocols()), ("TLSv1.3 TLSv1.2".to_owned(), "h2".to_owned()));
        let fingerprint = hello.ja4(Carrier::Tcp);
        assert!(fingerprint.starts_with("t13d10") || fingerprint.starts_with("t13d09"), "{fingerprint}");
        assert_eq!(Hello::message(&whole[5..]).as_ref(), Some(&hello), "the same without its record");
        let pieces: Vec<u8> = whole[5..]
            .chunks(60)
            .flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat())
            .collect();
        assert_eq!(Hello::read(&pieces), Some(hello));
        for end in 0..whole.len() {
            assert_eq!(Hello::read(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            // Whatever it is now, reading it ends.
            let _ = Hello::read(&broken).map(|hello| hello.ja4(Carrier::Quic));
        }
        assert_eq!(Hello::read(b"GET / HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn t13_as_much_is_told_of_a_flight_as_has_come() {
        let whole = flight();
        let said = |hello: &Hello| [hello.name(), hello.versions(), hello.protocols()];
        let all = ["a.test", "TLSv1.3 TLSv1.2", "h2"];
        assert_eq!(said(&Hello::glimpse(&whole).unwrap()), all);
        let mut known = [false; 3];
        for end in 0..whole.len() {
            let cut = &whole[..end];
            let glimpse = Hello::glimpse(cut);
            assert_eq!(glimpse, cut.get(5..).and_then(Hello::glimpse_message), "records make no difference");
            let Some(hello) = glimpse else {
                assert!(end < 9, "nothing is told of {end} bytes");
                continue;
            };
            for ((is_known, said), whole) in known.iter_mut().zip(said(&hello)).zip(all) {
                // Never half of anything, and never less than before.
                assert!(said == whole || said.is_empty() && !*is_known, "{said} after {end} bytes");
                *is_known = said == whole;
            }
        }
        assert!(known.iter().any(|is_known| *is_known), "whatever comes last, something came before it");
        for other in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[22, 3, 1, 0, 4, 2, 0, 0, 0]] {
            assert_eq!(Hello::glimpse(other), None);
        }
        let odd = Hello { name: Some("a\u{1b}[31m".into()), ..Hello::default() };
        assert_eq!(said(&odd), ["a?[31m", "", ""]);
    }

    fn in_records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat();
        message.chunks(size).flat_map(record).collect()
    }

    #[test]
    fn t08_a_name_is_seen_as_soon_as_the_hello_is_whole_and_no_sooner() {
        let message = &flight()[5..];
        for size in [1, 2, 3, 7, 100, message.len()] {
            let mut records = in_records(message, size);
            for end in 0..records.len() {
                assert_eq!(Sight::of(&records[..end]), Sight::Cut, "{end} of records of {size}");
            }
            assert_eq!(Sight::of(&records), Sight::Name("a.test".into()));
            records.extend([23, 3, 3, 0, 9]);
            assert_eq!(Sight::of(&records), Sight::Name("a.test".into()), "what stands behind it is not looked at");
        }
    }

    /// A ClientHello with these contents of the extension `server_name`.
    fn naming(names: &[&[u8]]) -> Vec<u8> {
        let extensions: Vec<u8> = names
            .iter()
            .flat_map(|content| [&[0, 0, 0, u8::try_from(content.len()).unwrap()], *content].concat())
            .collect();
        let length = u8::try_from(extensions.len()).unwrap();
        let body = [&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0, 0, length], &extensions].concat();
        in_records(&[&[1, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat(), 4096)
    }

    #[test]
    fn t08_a_name_that_could_be_two_is_none() {
        let check = |names: &[&[u8]], expected: Option<&str>| {
            let expected = expected.map_or(Sight::Nobody, |name| Sight::Name(name.into()));
            assert_eq!(Sight::of(&naming(names)), expected, "{names:?}");
        };
        check(&[b"\0\x06\0\0\x03A.b"], Some("a.b"));
        check(&[], None);
        check(&[b"\0\x06\0\0\x03a.b", b"\0\x06\0\0\x03c.d"], None);
        check(&[b"\0\x0c\0\0\x03a.b\0\0\x03c.d"], None);
        check(&[b"\0\x06\x01\0\x03a.b"], None);
        check(&[b"\0\x06\0\0\x04a.b"], None);
        check(&[b"\0\x06\0\0\x03a.b!"], None);
        check(&[b"\0\x05\0\0\x02\xc3\xa9"], None);
        check(&[b"\0\x03\0\0\0"], None);
        check(&[b""], None);
    }

    #[test]
    fn t08_what_is_no_hello_is_known_at_its_first_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 0, 5, 2],
            &[22, 3, 1, 0, 9, 1, 0, 0x40, 0],
            &[22, 3, 1, 0, 2, 1, 0, 21],
            &[0x80, 0x2e, 1],
        ] {
            assert_eq!(Sight::of(bytes), Sight::Nobody, "{bytes:x?}");
        }
        assert_eq!(Sight::of(&[]), Sight::Cut);
        assert_eq!(Sight::of(&[22, 3, 1, 0, 9, 1, 0, 0x3f, 0xfc]), Sight::Cut);
    }
}
