//! The running `basic_auth`.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::guard::Guard;
use super::users::Users;
use crate::check::value::base64;
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Filter, Gate};

pub(super) struct Login {
    pub guard: Arc<Guard>,
    pub users: Users,
    pub challenge: HeaderValue,
    pub forward: bool,
}

/// Tells the refused how to come in: on error pages of one's own as well.
pub(super) struct Challenge;

/// `NAME:PASSWORD`, decoded.
struct Credentials {
    name: String,
    password: Vec<u8>,
}

impl Gate for Login {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Option<Answer>, Fault>> {
        Box::pin(async move {
            let Some(credentials) = credentials(&exchange.headers)? else {
                return Err(self.refuse(exchange, "no name and password"));
            };
            if !self.admits(&credentials, exchange).await? {
                return Err(self.refuse(exchange, "a wrong name or password"));
            }
            exchange.auth.get_or_insert_default().user = Some(credentials.name.into());
            if !self.forward {
                exchange.headers.remove(header::AUTHORIZATION);
            }
            Ok(None)
        })
    }
}

impl Login {
    async fn admits(&self, credentials: &Credentials, exchange: &Exchange) -> Result<bool, Fault> {
        let Credentials { name, password } = credentials;
        let Some((hash, exists)) = self.users.of(name, &self.guard) else { return Ok(false) };
        let tag = self.guard.tag(name, password, hash);
        if exists && self.guard.remembers(&tag, exchange.started) {
            return Ok(true);
        }
        let admitted = self.guard.check(hash.clone(), password).await? && exists;
        if admitted {
            self.guard.remember(tag, exchange.started);
        }
        Ok(admitted)
    }

    fn refuse(&self, exchange: &mut Exchange, why: &str) -> Fault {
        exchange.auth.get_or_insert_default().challenge = Some(self.challenge.clone());
        Fault::detailed(Cause::Unauthorized, why)
    }
}

impl Filter for Challenge {
    fn has_response_side(&self) -> bool {
        true
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let Some(challenge) = exchange.auth.as_mut().and_then(|auth| auth.challenge.take()) else { return };
        if answer.status() == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
}

/// What the request proves itself by; `None` where that is nothing, or nothing that can be read (RFC 7617, section 2).
/// Of two such fields, rp and the server could each believe another one (threat XA07).
fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, Fault> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Fault::detailed(Cause::BadRequest, "more than one Authorization field"));
    }
    Ok(decode(field.as_bytes()))
}

fn decode(field: &[u8]) -> Option<Credentials> {
    let (scheme, rest) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = base64(rest.trim_ascii())?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = str::from_utf8(&decoded[..colon]).ok()?;
    let has_controls = |bytes: &[u8]| bytes.iter().any(u8::is_ascii_control);
    if has_controls(&decoded) {
        return None;
    }
    Some(Credentials { name: name.to_owned(), password: decoded[colon + 1..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Option<(String, Vec<u8>)> {
        decode(field.as_bytes()).map(|credentials| (credentials.name, credentials.password))
    }

    #[test]
    fn rfc_7617_credentials_are_read() {
        let aladdin = Some(("Aladdin".to_owned(), b"open sesame".to_vec()));
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(read("bASIC  QWxhZGRpbjpvcGVuIHNlc2FtZQ"), aladdin);
        // Section 2.1: UTF-8. The password of the example holds a pound sign.
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), Some(("test".to_owned(), "123£".into())));
        assert_eq!(read("Basic YTpiOmM="), Some(("a".to_owned(), b"b:c".to_vec())), "the first colon ends the name");
        assert_eq!(read("Basic YTo="), Some(("a".to_owned(), Vec::new())));
    }

    #[test]
    fn what_can_not_be_read_is_nothing() {
        for field in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            // Without a colon, with a control character, with a name that is not UTF-8.
            "Basic YWJj",
            "Basic YTpiCg==",
            "Basic /zph",
            // A digit too many or too few, padding where none belongs, bits that are left over.
            "Basic YTpiO",
            "Basic YTo===",
            "Basic YT=o=",
            "Basic YTp=",
            "Basic YTp=iOmM",
            "Basic YTpiOm",
        ] {
            assert_eq!(read(field), None, "{field}");
        }
    }
}
