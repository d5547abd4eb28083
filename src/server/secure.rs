//! The beginning of a connection with TLS: a handshake with us, or one that is a server's.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ClientHello;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::complaint::refused;
use super::connection::{Handshake, Terms, serve_http1, serve_http2, shaken};
use super::passage::Passage;
use super::watched::Watch;
use super::world::View;
use crate::http::connection::{Connection, PolicyId, TlsFacts, is_ja4_asked};
use crate::model::DoorTls;
use crate::tls::accept::Failed;
use crate::tls::acme::challenge::ALPN;
use crate::tls::hello::{Carrier, Hello};
use crate::tls::{self, Alpn};

/// What came of the first bytes of a client.
#[allow(clippy::large_enum_variant, reason = "there is one, in the box of the handshake")]
enum Met {
    Shaken(TlsStream<TcpStream>),
    /// They are for a server.
    Passed(Box<Passage>),
}

/// Shakes hands first, or lets the server do so that the name belongs to.
pub async fn secure(
    stream: TcpStream,
    door: Arc<DoorTls>,
    (peer, local): (SocketAddr, SocketAddr),
    view: View,
    watch: Rc<Watch>,
    terms: Terms,
) {
    let acme = view.now().0.acme.clone();
    let (mut policy, mut ja4) = (PolicyId::default(), None);
    let choose = async |hello: ClientHello<'_>, flight: &[u8]| {
        if is_ja4_asked() {
            ja4 = Hello::read(flight).map(|hello| hello.ja4(Carrier::Tcp).into());
        }
        let challenges = &acme.challenges;
        let known = match challenges.config(&hello) {
            None if challenges.config_may_be_elsewhere(&hello) => {
                let name = hello.server_name().unwrap_or_default();
                Box::pin(challenges.config_elsewhere(name)).await
            }
            known => known,
        };
        if known.is_some() {
            return known;
        }
        let (id, config) = door.choose(hello.server_name(), Some(local.ip()))?;
        policy = id;
        if let Some(name) = hello.server_name().filter(|name| door.awaits(name)) {
            // In a box: hardly any handshake comes here, and all would carry it.
            Box::pin(acme.demand(name)).await;
        }
        Some(Arc::clone(config))
    };
    match Box::pin(begin(stream, &door, choose, &watch, terms.timeouts.handshake)).await {
        Some(Ok(Met::Passed(passage))) => {
            let log = passage.site.log.and_then(|log| view.now().0.logs.get(log).cloned());
            // Neither the configuration nor its door is kept while the tunnel stands.
            drop((door, acme, view));
            Box::pin(passage.run((peer, local), log)).await;
        }
        // The certificate was all that was to be seen (RFC 8737, section 3).
        Some(Ok(Met::Shaken(mut stream))) if stream.get_ref().1.alpn_protocol() == Some(ALPN) => {
            let _ = stream.shutdown().await;
        }
        Some(Ok(Met::Shaken(stream))) => {
            let session = stream.get_ref().1;
            let http2 = session.alpn_protocol().and_then(Alpn::from_bytes) == Some(Alpn::H2);
            let facts = facts(session, &door, policy, ja4);
            drop(door);
            let connection = Connection::new(Some(peer), local.port(), facts).to(local.ip());
            if http2 {
                Box::pin(serve_http2(stream, connection, view, watch, terms)).await;
            } else {
                Box::pin(serve_http1(stream, connection, view, watch, terms)).await;
            }
        }
        Some(Err(error)) => refused(&error, peer.ip()),
        None => {}
    }
}

/// Meets a client within its time; `None` where the connection is to end before.
async fn begin(
    stream: TcpStream,
    door: &DoorTls,
    choose: impl AsyncFnOnce(ClientHello<'_>, &[u8]) -> Option<Arc<ServerConfig>>,
    watch: &Watch,
    patience: Duration,
) -> Option<io::Result<Met>> {
    // Out here it is still there when the time is over.
    let mut flight = Vec::with_capacity(2048);
    match shaken(watch, patience, meet(stream, &mut flight, door, choose)).await {
        Handshake::Done(met) => Some(met),
        Handshake::TimedOut => Some(Err(Failed::timed_out(&flight))),
        Handshake::Draining => None,
    }
}

/// Reads what a client begins with: it shakes hands with us, or is somebody else's. Where nobody's connections are passed on,
/// nothing is looked at twice.
async fn meet(
    mut stream: TcpStream,
    flight: &mut Vec<u8>,
    door: &DoorTls,
    choose: impl AsyncFnOnce(ClientHello<'_>, &[u8]) -> Option<Arc<ServerConfig>>,
) -> io::Result<Met> {
    if door.passes_some()
        && let Some(name) = tls::overhear(&mut stream, flight).await?
        && let Some(site) = door.passes(&name)
    {
        let flight = std::mem::take(flight);
        return Ok(Met::Passed(Box::new(Passage { stream, flight, name, site: site.clone() })));
    }
    tls::accept_after(flight, stream, choose).await.map(Met::Shaken)
}

/// What a handshake has settled.
fn facts(session: &ServerConnection, door: &DoorTls, policy: PolicyId, ja4: Option<Box<str>>) -> Option<TlsFacts> {
    let tls::TlsFacts { version, suite, group, sni, .. } = tls::TlsFacts::of(session)?;
    let client = session.peer_certificates().and_then(|chain| chain.first());
    let client = client.map(|shown| Box::new(tls::subject::describe(shown, door.verifies(policy))));
    Some(TlsFacts { version: version.as_str(), suite: Some(suite), group, sni, policy, client, ja4 })
}
