//! A URL of the user's, which is told by POST what to do.

use futures_util::future::BoxFuture;
use http::Method;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::api::{Api, Question, secret};
use super::provider::{Provider, Record};
use super::settings::Webhook as Settings;
use crate::tls::acme::Failure;

pub(super) struct Webhook {
    api: Api,
    token: Option<Box<str>>,
}

impl Webhook {
    pub fn new(settings: &Settings) -> Self {
        let token = settings.token.as_ref().map(|token| token.0.clone());
        Self { api: Api::new("the webhook", settings.at.clone()), token }
    }

    async fn tell(&self, action: &str, record: &Record) -> Result<(), Failure> {
        let field = self.token.as_ref().map(|token| secret(&format!("Bearer {token}"))).transpose()?;
        let sign = |head: &mut http::request::Parts, _: &[u8]| {
            field.iter().for_each(|field| drop(head.headers.insert(AUTHORIZATION, field.clone())));
            Ok(())
        };
        let body = json!({ "action": action, "name": record.name, "value": record.value });
        let answer = self.api.ask(&Question::json(Method::POST, "", &body), sign).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.api.refusal(&answer, Some(&answer.text()))) }
    }
}

impl Provider for Webhook {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.tell("present", record))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.tell("remove", record))
    }
}
