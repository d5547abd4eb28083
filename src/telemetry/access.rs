//! One line for each request that was answered: JSON for machines, or a short coloured line for a terminal.

mod passed;

use std::io::Write;
use std::net::IpAddr;
use std::time::SystemTime;

use super::clock;
use super::redact::{self, Redact};
use super::text::{self, Spelling};

pub use passed::Passed;

/// Longest URI and `Referer` that a line shows, in bytes; the rest becomes a count.
pub const LONGEST_URI: usize = 2048;
/// Longest other text, in bytes.
pub const LONGEST_TEXT: usize = 1024;

/// `,"name":` as one literal, to be appended in one go.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// How the lines of one log look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    pub form: Form,
    pub redact: Redact,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// One object a line (RFC 8259), fields without a value left out.
    #[default]
    Json,
    /// For people, without colours.
    Plain,
    /// For people at a terminal.
    Coloured,
}

/// What is known of one request when its answer has ended. Bytes of the client's may be anything: the line escapes
/// them. A record holds no header but the two it names, so credentials cannot slip in.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When the request arrived.
    pub time: SystemTime,
    pub request_id: &'a str,
    /// Whom the request is ascribed to, after trusted proxies were believed.
    pub client_ip: IpAddr,
    /// The other end of the connection; shown only where it differs from `client_ip`.
    pub peer: Option<IpAddr>,
    /// Who asked, where a directive asked that.
    pub user: Option<&'a str>,
    pub method: &'a str,
    pub scheme: &'a str,
    pub host: &'a [u8],
    /// Path and query as they came.
    pub uri: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2.0`, …
    pub protocol: &'a str,
    /// 499 where the client left before it had an answer.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    pub user_agent: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    pub phases: Phases,
    /// The server that was asked last.
    pub upstream: Option<&'a str>,
    /// How many servers were tried; 0 where none was asked.
    pub attempts: u8,
    pub upstream_status: Option<u16>,
    /// Why there is no proper answer: `upstream_refused`, `client_abort`, …
    pub error_code: Option<&'static str>,
    /// What is known of that beyond its code: `the certificate has expired`, …
    pub reason: Option<&'a str>,
    /// What ended the tunnel that this request opened: `closed_by_client`, `idle`, `shutdown`, …
    pub tunnel_end: Option<&'static str>,
    pub site: &'a str,
    /// Where the route that answered is written: `Proxyfile:12`.
    pub route: Option<&'a str>,
    /// The client's TLS version and cipher suite.
    pub tls_version: Option<&'static str>,
    pub tls_suite: Option<&'static str>,
    /// Whose certificate the client has shown, where one was asked for.
    pub tls_client: Option<&'a str>,
    /// What directives and the `log` block add, by name.
    pub fields: &'a [(&'a str, &'a str)],
}

/// Where the time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// TCP connection to the upstream, where a new one was made.
    pub connect: Option<u32>,
    /// TLS handshake with the upstream.
    pub tls: Option<u32>,
    /// From the request's arrival to the head of the upstream's response.
    pub first_byte: Option<u32>,
    /// From the request's arrival to the end of the answer. Tunnels outlive 32 bits of microseconds (71 minutes).
    pub total: u64,
}

impl Record<'_> {
    /// Appends the line with its newline. Nothing is allocated but by the growth of `to`.
    pub fn append(&self, to: &mut Vec<u8>, style: &Style) {
        match style.form {
            Form::Json => self.append_json(to, &style.redact),
            Form::Plain => self.append_human(to, &style.redact, &Paint::NONE),
            Form::Coloured => self.append_human(to, &style.redact, &Paint::ANSI),
        }
        to.push(b'\n');
    }

    fn append_json(&self, to: &mut Vec<u8>, redact: &Redact) {
        to.extend_from_slice(b"{\"time\":\"");
        to.extend_from_slice(&clock::rfc3339(self.time));
        to.push(b'"');
        string(to, key!("id"), self.request_id.as_bytes());
        self.append_client(to);
        optional(to, key!("user"), self.user);
        string(to, key!("method"), self.method.as_bytes());
        string(to, key!("scheme"), self.scheme.as_bytes());
        string(to, key!("host"), self.host);
        uri(to, key!("uri"), self.uri, redact);
        string(to, key!("protocol"), self.protocol.as_bytes());
        number(to, key!("status"), u64::from(self.status));
        number(to, key!("bytes_in"), self.bytes_in);
        number(to, key!("bytes_out"), self.bytes_out);
        self.append_phases(to);
        self.append_upstream(to);
        optional(to, key!("error"), self.error_code);
        optional(to, key!("reason"), self.reason);
        optional(to, key!("tunnel_end"), self.tunnel_end);
        string(to, key!("site"), self.site.as_bytes());
        optional(to, key!("route"), self.route);
        optional(to, key!("tls_version"), self.tls_version);
        optional(to, key!("tls_suite"), self.tls_suite);
        optional(to, key!("tls_client"), self.tls_client);
        if let Some(user_agent) = self.user_agent {
            string(to, key!("user_agent"), user_agent);
        }
        if let Some(referer) = self.referer {
            uri(to, key!("referer"), referer, redact);
        }
        self.append_fields(to);
        to.push(b'}');
    }

    fn append_client(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(key!("client_ip").as_bytes());
        quoted_address(to, self.client_ip);
        if let Some(peer) = self.peer.filter(|peer| peer.to_canonical() != self.client_ip.to_canonical()) {
            to.extend_from_slice(key!("peer").as_bytes());
            quoted_address(to, peer);
        }
    }

    fn append_phases(&self, to: &mut Vec<u8>) {
        millis(to, key!("duration_ms"), self.phases.total);
        let parts = [
            (key!("connect_ms"), self.phases.connect),
            (key!("tls_ms"), self.phases.tls),
            (key!("first_byte_ms"), self.phases.first_byte),
        ];
        for (name, micros) in parts {
            if let Some(micros) = micros {
                millis(to, name, u64::from(micros));
            }
        }
    }

    fn append_upstream(&self, to: &mut Vec<u8>) {
        optional(to, key!("upstream"), self.upstream);
        if self.attempts > 0 {
            number(to, key!("attempts"), u64::from(self.attempts));
        }
        if let Some(status) = self.upstream_status {
            number(to, key!("upstream_status"), u64::from(status));
        }
    }

    /// In an object of their own: a field named `status` must not stand beside ours.
    fn append_fields(&self, to: &mut Vec<u8>) {
        let mut opening: &[u8] = b",\"fields\":{\"";
        for (name, value) in self.fields {
            to.extend_from_slice(opening);
            text::push_cut(to, name.as_bytes(), LONGEST_TEXT, Spelling::Json);
            to.extend_from_slice(b"\":\"");
            field_value(to, name, value, Spelling::Json);
            to.push(b'"');
            opening = b",\"";
        }
        if !self.fields.is_empty() {
            to.push(b'}');
        }
    }

    /// `08:49:37.123 200 GET example.com/path 1.2ms 3.4KiB 10.0.0.1:3000 upstream_refused name=value 0c07398f`
    fn append_human(&self, to: &mut Vec<u8>, redact: &Redact, paint: &Paint) {
        paint.dim(to, &clock::time_of_day(self.time));
        to.push(b' ');
        to.extend_from_slice(paint.status(self.status));
        text::push_number(to, u64::from(self.status));
        to.extend_from_slice(paint.end);
        word(to, self.method.as_bytes());
        word(to, self.host);
        redact.push(to, self.uri, LONGEST_URI, Spelling::Plain);
        to.push(b' ');
        human_time(to, self.phases.total);
        to.push(b' ');
        human_size(to, self.bytes_out);
        human_end(to, paint, self.upstream, (self.error_code, self.reason), self.tunnel_end);
        for (name, value) in self.fields {
            word(to, name.as_bytes());
            to.push(b'=');
            field_value(to, name, value, Spelling::Plain);
        }
        to.push(b' ');
        paint.dim(to, tail(self.request_id));
    }
}

/// Where something went, what went wrong there and why, and what ended it.
fn human_end(
    to: &mut Vec<u8>,
    paint: &Paint,
    upstream: Option<&str>,
    (error, reason): (Option<&str>, Option<&str>),
    end: Option<&str>,
) {
    if let Some(upstream) = upstream {
        word(to, upstream.as_bytes());
    }
    if let Some(error) = error {
        to.extend_from_slice(paint.bad);
        word(to, error.as_bytes());
        to.extend_from_slice(paint.end);
        if let Some(reason) = reason {
            to.push(b':');
            word(to, reason.as_bytes());
        }
    }
    if let Some(end) = end {
        word(to, end.as_bytes());
    }
}

fn string(to: &mut Vec<u8>, key: &str, value: &[u8]) {
    to.extend_from_slice(key.as_bytes());
    to.push(b'"');
    text::push_cut(to, value, LONGEST_TEXT, Spelling::Json);
    to.push(b'"');
}

fn optional(to: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(to, key, value.as_bytes());
    }
}

fn uri(to: &mut Vec<u8>, key: &str, value: &[u8], redact: &Redact) {
    to.extend_from_slice(key.as_bytes());
    to.push(b'"');
    redact.push(to, value, LONGEST_URI, Spelling::Json);
    to.push(b'"');
}

fn number(to: &mut Vec<u8>, key: &str, value: u64) {
    to.extend_from_slice(key.as_bytes());
    text::push_number(to, value);
}

fn millis(to: &mut Vec<u8>, key: &str, micros: u64) {
    to.extend_from_slice(key.as_bytes());
    text::push_millis(to, micros);
}

fn field_value(to: &mut Vec<u8>, name: &str, value: &str, spelling: Spelling) {
    if redact::is_credential(name) {
        redact::push_mask(to);
    } else {
        text::push_cut(to, value.as_bytes(), LONGEST_TEXT, spelling);
    }
}

fn quoted_address(to: &mut Vec<u8>, address: IpAddr) {
    to.push(b'"');
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    to.push(b'.');
                }
                text::push_number(to, u64::from(octet));
            }
        }
        // Its text has rules of its own (RFC 5952) that are worth the slower way. A Vec takes every write.
        IpAddr::V6(address) => drop(write!(to, "{address}")),
    }
    to.push(b'"');
}

fn word(to: &mut Vec<u8>, text: &[u8]) {
    to.push(b' ');
    text::push_cut(to, text, LONGEST_TEXT, Spelling::Plain);
}

/// The last eight characters: ours begin with the time, so that the first eight are the same for a whole minute.
fn tail(id: &str) -> &[u8] {
    let bytes = id.as_bytes();
    &bytes[bytes.len().saturating_sub(8)..]
}

/// `950µs`, `1.2ms`, `12.0s`.
fn human_time(to: &mut Vec<u8>, micros: u64) {
    match micros {
        0..1_000 => {
            text::push_number(to, micros);
            to.extend_from_slice("µs".as_bytes());
        }
        1_000..1_000_000 => tenths(to, micros, 1_000, b"ms"),
        _ => tenths(to, micros, 1_000_000, b"s"),
    }
}

/// `999B`, `1.2KiB`, `12.0MiB`, `1.0GiB`.
fn human_size(to: &mut Vec<u8>, bytes: u64) {
    match bytes {
        0..0x400 => {
            text::push_number(to, bytes);
            to.push(b'B');
        }
        0x400..0x10_0000 => tenths(to, bytes, 0x400, b"KiB"),
        0x10_0000..0x4000_0000 => tenths(to, bytes, 0x10_0000, b"MiB"),
        _ => tenths(to, bytes, 0x4000_0000, b"GiB"),
    }
}

fn tenths(to: &mut Vec<u8>, number: u64, unit: u64, name: &[u8]) {
    text::push_number(to, number / unit);
    to.extend_from_slice(&[b'.', text::digit(number % unit * 10 / unit)]);
    to.extend_from_slice(name);
}

/// The colours of a terminal line, or none.
struct Paint {
    dim: &'static [u8],
    /// By class of status, 1xx to 5xx; anything else is the last.
    classes: [&'static [u8]; 6],
    bad: &'static [u8],
    end: &'static [u8],
}

impl Paint {
    const NONE: Self = Self { dim: b"", classes: [b""; 6], bad: b"", end: b"" };
    const ANSI: Self = Self {
        dim: b"\x1b[2m",
        classes: [b"\x1b[2m", b"\x1b[32m", b"\x1b[36m", b"\x1b[33m", b"\x1b[31m", b"\x1b[35m"],
        bad: b"\x1b[31m",
        end: b"\x1b[0m",
    };

    fn status(&self, status: u16) -> &'static [u8] {
        let class = usize::from(status / 100);
        if (1..=5).contains(&class) { self.classes[class - 1] } else { self.classes[5] }
    }

    fn dim(&self, to: &mut Vec<u8>, bytes: &[u8]) {
        to.extend_from_slice(self.dim);
        text::push(to, bytes, Spelling::Plain);
        to.extend_from_slice(self.end);
    }
}

#[cfg(test)]
mod tests;
