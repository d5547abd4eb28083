//! What a responder says of a certificate, shown beside it in handshakes (OCSP, RFC 6960; stapling, RFC 6066, section 8), so
//! that clients need not ask it themselves. Many authorities have no responder any more: then there is nothing to do.
//!
//! Handshakes take what is here. A task of the control plane asks, at half of an answer's time; whatever goes wrong with
//! that, the certificate is shown without.

mod answer;
mod ask;
mod der;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use answer::{Answer, Doubt, Subject};
use ask::Failed;

use super::acme::Vault;
use super::certificate::Certificate;
use super::resolver::Slot;
use super::storage::Storage;

/// Between two looks at what is shown.
const LOOK: Duration = Duration::from_secs(15);
/// Questions at once.
const MOST: usize = 8;
/// After a failure, doubled with each one more.
const SHORTEST: time::Duration = time::Duration::minutes(1);
const LONGEST: time::Duration = time::Duration::hours(1);

type Fingerprint = [u8; 32];

/// Who is to be asked, of one configuration.
#[derive(Debug, Clone, Default)]
pub struct Stapling {
    /// Where answers are kept; `None`: nobody is asked.
    pub storage: Option<Storage>,
    /// Certificates from files, and where they are shown.
    pub files: Vec<(Arc<Slot>, Arc<Certificate>)>,
}

/// One for each process.
#[derive(Debug, Default)]
pub struct Stapler {
    stapling: Mutex<Stapling>,
    changed: Notify,
}

impl Stapler {
    /// From now on these are looked after, and those of authorities.
    pub fn look_after(&self, stapling: &Stapling) {
        *self.stapling.lock().unwrap_or_else(PoisonError::into_inner) = stapling.clone();
        self.changed.notify_one();
    }

    fn stapling(&self) -> Stapling {
        self.stapling.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether anybody can be asked about a certificate: it names a responder, and comes with its issuer.
pub fn can(certificate: &Certificate) -> bool {
    Subject::of(&certificate.key().cert).is_some()
}

/// Never ends by itself.
pub async fn keep(stapler: Arc<Stapler>, vault: Arc<Vault>) {
    let mut known: HashMap<Fingerprint, State> = HashMap::new();
    let mut work = JoinSet::new();
    loop {
        let Stapling { storage, files: mut shown } = stapler.stapling();
        shown.extend(vault.shown());
        let now = OffsetDateTime::now_utc();
        let mut before = std::mem::take(&mut known);
        for (slot, certificate) in &shown {
            let fingerprint = certificate.fingerprint();
            let state = known
                .entry(*fingerprint)
                .or_insert_with(|| before.remove(fingerprint).unwrap_or_else(|| State::new(certificate, now)));
            if state.subject.is_none() {
                continue;
            }
            let Some(storage) = &storage else {
                slot.staple(certificate.key(), None);
                continue;
            };
            slot.staple(certificate.key(), state.good(now));
            if work.len() < MOST
                && let Some(subject) = state.begin(now)
            {
                work.spawn(ask::ask(*fingerprint, subject, storage.clone()));
            }
        }
        tokio::select! {
            () = stapler.changed.notified() => {}
            () = vault.fresh.notified() => {}
            Some(done) = work.join_next() => {
                if let Ok((fingerprint, outcome)) = done
                    && let Some(state) = known.get_mut(&fingerprint)
                {
                    state.learn(outcome, OffsetDateTime::now_utc());
                }
            }
            () = sleep(LOOK) => {}
        }
    }
}

/// What is known of a certificate.
struct State {
    name: String,
    /// None where nobody can be asked.
    subject: Option<Arc<Subject>>,
    answer: Option<Answer>,
    next: OffsetDateTime,
    failures: u32,
    busy: bool,
}

impl State {
    fn new(certificate: &Certificate, now: OffsetDateTime) -> Self {
        let name = certificate.names().first().map_or_else(String::new, ToString::to_string);
        let subject = Subject::of(&certificate.key().cert).map(Arc::new);
        Self { name, subject, answer: None, next: now, failures: 0, busy: false }
    }

    /// What can be shown.
    fn good(&self, now: OffsetDateTime) -> Option<&[u8]> {
        self.answer.as_ref().filter(|answer| answer.until > now).map(|answer| &*answer.bytes)
    }

    /// Whom to ask about now, if it is time.
    fn begin(&mut self, now: OffsetDateTime) -> Option<Arc<Subject>> {
        let subject = self.subject.as_ref().filter(|_| !self.busy && self.next <= now)?;
        self.busy = true;
        Some(Arc::clone(subject))
    }

    fn learn(&mut self, outcome: Result<Answer, Failed>, now: OffsetDateTime) {
        self.busy = false;
        let (name, responder) = (&*self.name, self.subject.as_ref().map_or("", |subject| &*subject.responder));
        match outcome {
            Ok(answer) => {
                if self.answer.is_none() || self.failures > 0 {
                    tracing::info!(name, responder, until = %answer.until, "what the responder says is shown");
                }
                self.next = half(&answer).max(now + SHORTEST);
                (self.answer, self.failures) = (Some(answer), 0);
            }
            Err(failed) => {
                self.next = now + (SHORTEST * 2_i32.pow(self.failures.min(8))).min(LONGEST);
                // Once is enough, until it goes well again.
                if self.failures == 0 {
                    tell(name, responder, &failed);
                }
                self.failures = self.failures.saturating_add(1);
                if matches!(failed, Failed::Doubted(Doubt::Revoked)) {
                    self.answer = None;
                }
            }
        }
    }
}

fn tell(name: &str, responder: &str, failed: &Failed) {
    match failed {
        Failed::Doubted(Doubt::Revoked) => {
            tracing::error!(name, responder, "the authority has revoked the certificate: clients may refuse it");
        }
        _ => tracing::warn!(name, responder, reason = %failed, "nothing is shown of what the responder says"),
    }
}

/// When an answer is half over.
fn half(answer: &Answer) -> OffsetDateTime {
    answer.since + (answer.until - answer.since) / 2_i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::World;

    #[test]
    fn an_answer_is_asked_for_anew_at_half_of_its_time_and_shown_to_its_end() {
        let (now, hours) = (OffsetDateTime::now_utc(), time::Duration::hours);
        let signed = World::new().sign(&["a.test"]);
        let certificate = Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap();
        let mut state = State::new(&certificate, now);
        assert!(state.begin(now).is_none(), "it names no responder");
        let answer = Answer { bytes: vec![7], since: now - hours(2), until: now + hours(10) };
        state.learn(Ok(answer.clone()), now);
        assert_eq!((state.next, state.good(now)), (now + hours(4), Some(&[7][..])));
        assert_eq!(state.good(now + hours(10)), None);
        // A responder that is away is asked less and less often, and what it said before holds.
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            state.learn(Err(Failed::Silent("no".to_owned())), now);
            assert_eq!(state.next - now, time::Duration::minutes(pause));
        }
        assert!(state.good(now).is_some());
        state.learn(Err(Failed::Doubted(Doubt::Revoked)), now);
        assert!(state.good(now).is_none());
        // One that is half over when it comes is not asked for at once again.
        state.learn(Ok(Answer { since: now - hours(20), ..answer }), now);
        assert_eq!(state.next, now + SHORTEST);
    }
}
