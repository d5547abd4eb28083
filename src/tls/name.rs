//! A name in a certificate: a host, a wildcard, or an address.

use std::fmt;
use std::net::IpAddr;

/// What a certificate is for. Host names are lower case and without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// `example.com`.
    Host(Box<str>),
    /// `example.com` for `*.example.com`: exactly one label in front (RFC 9525, section 6.3).
    Wildcard(Box<str>),
    Address(IpAddr),
}

impl Name {
    /// Reads `example.com`, `*.example.com`, `10.0.0.1`, `::1` or `[::1]`. `None` for what cannot be a name: an
    /// empty label, one of more than 63 bytes, more than 253 bytes in all, or a character outside `a-z 0-9 - _`.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match lower.strip_prefix("*.") {
            Some(rest) => is_host(rest).then(|| Self::Wildcard(rest.into())),
            None => is_host(&lower).then(|| Self::Host(lower.into())),
        }
    }

    /// Whether a request for `host`, which may be in any case and end in a dot, is one for this name.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host),
            Self::Wildcard(rest) => host
                .split_once('.')
                .is_some_and(|(label, behind)| !label.is_empty() && rest.eq_ignore_ascii_case(behind)),
            Self::Address(address) => Self::parse(host) == Some(Self::Address(*address)),
        }
    }
}

fn is_host(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Wildcard(rest) => write!(f, "*.{rest}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_wildcards_and_addresses() {
        assert_eq!(Name::parse("Example.COM."), Some(Name::Host("example.com".into())));
        assert_eq!(Name::parse("*.Example.com"), Some(Name::Wildcard("example.com".into())));
        assert_eq!(Name::parse("localhost"), Some(Name::Host("localhost".into())));
        assert_eq!(Name::parse("[::1]"), Some(Name::Address("::1".parse().unwrap())));
        assert_eq!(Name::parse("::ffff:10.0.0.1"), Some(Name::Address("10.0.0.1".parse().unwrap())));
        for bad in ["", ".", "a..b", "-a.b", "a-.b", "a b", "*", "*.", "a.*.b", "über.de", "a\0.b", &"a".repeat(64)] {
            assert_eq!(Name::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let name = Name::parse("*.example.com").unwrap();
        assert!(name.covers("a.example.com"));
        assert!(name.covers("A.EXAMPLE.COM."));
        for not in ["example.com", ".example.com", "a.b.example.com", "aexample.com"] {
            assert!(!name.covers(not), "{not}");
        }
    }

    #[test]
    fn shows_what_was_meant() {
        for text in ["example.com", "*.example.com", "10.0.0.1", "::1"] {
            assert_eq!(Name::parse(text).unwrap().to_string(), text);
        }
    }
}
