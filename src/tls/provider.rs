//! What rp speaks: TLS 1.2 and 1.3, AEAD with ephemeral keys, a post-quantum hybrid first.
//!
//! Every configuration is built on this provider by name. A dependency that switches a second provider on can then
//! change nothing, where rustls' own defaults would panic when the first handshake begins.

use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// A protocol version that can be asked for. Older ones do not exist here (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// As logs and `SSL_PROTOCOL` have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// An application protocol in its ALPN spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    H3,
    H2,
    Http11,
}

impl Alpn {
    pub fn as_bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::H3 => "h3",
            Self::H2 => "h2",
            Self::Http11 => "http/1.1",
        }
    }

    pub fn from_bytes(protocol: &[u8]) -> Option<Self> {
        [Self::H3, Self::H2, Self::Http11].into_iter().find(|known| known.as_bytes() == protocol)
    }
}

/// A key exchange group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    X25519MlKem768,
    X25519,
    P256,
    P384,
}

impl Group {
    /// In the order in which they are preferred.
    pub const ALL: [Self; 4] = [Self::X25519MlKem768, Self::X25519, Self::P256, Self::P384];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "x25519mlkem768",
            Self::X25519 => "x25519",
            Self::P256 => "p256",
            Self::P384 => "p384",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str().eq_ignore_ascii_case(name))
    }

    fn implementation(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
            Self::P384 => kx_group::SECP384R1,
        }
    }
}

/// A cipher suite, by its IANA name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suite(SupportedCipherSuite);

/// TLS 1.3 first. AES-256 stands before AES-128 as in rustls' own list, but the client's order decides
/// (`server::server_config`), so a phone without AES instructions gets `ChaCha20`.
static SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

impl Suite {
    pub fn all() -> impl Iterator<Item = Self> {
        SUITES.iter().map(|(_, suite)| Self(*suite))
    }

    /// `TLS_AES_128_GCM_SHA256` and the like; `None` for one that is not AEAD with ephemeral keys.
    pub fn parse(name: &str) -> Option<Self> {
        SUITES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, suite)| Self(*suite))
    }

    pub fn as_str(self) -> &'static str {
        suite_name(self.0)
    }

    /// The one version that it belongs to.
    pub fn version(self) -> Version {
        if self.0.tls13().is_some() { Version::Tls13 } else { Version::Tls12 }
    }
}

impl Eq for Suite {}

/// The IANA name of a negotiated suite.
pub(super) fn suite_name(suite: SupportedCipherSuite) -> &'static str {
    SUITES.iter().find(|(_, known)| known.suite() == suite.suite()).map_or("unknown", |(name, _)| name)
}

/// As `tls { curves … }` has it.
pub(super) fn group_name(group: &dyn SupportedKxGroup) -> Option<&'static str> {
    Group::ALL.into_iter().find(|known| known.implementation().name() == group.name()).map(Group::as_str)
}

/// The provider with rp's defaults, one for the whole process.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        let suites = SUITES.iter().map(|(_, suite)| *suite).collect();
        let groups = Group::ALL.map(Group::implementation).to_vec();
        Arc::new(CryptoProvider { cipher_suites: suites, kx_groups: groups, ..default_provider() })
    }))
}

/// The provider, narrowed. `None` means the default list; order is preference.
pub fn provider_with(groups: Option<&[Group]>, suites: Option<&[Suite]>) -> Arc<CryptoProvider> {
    if groups.is_none() && suites.is_none() {
        return provider();
    }
    let mut narrowed = (*provider()).clone();
    if let Some(groups) = groups {
        narrowed.kx_groups = groups.iter().map(|group| group.implementation()).collect();
    }
    if let Some(suites) = suites {
        narrowed.cipher_suites = suites.iter().map(|suite| suite.0).collect();
    }
    Arc::new(narrowed)
}

/// Makes rp's provider the process default, for what is built by a dependency. Call it first in `main`; a second call
/// does nothing.
pub fn install_provider() {
    // An error means that one is installed already, and nothing of ours depends on which.
    let _ = CryptoProvider::install_default((*provider()).clone());
}

/// The versions from `min` to `max`; empty when `min` is above `max`.
pub(super) fn versions(min: Version, max: Version) -> Vec<&'static SupportedProtocolVersion> {
    [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)]
        .into_iter()
        .filter(|(version, _)| (min..=max).contains(version))
        .map(|(_, version)| version)
        .collect()
}

#[cfg(test)]
mod tests {
    use rustls::{CipherSuite, NamedGroup};

    use super::*;

    #[test]
    fn hybrid_comes_first_and_the_groups_are_four() {
        let names: Vec<_> = provider().kx_groups.iter().map(|group| group.name()).collect();
        let wanted = [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        assert_eq!(names, wanted);
    }

    #[test]
    fn every_suite_is_aead_with_ephemeral_keys() {
        let provider = provider();
        assert_eq!(provider.cipher_suites.len(), 9);
        for suite in &provider.cipher_suites {
            let name = suite_name(*suite);
            assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
            assert!(suite.tls13().is_some() || name.contains("ECDHE"), "{name}");
        }
    }

    #[test]
    fn names_go_both_ways() {
        for suite in Suite::all() {
            assert_eq!(Suite::parse(&suite.as_str().to_lowercase()), Some(suite));
        }
        for group in Group::ALL {
            assert_eq!(Group::parse(group.as_str()), Some(group));
        }
        for alpn in [Alpn::H3, Alpn::H2, Alpn::Http11] {
            assert_eq!(Alpn::from_bytes(alpn.as_bytes()), Some(alpn));
        }
        assert_eq!(Suite::parse("TLS_RSA_WITH_AES_128_CBC_SHA"), None);
        assert_eq!(Group::parse("secp112r1"), None);
        assert_eq!(Alpn::from_bytes(b"ftp"), None);
    }

    #[test]
    fn narrowing_keeps_the_given_order() {
        let suite = Suite::parse("TLS_CHACHA20_POLY1305_SHA256").unwrap();
        let narrowed = provider_with(Some(&[Group::P384, Group::X25519]), Some(&[suite]));
        let groups: Vec<_> = narrowed.kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups, [NamedGroup::secp384r1, NamedGroup::X25519]);
        assert_eq!(narrowed.cipher_suites.len(), 1);
        assert_eq!(narrowed.cipher_suites[0].suite(), CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
        assert!(Arc::ptr_eq(&provider_with(None, None), &provider()));
    }

    #[test]
    fn versions_are_a_range() {
        assert_eq!(versions(Version::Tls12, Version::Tls13), [&version::TLS13, &version::TLS12]);
        assert_eq!(versions(Version::Tls13, Version::Tls13), [&version::TLS13]);
        assert_eq!(versions(Version::Tls12, Version::Tls12), [&version::TLS12]);
        assert!(versions(Version::Tls13, Version::Tls12).is_empty());
    }

    #[test]
    fn installing_twice_is_harmless() {
        install_provider();
        install_provider();
        let installed = CryptoProvider::get_default().expect("installed above");
        assert_eq!(installed.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }
}
