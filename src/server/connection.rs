//! One client connection: its handshake, the protocol that it speaks, and its end.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::announced::{hear, unasked};
use super::complaint::{flooded, malformed, restless};
use super::executor::Local;
use super::gather::gather;
use super::handle::{Context, handle};
use super::seats::{self, Seat};
use super::secure::secure;
use super::socket::Socket;
use super::stream::Watched;
use super::watched::{Expired, LINGER, Watch};
use super::world::{Shared, View};
use crate::check::value::ListenAddress;
use crate::http::body::Received;
use crate::http::connection::Connection;
use crate::http::deadline::Deadline;
use crate::http::exchange::TunnelSlot;
use crate::http::proxy_protocol::{self, Said};
use crate::model::{Global, Limits, Timeouts, World};
use crate::tls::Alpn;

/// The client preface of HTTP/2 begins with a method that HTTP/1 has reserved (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Where a connection came from and whom it belongs to.
pub struct Arrival {
    pub shared: Arc<Shared>,
    pub listen: ListenAddress,
    pub watch: Rc<Watch>,
}

/// What holds for a connection from its beginning. Copied: a connection that held its configuration would keep one that
/// was replaced long ago.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub timeouts: Timeouts,
    pub limits: Limits,
}

impl Terms {
    #[must_use]
    pub fn of(world: &World) -> Self {
        Self { timeouts: world.global.timeouts, limits: world.global.limits }
    }
}

/// Serves a TCP connection until it ends.
///
/// Each stage is in a box of its own. A future has room for all that it may ever become: in one piece, a connection that
/// waits for its next request took 17 KB for the handshake that it had behind it and the goodbye that was to come.
pub async fn serve_tcp(mut stream: TcpStream, arrival: Arrival) {
    let (Ok(mut peer), Ok(mut local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    // Answers are written in whole pieces; waiting for more only adds latency.
    let _ = stream.set_nodelay(true);
    let Arrival { shared, listen, watch } = arrival;
    let view = View::new(shared, listen);
    if view.now().0.global.announcers.at(Some(peer.ip())) {
        match Box::pin(hear(&mut stream, Some(peer.ip()), &watch)).await {
            Some(Said::Client { from, to }) => (peer, local) = (from, to),
            Some(Said::Nothing) => {}
            None => return,
        }
    }
    // Held until the connection ends.
    let Ok(_seat) = seat(&view.now().0.global, peer.ip()) else { return };
    let (terms, tls) = {
        let (world, Some(door)) = view.now() else { return };
        (Terms::of(&world), door.tls.clone())
    };
    match tls {
        None => {
            let connection = Connection::new(Some(peer), local.port(), None).to(local.ip());
            match Box::pin(spoken(&stream, peer.ip(), &watch, terms.timeouts.header)).await {
                Some(Alpn::H2) => Box::pin(serve_http2(stream, connection, view, watch, terms)).await,
                Some(_) => Box::pin(serve_http1(stream, connection, view, watch, terms)).await,
                None => {}
            }
        }
        Some(tls) => Box::pin(secure(stream, tls, (peer, local), view, watch, terms)).await,
    }
}

/// A place among the connections of this address, where they are counted; an error where it has as many as it may. A proxy
/// that is trusted brings the connections of many clients.
pub(super) fn seat(global: &Global, peer: IpAddr) -> Result<Option<Seat>, ()> {
    match global.limits.per_address {
        Some(most) if !global.trusted.at(Some(peer)) => seats::take(peer, most).map(Some).ok_or(()),
        _ => Ok(None),
    }
}

/// Serves a connection of a unix socket; there is no TLS on those.
pub async fn serve_unix(mut stream: tokio::net::UnixStream, arrival: Arrival) {
    let view = View::new(arrival.shared.clone(), arrival.listen.clone());
    let mut said = Said::Nothing;
    if view.now().0.global.announcers.at(None) {
        match Box::pin(hear(&mut stream, None, &arrival.watch)).await {
            Some(heard) => said = heard,
            None => return,
        }
    }
    let (terms, port) = {
        let (world, Some(door)) = view.now() else { return };
        (Terms::of(&world), door.port)
    };
    let connection = match said {
        Said::Client { from, to } => Connection::new(Some(from), to.port(), None).to(to.ip()),
        Said::Nothing => Connection::new(None, port, None),
    };
    serve_http1(stream, connection, view, arrival.watch, terms).await;
}

/// What a client that begins without a handshake speaks; `None` where it says nothing.
async fn spoken(stream: &TcpStream, peer: IpAddr, watch: &Watch, patience: Duration) -> Option<Alpn> {
    let mut start = [0_u8; PREFACE.len()];
    // One look more for each connection; requests pay nothing. A client that says nothing is not waited for longer
    // than one that says half a head.
    let first = unless_draining(watch, stream.peek(&mut start));
    match within(patience, first).await.flatten() {
        Some(Ok(read)) if read >= 4 && PREFACE.starts_with(&start[..read]) => Some(Alpn::H2),
        // Who is not asked has no say in who the client is, and no answer either (threat XA10).
        Some(Ok(read)) if proxy_protocol::Version::of(&start[..read]).is_some() => {
            unasked(peer);
            None
        }
        Some(Ok(read)) if read > 0 => Some(Alpn::Http11),
        _ => None,
    }
}

pub(super) async fn serve_http1<T>(stream: T, connection: Connection, view: View, watch: Rc<Watch>, terms: Terms)
where
    T: Socket + 'static,
{
    watch.lives(terms.limits.lifetime);
    let tunnel = Rc::new(TunnelSlot::default());
    let peer = connection.peer.ip();
    let context =
        Rc::new(Context { connection: Rc::new(connection), view, watch: watch.clone(), tunnel: tunnel.clone() });
    let service = service_fn(move |request: Request<Incoming>| handle(context.clone(), request.map(Received::Http1)));
    let io = TokioIo::new(Watched::http1(stream, watch.clone()));
    let mut driver = http1::Builder::new()
        .max_header_size(terms.limits.header)
        // The deadline is ours (`Watch`).
        .header_read_timeout(None)
        // So is the look-out for clients that leave (`Watched`).
        .half_close(true)
        .serve_connection(io, service);
    let outcome = poll_fn(|cx| {
        watch.remember(cx);
        if watch.is_draining() {
            Pin::new(&mut driver).graceful_shutdown();
        }
        Pin::new(&mut driver).poll(cx)
    })
    .await;
    if let Err(error) = &outcome
        && error.is_parse()
    {
        malformed(error, &watch, peer);
    }
    let parts = driver.into_parts();
    let (mut stream, ahead) = parts.io.into_inner().into_parts();
    match tunnel.take() {
        Some(tunnel) if outcome.is_ok() => tunnel(Box::new(stream), joined(parts.read_buf, &ahead)).await,
        // An answer that broke off must not look as if it had ended: no goodbye, no `close_notify`, and a reset where
        // the end of the connection would be the end of the answer (threat XR02).
        _ if outcome.is_err_and(|error| error.is_user()) => {
            if watch.ends_with_connection() {
                stream.reset_on_close();
            }
        }
        // It takes nothing, not even a goodbye.
        _ if watch.expired() == Some(Expired::Write) => {}
        _ => linger(&mut stream, &watch).await,
    }
}

/// What a client has said that nobody has looked at: first what hyper read, then what was read behind its back.
fn joined(read: Bytes, ahead: &[u8]) -> Bytes {
    if ahead.is_empty() { read } else { [&read, ahead].concat().into() }
}

/// Says goodbye, and reads what is still on its way: closing a socket with unread bytes resets the connection, and the
/// client may lose the answer that it was sent (a 413, above all).
async fn linger<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, watch: &Watch) {
    let goodbye = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut left = 1024 * 1024_usize;
        let mut buffer = vec![0; 4096];
        while let Ok(read) = stream.read(&mut buffer).await {
            if read == 0 || read > left {
                break;
            }
            left -= read;
        }
    };
    // A shutdown waits for this.
    Box::pin(within(if watch.is_draining() { LINGER / 10 } else { LINGER }, goodbye)).await;
}

pub(super) async fn serve_http2<T>(stream: T, connection: Connection, view: View, watch: Rc<Watch>, terms: Terms)
where
    T: Socket + 'static,
{
    watch.speaks_http2();
    watch.lives(terms.limits.lifetime);
    let tunnel = Rc::new(TunnelSlot::default());
    let limits = &terms.limits;
    let peer = connection.peer.ip();
    let context = Rc::new(Context { connection: Rc::new(connection), view, watch: watch.clone(), tunnel });
    let service = service_fn(move |request: Request<Incoming>| handle(context.clone(), request.map(Received::Http2)));
    let (gather, outlet) = gather(Watched::http2(stream, watch.clone()));
    let io = TokioIo::new(gather);
    let driver = http2::Builder::new(Local { write: terms.timeouts.write })
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_frame_size(16 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .enable_connect_protocol()
        .serve_connection(io, service);
    let mut driver = pin!(driver);
    let mut told = false;
    let most = limits.requests;
    poll_fn(|cx| {
        watch.remember(cx);
        if !told && (watch.is_draining() || watch.served() >= most || watch.is_old()) {
            told = true;
            driver.as_mut().graceful_shutdown();
        }
        let ended = driver.as_mut().poll(cx);
        if ended.is_ready() && watch.expired() == Some(Expired::Flood) {
            flooded(peer);
        }
        match outlet.poll_write_out(cx) {
            // It takes nothing more, and says nothing either.
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) if watch.is_restless() => {
                restless(peer);
                Poll::Ready(())
            }
            Poll::Ready(Ok(())) => ended.map(drop),
            Poll::Pending if ended.is_ready() => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

/// The outcome, unless the connection is to end before: who has said nothing so far is not waited for.
pub(super) async fn unless_draining<T>(watch: &Watch, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        watch.remember(cx);
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if watch.is_draining() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What came of a handshake.
pub(super) enum Handshake<T> {
    Done(T),
    TimedOut,
    /// The connection is to end, which is not the client's doing.
    Draining,
}

/// The outcome of a handshake, which is no request yet: a shutdown waits for none.
pub(super) async fn shaken<T>(watch: &Watch, patience: Duration, handshake: impl Future<Output = T>) -> Handshake<T> {
    match within(patience, unless_draining(watch, handshake)).await {
        Some(Some(outcome)) => Handshake::Done(outcome),
        Some(None) => Handshake::Draining,
        None => Handshake::TimedOut,
    }
}

/// The outcome, unless it takes longer.
pub(super) async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = Deadline::new();
    deadline.set(time);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => deadline.poll_passed(cx).map(|()| None),
    })
    .await
}
