//! deSEC: its API has all texts of a name as one set, so they are read, changed and written by one at a time.

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::api::{Answer, Question};
use super::bearer::Bearer;
use super::provider::{Provider, Record};
use crate::tls::acme::Failure;

/// Seconds, where a zone does not say how few it takes.
const TTL: u64 = 3600;

pub(super) struct Desec {
    pub api: Bearer,
    pub zone: Option<Box<str>>,
    pub turn: Mutex<()>,
}

impl Desec {
    /// `Null`: there is no such thing.
    async fn ask(&self, question: &Question<'_>) -> Result<Value, Failure> {
        let answer = self.api.ask(question).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(Value::Null),
            status if status.is_success() => Ok(answer.json()),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// It says `{"detail": …}`, or which field of which record it does not like.
    fn refusal(&self, answer: &Answer) -> Failure {
        let json = answer.json();
        let whole = answer.text();
        self.api.api.refusal(answer, Some(json["detail"].as_str().unwrap_or(&whole)))
    }

    /// The zone's name, and the shortest time that it takes.
    async fn zone(&self, record: &Record) -> Result<(String, u64), Failure> {
        let path = match &self.zone {
            Some(zone) => format!("/domains/?owns_qname={zone}"),
            None => format!("/domains/?owns_qname={}", record.name),
        };
        let found = self.ask(&Question::get(&path)).await?;
        let zone = found[0]["name"].as_str().filter(|zone| record.zones().any(|known| known == *zone));
        let zone = zone.ok_or_else(|| record.homeless(self.api.api.who))?.to_owned();
        Ok((zone, found[0]["minimum_ttl"].as_u64().unwrap_or(TTL)))
    }

    async fn change(&self, record: &Record, change: impl Fn(&mut Vec<String>, &str)) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let (zone, ttl) = self.zone(record).await?;
        let inside = if record.inside(&zone).is_empty() { "@" } else { record.inside(&zone) };
        let known = self.ask(&Question::get(&format!("/domains/{zone}/rrsets/{inside}/TXT/"))).await?;
        let known = known["records"].as_array().into_iter().flatten();
        let mut texts: Vec<String> = known.filter_map(|text| text.as_str().map(str::to_owned)).collect();
        let before = texts.clone();
        change(&mut texts, &format!("\"{}\"", record.value));
        if texts == before {
            return Ok(());
        }
        // A set of none is one that is removed.
        let subname = record.inside(&zone);
        let body = json!([{ "subname": subname, "type": "TXT", "ttl": ttl, "records": texts }]);
        let path = format!("/domains/{zone}/rrsets/");
        self.ask(&Question::json(Method::PUT, &path, &body)).await.map(drop)
    }
}

fn add(texts: &mut Vec<String>, text: &str) {
    if !texts.iter().any(|known| known == text) {
        texts.push(text.to_owned());
    }
}

fn take(texts: &mut Vec<String>, text: &str) {
    texts.retain(|known| known != text);
}

impl Provider for Desec {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, add))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.change(record, take))
    }
}
