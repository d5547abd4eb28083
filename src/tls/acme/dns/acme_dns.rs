//! acme-dns: a server that has nothing but such texts. `_acme-challenge` of a name is an alias of a name there, and an
//! account may change one of those.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use http::{HeaderName, Method};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::api::{Api, Question, secret};
use super::provider::{Provider, Record};
use super::settings::{Account, AcmeDns as Settings};
use crate::tls::acme::Failure;

const USER: HeaderName = HeaderName::from_static("x-api-user");
const KEY: HeaderName = HeaderName::from_static("x-api-key");
/// It shows the last two texts of an account, so a third has to wait.
const TEXTS: usize = 2;

pub(super) struct AcmeDns {
    api: Api,
    accounts: Vec<(Account, Arc<Semaphore>)>,
    shown: Mutex<Vec<(Record, OwnedSemaphorePermit)>>,
}

impl AcmeDns {
    pub fn new(settings: &Settings) -> Self {
        let accounts = settings.accounts.iter().map(|account| (account.clone(), Arc::new(Semaphore::new(TEXTS))));
        Self { api: Api::new("acme-dns", settings.at.clone()), accounts: accounts.collect(), shown: Mutex::default() }
    }

    async fn add(&self, record: &Record) -> Result<(), Failure> {
        let label = record.name.split('.').next().unwrap_or_default();
        let account = self.accounts.iter().find(|(account, _)| account.subdomain.eq_ignore_ascii_case(label));
        let Some((account, places)) = account else {
            return Err(self.api.failure(&format!(
                "has no account here for `{}`: make it an alias (CNAME) of the `fulldomain` of an account",
                record.name
            )));
        };
        // Nobody ever closes it.
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.map_err(|_| self.api.failure("has no place for another text"))?;
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push((record.clone(), place));
        let (user, password) = (secret(&account.user)?, secret(&account.password.0)?);
        let body = json!({ "subdomain": account.subdomain, "txt": record.value });
        let sign = |head: &mut http::request::Parts, _: &[u8]| {
            head.headers.insert(USER, user.clone());
            head.headers.insert(KEY, password.clone());
            Ok(())
        };
        let answer = self.api.ask(&Question::json(Method::POST, "/update", &body), sign).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(self.api.refusal(&answer, answer.json()["error"].as_str()))
    }
}

impl Provider for AcmeDns {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.add(record))
    }

    /// It knows no removing: the next text takes the place of the oldest.
    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = shown.iter().position(|(known, _)| known == record) {
            drop(shown.swap_remove(at));
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
