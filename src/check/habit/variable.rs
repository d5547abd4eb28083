//! Variables and placeholders of other servers, and which of ours they are.

use std::borrow::Cow;

use crate::diagnostic::Span;
use crate::syntax::tree::{Part, Style, Word};

/// `$name` of other servers, and the placeholder.
const VARIABLES: &[(&str, &str)] = &[
    ("args", "query"),
    ("binary_remote_addr", "client_ip"),
    ("document_uri", "path"),
    ("host", "host"),
    ("hostname", "hostname"),
    ("http_host", "authority"),
    ("query_string", "query"),
    ("realip_remote_addr", "peer_ip"),
    ("remote_addr", "client_ip"),
    ("remote_port", "peer_port"),
    ("request_id", "request_id"),
    ("request_method", "method"),
    ("request_uri", "original_uri"),
    ("scheme", "scheme"),
    ("server_port", "port"),
    ("server_protocol", "protocol"),
    ("ssl_cipher", "tls.suite"),
    ("ssl_curve", "tls.group"),
    ("ssl_client_escaped_cert", "tls.client.certificate"),
    ("ssl_client_fingerprint", "tls.client.fingerprint"),
    ("ssl_client_i_dn", "tls.client.issuer"),
    ("ssl_client_s_dn", "tls.client.subject"),
    ("ssl_client_serial", "tls.client.serial"),
    ("ssl_client_verify", "tls.client.verified"),
    ("ssl_protocol", "tls.version"),
    ("ssl_server_name", "tls.sni"),
    ("upstream_addr", "upstream.address"),
    ("uri", "path"),
];

/// Families of them: what stands behind the prefix is a name, with `_` where fields have `-`.
const VARIABLE_FAMILIES: &[(&str, &str)] =
    &[("http_", "header."), ("arg_", "query."), ("cookie_", "cookie."), ("upstream_http_", "response.header.")];

/// `{name}` of other servers, and the placeholder.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("err.status_code", "error.status"),
    ("err.status_text", "error.reason"),
    ("hostport", "authority"),
    ("http.error.status_code", "error.status"),
    ("http.error.status_text", "error.reason"),
    ("http.request.host", "host"),
    ("http.request.hostport", "authority"),
    ("http.request.method", "method"),
    ("http.request.orig_uri", "original_uri"),
    ("http.request.port", "port"),
    ("http.request.proto", "protocol"),
    ("http.request.remote", "client_ip"),
    ("http.request.remote.host", "client_ip"),
    ("http.request.scheme", "scheme"),
    ("http.request.tls.cipher_suite", "tls.suite"),
    ("http.request.tls.client.certificate_der_base64", "tls.client.certificate"),
    ("http.request.tls.client.fingerprint", "tls.client.fingerprint"),
    ("http.request.tls.client.issuer", "tls.client.issuer"),
    ("http.request.tls.client.serial", "tls.client.serial"),
    ("http.request.tls.client.subject", "tls.client.subject"),
    ("http.request.tls.server_name", "tls.sni"),
    ("http.request.tls.version", "tls.version"),
    ("http.request.uri", "uri"),
    ("http.request.uri.path", "path"),
    ("http.request.uri.query", "query"),
    ("http.request.uuid", "request_id"),
    ("http.reverse_proxy.status_code", "status"),
    ("http.reverse_proxy.upstream.address", "upstream.address"),
    ("http.reverse_proxy.upstream.hostport", "upstream.address"),
    ("orig_uri", "original_uri"),
    ("proto", "protocol"),
    ("remote", "client_ip"),
    ("remote_addr", "client_ip"),
    ("remote_host", "client_ip"),
    ("remote_ip", "client_ip"),
    ("request_uri", "original_uri"),
    ("system.hostname", "hostname"),
    ("upstream_hostport", "upstream.address"),
    ("uuid", "request_id"),
];

const PLACEHOLDER_FAMILIES: &[(&str, &str)] = &[
    ("http.request.header.", "header."),
    ("http.request.cookie.", "cookie."),
    ("http.request.uri.query.", "query."),
    ("http.response.header.", "response.header."),
    ("env.", "$"),
];

fn known(name: &str, all: &[(&str, &str)]) -> Option<String> {
    all.iter().find(|(from, _)| *from == name).map(|(_, to)| (*to).to_owned())
}

fn family(name: &str, all: &[(&str, &str)]) -> Option<String> {
    all.iter().find_map(|(from, to)| {
        let key = name.strip_prefix(from).filter(|key| !key.is_empty())?;
        Some(format!("{to}{key}"))
    })
}

/// Our placeholder, without its braces, for one of another server.
#[must_use]
pub fn placeholder(name: &str) -> Option<String> {
    known(name, PLACEHOLDERS).or_else(|| family(name, PLACEHOLDER_FAMILIES))
}

/// The same for what follows a `$`.
fn variable(name: &str) -> Option<String> {
    let field = |name: String| if name.contains("header.") { name.replace('_', "-") } else { name };
    known(name, VARIABLES).or_else(|| family(name, VARIABLE_FAMILIES).map(field))
}

/// The first `$name` or `${name}` of a text that means something elsewhere: how it is written there, and here.
#[must_use]
pub fn in_text(text: &str) -> Option<(&str, String)> {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        let end = behind.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(behind.len());
        if let Some(ours) = variable(&behind[..end]) {
            return Some((&rest[at..at + 1 + end], format!("{{{ours}}}")));
        }
        rest = behind;
    }
    None
}

/// `$NAME` of shells, as we write it.
#[must_use]
pub fn environment(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    let fits = !name.is_empty() && name.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_');
    fits.then(|| format!("{{${name}}}"))
}

/// The word as it is shown, all that other servers know replaced by what it is here.
#[must_use]
pub fn translated(word: &Word) -> String {
    word.parts.iter().map(|part| shown(part, word.span)).collect()
}

fn shown(part: &Part, span: Span) -> String {
    match part {
        Part::Text(text) => texts(text).into_owned(),
        Part::Placeholder { name, .. } => format!("{{{}}}", placeholder(name).as_deref().unwrap_or(name)),
        other => Word { parts: vec![other.clone()], style: Style::Bare, span }.written(),
    }
}

fn texts(text: &str) -> Cow<'_, str> {
    // What is too long to be shown need not be translated.
    if text.len() > 1_000 {
        return Cow::Borrowed(text);
    }
    let mut text = Cow::Borrowed(text);
    while let Some((theirs, ours)) = in_text(&text).map(|(theirs, ours)| (theirs.to_owned(), ours)) {
        text = Cow::Owned(text.replacen(&theirs, &ours, 1));
    }
    text
}

/// Every placeholder that is offered, with a key where it takes one.
pub fn offered() -> impl Iterator<Item = String> {
    let plain = VARIABLES.iter().chain(PLACEHOLDERS).map(|(_, to)| (*to).to_owned());
    let keyed = VARIABLE_FAMILIES.iter().chain(PLACEHOLDER_FAMILIES).map(|(_, to)| format!("{to}X"));
    plain.chain(keyed.filter(|name| !name.starts_with('$')))
}

#[cfg(test)]
mod tests {
    use super::in_text;

    #[test]
    fn variables_are_found_in_texts() {
        let found = |text| in_text(text).map(|(theirs, ours)| format!("{theirs} {ours}"));
        assert_eq!(found("https://$host$request_uri").as_deref(), Some("$host {host}"));
        assert_eq!(found("a $1 $http_user_agent").as_deref(), Some("$http_user_agent {header.user-agent}"));
        for harmless in ["", "$", "$1", "$$", "100$", "$hosting", "$price"] {
            assert_eq!(found(harmless), None, "{harmless}");
        }
    }
}
