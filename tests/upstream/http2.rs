//! Servers that speak HTTP/2, and TLS.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use proxyfile::http::fault::Cause;
use proxyfile::upstream::{Scheme, Settings, Timeouts, Tls, Upstream};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::origin::{Request, full, get, next, read, run, settings};
use crate::requests::{data, fed};

type Asked = http::Request<h2::RecvStream>;

struct Origin {
    address: SocketAddr,
    connections: Rc<Cell<usize>>,
}

/// An origin that speaks HTTP/2 without TLS; `serve` is told which request it is, from 1.
async fn origin<F>(serve: impl Fn(usize, Asked, SendResponse<Bytes>) -> F + Clone + 'static) -> Origin
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Rc::<Cell<usize>>::default();
    let (told, count) = (connections.clone(), Rc::<Cell<usize>>::default());
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            told.set(told.get() + 1);
            tokio::task::spawn_local(speak(stream, serve.clone(), count.clone()));
        }
    });
    Origin { address, connections }
}

async fn speak<F, S>(
    stream: S,
    serve: impl Fn(usize, Asked, SendResponse<Bytes>) -> F + 'static,
    count: Rc<Cell<usize>>,
) where
    F: Future<Output = ()> + 'static,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        count.set(count.get() + 1);
        tokio::task::spawn_local(serve(count.get(), request, respond));
    }
}

async fn hello(_: usize, request: Asked, mut respond: SendResponse<Bytes>) {
    assert_eq!(request.uri(), "http://example.com/path?query");
    assert!(!request.headers().contains_key("host"));
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(b"hello"), true).unwrap();
}

fn h2c(address: SocketAddr) -> Settings {
    settings(&[&format!("h2c://{address}")])
}

#[test]
fn many_requests_share_one_connection() {
    run(async {
        let origin = origin(hello).await;
        let upstream = Upstream::new(h2c(origin.address));
        let all: Vec<_> = (0..20).map(|_| get(&upstream)).collect();
        for (status, body) in futures_util::future::join_all(all).await {
            assert_eq!((status, body.as_str()), (200, "hello"));
        }
        assert_eq!(origin.connections.get(), 1, "the first made it and the others waited");
        let (_, trace) = Request::get().send(&upstream).await;
        assert!(trace.reused);
    });
}

#[test]
fn bodies_stream_both_ways_with_trailers() {
    run(async {
        let origin = origin(|_, request: Asked, mut respond| async move {
            assert_eq!(request.headers()["content-length"], "4");
            assert_eq!(request.headers()["te"], "trailers");
            let mut body = request.into_body();
            let fields = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut stream = respond.send_response(fields, false).unwrap();
            while let Some(data) = body.data().await {
                stream.send_data(data.unwrap(), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            trailers.insert("authorization", HeaderValue::from_static("evil"));
            stream.send_trailers(trailers).unwrap();
        })
        .await;
        let upstream = Upstream::new(h2c(origin.address));
        let mut request = Request::with(full("body"));
        request.fields.insert("te", HeaderValue::from_static("trailers"));
        request.fields.insert("content-length", HeaderValue::from_static("7"));
        let body = request.response(&upstream).await.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap().len(), 1);
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "body");
    });
}

/// An origin that refuses its first stream, after so many pieces of the body. The bodies that it then reads, and a sign when
/// there is a second stream.
async fn refusing(pieces: usize) -> (Origin, Rc<RefCell<Vec<String>>>, Rc<Notify>) {
    let (bodies, second) = (Rc::<RefCell<Vec<String>>>::default(), Rc::<Notify>::default());
    let (told, sign) = (bodies.clone(), second.clone());
    let origin = origin(move |count, request: Asked, mut respond: SendResponse<Bytes>| {
        let (told, sign) = (told.clone(), sign.clone());
        async move {
            let mut body = request.into_body();
            if count == 1 {
                for _ in 0..pieces {
                    body.data().await.unwrap().unwrap();
                }
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                return;
            }
            sign.notify_one();
            let mut text = String::new();
            while let Some(data) = body.data().await {
                text += std::str::from_utf8(&data.unwrap()).unwrap();
            }
            told.borrow_mut().push(text);
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    (origin.await, bodies, second)
}

#[test]
fn a_refused_stream_is_tried_again_with_its_body() {
    run(async {
        let (none, bodies, _) = refusing(0).await;
        let (result, trace) = Request::get().send(&Upstream::new(h2c(none.address))).await;
        assert_eq!((result.is_ok(), trace.attempts), (true, 2));
        assert_eq!(*bodies.borrow(), [""]);
        // A body of which nothing has come yet is as good as new.
        let (later, bodies, second) = refusing(0).await;
        let upstream = Upstream::new(h2c(later.address));
        let (frames, body) = fed();
        let feed = async {
            second.notified().await;
            frames.send(Ok(data("bo"))).unwrap();
            frames.send(Ok(data("dy"))).unwrap();
            drop(frames);
        };
        let ((result, trace), ()) = tokio::join!(Request::with(body).send(&upstream), feed);
        assert_eq!((result.is_ok(), trace.attempts), (true, 2));
        assert_eq!(*bodies.borrow(), ["body"]);
    });
}

#[test]
fn a_body_that_is_gone_is_not_replaced_by_nothing() {
    run(async {
        let (frames, unsized_body) = fed();
        frames.send(Ok(data("body"))).unwrap();
        drop(frames);
        let (open, half) = fed();
        open.send(Ok(data("bo"))).unwrap();
        for body in [full("body"), unsized_body, half] {
            let (origin, bodies, _) = refusing(1).await;
            let upstream = Upstream::new(h2c(origin.address));
            let (cause, trace) = Request::with(body).cause(&upstream).await;
            assert_eq!((cause, trace.attempts), (Cause::ClosedEarly, 1));
            assert!(bodies.borrow().is_empty(), "{:?}", bodies.borrow());
        }
    });
}

#[test]
fn a_connection_that_closes_over_a_body_takes_it_along() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Rc::<RefCell<Vec<Bytes>>>::default();
        let told = bodies.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_response(Response::new(()), true).unwrap();
                let Some(Ok((request, _respond))) = connection.accept().await else { continue };
                let mut body = request.into_body();
                let read = async {
                    let mut all = Vec::new();
                    while let Some(data) = body.data().await {
                        all.extend(data.unwrap());
                    }
                    all.into()
                };
                tokio::select! {
                    _ = connection.accept() => panic!("nothing else is asked"),
                    all = read => told.borrow_mut().push(all),
                }
            }
        });
        let upstream = Upstream::new(h2c(address));
        assert!(Request::get().send(&upstream).await.0.is_ok());
        let (frames, body) = fed();
        frames.send(Ok(data("body"))).unwrap();
        drop(frames);
        let request = Request { method: Method::PUT, ..Request::with(body) };
        let (cause, trace) = request.cause(&upstream).await;
        assert_eq!((cause, trace.attempts, trace.reused), (Cause::ClosedEarly, 1, true));
        assert_eq!(*bodies.borrow(), ["body"]);
    });
}

#[test]
fn a_connection_that_says_goodbye_is_not_asked_again() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Rc::<Cell<usize>>::default();
        let told = connections.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                told.set(told.get() + 1);
                tokio::task::spawn_local(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    let (request, respond) = connection.accept().await.unwrap().unwrap();
                    connection.graceful_shutdown();
                    tokio::task::spawn_local(hello(1, request, respond));
                    while connection.accept().await.is_some() {}
                });
            }
        });
        let upstream = Upstream::new(h2c(address));
        for turn in 1..5 {
            assert_eq!(get(&upstream).await.1, "hello");
            assert_eq!(connections.get(), turn);
        }
    });
}

#[test]
fn waits_have_their_timeouts_and_breaks_are_told() {
    run(async {
        let soon = Duration::from_millis(200);
        let breaking = Rc::new(Notify::new());
        let told = breaking.clone();
        let origin = origin(move |count, _request: Asked, mut respond: SendResponse<Bytes>| {
            let told = told.clone();
            async move {
                if count == 1 {
                    std::future::pending::<()>().await;
                }
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data(Bytes::from_static(b"hel"), false).unwrap();
                told.notified().await;
                // A promise that all is well is no end, either.
                let reason = if count == 3 { h2::Reason::INTERNAL_ERROR } else { h2::Reason::NO_ERROR };
                stream.send_reset(reason);
            }
        })
        .await;
        let mut settings = h2c(origin.address);
        settings.timeouts = Timeouts { first_byte: soon, read: soon, ..Timeouts::default() };
        let upstream = Upstream::new(settings);
        assert_eq!(Request::get().cause(&upstream).await.0, Cause::HeaderTimeout);
        assert_eq!(Request::get().cause(&upstream).await.0, Cause::ReadTimeout);
        for _ in 0..2 {
            let mut body = Request::get().response(&upstream).await.into_body();
            assert!(matches!(next(&mut body).await, Some(Ok(_))));
            breaking.notify_waiters();
            assert_eq!(next(&mut body).await.unwrap().unwrap_err().cause, Cause::ClosedInBody);
        }
        // A server of another age.
        let old = crate::origin::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let upstream = Upstream::new(h2c(old.address));
        assert_eq!(Request::get().cause(&upstream).await.0, Cause::Protocol);
    });
}

#[test]
fn a_response_that_is_not_wanted_resets_its_stream_alone() {
    run(async {
        let reset = Rc::new(Notify::new());
        let told = reset.clone();
        let origin = origin(move |_, _request: Asked, mut respond: SendResponse<Bytes>| {
            let told = told.clone();
            async move {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data(Bytes::from_static(b"hello"), false).unwrap();
                let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
                assert_eq!(reason, h2::Reason::CANCEL);
                told.notify_one();
            }
        });
        let origin = origin.await;
        let upstream = Upstream::new(h2c(origin.address));
        for _ in 0..3 {
            let mut body = Request::get().response(&upstream).await.into_body();
            assert!(matches!(next(&mut body).await, Some(Ok(_))));
            assert!(!body.is_end_stream());
            drop(body);
            reset.notified().await;
        }
        assert_eq!(origin.connections.get(), 1);
    });
}

/// A server's side of TLS with a certificate of its own, and the roots to trust it by.
pub fn identity(name: &str, protocols: &[&str]) -> (ServerConfig, RootCertStore) {
    let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (config, roots)
}

/// A TLS origin, and the roots to trust it by. It serves HTTP/2 where that is agreed on.
async fn tls_origin(name: &str, protocols: &[&str]) -> (SocketAddr, RootCertStore) {
    let (config, roots) = identity(name, protocols);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            tokio::task::spawn_local(async move {
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let serve = |_, _request: Asked, mut respond: SendResponse<Bytes>| async move {
                        let mut stream = respond.send_response(Response::new(()), false).unwrap();
                        stream.send_data(Bytes::from_static(b"two"), true).unwrap();
                    };
                    speak(stream, serve, Rc::default()).await;
                    return;
                }
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
                }
            });
        }
    });
    (address, roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub fn https(address: SocketAddr, roots: RootCertStore, name: &'static str) -> Upstream {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut settings = settings(&[&format!("https://{address}")]);
    assert_eq!(settings.servers[0].target.scheme, Scheme::Https);
    settings.servers[0].tls =
        Some(Tls { config: Arc::new(config), name: ServerName::try_from(name).unwrap(), key: "test".into() });
    Upstream::new(settings)
}

#[test]
fn the_handshake_shows_which_protocol_is_spoken() {
    run(async {
        for (protocols, body) in [(&["h2", "http/1.1"][..], "two"), (&["http/1.1"], "one"), (&[], "one")] {
            let (address, roots) = tls_origin("app.test", protocols).await;
            let upstream = https(address, roots, "app.test");
            let (_, trace) = Request::get().send(&upstream).await;
            assert!(trace.tls_us > 0 && !trace.reused);
            assert_eq!(get(&upstream).await.1, body);
            let (_, trace) = Request::get().send(&upstream).await;
            assert_eq!((trace.tls_us, trace.reused), (0, true), "{protocols:?}");
            // An upgrade needs HTTP/1.
            let upgrade = Request { upgrade: true, ..Request::get() };
            assert_eq!(read(upgrade.response(&upstream).await.into_body()).await.unwrap(), "one");
        }
    });
}

#[test]
fn what_is_wrong_with_tls_is_told() {
    run(async {
        let (address, roots) = tls_origin("app.test", &[]).await;
        let detail = |upstream: Upstream| async move {
            let (result, trace) = Request::get().send(&upstream).await;
            let fault = result.err().unwrap();
            assert_eq!((fault.cause, trace.attempts), (Cause::Tls, 1));
            fault.detail.unwrap().into_string()
        };
        assert!(detail(https(address, roots.clone(), "other.test")).await.contains("not valid for name"));
        let (_, other) = tls_origin("app.test", &[]).await;
        assert!(detail(https(address, other, "app.test")).await.contains("invalid peer certificate"));
        let plain = crate::origin::origin(|_, mut client| async move {
            client.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            client.closed().await;
        })
        .await;
        assert!(detail(https(plain.address, roots, "app.test")).await.contains("`http://`"));
    });
}
