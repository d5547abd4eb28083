//! What of an answer is encoded, and what its fields say then.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::accept::{Accepted, Coding};
use super::body::{Encoded, Flush, STEP};
use super::coder::Coder;
use super::media::{MediaRange, essence};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::step::{Answer, Filter};
use crate::http::vary;

/// An encoding, and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub coding: Coding,
    pub level: u8,
}

/// The running `encode`.
#[derive(Debug, Clone)]
pub(super) struct Encode {
    /// Those liked better come first.
    pub offers: Arc<[Offer]>,
    /// Bytes.
    pub minimum: u64,
    pub types: Arc<[MediaRange]>,
    /// Also what another site asked for with the user's credentials.
    pub cross_site: bool,
}

/// Digests of what was sent before it was encoded (RFC 9530, and what was there before it).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

impl Filter for Encode {
    fn has_response_side(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        if answer.status() == StatusCode::NOT_MODIFIED {
            not_modified(exchange, answer);
            return;
        }
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            // A part is never encoded, but what it is a part of might have been.
            if self.is_listed(answer) {
                vary::add(answer.headers_mut(), "Accept-Encoding");
            }
            return;
        }
        let length = length(exchange, answer);
        if !self.is_worth_it(exchange, answer, length) {
            return;
        }
        vary::add(answer.headers_mut(), "Accept-Encoding");
        let Some(offer) = Accepted::of(&exchange.headers).best(&self.offers, |offer| offer.coding) else { return };
        if !self.cross_site && is_forced(exchange, answer) {
            return;
        }
        encode(offer, length, answer);
    }
}

impl Encode {
    /// Whether some client gets this answer encoded.
    fn is_worth_it(&self, exchange: &Exchange, answer: &Answer, length: Option<u64>) -> bool {
        let status = answer.status();
        let headers = answer.headers();
        if status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
            || exchange.method == Method::CONNECT
            || length.is_some_and(|length| length < self.minimum.max(1))
            || headers.contains_key(header::CONTENT_ENCODING)
            || headers.contains_key(header::CONTENT_RANGE)
        {
            return false;
        }
        self.is_listed(answer) && may_be_transformed(headers)
    }

    fn is_listed(&self, answer: &Answer) -> bool {
        let Some(content_type) = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes) else {
            return false;
        };
        // gRPC frames its messages and compresses them by its own rules.
        let is_grpc = content_type.get(..16).is_some_and(|head| head.eq_ignore_ascii_case(b"application/grpc"));
        !is_grpc && self.types.iter().any(|range| range.holds(content_type))
    }
}

/// The bytes to come, where they are known. The answer to HEAD has the length of the one to GET in its field alone.
fn length(exchange: &Exchange, answer: &Answer) -> Option<u64> {
    let field = || answer.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let known = answer.body().length();
    if exchange.method == Method::HEAD { field().or(known.filter(|length| *length > 0)) } else { known.or_else(field) }
}

/// RFC 9110, section 7.7, by way of RFC 9111, section 5.2.2.6.
fn may_be_transformed(headers: &HeaderMap) -> bool {
    !headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    })
}

/// Whether another site made the browser ask with the user's credentials, without the user: the one way to learn a
/// secret from the size of an answer by asking again and again (BREACH, threat XZ01). An origin that lets that site
/// read the answer anyway has nothing to hide from it.
fn is_forced(exchange: &Exchange, answer: &Answer) -> bool {
    let headers = &exchange.headers;
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
        && headers.get("sec-fetch-user").is_none_or(|user| user != "?1")
        && (headers.contains_key(header::COOKIE) || headers.contains_key(header::AUTHORIZATION))
        && answer.headers().get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_none_or(|allow| allow != "true")
}

/// The client has the encoded form, whose tag we had weakened: it must know this answer by the same tag.
fn not_modified(exchange: &Exchange, answer: &mut Answer) {
    let Some(weak) = answer.headers().get(header::ETAG).map(|tag| weak_tag(tag).unwrap_or_else(|| tag.clone())) else {
        return;
    };
    let asked = exchange.headers.get_all(header::IF_NONE_MATCH).iter();
    let has_weak =
        asked.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|tag| weak == tag.trim_ascii());
    if has_weak {
        answer.headers_mut().insert(header::ETAG, weak);
        vary::add(answer.headers_mut(), "Accept-Encoding");
    }
}

/// The weak form of a strong tag.
fn weak_tag(tag: &HeaderValue) -> Option<HeaderValue> {
    if !tag.as_bytes().starts_with(b"\"") {
        return None;
    }
    HeaderValue::from_maybe_shared(Bytes::from([b"W/", tag.as_bytes()].concat())).ok()
}

fn encode(offer: Offer, length: Option<u64>, answer: &mut Answer) {
    let coder = Coder::start(offer.coding, offer.level);
    let mut encoded = None;
    match std::mem::take(answer.body_mut()) {
        Body::Empty => coder.release(),
        Body::Full(bytes) if bytes.len() <= STEP => {
            let at_once = at_once(coder, &bytes);
            // What does not get smaller goes as it is.
            let Some(smaller) = at_once.ok().filter(|encoded| encoded.len() < bytes.len()) else {
                *answer.body_mut() = Body::Full(bytes);
                return;
            };
            encoded = Some(smaller.len());
            *answer.body_mut() = Body::Full(smaller);
        }
        inner => {
            let flush = if length.is_none() || is_event_stream(answer) { Flush::WhenIdle } else { Flush::AtEnd };
            *answer.body_mut() = Body::stream(Encoded::new(inner, coder, flush));
        }
    }
    mark(offer.coding, encoded, answer.headers_mut());
}

fn mark(coding: Coding, length: Option<usize>, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_ENCODING, coding.value());
    match length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
        None => headers.remove(header::CONTENT_LENGTH),
    };
    // A range of the encoded form can't be asked for: it is not kept, and need not come out the same twice.
    headers.remove(header::ACCEPT_RANGES);
    for digest in DIGESTS {
        headers.remove(digest);
    }
    if let Some(weak) = headers.get(header::ETAG).and_then(weak_tag) {
        headers.insert(header::ETAG, weak);
    }
}

fn is_event_stream(answer: &Answer) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| essence(kind.as_bytes()).eq_ignore_ascii_case(b"text/event-stream"))
}

/// Encodes what is there in full, so that its length stays known.
fn at_once(mut coder: Coder, mut input: &[u8]) -> io::Result<Bytes> {
    let mut gathered = BytesMut::new();
    while !input.is_empty() {
        let taken = coder.encode(input)?;
        input = &input[taken..];
        if coder.is_full() {
            gathered.extend_from_slice(&coder.drain());
        }
    }
    while !coder.finish()? {
        gathered.extend_from_slice(&coder.drain());
    }
    let last = coder.drain();
    coder.release();
    if gathered.is_empty() {
        return Ok(last);
    }
    gathered.extend_from_slice(&last);
    Ok(gathered.freeze())
}

#[cfg(test)]
mod tests;
