//! Why a handshake failed, in one word for logs and metrics. The set is small and stable.

use std::io;

use quinn::ConnectionError;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::tls::accept::{Fallback, UnknownName};

/// The word for an error of [`Client::connect`](super::Client::connect) or [`accept`](crate::tls::accept()).
pub fn reason(error: &io::Error) -> &'static str {
    // `source` of an I/O error skips what it holds itself, so begin with that.
    let mut inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(found) = inner {
        if let Some(tls) = found.downcast_ref::<Error>() {
            return reason_of(tls);
        }
        if found.is::<Fallback>() {
            return "inappropriate_fallback";
        }
        if found.is::<UnknownName>() {
            return "unknown_name";
        }
        inner = match found.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => found.source(),
        };
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::TimedOut => "timeout",
        _ => "io",
    }
}

/// The word for an error of rustls.
pub fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::NoCertificatesPresented => "no_certificate",
        Error::UnsupportedNameType => "wrong_name",
        Error::PeerIncompatible(why) => incompatible(why),
        Error::NoApplicationProtocol => "alpn",
        Error::AlertReceived(alert) => received(*alert),
        // Whatever answers an origin's TLS port in clear text begins with no record type that TLS knows.
        Error::InvalidMessage(_) => "not_tls",
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::DecryptError
        | Error::PeerSentOversizedRecord => "protocol",
        _ => "handshake",
    }
}

/// The word for the end of a QUIC connection in its handshake: the same as over TCP, as far as an alert tells them apart.
pub fn reason_of_quic(error: &ConnectionError) -> &'static str {
    match error {
        ConnectionError::TransportError(ours) => alert(ours.code.into()).map_or("protocol", sent),
        ConnectionError::ConnectionClosed(theirs) => alert(theirs.error_code.into()).map_or("closed", received),
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => "closed",
        ConnectionError::Reset => "reset",
        ConnectionError::TimedOut => "timeout",
        ConnectionError::VersionMismatch => "version",
        ConnectionError::CidsExhausted => "io",
    }
}

/// The alert of TLS that a code of QUIC stands for (RFC 9001, section 4.8).
fn alert(code: u64) -> Option<AlertDescription> {
    let [alert, 1, 0, 0, 0, 0, 0, 0] = code.to_le_bytes() else { return None };
    Some(alert.into())
}

/// What rp has found wrong, from the alert that it sent: rustls' own error is not handed on.
fn sent(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnrecognisedName => "unknown_name",
        AlertDescription::NoApplicationProtocol => "alpn",
        AlertDescription::ProtocolVersion => "version",
        AlertDescription::CertificateRequired => "no_certificate",
        AlertDescription::CertificateExpired => "expired",
        AlertDescription::CertificateRevoked => "revoked",
        AlertDescription::UnknownCA => "unknown_issuer",
        AlertDescription::UnsupportedCertificate => "wrong_purpose",
        AlertDescription::DecryptError => "bad_signature",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "bad_certificate",
        AlertDescription::UnexpectedMessage
        | AlertDescription::DecodeError
        | AlertDescription::IllegalParameter
        | AlertDescription::MissingExtension => "protocol",
        _ => "handshake",
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "wrong_name",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "wrong_purpose",
        CertificateError::BadSignature => "bad_signature",
        // A certificate that is its own authority: what `openssl req -x509` makes.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => "self_signed",
        _ => "bad_certificate",
    }
}

fn incompatible(error: &PeerIncompatible) -> &'static str {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        // What came before TLS 1.2 did not have it, and everything since sends it.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "version",
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => "client_certificate",
        _ => "handshake",
    }
}

fn received(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion => "version",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::NoApplicationProtocol => "alpn",
        // The peer speaks of the certificate that it got from us.
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => "certificate_refused",
        _ => "handshake",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use quinn::{ConnectionClose, TransportErrorCode};
    use quinn_proto::TransportError;

    use super::*;

    #[test]
    fn errors_are_found_however_deep_they_lie() {
        let tls = || Error::InvalidCertificate(CertificateError::Expired);
        let plain = io::Error::new(io::ErrorKind::InvalidData, tls());
        assert_eq!(reason(&plain), "expired");
        assert_eq!(reason(&io::Error::other(plain)), "expired");
        assert_eq!(reason(&io::Error::other(UnknownName)), "unknown_name");
        for (kind, word) in [
            (io::ErrorKind::UnexpectedEof, "closed"),
            (io::ErrorKind::ConnectionReset, "reset"),
            (io::ErrorKind::TimedOut, "timeout"),
            (io::ErrorKind::Other, "io"),
        ] {
            assert_eq!(reason(&io::Error::from(kind)), word);
        }
    }

    #[test]
    fn old_clients_are_told_from_broken_ones() {
        for (why, word) in [
            (PeerIncompatible::SignatureAlgorithmsExtensionRequired, "version"),
            (PeerIncompatible::Tls12NotOfferedOrEnabled, "version"),
            (PeerIncompatible::NoCipherSuitesInCommon, "handshake"),
        ] {
            assert_eq!(reason_of(&Error::PeerIncompatible(why)), word);
        }
    }

    #[test]
    fn ends_of_quic_have_the_words_of_tcp() {
        let ours = |code| {
            let (frame, reason) = (None, String::new());
            ConnectionError::TransportError(TransportError { code, frame, reason })
        };
        let theirs = |error_code| {
            let (frame_type, reason) = (None, Bytes::new());
            ConnectionError::ConnectionClosed(ConnectionClose { error_code, frame_type, reason })
        };
        let crypto = |alert: AlertDescription| TransportErrorCode::crypto(alert.into());
        for (error, word) in [
            (ours(crypto(AlertDescription::UnrecognisedName)), "unknown_name"),
            (ours(crypto(AlertDescription::NoApplicationProtocol)), "alpn"),
            (ours(crypto(AlertDescription::CertificateRequired)), "no_certificate"),
            (ours(crypto(AlertDescription::HandshakeFailure)), "handshake"),
            (ours(TransportErrorCode::PROTOCOL_VIOLATION), "protocol"),
            (theirs(crypto(AlertDescription::UnknownCA)), "certificate_refused"),
            (theirs(TransportErrorCode::NO_ERROR), "closed"),
            (ConnectionError::TimedOut, "timeout"),
        ] {
            assert_eq!(reason_of_quic(&error), word, "{error}");
        }
    }

    #[test]
    fn alerts_say_what_the_peer_meant() {
        for (alert, word) in [
            (AlertDescription::ProtocolVersion, "version"),
            (AlertDescription::HandshakeFailure, "handshake"),
            (AlertDescription::UnrecognisedName, "unrecognized_name"),
            (AlertDescription::CertificateRequired, "certificate_refused"),
            (AlertDescription::NoApplicationProtocol, "alpn"),
        ] {
            assert_eq!(reason_of(&Error::AlertReceived(alert)), word);
        }
    }
}
