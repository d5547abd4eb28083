//! Whether a name that somebody comes for may have a certificate: whoever runs the sites is asked (threat XT12).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::super::client::{Client, ClientOptions, SystemRoots, reach, reason};
use super::super::provider::Alpn;

/// A handshake waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Under which terms names get certificates that no configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who is asked: `GET URL?domain=NAME`, and 200 is yes.
    pub ask: Uri,
    /// How many orders there may be in what time.
    pub limit: (u32, Duration),
    /// How many such names there may be at once.
    pub most: usize,
}

/// Asks, and keeps what it takes to ask over TLS.
#[derive(Debug, Default)]
pub(super) struct Permits {
    tls: OnceCell<Client>,
}

impl Permits {
    /// The answer, or why there is none.
    pub async fn ask(&self, terms: &Arc<Terms>, name: &str) -> Result<bool, String> {
        let asked = timeout(PATIENCE, self.status(&terms.ask, name)).await;
        asked.map_err(|_| "there is no answer in time".to_owned())?.map(|status| status == StatusCode::OK)
    }

    async fn status(&self, url: &Uri, name: &str) -> Result<StatusCode, String> {
        let host = url.host().unwrap_or_default();
        let is_plain = url.scheme_str() == Some("http");
        let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let tcp = reach(host, port).await.map_err(|why| format!("no connection ({why})"))?;
        if is_plain {
            return exchange(tcp, url, name).await;
        }
        let build = async || {
            let options = ClientOptions { alpn: vec![Alpn::Http11], ..ClientOptions::default() };
            Client::build(&options, &SystemRoots::default()).map_err(|trouble| trouble.to_string())
        };
        let tls = self.tls.get_or_try_init(build).await?;
        let server = tls.server_name(host).map_err(|trouble| trouble.to_string())?;
        let stream = tls.connect(tcp, server).await.map_err(|error| format!("no TLS ({})", reason(&error)))?;
        exchange(stream, url, name).await
    }
}

async fn exchange<T>(stream: T, url: &Uri, name: &str) -> Result<StatusCode, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = |error: hyper::Error| format!("no answer ({error})");
    let request = Request::builder()
        .method(Method::GET)
        .uri(target(url, name))
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, concat!("rp/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    let driver = tokio::spawn(connection);
    let status = sender.send_request(request).await.map(|answer| answer.status()).map_err(wrong);
    driver.abort();
    status
}

/// A name has no character that means anything in a query.
fn target(url: &Uri, name: &str) -> String {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}domain={name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_more_parameter() {
        let check = |url: &str, expected: &str| assert_eq!(target(&url.parse().unwrap(), "a.test"), expected);
        check("http://127.0.0.1:9000", "/?domain=a.test");
        check("http://127.0.0.1:9000/ask", "/ask?domain=a.test");
        check("https://x.test/ask?key=1", "/ask?key=1&domain=a.test");
    }
}
