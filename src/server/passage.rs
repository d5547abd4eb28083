//! A connection whose TLS is passed through: the client's bytes to the server that its name belongs to, and back.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join;
use rustls::AlertDescription;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::fault::Cause;
use crate::http::proxy_protocol::{self, Said};
use crate::http::tunnel::{End, Ledger, Passing, Terms};
use crate::model::Log;
use crate::site::{Passes, Site};
use crate::telemetry::access::Passed;
use crate::telemetry::metrics;
use crate::tls::accept::refuse;
use crate::upstream::{Connected, Trace, Upstream};

/// Whoever has sent its request and says no more may have to wait for the answer, but not for hours.
const HALF_CLOSED: Duration = Duration::from_mins(1);

/// A whole record of TLS.
const PIECE: usize = 16 * 1024 + 5 + 256;

/// A connection of which so much is known that somebody else has to answer it.
pub struct Passage {
    pub stream: TcpStream,
    /// What was read of it, which belongs to the server.
    pub flight: Vec<u8>,
    /// Whom it asks for.
    pub name: Box<str>,
    /// Whose server that is.
    pub site: Arc<Site>,
}

impl Passage {
    /// Connects to a server and passes bytes both ways until the end.
    pub async fn run(self, (peer, local): (SocketAddr, SocketAddr), log: Option<Log>) {
        let Self { stream, flight, name, site } = self;
        // A site without one is none that connections are passed to.
        let Some(Passes { to, of }) = &site.passes else { return };
        let (client, upstream) = (peer.ip().to_canonical(), to.clone());
        let may_pass = of.as_ref().is_none_or(|of| of.contains(client));
        let _open = metrics::global().passed_open.hold();
        let mut entry = Entry::new(name, client, site, log);
        if !may_pass {
            metrics::global().passed_failed.add(1);
            entry.error = Some(Cause::Forbidden);
            return refuse(stream, AlertDescription::AccessDenied).await;
        }
        let announcement = upstream.announces().map(|version| {
            let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
            proxy_protocol::write(version, Said::Client { from: canonical(peer), to: canonical(local) })
        });
        let connected = upstream.connect(&announcement.unwrap_or_default(), &mut entry.trace).await;
        match connected {
            Ok(connected) => {
                metrics::global().passed_ok.add(1);
                pass(stream, flight, connected, &upstream, &entry.ledger).await;
            }
            Err(fault) => {
                metrics::global().passed_failed.add(1);
                entry.error = Some(fault.cause);
                // Nothing has been said yet, so this can be said in the clear.
                refuse(stream, AlertDescription::InternalError).await;
            }
        }
    }
}

async fn pass(stream: TcpStream, flight: Vec<u8>, connected: Connected, upstream: &Upstream, ledger: &Rc<Ledger>) {
    let Connected { stream: server, in_flight: _in_flight } = connected;
    let terms = Terms { idle: upstream.stream_timeout(), half_closed: HALF_CLOSED, piece: PIECE };
    let client = (stream, flight.into());
    let mut passing = Passing::<_, _, ()>::new(client, (server, bytes::Bytes::new()), terms, ledger);
    if let Some(rest) = passing.run().await {
        // Only who has the key could say goodbye; both learn it from the end of the connection.
        let ((client, ()), (server, ())) = passing.ends();
        let _ = timeout(rest, join(client.shutdown(), server.shutdown())).await;
    }
}

/// What the access log is owed, however the connection ends.
struct Entry {
    name: Box<str>,
    client: IpAddr,
    site: Arc<Site>,
    log: Option<Log>,
    began: Instant,
    trace: Trace,
    error: Option<Cause>,
    ledger: Rc<Ledger>,
}

impl Entry {
    fn new(name: Box<str>, client: IpAddr, site: Arc<Site>, log: Option<Log>) -> Self {
        let (trace, ledger) = (Trace::default(), Rc::default());
        Self { name, client, site, log, began: Instant::now(), trace, error: None, ledger }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(log) = &self.log else { return };
        let total = self.began.elapsed();
        let server = |at: u16| Some(&*self.site.passes.as_ref()?.to.servers().get(usize::from(at))?.address_text);
        let record = Passed {
            time: SystemTime::now().checked_sub(total).unwrap_or(SystemTime::UNIX_EPOCH),
            client_ip: self.client,
            sni: &self.name,
            bytes_in: self.ledger.received.get(),
            bytes_out: self.ledger.sent.get(),
            total: u64::try_from(total.as_micros()).unwrap_or(u64::MAX),
            connect: Some(self.trace.connect_us).filter(|micros| *micros > 0),
            upstream: self.trace.server.and_then(server),
            attempts: self.trace.attempts,
            error_code: self.error.map(Cause::code),
            // Without an error it was cut off with the worker's end.
            tunnel_end: self.ledger.ended().or(self.error.is_none().then_some(End::Shutdown)).map(End::as_str),
            site: &self.site.name,
        };
        log.sink.push(|line| record.append(line, &log.style));
    }
}
