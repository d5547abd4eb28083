//! The handshake with a client, and what is worth remembering of it.

use std::io;
use std::sync::Arc;

use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::provider::{Alpn, Version, suite_name};

/// Shakes hands. The caller sets the deadline. An error is a [`Failed`] inside.
pub async fn accept<IO>(io: IO, config: &Arc<ServerConfig>) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    accept_by(io, async |_| Some(Arc::clone(config))).await
}

/// The same, where the ClientHello decides about the configuration: sites may differ in versions or client
/// certificates. `None`, or a configuration without a certificate for the name, is answered with the alert
/// `unrecognized_name` (RFC 6066, section 3); rustls itself would send `access_denied`.
pub async fn accept_by<IO>(
    io: IO,
    choose: impl AsyncFnOnce(ClientHello<'_>) -> Option<Arc<ServerConfig>>,
) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let start = match LazyConfigAcceptor::new(Acceptor::default(), io).await {
        Ok(start) => start,
        Err(cause) => return Err(Failed::new(None, cause)),
    };
    let config = choose(start.client_hello())
        .await
        .filter(|config| config.cert_resolver.resolve(start.client_hello()).is_some());
    let Some(config) = config else {
        let sni = start.client_hello().server_name().map(Box::from);
        refuse(start.io, AlertDescription::UnrecognisedName).await;
        return Err(Failed::new(sni, io::Error::new(io::ErrorKind::InvalidData, UnknownName)));
    };
    if falls_back(&start.client_hello(), &config) {
        let sni = start.client_hello().server_name().map(Box::from);
        refuse(start.io, AlertDescription::InappropriateFallback).await;
        return Err(Failed::new(sni, io::Error::new(io::ErrorKind::InvalidData, Fallback)));
    }
    // Copied only for the error; a name has 253 bytes at most, and most have 20.
    let sni: Option<Box<str>> = start.client_hello().server_name().map(Box::from);
    start.into_stream(config).await.map_err(|cause| Failed::new(sni, cause))
}

/// A client that has been made to believe that newer versions do not work here says so (RFC 7507). rustls has nothing to
/// fall back to below 1.2, and does not look; between 1.3 and 1.2 there is the downgrade mark of RFC 8446 too, which not
/// every client checks.
fn falls_back(hello: &ClientHello<'_>, config: &ServerConfig) -> bool {
    let is_newest = |suite: &CipherSuite| matches!(u16::from(*suite), 0x1301..=0x1305);
    let offered = hello.cipher_suites();
    offered.iter().any(|suite| u16::from(*suite) == FALLBACK)
        && !offered.iter().any(is_newest)
        && config.crypto_provider().cipher_suites.iter().any(|suite| suite.tls13().is_some())
}

/// `TLS_FALLBACK_SCSV`, which is no suite but a sign.
const FALLBACK: u16 = 0x5600;

/// A fatal alert in the clear, which is what every version has before its `ServerHello`.
async fn refuse(mut io: impl AsyncWrite + Unpin, alert: AlertDescription) {
    const FATAL: u8 = 2;
    let record = [21, 3, 3, 0, 2, FATAL, u8::from(alert)];
    // The client may be gone; there is nobody to tell.
    let _ = io.write_all(&record).await;
    let _ = io.shutdown().await;
}

/// No certificate for the name that the client asked for, or for a client that asked for none.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for this name")]
pub struct UnknownName;

/// The client speaks an older version than it could, because somebody stood between.
#[derive(Debug, thiserror::Error)]
#[error("a fallback to an older version that is not needed")]
pub struct Fallback;

/// A handshake that failed, with the name that was asked for if it came that far.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failed {
    pub sni: Option<Box<str>>,
    #[source]
    pub cause: io::Error,
}

impl Failed {
    #[allow(clippy::new_ret_no_self, reason = "the caller wants an I/O error that holds it")]
    fn new(sni: Option<Box<str>>, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), Self { sni, cause })
    }

    /// The failure inside an error of [`accept`].
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// What a connection agreed on. All text is there already; a request formats nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    pub version: Version,
    /// The IANA name.
    pub suite: &'static str,
    pub alpn: Option<Alpn>,
    /// Lower case, as the client sent it otherwise.
    pub sni: Option<Box<str>>,
    pub resumed: bool,
}

impl TlsFacts {
    /// `None` before the handshake is complete.
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Version::Tls12,
            ProtocolVersion::TLSv1_3 => Version::Tls13,
            _ => return None,
        };
        Some(Self {
            version,
            suite: suite_name(connection.negotiated_cipher_suite()?),
            alpn: connection.alpn_protocol().and_then(Alpn::from_bytes),
            sni: connection.server_name().map(Box::from),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}
