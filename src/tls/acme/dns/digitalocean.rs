//! `DigitalOcean`: API version 2, with a token that may write domains.

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::Question;
use super::bearer::Bearer;
use super::provider::{Provider, Record};
use crate::tls::acme::Failure;

pub(super) struct DigitalOcean {
    pub api: Bearer,
    pub zone: Option<Box<str>>,
}

impl DigitalOcean {
    /// `None`: there is no such thing.
    async fn ask(&self, question: &Question<'_>) -> Result<Option<Value>, Failure> {
        let answer = self.api.ask(question).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer.json())),
            _ => Err(self.api.api.refusal(&answer, answer.json()["message"].as_str())),
        }
    }

    async fn zone<'a>(&'a self, record: &'a Record) -> Result<&'a str, Failure> {
        for name in record.zones_or(self.zone.as_deref()) {
            if self.ask(&Question::get(&format!("/domains/{name}"))).await?.is_some() {
                return Ok(name);
            }
        }
        Err(record.homeless(self.api.api.who))
    }

    async fn add(&self, record: &Record) -> Result<(), Failure> {
        let zone = self.zone(record).await?;
        let inside = if record.inside(zone).is_empty() { "@" } else { record.inside(zone) };
        let body = json!({ "type": "TXT", "name": inside, "data": record.value, "ttl": 30 });
        let path = format!("/domains/{zone}/records");
        let made = self.ask(&Question::json(Method::POST, &path, &body)).await?;
        made.map(drop).ok_or_else(|| record.homeless(self.api.api.who))
    }

    async fn take(&self, record: &Record) -> Result<(), Failure> {
        let zone = self.zone(record).await?;
        let path = format!("/domains/{zone}/records?type=TXT&name={}&per_page=200", record.name);
        let found = self.ask(&Question::get(&path)).await?.unwrap_or_default();
        for entry in found["domain_records"].as_array().into_iter().flatten() {
            if let Some(id) = entry["id"].as_u64().filter(|_| entry["data"] == record.value) {
                self.ask(&Question::delete(&format!("/domains/{zone}/records/{id}"))).await?;
            }
        }
        Ok(())
    }
}

impl Provider for DigitalOcean {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.add(record))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.take(record))
    }
}
