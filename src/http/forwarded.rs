//! Who the client is, and what the upstream is told of it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::connection::{self, Connection};
use super::exchange::Exchange;
use super::hop::Survey;

pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether a client could pretend by this field to have come through a proxy that we run (threat XA01): frameworks take
/// from such fields where they are mounted, which user was authenticated, and whether TLS was spoken.
fn is_pretence(name: &HeaderName) -> bool {
    let name = name.as_str();
    PRETENCES.iter().any(|start| name.starts_with(start)) || PRETENDED.contains(&name)
}

/// How such names begin. The last ones tell of a certificate that the client has shown to a proxy (RFC 9440, section 2.4).
const PRETENCES: [&str; 7] =
    ["x-forwarded", "x-original-", "client-cert", "ssl-client", "x-ssl-client", "x-client-cert", "x-amzn-mtls-"];

/// The others: of networks that deliver content, of balancers, and of those who authenticate in front of an application.
const PRETENDED: [&str; 24] = [
    "x-rewrite-url",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-envoy-external-address",
    "x-appengine-user-ip",
    "x-url-scheme",
    "x-remote-user",
    "x-remote-addr",
    "x-webauth-user",
    "x-authenticated-user",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "forwarded-for",
    "front-end-https",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
];

/// Whether a name begins as those do that proxies write; those are looked at again.
#[must_use]
pub fn may_be_of_proxies(name: &[u8]) -> bool {
    match name.first() {
        Some(b'x') => name.starts_with(b"x-"),
        Some(b'f') => [&b"for"[..], b"fastly-", b"front-end-"].iter().any(|start| name.starts_with(start)),
        Some(b'c') => name.starts_with(b"client-cert") || name.starts_with(b"cf-"),
        Some(b'p') => name.starts_with(b"proxy-client-"),
        Some(b'r') => name.starts_with(b"remote-"),
        Some(b's') => name.starts_with(b"ssl-client"),
        Some(b't') => name.starts_with(b"true-"),
        Some(b'w') => name.starts_with(b"wl-"),
        _ => false,
    }
}

/// Whether a name is of those that proxies write.
pub fn is_of_proxies(name: &HeaderName) -> bool {
    is_pretence(name) || WRITTEN.contains(&name)
}

/// Takes out what a client has no right to say. To be called before a statement adds fields of such names.
pub fn forget_pretence(headers: &mut HeaderMap) {
    let names: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| is_pretence(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The peers whose word about the client is taken.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    networks: Vec<IpNet>,
    unix: bool,
}

impl Trusted {
    #[must_use]
    pub fn new(networks: Vec<IpNet>, unix: bool) -> Self {
        Self { networks, unix }
    }

    fn holds(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&ip))
    }

    #[must_use]
    pub fn peer(&self, connection: &Connection) -> bool {
        self.at((!connection.unix).then_some(connection.peer.ip()))
    }

    /// Whether a peer at this address is one of them; `None` for one that comes over a unix socket.
    #[must_use]
    pub fn at(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(ip) => !self.networks.is_empty() && self.holds(ip),
            None => self.unix,
        }
    }

    /// Walks `X-Forwarded-For` (else `Forwarded`) from right to left over trusted proxies: the first address that is not
    /// one of them is the client. What stands left of it is hearsay.
    #[must_use]
    pub fn client(&self, connection: &Connection, headers: &HeaderMap) -> IpAddr {
        let peer = connection.peer.ip();
        if !self.peer(connection) {
            return peer;
        }
        let mut client = peer;
        for hop in chain(headers).into_iter().rev() {
            let Some(ip) = hop else { return client };
            client = ip;
            if !self.holds(ip) {
                break;
            }
        }
        client
    }
}

/// The hops that earlier proxies wrote, oldest first; `None` where one is not an address.
fn chain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let list = |name: &HeaderName| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .flat_map(|value| {
                value.to_str().unwrap_or("?").split(',').map(|hop| hop.trim().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    };
    let hops = list(&X_FORWARDED_FOR);
    if !hops.is_empty() {
        return hops.iter().map(|hop| node(hop)).collect();
    }
    list(&header::FORWARDED)
        .iter()
        .map(|element| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then(|| node(value.trim_matches('"'))).flatten()
            })
        })
        .collect()
}

/// An address, with or without a port, in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let ip = IpAddr::from_str(text.trim_start_matches('[').trim_end_matches(']')).ok();
    ip.or_else(|| SocketAddr::from_str(text).ok().map(|address| address.ip())).map(|ip| ip.to_canonical())
}

/// What the upstream is told, beyond the `X-Forwarded-*` fields that it always gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedField {
    /// RFC 7239's `Forwarded` is removed.
    #[default]
    Off,
    On,
}

/// The names of what [`Forwarding`] adds.
static WRITTEN: [&HeaderName; 7] = [
    &X_FORWARDED_FOR,
    &X_FORWARDED_PROTO,
    &X_FORWARDED_HOST,
    &X_FORWARDED_PORT,
    &X_REAL_IP,
    &X_REQUEST_ID,
    &header::FORWARDED,
];

/// What the server is told of the client, beside the fields of the request: appended to what a trusted peer sent, in
/// place of what anyone else sent.
///
/// They go into the head of the request as it is written. In the map of fields they would cost a hash, an insertion and
/// two reference counts each.
#[derive(Debug)]
pub struct Forwarding {
    /// What most requests have nothing of.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    /// The chain of proxies, where there is more of it than the peer.
    chain: Option<HeaderValue>,
    /// The client, where it is not the peer.
    real: Option<HeaderValue>,
    /// RFC 7239.
    element: Option<HeaderValue>,
    /// What a trusted peer has said, which stays: `X-Forwarded-Proto`, `-Host`, `-Port`.
    said: [bool; 3],
}

/// Fields to be written behind those of a request.
pub type Also<'a> = SmallVec<[(&'static HeaderName, &'a [u8]); 7]>;

impl Forwarding {
    /// Takes out of the request's fields what is said anew.
    pub fn of(exchange: &mut Exchange, field: ForwardedField, survey: &Survey) -> Self {
        if survey.of_proxies && !exchange.trusted {
            for name in WRITTEN {
                exchange.headers.remove(name);
            }
        }
        let is_common = !exchange.trusted && field == ForwardedField::Off;
        Self { rare: (!is_common).then(|| Box::new(Rare::of(exchange, field))) }
    }

    /// The fields, for the request that this was made of.
    pub fn fields<'a>(&'a self, exchange: &'a Exchange) -> Also<'a> {
        let connection = &*exchange.connection;
        let rare = self.rare.as_deref();
        let said = rare.map_or([false; 3], |rare| rare.said);
        let peer = connection.peer_text.as_bytes();
        let or_peer = |value: Option<&'a HeaderValue>| value.map_or(peer, HeaderValue::as_bytes);
        let mut fields = Also::new();
        fields.push((&X_FORWARDED_FOR, or_peer(rare.and_then(|rare| rare.chain.as_ref()))));
        if !said[0] {
            fields.push((&X_FORWARDED_PROTO, connection.scheme.as_str().as_bytes()));
        }
        if !said[1] {
            fields.push((&X_FORWARDED_HOST, exchange.host.authority().as_bytes()));
        }
        if !said[2] {
            fields.push((&X_FORWARDED_PORT, connection.port_text.as_bytes()));
        }
        fields.push((&X_REAL_IP, or_peer(rare.and_then(|rare| rare.real.as_ref()))));
        fields.push((&X_REQUEST_ID, exchange.id.as_bytes()));
        if let Some(element) = rare.and_then(|rare| rare.element.as_ref()) {
            fields.push((&header::FORWARDED, element.as_bytes()));
        }
        fields
    }
}

impl Rare {
    fn of(exchange: &mut Exchange, field: ForwardedField) -> Self {
        let connection = exchange.connection.clone();
        let mut rare = Self::default();
        let headers = &mut exchange.headers;
        let mut before = None;
        if exchange.trusted {
            rare.chain = append(headers, &connection);
            rare.said =
                [&X_FORWARDED_PROTO, &X_FORWARDED_HOST, &X_FORWARDED_PORT].map(|name| headers.contains_key(name));
            before = joined(headers, &header::FORWARDED);
            for name in [&X_FORWARDED_FOR, &X_REAL_IP, &X_REQUEST_ID] {
                headers.remove(name);
            }
        }
        // Only a trusted peer can make another of the client.
        if exchange.client_ip != connection.peer.ip() {
            rare.real = Some(connection::text(exchange.client_ip));
        }
        if field == ForwardedField::On {
            headers.remove(header::FORWARDED);
            let element = element(&connection, exchange.host.authority());
            let value = before.map_or(element.clone(), |before| format!("{before}, {element}"));
            rare.element = HeaderValue::try_from(value).ok();
        }
        rare
    }
}

fn append(headers: &HeaderMap, connection: &Connection) -> Option<HeaderValue> {
    let before = joined(headers, &X_FORWARDED_FOR)?;
    HeaderValue::try_from(format!("{before}, {}", connection.peer_text.to_str().unwrap_or_default())).ok()
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// RFC 7239, section 4: IPv6 in brackets and quotes.
fn element(connection: &Connection, host: &HeaderValue) -> String {
    let node = match connection.peer.ip() {
        _ if connection.unix => "unknown".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    format!("for={node};host=\"{}\";proto={}", host.to_str().unwrap_or_default(), connection.scheme.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xa01_whatever_is_a_pretence_is_looked_at() {
        for name in PRETENCES.iter().chain(&PRETENDED).copied().chain(WRITTEN.iter().map(|name| name.as_str())) {
            assert!(may_be_of_proxies(name.as_bytes()), "{name}");
        }
    }

    fn client(peer: &str, trusted: &[&str], fields: &[(&str, &str)]) -> String {
        let connection = Connection::new(Some(SocketAddr::new(peer.parse().unwrap(), 9)), 80, None);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Trusted::new(trusted.iter().map(|net| net.parse().unwrap()).collect(), false)
            .client(&connection, &headers)
            .to_string()
    }

    #[test]
    fn h09_trusted_proxies_are_walked_from_right_to_left() {
        let xff = |value| [("x-forwarded-for", value)];
        assert_eq!(client("192.0.2.1", &[], &xff("1.2.3.4")), "192.0.2.1", "an untrusted peer is the client");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &xff("1.2.3.4")), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &xff("6.6.6.6, 1.2.3.4, 10.0.0.2")), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &xff("10.0.0.3, 10.0.0.2")), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &xff("1.2.3.4, junk")), "10.0.0.1", "hearsay ends the walk");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &xff("1.2.3.4:5678")), "1.2.3.4");
        assert_eq!(
            client("10.0.0.1", &["10.0.0.0/8"], &[("forwarded", "for=\"[2001:db8::1]:80\";proto=http")]),
            "2001:db8::1"
        );
        assert_eq!(
            client("10.0.0.1", &["10.0.0.0/8"], &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")]),
            "1.2.3.4"
        );
    }
}
