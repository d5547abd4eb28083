//! What a proxy announces of the client before the client's own bytes (PROXY protocol): read from the connection, and not
//! one byte more.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};
use tokio::net::{TcpStream, UnixStream};

use super::connection::{unless_draining, within};
use super::watched::Watch;
use crate::http::proxy_protocol::{BEGINNING, FIXED, LONGEST_LINE, Said, Version, binary, line, rest};
use crate::telemetry::every::Every;

/// A proxy says it at once, with the connection or right behind it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream whose next bytes can be looked at.
pub trait Peek: AsyncRead + Unpin {
    fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;
}

impl Peek for TcpStream {
    fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        Self::peek(self, buffer)
    }
}

impl Peek for UnixStream {
    async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.async_io(Interest::READABLE, || {
            let (read, _) = rustix::net::recv(self, &mut *buffer, RecvFlags::PEEK)?;
            Ok(read)
        })
        .await
    }
}

/// What the header says that this connection must begin with; `None` where it does not, and is to be closed (threat XA10).
pub async fn hear(stream: &mut impl Peek, peer: Option<IpAddr>, watch: &Watch) -> Option<Said> {
    // A shutdown does not wait for one who has said nothing.
    match within(PATIENCE, unless_draining(watch, read(stream))).await {
        Some(Some(Ok(said))) => return Some(said),
        // A look whether somebody listens, as balancers take.
        Some(Some(Err(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Some(Some(Err(error))) => unreadable(peer, &error.to_string()),
        Some(None) => {}
        None => unreadable(peer, "it did not come in time"),
    }
    None
}

async fn read(stream: &mut impl Peek) -> io::Result<Said> {
    let mut header = [0; LONGEST_LINE];
    stream.read_exact(&mut header[..BEGINNING]).await?;
    match Version::of(&header[..BEGINNING]) {
        Some(Version::V1) => {
            let end = until_line_end(stream, &mut header).await?;
            line(&header[..end]).map_err(wrong)
        }
        Some(Version::V2) => {
            let mut fixed = [0; FIXED];
            fixed[..BEGINNING].copy_from_slice(&header[..BEGINNING]);
            stream.read_exact(&mut fixed[BEGINNING..]).await?;
            let mut after = vec![0; rest(&fixed).map_err(wrong)?];
            stream.read_exact(&mut after).await?;
            binary(&fixed, &after).map_err(wrong)
        }
        None => Err(wrong("no PROXY header")),
    }
}

/// Reads up to the end of the line, whose first bytes are there. Bytes are looked at before they are taken, since what
/// stands behind the line is the client's.
async fn until_line_end(stream: &mut impl Peek, header: &mut [u8; LONGEST_LINE]) -> io::Result<usize> {
    let mut end = BEGINNING;
    while end < header.len() {
        let seen = stream.peek(&mut header[end..]).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line_end = memchr::memchr(b'\n', &header[end..end + seen]);
        let take = line_end.map_or(seen, |at| at + 1);
        stream.read_exact(&mut header[end..end + take]).await?;
        end += take;
        if line_end.is_some() {
            return Ok(end);
        }
    }
    Err(wrong("a line of more than 107 bytes"))
}

fn wrong(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn unreadable(peer: Option<IpAddr>, reason: &str) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
        tracing::info!(peer, reason, suppressed, "a connection without a good PROXY header is closed");
    }
}

/// A peer that is not asked for a header has sent one.
pub fn unasked(peer: IpAddr) {
    static EVERY: Every = Every::second();
    if let Some(suppressed) = EVERY.pass() {
        tracing::info!(%peer, suppressed, "a PROXY header of a peer that `proxy_protocol` does not name: closed");
    }
}
