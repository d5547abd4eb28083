//! The server's side of TLS in QUIC: what a client is met with is decided by its ClientHello, as over TCP.
//!
//! The library takes one configuration before it has read a byte of the handshake. So it is given one whose sessions put
//! that off: they gather the ClientHello, have it looked at, and are then what the choice makes them.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig as CryptoConfig, Session,
    UnsupportedVersion,
};
use quinn::{ConnectionId, Side, TransportErrorCode};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use rustls::quic::Suite;
use rustls::server::{Accepted, Acceptor, ClientHello, ResolvesServerCert};
use rustls::{AlertDescription, CipherSuite, ServerConfig, SupportedCipherSuite};

use super::hello::{Carrier, Hello};
use super::provider::{Alpn, Version, provider_with};
use super::server::{Options, server_config};
use crate::http::connection::{PolicyId, is_ja4_asked};

/// A ClientHello may be so long: what one TLS record holds, and many times what clients send.
const LONGEST_HELLO: usize = 1 << 14;

/// What is demanded of those who ask for the sites of one policy.
pub struct QuicPolicy {
    id: PolicyId,
    config: Arc<ServerConfig>,
    quic: Arc<QuicServerConfig>,
}

impl QuicPolicy {
    /// QUIC is spoken with TLS 1.3 alone. `None` where these options leave it nothing.
    #[must_use]
    pub fn new(id: PolicyId, resolver: Arc<dyn ResolvesServerCert>, options: &Options) -> Option<Self> {
        if !(options.min..=options.max).contains(&Version::Tls13) {
            return None;
        }
        let options = Options { alpn: vec![Alpn::H3], min: Version::Tls13, ..options.clone() };
        let config = server_config(resolver, &options).ok()?;
        let quic = QuicServerConfig::with_initial(config.clone(), initial()?).ok()?;
        Some(Self { id, config, quic: Arc::new(quic) })
    }

    #[must_use]
    pub fn id(&self) -> PolicyId {
        self.id
    }
}

/// The suite of first packets, whose keys everybody knows: it is no part of what a site may choose (RFC 9001, section 5.2).
fn initial() -> Option<Suite> {
    let provider = provider_with(None, None);
    let suites = provider.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13);
    let mut aes = suites.filter(|suite| suite.common.suite == CipherSuite::TLS13_AES_128_GCM_SHA256);
    aes.next()?.quic_suite()
}

/// Which policy a client meets; the error is what it is told.
type Choose = dyn Fn(&ClientHello<'_>) -> Result<Arc<QuicPolicy>, AlertDescription> + Send + Sync;

/// A configuration for quinn.
pub struct ByHello {
    /// Knows the keys of first packets, which are the same for all.
    first: Arc<QuicServerConfig>,
    choose: Box<Choose>,
}

impl ByHello {
    /// `first` is any of those that may be chosen.
    pub fn new(
        first: &QuicPolicy,
        choose: impl Fn(&ClientHello<'_>) -> Result<Arc<QuicPolicy>, AlertDescription> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { first: first.quic.clone(), choose: Box::new(choose) })
    }

    /// The same for a single connection, with what that says.
    pub fn heard(self: &Arc<Self>) -> (Arc<dyn CryptoConfig>, Heard) {
        let heard = Heard::default();
        (Arc::new(ForOne { config: self.clone(), heard: heard.clone() }), heard)
    }

    fn session(self: Arc<Self>, version: u32, params: &TransportParameters, hello: Heard) -> Box<dyn Session> {
        // Answers for the keys of first packets, and for nothing else, until there is a choice.
        let session = self.first.clone().start_session(version, params);
        Box::new(Deferred { config: self, version, params: *params, hello, session, policy: None, ja4: None })
    }
}

/// The ClientHello of one connection as far as it has come, for whoever must tell why the handshake failed: quinn hands out
/// nothing of a session that came to no end.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// What can be told of it.
    pub fn hello(&self) -> Option<Hello> {
        Hello::glimpse_message(&self.bytes())
    }

    /// The handshake is complete: a connection does not carry it about.
    pub fn forget(self) {
        *self.bytes() = Vec::new();
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handshake has settled, once it is complete: `quinn::Connection::handshake_data`.
pub struct Agreed {
    pub policy: PolicyId,
    /// In lower case.
    pub sni: Option<Box<str>>,
    /// Where a configuration has asked for it.
    pub ja4: Option<Box<str>>,
}

impl CryptoConfig for ByHello {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.first.initial_keys(version, id)
    }

    fn retry_tag(&self, version: u32, id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.first.retry_tag(version, id, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        self.session(version, params, Heard::default())
    }
}

/// [`ByHello`] for a single connection.
struct ForOne {
    config: Arc<ByHello>,
    heard: Heard,
}

impl CryptoConfig for ForOne {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.config.initial_keys(version, id)
    }

    fn retry_tag(&self, version: u32, id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.config.retry_tag(version, id, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        self.config.clone().session(version, params, self.heard.clone())
    }
}

/// A session that is another one as soon as the ClientHello is there.
struct Deferred {
    config: Arc<ByHello>,
    version: u32,
    params: TransportParameters,
    hello: Heard,
    session: Box<dyn Session>,
    policy: Option<PolicyId>,
    ja4: Option<Box<str>>,
}

impl Deferred {
    /// The session, if it is the chosen one.
    fn chosen(&self) -> Option<&dyn Session> {
        self.policy.map(|_| &*self.session)
    }

    /// Goes on with the ClientHello, by these bytes more.
    fn choose(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let mut heard = self.hello.bytes();
        heard.extend_from_slice(bytes);
        let Some(accepted) = accepted(&heard)? else { return Ok(false) };
        let hello = accepted.client_hello();
        let policy = (self.config.choose)(&hello).map_err(refusal)?;
        // rustls would say `access_denied`.
        if policy.config.cert_resolver.resolve(hello).is_none() {
            return Err(refusal(AlertDescription::UnrecognisedName));
        }
        if is_ja4_asked() {
            self.ja4 = Hello::message(&heard).map(|hello| hello.ja4(Carrier::Quic).into());
        }
        self.policy = Some(policy.id);
        self.session = policy.quic.clone().start_session(self.version, &self.params);
        self.session.read_handshake(&heard)
    }
}

/// Reads a ClientHello, as a TLS record has it: QUIC leaves that away (RFC 9001, section 4). None while it is not whole.
fn accepted(hello: &[u8]) -> Result<Option<Accepted>, TransportError> {
    let [kind, a, b, c, ..] = *hello else { return Ok(None) };
    let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
    if kind != CLIENT_HELLO {
        return Err(refusal(AlertDescription::UnexpectedMessage));
    }
    if length > LONGEST_HELLO {
        return Err(refusal(AlertDescription::DecodeError));
    }
    let Some(whole) = hello.get(..length) else { return Ok(None) };
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let record = [&[HANDSHAKE, 3, 1, high, low], whole].concat();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut record.as_slice()).map_err(|_| refusal(AlertDescription::InternalError))?;
    match acceptor.accept() {
        Ok(Some(accepted)) => Ok(Some(accepted)),
        // A whole one is whole, or none.
        Ok(None) => Err(refusal(AlertDescription::DecodeError)),
        Err((error, _)) => Err(TransportError { reason: error.to_string(), ..refusal(AlertDescription::DecodeError) }),
    }
}

const CLIENT_HELLO: u8 = 1;
/// The type of a record.
const HANDSHAKE: u8 = 22;

fn refusal(alert: AlertDescription) -> TransportError {
    let reason = match alert {
        AlertDescription::UnrecognisedName => "no certificate for this name",
        AlertDescription::NoApplicationProtocol => "no HTTP/3 for this name",
        _ => "no ClientHello",
    };
    TransportError { code: TransportErrorCode::crypto(alert.into()), frame: None, reason: reason.to_owned() }
}

impl Session for Deferred {
    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        self.session.initial_keys(id, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let data = self.chosen()?.handshake_data()?.downcast::<HandshakeData>().ok()?;
        let sni = data.server_name.map(Into::into);
        Some(Box::new(Agreed { policy: self.policy?, sni, ja4: self.ja4.clone() }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.chosen()?.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.chosen()?.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.chosen()?.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.chosen().is_none_or(Session::is_handshaking)
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        if self.policy.is_some() {
            return self.session.read_handshake(bytes);
        }
        self.choose(bytes)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.chosen().map_or(Ok(None), Session::transport_parameters)
    }

    fn write_handshake(&mut self, bytes: &mut Vec<u8>) -> Option<Keys> {
        self.policy?;
        self.session.write_handshake(bytes)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.policy?;
        self.session.next_1rtt_keys()
    }

    fn is_valid_retry(&self, id: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.session.is_valid_retry(id, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.session.export_keying_material(output, label, context)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::quic::{ClientConnection, Version as QuicVersion};
    use rustls::{ClientConfig, RootCertStore};

    use super::*;

    /// What a client says first.
    fn hello(name: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(provider_with(None, None))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), QuicVersion::V1, name, Vec::new()).unwrap();
        let mut bytes = Vec::new();
        assert!(client.write_hs(&mut bytes).is_none(), "no keys yet");
        bytes
    }

    /// The name in it, or nothing yet, or the alert.
    fn check(bytes: &[u8], expected: Result<Option<&str>, AlertDescription>) {
        let found = match accepted(bytes) {
            Ok(accepted) => Ok(accepted.map(|accepted| accepted.client_hello().server_name().map(str::to_owned))),
            Err(error) => Err(error.code),
        };
        let expected = expected.map(|name| name.map(|name| Some(name.to_owned())));
        assert_eq!(found, expected.map_err(|alert| TransportErrorCode::crypto(alert.into())), "{bytes:x?}");
    }

    #[test]
    fn a_hello_is_read_once_it_is_whole_however_it_comes() {
        let whole = hello("a.example");
        for end in 0..whole.len() {
            check(&whole[..end], Ok(None));
        }
        check(&whole, Ok(Some("a.example")));
        // What comes behind it is for the session that it chooses.
        check(&[&whole[..], &[20, 0, 0, 0]].concat(), Ok(Some("a.example")));
    }

    #[test]
    fn xh10_what_is_none_or_too_long_is_refused_at_its_first_bytes() {
        check(&[1, 0, 0x40, 0], Err(AlertDescription::DecodeError));
        check(&[1, 0xff, 0xff, 0xff], Err(AlertDescription::DecodeError));
        check(&[1, 0, 0x3f, 0xfc], Ok(None));
        for kind in [0, 2, 11, 20, 255] {
            check(&[kind, 0, 0, 5], Err(AlertDescription::UnexpectedMessage));
        }
        check(&[1, 0, 0, 0], Err(AlertDescription::DecodeError));
        let mut broken = hello("a.example");
        broken[4 + 2 + 32] = 0xff;
        check(&broken, Err(AlertDescription::DecodeError));
    }
}
