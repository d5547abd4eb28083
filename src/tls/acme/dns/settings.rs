//! Who changes the zone, and how long to wait until the change is seen.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use crate::tls::sigv4::Credentials;

/// What `dns` in `global` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub zone: Zone,
    /// Asked for aliases, zones and name servers; none: those of this machine.
    pub resolvers: Vec<SocketAddr>,
    /// Where the text has to be seen; none: at all name servers of the zone.
    pub servers: Vec<SocketAddr>,
    /// How long it may take until it is.
    pub wait: Duration,
}

impl Settings {
    pub const WAIT: Duration = Duration::from_secs(120);

    pub fn new(zone: Zone) -> Self {
        Self { zone, resolvers: Vec::new(), servers: Vec::new(), wait: Self::WAIT }
    }
}

/// Who changes the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    Rfc2136(Rfc2136),
    Token(Token),
    Route53(Route53),
    AcmeDns(AcmeDns),
    Exec(Exec),
    Webhook(Webhook),
}

impl Zone {
    /// A private authority of whoever answers, to be read again when it changes.
    pub fn root(&self) -> Option<&Path> {
        let at = match self {
            Self::Rfc2136(_) | Self::Exec(_) => return None,
            Self::Token(token) => &token.at,
            Self::Route53(route53) => &route53.at,
            Self::AcmeDns(acme_dns) => &acme_dns.at,
            Self::Webhook(webhook) => &webhook.at,
        };
        at.root.as_deref()
    }
}

/// Where somebody answers by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`, or `http` on this machine; without a slash at its end.
    pub url: Box<str>,
    /// The authorities that its certificate is checked by; `None`: the system's.
    pub root: Option<PathBuf>,
}

/// Somebody who hosts zones and takes a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub host: Host,
    pub at: Endpoint,
    pub token: Secret<Box<str>>,
    /// `None`: the nearest that the token is for.
    pub zone: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Cloudflare,
    DigitalOcean,
    Hetzner,
    Desec,
}

/// Route 53 of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route53 {
    pub at: Endpoint,
    pub credentials: Credentials,
    /// `None`: the nearest that the account has.
    pub zone: Option<Box<str>>,
}

/// A server that has nothing but such texts; names lead there by an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeDns {
    pub at: Endpoint,
    pub accounts: Vec<Account>,
}

/// Who may change one name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub subdomain: Box<str>,
    pub user: Box<str>,
    pub password: Secret<Box<str>>,
}

/// A command of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub command: Vec<Box<str>>,
    pub timeout: Duration,
}

/// A URL of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub at: Endpoint,
    pub token: Option<Secret<Box<str>>>,
}

/// A name server that takes changes (RFC 2136).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfc2136 {
    /// `10.0.0.53:53`, `ns.example.com:53`.
    pub server: Box<str>,
    /// `None`: the nearest that the server has.
    pub zone: Option<Box<str>>,
    /// `None`: it believes this machine for its address.
    pub key: Option<Key>,
}

/// What changes are signed with (RFC 8945).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: Box<str>,
    pub algorithm: Algorithm,
    /// The bytes, no longer base64.
    pub secret: Secret<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

/// What is looked at as bytes.
pub trait Bytes {
    fn bytes(&self) -> &[u8];
}

impl Bytes for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Bytes for Box<str> {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Two configurations are compared by what they look like: other secrets look otherwise, within one process.
impl<T: Bytes> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static KEY: OnceLock<Option<hmac::Key>> = OnceLock::new();
        let key = KEY.get_or_init(|| hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok());
        let mark = key.as_ref().map(|key| hmac::sign(key, self.0.bytes()));
        let mark = mark.map_or(0, |mark| mark.as_ref().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        write!(f, "Secret({mark:016x})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_not_shown() {
        let [one, other] = ["one secret", "another"].map(|text| format!("{:?}", Secret(Box::<str>::from(text))));
        assert_ne!(one, other);
        assert_eq!(one, format!("{:?}", Secret(Box::<str>::from("one secret"))));
        assert!(!one.contains("one secret"));
    }
}
