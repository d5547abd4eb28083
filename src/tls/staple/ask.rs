//! One question to a responder: what is kept is enough while it is fresh, and better than nothing while it holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::answer::{Answer, Doubt, Subject};
use super::{Fingerprint, half};
use crate::tls::acme::client::{exchange, name_target};
use crate::tls::client::reach;
use crate::tls::hex;
use crate::tls::storage::Storage;

/// For all of a question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer; with the certificate of a responder it has some two thousand.
const LARGEST: usize = 32 * 1024;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Silent(String),
    #[error("{0}")]
    Doubted(Doubt),
}

pub(super) async fn ask(
    of: Fingerprint,
    subject: Arc<Subject>,
    storage: Storage,
) -> (Fingerprint, Result<Answer, Failed>) {
    (of, find(&of, &subject, &storage).await)
}

/// Of several processes with one storage, whoever asks first asks for all.
async fn find(of: &Fingerprint, subject: &Subject, storage: &Storage) -> Result<Answer, Failed> {
    let key = format!("ocsp/{}.der", hex(of));
    let now = OffsetDateTime::now_utc();
    let kept = storage.load(&key).await.ok().flatten().and_then(|bytes| subject.judge(&bytes, now).ok());
    if let Some(kept) = kept.as_ref().filter(|kept| now < half(kept)) {
        return Ok(kept.clone());
    }
    match timeout(PATIENCE, fetch(subject)).await {
        Ok(Ok(bytes)) => {
            let answer = subject.judge(&bytes, OffsetDateTime::now_utc()).map_err(Failed::Doubted)?;
            if let Err(trouble) = storage.store(&key, &bytes).await {
                tracing::debug!(key, %trouble, "what a responder says is not kept");
            }
            Ok(answer)
        }
        // What was said before still holds.
        Ok(Err(_)) | Err(_) if kept.is_some() => kept.ok_or(Failed::Doubted(Doubt::Unreadable)),
        Ok(Err(why)) => Err(Failed::Silent(why)),
        Err(_) => Err(Failed::Silent("there is no answer in time".to_owned())),
    }
}

/// RFC 6960, appendix A.1. By POST: a GET is for caches, and there is none here.
async fn fetch(subject: &Subject) -> Result<Bytes, String> {
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    let uri: Uri = subject.responder.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let question = subject.question().ok_or("there is nothing to ask")?;
    let host = uri.host().unwrap_or_default();
    let tcp = reach(host, uri.port_u16().unwrap_or(80)).await.map_err(|why| format!("no connection ({why})"))?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::POST;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"));
    name_target(&mut parts, &uri).map_err(|error| wrong(&error))?;
    let request = Request::from_parts(parts, Full::new(Bytes::from(question)));
    let (head, body) = exchange(tcp, request, LARGEST).await.map_err(|error| format!("no answer ({error})"))?;
    if head.status != StatusCode::OK {
        return Err(format!("the answer is {}", head.status));
    }
    Ok(body)
}
