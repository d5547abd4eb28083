//! Fields that belong to one hop and never pass (RFC 9110, section 7.6.1), and those that pretend to be others.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::forwarded;

/// What one look at the names of a message's fields shows. Asking for each by itself would hash a dozen names a message,
/// nearly always to find nothing.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Survey {
    /// By place in [`HOP`].
    hop: u16,
    /// Some name has a character by which it may pass for another.
    pub odd: bool,
    /// Some name is one that proxies write, or looks like it.
    pub of_proxies: bool,
    pub expect: bool,
    pub host: bool,
    /// Of a response: `Location` or `Set-Cookie`.
    pub names_places: bool,
}

impl Survey {
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Self {
        Self::of(headers, is_odd)
    }

    #[must_use]
    pub fn of_response(headers: &HeaderMap) -> Self {
        Self::of(headers, |_| false)
    }

    fn of(headers: &HeaderMap, is_odd: impl Fn(&[u8]) -> bool) -> Self {
        let mut survey = Self::default();
        for name in headers.keys() {
            let name = name.as_str().as_bytes();
            match name[0] {
                b'a' | b'c' | b'k' | b't' | b'u' | b'p' => survey.hop |= hop(name),
                b'h' => {
                    survey.host |= name == b"host";
                    survey.hop |= hop(name);
                }
                b'e' => survey.expect |= name == b"expect",
                b'l' => survey.names_places |= name == b"location",
                b's' => survey.names_places |= name == b"set-cookie",
                b'x' => survey.of_proxies |= name.starts_with(b"x-"),
                b'f' => survey.of_proxies |= name.starts_with(b"for"),
                _ => {}
            }
            survey.odd |= is_odd(name);
        }
        survey
    }
}

/// Removes what belongs to the connection that the message came on: the fields that `Connection` names, and those that
/// are of one hop by their nature. `TE: trailers` stays, since gRPC wants it end to end.
///
/// A field that `Connection` names is removed only if it may be: end-to-end framing, `Host` and whatever rp sets itself
/// can't be taken away by a client (requirement C09).
pub fn strip(headers: &mut HeaderMap, survey: &Survey) {
    let present = survey.hop;
    if present == 0 {
        return;
    }
    if present & (1 << CONNECTION) != 0 {
        forget_named(headers);
    }
    strip_own(headers, survey);
}

/// Removes the fields that `Connection` names. Of a request this is to be done as it comes in: what a statement adds later
/// is not the client's to name away (threat XA04).
pub fn forget_named(headers: &mut HeaderMap) {
    for name in named(headers) {
        headers.remove(name);
    }
}

/// Removes the fields that are of one hop by their nature.
pub fn strip_own(headers: &mut HeaderMap, survey: &Survey) {
    let present = survey.hop;
    if present == 0 {
        return;
    }
    let has = |at: usize| present & (1 << at) != 0;
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

static HOP: [HeaderName; 11] = [
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
    // It names ports of whoever says it (RFC 7838, section 2.1), which clients of ours do not reach.
    header::ALT_SVC,
];

/// The place of a name in [`HOP`] as a bit, or none.
fn hop(name: &[u8]) -> u16 {
    let at = match name {
        b"connection" => CONNECTION,
        b"keep-alive" => 1,
        b"te" => TE,
        b"transfer-encoding" => 3,
        b"upgrade" => 4,
        b"http2-settings" => 5,
        b"proxy-authenticate" => 6,
        b"proxy-authorization" => 7,
        b"proxy-connection" => 8,
        b"proxy" => 9,
        b"alt-svc" => 10,
        _ => return 0,
    };
    1 << at
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

/// Whether a name may pass for another: CGI and its like make an underscore of whatever is neither letter nor digit.
fn is_odd(name: &[u8]) -> bool {
    name.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
}

/// Whether a field has no place behind the body of a request (threat XG09, RFC 9110, section 6.5.1): what is of one hop, says
/// how to deal with the request, or is ours to say. There are servers that put trailers among the other fields.
pub fn is_no_trailer(name: &HeaderName) -> bool {
    let text = name.as_str();
    hop(text.as_bytes()) != 0
        || is_odd(text.as_bytes())
        || forwarded::is_of_proxies(name)
        || text.starts_with("if-")
        || matches!(text, "expect" | "range" | "max-forwards" | "cache-control" | "pragma")
}

/// Removes fields whose names some origins take for others: `X_Forwarded_For`, `X.Forwarded.For` and `X+Forwarded+For` reach
/// a CGI-like application under the same variable as `X-Forwarded-For` (threat XA02).
pub fn strip_aliases(headers: &mut HeaderMap) {
    let odd = |name: &&HeaderName| is_odd(name.as_str().as_bytes());
    let names: Vec<HeaderName> = headers.keys().filter(odd).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_one_hop_has_its_place() {
        for (at, name) in HOP.iter().enumerate() {
            assert_eq!(hop(name.as_str().as_bytes()), 1 << at, "{name}");
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
            assert_eq!(Survey::of_response(&headers).hop, 1 << at, "{name}");
        }
        assert_eq!(hop(b"host"), 0);
    }

    #[test]
    fn a_survey_sees_what_has_to_be_looked_at() {
        let of = |name: &'static str| {
            Survey::of_request(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]))
        };
        assert!(of("location").names_places && of("set-cookie").names_places);
        assert!(of("host").host && of("expect").expect && of("x_real_ip").odd && of("x.y").odd);
        assert!(of("x-real-ip").of_proxies && of("forwarded").of_proxies && !of("x-real-ip").odd);
        assert!(!of("accept").of_proxies && !of("accept").host);
    }

    fn check(before: &[(&str, &str)], after: &[(&str, &str)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let survey = Survey::of_request(&headers);
        strip(&mut headers, &survey);
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
        check(&[("x_forwarded_for", "1"), ("x.real.ip", "1"), ("x+real~ip", "1"), ("x-ok", "1")], &[("x-ok", "1")]);
    }
}
