//! The placeholders: one table, from which checking, evaluation, help and completion are read.

use std::sync::OnceLock;

use http::HeaderName;
use http::response::Parts;
use smallvec::SmallVec;

use super::connection::{ClientCertificate, ask_for_ja4};
use super::exchange::{Exchange, ServerName};

/// What a placeholder can see.
pub struct View<'a> {
    pub exchange: &'a Exchange,
    /// Only where the answer is there already.
    pub response: Option<&'a Parts>,
}

type Write = fn(&View<'_>, &mut Vec<u8>);

/// One placeholder.
#[derive(Debug)]
pub struct Placeholder {
    pub name: &'static str,
    pub doc: &'static str,
    /// Its value is known only once there is an answer.
    pub response: bool,
    evaluate: Evaluate,
}

#[derive(Debug, Clone, Copy)]
enum Evaluate {
    Plain(Write),
    Keyed(Key),
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Header,
    Cookie,
    Query,
    Param,
    ResponseHeader,
}

/// A placeholder made ready: nothing is looked up by name when a request comes.
#[derive(Debug, Clone)]
pub enum Slot {
    Plain(Write),
    Header(HeaderName),
    Cookie(Box<str>),
    Query(Box<str>),
    Param(Box<str>),
    ResponseHeader(HeaderName),
}

macro_rules! plain {
    ($name:literal, $doc:literal, $write:expr) => {
        Placeholder { name: $name, doc: $doc, response: false, evaluate: Evaluate::Plain($write) }
    };
    ($name:literal, $doc:literal, response $write:expr) => {
        Placeholder { name: $name, doc: $doc, response: true, evaluate: Evaluate::Plain($write) }
    };
}

macro_rules! keyed {
    ($name:literal, $doc:literal, $key:ident) => {
        Placeholder { name: $name, doc: $doc, response: false, evaluate: Evaluate::Keyed(Key::$key) }
    };
}

/// How they are written: some paragraphs.
pub const DOC: &str = "A placeholder is written `{path}`, alone or within a word: `https://{host}{uri}`. It is evaluated for each request, once: what a request brings in is never read again as something to evaluate. What a request does not have stands for nothing.\n\n\
    `{$NAME}` and `{$NAME:default}` are taken from the environment when the file is read, and `{file./run/secrets/token}` is what a file holds. `{lines./etc/rp/office.txt}`, alone, is a value for each line of a file, without empty lines and those that begin with `#`: `client_ip {lines./etc/rp/office.txt}`. Inside a snippet, `{arg.NAME}` is what `use` gave it. All of these are data, whatever is in them: none brings in words, lines or braces that would be read as a statement.\n\n\
    What is of the answer is known once there is one: in the values that `header` writes into answers.";

/// All of them. A name that ends with a dot takes a key: `{header.X-Name}`.
pub static TABLE: &[Placeholder] = &[
    plain!("client_ip", "the client's address, seen through trusted proxies", |v, out| display(
        &v.exchange.client_ip,
        out
    )),
    plain!("peer_ip", "the address at the other end of the connection", |v, out| out
        .extend_from_slice(v.exchange.connection.peer_text.as_bytes())),
    plain!("peer_port", "the port at the other end of the connection", |v, out| display(
        &v.exchange.connection.peer.port(),
        out
    )),
    plain!("host", "the host that the request names, in lower case, without its port", |v, out| out
        .extend_from_slice(v.exchange.host.name().as_bytes())),
    plain!("authority", "the host as it was sent, with its port", |v, out| out
        .extend_from_slice(v.exchange.host.authority().as_bytes())),
    plain!("port", "the port that the client came to", |v, out| out
        .extend_from_slice(v.exchange.connection.port_text.as_bytes())),
    plain!("scheme", "`http` or `https`", |v, out| out
        .extend_from_slice(v.exchange.connection.scheme.as_str().as_bytes())),
    plain!("method", "the request's method", |v, out| out.extend_from_slice(v.exchange.method.as_str().as_bytes())),
    plain!("protocol", "`HTTP/1.1` or `HTTP/2.0`", |v, out| debug(&v.exchange.version, out)),
    plain!("path", "the path in its canonical form, as rewritten so far", |v, out| out
        .extend_from_slice(v.exchange.target.path().as_bytes())),
    plain!("query", "the query, without its `?`", |v, out| out
        .extend_from_slice(v.exchange.target.query().unwrap_or_default().as_bytes())),
    plain!(
        "decoded_query",
        "the query, `+` and escapes decoded until nothing changes, three times at most: to look for words in it, never to pass it on",
        |v, out| out.extend_from_slice(v.exchange.target.decoded_query().as_bytes())
    ),
    plain!("uri", "path and query, as rewritten so far", |v, out| v.exchange.target.write(out)),
    plain!("original_uri", "path and query as the client sent them", |v, out| out
        .extend_from_slice(v.exchange.target.original().as_bytes())),
    plain!("request_id", "the id that stands in logs, answers and upstream requests", |v, out| out
        .extend_from_slice(v.exchange.id.as_bytes())),
    plain!("hostname", "the name of the machine that rp runs on", |_, out| out.extend_from_slice(hostname())),
    plain!("tls.version", "`TLSv1.2` or `TLSv1.3`; nothing on a plain connection", |v, out| {
        if let Some(tls) = &v.exchange.connection.tls {
            out.extend_from_slice(tls.version.as_bytes());
        }
    }),
    plain!("tls.sni", "the name that the TLS client asked for", |v, out| {
        if let Some(sni) = v.exchange.connection.tls.as_ref().and_then(|tls| tls.sni.as_ref()) {
            out.extend_from_slice(sni.as_bytes());
        }
    }),
    plain!("tls.suite", "the cipher suite, by its IANA name", |v, out| {
        if let Some(tls) = &v.exchange.connection.tls {
            out.extend_from_slice(tls.suite.unwrap_or_default().as_bytes());
        }
    }),
    plain!("tls.group", "the group in which keys were agreed on: `x25519mlkem768`; nothing over HTTP/3", |v, out| {
        if let Some(tls) = &v.exchange.connection.tls {
            out.extend_from_slice(tls.group.unwrap_or_default().as_bytes());
        }
    }),
    plain!(
        "tls.ja4",
        "how the TLS client's first message is made, which tells programs from each other (JA4)",
        |v, out| {
            if let Some(ja4) = v.exchange.connection.tls.as_ref().and_then(|tls| tls.ja4.as_ref()) {
                out.extend_from_slice(ja4.as_bytes());
            }
        }
    ),
    plain!("tls.client.subject", "whose certificate the client has shown: `CN=alice,O=Acme` (RFC 4514)", |v, out| {
        client(v, out, |client| &client.subject);
    }),
    plain!("tls.client.issuer", "who signed it", |v, out| client(v, out, |client| &client.issuer)),
    plain!("tls.client.serial", "its serial number, in hexadecimal", |v, out| client(v, out, |client| &client.serial)),
    plain!("tls.client.fingerprint", "its SHA-256, in hexadecimal and lower case", |v, out| {
        client(v, out, |client| &client.fingerprint);
    }),
    plain!("tls.client.san", "its other names: `DNS:a.example.com,URI:spiffe://a/b`", |v, out| {
        client(v, out, |client| &client.san);
    }),
    plain!("tls.client.certificate", "all of it, as the field `Client-Cert` has it (RFC 9440)", |v, out| {
        client(v, out, |client| &client.field);
    }),
    plain!("tls.client.verified", "`yes` where an authority vouches for it, else `no`", |v, out| {
        let shown = v.exchange.connection.tls.as_ref().and_then(|tls| tls.client.as_ref());
        out.extend_from_slice(if shown.is_some_and(|client| client.verified) { b"yes" } else { b"no" });
    }),
    plain!("auth.user", "the name that was proved: see `basic_auth`", |v, out| {
        if let Some(user) = v.exchange.user() {
            out.extend_from_slice(user.as_bytes());
        }
    }),
    plain!("error.code", "inside `handle_errors`: the code of what went wrong", |v, out| {
        if let Some(fault) = &v.exchange.fault {
            out.extend_from_slice(fault.cause.code().as_bytes());
        }
    }),
    plain!("error.status", "inside `handle_errors`: the status of what went wrong", |v, out| {
        if let Some(fault) = &v.exchange.fault {
            out.extend_from_slice(fault.status().as_str().as_bytes());
        }
    }),
    plain!("error.reason", "inside `handle_errors`: the status in words", |v, out| {
        if let Some(fault) = &v.exchange.fault {
            out.extend_from_slice(fault.status().canonical_reason().unwrap_or_default().as_bytes());
        }
    }),
    plain!(
        "upstream.address",
        "the server that answered",
        response | v,
        out | {
            if let Some(address) = v.exchange.notes.upstream.as_ref().map(ServerName::as_str) {
                out.extend_from_slice(address.as_bytes());
            }
        }
    ),
    plain!(
        "status",
        "the answer's status",
        response | v,
        out | {
            if let Some(response) = v.response {
                out.extend_from_slice(response.status.as_str().as_bytes());
            }
        }
    ),
    plain!(
        "duration_ms",
        "milliseconds from the request's head to the answer's head",
        response | v,
        out | {
            display(&v.exchange.started.elapsed().as_millis(), out);
        }
    ),
    keyed!("header.", "a field of the request: `{header.User-Agent}`", Header),
    keyed!("cookie.", "a cookie of the request: `{cookie.session}`", Cookie),
    keyed!("query.", "a parameter of the query, decoded: `{query.page}`", Query),
    keyed!("param.", "what a path pattern or a named group captured: `{param.id}`", Param),
    Placeholder {
        name: "response.header.",
        doc: "a field of the answer: `{response.header.Content-Type}`",
        response: true,
        evaluate: Evaluate::Keyed(Key::ResponseHeader),
    },
];

/// Asked once: a machine that gets another name gets it with its next start.
fn hostname() -> &'static [u8] {
    static NAME: OnceLock<Box<[u8]>> = OnceLock::new();
    NAME.get_or_init(|| rustix::system::uname().nodename().to_bytes().into())
}

/// The placeholder of this name, with what stands behind its dot.
#[must_use]
pub fn find(name: &str) -> Option<(&'static Placeholder, &str)> {
    TABLE.iter().find_map(|placeholder| {
        if placeholder.name == name {
            return Some((placeholder, ""));
        }
        let key = placeholder.name.ends_with('.').then(|| name.strip_prefix(placeholder.name)).flatten()?;
        (!key.is_empty()).then_some((placeholder, key))
    })
}

impl Placeholder {
    /// Ready for use with this key; `None` where the key can't be one.
    #[must_use]
    pub fn slot(&self, key: &str) -> Option<Slot> {
        if self.name == "tls.ja4" {
            ask_for_ja4();
        }
        let field = || HeaderName::from_bytes(key.as_bytes()).ok();
        Some(match self.evaluate {
            Evaluate::Plain(write) => Slot::Plain(write),
            Evaluate::Keyed(Key::Header) => Slot::Header(field()?),
            Evaluate::Keyed(Key::ResponseHeader) => Slot::ResponseHeader(field()?),
            Evaluate::Keyed(Key::Cookie) => Slot::Cookie(key.into()),
            Evaluate::Keyed(Key::Query) => Slot::Query(key.into()),
            Evaluate::Keyed(Key::Param) => Slot::Param(key.into()),
        })
    }
}

/// As texts, all that a request has of something: mostly one.
pub type Values = SmallVec<[String; 1]>;

impl Slot {
    /// Each value of what a request may bring several times; nothing where it brought none, or can bring but one.
    #[must_use]
    pub fn each(&self, exchange: &Exchange) -> Values {
        match self {
            Self::Header(name) => {
                let fields = exchange.headers.get_all(name).iter();
                let mut values: Values =
                    fields.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
                if values.len() > 1 {
                    // What a server may take them for (RFC 9110, section 5.3): one text that was sent in two pieces is found, too.
                    values.push(values.join(", "));
                }
                values
            }
            Self::Cookie(name) => cookies(exchange, name).map(str::to_owned).collect(),
            Self::Query(name) => exchange.target.parameters(name).collect(),
            Self::Plain(_) | Self::Param(_) | Self::ResponseHeader(_) => Values::new(),
        }
    }

    /// Appends the value; what is not there is nothing.
    pub fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain(write) => write(view, out),
            Self::Header(name) => {
                for (index, value) in view.exchange.headers.get_all(name).iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    out.extend_from_slice(value.as_bytes());
                }
            }
            Self::ResponseHeader(name) => {
                if let Some(value) = view.response.and_then(|response| response.headers.get(name)) {
                    out.extend_from_slice(value.as_bytes());
                }
            }
            Self::Cookie(name) => {
                if let Some(value) = cookie(view.exchange, name) {
                    out.extend_from_slice(value.as_bytes());
                }
            }
            Self::Query(name) => {
                if let Some(value) = view.exchange.target.parameter(name) {
                    out.extend_from_slice(value.as_bytes());
                }
            }
            Self::Param(name) => {
                if let Some(value) = view.exchange.capture(name) {
                    out.extend_from_slice(value.as_bytes());
                }
            }
        }
    }
}

/// The first cookie of this name (RFC 6265, section 5.4 has the most specific one first).
#[must_use]
pub fn cookie<'a>(exchange: &'a Exchange, name: &'a str) -> Option<&'a str> {
    cookies(exchange, name).next()
}

/// All values of cookies of this name: which of them a server takes is not for us to know.
pub fn cookies<'a>(exchange: &'a Exchange, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = exchange.headers.get_all(http::header::COOKIE).iter().map(http::HeaderValue::as_bytes);
    values
        // One that is no text hides none of its neighbours.
        .flat_map(|value| value.split(|byte| *byte == b';').filter_map(|pair| std::str::from_utf8(pair).ok()))
        .filter_map(move |pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// What a client's certificate says, if there is one.
fn client(view: &View<'_>, out: &mut Vec<u8>, text: fn(&ClientCertificate) -> &str) {
    if let Some(client) = view.exchange.connection.tls.as_ref().and_then(|tls| tls.client.as_ref()) {
        out.extend_from_slice(text(client).as_bytes());
    }
}

fn display(value: &dyn std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let _ = write!(out, "{value}");
}

fn debug(value: &dyn std::fmt::Debug, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let _ = write!(out, "{value:?}");
}
