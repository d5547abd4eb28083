//! Where a server is, and what it speaks: `app:3000`, `https://app`, `h2c://10.0.0.1:50051`, `unix//run/app.sock`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    /// HTTP/2 where the server offers it.
    Https,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

impl Scheme {
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }

    /// As URIs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http | Self::H2c => "http",
            Self::Https => "https",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    Host { name: Box<str>, port: u16 },
    Ip(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub scheme: Scheme,
    pub address: Address,
}

/// Each says what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetError {
    Empty,
    Scheme,
    Path,
    UserInfo,
    Port,
    /// `::1:80` could be two things.
    Brackets,
    Ipv6,
    Ipv4,
    Host,
    Socket,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no address; write host and port, as in `127.0.0.1:3000`",
            Self::Scheme => "unknown scheme; write `http://`, `https://`, `h2c://` or `unix//`",
            Self::Path => "an upstream address has no path; write host and port alone, and change paths with `rewrite`",
            Self::UserInfo => {
                "an upstream address holds no credentials; write host and port alone, and set `Authorization` with `header`"
            }
            Self::Port => "invalid port; write a number from 1 to 65535, as in `127.0.0.1:3000`",
            Self::Brackets => "an IPv6 address needs brackets; write it as in `[::1]:3000`",
            Self::Ipv6 => "invalid IPv6 address; write it as in `[::1]:3000`",
            Self::Ipv4 => "invalid IPv4 address; write four numbers from 0 to 255, as in `127.0.0.1:3000`",
            Self::Host => "invalid host name; write letters, digits, `-`, `_` and `.` alone, as in `app:3000`",
            Self::Socket => "the path of a Unix socket must be absolute; write it as in `unix//run/app.sock`",
        })
    }
}

impl std::error::Error for TargetError {}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix/") {
            return socket(Scheme::Http, path);
        }
        if let Some(path) = text.strip_prefix("unix+h2c/") {
            return socket(Scheme::H2c, path);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Http, text),
            Some((scheme, rest)) => (named(scheme)?, rest),
        };
        if rest.is_empty() {
            return Err(TargetError::Empty);
        }
        if rest.contains('@') {
            return Err(TargetError::UserInfo);
        }
        if rest.contains(['/', '?', '#']) {
            return Err(TargetError::Path);
        }
        Ok(Self { scheme, address: address(rest, scheme.default_port())? })
    }
}

fn named(scheme: &str) -> Result<Scheme, TargetError> {
    if scheme.eq_ignore_ascii_case("http") {
        Ok(Scheme::Http)
    } else if scheme.eq_ignore_ascii_case("https") {
        Ok(Scheme::Https)
    } else if scheme.eq_ignore_ascii_case("h2c") {
        Ok(Scheme::H2c)
    } else {
        Err(TargetError::Scheme)
    }
}

fn socket(scheme: Scheme, path: &str) -> Result<Target, TargetError> {
    if !path.starts_with('/') || path.len() < 2 || path.contains('\0') {
        return Err(TargetError::Socket);
    }
    Ok(Target { scheme, address: Address::Unix(Path::new(path).into()) })
}

fn address(text: &str, default: u16) -> Result<Address, TargetError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']').ok_or(TargetError::Ipv6)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| TargetError::Ipv6)?;
        let port = match port.strip_prefix(':') {
            Some(port) => number(port)?,
            None if port.is_empty() => default,
            None => return Err(TargetError::Port),
        };
        return Ok(Address::Ip((IpAddr::V6(ip), port).into()));
    }
    if text.matches(':').count() > 1 {
        return Err(TargetError::Brackets);
    }
    let (host, port) = match text.split_once(':') {
        None => (text, default),
        Some((host, port)) => (host, number(port)?),
    };
    // A port alone is a port of this machine.
    if host.is_empty() {
        return Ok(Address::Ip((Ipv4Addr::LOCALHOST, port).into()));
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let ip: Ipv4Addr = host.parse().map_err(|_| TargetError::Ipv4)?;
        return Ok(Address::Ip((IpAddr::V4(ip), port).into()));
    }
    if is_host(host) { Ok(Address::Host { name: host.into(), port }) } else { Err(TargetError::Host) }
}

fn number(port: &str) -> Result<u16, TargetError> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0).ok_or(TargetError::Port)
}

/// Underscores are not for host names, yet compose files are full of them.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

/// Host and port; the path of a socket.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.address, self.scheme) {
            (Address::Unix(_), Scheme::H2c) => "unix+h2c/",
            (Address::Unix(_), _) => "unix/",
            (_, Scheme::Http) => "",
            (_, Scheme::Https) => "https://",
            (_, Scheme::H2c) => "h2c://",
        })?;
        self.address.fmt(f)
    }
}

impl Target {
    /// What a `Host` field of the server's own says: its name, and the port where it is not the usual one.
    pub fn authority(&self) -> String {
        let (host, port) = match &self.address {
            Address::Unix(_) => return "localhost".to_owned(),
            Address::Host { name, port } => (name.to_string(), *port),
            Address::Ip(SocketAddr::V4(address)) => (address.ip().to_string(), address.port()),
            Address::Ip(SocketAddr::V6(address)) => (format!("[{}]", address.ip()), address.port()),
        };
        if port == self.scheme.default_port() { host } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_in_one_way() {
        for (text, shown, authority) in [
            ("127.0.0.1:3000", "127.0.0.1:3000", "127.0.0.1:3000"),
            ("app:3000", "app:3000", "app:3000"),
            (":3000", "127.0.0.1:3000", "127.0.0.1:3000"),
            ("app", "app:80", "app"),
            ("http://my_app.local.", "my_app.local.:80", "my_app.local."),
            ("https://app", "https://app:443", "app"),
            ("HTTPS://app:8443", "https://app:8443", "app:8443"),
            ("h2c://10.0.5.1:50051", "h2c://10.0.5.1:50051", "10.0.5.1:50051"),
            ("[::1]:80", "[::1]:80", "[::1]"),
            ("https://[::1]", "https://[::1]:443", "[::1]"),
            ("unix//run/app.sock", "unix//run/app.sock", "localhost"),
            ("unix+h2c//run/app.sock", "unix+h2c//run/app.sock", "localhost"),
        ] {
            let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.authority(), authority);
            assert_eq!(shown.parse::<Target>().as_ref(), Ok(&target));
        }
        assert_eq!("app:1".parse::<Target>().unwrap().address, Address::Host { name: "app".into(), port: 1 });
    }

    #[test]
    fn what_is_wrong_is_named() {
        use TargetError as E;
        for (text, error) in [
            ("", E::Empty),
            ("https://", E::Empty),
            ("ftp://app", E::Scheme),
            ("http://app/", E::Path),
            ("app:80/x", E::Path),
            ("app?x", E::Path),
            ("http://u:p@app", E::UserInfo),
            ("app:", E::Port),
            ("app:0", E::Port),
            ("app:+80", E::Port),
            ("app:65536", E::Port),
            ("[::1]80", E::Port),
            ("::1", E::Brackets),
            ("::1:80", E::Brackets),
            ("[::1", E::Ipv6),
            ("[fe80]:1", E::Ipv6),
            ("1.2.3:80", E::Ipv4),
            ("1.2.3.256", E::Ipv4),
            ("3000", E::Ipv4),
            ("-app:80", E::Host),
            ("a b:80", E::Host),
            ("a..b", E::Host),
            ("ünï:80", E::Host),
            ("unix/run/app.sock", E::Socket),
            ("unix//", E::Socket),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
            assert!(error.to_string().contains("write"));
        }
    }
}
