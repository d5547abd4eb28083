//! Makes connections: resolves, races the addresses (RFC 8305), shakes hands, and says what went wrong. Off the
//! request path, so tokio's timers are fine here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::resolve::resolve;
use super::stream::Stream;
use super::target::{Address, Scheme, Target};
use crate::http::fault::{Cause, Fault};
use crate::telemetry::metrics;

/// Before the next address is tried beside the ones that have not answered.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// For each address, or three fifths of all the time where that is more: who waits for longer is waited for.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// How to speak TLS to a server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Offers `h2` by ALPN where HTTP/2 is wanted.
    pub config: Arc<rustls::ClientConfig>,
    /// Sent, and looked for in the certificate.
    pub name: ServerName<'static>,
    /// What the config was made from. Two configs with one key are taken for the same, so connections outlive reloads.
    pub key: Box<str>,
}

/// A connection, and how long it took.
#[derive(Debug)]
pub struct Dialed {
    pub stream: Stream,
    pub http2: bool,
    /// Resolving included.
    pub connect: Duration,
    pub tls: Duration,
}

/// `allowed` is for all of it. The `announcement` goes before anything else, TLS included.
pub async fn dial(target: &Target, tls: Option<&Tls>, announcement: &[u8], allowed: Duration) -> Result<Dialed, Fault> {
    let dialed = match timeout(allowed, dial_without_end(target, tls, announcement, per_address(allowed))).await {
        Ok(result) => result,
        Err(_) => Err(Cause::ConnectTimeout.into()),
    };
    let metrics = metrics::global();
    if dialed.is_ok() {
        metrics.upstream_connects.add(1);
    } else {
        metrics.upstream_connects_failed.add(1);
    }
    dialed
}

/// Plain TCP to whichever address of a name answers first. `allowed` is for all of it.
pub async fn reach(name: &str, port: u16, allowed: Duration) -> Result<TcpStream, Fault> {
    let reached = timeout(allowed, by_name(name, port, per_address(allowed))).await;
    reached.unwrap_or_else(|_| Err(Cause::ConnectTimeout.into()))
}

async fn by_name(name: &str, port: u16, each: Duration) -> Result<TcpStream, Fault> {
    let addresses = resolve(name).await?;
    let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    race(&addresses, each).await
}

fn per_address(allowed: Duration) -> Duration {
    allowed.min(PER_ADDRESS.max(allowed * 3 / 5))
}

async fn dial_without_end(
    target: &Target,
    tls: Option<&Tls>,
    announcement: &[u8],
    each: Duration,
) -> Result<Dialed, Fault> {
    let start = Instant::now();
    let http2 = target.scheme == Scheme::H2c;
    let mut tcp = match &target.address {
        Address::Unix(path) => {
            let mut stream = UnixStream::connect(path).await.map_err(|error| fault(&error))?;
            // Nothing, as a rule: then this writes nothing.
            stream.write_all(announcement).await.map_err(|error| fault(&error))?;
            let connect = start.elapsed();
            return Ok(Dialed { stream: Stream::Unix(stream), http2, connect, tls: Duration::ZERO });
        }
        Address::Ip(address) => connect(*address, each).await?,
        Address::Host { name, port } => by_name(name, *port, each).await?,
    };
    if !announcement.is_empty() {
        tcp.write_all(announcement).await.map_err(|error| fault(&error))?;
    }
    let connect = start.elapsed();
    let Some(tls) = tls.filter(|_| target.scheme == Scheme::Https) else {
        if target.scheme == Scheme::Https {
            return Err(Fault::detailed(Cause::Tls, "no tls settings for this server"));
        }
        return Ok(Dialed { stream: Stream::Tcp(tcp), http2, connect, tls: Duration::ZERO });
    };
    let stream = TlsConnector::from(tls.config.clone())
        .connect(tls.name.clone(), tcp)
        .await
        .map_err(|error| Fault::detailed(Cause::Tls, tls_reason(&error)))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Dialed { stream: Stream::Tls(Box::new(stream)), http2, connect, tls: start.elapsed().saturating_sub(connect) })
}

async fn connect(address: SocketAddr, allowed: Duration) -> Result<TcpStream, Fault> {
    match timeout(allowed, TcpStream::connect(address)).await {
        Err(_) => Err(Fault::detailed(Cause::ConnectTimeout, address.to_string())),
        Ok(Err(error)) => Err(fault(&error)),
        Ok(Ok(stream)) => {
            // Heads and last chunks must not wait for an acknowledgement.
            stream.set_nodelay(true).map_err(|error| fault(&error))?;
            Ok(stream)
        }
    }
}

/// The first address to answer wins; each next one starts when the one before failed, or has not answered for a while.
async fn race(addresses: &[SocketAddr], each: Duration) -> Result<TcpStream, Fault> {
    let mut left = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut worst: Option<Fault> = None;
    while let Some(address) = left.next() {
        attempts.push(connect(*address, each));
        tokio::select! {
            biased;
            Some(result) = attempts.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(fault) => worst = Some(telling(worst, fault)),
            },
            () = sleep(NEXT_ADDRESS), if left.len() > 0 => {}
        }
    }
    while let Some(result) = attempts.next().await {
        match result {
            Ok(stream) => return Ok(stream),
            Err(fault) => worst = Some(telling(worst, fault)),
        }
    }
    Err(worst.unwrap_or_else(|| Cause::HostUnreachable.into()))
}

/// A refusal tells more than silence, and silence more than a network that is not there, as IPv6 often is not.
fn telling(known: Option<Fault>, new: Fault) -> Fault {
    let rank = |fault: &Fault| match fault.cause {
        Cause::ConnectionRefused => 2,
        Cause::ConnectTimeout => 1,
        _ => 0,
    };
    known.filter(|known| rank(known) >= rank(&new)).unwrap_or(new)
}

fn fault(error: &io::Error) -> Fault {
    let cause = match error.kind() {
        // A socket without a listener, or one that is not there: nobody serves.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotFound => {
            Cause::ConnectionRefused
        }
        io::ErrorKind::TimedOut => Cause::ConnectTimeout,
        _ => Cause::HostUnreachable,
    };
    Fault::detailed(cause, error.to_string())
}

fn tls_reason(error: &io::Error) -> String {
    use rustls::{AlertDescription, Error};
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => {
            "the server does not speak tls; write `http://` before its address".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_)) => {
            format!("no tls version or cipher in common: {error}")
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => "closed during the tls handshake".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address whose queue is full: it neither accepts nor refuses.
    async fn silent() -> (socket2::Socket, SocketAddr, Vec<TcpStream>) {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = vec![];
        while let Ok(stream) = connect(address, Duration::from_millis(100)).await {
            queued.push(stream);
        }
        (listener, address, queued)
    }

    #[test]
    fn an_address_has_most_of_the_time_that_was_given() {
        for (allowed, each) in [(1, 1), (3, 3), (5, 3), (10, 6), (60, 36)] {
            assert_eq!(per_address(Duration::from_secs(allowed)), Duration::from_secs(each), "{allowed}");
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_at_once_after_a_failure_and_soon_after_silence() {
        let (gone, refusing) = listener();
        drop(gone);
        let (_open, good) = listener();
        let (_full, silent, _queued) = silent().await;
        let peer = |stream: Result<TcpStream, Fault>| stream.unwrap().peer_addr().unwrap();
        let start = Instant::now();
        assert_eq!(peer(race(&[refusing, good], PER_ADDRESS).await), good);
        assert!(start.elapsed() < NEXT_ADDRESS);
        assert_eq!(peer(race(&[silent, good], PER_ADDRESS).await), good);
        assert!((NEXT_ADDRESS..PER_ADDRESS).contains(&start.elapsed()));
    }

    #[tokio::test]
    async fn a_name_is_reached_within_its_time_or_not_at_all() {
        let (_open, good) = listener();
        let stream = reach("localhost", good.port(), PER_ADDRESS).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let (_full, silent, _queued) = silent().await;
        let fault = reach("127.0.0.1", silent.port(), Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(fault.cause, Cause::ConnectTimeout);
    }

    #[tokio::test]
    async fn of_several_failures_the_most_telling_is_told() {
        let (gone, refusing) = listener();
        drop(gone);
        let (_full, silent, _queued) = silent().await;
        let unreachable = SocketAddr::from(([255, 255, 255, 255], 1));
        for (addresses, cause) in [
            (&[unreachable, refusing, unreachable][..], Cause::ConnectionRefused),
            (&[silent, refusing], Cause::ConnectionRefused),
            (&[unreachable, silent], Cause::ConnectTimeout),
            (&[unreachable], Cause::HostUnreachable),
        ] {
            assert_eq!(race(addresses, Duration::from_millis(300)).await.unwrap_err().cause, cause, "{addresses:?}");
        }
    }
}
