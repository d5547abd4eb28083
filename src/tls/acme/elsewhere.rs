//! Challenges of other instances: behind one name there are several machines, and an authority comes to any of them.
//!
//! What one instance shows lies in the storage that they share, and the others look there when they are asked for something
//! that they do not know. Nothing is looked up while storage is a folder.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use super::challenge::Kind;
use crate::tls::storage::Storage;

/// Whoever knows nothing of a challenge may ask for one, too: at most so many questions are under way at once.
const MOST: usize = 16;
/// Signs of a token; an authority's has about 43.
const LONGEST: usize = 256;

/// The storage that is shared, if it is.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    is_shared: AtomicBool,
    storage: ArcSwapOption<Storage>,
    asked: AtomicUsize,
}

impl Elsewhere {
    /// From now on things are kept here.
    pub fn look_in(&self, storage: &Storage) {
        let shared = storage.is_shared().then(|| storage.clone().into());
        self.is_shared.store(shared.is_some(), Ordering::Release);
        self.storage.store(shared);
    }

    #[inline]
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Acquire)
    }

    /// Shows others what this instance shows. The challenge goes on without them where that fails.
    pub async fn publish(&self, kind: Kind, key: &str, host: &str, text: &str) {
        let Some(storage) = self.storage.load_full() else { return };
        let shown = json!({ "host": host, "text": text }).to_string();
        if let Err(trouble) = storage.store(&place(kind, key), shown.as_bytes()).await {
            tracing::warn!(name = host, %trouble, "other instances do not know of a challenge");
        }
    }

    /// Takes it back, some time soon.
    pub fn withdraw(&self, kind: Kind, key: &str) {
        let (Some(storage), Ok(runtime)) = (self.storage.load_full(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let place = place(kind, key);
        runtime.spawn(async move {
            if let Err(trouble) = storage.delete(&place).await {
                tracing::debug!(key = place, %trouble, "a challenge is left behind");
            }
        });
    }

    /// What another instance shows under a key, for this host.
    pub async fn find(&self, kind: Kind, key: &str, host: &str) -> Option<Box<str>> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if key.is_empty() || key.len() > LONGEST || !key.bytes().all(plain) {
            return None;
        }
        let storage = self.storage.load_full()?;
        let _leave = self.enter()?;
        let found = storage.load(&place(kind, key)).await.ok()??;
        let shown: Value = serde_json::from_slice(&found).ok()?;
        if shown["host"].as_str() != Some(host) {
            return None;
        }
        shown["text"].as_str().map(Box::from)
    }

    fn enter(&self) -> Option<Leave<'_>> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        let leave = Leave(&self.asked);
        (before < MOST).then_some(leave)
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn place(kind: Kind, key: &str) -> String {
    format!("challenges/{kind}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_no_more() {
        let elsewhere = Elsewhere::default();
        let inside: Vec<_> = (0..MOST).map(|_| elsewhere.enter().unwrap()).collect();
        assert!(elsewhere.enter().is_none());
        drop(inside);
        assert!(elsewhere.enter().is_some());
        assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
    }
}
