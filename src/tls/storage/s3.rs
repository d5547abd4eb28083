//! S3, or what speaks its protocol, as storage: an object for each key, and locks that are objects too.
//!
//! A lock is written only where there is none, or over the one that was seen to have run out. Its age is told by the
//! server's clock alone, so that those of the instances do not matter.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use tokio::net::TcpStream;

use super::clerk::{Clerk, Lost};
use super::secret::Secret;
use super::{Backend, Held, Lock, Work, random};
use crate::diagnostic::plain;
use crate::tls::client::{Client, ClientOptions, SystemRoots, Verify, reason};
use crate::tls::provider::Alpn;
use crate::tls::sigv4::{Credentials, Payload, Signer};
use crate::tls::trouble::Trouble;

/// Bytes of an answer; a list of a thousand keys has some hundred thousand.
const LARGEST: usize = 4 * 1024 * 1024;
/// What stands in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which bucket, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `https://s3.example.com`, with a port where it has one.
    pub endpoint: Endpoint,
    pub bucket: Box<str>,
    pub region: Box<str>,
    pub key: Box<str>,
    pub secret: Secret,
    /// Before every key.
    pub prefix: Box<str>,
    /// Of one question.
    pub timeout: Duration,
    /// How long a lock outlives whoever died with it.
    pub lease: Duration,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: Box<str>,
    pub port: u16,
    pub tls: bool,
    /// The authorities that its certificate is checked by; `None`: the system's.
    pub root: Option<PathBuf>,
}

impl Endpoint {
    /// As the field `Host` has it: without the usual port.
    fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// As it is written, without who asks.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.endpoint.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/{}/{}", self.endpoint.authority(), self.bucket, self.prefix)
    }
}

/// A bucket, asked over a connection for each question: there are a few in an hour.
pub(super) struct S3 {
    line: Arc<Line>,
    clerk: Clerk,
}

struct Line {
    bucket: Bucket,
    signer: Signer,
    tls: Option<Client>,
}

/// An answer, whole.
struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
}

struct Question {
    method: Method,
    /// Below the bucket.
    path: String,
    query: String,
    condition: Option<(HeaderName, String)>,
    body: Vec<u8>,
}

impl S3 {
    /// Connects to nothing yet.
    pub fn new(bucket: &Bucket) -> Result<Self, Trouble> {
        let tls = if bucket.endpoint.tls {
            let verify = bucket.endpoint.root.clone().map_or(Verify::System, Verify::Authorities);
            let options = ClientOptions { verify, alpn: vec![Alpn::Http11], ..ClientOptions::default() };
            Some(Client::build(&options, &SystemRoots::default())?)
        } else {
            None
        };
        let credentials = Credentials {
            access_key: bucket.key.clone(),
            secret_key: bucket.secret.expose().into(),
            session_token: None,
        };
        let signer = Signer { credentials, region: bucket.region.clone(), service: "s3".into() };
        let failed = |error: std::io::Error| Trouble::Unreachable { place: bucket.to_string(), why: error.to_string() };
        let clerk = Clerk::start(bucket.timeout).map_err(failed)?;
        Ok(Self { line: Arc::new(Line { bucket: bucket.clone(), signer, tls }), clerk })
    }

    /// What is there is given as it is, as is what is not there and what a condition kept from happening.
    async fn ask(&self, question: Question) -> Result<Answer, Trouble> {
        let line = Arc::clone(&self.line);
        let asked = self.clerk.send(async move { line.ask(question).await }).await;
        asked.map_err(|lost| match lost {
            Lost::Unreachable(why) => Trouble::Unreachable { place: self.line.bucket.to_string(), why },
            Lost::Refused(why) => Trouble::Refused { place: self.line.bucket.to_string(), why },
        })
    }

    fn question(&self, method: Method, key: &str) -> Question {
        let path = format!("{}{key}", self.line.bucket.prefix);
        Question { method, path, query: String::new(), condition: None, body: Vec::new() }
    }

    async fn get(&self, key: &str) -> Result<Option<Answer>, Trouble> {
        let answer = self.ask(self.question(Method::GET, key)).await?;
        let is_there = answer.status != StatusCode::NOT_FOUND;
        if is_there && !answer.status.is_success() {
            Err(self.refused(&answer))
        } else {
            Ok(is_there.then_some(answer))
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Trouble> {
        let answer = self.ask(Question { body, ..self.question(Method::PUT, key) }).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// False where the condition did not hold.
    async fn put_if(&self, key: &str, body: Vec<u8>, condition: (HeaderName, String)) -> Result<bool, Trouble> {
        let question = Question { condition: Some(condition), body, ..self.question(Method::PUT, key) };
        let answer = self.ask(question).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            // 409: another writes it just now. 404: what was to be there is gone.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&answer)),
        }
    }

    /// What was to be done whatever there is, and was not.
    fn refused(&self, answer: &Answer) -> Trouble {
        Trouble::Refused { place: self.line.bucket.to_string(), why: answer.why() }
    }

    /// The lock as it lies there, and whether it still holds.
    async fn holder(&self, name: &str) -> Result<Option<(Answer, bool)>, Trouble> {
        let Some(answer) = self.get(&lock_key(name)).await? else { return Ok(None) };
        let moment = |field: HeaderName| {
            let text = answer.fields.get(field).and_then(|value| value.to_str().ok());
            text.and_then(|text| httpdate::parse_http_date(text).ok())
        };
        let age = moment(DATE).zip(moment(LAST_MODIFIED)).and_then(|(now, then)| now.duration_since(then).ok());
        let holds = age.is_none_or(|age| age <= self.line.bucket.lease);
        Ok(Some((answer, holds)))
    }

    async fn take(&self, name: &str, token: &str) -> Result<bool, Trouble> {
        let body = token.as_bytes().to_vec();
        match self.holder(name).await? {
            None => self.put_if(&lock_key(name), body, (IF_NONE_MATCH, "*".to_owned())).await,
            Some((lying, holds)) if holds && lying.body != token.as_bytes() => Ok(false),
            Some((lying, _)) => {
                let seen = lying.fields.get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
                self.put_if(&lock_key(name), body, (IF_MATCH, seen)).await
            }
        }
    }

    /// Whether a lock is not another's.
    async fn is_ours(&self, lock: &Lock) -> Result<bool, Trouble> {
        let token = lock.token().unwrap_or_default();
        let holder = self.holder(&lock.name).await?;
        Ok(holder.is_none_or(|(lying, holds)| lying.body == token.as_bytes() || !holds))
    }

    async fn keys(&self, folder: &str) -> Result<Vec<String>, Trouble> {
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let prefix = format!("{}{below}", self.line.bucket.prefix);
        let (mut keys, mut next) = (Vec::new(), String::new());
        loop {
            let mut query = format!("list-type=2&prefix={}", utf8_percent_encode(&prefix, QUERY));
            if !next.is_empty() {
                query.push_str(&format!("&continuation-token={}", utf8_percent_encode(&next, QUERY)));
            }
            let question = Question { path: String::new(), query, ..self.question(Method::GET, "") };
            let answer = self.ask(question).await?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let own = self.line.bucket.prefix.len();
            keys.extend(elements(&text, "Key").filter_map(|key| Some(key.get(own..)?.to_owned())));
            match elements(&text, "NextContinuationToken").next() {
                Some(token) => token.clone_into(&mut next),
                None => break,
            }
        }
        keys.retain(|key| !key.starts_with("lock/"));
        keys.sort();
        Ok(keys)
    }
}

fn lock_key(name: &str) -> String {
    format!("lock/{name}")
}

/// What stands between each pair of these tags. Keys have no sign that XML would have to escape.
fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&*open)?;
        let (inside, after) = after.split_once(&*close)?;
        rest = after;
        Some(inside)
    })
}

impl Line {
    async fn ask(&self, question: Question) -> Result<Answer, Lost> {
        let refused = |error: &dyn fmt::Display| Lost::Refused(error.to_string());
        let below = if question.path.is_empty() { "" } else { "/" };
        let path = format!("/{}{below}{}", self.bucket.bucket, utf8_percent_encode(&question.path, PATH));
        let target = if question.query.is_empty() { path } else { format!("{path}?{}", question.query) };
        let mut request = Request::builder().method(question.method).uri(target);
        request = request.header(HOST, self.bucket.endpoint.authority());
        if let Some((name, value)) = question.condition {
            request = request.header(name, value);
        }
        let (mut head, ()) = request.body(()).map_err(|error| refused(&error))?.into_parts();
        let body = question.body;
        self.signer
            .sign(&mut head, Payload::Bytes(&body), OffsetDateTime::now_utc())
            .map_err(|error| refused(&error))?;
        let agent = HeaderValue::from_static(concat!("rp/", env!("CARGO_PKG_VERSION")));
        head.headers.insert(http::header::USER_AGENT, agent);
        let answer = self.carry(Request::from_parts(head, Full::new(Bytes::from(body)))).await?;
        judge(answer)
    }

    async fn carry(&self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let Endpoint { host, port, .. } = &self.bucket.endpoint;
        let away = |error: std::io::Error| Lost::Unreachable(plain(&error));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((bare, *port)).await.map_err(away)?;
        let Some(tls) = &self.tls else { return exchange(tcp, request).await };
        let name = tls.server_name(host).map_err(|trouble| Lost::Refused(trouble.to_string()))?;
        let secured = tls.connect(tcp, name).await;
        exchange(secured.map_err(|error| Lost::Unreachable(reason(&error).to_owned()))?, request).await
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Lost>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let away = |error: hyper::Error| Lost::Unreachable(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(away)?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| Lost::Unreachable(error.to_string()))?;
    driver.abort();
    Ok(Answer { status: head.status, fields: head.headers, body: body.to_bytes() })
}

/// 404 and the codes of conditions are answers; a bucket that is not there is not.
fn judge(answer: Answer) -> Result<Answer, Lost> {
    match answer.status {
        StatusCode::NOT_FOUND if answer.code() == "NoSuchBucket" => Err(Lost::Refused(answer.why())),
        StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(answer),
        status if status.is_success() => Ok(answer),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Lost::Unreachable(answer.why()))
        }
        _ => Err(Lost::Refused(answer.why())),
    }
}

impl Answer {
    fn code(&self) -> String {
        elements(&String::from_utf8_lossy(&self.body), "Code").next().unwrap_or_default().to_owned()
    }

    /// What the server says of an error.
    fn why(&self) -> String {
        match elements(&String::from_utf8_lossy(&self.body), "Message").next() {
            Some(message) => {
                let message = message.trim_start_matches("<![CDATA[").trim_end_matches("]]>").trim_end_matches('.');
                format!("{}: {message}", self.code())
            }
            None => self.status.to_string(),
        }
    }
}

impl Backend for S3 {
    fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.get(key).await?.map(|answer| answer.body.to_vec())) })
    }

    /// The lock is looked at just before: what another writes in between is as good as ours.
    fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], lock: Option<&'a Lock>) -> Work<'a, bool> {
        Box::pin(async move {
            if let Some(lock) = lock
                && !self.is_ours(lock).await?
            {
                return Ok(false);
            }
            self.put(key, bytes.to_vec()).await.map(|()| true)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let answer = self.ask(self.question(Method::DELETE, key)).await?;
            let is_gone = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
            if is_gone { Ok(()) } else { Err(self.refused(&answer)) }
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>> {
        Box::pin(self.keys(folder))
    }

    fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>> {
        Box::pin(async move {
            let token = random()?;
            let taken = self.take(name, &token).await?;
            Ok(taken.then(|| Lock { name: name.to_owned(), held: Held::Token(token) }))
        })
    }

    fn extend<'a>(&'a self, lock: &'a Lock) -> Work<'a, bool> {
        Box::pin(async move { self.take(&lock.name, lock.token().unwrap_or_default()).await })
    }

    fn release(&self, lock: Lock) -> Work<'_, ()> {
        Box::pin(async move {
            if !self.is_ours(&lock).await? {
                return Ok(());
            }
            self.delete(&lock_key(&lock.name)).await
        })
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.line.bucket.lease)
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({})", self.line.bucket)
    }
}

#[cfg(test)]
mod tests;
