//! The handshake with a client, and what is worth remembering of it.

use std::io;
use std::sync::Arc;

use bytes::BufMut as _;
use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::hello::{self, Hello, Sight};
use super::provider::{Alpn, Version, group_name, suite_name};

/// Shakes hands. The caller sets the deadline. An error is a [`Failed`] inside.
pub async fn accept<IO>(io: IO, config: &Arc<ServerConfig>) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    accept_by(io, async |_, _| Some(Arc::clone(config))).await
}

/// Reads what a client begins with until it is known whom it asks for, into `flight`. `None`: nobody, or this is not the
/// beginning of a handshake; [`accept_after`] knows what to say of that.
pub async fn overhear<IO>(io: &mut IO, flight: &mut Vec<u8>) -> io::Result<Option<Box<str>>>
where
    IO: AsyncRead + Unpin,
{
    while flight.len() < hello::LARGEST {
        match Sight::of(flight) {
            Sight::Name(name) => return Ok(Some(name)),
            Sight::Nobody => break,
            Sight::Cut => {}
        }
        let most = PIECE.min(hello::LARGEST - flight.len());
        if io.read_buf(&mut (&mut *flight).limit(most)).await? == 0 {
            break;
        }
    }
    Ok(None)
}

/// The same, where the ClientHello decides about the configuration: sites may differ in versions or client
/// certificates. It comes with the bytes that it was read from, for [`Hello::read`]. `None`, or a configuration without a
/// certificate for the name, is answered with the alert `unrecognized_name` (RFC 6066, section 3); rustls itself would send
/// `access_denied`.
pub async fn accept_by<IO>(
    io: IO,
    choose: impl AsyncFnOnce(ClientHello<'_>, &[u8]) -> Option<Arc<ServerConfig>>,
) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    accept_after(&mut Vec::with_capacity(2048), io, choose).await
}

/// The same, where some of it has been read: at most as much as [`overhear`] does. What is read is left in `flight`, for
/// callers who lose patience.
pub async fn accept_after<IO>(
    flight: &mut Vec<u8>,
    io: IO,
    choose: impl AsyncFnOnce(ClientHello<'_>, &[u8]) -> Option<Arc<ServerConfig>>,
) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let start = match listen(io, flight).await {
        Ok(start) => start,
        Err(cause) => return Err(Failed::new(flight, cause)),
    };
    let config = choose(start.client_hello(), flight)
        .await
        .filter(|config| config.cert_resolver.resolve(start.client_hello()).is_some());
    let Some(config) = config else {
        refuse(start.io, AlertDescription::UnrecognisedName).await;
        return Err(Failed::new(flight, io::Error::new(io::ErrorKind::InvalidData, UnknownName)));
    };
    if falls_back(&start.client_hello(), &config) {
        refuse(start.io, AlertDescription::InappropriateFallback).await;
        return Err(Failed::new(flight, io::Error::new(io::ErrorKind::InvalidData, Fallback)));
    }
    start.into_stream(config).await.map_err(|cause| Failed::new(flight, cause))
}

/// Bytes that are read at once.
const PIECE: usize = 4096;

/// Reads a ClientHello, and keeps its bytes: rustls tells neither which versions it offers nor which extensions it has.
async fn listen<IO>(mut io: IO, flight: &mut Vec<u8>) -> io::Result<StartHandshake<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut acceptor = Acceptor::default();
    let mut told = 0;
    loop {
        let mut fresh = &flight[told..];
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(StartHandshake::from_parts(accepted, io)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // The client may be gone; there is nobody to tell.
                if alert.write_all(&mut bytes).is_ok() {
                    let _ = io.write_all(&bytes).await;
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        // What is longer than any client's is for rustls to judge, and to end.
        if flight.len() > hello::LARGEST {
            flight.clear();
        }
        told = flight.len();
        if io.read_buf(&mut (&mut *flight).limit(PIECE)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
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

/// A fatal alert in the clear, which is what every version has before its `ServerHello`; then the end.
pub async fn refuse(mut io: impl AsyncWrite + Unpin, alert: AlertDescription) {
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

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failed {
    /// Whom the client asked for and what it offered, as far as that could be read.
    pub hello: Option<Box<Hello>>,
    #[source]
    pub cause: io::Error,
}

impl Failed {
    #[allow(clippy::new_ret_no_self, reason = "the caller wants an I/O error that holds it")]
    fn new(flight: &[u8], cause: io::Error) -> io::Error {
        let hello = Hello::glimpse(flight).map(Box::new);
        io::Error::new(cause.kind(), Self { hello, cause })
    }

    /// The client has sent this much, and nobody waits for the rest.
    pub fn timed_out(flight: &[u8]) -> io::Error {
        Self::new(flight, io::ErrorKind::TimedOut.into())
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
    /// The group in which the keys were agreed on.
    pub group: Option<&'static str>,
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
            group: connection.negotiated_key_exchange_group().and_then(group_name),
            alpn: connection.alpn_protocol().and_then(Alpn::from_bytes),
            sni: connection.server_name().map(Box::from),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}
