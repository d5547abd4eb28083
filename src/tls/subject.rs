//! What a client's certificate says of it, as text that can't be taken for more than it is: worked out once a connection.

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::certificate::sha256;
use super::hex::hex;
use crate::http::connection::ClientCertificate;

/// Reads a certificate that a client has shown and holds the key of. What cannot be read is empty.
pub fn describe(der: &[u8], verified: bool) -> ClientCertificate {
    let parsed = X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed);
    let of = |text: fn(&X509Certificate<'_>) -> String| parsed.as_ref().map(text).unwrap_or_default().into();
    ClientCertificate {
        subject: of(|parsed| name(parsed.subject())),
        issuer: of(|parsed| name(parsed.issuer())),
        serial: of(|parsed| serial(parsed.raw_serial())),
        san: of(alternatives),
        fingerprint: hex(&sha256(der)).into(),
        field: format!(":{}:", base64(der)).into(),
        verified,
    }
}

/// As RFC 4514 has it, and nginx: the most specific part first, and what could be taken for a separator escaped.
fn name(name: &X509Name<'_>) -> String {
    let parts = name.iter().map(|part| {
        let attributes: Vec<String> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    let parts: Vec<String> = parts.collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// Those that RFC 4514, section 3 lists; others go by their numbers.
const KNOWN: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let known = KNOWN.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    match (known, attribute.as_str()) {
        (Some(name), Ok(value)) => format!("{name}={}", escaped(value)),
        (None, Ok(value)) => format!("{number}={}", escaped(value)),
        (_, Err(_)) => format!("{}=#{}", known.unwrap_or(&number), hex(attribute.attr_value().data)),
    }
}

/// RFC 4514, section 2.4; and what would end a line or a field.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, sign) in value.chars().enumerate() {
        match sign {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => out.extend(['\\', sign]),
            ' ' | '#' if at == 0 => out.extend(['\\', sign]),
            ' ' if at == last => out.extend(['\\', sign]),
            sign if sign.is_control() => {
                let mut bytes = [0; 4];
                for byte in sign.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            sign => out.push(sign),
        }
    }
    out
}

/// `DNS:a.test,IP:10.0.0.1,URI:spiffe://a/b,email:a@a.test`, the way that OpenSSL writes them.
fn alternatives(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return String::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(format!("DNS:{}", escaped(host))),
        GeneralName::RFC822Name(mail) => Some(format!("email:{}", escaped(mail))),
        GeneralName::URI(uri) => Some(format!("URI:{}", escaped(uri))),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| format!("IP:{ip}"))
        }
        _ => None,
    });
    names.collect::<Vec<_>>().join(",")
}

/// Without the byte that only says that it is positive.
fn serial(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    hex(&bytes[zeros..]).to_ascii_uppercase()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let sign = SIGNS[(number >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= group.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    fn described(change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        describe(certificate.der(), true)
    }

    #[test]
    fn names_read_as_others_write_them() {
        let told = described(|params| {
            params.distinguished_name.push(DnType::CountryName, "DE");
            params.distinguished_name.push(DnType::OrganizationName, "Acme");
            params.distinguished_name.push(DnType::CommonName, "alice");
            params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xab, 0x0c]));
            params.subject_alt_names = vec![
                SanType::DnsName("a.test".try_into().unwrap()),
                SanType::IpAddress("10.0.0.1".parse().unwrap()),
                SanType::URI("spiffe://a.test/web".try_into().unwrap()),
                SanType::Rfc822Name("alice@a.test".try_into().unwrap()),
            ];
        });
        assert_eq!(&*told.subject, "CN=alice,O=Acme,C=DE");
        assert_eq!(told.issuer, told.subject);
        assert_eq!(&*told.serial, "AB0C");
        assert_eq!(&*told.san, "DNS:a.test,IP:10.0.0.1,URI:spiffe://a.test/web,email:alice@a.test");
        assert_eq!(told.fingerprint.len(), 64);
        assert!(told.field.starts_with(":MII") && told.field.ends_with(':'), "{}", told.field);
    }

    #[test]
    fn a_name_passes_for_no_other() {
        let told = described(|params| params.distinguished_name.push(DnType::CommonName, "eve,O=Acme\r\nX-Admin: 1 "));
        assert_eq!(&*told.subject, "CN=eve\\,O\\=Acme\\0D\\0AX-Admin: 1\\ ");
        let told = described(|params| {
            params.subject_alt_names = vec![SanType::URI("https://e.test/,DNS:a.test".try_into().unwrap())];
        });
        assert_eq!(&*told.san, "URI:https://e.test/\\,DNS:a.test");
    }

    #[test]
    fn what_is_no_certificate_says_nothing_but_its_digest() {
        let told = describe(b"none", false);
        assert_eq!((&*told.subject, &*told.serial, told.verified), ("", "", false));
        assert_eq!(told.fingerprint.len(), 64);
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
