//! What a second attempt says: the same as the first, or nothing at all.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use proxyfile::http::fault::{Cause, Fault};
use proxyfile::upstream::{Answer, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::http2::{https, identity};
use crate::origin::{Request, RequestBody, full, run, settings};

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server on a Unix socket, where a peer that has gone is told at the first write. It keeps its side of each connection
/// for the test to drop, and what it was sent.
struct Origin {
    path: PathBuf,
    streams: Rc<RefCell<Vec<Option<UnixStream>>>>,
    heard: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Origin {
    /// Answers what ends in this.
    fn new(name: &str, end: &'static [u8]) -> Self {
        let path = std::env::temp_dir().join(format!("upstream-{name}-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let (streams, heard) = (Rc::<RefCell<Vec<_>>>::default(), Rc::<RefCell<Vec<_>>>::default());
        let origin = Self { path, streams: streams.clone(), heard: heard.clone() };
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(end) {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0, "broken off: {request:?}");
                }
                stream.write_all(EMPTY).await.unwrap();
                heard.borrow_mut().push(request);
                streams.borrow_mut().push(Some(stream));
            }
        });
        origin
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(settings(&[&address(&self.path)]))
    }

    /// Nothing has a turn between this and the next await.
    fn leave(&self) {
        self.streams.borrow_mut().clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn address(path: &Path) -> String {
    format!("unix/{}", path.display())
}

/// These frames, all of them ready, of so many bytes in all where that was said.
fn ready(frames: &'static [&'static str], length: Option<u64>) -> RequestBody {
    let frames = frames.iter().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    Said { inner: StreamBody::new(futures_util::stream::iter(frames)), length }.boxed_unsync()
}

struct Said<B> {
    inner: B,
    length: Option<u64>,
}

impl<B: Body<Data = Bytes, Error = Fault> + Unpin> Body for Said<B> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let (Some(Ok(frame)), Some(left)) = (&frame, &mut self.length) {
            *left -= frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[test]
fn xf19_a_request_that_is_tried_again_says_the_same() {
    run(async {
        type Make = fn() -> RequestBody;
        let cases: [(&str, Make, &[u8]); 6] = [
            ("whole", || full("GET /smuggled"), b"GET /smuggled"),
            ("one", || ready(&["GET /smuggled"], Some(13)), b"GET /smuggled"),
            ("two", || ready(&["GET ", "/smuggled"], Some(13)), b"GET /smuggled"),
            ("chunk", || ready(&["GET /smuggled"], None), b"0\r\n\r\n"),
            ("chunks", || ready(&["GET ", "/smuggled"], None), b"0\r\n\r\n"),
            ("nothing", || ready(&[""], None), b"0\r\n\r\n"),
        ];
        for (name, body, end) in cases {
            let origin = Origin::new(name, end);
            let upstream = origin.upstream();
            let (answer, trace) = Request::with(body()).send(&upstream).await;
            assert!(answer.is_ok(), "{name}: {:?}", answer.err());
            assert_eq!((trace.attempts, upstream.servers()[0].idle()), (1, 1), "{name}");
            origin.leave();
            let (answer, trace) = Request::with(body()).send(&upstream).await;
            assert!(matches!(answer, Ok(Answer::Response(_))), "{name}: {:?}", answer.err());
            assert_eq!((trace.attempts, trace.reused), (2, false), "{name}");
            let heard = origin.heard.borrow();
            assert_eq!(heard.len(), 2, "{name}");
            assert_eq!(String::from_utf8_lossy(&heard[1]), String::from_utf8_lossy(&heard[0]), "{name}");
        }
    });
}

#[test]
fn the_rest_of_a_body_is_none_for_another_protocol() {
    run(async {
        let (mut old, roots) = identity("app.test", &[]);
        old.send_tls13_tickets = 0;
        let mut new = old.clone();
        new.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, asked) = (Rc::<RefCell<Option<_>>>::default(), Rc::<RefCell<Vec<_>>>::default());
        let (keep, told) = (held.clone(), asked.clone());
        tokio::task::spawn_local(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(old)).accept(tcp).await.unwrap();
            assert!(stream.read_buf(&mut Vec::new()).await.unwrap() > 0);
            stream.write_all(EMPTY).await.unwrap();
            keep.borrow_mut().replace(stream);
            let (tcp, _) = listener.accept().await.unwrap();
            let stream = tokio_rustls::TlsAcceptor::from(Arc::new(new)).accept(tcp).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                told.borrow_mut().push(request);
                respond.send_response(http::Response::new(()), true).unwrap();
            }
        });
        let upstream = https(address, roots, "app.test");
        assert!(Request::get().send(&upstream).await.0.is_ok());
        assert_eq!(upstream.servers()[0].idle(), 1);
        let stream = held.borrow_mut().take().unwrap();
        // The next write fails, and not only the one after it.
        socket2::SockRef::from(stream.get_ref().0).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(stream);
        let (answer, trace) = Request::with(full("body")).send(&upstream).await;
        assert_eq!((answer.err().map(|fault| fault.cause), trace.attempts), (Some(Cause::ClosedEarly), 2));
        assert!(asked.borrow().is_empty(), "asked without its body: {:?}", asked.borrow());
        // What has none may change its protocol at will.
        assert!(Request::get().send(&upstream).await.0.is_ok());
    });
}
