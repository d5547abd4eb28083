//! Certificates of the internal authority where they are shown. What is in force renews them by itself: it asks no file for
//! its leave, so neither a mistake that was saved nor an edit that nobody has looked at has a part in it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use time::OffsetDateTime;

use super::{Authority, PASSING_LIFE};
use crate::tls::certificate::Certificate;
use crate::tls::name::Name;
use crate::tls::resolver::Slot;
use crate::tls::storage::Storage;
use crate::tls::trouble::Trouble;

/// The authority of one storage, as one configuration sees it: opened when something is to be signed, and then kept, since
/// its issuer signs for a month.
#[derive(Debug)]
pub struct Opened {
    storage: Storage,
    authority: OnceLock<Arc<Authority>>,
    last: Arc<Last>,
}

/// What was opened last in the same place, whichever configuration did.
pub type Last = ArcSwapOption<Authority>;

impl Opened {
    /// Nothing is touched.
    pub fn new(storage: Storage, last: Arc<Last>) -> Self {
        Self { storage, authority: OnceLock::new(), last }
    }

    /// Storage goes before what is known, for somebody may have put another root there. Where it is away, or so full that
    /// there is no room for a lock, clients trust the root that is known no less.
    pub fn authority(&self) -> Result<&Authority, Trouble> {
        if let Some(authority) = self.authority.get() {
            return Ok(authority);
        }
        let last = self.last.load_full();
        let authority = match (Authority::open(&self.storage), last) {
            (Ok(opened), Some(last)) if last.root_pem() == opened.root_pem() => last,
            (Ok(opened), _) => Arc::new(opened),
            (Err(trouble), Some(last)) => {
                tracing::warn!(%trouble, "the internal authority goes on as it is known");
                last
            }
            (Err(trouble), None) => return Err(trouble),
        };
        self.last.store(Some(Arc::clone(&authority)));
        Ok(self.authority.get_or_init(|| authority))
    }
}

/// A certificate of the internal authority, and the one place for all who are shown it.
#[derive(Debug)]
pub struct Issued {
    name: Name,
    slot: Arc<Slot>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    certificate: Arc<Certificate>,
    kind: Kind,
    /// Of a failure it is enough to be told once, until it goes well again.
    is_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    /// Of nobody, while there is no authority.
    Passing,
}

impl Issued {
    pub fn new(name: Name, opened: &Opened) -> Result<Self, Trouble> {
        let (certificate, kind) = match opened.authority() {
            Ok(authority) => (authority.issue(std::slice::from_ref(&name))?, Kind::Signed),
            // A server that is away does not keep the sites from coming up. Nobody trusts this, and it is replaced soon.
            Err(trouble @ Trouble::Unreachable { .. }) => {
                tracing::warn!(%name, %trouble, "a certificate that nobody trusts is shown until the storage is back");
                (Authority::passing(std::slice::from_ref(&name))?, Kind::Passing)
            }
            Err(trouble) => return Err(trouble),
        };
        let certificate = Arc::new(certificate);
        let slot = Slot::new(Arc::clone(certificate.key()));
        Ok(Self { name, slot, state: Mutex::new(State { certificate, kind, is_told: kind == Kind::Passing }) })
    }

    /// Where handshakes find it.
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// What is shown now.
    pub fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.state().certificate)
    }

    /// Puts the next one in its place, from the next handshake on. If there is none to be had, what is shown goes on.
    fn renew(&self, authority: Result<&Authority, &Trouble>, now: OffsetDateTime) {
        let (name, names) = (&self.name, std::slice::from_ref(&self.name));
        let outcome = match authority {
            Ok(authority) => authority.issue_at(names, now).map_err(|trouble| trouble.to_string()),
            Err(trouble) => Err(trouble.to_string()),
        };
        let mut state = self.state();
        match outcome {
            Ok(certificate) => {
                let until = certificate.not_after();
                tracing::info!(%name, issuer = certificate.issuer(), %until, "certificate renewed");
                self.put(&mut state, certificate, Kind::Signed);
                state.is_told = false;
            }
            Err(reason) => {
                if !state.is_told {
                    let until = state.certificate.not_after();
                    tracing::warn!(%name, reason, %until, "certificate not renewed");
                    state.is_told = true;
                }
                if state.kind == Kind::Passing
                    && state.certificate.not_after() - now < PASSING_LIFE / 2_i32
                    && let Ok(next) = Authority::passing(names)
                {
                    self.put(&mut state, next, Kind::Passing);
                }
            }
        }
    }

    fn put(&self, state: &mut State, certificate: Certificate, kind: Kind) {
        self.slot.put(Arc::clone(certificate.key()));
        (state.certificate, state.kind) = (Arc::new(certificate), kind);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews those that are due. Nobody is asked for an authority where none is.
pub fn renew<'a>(all: impl Iterator<Item = &'a Issued>, opened: &Opened, now: OffsetDateTime) {
    let mut due = all.filter(|issued| issued.certificate().needs_renewal(now)).peekable();
    if due.peek().is_none() {
        return;
    }
    let authority = opened.authority();
    due.for_each(|issued| issued.renew(authority.as_ref().map(|authority| *authority), now));
}
