//! The answer that is given when nothing else can be: a status, the request's id, and nothing of what lies behind.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::body::Body;
use super::exchange::Exchange;
use super::fault::{Blame, Cause, Fault};
use super::step::Answer;

/// The answer for a fault (requirement C02: neither addresses nor reasons of the upstream show in it).
#[must_use]
pub fn fault(exchange: &Exchange, fault: &Fault) -> Answer {
    if is_grpc(exchange) && fault.cause.blame() != Blame::Client {
        return grpc(fault);
    }
    let mut answer = page(exchange, fault.status());
    if fault.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

fn page(exchange: &Exchange, status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Error");
    let id = exchange.id.as_str();
    let wants_html =
        exchange.headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
    let (kind, text) = if wants_html {
        ("text/html; charset=utf-8", html(status, reason, id))
    } else {
        ("text/plain; charset=utf-8", format!("{} {reason}\nrequest {id}\n", status.as_u16()))
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// `id` is made of letters, digits, `.`, `_` and `-`, so it needs no escaping.
fn html(status: StatusCode, reason: &str, id: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{code} {reason}</title><style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;\
         display:grid;place-content:center;min-height:90vh;text-align:center}}h1{{font-size:4rem;margin:0}}\
         small{{opacity:.6;font-family:ui-monospace,monospace}}</style><h1>{code}</h1><p>{reason}</p><small>{id}</small>\n",
        code = status.as_u16()
    )
}

fn is_grpc(exchange: &Exchange) -> bool {
    exchange.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"application/grpc") && !kind.as_bytes().starts_with(b"application/grpc-web")
    })
}

/// gRPC over HTTP/2: failures are told in `grpc-status`, in an answer of trailers only (requirement P06).
fn grpc(fault: &Fault) -> Answer {
    let status = match fault.cause {
        Cause::HeaderTimeout | Cause::ReadTimeout | Cause::TotalTimeout => "4",
        Cause::Panic => "13",
        _ => "14",
    };
    let mut answer = Response::new(Body::Empty);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    headers.insert("grpc-message", HeaderValue::from_static(fault.cause.code()));
    answer
}
