//! Cloudflare: API version 4, with a token that may edit DNS in the zone.

use futures_util::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};

use super::api::{Answer, Api, Question};
use super::bearer::Bearer;
use super::provider::{Provider, Record};
use crate::tls::acme::Failure;

/// An identical record is there already.
const IDENTICAL: i64 = 81058;

pub(super) struct Cloudflare {
    pub api: Bearer,
    pub zone: Option<Box<str>>,
}

impl Cloudflare {
    async fn ask(&self, question: &Question<'_>) -> Result<Value, Failure> {
        let answer = self.api.ask(question).await?;
        let json = answer.json();
        let fine = answer.status.is_success() && json["success"] == true;
        if fine || json["errors"][0]["code"] == IDENTICAL { Ok(json) } else { Err(refusal(&self.api.api, &answer)) }
    }

    async fn zone(&self, record: &Record) -> Result<String, Failure> {
        for name in record.zones_or(self.zone.as_deref()) {
            let found = self.ask(&Question::get(&format!("/zones?name={name}"))).await?;
            if let Some(id) = found["result"][0]["id"].as_str().filter(|id| is_id(id)) {
                return Ok(id.to_owned());
            }
        }
        Err(record.homeless(self.api.api.who))
    }

    async fn add(&self, record: &Record) -> Result<(), Failure> {
        let path = format!("/zones/{}/dns_records", self.zone(record).await?);
        let content = format!("\"{}\"", record.value);
        let body = json!({ "type": "TXT", "name": record.name, "content": content, "ttl": 60 });
        self.ask(&Question::json(Method::POST, &path, &body)).await.map(drop)
    }

    async fn take(&self, record: &Record) -> Result<(), Failure> {
        let path = format!("/zones/{}/dns_records", self.zone(record).await?);
        let found = self.ask(&Question::get(&format!("{path}?type=TXT&name={}", record.name))).await?;
        for entry in found["result"].as_array().into_iter().flatten() {
            let content = entry["content"].as_str().unwrap_or_default().trim_matches('"');
            if let Some(id) = entry["id"].as_str().filter(|id| content == record.value && is_id(id)) {
                self.ask(&Question::delete(&format!("{path}/{id}"))).await?;
            }
        }
        Ok(())
    }
}

/// It becomes a part of a path.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn refusal(api: &Api, answer: &Answer) -> Failure {
    let json = answer.json();
    api.refusal(answer, json["errors"][0]["message"].as_str())
}

impl Provider for Cloudflare {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.add(record))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.take(record))
    }
}
