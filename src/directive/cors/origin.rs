//! Origins, as browsers name them: scheme, host and port (RFC 6454, section 6.2).

use crate::check::{Value, Wrong};

/// Which origins are meant by one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OriginPattern {
    /// `*`
    Any,
    /// `null`: files, and frames in a sandbox.
    Null,
    /// `https://example.com`, in the form that browsers send.
    Exact(Box<str>),
    /// `https://*.example.com`: all below it, itself not.
    Below {
        /// `https://`
        scheme: Box<str>,
        /// `.example.com`, with its port.
        suffix: Box<str>,
    },
}

impl OriginPattern {
    /// Bytes are compared as they are, since a browser sends one form only (threat XA11).
    pub fn holds(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == b"null",
            Self::Exact(known) => origin == known.as_bytes(),
            Self::Below { scheme, suffix } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(suffix.as_bytes()))
                .is_some_and(|labels| {
                    !labels.is_empty() && !labels.starts_with(b".") && labels.iter().copied().all(is_of_host)
                }),
        }
    }
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
}

impl Value for OriginPattern {
    const KIND: &'static str = "an origin";
    const EXAMPLE: &'static str = "https://app.example.com, https://*.example.com or http://localhost:5173";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let Some((scheme, authority)) = text.split_once("://") else {
            let is_name = !text.is_empty() && text.bytes().all(|byte| is_of_host(byte) || matches!(byte, b'*' | b':'));
            return Err(if is_name {
                Wrong::kind().help(format!("an origin begins with its scheme: https://{text}"))
            } else {
                Wrong::kind()
            });
        };
        let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(Wrong::kind());
        }
        if let Some((host, _)) = authority.split_once(['/', '?', '#']) {
            return Err(Wrong::say(format!("`{text}` is more than an origin: it has a path"))
                .help(format!("write `{scheme}://{host}`, without what is behind it")));
        }
        if let Some(bare) = without_default_port(&scheme, &authority) {
            return Err(Wrong::say(format!("no browser sends `{text}`: it leaves out the usual port"))
                .instead(format!("{scheme}://{bare}")));
        }
        of(&scheme, &authority)
    }
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> Option<&'a str> {
    match scheme {
        "https" => authority.strip_suffix(":443"),
        "http" => authority.strip_suffix(":80"),
        _ => None,
    }
}

fn of(scheme: &str, authority: &str) -> Result<OriginPattern, Wrong> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_literal = host.starts_with('[') && host.ends_with(']');
    let name = host.strip_prefix("*.").unwrap_or(host);
    if port.is_some_and(|port| port.parse::<u16>().is_err()) || name.is_empty() {
        return Err(Wrong::kind());
    }
    if name.contains('*') {
        return Err(Wrong::say("a `*` stands for whole labels in front only").instead("https://*.example.com"));
    }
    if !is_literal && !name.bytes().all(is_of_host) {
        return Err(if name.is_ascii() {
            Wrong::kind()
        } else {
            Wrong::kind().help("write the name as browsers send it: `https://xn--…`")
        });
    }
    if name == host {
        return Ok(OriginPattern::Exact(format!("{scheme}://{authority}").into()));
    }
    if !name.contains('.') && name != "localhost" {
        return Err(Wrong::say(format!("`*.{name}` is half of the world")).help("write the domain that is yours"));
    }
    Ok(OriginPattern::Below { scheme: format!("{scheme}://").into(), suffix: authority[1..].into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, origin: &str) -> bool {
        OriginPattern::parse(pattern).unwrap().holds(origin.as_bytes())
    }

    #[test]
    fn xa11_an_origin_is_itself() {
        assert!(holds("https://example.com", "https://example.com"));
        assert!(holds("HTTPS://Example.com", "https://example.com"));
        assert!(holds("http://localhost:5173", "http://localhost:5173"));
        assert!(holds("http://[::1]:8080", "http://[::1]:8080"));
        assert!(holds("capacitor://localhost", "capacitor://localhost"));
        for other in [
            "http://example.com",
            "https://example.com:8443",
            "https://example.com.evil.example",
            "https://evilexample.com",
            "https://www.example.com",
            "https://example.com/",
            "null",
            "",
        ] {
            assert!(!holds("https://example.com", other), "{other}");
        }
    }

    #[test]
    fn xa11_a_star_is_for_labels() {
        assert!(holds("https://*.example.com", "https://a.example.com"));
        assert!(holds("https://*.example.com", "https://a.b-c.example.com"));
        assert!(holds("http://*.localhost:3000", "http://app.localhost:3000"));
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://evilexample.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://evil.example/.example.com",
            "https://evil.example#.example.com",
            "https://u@a.example.com",
            "https://evil.example:80.example.com",
            "null",
        ] {
            assert!(!holds("https://*.example.com", other), "{other}");
        }
        assert!(holds("null", "null") && !holds("null", "https://null"));
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        let said = |text: &str| OriginPattern::parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(said("example.com"), "an origin begins with its scheme: https://example.com");
        assert_eq!(said("https://example.com/"), "write `https://example.com`, without what is behind it");
        assert_eq!(said("https://example.com:443"), "write `https://example.com`");
        assert_eq!(said("https://a.*.com"), "write `https://*.example.com`");
        assert_eq!(said("https://*example.com"), "write `https://*.example.com`");
        assert_eq!(said("https://*.com"), "write the domain that is yours");
        for text in ["", "https://", "://a", "https://a b", "https://a:b", "https://a:99999", "https://u@a.example"] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }
}
