//! What the process counts, for whoever collects it: text over plain HTTP, at an address of its own, on the control plane's
//! thread.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::admin::{Ask, Command};
use super::listener::Bound;
use crate::check::value::ListenAddress;
use crate::telemetry::metrics::Form;

/// Collectors at once.
const MOST: usize = 16;
/// For a whole connection, which asks once.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failure to accept: without file descriptors the next one fails, too.
const PAUSE: Duration = Duration::from_millis(100);

/// The open door. It closes when this is dropped.
#[derive(Debug)]
pub struct Exporter {
    address: ListenAddress,
    task: AbortHandle,
}

impl Exporter {
    /// Must be called inside a runtime.
    pub fn open(address: ListenAddress, bound: Bound, asks: mpsc::Sender<Ask>) -> io::Result<Self> {
        let shown = bound.shown();
        let task = match bound {
            Bound::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::spawn(accept(async move || listener.accept().await.map(|(stream, _)| stream), asks))
            }
            Bound::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                tokio::spawn(accept(async move || listener.accept().await.map(|(stream, _)| stream), asks))
            }
        };
        tracing::info!(address = shown, "metrics are served");
        Ok(Self { address, task: task.abort_handle() })
    }

    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
        if let ListenAddress::Unix(path) = &self.address {
            let _ = std::fs::remove_file::<&PathBuf>(path);
        }
    }
}

async fn accept<S>(mut next: impl AsyncFnMut() -> io::Result<S>, asks: mpsc::Sender<Ask>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(MOST));
    loop {
        // It is never closed.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match next().await {
            Ok(stream) => {
                let asks = asks.clone();
                tokio::spawn(async move {
                    serve(stream, asks).await;
                    drop(seat);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, asks: mpsc::Sender<Ask>) {
    let service = service_fn(|request| {
        let asks = asks.clone();
        async move { Ok::<_, Infallible>(answer(&request, &asks).await) }
    });
    let connection =
        http1::Builder::new().keep_alive(false).max_buf_size(16 * 1024).serve_connection(TokioIo::new(stream), service);
    // Whoever is too slow collects later.
    let _ = timeout(PATIENCE, connection).await;
}

async fn answer(request: &Request<Incoming>, asks: &mpsc::Sender<Ask>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are under /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read by GET\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let form = wanted(request);
    let (answer, answered) = oneshot::channel();
    let asked = asks.send(Ask { command: Command::Metrics(form), answer }).await;
    let (Ok(()), Ok(Value::String(text))) = (asked, answered.await) else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "rp is shutting down\n");
    };
    let kind = match form {
        Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Form::Plain => "text/plain; version=0.0.4; charset=utf-8",
    };
    let mut page = Response::new(Full::from(text));
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page
}

/// A collector that knows the newer form names it.
fn wanted(request: &Request<Incoming>) -> Form {
    let names_it =
        |value: &HeaderValue| memchr::memmem::find(value.as_bytes(), b"application/openmetrics-text").is_some();
    if request.headers().get_all(ACCEPT).iter().any(names_it) { Form::OpenMetrics } else { Form::Plain }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
