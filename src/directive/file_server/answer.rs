//! From a file and a request to the answer: whole, in part, unchanged or refused.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::asset::{Asset, Content};
use super::condition::Verdict;
use super::pieces::{Pieces, Segment};
use super::range::{self, Asked, Parts};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::step::Answer;

/// The answer that this file is to this request.
pub fn of(asset: &Asset, exchange: &Exchange) -> Answer {
    if exchange.fault.is_some() {
        return error_page(asset, exchange);
    }
    match asset.validators().judge(&exchange.headers) {
        Verdict::Send => {}
        Verdict::Unchanged => return unchanged(asset),
        Verdict::Failed => return bare(StatusCode::PRECONDITION_FAILED),
    }
    match asked(asset, exchange) {
        Asked::Whole => whole(asset, asset.fields.clone(), &exchange.method),
        Asked::Parts(parts) if parts.len() == 1 => part(asset, &parts[0]),
        Asked::Parts(parts) => several(asset, &parts),
        Asked::Nothing => {
            let mut answer = bare(StatusCode::RANGE_NOT_SATISFIABLE);
            answer.headers_mut().insert(header::CONTENT_RANGE, text(format!("bytes */{}", asset.size)));
            answer
        }
    }
}

/// RFC 9110, section 14.2: ranges are for GET alone.
fn asked(asset: &Asset, exchange: &Exchange) -> Asked {
    let mut fields = exchange.headers.get_all(header::RANGE).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) if exchange.method == Method::GET && asset.validators().admits_range(&exchange.headers) => {
            range::asked(field.as_bytes(), asset.size)
        }
        _ => Asked::Whole,
    }
}

fn whole(asset: &Asset, fields: HeaderMap, method: &Method) -> Answer {
    let mut answer = Response::new(Body::Empty);
    *answer.headers_mut() = fields;
    if method == Method::HEAD {
        answer.headers_mut().insert(header::CONTENT_LENGTH, asset.size.into());
        return answer;
    }
    *answer.body_mut() = match &asset.content {
        Content::Memory(bytes) => Body::Full(bytes.clone()),
        Content::Disk(_) => segments(asset, [Segment::Part(0..asset.size)]),
    };
    answer
}

fn part(asset: &Asset, part: &std::ops::Range<u64>) -> Answer {
    let mut answer = Response::new(segments(asset, [Segment::Part(part.clone())]));
    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    *answer.headers_mut() = asset.fields.clone();
    answer.headers_mut().insert(header::CONTENT_RANGE, text(content_range(part, asset.size)));
    answer
}

/// RFC 9110, section 14.6.
fn several(asset: &Asset, parts: &Parts) -> Answer {
    // Unknown to whoever wrote the file, so that no file can hold it.
    let (high, low) = (RandomState::new().hash_one(asset.size), RandomState::new().hash_one(asset.size));
    let boundary = format!("{high:016x}{low:016x}");
    let kind = asset.fields.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut list = Vec::with_capacity(parts.len() * 2 + 1);
    for (index, part) in parts.iter().enumerate() {
        let mut head = String::with_capacity(160);
        let start = if index == 0 { "" } else { "\r\n" };
        let _ = write!(
            head,
            "{start}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {}\r\n\r\n",
            content_range(part, asset.size)
        );
        list.push(Segment::Text(head.into()));
        list.push(Segment::Part(part.clone()));
    }
    list.push(Segment::Text(format!("\r\n--{boundary}--\r\n").into()));
    let mut answer = Response::new(segments(asset, list));
    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    *answer.headers_mut() = asset.fields.clone();
    let kind = text(format!("multipart/byteranges; boundary={boundary}"));
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn segments(asset: &Asset, list: impl IntoIterator<Item = Segment>) -> Body {
    let bytes = match &asset.content {
        Content::Disk(file) => return Body::stream(Pieces::new(file.clone(), list)),
        Content::Memory(bytes) => bytes,
    };
    let cut = |segment| match segment {
        Segment::Text(text) => text,
        Segment::Part(part) => {
            let place = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
            bytes.slice(place(part.start)..place(part.end))
        }
    };
    let mut list = list.into_iter().map(cut);
    let first = list.next().unwrap_or_default();
    Body::Full(match list.next() {
        None => first,
        Some(second) => {
            let mut joined = [first, second].concat();
            list.for_each(|more| joined.extend_from_slice(&more));
            Bytes::from(joined)
        }
    })
}

fn content_range(part: &std::ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end - 1)
}

/// RFC 9110, section 15.4.5: what a cache needs, and nothing of what it has.
fn unchanged(asset: &Asset) -> Answer {
    let mut answer = bare(StatusCode::NOT_MODIFIED);
    let modified = (!asset.fields.contains_key(header::ETAG)).then_some(header::LAST_MODIFIED);
    for name in [header::ETAG, header::CACHE_CONTROL, header::VARY].into_iter().chain(modified) {
        if let Some(value) = asset.fields.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// A file that tells of a failure: it stands for the failure, so neither its age nor its parts matter, and no cache may
/// keep it for as long as the file.
fn error_page(asset: &Asset, exchange: &Exchange) -> Answer {
    let mut fields = asset.fields.clone();
    for name in [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES] {
        fields.remove(name);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    whole(asset, fields, &exchange.method)
}

pub fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = status;
    answer
}

/// `made` holds visible ASCII only.
fn text(made: String) -> HeaderValue {
    HeaderValue::try_from(made).unwrap_or_else(|_| HeaderValue::from_static(""))
}
