//! The running `cors`, by the Fetch standard's section on the CORS protocol.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use super::origin::OriginPattern;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::step::{Answer, Filter};
use crate::http::vary;

#[derive(Debug)]
pub(super) struct Cors {
    pub origins: Box<[OriginPattern]>,
    pub methods: HeaderValue,
    pub headers: HeaderValue,
    pub expose: Option<HeaderValue>,
    pub credentials: bool,
    pub max_age: HeaderValue,
}

/// What only the answer to a preflight has.
const OF_PREFLIGHT: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

const OF_ALL: [HeaderName; 3] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

impl Filter for Cors {
    /// What the request says of its origin is kept for the way out: a statement below may take the field away.
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        if exchange.origin.is_none() {
            exchange.origin = origin(&exchange.headers).cloned().map(Box::new);
        }
        if !is_preflight(exchange) {
            return Ok(None);
        }
        let mut answer = Response::new(Body::Empty);
        *answer.status_mut() = StatusCode::NO_CONTENT;
        if self.allows(exchange) {
            let fields = answer.headers_mut();
            fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            fields.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Ok(Some(answer))
    }

    fn has_response_side(&self) -> bool {
        true
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let fields = answer.headers_mut();
        let is_preflight = is_preflight(exchange);
        OF_ALL.iter().for_each(|name| drop(fields.remove(name)));
        if !is_preflight {
            OF_PREFLIGHT.iter().for_each(|name| drop(fields.remove(name)));
        }
        let origin = if self.is_for_all() {
            // To whoever does not ask, too: a cache may keep that answer for somebody who does.
            HeaderValue::from_static("*")
        } else {
            // Whoever is let in or not: a cache must not give one's answer to the other.
            vary::add(fields, "Origin");
            let Some(origin) = exchange.origin.as_deref().filter(|_| self.allows(exchange)) else { return };
            origin.clone()
        };
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = self.expose.as_ref().filter(|_| !is_preflight) {
            fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

impl Cors {
    /// Everybody gets the same answer.
    fn is_for_all(&self) -> bool {
        matches!(*self.origins, [OriginPattern::Any])
    }

    fn allows(&self, exchange: &Exchange) -> bool {
        let origin = exchange.origin.as_deref();
        origin.is_some_and(|origin| self.origins.iter().any(|pattern| pattern.holds(origin.as_bytes())))
    }
}

/// Of several, none is believed.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut fields = headers.get_all(header::ORIGIN).iter();
    fields.next().filter(|_| fields.next().is_none())
}

fn is_preflight(exchange: &Exchange) -> bool {
    exchange.method == Method::OPTIONS
        && exchange.origin.is_some()
        && exchange.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
