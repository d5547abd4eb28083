//! What is known of the connection that a request came on: worked out once, used by every request on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::HeaderValue;

/// The scheme that the client used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Which demands of sites a handshake met: two are the same only where they demand the same of clients, in all
/// configurations of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PolicyId(u32);

impl PolicyId {
    /// One that nothing has had yet. The default is that of sites that demand nothing of their own.
    #[must_use]
    pub fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What the TLS handshake settled.
#[derive(Debug, Clone, Default)]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub version: &'static str,
    /// Where it is known: QUIC does not tell.
    pub suite: Option<&'static str>,
    /// In which group the keys were agreed on, where it is known: QUIC does not tell.
    pub group: Option<&'static str>,
    /// In lower case.
    pub sni: Option<Box<str>>,
    pub policy: PolicyId,
    /// What the client has shown, where it was asked.
    pub client: Option<Box<ClientCertificate>>,
    /// How its ClientHello is made, where a configuration has asked for it: see [`ask_for_ja4`].
    pub ja4: Option<Box<str>>,
}

static JA4_IS_ASKED: AtomicBool = AtomicBool::new(false);

/// From now on handshakes are told from each other by how they are made. It costs each a copy and three digests, so it
/// begins with the first configuration that asks for it, and does not end before the process does.
pub fn ask_for_ja4() {
    JA4_IS_ASKED.store(true, Ordering::Relaxed);
}

#[must_use]
pub fn is_ja4_asked() -> bool {
    JA4_IS_ASKED.load(Ordering::Relaxed)
}

/// A client's certificate, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// RFC 4514: `CN=alice,O=Acme`.
    pub subject: Box<str>,
    pub issuer: Box<str>,
    /// Hexadecimal, upper case.
    pub serial: Box<str>,
    /// SHA-256, hexadecimal.
    pub fingerprint: Box<str>,
    /// `DNS:a.test,URI:spiffe://a/b`
    pub san: Box<str>,
    /// All of it, as a field has it (RFC 9440).
    pub field: Box<str>,
    /// An authority has vouched for it.
    pub verified: bool,
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// Who is at the other end. A unix socket's peer has no address: it counts as `0.0.0.0`.
    pub peer: SocketAddr,
    /// The peer's address as text, made once.
    pub peer_text: HeaderValue,
    /// The port that the client came to.
    pub port: u16,
    pub port_text: HeaderValue,
    pub unix: bool,
    /// The address that the client came to, where it is known.
    pub local: Option<IpAddr>,
    pub scheme: Scheme,
    pub tls: Option<TlsFacts>,
}

impl Connection {
    #[must_use]
    pub fn new(peer: Option<SocketAddr>, port: u16, tls: Option<TlsFacts>) -> Self {
        let unix = peer.is_none();
        let mut peer = peer.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        // A dual-stack socket reports IPv4 clients as ::ffff:a.b.c.d; rules are written for the real family.
        peer.set_ip(peer.ip().to_canonical());
        Self {
            peer,
            peer_text: text(peer.ip()),
            port,
            port_text: HeaderValue::from(port),
            unix,
            local: None,
            scheme: if tls.is_some() { Scheme::Https } else { Scheme::Http },
            tls,
        }
    }

    /// The same, with the address that the client came to.
    #[must_use]
    pub fn to(mut self, local: IpAddr) -> Self {
        self.local = Some(local.to_canonical());
        self
    }
}

/// An address as a field value.
#[must_use]
pub fn text(ip: IpAddr) -> HeaderValue {
    HeaderValue::try_from(ip.to_string()).expect("an address is made of digits, letters, dots and colons")
}
