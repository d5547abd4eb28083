//! How those are asked who host zones: HTTP/1.1, mostly JSON, one connection for each question, with an end to everything.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::settings::Endpoint;
use crate::tls::acme::Failure;
use crate::tls::acme::client::{exchange, name_target};
use crate::tls::client::reach;
use crate::tls::{Alpn, Client, ClientOptions, SystemRoots, Verify, reason};

/// For one question and its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const LARGEST: usize = 1024 * 1024;
/// How often a question is asked again that comes too soon, and the longest pause before it.
const AGAIN: usize = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Signs of somebody else's words in a message.
const MOST_WORDS: usize = 300;

/// Somebody who answers by HTTP.
pub(super) struct Api {
    /// What messages call it.
    pub who: &'static str,
    at: Endpoint,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    pause: Option<Duration>,
}

impl Answer {
    /// `Null` where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// A question before it has a host.
pub(super) struct Question<'a> {
    pub method: Method,
    /// Behind the endpoint's own: `/zones?name=example.com`.
    pub path: &'a str,
    pub body: Option<(&'static str, String)>,
}

impl<'a> Question<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    pub fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, path, body: None }
    }

    pub fn json(method: Method, path: &'a str, body: &Value) -> Self {
        Self { method, path, body: Some(("application/json", body.to_string())) }
    }
}

impl Api {
    pub fn new(who: &'static str, at: Endpoint) -> Self {
        Self { who, at }
    }

    /// Asks, and again where it is told to come later. `sign` adds what says who asks.
    pub async fn ask(
        &self,
        question: &Question<'_>,
        sign: impl Fn(&mut Parts, &[u8]) -> Result<(), Failure>,
    ) -> Result<Answer, Failure> {
        let mut left = AGAIN;
        loop {
            let answer = timeout(PATIENCE, self.once(question, &sign)).await;
            let answer = answer.map_err(|_| self.failure("does not answer in time"))??;
            let too_soon = matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            match answer.pause.filter(|pause| too_soon && left > 0 && *pause <= LONGEST_PAUSE) {
                Some(pause) => sleep(pause).await,
                None => return Ok(answer),
            }
            left -= 1;
        }
    }

    async fn once(
        &self,
        question: &Question<'_>,
        sign: impl Fn(&mut Parts, &[u8]) -> Result<(), Failure>,
    ) -> Result<Answer, Failure> {
        let uri: Uri =
            format!("{}{}", self.at.url, question.path).parse().map_err(|_| self.failure("has a bad URL"))?;
        let body = question.body.as_ref().map_or("", |(_, body)| body).to_owned();
        let mut request = Request::builder().method(question.method.clone()).uri(uri.clone());
        if let Some((kind, _)) = question.body {
            request = request.header(CONTENT_TYPE, kind);
        }
        let (mut parts, ()) = request.body(()).map_err(|_| self.failure("has a bad URL"))?.into_parts();
        name_target(&mut parts, &uri).map_err(|_| self.failure("has a bad URL"))?;
        sign(&mut parts, body.as_bytes())?;
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let host = uri.host().unwrap_or_default();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tcp = reach(host, port).await.map_err(|why| self.broken(&why))?;
        let answer = if is_tls {
            let tls = self.tls()?;
            let name = tls.server_name(host).map_err(|trouble| Failure::other(trouble.to_string()))?;
            let stream = tls.connect(tcp, name).await.map_err(|error| self.broken(&reason(&error)))?;
            exchange(stream, request, LARGEST).await
        } else {
            exchange(tcp, request, LARGEST).await
        };
        let (head, body) = answer.map_err(|error| self.broken(&error))?;
        let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: head.status, body, pause: seconds.map(Duration::from_secs) })
    }

    fn tls(&self) -> Result<Client, Failure> {
        let verify = self.at.root.clone().map_or(Verify::System, Verify::Authorities);
        let options = ClientOptions { verify, alpn: vec![Alpn::Http11], ..ClientOptions::default() };
        Client::build(&options, &SystemRoots::default()).map_err(|trouble| Failure::other(trouble.to_string()))
    }

    pub fn failure(&self, what: &str) -> Failure {
        Failure::other(format!("{} {what}", self.who))
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Failure {
        self.failure(&format!("cannot be asked at `{}` ({why})", self.at.url))
    }

    /// What went wrong, in its own words where there are any.
    pub fn refusal(&self, answer: &Answer, words: Option<&str>) -> Failure {
        let words: String = words.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let words: String = words.chars().filter(|sign| !sign.is_control()).take(MOST_WORDS).collect();
        let colon = if words.is_empty() { "" } else { ": " };
        self.failure(&format!("refuses ({}){colon}{words}", answer.status))
    }
}

/// A field that is in no log.
pub(super) fn secret(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Failure::other("a secret has signs that none has"))?;
    value.set_sensitive(true);
    Ok(value)
}
