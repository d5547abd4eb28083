//! A client of HTTP/2, with or without TLS.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::PATIENCE;

/// Runs a test that waits, and not for ever.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test does not end") })
}

/// One connection.
pub struct H2 {
    pub sender: SendRequest<Bytes>,
    connection: Option<tokio::task::JoinHandle<()>>,
    scheme: &'static str,
}

#[derive(Debug)]
pub struct H2Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl H2 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), "http").await
    }

    pub async fn tls(address: SocketAddr, name: &str, config: Arc<rustls::ClientConfig>) -> Self {
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream, "https").await
    }

    async fn over<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T, scheme: &'static str) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move {
            // What goes wrong with it is seen by whoever waits for a response.
            let _ = connection.await;
        });
        Self { sender, connection: Some(connection), scheme }
    }

    /// Ends the connection as if the client had died.
    pub fn abandon(mut self) {
        self.connection.take().expect("it is open").abort();
    }

    /// Waits until the server ends the connection.
    pub async fn wait_closed(&mut self) {
        self.connection.take().expect("waited for once").await.unwrap();
    }

    /// Waits until the server has said what it can do.
    pub async fn get_ready(&mut self) {
        self.sender.clone().ready().await.unwrap();
        // Its settings come before its first response, for which no origin is asked.
        let request = self.request("TRACE", "example.com", "/");
        let (response, _) = self.open(request, true).await.unwrap();
        drop(response.await);
    }

    pub fn request(&self, method: &str, host: &str, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{}://{host}{target}", self.scheme))
    }

    pub async fn get(&mut self, host: &str, target: &str) -> H2Response {
        let request = self.request("GET", host, target);
        self.send(request, b"").await.unwrap()
    }

    /// The same, where it may fail.
    pub async fn try_get(&mut self, target: &str) -> Result<H2Response, h2::Error> {
        let request = self.request("GET", "example.com", target);
        self.send(request, b"").await
    }

    /// The whole response to a request with this body.
    pub async fn send(&mut self, request: http::request::Builder, body: &[u8]) -> Result<H2Response, h2::Error> {
        let (response, mut stream) = self.open(request, body.is_empty()).await?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        H2Response::of(response).await
    }

    /// Sends a head; the body, if there is to be one, is the caller's.
    pub async fn open(
        &mut self,
        request: http::request::Builder,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        sender.send_request(request.body(()).unwrap(), end)
    }
}

impl H2Response {
    pub async fn of(response: ResponseFuture) -> Result<Self, h2::Error> {
        let (head, mut stream) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = next(&mut stream).await? {
            body.extend_from_slice(&chunk);
        }
        let trailers = stream.trailers().await?;
        Ok(Self { status: head.status, headers: head.headers, body, trailers })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The next piece of a body, its room given back.
pub async fn next(stream: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(chunk) = stream.data().await else { return Ok(None) };
    let chunk = chunk?;
    let _ = stream.flow_control().release_capacity(chunk.len());
    Ok(Some(chunk))
}
