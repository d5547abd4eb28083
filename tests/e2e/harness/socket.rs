//! A WebSocket by any protocol: one way to open it, and frames as they come.

use std::sync::Arc;

use bytes::Bytes;
use h2::ext::Protocol as Extended;

use super::client::Client;
use super::h2::{H2, next};
use super::h3::{DATA, HEADERS, Outcome, RawH3, frame, head};
use super::protocol::{Protocol, identity};
use super::proxy::Proxy;
use super::speaker::wait;
use super::websocket::{Frame, WebSocket};

pub struct Socket {
    /// Of the answer to the handshake.
    pub status: u16,
    wire: Wire,
    /// What has come and was not taken.
    read: Vec<u8>,
}

enum Wire {
    One(Client),
    Two { sender: h2::SendStream<Bytes>, stream: h2::RecvStream, connection: Arc<H2> },
    Three { sender: quinn::SendStream, stream: quinn::RecvStream, connection: Arc<RawH3>, frames: Vec<u8> },
}

impl Socket {
    /// Asks for a tunnel on a connection of its own, with these fields too.
    pub fn ask(proxy: &Proxy, over: Protocol, target: &str, more: &[(&str, &str)]) -> Self {
        let config = |alpn: &str| identity().1.client(&[alpn]);
        match over {
            Protocol::Plain => Self::over_http1(Client::connect(proxy.address()), target, more),
            Protocol::Http1 => {
                let client = Client::tls(proxy.address(), "example.com", config("http/1.1")).unwrap();
                Self::over_http1(client, target, more)
            }
            Protocol::PlainHttp2 | Protocol::Http2 => {
                let connection = wait(async {
                    let mut connection = match over {
                        Protocol::Http2 => H2::tls(proxy.address(), "example.com", config("h2")).await,
                        _ => H2::connect(proxy.address()).await,
                    };
                    // RFC 8441, section 3: only where the server has said that it can.
                    connection.get_ready().await;
                    assert!(connection.sender.is_extended_connect_protocol_enabled());
                    connection
                });
                Self::over_http2(Arc::new(connection), target, more)
            }
            Protocol::Http3 => {
                let connection = wait(async {
                    let connection = RawH3::connect(proxy.address(), config("h3")).await;
                    // RFC 9220, section 3: the same.
                    assert!(connection.settings().await.contains(&(8, 1)));
                    connection
                });
                Self::over_http3(Arc::new(connection), target, more)
            }
        }
    }

    /// Another one on the same connection.
    pub fn beside(&self, target: &str) -> Self {
        match &self.wire {
            Wire::One(_) => panic!("a connection of HTTP/1 has become the tunnel"),
            Wire::Two { connection, .. } => Self::over_http2(connection.clone(), target, &[]),
            Wire::Three { connection, .. } => Self::over_http3(connection.clone(), target, &[]),
        }
    }

    /// The same as [`Socket::ask`], and it must be had.
    pub fn open(proxy: &Proxy, over: Protocol) -> Self {
        let socket = Self::ask(proxy, over, "/chat", &[]);
        assert_eq!(socket.status, if over.is_http1() { 101 } else { 200 });
        socket
    }

    fn over_http1(mut client: Client, target: &str, more: &[(&str, &str)]) -> Self {
        let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let response = client.send(WebSocket::request("example.com", target, &more)).response();
        if response.status() == 101 {
            assert_eq!(response.field("sec-websocket-accept"), Some(WebSocket::ACCEPT));
        }
        Self { status: response.status(), wire: Wire::One(client), read: Vec::new() }
    }

    fn over_http2(connection: Arc<H2>, target: &str, more: &[(&str, &str)]) -> Self {
        let (status, sender, stream) = wait(async {
            let request = connection.request("CONNECT", "example.com", target).header("sec-websocket-version", "13");
            let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let mut request = request.body(()).unwrap();
            request.extensions_mut().insert(Extended::from_static("websocket"));
            let mut sender = connection.sender.clone().ready().await.unwrap();
            let (response, sender) = sender.send_request(request, false).unwrap();
            let (head, stream) = response.await.unwrap().into_parts();
            assert!(!head.headers.contains_key("sec-websocket-accept") && !head.headers.contains_key("upgrade"));
            (head.status.as_u16(), sender, stream)
        });
        Self { status, wire: Wire::Two { sender, stream, connection }, read: Vec::new() }
    }

    fn over_http3(connection: Arc<RawH3>, target: &str, more: &[(&str, &str)]) -> Self {
        let (sender, stream, frames, status) = wait(async {
            let fields = [&[("sec-websocket-version", "13")], more].concat();
            let protocol = super::h3::literal(b":protocol", b"websocket");
            let mut block = head("CONNECT", target, &[]);
            block.extend_from_slice(&protocol);
            block.extend_from_slice(&super::h3::section(&fields)[2..]);
            let (mut sender, mut stream) = connection.quic.open_bi().await.unwrap();
            sender.write_all(&frame(HEADERS, &block)).await.unwrap();
            let mut frames = Vec::new();
            let status = loop {
                if let Some((kind, payload, length)) = super::h3::first_frame(&frames) {
                    assert_eq!(kind, HEADERS);
                    let status = Outcome::Answered(frame(HEADERS, payload)).status().unwrap();
                    frames.drain(..length);
                    break status;
                }
                let chunk = stream.read_chunk(usize::MAX, true).await.unwrap().expect("an answer");
                frames.extend_from_slice(&chunk.bytes);
            };
            (sender, stream, frames, status)
        });
        Self { status, wire: Wire::Three { sender, stream, connection, frames }, read: Vec::new() }
    }

    /// Sends bytes.
    pub fn say(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::One(client) => {
                client.send(bytes);
            }
            Wire::Two { sender, .. } => {
                let _ = wait(super::speaker::flow(sender, bytes));
            }
            Wire::Three { sender, .. } => {
                let _ = wait(sender.write_all(&frame(DATA, bytes)));
            }
        }
    }

    /// Sends a frame as clients must, which comes back.
    pub fn exchange(&mut self, frame: &Frame) {
        self.say(&frame.clone().masked().encode());
        assert_eq!(self.hear().as_ref(), Some(frame));
    }

    /// The next frame; `None` where the tunnel ends.
    pub fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.read) {
                self.read.drain(..length);
                return Some(frame);
            }
            let piece = self.piece()?;
            self.read.extend(piece);
        }
    }

    /// What the other side says next; `None` at its end, however that comes.
    fn piece(&mut self) -> Option<Vec<u8>> {
        match &mut self.wire {
            Wire::One(client) if !client.pipe.buffer.is_empty() => Some(std::mem::take(&mut client.pipe.buffer)),
            Wire::One(client) => match client.pipe.fill() {
                Ok(1..) => Some(std::mem::take(&mut client.pipe.buffer)),
                _ => None,
            },
            Wire::Two { stream, .. } => loop {
                match wait(next(stream)).ok().flatten()? {
                    piece if piece.is_empty() => {}
                    piece => return Some(piece.to_vec()),
                }
            },
            Wire::Three { stream, frames, .. } => loop {
                if let Some((kind, payload, length)) = super::h3::first_frame(frames) {
                    assert_eq!(kind, DATA, "RFC 9114, section 4.4");
                    let payload = payload.to_vec();
                    frames.drain(..length);
                    return Some(payload);
                }
                frames.extend_from_slice(&wait(stream.read_chunk(usize::MAX, true)).ok()??.bytes);
            },
        }
    }

    /// That the other side has ended it, having said nothing more.
    pub fn assert_closed(&mut self) {
        assert!(self.read.is_empty(), "not read: {:?}", self.read);
        assert_eq!(self.piece(), None);
    }

    /// Says in good order that nothing more comes.
    pub fn finish(&mut self) {
        match &mut self.wire {
            Wire::One(client) => client.pipe.finish(),
            Wire::Two { sender, .. } => sender.send_data(Bytes::new(), true).unwrap(),
            Wire::Three { sender, .. } => sender.finish().unwrap(),
        }
    }

    /// Breaks off, without a word.
    pub fn reset(&mut self) {
        match &mut self.wire {
            Wire::One(client) => client.pipe.reset(),
            Wire::Two { sender, .. } => sender.send_reset(h2::Reason::INTERNAL_ERROR),
            // H3_REQUEST_CANCELLED.
            Wire::Three { sender, stream, .. } => {
                let _ = (sender.reset(0x10c_u32.into()), stream.stop(0x10c_u32.into()));
            }
        }
    }

    /// Leaves with the whole connection.
    pub fn leave(self) {
        match self.wire {
            Wire::One(client) => drop(client),
            Wire::Two { connection, .. } => Arc::into_inner(connection).expect("the last one").abandon(),
            Wire::Three { connection, .. } => connection.quic.close(0x100_u32.into(), b""),
        }
    }
}
