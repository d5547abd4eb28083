//! The PROXY protocol (versions 1 and 2): what a proxy that understands no HTTP says of the client, before the client's
//! own first byte. Read without mercy, since whoever may say it says who the client is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Shorter than the shortest header of either version, and enough to tell them apart.
pub const BEGINNING: usize = 13;

/// A line of version 1 with its end.
pub const LONGEST_LINE: usize = 107;

/// The fixed part of version 2.
pub const FIXED: usize = 16;

/// What follows the fixed part: addresses and extensions. Those that are in use take some hundred bytes.
const LONGEST_REST: usize = 4096;

pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
pub const WORD: &[u8; 6] = b"PROXY ";

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Who the client is, and where it came to.
    Client { from: SocketAddr, to: SocketAddr },
    /// Nothing: the proxy asks for itself (`LOCAL`), or does not know (`UNKNOWN`). The peer is the client.
    Nothing,
}

/// Which of the two a header begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// By the first bytes, at least as many as [`WORD`] has.
    #[must_use]
    pub fn of(beginning: &[u8]) -> Option<Self> {
        if beginning.starts_with(WORD) {
            Some(Self::V1)
        } else if beginning.len() >= SIGNATURE.len() && beginning.starts_with(SIGNATURE) {
            Some(Self::V2)
        } else {
            None
        }
    }
}

/// A whole line of version 1, with its end.
pub fn line(line: &[u8]) -> Result<Said, &'static str> {
    if line.len() > LONGEST_LINE {
        return Err("a line of more than 107 bytes");
    }
    let text = line.strip_suffix(b"\r\n").ok_or("a line without an end")?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or("a line that is no text")?;
    let text = text.strip_prefix("PROXY ").ok_or("no PROXY header")?;
    // Whatever else stands there is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Said::Nothing);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [family, from, to, from_port, to_port] = words[..] else { return Err("a line of other words") };
    let (from_port, to_port) = (port(from_port)?, port(to_port)?);
    let (from, to) = match family {
        "TCP4" => (address::<Ipv4Addr>(from)?.into(), address::<Ipv4Addr>(to)?.into()),
        "TCP6" => (address::<Ipv6Addr>(from)?.into(), address::<Ipv6Addr>(to)?.into()),
        _ => return Err("an unknown family of addresses"),
    };
    Ok(client(from, from_port, to, to_port))
}

fn address<T: std::str::FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "an address that is none")
}

/// Decimal, without a sign or a zero before it.
fn port(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or("a port that is none")
}

fn client(from: IpAddr, from_port: u16, to: IpAddr, to_port: u16) -> Said {
    Said::Client { from: SocketAddr::new(from, from_port), to: SocketAddr::new(to, to_port) }
}

/// How many bytes follow the fixed part of version 2.
pub fn rest(fixed: &[u8; FIXED]) -> Result<usize, &'static str> {
    if fixed[..12] != *SIGNATURE {
        return Err("no PROXY header");
    }
    match fixed[12] {
        0x20 | 0x21 => {}
        _ => return Err("another version, or an unknown command"),
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > LONGEST_REST { Err("more than 4096 bytes of extensions") } else { Ok(length) }
}

/// A whole header of version 2.
pub fn binary(fixed: &[u8; FIXED], rest: &[u8]) -> Result<Said, &'static str> {
    let size = match fixed[13] {
        // Of no family, or of one that nobody could use here: addresses of it are skipped.
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        // Datagrams do not come over a stream.
        _ => return Err("an unknown family of addresses, or datagrams"),
    };
    let is_local = fixed[12] == 0x20;
    if is_local {
        // Whatever else stands there is to be ignored.
        return Ok(Said::Nothing);
    }
    let (addresses, extensions) = rest.split_at_checked(size).ok_or("addresses that are cut short")?;
    if size > 0 {
        check_extensions(fixed, rest, extensions, size)?;
    }
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let v4 = |at: usize| Ipv4Addr::new(addresses[at], addresses[at + 1], addresses[at + 2], addresses[at + 3]);
    let v6 = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&addresses[at..at + 16]);
        Ipv6Addr::from(bytes)
    };
    Ok(match size {
        12 => client(v4(0).into(), port(8), v4(4).into(), port(10)),
        36 => client(v6(0).into(), port(32), v6(16).into(), port(34)),
        _ => Said::Nothing,
    })
}

const CHECKSUM: u8 = 0x03;

/// Extensions: a type, a length of two bytes, and so many bytes. They must fill what is left, and a checksum must be right.
fn check_extensions(fixed: &[u8; FIXED], rest: &[u8], mut left: &[u8], mut at: usize) -> Result<(), &'static str> {
    while !left.is_empty() {
        let [kind, high, low, ..] = *left else { return Err("an extension that is cut short") };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = left.get(3..3 + length).ok_or("an extension that is cut short")?;
        if kind == CHECKSUM {
            let said = <[u8; 4]>::try_from(value).map_err(|_| "a checksum that is none")?;
            let mut zeroed = [fixed, rest].concat();
            zeroed[FIXED + at + 3..FIXED + at + 7].fill(0);
            if crc32c(&zeroed) != u32::from_be_bytes(said) {
                return Err("a wrong checksum");
            }
        }
        left = &left[3 + length..];
        at += 3 + length;
    }
    Ok(())
}

/// CRC-32C (RFC 9260, appendix A), bit by bit: of some hundred bytes, once a connection.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// The header that says so.
#[must_use]
pub fn write(version: Version, said: Said) -> Vec<u8> {
    let Said::Client { from, to } = said else {
        return match version {
            Version::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
            Version::V2 => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
        };
    };
    // One family for both: an address of the other is written as its image in IPv6.
    let (from_ip, to_ip) = match (from.ip(), to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (from.ip(), to.ip()),
        (from, to) => (mapped(from).into(), mapped(to).into()),
    };
    match version {
        Version::V1 => {
            let family = if from_ip.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {from_ip} {to_ip} {} {}\r\n", from.port(), to.port()).into_bytes()
        }
        Version::V2 => {
            let mut header = SIGNATURE.to_vec();
            let (family, length) = if from_ip.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
            header.extend_from_slice(&[0x21, family, 0, length]);
            for ip in [from_ip, to_ip] {
                match ip {
                    IpAddr::V4(ip) => header.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
                }
            }
            header.extend_from_slice(&from.port().to_be_bytes());
            header.extend_from_slice(&to.port().to_be_bytes());
            header
        }
    }
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(from: &str, to: &str) -> Said {
        Said::Client { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn xa10_lines() {
        assert_eq!(
            line(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
            Ok(said("192.0.2.1:56324", "198.51.100.2:443"))
        );
        assert_eq!(line(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), Ok(said("[2001:db8::1]:1", "[::1]:65535")));
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 junk 1 2\r\n"] {
            assert_eq!(line(unknown.as_bytes()), Ok(Said::Nothing));
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
        assert_eq!(line(longest.as_bytes()), Ok(Said::Nothing));
        for bad in [
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 15)),
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.2 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.2 1 443\r\n",
            "PROXY UNKNOWN \u{e9}\r\n",
        ] {
            assert!(line(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    fn header(command: u8, family: u8, rest: &[u8]) -> Result<Said, &'static str> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        let fixed: [u8; FIXED] =
            [&SIGNATURE[..], &[command, family, length[0], length[1]]].concat().try_into().unwrap();
        assert_eq!(super::rest(&fixed)?, rest.len());
        binary(&fixed, rest)
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 1, 0xbb];

    #[test]
    fn xa10_binary_headers() {
        let v4 = Ok(said("192.0.2.1:56324", "198.51.100.2:443"));
        assert_eq!(header(0x21, 0x11, &V4), v4);
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        assert_eq!(header(0x21, 0x21, &v6), Ok(said("[::1]:3", "[::2]:4")));
        assert_eq!(header(0x20, 0x11, &V4), Ok(Said::Nothing), "LOCAL");
        assert_eq!(header(0x20, 0, &[]), Ok(Said::Nothing));
        assert_eq!(header(0x21, 0, b"whatever"), Ok(Said::Nothing), "no family");
        assert_eq!(header(0x21, 0x31, &[0; 216]), Ok(Said::Nothing), "unix");
        // NOOP of two bytes, and an empty one.
        assert_eq!(header(0x21, 0x11, &[&V4[..], &[4, 0, 2, 0, 0, 4, 0, 0]].concat()), v4);
        for (command, family, rest) in [
            (0x21, 0x11, &V4[..11]),
            (0x21, 0x21, &V4),
            (0x21, 0x12, &V4),
            (0x21, 0x41, &V4),
            (0x22, 0x11, &V4),
            (0x11, 0x11, &V4),
            (0x21, 0x11, &[&V4[..], &[4]].concat()),
            (0x21, 0x11, &[&V4[..], &[4, 0, 2, 0]].concat()),
            (0x21, 0x11, &[&V4[..], &[4, 0xff, 0xff]].concat()),
            (0x21, 0x11, &[&V4[..], &[CHECKSUM, 0, 4, 0, 0, 0, 0]].concat()),
            (0x21, 0x11, &[&V4[..], &[CHECKSUM, 0, 1, 0]].concat()),
            (0x21, 0x11, &[&V4[..], &[0; 4096]].concat()),
        ] {
            assert!(header(command, family, rest).is_err(), "{command:x} {family:x} {rest:?}");
        }
    }

    #[test]
    fn xa10_checksums() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut rest = [&V4[..], &[4, 0, 1, 0, CHECKSUM, 0, 4, 0, 0, 0, 0]].concat();
        let fixed = [&SIGNATURE[..], &[0x21, 0x11, 0, u8::try_from(rest.len()).unwrap()]].concat();
        let sum = crc32c(&[&fixed[..], &rest].concat());
        let at = rest.len() - 4;
        rest[at..].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(header(0x21, 0x11, &rest), Ok(said("192.0.2.1:56324", "198.51.100.2:443")));
        rest[0] ^= 1;
        assert_eq!(header(0x21, 0x11, &rest), Err("a wrong checksum"));
    }

    #[test]
    fn what_is_written_is_read() {
        for (from, to) in [("192.0.2.1:1", "192.0.2.2:2"), ("[2001:db8::1]:1", "[2001:db8::2]:2")] {
            let known = said(from, to);
            assert_eq!(line(&write(Version::V1, known)), Ok(known));
            let written = write(Version::V2, known);
            assert_eq!(header(written[12], written[13], &written[FIXED..]), Ok(known));
        }
        let mixed = said("192.0.2.1:1", "[2001:db8::2]:2");
        assert_eq!(line(&write(Version::V1, mixed)), Ok(said("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2")));
        for version in [Version::V1, Version::V2] {
            let nothing = write(version, Said::Nothing);
            assert_eq!(Version::of(&nothing), Some(version));
        }
        assert_eq!(Version::of(b"PROXYTCP4 192"), None);
        assert_eq!(Version::of(b"\r\n\r\n\0\r\nQUIT"), None);
    }
}
