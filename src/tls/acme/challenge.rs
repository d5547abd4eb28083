//! What an authority is shown so that it believes whose name it is: a token under http-01 (RFC 8555, section 8.3), a
//! certificate under tls-alpn-01 (RFC 8737). The text of dns-01 stands elsewhere: see [`super::dns`].
//!
//! Workers look here for every request and every handshake, so while nothing is open that is one load of a number that
//! hardly ever changes, and while something is, there is still no lock.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::super::hex::hex;
use super::super::server::{Options, server_config};
use super::super::trouble::Trouble;
use super::elsewhere::Elsewhere;
use super::placeholder::answer;

/// The protocol under which nothing but the certificate is exchanged.
pub const ALPN: &[u8] = b"acme-tls/1";

/// Where a token is asked for.
const PATH: &str = "/.well-known/acme-challenge/";

/// A way to show whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The authority comes to port 80.
    Http01,
    /// It comes to port 443.
    TlsAlpn01,
    /// It asks the name servers of the zone (see [`super::dns`]).
    Dns01,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        })
    }
}

/// The challenges that are open now.
#[derive(Debug, Default)]
pub struct Challenges {
    open: AtomicUsize,
    tokens: Table<Token>,
    /// By the name that is asked for.
    configs: Table<Arc<ServerConfig>>,
    /// Those of other instances.
    pub(super) elsewhere: Elsewhere,
}

type Table<T> = ArcSwap<HashMap<Box<str>, T>>;

/// Tokens are given out for one host: asked for under another name they are not there (threat XT12).
#[derive(Debug, Clone)]
struct Token {
    host: Box<str>,
    text: Box<str>,
}

impl Challenges {
    /// The answer to a request without TLS, by its host and path; `None` where it is no challenge of ours.
    #[inline]
    pub fn token(&self, host: &str, path: &str) -> Option<Box<str>> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let tokens = self.tokens.load();
        let token = tokens.get(path.strip_prefix(PATH)?)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (*token.host == *host).then(|| token.text.clone())
    }

    /// What a handshake goes on with that can only be an authority's.
    #[inline]
    pub fn config(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        if self.open.load(Ordering::Acquire) == 0 || !asks(hello) {
            return None;
        }
        hello.server_name().and_then(|name| self.configs.load().get(name).cloned())
    }

    /// Whether another instance may know the token that is asked for here.
    #[inline]
    pub fn may_be_elsewhere(&self, path: &str) -> bool {
        self.elsewhere.is_shared() && path.starts_with(PATH)
    }

    /// [`Challenges::token`] of another instance.
    pub async fn token_elsewhere(&self, host: &str, path: &str) -> Option<Box<str>> {
        self.elsewhere.find(Kind::Http01, path.strip_prefix(PATH)?, host).await
    }

    /// Whether another instance may know what this handshake asks for.
    #[inline]
    pub fn config_may_be_elsewhere(&self, hello: &ClientHello<'_>) -> bool {
        self.elsewhere.is_shared() && asks(hello)
    }

    /// [`Challenges::config`] of another instance, for the name that is asked for.
    pub async fn config_elsewhere(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let digest = self.elsewhere.find(Kind::TlsAlpn01, name, name).await?;
        answering(name, &bytes(&digest)?).ok()
    }

    /// Shows other instances what is open here.
    pub(super) async fn share(&self, open: &Open) {
        self.elsewhere.publish(open.kind, &open.key, &open.host, &open.text).await;
    }

    /// Shows a token until the guard is dropped.
    pub(super) fn show_token(self: &Arc<Self>, host: &str, token: &str, text: &str) -> Open {
        let shown = Token { host: host.into(), text: text.into() };
        insert(&self.tokens, token, &shown);
        self.opened(Kind::Http01, token, host, text)
    }

    /// Shows a certificate with this digest until the guard is dropped.
    pub(super) fn show_certificate(self: &Arc<Self>, host: &str, digest: &[u8]) -> Result<Open, Trouble> {
        let asked = asked_for(host);
        insert(&self.configs, &asked, &answering(host, digest)?);
        Ok(self.opened(Kind::TlsAlpn01, &asked, &asked, &hex(digest)))
    }

    fn opened(self: &Arc<Self>, kind: Kind, key: &str, host: &str, text: &str) -> Open {
        self.open.fetch_add(1, Ordering::Release);
        Open { challenges: Arc::clone(self), kind, key: key.into(), host: host.into(), text: text.into() }
    }
}

/// What a handshake goes on with that shows nothing but the digest.
fn answering(host: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, Trouble> {
    let resolver = Arc::new(Only(answer(host, digest)?));
    let mut config = (*server_config(resolver, &Options::default())?).clone();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// Of a digest in hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// The name that an authority asks for in its handshake: for an address the one that leads back from it (RFC 8738,
/// section 6).
fn asked_for(host: &str) -> Cow<'_, str> {
    match host.parse::<IpAddr>() {
        Err(_) => host.into(),
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa").into()
        }
        Ok(IpAddr::V6(address)) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).chain(["ip6.arpa".to_owned()]).collect::<String>().into()
        }
    }
}

/// Whether a client wants nothing but a challenge's answer.
fn asks(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(ALPN) && offered.next().is_none())
}

fn insert<T: Clone>(table: &Table<T>, key: &str, value: &T) {
    table.rcu(|old| {
        let mut new = HashMap::clone(old);
        new.insert(key.into(), value.clone());
        new
    });
}

fn remove<T: Clone>(table: &Table<T>, key: &str) {
    table.rcu(|old| {
        let mut new = HashMap::clone(old);
        new.remove(key);
        new
    });
}

/// One certificate for whoever asks.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A challenge for as long as it is open.
#[derive(Debug)]
pub(super) struct Open {
    challenges: Arc<Challenges>,
    kind: Kind,
    key: Box<str>,
    host: Box<str>,
    text: Box<str>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.challenges.elsewhere.withdraw(self.kind, &self.key);
        match self.kind {
            Kind::Http01 => remove(&self.challenges.tokens, &self.key),
            Kind::TlsAlpn01 => remove(&self.challenges.configs, &self.key),
            // Its text stands in a zone.
            Kind::Dns01 => {}
        }
        self.challenges.open.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xt12_a_token_is_there_for_its_host_while_it_is_open() {
        let challenges = Arc::new(Challenges::default());
        let path = "/.well-known/acme-challenge/abc";
        let ask = |host: &str, path: &str| challenges.token(host, path).map(String::from);
        assert_eq!(ask("a.test", path), None);
        let open = challenges.show_token("a.test", "abc", "abc.thumb");
        let other = challenges.show_token("b.test", "def", "def.thumb");
        assert_eq!(ask("a.test", path).as_deref(), Some("abc.thumb"));
        for (host, path) in [
            ("b.test", path),
            ("a.test", "/.well-known/acme-challenge/abcd"),
            ("a.test", "/.well-known/acme-challenge/"),
            ("a.test", "/.well-known/acme-challenge/x/../abc"),
            ("a.test", "/x/.well-known/acme-challenge/abc"),
            ("a.test", "/"),
        ] {
            assert_eq!(ask(host, path), None, "{host} {path}");
        }
        drop(open);
        assert_eq!(ask("a.test", path), None);
        assert!(ask("b.test", "/.well-known/acme-challenge/def").is_some());
        drop(other);
        assert_eq!(challenges.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn addresses_are_asked_for_by_the_name_that_leads_back() {
        assert_eq!(asked_for("a.test"), "a.test");
        assert_eq!(asked_for("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        let long = asked_for("2001:db8::1");
        assert!(long.starts_with("1.0.0.0.") && long.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{long}");
        assert_eq!(long.len(), 72);
    }

    #[test]
    fn a_certificate_bears_the_digest_while_it_is_open() {
        let challenges = Arc::new(Challenges::default());
        let open = challenges.show_certificate("a.test", &[7; 32]).unwrap();
        let shown = Arc::clone(&challenges.configs.load()["a.test"]);
        assert_eq!(shown.alpn_protocols, [ALPN.to_vec()]);
        drop(open);
        assert!(challenges.configs.load().is_empty());
    }
}
