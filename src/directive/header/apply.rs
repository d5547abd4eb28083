//! The request path of `header`: operations on the fields of one message.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;

use super::{Operation, Removed, RequestFields, ResponseFields, is_framing};
use crate::check::value::Pattern;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::placeholder::View;
use crate::http::replacement::{self, Piece};
use crate::http::step::{Answer, Filter};
use crate::http::template::{ValueTemplate, field_value};

impl Filter for RequestFields {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        for operation in &self.0 {
            operation.apply(&mut Message::Request(exchange));
        }
        Ok(None)
    }
}

impl Filter for ResponseFields {
    fn has_response_side(&self) -> bool {
        true
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let (mut parts, body) = std::mem::take(answer).into_parts();
        for operation in &self.0 {
            operation.apply(&mut Message::Response(exchange, &mut parts));
        }
        *answer = Answer::from_parts(parts, body);
    }
}

/// Whose fields change, and what values may be made of.
enum Message<'a> {
    Request(&'a mut Exchange),
    Response(&'a Exchange, &'a mut Parts),
}

impl Message<'_> {
    fn view(&self) -> View<'_> {
        match self {
            Self::Request(exchange) => View { exchange, response: None },
            Self::Response(exchange, parts) => View { exchange, response: Some(parts) },
        }
    }

    fn value(&self, template: &ValueTemplate) -> HeaderValue {
        let View { exchange, response } = self.view();
        template.value(exchange, response)
    }

    fn fields(&self) -> &HeaderMap {
        match self {
            Self::Request(exchange) => &exchange.headers,
            Self::Response(_, parts) => &parts.headers,
        }
    }

    fn fields_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Request(exchange) => &mut exchange.headers,
            Self::Response(_, parts) => &mut parts.headers,
        }
    }
}

impl Operation {
    fn apply(&self, message: &mut Message<'_>) {
        match self {
            Self::Set(name, value) => {
                let value = message.value(value);
                message.fields_mut().insert(name.clone(), value);
            }
            Self::Add(name, value) => {
                let value = message.value(value);
                message.fields_mut().append(name.clone(), value);
            }
            Self::SetIfAbsent(name, value) => {
                if !message.fields().contains_key(name) {
                    let value = message.value(value);
                    message.fields_mut().insert(name.clone(), value);
                }
            }
            Self::Remove(all) => all.iter().for_each(|removed| removed.apply(message.fields_mut())),
            Self::Replace(name, pattern, pieces) => replace(name, pattern, pieces, message),
        }
    }
}

impl Removed {
    fn apply(&self, fields: &mut HeaderMap) {
        match self {
            Self::One(name) => {
                fields.remove(name);
            }
            Self::Below(stem) => {
                let begins = |name: &&HeaderName| {
                    name.as_str().starts_with(&**stem) && !is_framing(name) && **name != header::HOST
                };
                let names: Vec<HeaderName> = fields.keys().filter(begins).cloned().collect();
                for name in names {
                    fields.remove(name);
                }
            }
        }
    }
}

/// A value that is not text has no match and stays as it is.
fn replace(name: &HeaderName, Pattern(pattern): &Pattern, pieces: &[Piece], message: &mut Message<'_>) {
    let matches = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok_and(|text| pattern.is_match(text));
    if !message.fields().get_all(name).iter().any(matches) {
        return;
    }
    let made: Vec<HeaderValue> = message
        .fields()
        .get_all(name)
        .iter()
        .map(|value| match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => {
                let mut out = Vec::with_capacity(text.len() + 16);
                let mut last = 0;
                for captures in pattern.captures_iter(text) {
                    let Some(whole) = captures.get(0) else { continue };
                    out.extend_from_slice(&text.as_bytes()[last..whole.start()]);
                    replacement::write(pieces, &captures, &message.view(), &mut out);
                    last = whole.end();
                }
                out.extend_from_slice(&text.as_bytes()[last..]);
                field_value(out)
            }
            Err(_) => value.clone(),
        })
        .collect();
    let fields = message.fields_mut();
    fields.remove(name);
    for value in made {
        fields.append(name.clone(), value);
    }
}
