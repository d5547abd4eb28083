//! Fields that belong to one hop and never pass (RFC 9110, section 7.6.1), and those that pretend to be others.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Removes what belongs to the connection that the message came on: the fields that `Connection` names, and those that
/// are of one hop by their nature. `TE: trailers` stays, since gRPC wants it end to end.
///
/// A field that `Connection` names is removed only if it may be: end-to-end framing, `Host` and whatever rp sets itself
/// can't be taken away by a client (requirement C09).
pub fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !is_kept(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    let trailers = headers.get_all(header::TE).iter().any(|te| {
        te.to_str().is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    });
    for name in &HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

static HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy"),
];

fn is_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes()[0] {
        b'c' => name == "connection",
        b'k' => name == "keep-alive",
        b't' => matches!(name, "te" | "transfer-encoding"),
        b'u' => name == "upgrade",
        b'h' => name == "http2-settings",
        b'p' => name.starts_with("proxy"),
        _ => false,
    }
}

/// What `Connection` cannot name away.
fn is_kept(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "content-length"
            | "transfer-encoding"
            | "authorization"
            | "cookie"
            | "content-type"
            | "te"
            | "forwarded"
            | "x-real-ip"
            | "x-request-id"
            | "close"
            | "keep-alive"
    ) || name.as_str().starts_with("x-forwarded-")
}

/// Removes fields whose names some origins take for others: `X_Forwarded_For` and `X.Forwarded.For` reach a CGI-like
/// application under the same variable as `X-Forwarded-For` (threat XA02).
pub fn strip_aliases(headers: &mut HeaderMap) {
    let odd = |name: &HeaderName| name.as_str().bytes().any(|byte| byte == b'_' || byte == b'.');
    if headers.keys().any(odd) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| odd(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[(&str, &str)], after: &[(&str, &str)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        strip(&mut headers);
        strip_aliases(&mut headers);
        let mut left: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        left.sort_unstable();
        let mut after = after.to_vec();
        after.sort_unstable();
        assert_eq!(left, after);
    }

    #[test]
    fn c09_what_belongs_to_one_hop_stays_on_it() {
        check(&[("accept", "x")], &[("accept", "x")]);
        check(
            &[("connection", "keep-alive, X-Secret"), ("keep-alive", "5"), ("x-secret", "1"), ("accept", "x")],
            &[("accept", "x")],
        );
        check(&[("te", "trailers, deflate"), ("a", "b")], &[("a", "b"), ("te", "trailers")]);
        check(&[("te", "gzip"), ("proxy", "evil"), ("upgrade", "h2c"), ("http2-settings", "x")], &[]);
    }

    #[test]
    fn xa04_connection_cannot_remove_what_the_proxy_owns() {
        check(
            &[
                ("connection", "close, X-Forwarded-For, Content-Length, Host"),
                ("x-forwarded-for", "1"),
                ("content-length", "5"),
                ("host", "h"),
            ],
            &[("x-forwarded-for", "1"), ("content-length", "5"), ("host", "h")],
        );
    }

    #[test]
    fn xa02_other_spellings_are_dropped() {
        check(&[("x_forwarded_for", "1"), ("x.real.ip", "1"), ("x-ok", "1")], &[("x-ok", "1")]);
    }
}
