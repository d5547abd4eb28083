//! The request path of `reverse_proxy`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, Version, response};

use super::{location, tunnel};
use crate::check::value::StatusMatch;
use crate::http::body::Body;
use crate::http::exchange::{Exchange, ServerName, Upgrade};
use crate::http::fault::{Cause, Fault};
use crate::http::forwarded::{ForwardedField, Forwarding};
use crate::http::hop::{self, Survey};
use crate::http::proxy_protocol::{self, Said};
use crate::http::step::{Answer, Answers, Forward, boxed};
use crate::http::tunnel::Account;
use crate::upstream::{self, Outgoing, Trace, Upstream, Values};

/// A proxy to one upstream.
pub(super) struct ReverseProxy {
    upstream: Arc<Upstream>,
    /// For each server: as the log names it, and as it would name itself in a `Location`.
    names: Vec<(Box<str>, Box<str>)>,
    forwarded: ForwardedField,
    intercept: Vec<StatusMatch>,
    total: Option<Duration>,
}

impl ReverseProxy {
    pub fn new(
        upstream: Arc<Upstream>,
        forwarded: ForwardedField,
        intercept: Vec<StatusMatch>,
        total: Option<Duration>,
    ) -> Self {
        let name = |server: &upstream::Server| (server.address_text.clone(), server.target.authority().into());
        let names = upstream.servers().iter().map(name).collect();
        Self { upstream, names, forwarded, intercept, total }
    }

    async fn pass(&self, exchange: &mut Exchange) -> Result<Answer, Fault> {
        let (forwarding, upgrade) = prepare(exchange, self.forwarded)?;
        let body = exchange.take_body()?;
        let body = (!http_body::Body::is_end_stream(&body)).then_some(body);
        let mut trace = Trace::default();
        let announcement = self.upstream.announces().map(|version| announcement(version, exchange)).unwrap_or_default();
        let reply = {
            let mut request = Outgoing {
                method: &exchange.method,
                target: &exchange.target.wire(),
                headers: &exchange.headers,
                also: &forwarding.fields(exchange),
                body,
                upgrade,
                values: if exchange.version < Version::HTTP_2 { Values::Shared } else { Values::Own },
                announcement: &announcement,
            };
            match self.total {
                None => self.upstream.send(&mut request, &mut trace).await,
                // Rare, and as large as the other: in a box, it adds nothing to the size of every request.
                Some(total) => Box::pin(tokio::time::timeout(total, self.upstream.send(&mut request, &mut trace)))
                    .await
                    .unwrap_or_else(|_| Err(Cause::TotalTimeout.into())),
            }
        };
        self.note(exchange, &trace);
        match reply? {
            upstream::Answer::Response(response) => {
                let (mut head, body) = response.into_parts();
                self.returned(exchange, &mut head, trace.server)?;
                let empty = http_body::Body::is_end_stream(&body);
                Ok(Response::from_parts(head, if empty { Body::Empty } else { Body::stream(body) }))
            }
            upstream::Answer::Upgraded { head, tunnel } => self.switch(exchange, head, tunnel),
        }
    }

    fn note(&self, exchange: &mut Exchange, trace: &Trace) {
        let some = |micros: u32| (micros > 0).then_some(micros);
        let notes = &mut exchange.notes;
        notes.upstream = trace.server.map(|server| ServerName::new(&self.names[usize::from(server)].0));
        notes.attempts = trace.attempts;
        notes.upstream_status = trace.upstream_status.map(|status| status.as_u16());
        notes.connect = some(trace.connect_us);
        notes.tls = some(trace.tls_us);
        notes.first_byte = some(trace.first_byte_us);
    }

    /// What a response owes to the hop that it came by is taken off it.
    fn returned(&self, exchange: &Exchange, head: &mut response::Parts, server: Option<u16>) -> Result<(), Fault> {
        if self.intercept.iter().any(|intercept| intercept.holds(head.status)) {
            return Err(Fault::intercepted(head.status));
        }
        head.version = Version::HTTP_11;
        let survey = Survey::of_response(&head.headers);
        hop::strip(&mut head.headers, &survey);
        if let Some(server) = server.filter(|_| survey.names_places) {
            location::rewrite(&mut head.headers, exchange, &self.names[usize::from(server)].1);
        }
        Ok(())
    }

    /// The request as it would leave.
    fn told(&self, exchange: &mut Exchange) -> Result<Forward, Fault> {
        let (forwarding, _) = prepare(exchange, self.forwarded)?;
        let length = exchange.take_body()?.length();
        let method = exchange.method.clone();
        let target = exchange.target.wire();
        let told = self.upstream.tell(&method, &target, &exchange.headers, &forwarding.fields(exchange), length);
        exchange.notes.upstream = told.server.map(|server| ServerName::new(&self.names[server].0));
        Ok(told)
    }

    /// The upstream has switched protocols: so do we, towards the client.
    fn switch(&self, exchange: &mut Exchange, head: Response<()>, tunnel: upstream::Tunnel) -> Result<Answer, Fault> {
        let (mut head, ()) = head.into_parts();
        let accepted = head.headers.get(header::UPGRADE).cloned();
        let survey = Survey::of_response(&head.headers);
        hop::strip(&mut head.headers, &survey);
        let (account, idle) = (Account::open(), self.upstream.stream_timeout());
        exchange.notes.tunnel = Some(account.ledger().clone());
        match std::mem::take(&mut exchange.upgrade) {
            Upgrade::Http1(slot) => {
                head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                if let Some(protocol) = accepted {
                    head.headers.insert(header::UPGRADE, protocol);
                }
                slot.put(tunnel::for_driver(tunnel, idle, account));
            }
            // RFC 8441, section 5: the stream is established by a 2xx, and these fields have no meaning on it.
            Upgrade::Http2(client) => {
                establish(&mut head);
                tunnel::over_http2(client, tunnel, idle, account);
            }
            Upgrade::Http3(slot) => {
                establish(&mut head);
                slot.put(tunnel::for_driver(tunnel, idle, account));
            }
            Upgrade::No => {
                exchange.notes.tunnel = None;
                return Err(Fault::detailed(Cause::Protocol, "101 to a request that asked for no upgrade"));
            }
        }
        Ok(Response::from_parts(head, Body::Empty))
    }
}

fn establish(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
}

/// What a server is told of the client before anything else. Of a client that a proxy before us vouches for, the address is
/// all that is known.
fn announcement(version: proxy_protocol::Version, exchange: &Exchange) -> Vec<u8> {
    let connection = &exchange.connection;
    let said = match connection.local {
        _ if connection.unix && exchange.client_ip == connection.peer.ip() => Said::Nothing,
        None => Said::Nothing,
        Some(local) => {
            let port = if exchange.client_ip == connection.peer.ip() { connection.peer.port() } else { 0 };
            Said::Client {
                from: SocketAddr::new(exchange.client_ip, port),
                to: SocketAddr::new(local, connection.port),
            }
        }
    };
    proxy_protocol::write(version, said)
}

impl Answers for ReverseProxy {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        boxed(|| self.pass(exchange))
    }

    fn forward(&self, exchange: &mut Exchange) -> Option<Result<Forward, Fault>> {
        Some(self.told(exchange))
    }

    fn receive(&self, exchange: &mut Exchange, answer: Answer) -> Result<Answer, Fault> {
        let (mut head, body) = answer.into_parts();
        let asked = exchange.notes.upstream.as_ref().map(ServerName::as_str);
        let server = self.names.iter().position(|(name, _)| Some(&**name) == asked);
        self.returned(exchange, &mut head, server.and_then(|server| u16::try_from(server).ok()))?;
        Ok(Response::from_parts(head, body))
    }
}

/// Makes the request's fields those that the upstream is to see, beside those that are given back; says whether it asks
/// for an upgrade.
fn prepare(exchange: &mut Exchange, field: ForwardedField) -> Result<(Forwarding, bool), Fault> {
    let websocket = !matches!(exchange.upgrade, Upgrade::No);
    let survey = Survey::of_request(&exchange.headers);
    hop::strip_own(&mut exchange.headers, &survey);
    if survey.odd {
        hop::strip_aliases(&mut exchange.headers);
    }
    if survey.expect {
        exchange.headers.remove(header::EXPECT);
    }
    let forwarding = Forwarding::of(exchange, field, &survey);
    // HTTP/2 says it in `:authority`, HTTP/1.0 may leave it out; HTTP/1.1 has exactly one, be it empty.
    if !survey.host {
        let host = exchange.host.authority().clone();
        exchange.headers.insert(header::HOST, host);
    }
    if exchange.version >= Version::HTTP_2 {
        join_cookies(exchange);
    }
    if websocket {
        let headers = &mut exchange.headers;
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if matches!(exchange.upgrade, Upgrade::Http2(_) | Upgrade::Http3(_)) {
            exchange.method = Method::GET;
            headers.insert(header::SEC_WEBSOCKET_KEY, tunnel::key()?);
        }
    }
    Ok((forwarding, websocket))
}

/// HTTP/2 may split the field into crumbs; HTTP/1.1 knows one (RFC 9113, section 8.2.3).
fn join_cookies(exchange: &mut Exchange) {
    let crumbs: Vec<&[u8]> = exchange.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        exchange.headers.insert(header::COOKIE, joined);
    }
}
