//! What goes out: framing, streaming, trailers, upgrades, and what becomes of a request that breaks off.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proxyfile::http::fault::{Cause, Fault};
use proxyfile::upstream::{Answer, HostField, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::origin::{Request, RequestBody, answering, full, get, next, origin, read, run, settings, upstream};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Fault>>;

/// A body that the test feeds.
pub fn fed() -> (Frames, RequestBody) {
    let (send, mut receive) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    (send, BodyExt::boxed_unsync(StreamBody::new(stream)))
}

pub fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[test]
fn a_request_is_framed_by_us_alone() {
    run(async {
        let origin = origin(|_, mut client| async move {
            let head = client.head().await.unwrap();
            assert_eq!(head, "POST /path?query HTTP/1.1\r\nhost: example.com\r\ncontent-length: 4\r\n\r\n");
            assert_eq!(client.take(4).await, "body");
            client.say(EMPTY).await;
            let head = client.head().await.unwrap();
            assert_eq!(head, "POST /path?query HTTP/1.1\r\nhost: example.com\r\ntransfer-encoding: chunked\r\n\r\n");
            assert_eq!(client.take(15).await, "2\r\nbo\r\n2\r\ndy\r\n0");
            assert_eq!(client.take(14).await, "\r\nx-sum: 1\r\n\r\n");
            client.say(EMPTY).await;
            assert_eq!(client.head().await.unwrap(), "GET /path?query HTTP/1.1\r\nhost: example.com\r\n\r\n");
            client.say(EMPTY).await;
        })
        .await;
        let upstream = upstream(&[&origin]);
        let mut request = Request::with(full("body"));
        request.fields.insert("content-length", HeaderValue::from_static("9"));
        request.fields.insert("transfer-encoding", HeaderValue::from_static("gzip"));
        request.response(&upstream).await;
        let (frames, body) = fed();
        frames.send(Ok(data("bo"))).unwrap();
        frames.send(Ok(data("dy"))).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        trailers.insert("host", HeaderValue::from_static("evil"));
        frames.send(Ok(Frame::trailers(trailers))).unwrap();
        Request::with(body).response(&upstream).await;
        Request::get().response(&upstream).await;
        assert_eq!(origin.log.connections.get(), 1);
    });
}

#[test]
fn the_host_can_be_the_servers_own() {
    run(async {
        let origin = answering(EMPTY).await;
        let mut settings = settings(&[&origin.address.to_string()]);
        settings.host = HostField::Server;
        get(&Upstream::new(settings)).await;
        let expected = format!("GET /path?query HTTP/1.1\r\nhost: {}\r\n\r\n", origin.address);
        assert_eq!(origin.log.requests.borrow()[0], expected);
    });
}

#[test]
fn trailers_of_a_response_are_kept() {
    run(async {
        let origin = answering(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\ncookie: a\r\n\r\n",
        )
        .await;
        let upstream = upstream(&[&origin]);
        for _ in 0..2 {
            let body = Request::get().response(&upstream).await.into_body().collect().await.unwrap();
            let trailers = body.trailers().unwrap();
            assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &HeaderValue::from_static("0")));
        }
        assert_eq!(origin.log.connections.get(), 1);
    });
}

#[test]
fn request_and_response_may_stream_at_once() {
    run(async {
        let origin = origin(|_, mut client| async move {
            client.head().await.unwrap();
            client.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            for _ in 0..3 {
                let chunk = client.take(6).await;
                client.say(chunk).await;
            }
            assert_eq!(client.take(5).await, "0\r\n\r\n");
            client.say("0\r\n\r\n").await;
            client.head().await;
        })
        .await;
        let upstream = upstream(&[&origin]);
        let (frames, body) = fed();
        let mut body = Request::with(body).response(&upstream).await.into_body();
        for _ in 0..3 {
            frames.send(Ok(data("a"))).unwrap();
            assert_eq!(next(&mut body).await.unwrap().unwrap().into_data().unwrap(), "a");
        }
        drop(frames);
        assert!(next(&mut body).await.is_none());
        assert_eq!(upstream.servers()[0].idle(), 1, "both sides ended well");
    });
}

#[test]
fn an_early_response_ends_the_request_and_its_connection() {
    run(async {
        for wire in [
            "HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge",
            "HTTP/1.1 413 Too Large\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlarge\r\n0\r\n\r\n",
        ] {
            let origin = answering(wire).await;
            let upstream = upstream(&[&origin]);
            let (frames, body) = fed();
            frames.send(Ok(data("begun"))).unwrap();
            let response = Request::with(body).response(&upstream).await;
            assert_eq!(response.status(), 413);
            assert_eq!(read(response.into_body()).await.unwrap(), "large");
            assert_eq!(upstream.servers()[0].idle(), 0);
        }
    });
}

#[test]
fn a_client_that_breaks_off_takes_the_connection_with_it() {
    run(async {
        let exact = |text, length| {
            let body = http_body_util::combinators::UnsyncBoxBody::new(Declared { inner: full(text), length });
            Request::with(body)
        };
        let (frames, body) = fed();
        frames.send(Ok(data("begun"))).unwrap();
        frames.send(Err(Cause::ClientAbort.into())).unwrap();
        for (request, cause) in [
            (Request::with(body), Cause::ClientAbort),
            (exact("short", 9), Cause::BadRequest),
            (exact("longer", 3), Cause::BadRequest),
        ] {
            let closed = Rc::new(Notify::new());
            let told = closed.clone();
            let origin = origin(move |_, mut client| {
                let told = told.clone();
                async move {
                    client.closed().await;
                    told.notify_one();
                }
            })
            .await;
            let upstream = upstream(&[&origin]);
            let (met, trace) = request.cause(&upstream).await;
            assert_eq!((met, trace.attempts), (cause, 1));
            closed.notified().await;
            assert_eq!(upstream.servers()[0].idle(), 0);
        }
    });
}

/// A body that does not keep its word.
struct Declared {
    inner: RequestBody,
    length: u64,
}

impl http_body::Body for Declared {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Fault>>> {
        std::pin::Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.length)
    }
}

#[test]
fn an_upgrade_hands_over_the_stream_and_what_was_said_on_it() {
    run(async {
        let origin = origin(|_, mut client| async move {
            client.head().await.unwrap();
            client.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nearly").await;
            assert_eq!(client.take(5).await, "hello");
            client.say("later").await;
        })
        .await;
        let upstream = upstream(&[&origin]);
        let mut request = Request::get();
        request.fields.insert("connection", HeaderValue::from_static("upgrade"));
        request.fields.insert("upgrade", HeaderValue::from_static("websocket"));
        request.upgrade = true;
        let (Ok(Answer::Upgraded { head, mut tunnel }), trace) = request.send(&upstream).await else {
            panic!("not upgraded")
        };
        assert_eq!((head.status().as_u16(), trace.upstream_status), (101, Some(head.status())));
        assert_eq!(head.headers()["upgrade"], "websocket");
        let mut said = tunnel.early.to_vec();
        tunnel.stream.write_all(b"hello").await.unwrap();
        tunnel.stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"earlylater");
    });
}

#[test]
fn a_refused_upgrade_is_a_response_like_any_other() {
    run(async {
        let origin = answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        let upstream = upstream(&[&origin]);
        let request = Request { upgrade: true, ..Request::new(Method::GET) };
        assert_eq!(read(request.response(&upstream).await.into_body()).await.unwrap(), "no");
        assert_eq!(upstream.servers()[0].idle(), 1);
    });
}

#[test]
fn bulk_goes_through_in_both_directions() {
    run(async {
        const LENGTH: usize = 5 << 20;
        let origin = origin(|_, mut client| async move {
            client.head().await.unwrap();
            assert_eq!(client.take(LENGTH).await.len(), LENGTH);
            client.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n{}", "x".repeat(LENGTH))).await;
            client.head().await;
        })
        .await;
        let upstream = upstream(&[&origin]);
        let response = Request::with(full("y".repeat(LENGTH).leak())).response(&upstream).await;
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(LENGTH as u64));
        assert_eq!(read(response.into_body()).await.unwrap().len(), LENGTH);
        assert_eq!(upstream.servers()[0].idle(), 1);
    });
}
