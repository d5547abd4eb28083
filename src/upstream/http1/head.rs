//! Writes the head of a request. The framing of its body is ours alone to state (RFC 9112 §6.3).

use std::io::Write;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// How the end of the request's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Empty,
    /// Bytes in all.
    Length(u64),
    Chunked,
}

impl Framing {
    pub fn of<B: http_body::Body>(body: Option<&B>) -> Self {
        match body {
            None => Self::Empty,
            Some(body) if body.is_end_stream() => Self::Empty,
            Some(body) => body.size_hint().exact().map_or(Self::Chunked, Self::Length),
        }
    }
}

/// The fields of a request: the map as it stands, save what frames the message, then those beside it. A `host` replaces
/// that of the map.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub map: &'a HeaderMap,
    pub also: &'a [(&'static HeaderName, &'a [u8])],
    pub host: Option<&'a HeaderValue>,
}

pub fn write(out: &mut Vec<u8>, method: &Method, target: &[u8], fields: Fields<'_>, framing: Framing) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = fields.host {
        field(out, "host", host.as_bytes());
    }
    for (name, value) in fields.map {
        let name = name.as_str();
        // Few names begin like these three.
        let ours = match name.as_bytes()[0] {
            b'c' => name == "content-length",
            b't' => name == "transfer-encoding",
            b'h' => fields.host.is_some() && name == "host",
            _ => false,
        };
        if !ours {
            field(out, name, value.as_bytes());
        }
    }
    for (name, value) in fields.also {
        field(out, name.as_str(), value);
    }
    match framing {
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
        Framing::Length(length) => length_field(out, length),
        // RFC 9110 §8.6: a method that anticipates content says that there is none.
        Framing::Empty if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => length_field(out, 0),
        Framing::Empty => out.extend_from_slice(b"\r\n"),
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Both are in memory, and together they are less than that.
    out.reserve(name.len().wrapping_add(value.len()).wrapping_add(4));
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length_field(out: &mut Vec<u8>, length: u64) {
    // Writing to memory cannot fail.
    let _ = write!(out, "content-length: {length}\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        method: &Method,
        fields: &[(&'static str, &'static str)],
        host: Option<&str>,
        framing: Framing,
    ) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        let host = host.map(|host| HeaderValue::from_str(host).unwrap());
        let mut out = Vec::new();
        let also: &[(&HeaderName, &[u8])] = &[(&http::header::FORWARDED, b"for=a")];
        write(&mut out, method, b"/a?b", Fields { map: &map, also, host: host.as_ref() }, framing);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_our_framing_is_stated() {
        let fields = [("host", "a"), ("content-length", "3"), ("transfer-encoding", "gzip"), ("x", "1"), ("x", "2")];
        assert_eq!(
            written(&Method::GET, &fields, None, Framing::Empty),
            "GET /a?b HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\nforwarded: for=a\r\n\r\n"
        );
        assert_eq!(
            written(&Method::PUT, &fields, Some("b:1"), Framing::Length(7)),
            "PUT /a?b HTTP/1.1\r\nhost: b:1\r\nx: 1\r\nx: 2\r\nforwarded: for=a\r\ncontent-length: 7\r\n\r\n"
        );
        assert_eq!(
            written(&Method::PUT, &[], None, Framing::Chunked),
            "PUT /a?b HTTP/1.1\r\nforwarded: for=a\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn methods_that_owe_a_length_state_zero() {
        for (method, owes) in [
            (Method::POST, true),
            (Method::PUT, true),
            (Method::PATCH, true),
            (Method::GET, false),
            (Method::HEAD, false),
            (Method::DELETE, false),
        ] {
            let text = written(&method, &[], None, Framing::Empty);
            assert_eq!(text.contains("content-length: 0\r\n"), owes, "{method}");
        }
    }
}
