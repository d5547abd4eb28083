//! Those who take a token in a field of each request.

use http::header::{AUTHORIZATION, HeaderValue};

use super::api::{Answer, Api, Question, secret};
use super::settings::Token;
use crate::tls::acme::Failure;

pub(super) struct Bearer {
    pub api: Api,
    /// With its scheme; an error where the token has signs that none has.
    field: Result<HeaderValue, Failure>,
}

impl Bearer {
    /// `scheme` is `Bearer`, or what somebody has in its place.
    pub fn new(who: &'static str, scheme: &str, settings: &Token) -> Self {
        let field = secret(&format!("{scheme} {}", settings.token.0));
        Self { api: Api::new(who, settings.at.clone()), field }
    }

    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let field = self.field.clone()?;
        let sign = |head: &mut http::request::Parts, _: &[u8]| {
            head.headers.insert(AUTHORIZATION, field.clone());
            Ok(())
        };
        self.api.ask(question, sign).await
    }
}
