//! Changes of a zone by DNS itself (RFC 2136), signed with a key that the server knows (TSIG, RFC 8945).

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_proto::op::update_message::{append, delete_by_rdata};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, RData, Record as Entry, RecordSet, TSigner};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::lookup::{Lookup, bare, by_stream};
use super::provider::{Provider, Record};
use super::settings::{Algorithm, Key, Rfc2136};
use crate::tls::acme::Failure;

/// For one change. Over TCP, so that nothing has to be sent twice.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds that a resolver may keep the text.
const TTL: u32 = 60;
/// Seconds by which the clocks may differ (RFC 8945, section 10).
const FUDGE: u16 = 300;

/// A name server that takes changes.
pub(super) struct Updates {
    settings: Rfc2136,
    lookup: Lookup,
}

/// What becomes of a text.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

impl Updates {
    pub fn new(settings: Rfc2136, lookup: Lookup) -> Self {
        Self { settings, lookup }
    }

    async fn change(&self, record: &Record, change: Change) -> Result<(), Failure> {
        let server = self.address().await?;
        let name = Name::from_ascii(format!("{}.", record.name)).map_err(|error| Failure::other(error.to_string()))?;
        let zone = match &self.settings.zone {
            Some(zone) => fqdn(zone)?,
            None => self.lookup.zone_at(server, &name).await?,
        };
        if !zone.zone_of(&name) {
            return Err(Failure::other(format!("`{}` is not in the zone `{}`", record.name, bare(&zone))));
        }
        let message = message(&zone, name, &record.value, change);
        let answer = timeout(PATIENCE, self.exchange(server, message));
        let answer = answer.await.map_err(|_| self.says("does not answer in time"))??;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(self.refusal(code, &answer)),
        }
    }

    async fn address(&self) -> Result<SocketAddr, Failure> {
        let found = tokio::net::lookup_host(&*self.settings.server).await;
        let found = found.map_err(|error| self.says(&format!("is not found ({error})")))?.next();
        found.ok_or_else(|| self.says("has no address"))
    }

    /// An answer to what was signed counts only if it is signed, too; a refusal need not be (RFC 8945, section 5.3.2).
    async fn exchange(&self, server: SocketAddr, mut message: Message) -> Result<Message, Failure> {
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default();
        let mut verifier = None;
        if let Some(key) = &self.settings.key {
            verifier = message.finalize(&signer(key)?, now).map_err(|error| Failure::other(error.to_string()))?;
        }
        let bytes = message.to_vec().map_err(|error| Failure::other(error.to_string()))?;
        let answer = by_stream(server, &bytes).await.map_err(|error| self.says(&format!("has no answer ({error})")))?;
        let read = Message::from_vec(&answer).ok().filter(|answer| answer.metadata.id == message.metadata.id);
        let read = read.ok_or_else(|| self.says("gives an answer that makes no sense"))?;
        if read.metadata.response_code == ResponseCode::NoError
            && let Some(mut verifier) = verifier
        {
            verifier.verify(&answer).map_err(|_| self.says("does not sign its answer with the key"))?;
        }
        Ok(read)
    }

    fn refusal(&self, code: ResponseCode, answer: &Message) -> Failure {
        let why = answer.signature().and_then(|signature| signature.data.error);
        let key = self.settings.key.as_ref().map_or("", |key| &key.name);
        self.says(&match (code, why) {
            (ResponseCode::NotAuth, Some(TsigError::BadKey)) => format!("does not know the key `{key}`"),
            (ResponseCode::NotAuth, Some(TsigError::BadSig)) => format!("has another secret for the key `{key}`"),
            (ResponseCode::NotAuth, Some(TsigError::BadTime)) => "has a clock that differs from this one".to_owned(),
            (ResponseCode::Refused, _) if key.is_empty() => "takes no changes without a key".to_owned(),
            (ResponseCode::Refused, _) => format!("does not let the key `{key}` change this name"),
            (code, _) => format!("refuses the change ({})", code.to_str()),
        })
    }

    fn says(&self, what: &str) -> Failure {
        Failure::other(format!("the name server `{}` {what}", self.settings.server))
    }
}

impl Provider for Updates {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, Change::Add))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, Change::Remove))
    }
}

/// One text is added to those under the name, or taken from among them (RFC 2136, sections 2.5.1 and 2.5.4).
fn message(zone: &Name, name: Name, text: &str, change: Change) -> Message {
    let text = RData::TXT(TXT::new(vec![text.to_owned()]));
    let set = RecordSet::from(Entry::from_rdata(name, TTL, text));
    match change {
        Change::Add => append(set, zone.clone(), false, false),
        Change::Remove => delete_by_rdata(set, zone.clone(), false),
    }
}

fn signer(key: &Key) -> Result<TSigner, Failure> {
    let algorithm = match key.algorithm {
        Algorithm::Sha256 => TsigAlgorithm::HmacSha256,
        Algorithm::Sha384 => TsigAlgorithm::HmacSha384,
        Algorithm::Sha512 => TsigAlgorithm::HmacSha512,
    };
    let failed = |error: &dyn std::fmt::Display| Failure::other(format!("the key cannot be used ({error})"));
    TSigner::new(key.secret.0.clone(), algorithm, fqdn(&key.name)?, FUDGE).map_err(|error| failed(&error))
}

fn fqdn(name: &str) -> Result<Name, Failure> {
    let mut parsed = Name::from_ascii(name).map_err(|_| Failure::other(format!("`{name}` is no name of DNS")))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}
