//! `:8080`, `127.0.0.1:80`, `unix//run/app.sock`: where to listen.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Value, Wrong};

/// Where the process listens. Without an address: on all, IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddress {
    Any(u16),
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any(port) => write!(f, ":{port}"),
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix/{}", path.display()),
        }
    }
}

impl Value for ListenAddress {
    const KIND: &'static str = "an address to listen on";
    const EXAMPLE: &'static str = ":8080, 127.0.0.1:8080, [::1]:8080 or unix//run/rp.sock";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("unix/") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(Wrong::say(format!("`{text}` has no absolute path"))
                    .help(format!("write two slashes: `unix//{path}`")))
            };
        }
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(Self::Any).map_err(|_| Wrong::kind());
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Ip(address));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(Wrong::say(format!("`{text}` has no port")).instead(format!("{text}:8080")));
        }
        if text.parse::<u16>().is_ok() {
            return Err(Wrong::kind().instead(format!(":{text}")));
        }
        Err(Wrong::kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_addresses_have_a_port() {
        assert_eq!(ListenAddress::parse(":80"), Ok(ListenAddress::Any(80)));
        assert!(matches!(ListenAddress::parse("[::1]:0"), Ok(ListenAddress::Ip(_))));
        assert_eq!(ListenAddress::parse("unix//run/x"), Ok(ListenAddress::Unix("/run/x".into())));
        assert_eq!(ListenAddress::parse("8080").unwrap_err().help.as_deref(), Some("write `:8080`"));
        for bad in ["", "x", "unix/run", "1.2.3.4", ":99999"] {
            assert!(ListenAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
