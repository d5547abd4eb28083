//! The client's side of TLS: how origins are reached, what of them is verified, and why one was refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::anybody::Anybody;
use super::certificate::{certificates, read};
use super::provider::{Alpn, Version, provider, versions};
use super::trouble::{Part, Trouble};

mod reach;
pub mod reason;

pub use reach::reach;
pub use reason::{reason, reason_of, reason_of_quic};

/// Whom to believe that an origin is who it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verify {
    /// The authorities that this system trusts.
    #[default]
    System,
    /// Those in one PEM file, and no others.
    Authorities(PathBuf),
    /// Anybody. Only for an explicit word of the user.
    Off,
}

/// How to speak to an origin.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    pub verify: Verify,
    /// Asked for and verified instead of the origin's host.
    pub name: Option<ServerName<'static>>,
    pub min: Version,
    pub max: Version,
    /// Shown when the origin asks for it.
    pub certificate: Option<Arc<CertifiedKey>>,
    pub alpn: Vec<Alpn>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let alpn = vec![Alpn::H2, Alpn::Http11];
        Self { verify: Verify::System, name: None, min: Version::Tls12, max: Version::Tls13, certificate: None, alpn }
    }
}

/// The system's authorities, read once for one load of the configuration: they are some 150 files, and a reload should
/// see what changed in them.
#[derive(Debug, Default)]
pub struct SystemRoots {
    verifier: OnceLock<Arc<Verifier>>,
}

impl SystemRoots {
    fn verifier(&self) -> Result<Arc<Verifier>, Trouble> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(Arc::clone(verifier));
        }
        let bundled = || webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        // An image without any file but rp has no store: then Mozilla's list, as it was when rp was built.
        let verifier = Verifier::new(provider())
            .or_else(|_| Verifier::new_with_extra_roots(bundled(), provider()))
            .map_err(|error| Trouble::NoSystemRoots(error.to_string()))?;
        Ok(Arc::clone(self.verifier.get_or_init(|| Arc::new(verifier))))
    }
}

/// What is needed to reach one upstream over TLS. Sessions are resumed within it.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Client {
    /// A file of authorities that is missing, empty or broken is an error, never a reason to believe the system's.
    pub fn build(options: &ClientOptions, roots: &SystemRoots) -> Result<Self, Trouble> {
        let verifier: Arc<dyn ServerCertVerifier> = match &options.verify {
            Verify::System => roots.verifier()?,
            Verify::Authorities(path) => {
                WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(path)?), provider())
                    .build()
                    .map_err(|error| Trouble::NothingOffered(error.to_string()))?
            }
            Verify::Off => Arc::new(Anybody),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(options.min, options.max))
            .map_err(|error| Trouble::NothingOffered(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.certificate {
            None => builder.with_no_client_auth(),
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
        };
        config.alpn_protocols = options.alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), name: options.name.clone() })
    }

    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name to ask `host` for: the configured one, else the host itself, which may be an address in brackets.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, Trouble> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// Shakes hands with an origin. The caller sets the deadline.
    pub async fn connect<IO>(&self, io: IO, name: ServerName<'static>) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        TlsConnector::from(Arc::clone(&self.config)).connect(name, io).await
    }
}

/// Reads a host or an address as TLS names them.
pub fn server_name(host: &str) -> Result<ServerName<'static>, Trouble> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| Trouble::BadName { name: host.to_owned() })
}

/// All authorities of a PEM file; at least one.
pub fn authorities(path: &Path) -> Result<RootCertStore, Trouble> {
    let mut store = RootCertStore::empty();
    add_authorities(&mut store, path)?;
    Ok(store)
}

/// Adds the authorities of a PEM file, at least one, and gives the bytes that they were read from.
pub(super) fn add_authorities(store: &mut RootCertStore, path: &Path) -> Result<Vec<u8>, Trouble> {
    let file = path.display().to_string();
    let (bytes, _) = read(path, Part::Certificate)?;
    for (index, certificate) in certificates(&bytes, &file)?.into_iter().enumerate() {
        store.add(certificate).map_err(|_| Trouble::BadCertificate { file: file.clone(), number: index + 1 })?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
