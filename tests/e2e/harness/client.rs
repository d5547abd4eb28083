//! A client that says what it is told, byte for byte.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::message::Message;
use super::pipe::{Pipe, is_timeout};

pub struct Client {
    pub pipe: Pipe,
    /// What the TLS handshake chose.
    pub alpn: Option<Vec<u8>>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self { pipe: Pipe::plain(TcpStream::connect(address).unwrap()), alpn: None }
    }

    /// Fails where the handshake does.
    pub fn tls(address: SocketAddr, name: &str, config: Arc<rustls::ClientConfig>) -> Result<Self, String> {
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let mut session = rustls::ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        let mut beneath = tcp.try_clone().unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut beneath).map_err(|error| error.to_string())?;
        }
        let alpn = session.alpn_protocol().map(<[u8]>::to_vec);
        Ok(Self { pipe: Pipe::new(tcp, Box::new(rustls::StreamOwned::new(session, beneath))), alpn })
    }

    /// Sends bytes. That the other side may have closed already is for the next read to find out.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.pipe.send(bytes);
        self
    }

    /// The response that must come, to a request of this method.
    pub fn response_to(&mut self, method: &str) -> Message {
        match Message::response(&mut self.pipe, method) {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the connection ends without a response"),
            Err(error) => panic!("no good response: {error}"),
        }
    }

    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The response, or how it was broken off.
    pub fn try_response(&mut self) -> Result<Option<Message>, String> {
        Message::response(&mut self.pipe, "GET")
    }

    pub fn get(&mut self, host: &str, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response()
    }

    /// That the other side closes, having said nothing more.
    pub fn assert_closed(&mut self) {
        let (rest, _) = self.pipe.drain();
        assert!(rest.is_empty(), "said before closing: {:?}", String::from_utf8_lossy(&rest));
    }

    /// That the connection is open and silent: nothing comes for a while. For what must *not* happen there is no
    /// event to wait for.
    pub fn assert_silent(&mut self, time: Duration) {
        match self.pipe.fill_within(time) {
            Err(error) if is_timeout(&error) => {}
            Ok(0) => panic!("closed"),
            outcome => panic!("{outcome:?}: {:?}", self.pipe.text()),
        }
    }
}

/// One request on a connection of its own.
pub fn get(address: SocketAddr, host: &str, target: &str) -> Message {
    Client::connect(address).get(host, target)
}
