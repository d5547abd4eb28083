//! `example.com`, `*.example.com`: the hosts that a site answers for.

use super::{Value, Wrong};

/// A host in lower case without a trailing dot, or one label of anything before such a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(Box<str>),
    /// What stands behind `*.`.
    Below(Box<str>),
}

impl HostPattern {
    /// `host` in lower case, without port and trailing dot.
    #[must_use]
    pub fn holds(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Below(parent) => host
                .strip_suffix(&**parent)
                .and_then(|label| label.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }

    /// Every host that `other` takes, this takes too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self == other || matches!(other, Self::Exact(name) if self.holds(name))
    }

    /// Some host is taken by both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl Value for HostPattern {
    const KIND: &'static str = "a host";
    const EXAMPLE: &'static str = "example.com, *.example.com or 192.0.2.7";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(parent) = text.strip_prefix("*.") {
            return Ok(Self::Below(name(parent, text)?.into()));
        }
        if text.contains('*') {
            let parent = text.split_once('.').map_or("example.com", |(_, parent)| parent);
            return Err(Wrong::say(format!("in `{text}` the `*` does not stand for a whole first label"))
                .instead(format!("*.{parent}")));
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<std::net::IpAddr>() {
            return Ok(Self::Exact(ip.to_string().into()));
        }
        Ok(Self::Exact(name(text, text)?.into()))
    }
}

/// A name by RFC 1123 (and `_`, which is in use), in lower case.
fn name(text: &str, whole: &str) -> Result<String, Wrong> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.is_ascii() {
        return Err(Wrong::say(format!("`{whole}` is not in its ASCII form"))
            .help("write the name as the DNS has it, which starts with `xn--`"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(Wrong::kind());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_folded_and_wildcards_take_one_label() {
        assert_eq!(HostPattern::parse("Example.COM."), Ok(HostPattern::Exact("example.com".into())));
        let below = HostPattern::parse("*.example.com").unwrap();
        assert!(below.holds("a.example.com"));
        assert!(!below.holds("a.b.example.com") && !below.holds("example.com") && !below.holds(".example.com"));
        assert_eq!(HostPattern::parse("[::1]"), Ok(HostPattern::Exact("::1".into())));
        for bad in ["", "a..b", "-a.com", "a*.com", "a b", "bücher.de", "a/b", "a:80"] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
