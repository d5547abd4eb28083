//! Fields that belong to one hop and never pass (RFC 9110, section 7.6.1), and those that pretend to be others.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Removes what belongs to the connection that the message came on: the fields that `Connection` names, and those that
/// are of one hop by their nature. `TE: trailers` stays, since gRPC wants it end to end.
///
/// A field that `Connection` names is removed only if it may be: end-to-end framing, `Host` and whatever rp sets itself
/// can't be taken away by a client (requirement C09).
pub fn strip(headers: &mut HeaderMap) {
    // One look at the names settles what is there: ten removals would hash ten names for each message.
    let present = headers.keys().filter_map(hop).fold(0_u16, |present, at| present | 1 << at);
    if present == 0 {
        return;
    }
    let has = |at: usize| present & (1 << at) != 0;
    if has(CONNECTION) {
        for name in named(headers) {
            headers.remove(name);
        }
    }
    let trailers = has(TE) && asks_for_trailers(headers);
    for (at, name) in HOP.iter().enumerate().filter(|(at, _)| has(*at)) {
        if at == TE && trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(name);
        }
    }
}

/// The fields that `Connection` names, save those that it cannot name away.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let ordinary = |token: &str| ["keep-alive", "close", "upgrade"].iter().any(|word| token.eq_ignore_ascii_case(word));
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .filter(|token| !ordinary(token))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !is_kept(name))
        .collect()
}

fn asks_for_trailers(headers: &HeaderMap) -> bool {
    let lists = |te: &str| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers"));
    headers.get_all(header::TE).iter().any(|te| te.to_str().is_ok_and(lists))
}

/// Places in [`HOP`].
const CONNECTION: usize = 0;
const TE: usize = 2;

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

/// The place of a name in [`HOP`].
fn hop(name: &HeaderName) -> Option<usize> {
    let text = name.as_str();
    match text.as_bytes()[0] {
        b'c' | b'k' | b't' | b'u' | b'h' | b'p' => HOP.iter().position(|hop| hop.as_str() == text),
        _ => None,
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
