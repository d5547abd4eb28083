//! The key of a certificate: of which kind it is, and making one.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};

use super::Failure;

/// What authorities take; Ed25519 is not among it (CA/Browser Forum, Baseline Requirements, section 6.1.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    #[default]
    P256,
    P384,
    Rsa2048,
    Rsa4096,
}

impl KeyType {
    /// By their names in a configuration.
    pub const NAMED: [(&'static str, Self); 4] =
        [("p256", Self::P256), ("p384", Self::P384), ("rsa2048", Self::Rsa2048), ("rsa4096", Self::Rsa4096)];

    /// A new one. A long RSA key takes seconds, so it is made where nobody waits for this thread.
    pub(super) async fn make(self) -> Result<KeyPair, Failure> {
        let made = tokio::task::spawn_blocking(move || match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        });
        made.await
            .map_err(|_| Failure::other("a key could not be made"))?
            .map_err(|error| Failure::other(error.to_string()))
    }
}
