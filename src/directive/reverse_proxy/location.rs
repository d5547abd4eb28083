//! What an upstream says of itself, put into the client's terms: `Location` and cookies.

use http::header::{self, HeaderMap, HeaderValue};

use crate::http::exchange::Exchange;

/// A `Location` that names the server becomes one that names the site; those of other hosts and relative ones stay.
/// Cookies for the server's own host become cookies for the host that the client asked.
pub(super) fn rewrite(headers: &mut HeaderMap, exchange: &Exchange, server: &str) {
    if let Some(location) = headers.get(header::LOCATION)
        && let Some(rewritten) = locate(location, exchange, server)
    {
        headers.insert(header::LOCATION, rewritten);
    }
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    if headers.get_all(header::SET_COOKIE).iter().any(|cookie| domain(cookie, host).is_some()) {
        let cookies: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|cookie| domain(cookie, host).unwrap_or_else(|| cookie.clone()))
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

fn locate(location: &HeaderValue, exchange: &Exchange, server: &str) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let rest = rest.strip_prefix(server)?;
    if !matches!(rest.bytes().next(), None | Some(b'/' | b'?' | b'#')) {
        return None;
    }
    let scheme = exchange.connection.scheme.as_str();
    let authority = exchange.host.authority().to_str().ok().filter(|authority| !authority.is_empty())?;
    HeaderValue::try_from(format!("{scheme}://{authority}{rest}")).ok()
}

/// The cookie without its `Domain`, where that names the server.
fn domain(cookie: &HeaderValue, host: &str) -> Option<HeaderValue> {
    let text = cookie.to_str().ok()?;
    let ours = |attribute: &str| {
        attribute.trim().split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("domain") && value.trim_start_matches('.').eq_ignore_ascii_case(host)
        })
    };
    if !text.split(';').skip(1).any(ours) {
        return None;
    }
    let kept: Vec<&str> = text
        .split(';')
        .enumerate()
        .filter(|(at, attribute)| *at == 0 || !ours(attribute))
        .map(|(_, attribute)| attribute)
        .collect();
    HeaderValue::try_from(kept.join(";")).ok()
}
