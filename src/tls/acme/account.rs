//! The account with an authority: made once, kept in storage, and taken up again.

use std::time::Duration;

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::client::Way;
use super::store::Store;
use super::{Failure, FailureKind, Issuer, patiently};
use crate::tls::Trouble;
use crate::tls::storage::{Lock, Storage};

/// What is kept where there is no account.
const NONE: &str = "{}";
/// Between two looks at what another instance does.
const OTHERS: Duration = Duration::from_millis(100);

/// An authority, its folder, and the account there once it has been opened.
pub struct Office {
    pub issuer: Issuer,
    pub store: Store,
    /// Where an order can be tried out.
    pub rehearsal: Option<Box<Office>>,
    account: Mutex<Option<Account>>,
}

impl Office {
    pub fn new(issuer: Issuer, storage: &Storage) -> Self {
        let store = Store::of(storage, &issuer.directory);
        let rehearsal = issuer.rehearsal().map(|issuer| Box::new(Self::new(issuer, storage)));
        Self { issuer, store, rehearsal, account: Mutex::new(None) }
    }

    /// The account. Of several that ask at once one opens it, and the others wait.
    pub(super) async fn account(&self) -> Result<Account, Failure> {
        let mut held = self.account.lock().await;
        if let Some(account) = &*held {
            return Ok(account.clone());
        }
        let lock = self.lock().await?;
        let opened = self.store.storage().during(std::slice::from_ref(&lock), self.open()).await;
        self.store.storage().release(lock).await;
        Ok(held.insert(opened?).clone())
    }

    /// After a failure the directory is read again, and an account that is gone is made anew.
    pub(super) async fn doubt(&self, failure: &Failure) {
        let doubted = self.account.lock().await.take();
        if failure.kind == FailureKind::NoAccount
            && let Err(trouble) = self.forget(doubted.as_ref()).await
        {
            tracing::warn!(error = %trouble, "an account that is no more cannot be forgotten");
        }
    }

    /// Unless another instance has made a new one by now.
    async fn forget(&self, doubted: Option<&Account>) -> Result<(), Failure> {
        let lock = self.lock().await?;
        let forgotten = match self.store.account().await {
            Ok(kept) if doubted.is_none_or(|doubted| parsed(kept.as_deref())["credentials"]["id"] == doubted.id()) => {
                self.store.save_account(NONE).await
            }
            kept => kept.map(drop),
        };
        self.store.storage().release(lock).await;
        Ok(forgotten?)
    }

    /// Of several instances that begin together, one makes the account.
    async fn lock(&self) -> Result<Lock, Failure> {
        loop {
            if let Some(lock) = self.store.lock_account().await? {
                return Ok(lock);
            }
            sleep(OTHERS).await;
        }
    }

    async fn open(&self) -> Result<Account, Failure> {
        let way = Way::to(&self.issuer).map_err(|trouble| Failure::other(trouble.to_string()))?;
        let text = self.store.account().await?;
        let kept = parsed(text.as_deref());
        let contact: Option<String> = self.issuer.email.as_ref().map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
        let builder = || Account::builder_with_http(Box::new(way.clone()));
        let Ok(credentials) = serde_json::from_value::<AccountCredentials>(kept["credentials"].clone()) else {
            let terms = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
            let binding = &self.issuer.binding;
            let bound = binding.as_ref().map(|binding| ExternalAccountKey::new(binding.id.clone(), &binding.key));
            let directory = || self.issuer.directory.clone();
            self.make_room(text.as_deref()).await?;
            let (account, credentials) = patiently!(builder().create(&terms, directory(), bound.as_ref()))?;
            self.keep(&serde_json::to_value(&credentials).unwrap_or_default(), contact.as_deref()).await?;
            tracing::info!(authority = self.issuer.directory, "an account with the certificate authority is made");
            return Ok(account);
        };
        let account = builder().from_credentials(credentials).await?;
        if kept["contact"].as_str() != contact.as_deref() {
            patiently!(account.update_contacts(&contacts))?;
            self.keep(&kept["credentials"], contact.as_deref()).await?;
        }
        Ok(account)
    }

    /// An account whose key could not be kept would be lost, and the next try would make another: authorities allow a few an
    /// hour, and some give out a binding for one alone. So nobody is asked before something has been kept in its place.
    async fn make_room(&self, text: Option<&str>) -> Result<(), Failure> {
        if let Some(broken) = text.filter(|text| !text.trim().is_empty() && *text != NONE) {
            self.store.set_account_aside(broken).await?;
            let authority = &self.issuer.directory;
            tracing::warn!(
                authority,
                "what is kept of the account cannot be read: it is set aside, and another is made"
            );
        }
        Ok(self.store.save_account(NONE).await?)
    }

    async fn keep(&self, credentials: &Value, contact: Option<&str>) -> Result<(), Failure> {
        let text = json!({ "contact": contact, "credentials": credentials }).to_string();
        // The authority has been asked by now, so this is no case for another try at once.
        self.store.save_account(&text).await.map_err(|trouble| Failure::other(trouble.to_string()))
    }
}

/// Nobody has been asked.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { reason: trouble.to_string(), kind: FailureKind::Storage }
    }
}

fn parsed(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
