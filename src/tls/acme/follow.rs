//! Certificates that other instances got: found in the storage that they share soon after they came.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::vault::Vault;
use crate::tls::Certificate;

/// Where nothing is shared, there may be after a reload.
const IDLE: Duration = Duration::from_secs(5);

/// Never ends by itself. One small key says whether anything is new, so that a thousand names are one question.
pub async fn follow(vault: Arc<Vault>) {
    let (mut seen, mut was_away) = (None, false);
    loop {
        let Some(storage) = vault.shared() else {
            sleep(IDLE).await;
            continue;
        };
        match storage.mark().await {
            Ok(mark) => {
                if seen.as_ref() != Some(&mark) {
                    catch_up(&vault).await;
                    seen = Some(mark);
                }
                if std::mem::take(&mut was_away) {
                    tracing::info!(storage = storage.place(), "the storage is back");
                    vault.storage_is_back();
                }
            }
            Err(trouble) => {
                if !std::mem::replace(&mut was_away, true) {
                    tracing::warn!(%trouble, "rp goes on with what it has");
                }
            }
        }
        sleep(storage.period()).await;
    }
}

async fn catch_up(vault: &Vault) {
    for (key, held) in vault.held() {
        let (stores, name) = &key;
        let mut newest = held;
        for (from, store) in stores.iter().enumerate() {
            match store.fetch(name).await {
                Ok(Some(kept)) if kept.covers(name) && is_news(&kept, newest.as_deref()) => {
                    let (issuer, until) = (kept.issuer(), kept.not_after().date());
                    tracing::info!(name = &**name, issuer, %until, "another process has obtained the certificate");
                    vault.adopt(&key, from, Arc::clone(&kept));
                    newest = Some(kept);
                }
                Ok(_) => {}
                Err(trouble) => tracing::debug!(name = &**name, %trouble, "what is kept of a name is not known"),
            }
        }
    }
}

/// What could not be stored when it came is newer than what is there.
fn is_news(kept: &Certificate, held: Option<&Certificate>) -> bool {
    held.is_none_or(|held| kept.fingerprint() != held.fingerprint() && kept.not_before() >= held.not_before())
}
