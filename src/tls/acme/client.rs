//! How an authority is asked: HTTP/1.1 over TLS, one connection for each question, with an end to everything.
//!
//! An order takes about ten questions, a few times a year: there is nothing to be gained from keeping connections.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::super::client::{Client, ClientOptions, SystemRoots, Verify, reach, reason};
use super::super::provider::Alpn;
use super::super::trouble::Trouble;
use super::{Failure, Issuer, chain};

/// For one question and its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer. A chain has some thousand.
const LARGEST: usize = 1024 * 1024;

/// The way to one authority.
#[derive(Debug, Clone)]
pub(super) struct Way {
    tls: Client,
}

pub(in crate::tls) type Wrong = Box<dyn StdError + Send + Sync>;

/// An authority that wants to be left alone (RFC 8555, section 6.6). The library does not pass on for how long.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Busy {
    pub reason: String,
    pub after: Duration,
}

/// There was no connection to an authority: it knows nothing of the question, and counts nothing against anybody.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreached(pub String);

impl Way {
    /// Reads whom to believe. A file that is missing is an error, and never a reason to believe the system's authorities.
    pub fn to(issuer: &Issuer) -> Result<Self, Trouble> {
        let verify = issuer.root.clone().map_or(Verify::System, Verify::Authorities);
        let options = ClientOptions { verify, alpn: vec![Alpn::Http11], ..ClientOptions::default() };
        Ok(Self { tls: Client::build(&options, &SystemRoots::default())? })
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Wrong> {
        let (mut parts, body) = request.into_parts();
        let is_get = parts.method == Method::GET;
        let uri = std::mem::take(&mut parts.uri);
        let host = uri.host().unwrap_or_default().to_owned();
        let failed = |what: &str| format!("{what} `{}`", uri.authority().map_or("", |name| name.as_str()));
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(failed("the directory leads away from https, to").into());
        }
        let tcp = reach(&host, uri.port_u16().unwrap_or(443))
            .await
            .map_err(|why| Unreached(format!("{} ({why})", failed("no connection to"))))?;
        let tls = self
            .tls
            .connect(tcp, self.tls.server_name(&host)?)
            .await
            .map_err(|error| format!("{} ({})", failed("no TLS with"), reason(&error)))?;
        name_target(&mut parts, &uri)?;
        let (mut head, body) = exchange(tls, Request::from_parts(parts, body), LARGEST)
            .await
            .map_err(|error| format!("{} ({error})", failed("no answer from")))?;
        if let Some(busy) = busy(&head, &body, &failed("too many questions for")) {
            return Err(busy.into());
        }
        judge(&head, &failed("the answer of"))?;
        chain::tell(&head, &body);
        if is_get {
            // The library takes no window without it (RFC 9773, section 4.3), and other answers don't need it.
            head.headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("86400"));
        }
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

/// One question on a connection of its own, and its answer, of so many bytes at most. Its head is bounded by the library, to
/// 400 KiB.
pub(in crate::tls) async fn exchange<IO, B>(
    stream: IO,
    request: Request<B>,
    largest: usize,
) -> Result<(http::response::Parts, Bytes), Wrong>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Wrong>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, largest).collect().await?.to_bytes();
    driver.abort();
    Ok((head, body))
}

/// On the wire there is a path, and the host in its field (RFC 9112, section 3.2.1).
pub(in crate::tls) fn name_target(parts: &mut http::request::Parts, uri: &Uri) -> Result<(), Wrong> {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = path.as_str().parse()?;
    let authority = uri.authority().map_or("", |name| name.as_str());
    parts.headers.insert(HOST, HeaderValue::from_str(authority)?);
    parts.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("rp/", env!("CARGO_PKG_VERSION"))));
    Ok(())
}

/// What fails without the words of ACME came from something in between, and its status is all there is to tell.
fn judge(head: &http::response::Parts, what: &str) -> Result<(), Wrong> {
    let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_problem = memchr::memmem::find(kind, b"json").is_some();
    if head.status.is_success() || is_problem { Ok(()) } else { Err(format!("{what} is {}", head.status).into()) }
}

/// Whether an answer says when to come back.
fn busy(head: &http::response::Parts, body: &[u8], what: &str) -> Option<Busy> {
    if !matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let text = head.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let reason = problem.map_or_else(|| what.to_owned(), |problem| Failure::from(problem).reason);
    Some(Busy { reason, after })
}

impl HttpClient for Way {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let asked = self.clone().ask(request);
        Box::pin(async move {
            match timeout(PATIENCE, asked).await {
                Ok(answer) => answer.map(BytesResponse::from).map_err(Error::Other),
                Err(_) => Err(Error::Other("the authority does not answer in time".into())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const MOST: usize = 32 * 1024;

    /// Asks somebody who begins its answer so and goes on with the rest for ever; says how many bytes of that were taken.
    async fn taken(begin: &'static str, rest: &'static [u8]) -> (Result<Bytes, String>, usize) {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let endless = tokio::spawn(async move {
            let mut question = [0; 1024];
            let _ = theirs.read(&mut question).await;
            let mut taken = 0;
            let mut piece = begin.as_bytes();
            while theirs.write_all(piece).await.is_ok() {
                taken += piece.len();
                piece = rest;
            }
            taken
        });
        let question = Request::new(Full::new(Bytes::new()));
        let answer = exchange(ours, question, MOST).await.map(|(_, body)| body).map_err(|error| error.to_string());
        (answer, endless.await.unwrap())
    }

    #[tokio::test]
    async fn xz07_an_answer_without_end_is_given_up_at_its_bound() {
        const X: &[u8] = &[b'x'; 512];
        // A little more may be on its way: what one buffer of the library takes, and what stands in the pipe.
        let bound = |most: usize| most..most + 64 * 1024;
        for begin in ["HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (answer, taken) = taken(begin, X).await;
            assert!(answer.is_err() && bound(MOST).contains(&taken), "{begin:?}: {taken}, {answer:?}");
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (answer, taken) = taken(chunked, b"8\r\nxxxxxxxx\r\n").await;
        assert!(answer.is_err() && (MOST..4 * MOST).contains(&taken), "{taken}, {answer:?}");
    }

    #[tokio::test]
    async fn xz07_a_head_without_end_is_given_up_too() {
        for (begin, rest) in [
            ("HTTP/1.1 200 OK\r\n", &b"X-A: bbbbbbbbbbbbbbbb\r\n"[..]),
            ("HTTP/1.1 200 OK\r\nX-A: ", &[b'x'; 512]),
            ("", b"HTTP/1.1 100 Continue\r\nX-A: bbbbbbbbbbbbbbbb"),
        ] {
            let (answer, taken) = taken(begin, rest).await;
            assert!(answer.is_err() && taken < 512 * 1024, "{begin:?}: {taken}, {answer:?}");
        }
    }
}
