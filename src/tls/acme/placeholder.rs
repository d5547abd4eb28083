//! What a name shows until it has a certificate: one that signed itself, made in memory and stored nowhere.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::super::provider::provider;
use super::super::trouble::Trouble;

/// A certificate that no client trusts, for a host.
pub fn placeholder(host: &str) -> Result<Arc<CertifiedKey>, Trouble> {
    self_signed(host, Vec::new())
}

/// The certificate that answers tls-alpn-01: the digest stands in an extension that must be understood (RFC 8737,
/// section 3).
pub fn answer(host: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, Trouble> {
    self_signed(host, vec![CustomExtension::new_acme_identifier(digest)])
}

fn self_signed(host: &str, extensions: Vec<CustomExtension>) -> Result<Arc<CertifiedKey>, Trouble> {
    let signing = |error: rcgen::Error| Trouble::Signing(error.to_string());
    let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(signing)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "rp waits for a certificate");
    params.custom_extensions = extensions;
    let key = KeyPair::generate().map_err(signing)?;
    let certificate = params.self_signed(&key).map_err(signing)?;
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // It is not looked at as others are: a reader may refuse a critical extension that it does not know.
    let signer =
        provider().key_provider.load_private_key(secret).map_err(|error| Trouble::Signing(error.to_string()))?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.into()], signer)))
}
