//! What an upstream says of itself, put into the client's terms: `Location` and cookies.

use http::header::{self, HeaderMap, HeaderValue};

use crate::http::exchange::Exchange;

/// A `Location` that names the server becomes one that names the site; those of other hosts stay. Cookies for the
/// server's own host become cookies for the host that the client asked. Absolute paths in both get the prefix back that
/// was stripped on the way in (requirement M05).
pub(super) fn rewrite(headers: &mut HeaderMap, exchange: &Exchange, server: &str) {
    if let Some(location) = headers.get(header::LOCATION)
        && let Some(rewritten) = locate(location, exchange, server)
    {
        headers.insert(header::LOCATION, rewritten);
    }
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let change = |cookie: &HeaderValue| cookie_for_client(cookie, exchange, host);
    if headers.get_all(header::SET_COOKIE).iter().any(|cookie| change(cookie).is_some()) {
        let cookies: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|cookie| change(cookie).unwrap_or_else(|| cookie.clone()))
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

fn locate(location: &HeaderValue, exchange: &Exchange, server: &str) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    // `//host/x` is a URL of that host.
    if text.starts_with('/') && !text.starts_with("//") {
        let outward = exchange.prefixes.outward(text);
        return (outward != text).then(|| HeaderValue::try_from(&*outward).ok()).flatten();
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let rest = rest.strip_prefix(server)?;
    if !matches!(rest.bytes().next(), None | Some(b'/' | b'?' | b'#')) {
        return None;
    }
    let rest = exchange.prefixes.outward(rest);
    let scheme = exchange.connection.scheme.as_str();
    let authority = exchange.host.authority().to_str().ok().filter(|authority| !authority.is_empty())?;
    HeaderValue::try_from(format!("{scheme}://{authority}{rest}")).ok()
}

/// The cookie without its `Domain`, where that names the server, and with the `Path` that the client knows; `None` where
/// it is that already.
fn cookie_for_client(cookie: &HeaderValue, exchange: &Exchange, host: &str) -> Option<HeaderValue> {
    let text = cookie.to_str().ok()?;
    let mut changed = false;
    let mut kept = String::with_capacity(text.len() + 16);
    for (at, attribute) in text.split(';').enumerate() {
        let (name, value) = attribute.trim().split_once('=').unwrap_or_default();
        if at > 0 && name.eq_ignore_ascii_case("domain") && value.trim_start_matches('.').eq_ignore_ascii_case(host) {
            changed = true;
            continue;
        }
        kept.push_str(if at > 0 { ";" } else { "" });
        let path = if at > 0 && name.eq_ignore_ascii_case("path") && value.starts_with('/') {
            Some(exchange.prefixes.outward(value)).filter(|outward| *outward != value)
        } else {
            None
        };
        match path {
            Some(path) => {
                changed = true;
                kept.push_str(" Path=");
                kept.push_str(&path);
            }
            None => kept.push_str(attribute),
        }
    }
    changed.then(|| HeaderValue::try_from(kept).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(name: &str, value: &str, stripped: Option<&str>, expected: &str) {
        let mut exchange = Exchange::sample("/", &[]);
        if let Some(prefix) = stripped {
            exchange.prefixes.stripped(&Arc::from(prefix));
        }
        let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), value.parse().unwrap());
        rewrite(&mut headers, &exchange, "127.0.0.1:3000");
        assert_eq!(headers[name], expected, "{value}");
    }

    #[test]
    fn m05_locations_are_put_into_the_clients_terms() {
        let check = |value, stripped, expected| check("location", value, stripped, expected);
        check("http://127.0.0.1:3000/x?y", None, "http://example.com/x?y");
        check("http://127.0.0.1:30000/x", None, "http://127.0.0.1:30000/x");
        check("https://other.example/x", Some("/api"), "https://other.example/x");
        check("//other.example/x", Some("/api"), "//other.example/x");
        check("x/y", Some("/api"), "x/y");
        check("/x", None, "/x");
        check("/x?y#z", Some("/api"), "/api/x?y#z");
        check("http://127.0.0.1:3000/x", Some("/api"), "http://example.com/api/x");
        check("http://127.0.0.1:3000", Some("/api"), "http://example.com/api");
    }

    #[test]
    fn m05_cookies_are_put_into_the_clients_terms() {
        let check = |value, stripped, expected| check("set-cookie", value, stripped, expected);
        check("a=b; Domain=127.0.0.1; HttpOnly", None, "a=b; HttpOnly");
        check("a=b; Domain=example.com", None, "a=b; Domain=example.com");
        check("a=b; Path=/x; Secure", Some("/api"), "a=b; Path=/api/x; Secure");
        check("a=b; path=/", Some("/api"), "a=b; Path=/api/");
        check("path=/x", Some("/api"), "path=/x");
        check("a=b; Path=/x", None, "a=b; Path=/x");
    }
}
