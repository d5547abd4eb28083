//! Small servers for the examples to stand in front of.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

/// One request, as it arrived.
pub struct Request {
    pub line: String,
    fields: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// Starts a server that answers each request with what `answer` makes of it; its address comes back.
pub fn origin(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(&stream, &stream, &*answer));
        }
    });
    address
}

/// One connection, until the other side closes it.
pub fn serve(from: impl Read, mut to: impl Write, answer: &dyn Fn(&Request) -> String) {
    let mut from = BufReader::new(from);
    while let Some(request) = read(&mut from) {
        if to.write_all(answer(&request).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(from: &mut BufReader<impl Read>) -> Option<Request> {
    let mut next = || {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let line = next()?;
    let mut fields = Vec::new();
    loop {
        let field = next()?;
        match field.split_once(':') {
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { line, fields, body: String::new() };
    let length = request.field("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

/// A whole answer.
pub fn answer(status: u16, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} So\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A server that answers every request with its name and what it was asked for.
pub fn named(name: &'static str) -> String {
    origin(move |request| answer(200, "", &format!("{name} {}", request.line)))
}

/// An address where nothing listens, nor will: it stays bound.
pub fn nobody() -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    std::mem::forget(socket);
    address.to_string()
}

/// A server of WebSocket's handshake: it switches, and sends back whatever comes.
pub fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = BufReader::new(stream.try_clone().expect("a second handle"));
            let Some(request) = read(&mut head) else { continue };
            let _ = write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {}\r\nConnection: Upgrade\r\n\r\n",
                request.field("upgrade")
            );
            let _ = std::io::copy(&mut head, &mut stream);
        }
    });
    address
}

/// A server of HTTP/2 without TLS that answers as gRPC does: a message, and the status in the trailers.
pub async fn grpc() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream));
        }
    });
    address
}

async fn speak(stream: TcpStream) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a plain head");
        let mut send = respond.send_response(head, false)?;
        send.send_data(Bytes::from(request.uri().path().to_owned()), false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        send.send_trailers(trailers)?;
    }
    Ok(())
}
