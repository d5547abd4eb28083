//! One HTTP/3 connection: its handshake, its requests, and its end.

mod body;
pub mod endpoint;
mod guard;
mod request;
pub mod secrets;
mod section;
pub mod steer;
mod stream;
mod transport;
mod tunnel;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h3::error::Code;
use h3::server::{Connection as Http3, RequestResolver};
use quinn::{ConnectionError, Incoming, VarInt};
use rustls_pki_types::CertificateDer;
use tokio::task::JoinSet;

use self::endpoint::Offer;
use self::transport::{Line, Transport};
use super::complaint::{refused_over_quic, restless};
use super::connection::{Arrival, Handshake, Terms, seat, shaken, within};
use super::handle::Context;
use super::world::View;
use crate::http::connection::{Connection, TlsFacts};
use crate::http::deadline::Deadline;
use crate::http::exchange::TunnelSlot;
use crate::model::DoorTls;
use crate::tls::quic::Agreed;
use crate::tls::{Version, subject};

/// Between the announcement that a connection ends and the refusal of what comes after: requests that are on their way are
/// answered, and nobody has to ask twice.
const NOTICE: Duration = Duration::from_millis(100);
/// Requests that are still taken during the notice.
const MOST_LATE: usize = 1000;

/// Shakes hands and serves until the connection ends. `half_open` is given up with the handshake.
pub async fn serve(incoming: Incoming, offer: Arc<Offer>, port: u16, half_open: impl Sized, arrival: Arrival) {
    let Arrival { shared, listen, watch } = arrival;
    let view = View::new(shared, listen);
    // The address that the handshake proves. One that the client moves to later is not taken for it: to say where one has
    // moved to is easier than to be there (threat XH10).
    let (peer, local) = (incoming.remote_address(), incoming.local_ip());
    let (world, door) = view.now();
    let (terms, tls) = (Terms::of(&world), door.and_then(|door| door.tls.clone()));
    // Held until the connection ends.
    let Ok(_seat) = seat(&world.global, peer.ip()) else { return incoming.refuse() };
    drop(world);
    let (config, heard) = offer.to_one();
    drop(offer);
    // A ClientHello that its first datagram holds is refused before there is a connection.
    let shaken = match incoming.accept_with(config) {
        Ok(connecting) => Box::pin(shaken(&watch, terms.timeouts.handshake, connecting)).await,
        Err(error) => Handshake::Done(Err(error)),
    };
    let quic = match shaken {
        Handshake::Done(Ok(quic)) => quic,
        Handshake::Done(Err(error)) => return refused_over_quic(&error, &heard, peer.ip()),
        Handshake::TimedOut => return refused_over_quic(&ConnectionError::TimedOut, &heard, peer.ip()),
        Handshake::Draining => return,
    };
    heard.forget();
    drop(half_open);
    let connection = Connection::new(Some(peer), port, Some(facts(&quic, tls.as_deref())));
    let connection = Rc::new(match local {
        Some(local) => connection.to(local),
        None => connection,
    });
    watch.speaks_http3();
    watch.lives(terms.limits.lifetime);
    let line = Line::new(quic, terms.limits.header, terms.timeouts.write);
    let tunnel = Rc::new(TunnelSlot::default());
    let context = Rc::new(Context { connection, view, watch, tunnel });
    let mut builder = h3::server::builder();
    // Which protocols there are is not for the library to say: see `section.rs`.
    builder.max_field_section_size(terms.limits.header as u64).send_grease(false).enable_extended_connect(true);
    let transport = Transport::new(line.clone());
    let Some(Ok(http3)) = Box::pin(within(terms.timeouts.handshake, builder.build(transport))).await else { return };
    let session =
        Session { http3, line, context, terms, requests: JoinSet::new(), end: End::Open, last: Cell::new(None) };
    // In boxes, and each for itself: a future has room for what it is called with and for what it makes of that.
    Box::pin(Box::new(session).run()).await;
}

/// Which name was asked for, and what was demanded. Which suite was agreed on, quinn does not tell.
fn facts(quic: &quinn::Connection, door: Option<&DoorTls>) -> TlsFacts {
    let agreed = quic.handshake_data().and_then(|data| data.downcast::<Agreed>().ok());
    let (policy, sni, ja4) = agreed.map(|agreed| (agreed.policy, agreed.sni, agreed.ja4)).unwrap_or_default();
    let chain = quic.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    let client = chain.as_ref().and_then(|chain| chain.first());
    let verifies = door.is_some_and(|door| door.verifies(policy));
    let client = client.map(|shown| Box::new(subject::describe(shown, verifies)));
    TlsFacts { version: Version::Tls13.as_str(), suite: None, group: None, sni, policy, client, ja4 }
}

/// How far the end of a connection has come.
enum End {
    Open,
    /// The client knows, and what is on its way is still taken.
    Announced(Deadline),
    /// Nothing more is taken.
    Closing,
}

enum Event {
    Accepted(Box<RequestResolver<Transport, Bytes>>),
    Announce,
    Close,
    /// Everything is answered, or the connection is lost.
    Over,
    Restless,
}

struct Session {
    http3: Http3<Transport, Bytes>,
    line: Rc<Line>,
    context: Rc<Context>,
    terms: Terms,
    requests: JoinSet<()>,
    end: End,
    /// The request that came last, by its stream.
    last: Cell<Option<u64>>,
}

impl Session {
    async fn run(mut self: Box<Self>) {
        loop {
            match self.event().await {
                Event::Accepted(resolver) => self.accept(*resolver),
                Event::Announce => self.announce().await,
                Event::Close => self.close().await,
                Event::Over => break,
                Event::Restless => {
                    restless(self.context.connection.peer.ip());
                    let code = VarInt::from_u64(Code::H3_EXCESSIVE_LOAD.value()).unwrap_or(VarInt::MAX);
                    self.line.connection.close(code, b"most requests are given up");
                    break;
                }
            }
        }
        self.finish().await;
    }

    /// What is to be done next. The library is asked all the time: control streams are read by that.
    async fn event(&mut self) -> Event {
        let Self { http3, context, requests, end, terms, .. } = self;
        let watch = &context.watch;
        let mut accept = pin!(http3.accept());
        poll_fn(|cx| {
            watch.remember(cx);
            while let Poll::Ready(Some(_)) = requests.poll_join_next(cx) {}
            if watch.is_restless() {
                return Poll::Ready(Event::Restless);
            }
            match end {
                End::Open if watch.is_draining() || watch.served() >= terms.limits.requests || watch.is_old() => {
                    return Poll::Ready(Event::Announce);
                }
                End::Open if requests.is_empty() && watch.poll_idle(cx).is_ready() => {
                    return Poll::Ready(Event::Announce);
                }
                End::Announced(deadline) if deadline.poll_passed(cx).is_ready() => return Poll::Ready(Event::Close),
                End::Closing if requests.is_empty() => return Poll::Ready(Event::Over),
                _ => {}
            }
            accept.as_mut().poll(cx).map(|accepted| match accepted {
                Ok(Some(resolver)) => Event::Accepted(Box::new(resolver)),
                // The client has said goodbye, and was answered.
                Ok(None) | Err(_) => Event::Over,
            })
        })
        .await
    }

    fn accept(&mut self, resolver: RequestResolver<Transport, Bytes>) {
        // The library hands out requests in the order in which it took them, one by one.
        let Some(arrived) = self.line.arrived() else { return };
        self.last.set(self.last.get().max(Some(arrived.number)));
        self.requests.spawn_local(request::serve(resolver, arrived, self.context.clone(), self.terms));
    }

    async fn announce(&mut self) {
        let deadline = Deadline::new();
        deadline.set(NOTICE);
        self.end = End::Announced(deadline);
        if self.last.get().is_none() {
            self.line.end_at(0);
        }
        let _ = within(self.terms.timeouts.write, self.http3.shutdown(MOST_LATE)).await;
    }

    /// RFC 9114, section 5.2: requests from the number in the last GOAWAY on have not been looked at.
    async fn close(&mut self) {
        self.end = End::Closing;
        self.line.end_at(self.last.get().map_or(0, |last| last + 4));
        let _ = within(self.terms.timeouts.write, self.http3.shutdown(1)).await;
    }

    /// Waits until clients have what they were answered, or the connection is lost.
    async fn finish(mut self: Box<Self>) {
        while self.requests.join_next().await.is_some() {}
        drop(self.http3);
        // What says that the connection is closed leaves with the next turn of its driver.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
}
