//! Answers of every kind, as they come out of the step.

use std::collections::VecDeque;
use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::Response;
use http_body::{Body as HttpBody, Frame};

use super::*;
use crate::check::Value;
use crate::http::fault::{Cause, Fault};

/// What an origin sends, bit by bit.
enum Bit {
    Data(Bytes),
    Pause,
    Trailers(HeaderMap),
    Fail,
}

struct Script(VecDeque<Bit>);

impl HttpBody for Script {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Bit::Pause) => Poll::Pending,
            Some(Bit::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Bit::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Bit::Fail) => Poll::Ready(Some(Err(Cause::ClosedInBody.into()))),
        }
    }
}

fn script(bits: impl IntoIterator<Item = Bit>) -> Body {
    Body::stream(Script(bits.into_iter().collect()))
}

fn step(coding: Coding, level: u8) -> Encode {
    Encode {
        offers: [Offer { coding, level }].into(),
        minimum: 1024,
        types: super::super::media::COMMON.iter().map(|range| MediaRange::parse(range).unwrap()).collect(),
        cross_site: false,
    }
}

fn gzip() -> Encode {
    step(Coding::Gzip, 2)
}

fn answer(body: Body, fields: &[(&'static str, &str)]) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    for (name, value) in fields {
        answer.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    answer
}

fn page() -> Body {
    Body::from("<p>All work and no play makes Jack a dull boy</p>\n".repeat(100))
}

/// Lets an answer to a client that takes everything through the step.
fn pass(step: &Encode, answer: Answer) -> Answer {
    pass_for(step, &mut Exchange::sample("/", &[("accept-encoding", "gzip, br, zstd")]), answer)
}

fn pass_for(step: &Encode, exchange: &mut Exchange, mut answer: Answer) -> Answer {
    step.response(exchange, &mut answer);
    answer
}

fn field(answer: &Answer, name: &str) -> Option<String> {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn is_encoded(answer: &Answer) -> bool {
    answer.headers().contains_key(header::CONTENT_ENCODING)
}

/// One poll. A pending body that asked to be polled again is polled again.
fn poll(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// All that comes, pauses left out.
fn drain(mut body: Body) -> (Vec<u8>, Option<HeaderMap>, Vec<usize>) {
    let (mut bytes, mut trailers, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        match poll(&mut body) {
            Poll::Pending => {}
            Poll::Ready(None) => return (bytes, trailers, sizes),
            Poll::Ready(Some(frame)) => match frame.expect("no fault").into_data() {
                Ok(data) => {
                    sizes.push(data.len());
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

/// As far as it can be decoded: a stream that has not ended gives what was flushed.
fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    use compression_codecs::{BrotliDecoder, DecodeV2, ZstdDecoder};
    use compression_core::util::{PartialBuffer, WriteBuffer};
    if coding == Coding::Gzip {
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(bytes);
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = decoder.read(&mut buffer) {
            text.extend_from_slice(&buffer[..length]);
        }
        return text;
    }
    let mut decoder: Box<dyn DecodeV2> = match coding {
        Coding::Zstd => Box::new(ZstdDecoder::new()),
        _ => Box::new(BrotliDecoder::new()),
    };
    let mut input = PartialBuffer::new(bytes);
    let mut text = Vec::new();
    let mut room = vec![0; 1 << 16];
    loop {
        let mut out = WriteBuffer::new_initialized(&mut room);
        let ended = decoder.decode(&mut input, &mut out).expect("a stream that can be decoded");
        text.extend_from_slice(out.written());
        if ended || (out.written().is_empty() && input.unwritten().is_empty()) {
            return text;
        }
    }
}

/// Text that no codec makes much smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + u8::try_from(state % 90).unwrap()
    })
    .take(length)
    .collect()
}

const ALL: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

#[test]
fn m11_a_page_at_hand_keeps_a_length() {
    for coding in ALL {
        let passed = pass(&step(coding, 3), answer(page(), &[("content-length", "5000"), ("etag", "\"a\"")]));
        assert_eq!(field(&passed, "content-encoding").as_deref(), Some(coding.name()));
        assert_eq!(field(&passed, "vary").as_deref(), Some("Accept-Encoding"));
        assert_eq!(field(&passed, "etag").as_deref(), Some("W/\"a\""));
        assert_eq!(field(&passed, "content-length"), passed.body().length().map(|length| length.to_string()));
        let (bytes, _, _) = drain(passed.into_body());
        assert!(bytes.len() < 500, "{coding:?}: {}", bytes.len());
        assert_eq!(decode(coding, &bytes), drain(page()).0);
    }
}

#[test]
fn m11_streams_of_every_size_come_out_as_they_went_in() {
    for coding in ALL {
        for length in [1, 1500, STEP - 1, STEP, STEP + 1, 1 << 20] {
            let text = noise(length);
            let bits = text.chunks(16_000).map(|chunk| Bit::Data(Bytes::copy_from_slice(chunk)));
            let passed = pass(&step(coding, 2), answer(script(bits), &[]));
            assert_eq!(field(&passed, "content-length"), None);
            let (bytes, _, sizes) = drain(passed.into_body());
            assert_eq!(decode(coding, &bytes), text, "{coding:?} {length}");
            assert!(sizes.iter().all(|size| *size > 0 && *size <= 32 << 10), "{sizes:?}");
        }
        // One large piece, compressible: it is encoded in bounded steps.
        let text = "a line like any other\n".repeat(50_000);
        let passed = pass(&step(coding, 2), answer(Body::from(text.clone()), &[]));
        assert_eq!(decode(coding, &drain(passed.into_body()).0), text.as_bytes());
    }
}

#[test]
fn work_is_done_in_bounded_steps() {
    let text = "a line like any other\n".repeat(20_000);
    let mut body = pass(&gzip(), answer(Body::from(text.clone()), &[])).into_body();
    let mut rests = 0;
    loop {
        match poll(&mut body) {
            Poll::Pending => rests += 1,
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => assert!(frame.is_ok()),
        }
    }
    assert_eq!(rests, text.len() / STEP);
}

#[test]
fn p07_an_event_is_out_before_the_next_one_is_made() {
    for coding in ALL {
        let event = |text: &'static str| Bit::Data(Bytes::from_static(text.as_bytes()));
        let events = script([event("data: one\n\n"), Bit::Pause, event("data: two\n\n"), Bit::Pause]);
        let fields: &[_] = &[("content-type", "text/event-stream"), ("content-length", "4000")];
        let mut body = pass(&step(coding, 3), answer(events, fields)).into_body();
        let mut bytes = Vec::new();
        for expected in ["data: one\n\n", "data: one\n\ndata: two\n\n"] {
            let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!("{coding:?}: nothing came") };
            bytes.extend_from_slice(&frame.into_data().unwrap());
            assert_eq!(String::from_utf8(decode(coding, &bytes)).unwrap(), expected, "{coding:?}");
        }
    }
}

#[test]
fn what_has_a_length_is_not_cut_up_by_pauses() {
    let text = "a line like any other\n".repeat(1000);
    let bits = text.as_bytes().chunks(1000).flat_map(|chunk| [Bit::Data(Bytes::copy_from_slice(chunk)), Bit::Pause]);
    let length = text.len().to_string();
    let passed = pass(&gzip(), answer(script(bits), &[("content-length", &length)]));
    let (bytes, _, sizes) = drain(passed.into_body());
    assert_eq!(sizes.len(), 1, "{sizes:?}");
    assert_eq!(decode(Coding::Gzip, &bytes), text.as_bytes());
}

#[test]
fn p08_trailers_pass() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    let bits = [Bit::Data(Bytes::from_static(b"hello hello hello")), Bit::Trailers(trailers.clone())];
    let (bytes, passed, _) = drain(pass(&gzip(), answer(script(bits), &[])).into_body());
    assert_eq!(decode(Coding::Gzip, &bytes), b"hello hello hello");
    assert_eq!(passed, Some(trailers));
}

#[test]
fn a_failure_passes_and_ends_the_body() {
    for coding in ALL {
        let bits = [Bit::Data(Bytes::from_static(b"hello")), Bit::Fail];
        let mut body = pass(&step(coding, 2), answer(script(bits), &[])).into_body();
        let Poll::Ready(Some(Err(fault))) = poll(&mut body) else { panic!("the failure did not pass") };
        assert_eq!(fault.cause, Cause::ClosedInBody);
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        // What it left behind must not show in the next answer.
        let (bytes, _, _) = drain(pass(&step(coding, 2), answer(page(), &[])).into_body());
        assert_eq!(decode(coding, &bytes), drain(page()).0);
    }
}

#[test]
fn m11_what_is_encoded_already_or_gains_nothing_passes_as_it_is() {
    let untouched = |answer: Answer| {
        let before = answer.headers().clone();
        let passed = pass(&gzip(), answer);
        assert_eq!(passed.headers(), &before);
    };
    untouched(answer(page(), &[("content-encoding", "br")]));
    untouched(answer(page(), &[("content-type", "image/png")]));
    untouched(answer(page(), &[("content-type", "application/grpc+json")]));
    untouched(answer(page(), &[("content-type", "Application/gRPC-web-text")]));
    untouched(answer(page(), &[("cache-control", "public, No-Transform")]));
    untouched(answer(page(), &[("content-range", "bytes 0-4999/9999")]));
    untouched(answer(Body::from("short"), &[]));
    untouched(answer(script([]), &[("content-length", "1023")]));
    for status in [101, 204, 205] {
        let mut answer = answer(page(), &[]);
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        untouched(answer);
    }
    let mut part = answer(page(), &[("content-range", "bytes 0-4999/9999")]);
    *part.status_mut() = StatusCode::PARTIAL_CONTENT;
    let passed = pass(&gzip(), part);
    assert_eq!((is_encoded(&passed), field(&passed, "vary").as_deref()), (false, Some("Accept-Encoding")));
    let mut nameless = answer(page(), &[]);
    nameless.headers_mut().remove(header::CONTENT_TYPE);
    untouched(nameless);
}

#[test]
fn what_does_not_get_smaller_goes_as_it_is() {
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let bytes: Vec<u8> = random.take(1100).collect();
    for coding in ALL {
        let passed = pass(&step(coding, 1), answer(Body::Full(bytes.clone().into()), &[("etag", "\"a\"")]));
        assert!(!is_encoded(&passed), "{coding:?}");
        assert_eq!(field(&passed, "etag").as_deref(), Some("\"a\""));
        assert_eq!(drain(passed.into_body()).0, bytes);
    }
}

#[test]
fn m11_vary_is_there_for_those_who_take_nothing_and_only_once() {
    let vary = |fields: &[(&'static str, &str)]| {
        let passed = pass_for(&gzip(), &mut Exchange::sample("/", &[]), answer(page(), fields));
        assert!(!is_encoded(&passed));
        field(&passed, "vary")
    };
    assert_eq!(vary(&[]).as_deref(), Some("Accept-Encoding"));
    assert_eq!(vary(&[("vary", "Origin")]).as_deref(), Some("Origin, Accept-Encoding"));
    assert_eq!(vary(&[("vary", "origin, accept-encoding")]).as_deref(), Some("origin, accept-encoding"));
    assert_eq!(vary(&[("vary", "*")]).as_deref(), Some("*"));
    assert_eq!(vary(&[("content-type", "image/png")]), None);
}

#[test]
fn fields_that_no_longer_hold_go() {
    let fields: &[_] = &[
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("content-md5", "AA=="),
        ("etag", "W/\"kept\""),
    ];
    let passed = pass(&gzip(), answer(page(), fields));
    for name in ["accept-ranges", "content-digest", "repr-digest", "content-md5"] {
        assert_eq!(field(&passed, name), None, "{name}");
    }
    assert_eq!(field(&passed, "etag").as_deref(), Some("W/\"kept\""));
}

#[test]
fn m11_head_says_what_get_would() {
    let mut exchange = Exchange::sample("/", &[("accept-encoding", "gzip")]);
    exchange.method = Method::HEAD;
    let fields: &[_] = &[("content-length", "5000"), ("etag", "\"a\"")];
    let passed = pass_for(&gzip(), &mut exchange, answer(Body::Empty, fields));
    assert_eq!(field(&passed, "content-encoding").as_deref(), Some("gzip"));
    assert_eq!(field(&passed, "content-length"), None);
    assert_eq!(field(&passed, "etag").as_deref(), Some("W/\"a\""));
    assert_eq!(passed.body().length(), Some(0));
    let short = pass_for(&gzip(), &mut exchange, answer(Body::Empty, &[("content-length", "500")]));
    assert_eq!(field(&short, "content-length").as_deref(), Some("500"));
    let chunked = pass_for(&gzip(), &mut exchange, answer(Body::Empty, &[]));
    assert_eq!(field(&chunked, "content-encoding").as_deref(), Some("gzip"));
}

#[test]
fn a_304_bears_the_tag_that_the_client_knows() {
    let tags = |asked: &str| {
        let mut exchange = Exchange::sample("/", &[("if-none-match", asked), ("accept-encoding", "gzip")]);
        let mut not_modified = answer(Body::Empty, &[("etag", "\"a\"")]);
        not_modified.headers_mut().remove(header::CONTENT_TYPE);
        *not_modified.status_mut() = StatusCode::NOT_MODIFIED;
        let passed = pass_for(&gzip(), &mut exchange, not_modified);
        assert!(!is_encoded(&passed));
        (field(&passed, "etag").unwrap(), field(&passed, "vary"))
    };
    assert_eq!(tags("W/\"b\", W/\"a\""), ("W/\"a\"".into(), Some("Accept-Encoding".into())));
    assert_eq!(tags("\"a\""), ("\"a\"".into(), None));
}

#[test]
fn xz01_other_sites_do_not_learn_what_compresses_well() {
    let encoded = |fields: &[(&'static str, &str)], answered: &[(&'static str, &str)], step: &Encode| {
        let mut exchange = Exchange::sample("/", fields);
        exchange.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let passed = pass_for(step, &mut exchange, answer(page(), answered));
        assert_eq!(field(&passed, "vary").as_deref(), Some("Accept-Encoding"));
        is_encoded(&passed)
    };
    let forced: &[_] = &[("sec-fetch-site", "cross-site"), ("cookie", "session=1")];
    assert!(!encoded(forced, &[], &gzip()));
    assert!(!encoded(&[("sec-fetch-site", "cross-site"), ("authorization", "Basic x")], &[], &gzip()));
    // Without credentials, by the user's own click, from the site itself, or by a site that may read it: no secret.
    assert!(encoded(&[("sec-fetch-site", "cross-site")], &[], &gzip()));
    assert!(encoded(&[("sec-fetch-site", "cross-site"), ("sec-fetch-user", "?1"), ("cookie", "a=1")], &[], &gzip()));
    assert!(encoded(&[("sec-fetch-site", "same-origin"), ("cookie", "a=1")], &[], &gzip()));
    assert!(encoded(forced, &[("access-control-allow-credentials", "true")], &gzip()));
    assert!(encoded(&[("cookie", "a=1")], &[("set-cookie", "b=2")], &gzip()));
    assert!(encoded(forced, &[], &Encode { cross_site: true, ..gzip() }));
}
