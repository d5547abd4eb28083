//! One request to one upstream: which server, which connection, and whether a failure may be tried again.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::body::Body;
use super::dial::{self, Dialed};
use super::http1::{self, Ask, Connection, Exchange, Fields, Outbound, Reply, Values};
use super::http2::{self, Client, Next, Speaks};
use super::pool::{self, Lease};
use super::registry::InFlight;
use super::target::Scheme;
use super::{HostField, Server, Upstream};
use crate::http::fault::{Cause, Fault};

/// In all, the first included.
const MAX_ATTEMPTS: u8 = 2;

/// A request as it is to leave: fields are final, save those that frame the message.
pub struct Outgoing<'a, B> {
    pub method: &'a Method,
    /// Origin-form.
    pub target: &'a [u8],
    pub headers: &'a HeaderMap,
    /// Fields that are not in the map.
    pub also: &'a [(&'static HeaderName, &'a [u8])],
    pub body: Option<B>,
    /// The fields ask for an upgrade, and a 101 is welcome.
    pub upgrade: bool,
    pub values: Values,
    /// What a connection for it begins with; empty: nothing.
    pub announcement: &'a [u8],
}

/// What happened on the way, for logs and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trace {
    /// Index into [`Upstream::servers`] of the one asked last.
    pub server: Option<u16>,
    pub attempts: u8,
    /// The last attempt went over a connection that had served before.
    pub reused: bool,
    /// The last attempt put its server out.
    pub ejected: bool,
    /// Microseconds; 0 where no connection was made. Resolving included.
    pub connect_us: u32,
    pub tls_us: u32,
    /// Microseconds from the beginning of the last exchange to the head of its response; 0 without one.
    pub first_byte_us: u32,
    pub upstream_status: Option<StatusCode>,
}

struct Failure {
    fault: Fault,
    again: Again,
}

/// What may be tried after a failure.
enum Again {
    Never,
    /// Another server; the same where `lone` and there is no other.
    Other {
        lone: bool,
    },
    /// The same server, by a new connection.
    Anew,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, again: Again::Never }
    }
}

impl Upstream {
    /// Sends a request to the server whose turn it is. A failure that cannot have had an effect is tried once more. The
    /// body is taken out of the request; it is lent, since a future has room for each of its arguments twice.
    pub async fn send<B>(&self, request: &mut Outgoing<'_, B>, trace: &mut Trace) -> Result<Reply, Fault>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        let Outgoing { method, target, headers, also, upgrade, values, announcement, .. } = *request;
        let timeouts = &self.timeouts;
        let mut ask = Ask {
            method,
            target,
            fields: Fields { map: headers, also, host: None },
            upgrade,
            values,
            announcement,
            first_byte: timeouts.first_byte,
            read: timeouts.read,
            stream: timeouts.stream,
        };
        let mut outbound = Outbound::new(request.body.take(), timeouts.send);
        let mut chosen = self.balancer.choose(&self.servers, &[]);
        let mut source = Source::Pool;
        loop {
            let Some(at) = chosen else { return Err(Cause::NoHealthyUpstream.into()) };
            let server = &self.servers[usize::from(at)];
            trace.server = Some(at);
            trace.attempts += 1;
            ask.fields.host = (self.host == HostField::Server).then_some(&server.authority);
            let failure = match self.attempt(server, &ask, &mut outbound, source, trace).await {
                Ok(reply) => {
                    server.slot.health.succeeded();
                    trace.upstream_status = Some(reply.status());
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            trace.ejected = self.blame(server, failure.fault.cause);
            if trace.attempts >= MAX_ATTEMPTS {
                return Err(failure.fault);
            }
            match failure.again {
                Again::Never => return Err(failure.fault),
                Again::Anew => source = Source::Dial,
                Again::Other { lone } => match self.balancer.choose(&self.servers, &[at]) {
                    Some(next) if next != at || lone => chosen = Some(next),
                    _ => return Err(failure.fault),
                },
            }
        }
    }

    /// Whether that put the server out.
    pub(super) fn blame(&self, server: &Server, cause: Cause) -> bool {
        let counts = matches!(
            cause,
            Cause::ConnectionRefused
                | Cause::HostUnreachable
                | Cause::Dns
                | Cause::Tls
                | Cause::ConnectTimeout
                | Cause::HeaderTimeout
        );
        counts && server.slot.health.failed(|| self.can_spare_one())
    }

    async fn attempt<B>(
        &self,
        server: &Server,
        ask: &Ask<'_>,
        outbound: &mut Outbound<B>,
        source: Source,
        trace: &mut Trace,
    ) -> Result<Reply, Failure>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        let in_flight = self.counts_load().then(|| server.slot.enter());
        if server.may_speak_http2() && !ask.upgrade {
            // Off the path of HTTP/1, and large.
            return Box::pin(self.attempt_either(server, ask, outbound, source, in_flight, trace)).await;
        }
        let mut connection = if let Some(connection) = self.pooled(server, source) {
            connection
        } else {
            let dialed = Box::pin(self.dial(server, ask, trace)).await?;
            if dialed.http2 {
                return Err(Fault::detailed(Cause::Protocol, "no upgrade is possible over http/2").into());
            }
            self.connection(server, dialed)
        };
        trace.reused = connection.lease.is_reused();
        connection.count(in_flight);
        self.exchange(connection, ask, outbound, trace).await
    }

    fn pooled(&self, server: &Server, source: Source) -> Option<Box<Connection>> {
        match source {
            Source::Pool => pool::take(&server.slot, self.limits),
            Source::Dial => None,
        }
    }

    fn connection(&self, server: &Server, dialed: Dialed) -> Box<Connection> {
        Box::new(Connection::new(dialed.stream, Lease::new(&server.slot, self.limits)))
    }

    async fn exchange<B>(
        &self,
        connection: Box<Connection>,
        ask: &Ask<'_>,
        outbound: &mut Outbound<B>,
        trace: &mut Trace,
    ) -> Result<Reply, Failure>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        let start = Instant::now();
        let mut exchange = Exchange::new(connection, ask, outbound);
        match poll_fn(|cx| exchange.poll_head(cx)).await {
            Ok(head) => {
                trace.first_byte_us = micros(start.elapsed());
                Ok(exchange.reply(head))
            }
            Err(http1::Failure { fault, unanswered }) => {
                drop(exchange);
                let again = if unanswered { after_silence(ask.method, outbound, trace.reused) } else { Again::Never };
                Err(Failure { fault, again })
            }
        }
    }

    async fn dial(&self, server: &Server, ask: &Ask<'_>, trace: &mut Trace) -> Result<Dialed, Failure> {
        let tls = server.tls(ask.upgrade);
        match dial::dial(&server.target, tls, ask.announcement, self.timeouts.connect).await {
            Ok(dialed) => {
                trace.connect_us = micros(dialed.connect);
                trace.tls_us = micros(dialed.tls);
                Ok(dialed)
            }
            Err(fault) => {
                // Asking the same server again is only worth it where the answer may be another.
                let lone = matches!(fault.cause, Cause::ConnectionRefused | Cause::HostUnreachable);
                Err(Failure { fault, again: Again::Other { lone } })
            }
        }
    }

    /// To a server that speaks HTTP/2, or shows in the handshake which of the two it speaks.
    async fn attempt_either<B>(
        &self,
        server: &Server,
        ask: &Ask<'_>,
        outbound: &mut Outbound<B>,
        source: Source,
        in_flight: Option<InFlight>,
        trace: &mut Trace,
    ) -> Result<Reply, Failure>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        if let Some(mut client) = self.http2_client(server, source).await {
            trace.reused = true;
            return self.exchange_http2(server, &mut client, ask, outbound, in_flight, trace).await;
        }
        let pooled = self.pooled(server, source);
        trace.reused = pooled.is_some();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => match self.dial_either(server, ask, trace).await? {
                Either::Http1(connection) => connection,
                Either::Http2(mut client) => {
                    return self.exchange_http2(server, &mut client, ask, outbound, in_flight, trace).await;
                }
            },
        };
        connection.count(in_flight);
        self.exchange(connection, ask, outbound, trace).await
    }

    /// While one dials, others wait: they may go by the same connection.
    async fn dial_either(&self, server: &Server, ask: &Ask<'_>, trace: &mut Trace) -> Result<Either, Failure> {
        let slot = &server.slot;
        let _dialing = pool::http2(slot, |shelf| shelf.begin_dial(slot));
        let dialed = self.dial(server, ask, trace).await?;
        if !dialed.http2 {
            pool::http2(slot, |shelf| shelf.learned(Speaks::Http1));
            return Ok(Either::Http1(self.connection(server, dialed)));
        }
        let client = Client::start(dialed.stream, Lease::new(slot, self.limits)).await?;
        pool::http2(slot, |shelf| {
            shelf.learned(Speaks::Http2);
            shelf.add(client.clone());
        });
        Ok(Either::Http2(client))
    }

    /// A connection that is there, or that another request is making.
    async fn http2_client(&self, server: &Server, source: Source) -> Option<Client> {
        for _ in 0..2 {
            let next = pool::http2(&server.slot, |shelf| shelf.next(self.limits));
            match next {
                // A retry goes by what is new, unless somebody else just made that.
                Next::Use(client) if source == Source::Pool => return Some(client),
                Next::Use(_) | Next::Dial => return None,
                Next::Wait(notify) => notify.notified().await,
            }
        }
        None
    }

    async fn exchange_http2<B>(
        &self,
        server: &Server,
        client: &mut Client,
        ask: &Ask<'_>,
        outbound: &mut Outbound<B>,
        in_flight: Option<InFlight>,
        trace: &mut Trace,
    ) -> Result<Reply, Failure>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Fault>,
    {
        let start = Instant::now();
        let scheme =
            if server.target.scheme == Scheme::Https { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
        let body = outbound.take_body()?;
        match client.send(*ask, scheme, body, self.timeouts.send, in_flight).await {
            Ok(response) => {
                trace.first_byte_us = micros(start.elapsed());
                Ok(Reply::Response(response.map(Body::http2)))
            }
            Err(http2::Failure { fault, unprocessed, alone, body }) => {
                if !alone {
                    pool::http2(&server.slot, |shelf| shelf.retire(client));
                }
                let closed = fault.cause == Cause::ClosedEarly && trace.reused && ask.method.is_idempotent();
                let again = match body {
                    Ok(body) if unprocessed || closed => {
                        *outbound = Outbound::new(body, self.timeouts.send);
                        Again::Anew
                    }
                    _ => Again::Never,
                };
                Err(Failure { fault, again })
            }
        }
    }
}

/// What a handshake came to.
enum Either {
    Http1(Box<Connection>),
    Http2(Client),
}

/// Where the connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Pool,
    Dial,
}

/// RFC 9112 §9.3.1: a server may close an idle connection just when a request is written to it.
fn after_silence<B>(method: &Method, outbound: &Outbound<B>, reused: bool) -> Again {
    let harmless = outbound.is_unsent() || (method.is_idempotent() && outbound.is_untouched());
    match reused {
        true if harmless => Again::Anew,
        // Not by chance, then: it may be dying, and its neighbour may not.
        false if harmless => Again::Other { lone: false },
        _ => Again::Never,
    }
}

pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
