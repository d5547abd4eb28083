//! `Vary`: on which fields of the request an answer depends (RFC 9110, section 12.5.5).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

/// Says that the answer depends on this field, unless it says so.
pub fn add(headers: &mut HeaderMap, name: &'static str) {
    let says_so = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|known| {
            let known = known.trim_ascii();
            known == b"*" || known.eq_ignore_ascii_case(name.as_bytes())
        })
    };
    if headers.get_all(header::VARY).iter().any(says_so) {
        return;
    }
    match headers.get_mut(header::VARY) {
        None => {
            headers.insert(header::VARY, HeaderValue::from_static(name));
        }
        Some(first) => {
            let both = [first.as_bytes(), b", ", name.as_bytes()].concat();
            if let Ok(both) = HeaderValue::from_maybe_shared(Bytes::from(both)) {
                *first = both;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_once() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::VARY, HeaderValue::from_static(value));
            }
            add(&mut headers, "Origin");
            headers.get_all(header::VARY).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(with(&[]), ["Origin"]);
        assert_eq!(with(&["Accept-Encoding"]), ["Accept-Encoding, Origin"]);
        assert_eq!(with(&["Accept", "Cookie,ORIGIN "]), ["Accept", "Cookie,ORIGIN "]);
        assert_eq!(with(&["*"]), ["*"]);
        assert_eq!(with(&["X-Origin"]), ["X-Origin, Origin"]);
    }
}
