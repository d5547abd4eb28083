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
        let opened = self.store.storage().during(&lock, self.open()).await;
        self.store.storage().release(lock).await;
        Ok(held.insert(opened?).clone())
    }

    /// After a failure the directory is read again, and an account that is gone is made anew.
    pub(super) async fn doubt(&self, failure: &Failure) {
        *self.account.lock().await = None;
        if failure.kind == FailureKind::NoAccount
            && let Err(trouble) = self.store.save_account("{}").await
        {
            tracing::warn!(error = %trouble, "an account that is no more cannot be forgotten");
        }
    }

    /// Of several instances that begin together, one makes the account.
    async fn lock(&self) -> Result<Lock, Failure> {
        let unusable = |trouble: Trouble| Failure { reason: trouble.to_string(), kind: FailureKind::Storage };
        loop {
            if let Some(lock) = self.store.lock_account().await.map_err(unusable)? {
                return Ok(lock);
            }
            sleep(OTHERS).await;
        }
    }

    async fn open(&self) -> Result<Account, Failure> {
        let way = Way::to(&self.issuer).map_err(|trouble| Failure::other(trouble.to_string()))?;
        let kept = self.store.account().await.map_err(|trouble| Failure::other(trouble.to_string()))?;
        let kept: Value = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let contact: Option<String> = self.issuer.email.as_ref().map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
        let builder = || Account::builder_with_http(Box::new(way.clone()));
        let Ok(credentials) = serde_json::from_value::<AccountCredentials>(kept["credentials"].clone()) else {
            let terms = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
            let binding = &self.issuer.binding;
            let bound = binding.as_ref().map(|binding| ExternalAccountKey::new(binding.id.clone(), &binding.key));
            let directory = || self.issuer.directory.clone();
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

    async fn keep(&self, credentials: &Value, contact: Option<&str>) -> Result<(), Failure> {
        let text = json!({ "contact": contact, "credentials": credentials }).to_string();
        self.store.save_account(&text).await.map_err(|trouble| Failure::other(trouble.to_string()))
    }
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
