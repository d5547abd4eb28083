//! Hetzner: the zones of its Cloud API, with a token that may read and write.

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::Question;
use super::bearer::Bearer;
use super::provider::{Provider, Record};
use crate::tls::acme::Failure;

pub(super) struct Hetzner {
    pub api: Bearer,
    pub zone: Option<Box<str>>,
}

impl Hetzner {
    /// `false`: there is no such thing.
    async fn ask(&self, question: &Question<'_>) -> Result<bool, Failure> {
        let answer = self.api.ask(question).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.api.api.refusal(&answer, answer.json()["error"]["message"].as_str())),
        }
    }

    async fn zone<'a>(&'a self, record: &'a Record) -> Result<&'a str, Failure> {
        for name in record.zones_or(self.zone.as_deref()) {
            if self.ask(&Question::get(&format!("/zones/{name}"))).await? {
                return Ok(name);
            }
        }
        Err(record.homeless(self.api.api.who))
    }

    /// One text is added to those under the name, or taken from among them.
    async fn act(&self, record: &Record, action: &str, body: &Value) -> Result<bool, Failure> {
        let zone = self.zone(record).await?;
        let inside = if record.inside(zone).is_empty() { "@" } else { record.inside(zone) };
        let path = format!("/zones/{zone}/rrsets/{inside}/TXT/actions/{action}");
        self.ask(&Question::json(Method::POST, &path, body)).await
    }

    async fn add(&self, record: &Record) -> Result<(), Failure> {
        let body = json!({ "ttl": 60, "records": [{ "value": format!("\"{}\"", record.value) }] });
        let done = self.act(record, "add_records", &body).await?;
        if done { Ok(()) } else { Err(record.homeless(self.api.api.who)) }
    }

    async fn take(&self, record: &Record) -> Result<(), Failure> {
        let body = json!({ "records": [{ "value": format!("\"{}\"", record.value) }] });
        self.act(record, "remove_records", &body).await.map(drop)
    }
}

impl Provider for Hetzner {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.add(record))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.take(record))
    }
}
