//! What is told of clients whose requests have no line in the access log, not more often than the log can bear.

use std::io;
use std::net::IpAddr;

use quinn::ConnectionError;

use super::watched::Watch;
use crate::telemetry::every::Every;
use crate::telemetry::metrics;
use crate::tls;
use crate::tls::hello::Hello;
use crate::tls::quic::Heard;

/// Requirement T13: once, with the name that was asked for, and not more often than the log can bear.
pub(super) fn refused(error: &io::Error, peer: IpAddr) {
    static EVERY: Every = Every::second();
    let reason = tls::reason(error);
    metrics::global().handshake_failures.add("tcp", reason);
    if let Some(suppressed) = EVERY.pass() {
        let hello = tls::accept::Failed::of(error).and_then(|failed| failed.hello.as_deref());
        let [sni, versions, alpn] = offered(hello);
        tracing::info!(%peer, sni, versions, alpn, reason, suppressed, "TLS handshake failed");
    }
}

/// The same over QUIC. What the library has to say comes behind: it knows more than one word.
pub(super) fn refused_over_quic(error: &ConnectionError, heard: &Heard, peer: IpAddr) {
    static EVERY: Every = Every::second();
    let reason = tls::reason_of_quic(error);
    metrics::global().handshake_failures.add("quic", reason);
    if let Some(suppressed) = EVERY.pass() {
        let [sni, versions, alpn] = offered(heard.hello().as_ref());
        tracing::info!(%peer, sni, versions, alpn, reason, %error, suppressed, "QUIC handshake failed");
    }
}

/// What a client has asked for: the name, the versions and the protocols.
fn offered(hello: Option<&Hello>) -> [String; 3] {
    [Hello::name, Hello::versions, Hello::protocols].map(|text: fn(&Hello) -> String| {
        let text = hello.map(text).filter(|text| !text.is_empty());
        text.unwrap_or_else(|| "-".to_owned())
    })
}

/// A client that gives up most of what it asks for (threat XH01).
pub(super) fn restless(peer: IpAddr) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        tracing::info!(%peer, suppressed, "a client that gives up most of its requests is left");
    }
}

/// A client that sends frames for nothing (threat XH05).
pub(super) fn flooded(peer: IpAddr) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        tracing::info!(%peer, suppressed, "a client that sends too many frames for nothing is left");
    }
}

/// What is no request has no line in the access log: it is told here, not more often than the log can bear.
pub(super) fn malformed(error: &hyper::Error, watch: &Watch, peer: IpAddr) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        let parser = error.to_string();
        let reason = watch.broken().unwrap_or(&parser);
        tracing::info!(%peer, reason, suppressed, "a malformed request is refused");
    }
}
