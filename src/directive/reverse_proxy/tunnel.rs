//! After a switch of protocols: bytes both ways until both ends have finished, or nothing has moved for too long.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use http::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::goodbye::{Frames, To, say};
use crate::http::exchange::{Duplex, Tunnel};
use crate::http::fault::{Cause, Fault};
use crate::http::tunnel::{Account, Passing, Terms};
use crate::upstream;

/// For the driver of the connection, or of the stream, which runs it when the answer has been written.
pub(super) fn for_driver(tunnel: upstream::Tunnel, idle: Duration, account: Account) -> Tunnel {
    Box::new(move |client, early| Box::pin(pass(client, early, tunnel, idle, account)))
}

/// A stream of an HTTP/2 connection becomes usable once the 200 has gone out.
pub(super) fn over_http2(
    client: hyper::upgrade::OnUpgrade,
    tunnel: upstream::Tunnel,
    idle: Duration,
    account: Account,
) {
    tokio::task::spawn_local(async move {
        if let Ok(upgraded) = client.await {
            pass(Box::new(TokioIo::new(upgraded)), Bytes::new(), tunnel, idle, account).await;
        }
    });
}

/// A `Sec-WebSocket-Key` (RFC 6455, section 4.1), which a client of HTTP/2 or HTTP/3 does not send.
pub(super) fn key() -> Result<HeaderValue, Fault> {
    let mut nonce = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Fault::detailed(Cause::Panic, "the system has no random numbers"))?;
    HeaderValue::try_from(base64(nonce)).map_err(|_| Cause::Panic.into())
}

fn base64(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(ALPHABET[(bits & 63) as usize]);
    let mut text = String::with_capacity(24);
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            text.push(if at <= three.len() { digit(bits >> (18 - 6 * at)) } else { '=' });
        }
    }
    text
}

async fn pass(client: Box<dyn Duplex>, early: Bytes, tunnel: upstream::Tunnel, idle: Duration, account: Account) {
    let upstream::Tunnel { stream, early: said, in_flight: _in_flight } = tunnel;
    let terms = Terms { idle, half_closed: HALF_CLOSED, piece: PIECE };
    let mut passing = Passing::<_, _, Frames>::new((client, early), (stream, said), terms, account.ledger());
    if let Some(rest) = passing.run().await {
        let ((client, to_client), (server, to_server)) = passing.ends();
        let goodbyes = join(say(client, to_client, To::Client), say(server, to_server, To::Server));
        // Who cannot be told learns it from the end of the connection.
        let _ = timeout(rest, goodbyes).await;
    }
}

/// No WebSocket goes on for long with one end.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Most messages are small, and most tunnels silent.
const PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_base64_of_sixteen_bytes() {
        assert_eq!(base64(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key().unwrap().len(), 24);
        assert_ne!(key().unwrap(), key().unwrap());
    }
}
