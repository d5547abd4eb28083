//! The thread that speaks with a storage elsewhere: whoever asks may be in a runtime or in none, and waits as it likes.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

/// For so long after a failure nobody is made to wait for the next: a start with a thousand names would take hours.
const PAUSE: Duration = Duration::from_secs(1);

type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs errands until it is dropped.
pub(super) struct Clerk {
    errands: mpsc::UnboundedSender<Errand>,
    /// Of one errand.
    patience: Duration,
    failed: Mutex<Option<(Instant, String)>>,
}

/// Why an errand came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// Whoever should answer does not.
    Unreachable(String),
    /// It answers, and refuses.
    Refused(String),
}

impl Clerk {
    pub fn start(patience: Duration) -> io::Result<Self> {
        let (errands, mut taken) = mpsc::unbounded_channel::<Errand>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(async move {
                while let Some(errand) = taken.recv().await {
                    tokio::spawn(errand);
                }
            });
        };
        std::thread::Builder::new().name("storage".to_owned()).spawn(work)?;
        Ok(Self { errands, patience, failed: Mutex::new(None) })
    }

    /// Has something done, and ends with an error when it takes too long.
    pub async fn send<T: Send + 'static>(
        &self,
        errand: impl Future<Output = Result<T, Lost>> + Send + 'static,
    ) -> Result<T, Lost> {
        if let Some(why) = self.recent() {
            return Err(Lost::Unreachable(why));
        }
        let (done, outcome) = oneshot::channel();
        let patience = self.patience;
        let bounded = async move {
            let late = |_| Err(Lost::Unreachable(format!("no answer within {patience:?}")));
            let outcome = tokio::time::timeout(patience, errand).await.unwrap_or_else(late);
            // Whoever asked may have gone.
            let _ = done.send(outcome);
        };
        let broken = || Lost::Unreachable("its thread has ended".to_owned());
        self.errands.send(Box::pin(bounded)).map_err(|_| broken())?;
        let outcome = outcome.await.unwrap_or_else(|_| Err(broken()));
        if let Err(Lost::Unreachable(why)) = &outcome {
            *self.failed() = Some((Instant::now(), why.clone()));
        }
        outcome
    }

    fn recent(&self) -> Option<String> {
        let failed = self.failed();
        failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, why)| why.clone())
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait;
    use super::*;

    #[test]
    fn nobody_waits_for_ever_nor_twice_in_a_row() {
        let clerk = Clerk::start(Duration::from_millis(50)).unwrap();
        assert_eq!(wait(clerk.send(async { Ok::<_, Lost>(7) })), Ok(7));
        assert_eq!(
            wait(clerk.send(async { Err::<(), _>(Lost::Refused("no".into())) })),
            Err(Lost::Refused("no".into()))
        );
        let late = Err(Lost::Unreachable("no answer within 50ms".to_owned()));
        assert_eq!(wait(clerk.send(std::future::pending::<Result<(), Lost>>())), late);
        // What is asked now would be done at once, but is not even tried.
        assert_eq!(wait(clerk.send(async { Ok(()) })), late);
    }

    #[test]
    fn it_may_be_asked_from_inside_a_runtime() {
        let clerk = Clerk::start(Duration::from_secs(5)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // More often than a task has budget.
        let all = runtime
            .block_on(async { (0..500).map(|n| wait(clerk.send(async move { Ok(n) }))).all(|done| done.is_ok()) });
        assert!(all);
    }
}
