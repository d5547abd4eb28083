//! A client of HTTP/3: requests as a library makes them, and streams of bytes that it would not send.

use std::future::poll_fn;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{ConnectionError, StreamError};
use http::{HeaderMap, Request, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;

use super::PATIENCE;

pub type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// One connection.
pub struct H3 {
    pub sender: SendRequest<h3_quinn::OpenStreams, Bytes>,
    pub quic: quinn::Connection,
    endpoint: quinn::Endpoint,
    driver: Option<tokio::task::JoinHandle<ConnectionError>>,
}

#[derive(Debug)]
pub struct H3Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// A QUIC connection and nothing above it.
pub async fn quic(
    address: SocketAddr,
    name: &str,
    config: Arc<rustls::ClientConfig>,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let crypto = QuicClientConfig::try_from(config).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(PATIENCE / 5));
    // Who is dropped says nothing: so long rp may take it to be there.
    transport.max_idle_timeout(Some((PATIENCE * 2 / 3).try_into().unwrap()));
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let connection = endpoint.connect_with(config, address, name).unwrap().await?;
    Ok((endpoint, connection))
}

impl H3 {
    pub async fn connect(address: SocketAddr, name: &str, config: Arc<rustls::ClientConfig>) -> Self {
        Self::try_connect(address, name, config).await.unwrap()
    }

    pub async fn try_connect(
        address: SocketAddr,
        name: &str,
        config: Arc<rustls::ClientConfig>,
    ) -> Result<Self, quinn::ConnectionError> {
        let (endpoint, quic) = quic(address, name, config).await?;
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
        let driver = tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        Ok(Self { sender, quic, endpoint, driver: Some(driver) })
    }

    /// Goes on from another port, as behind a router that has forgotten the connection.
    pub fn migrate(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        self.endpoint.rebind(socket).unwrap();
        address
    }

    /// Where it comes from.
    pub fn local(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Waits until the connection has ended, and says how.
    pub async fn wait_closed(&mut self) -> ConnectionError {
        self.driver.take().expect("waited for once").await.unwrap()
    }

    pub fn request(method: &str, host: &str, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("https://{host}{target}"))
    }

    pub async fn get(&mut self, host: &str, target: &str) -> H3Response {
        self.send(Self::request("GET", host, target), b"").await.unwrap()
    }

    /// The whole response to a request with this body.
    pub async fn send(&mut self, request: http::request::Builder, body: &[u8]) -> Result<H3Response, StreamError> {
        let mut stream = self.open(request).await?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body)).await?;
        }
        stream.finish().await?;
        H3Response::of(&mut stream).await
    }

    /// Sends a head; the rest is the caller's.
    pub async fn open(&mut self, request: http::request::Builder) -> Result<Stream, StreamError> {
        self.sender.send_request(request.body(()).unwrap()).await
    }
}

impl H3Response {
    pub async fn of(stream: &mut Stream) -> Result<Self, StreamError> {
        let head = stream.recv_response().await?;
        let mut body = Vec::new();
        while let Some(chunk) = stream.recv_data().await? {
            body.extend_from_slice(chunk.chunk());
        }
        let trailers = stream.recv_trailers().await?;
        let (head, ()) = head.into_parts();
        Ok(Self { status: head.status, headers: head.headers, body, trailers })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What came of a stream that a client wrote by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The first byte of a section of fields is there: an answer. Its status, if it is one of those below 64 in the static
    /// table or spelled out, is for others to read.
    Answered(Vec<u8>),
    /// With this code.
    Reset(u64),
    Closed(u64),
}

/// A connection whose streams are written by hand.
pub struct RawH3 {
    pub quic: quinn::Connection,
    _endpoint: quinn::Endpoint,
    control: quinn::SendStream,
    /// The server's, which must not be told that nobody listens.
    heard: std::sync::Mutex<Vec<quinn::RecvStream>>,
}

/// A field, spelled out (RFC 9204, section 4.5.6).
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prefixed(&mut field, 0x20, 3, name.len());
    field.extend_from_slice(name);
    prefixed(&mut field, 0, 7, value.len());
    field.extend_from_slice(value);
    field
}

fn prefixed(to: &mut Vec<u8>, pattern: u8, bits: u32, number: usize) {
    let most = (1_usize << bits) - 1;
    if number < most {
        to.push(pattern | u8::try_from(number).unwrap());
        return;
    }
    to.push(pattern | u8::try_from(most).unwrap());
    let mut rest = number - most;
    while rest >= 0x80 {
        to.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
        rest >>= 7;
    }
    to.push(u8::try_from(rest).unwrap());
}

/// A section of these fields, without tables.
pub fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes()));
    [0, 0].into_iter().chain(fields).collect()
}

/// A head for `example.com`, with more fields.
pub fn head(method: &str, target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let base = [(":method", method), (":scheme", "https"), (":authority", "example.com"), (":path", target)];
    section(&[&base[..], more].concat())
}

/// A frame of this kind.
pub fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [&number(kind)[..], &number(payload.len() as u64), payload].concat()
}

/// RFC 9000, section 16.
pub fn number(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![u8::try_from(value).unwrap()],
        0x40..0x4000 => (u16::try_from(value).unwrap() | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (u32::try_from(value).unwrap() | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// The number that these bytes begin with, and how long it is.
fn numbered(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = 1_usize << (bytes.first()? >> 6);
    let number = bytes.get(..length)?;
    let rest = number[1..].iter().fold(u64::from(number[0] & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((rest, length))
}

/// The frame that these bytes begin with: its kind, its payload, and how long all of it is. `None` where it is not whole.
pub fn first_frame(bytes: &[u8]) -> Option<(u64, &[u8], usize)> {
    let (kind, at) = numbered(bytes)?;
    let (length, more) = numbered(&bytes[at..])?;
    let (start, length) = (at + more, usize::try_from(length).unwrap());
    Some((kind, bytes.get(start..start + length)?, start + length))
}

pub const DATA: u64 = 0;
pub const HEADERS: u64 = 1;

impl RawH3 {
    /// With settings, which say nothing.
    pub async fn connect(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        let (endpoint, quic) = quic(address, "example.com", config).await.unwrap();
        let mut control = quic.open_uni().await.unwrap();
        control.write_all(&[0, 4, 0]).await.unwrap();
        Self { quic, _endpoint: endpoint, control, heard: std::sync::Mutex::default() }
    }

    /// What the server says of itself first; asked for once.
    pub async fn settings(&self) -> Vec<(u64, u64)> {
        loop {
            let mut stream = self.quic.accept_uni().await.unwrap();
            let mut bytes = Vec::new();
            while numbered(&bytes).is_none_or(|(kind, at)| kind == 0 && first_frame(&bytes[at..]).is_none()) {
                bytes.extend_from_slice(&stream.read_chunk(usize::MAX, true).await.unwrap().expect("more").bytes);
            }
            super::lock(&self.heard).push(stream);
            let (0, at) = numbered(&bytes).unwrap() else { continue };
            let (4, mut rest, _) = first_frame(&bytes[at..]).unwrap() else { panic!("no settings: {bytes:x?}") };
            let mut settings = Vec::new();
            while let Some((name, at)) = numbered(rest) {
                let (value, more) = numbered(&rest[at..]).unwrap();
                settings.push((name, value));
                rest = &rest[at + more..];
            }
            return settings;
        }
    }

    /// More on the control stream.
    pub async fn control(&mut self, bytes: &[u8]) {
        let _ = self.control.write_all(bytes).await;
    }

    /// Writes a request's stream and ends it.
    pub async fn ask(&self, frames: &[Vec<u8>]) -> Outcome {
        let Ok((mut send, receive)) = self.quic.open_bi().await else { return self.closed().await };
        for frame in frames {
            if send.write_all(frame).await.is_err() {
                break;
            }
        }
        let _ = send.finish();
        self.outcome(receive).await
    }

    /// What the server says to a request.
    pub async fn outcome(&self, mut receive: quinn::RecvStream) -> Outcome {
        match receive.read_to_end(1024 * 1024).await {
            Ok(bytes) => Outcome::Answered(bytes),
            Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => Outcome::Reset(code.into_inner()),
            Err(_) => self.closed().await,
        }
    }

    pub async fn closed(&self) -> Outcome {
        match self.quic.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => Outcome::Closed(close.error_code.into_inner()),
            error => panic!("the connection ends otherwise: {error}"),
        }
    }
}

impl Outcome {
    /// Nothing was served.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Answered(bytes) => {
                self.status().is_some_and(|status| (400..500).contains(&status)) || bytes.is_empty()
            }
            Self::Reset(_) | Self::Closed(_) => true,
        }
    }

    /// The status, which our answers take from the static table or spell out behind its name.
    pub fn status(&self) -> Option<u16> {
        let Self::Answered(bytes) = self else { return None };
        // The frame's kind, its length in one or two bytes, and the two bytes before the first field.
        let block = match bytes.get(1)? {
            0..0x40 => bytes.get(4..)?,
            _ => bytes.get(5..)?,
        };
        let of_table = |index| match index {
            24 => 103,
            25 => 200,
            26 => 304,
            27 => 404,
            28 => 503,
            63 => 100,
            64 => 204,
            65 => 206,
            66 => 302,
            67 => 400,
            68 => 403,
            69 => 421,
            70 => 425,
            71 => 500,
            _ => panic!("the first field is no status: {index}"),
        };
        match block.first()? {
            0xff => Some(of_table(u16::from(*block.get(1)?) + 63)),
            first @ 0xc0..0xff => Some(of_table(u16::from(first & 0x3f))),
            // The name from the table, in one byte or two, and digits, coded or not.
            first @ (0x50..=0x7f) => {
                let at = if first & 0x0f == 0x0f { 2 } else { 1 };
                let (length, digits) = block.get(at..)?.split_first()?;
                let digits = &digits[..usize::from(length & 0x7f)];
                let plain = if length & 0x80 == 0 { digits.to_vec() } else { uncoded(digits) };
                std::str::from_utf8(&plain).ok()?.parse().ok()
            }
            _ => None,
        }
    }
}

/// Digits in the code of RFC 7541, appendix B: 0, 1 and 2 in five bits, the others in six.
fn uncoded(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut digits) = (0, Vec::new());
    let value = |from: usize, count: usize| bits[from..from + count].iter().fold(0, |value, bit| value << 1 | bit);
    while at + 5 <= bits.len() {
        let short = value(at, 5);
        if short <= 2 {
            digits.push(b'0' + short);
            at += 5;
        } else if at + 6 <= bits.len() && (0x19..=0x1f).contains(&value(at, 6)) {
            digits.push(b'3' + value(at, 6) - 0x19);
            at += 6;
        } else {
            break;
        }
    }
    digits
}
