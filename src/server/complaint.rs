//! What is told of clients whose requests have no line in the access log, not more often than the log can bear.

use std::io;
use std::net::IpAddr;

use super::watched::Watch;
use crate::telemetry::every::Every;
use crate::tls;
use crate::tls::hello::Hello;

/// Requirement T13: once, with the name that was asked for, and not more often than the log can bear.
pub(super) fn refused(error: &io::Error, peer: IpAddr) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        let failed = tls::accept::Failed::of(error);
        let sni = failed.and_then(|failed| failed.sni.as_deref()).unwrap_or("-");
        let hello = failed.and_then(|failed| failed.hello.as_deref());
        let offered = |text: fn(&Hello) -> String| hello.map(text).filter(|text| !text.is_empty());
        let versions = offered(Hello::versions).unwrap_or_else(|| "-".to_owned());
        let alpn = offered(Hello::protocols).unwrap_or_else(|| "-".to_owned());
        tracing::info!(%peer, sni, versions, alpn, reason = tls::reason(error), suppressed, "TLS handshake failed");
    }
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
