//! Whole exchanges over a socket pair: what is read must not depend on how the bytes were cut.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::Body as _;
use http_body_util::Empty;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::LocalOptions;

use super::*;
use crate::http::fault::{Cause, Fault};
use crate::upstream::body::Body;
use crate::upstream::pool::{Lease, Limits};
use crate::upstream::registry::Slot;
use crate::upstream::stream::Stream;

type NoBody = http_body_util::combinators::MapErr<Empty<Bytes>, fn(std::convert::Infallible) -> Fault>;

#[derive(Debug, PartialEq)]
struct Heard {
    response: String,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    fault: Option<Cause>,
}

/// What comes of a GET that is answered with these segments, after which the server closes.
fn hear(segments: &[&[u8]]) -> Heard {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let segments: Vec<Vec<u8>> = segments.iter().map(|segment| segment.to_vec()).collect();
    runtime.block_on(async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = tokio::task::spawn_local(async move {
            let mut request = [0; 1024];
            assert!(theirs.read(&mut request).await.unwrap() > 0);
            for segment in segments {
                // The reader may have given up.
                if theirs.write_all(&segment).await.is_err() {
                    return;
                }
                // Lets the reader have it before there is more.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
        });
        let heard = exchange(Stream::Unix(ours)).await;
        server.await.unwrap();
        heard
    })
}

async fn exchange(stream: Stream) -> Heard {
    let slot = Slot::adopt("http1 exchange tests");
    let connection = Box::new(Connection::new(stream, Lease::new(&slot, Limits::default())));
    let fields = HeaderMap::new();
    let minute = Duration::from_mins(1);
    let ask = Ask {
        method: &Method::GET,
        target: b"/",
        fields: Fields { map: &fields, also: &[], host: None },
        upgrade: false,
        values: Values::Own,
        first_byte: minute,
        read: minute,
        stream: minute,
        announcement: b"",
    };
    let mut outbound = Outbound::<NoBody>::new(None, minute);
    let mut exchange = Exchange::new(connection, &ask, &mut outbound);
    match poll_fn(|cx| exchange.poll_head(cx)).await {
        Err(failure) => {
            Heard { response: String::new(), body: vec![], trailers: None, fault: Some(failure.fault.cause) }
        }
        Ok(head) => match exchange.reply(head) {
            Reply::Response(response) => collect(response).await,
            Reply::Upgraded { .. } => panic!("no upgrade was asked for"),
        },
    }
}

async fn collect(response: Response<Body>) -> Heard {
    let (parts, mut body) = response.into_parts();
    let mut heard =
        Heard { response: format!("{} {:?}", parts.status, parts.headers), body: vec![], trailers: None, fault: None };
    let hint = body.size_hint().exact();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => heard.body.extend_from_slice(&data),
            Ok(Err(frame)) => heard.trailers = frame.into_trailers().ok(),
            Err(fault) => heard.fault = Some(fault.cause),
        }
    }
    assert!(body.is_end_stream());
    assert!(heard.fault.is_some() || hint.is_none_or(|hint| hint == heard.body.len() as u64));
    heard
}

#[test]
fn a_response_is_the_same_wherever_it_is_cut() {
    for (wire, body, fault) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: 1\r\n\r\nhello"[..], &b"hello"[..], None),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 A\r\nlink: a\r\n\r\nHTTP/1.1 404 N\r\ncontent-length: 1\r\n\r\nx", b"x", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;a\r\nllo\r\n0\r\nsum: 1\r\n\r\n", b"hello", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", b"hello", Some(Cause::ClosedInBody)),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r", b"hello", Some(Cause::ClosedInBody)),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n", b"hello", Some(Cause::Malformed)),
        (b"HTTP/1.1 200 OK\r\nx", b"", Some(Cause::ClosedEarly)),
        (b"HTTP/1.1 101 Switching\r\n\r\n", b"", Some(Cause::Malformed)),
    ] {
        let whole = hear(&[wire]);
        assert_eq!((whole.body.as_slice(), whole.fault), (body, fault));
        for at in 1..wire.len() {
            let cut = hear(&[&wire[..at], &wire[at..]]);
            assert_eq!(cut, whole, "{:?} cut at {at}", String::from_utf8_lossy(wire));
        }
    }
}

#[test]
fn a_flood_of_interim_responses_is_cut_off() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(hear(&[format!("{}{last}", interim.repeat(10)).as_bytes()]).fault, None);
    assert_eq!(hear(&[format!("{}{last}", interim.repeat(11)).as_bytes()]).fault, Some(Cause::Malformed));
}

/// A valid response and what is to be read from it.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let fields = prop::collection::vec(("[a-z][a-z-]{0,12}", "[!-~]([ -~]{0,30}[!-~])?"), 0..20);
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..12);
    (fields, chunks, 0..3_u8).prop_map(|(fields, chunks, kind)| {
        let mut wire = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in fields {
            wire.extend(format!("x-{name}: {value}\r\n").bytes());
        }
        let body = chunks.concat();
        match kind {
            0 => {
                wire.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                wire.extend(&body);
            }
            1 => {
                wire.extend(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    wire.extend(chunk);
                    wire.extend(b"\r\n");
                }
                wire.extend(b"0\r\n\r\n");
            }
            _ => {
                wire.extend(b"\r\n");
                wire.extend(&body);
            }
        }
        (wire, body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_response_is_the_same_in_any_segments(
        (wire, body) in response(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        let mut segments = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().filter(|cut| *cut > 0) {
            segments.push(&wire[start..cut]);
            start = cut;
        }
        segments.push(&wire[start..]);
        let segments: Vec<&[u8]> = segments.into_iter().filter(|segment| !segment.is_empty()).collect();
        let whole = hear(&[&wire]);
        prop_assert_eq!(&whole.body, &body);
        prop_assert_eq!(whole.fault, None);
        prop_assert_eq!(hear(&segments), whole);
    }
}
