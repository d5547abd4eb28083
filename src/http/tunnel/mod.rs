//! What is learnt of a tunnel while it lasts, and who ends the last ones when the process ends.

mod passing;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::passing::{Follow, Passing, Terms};

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    ClosedByClient,
    ClosedByUpstream,
    /// Without a goodbye: a reset, or a lost connection.
    ClientLost,
    UpstreamLost,
    /// Nothing moved for too long.
    Idle,
    Shutdown,
}

impl End {
    /// As the access log names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClosedByClient => "closed_by_client",
            Self::ClosedByUpstream => "closed_by_upstream",
            Self::ClientLost => "client_lost",
            Self::UpstreamLost => "upstream_lost",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The account of one tunnel. It outlives the exchange that opened it: what is owed to the log is kept here until the
/// last byte has passed.
#[derive(Default)]
pub struct Ledger {
    /// Bytes from the client, and to it.
    pub received: Cell<u64>,
    pub sent: Cell<u64>,
    end: Cell<Option<End>>,
    owed: RefCell<Option<Box<dyn Any>>>,
}

impl Ledger {
    /// The first reason holds: what follows from it is no other.
    pub fn end(&self, end: End) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
        }
    }

    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.end.get()
    }

    /// Drops this when the tunnel is over.
    pub fn owe(&self, what: Box<dyn Any>) {
        *self.owed.borrow_mut() = Some(what);
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("end", &self.end).finish_non_exhaustive()
    }
}

/// Held by whatever runs the tunnel, or would have: pays what is owed, however that ends.
#[derive(Debug)]
pub struct Account(Rc<Ledger>);

impl Account {
    #[must_use]
    pub fn open() -> Self {
        Self(Rc::default())
    }

    #[must_use]
    pub fn ledger(&self) -> &Rc<Ledger> {
        &self.0
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let owed = self.0.owed.borrow_mut().take();
        drop(owed);
    }
}

thread_local! {
    /// Of this worker. A process that ends cannot wait for tunnels: they have no end of their own.
    static CURFEW: watch::Sender<Option<Duration>> = watch::Sender::new(None);
}

/// Ends every tunnel of this thread, and those that are still to come. So much time is left for goodbyes.
pub fn begin_curfew(rest: Duration) {
    CURFEW.with(|curfew| curfew.send_replace(Some(rest)));
}

/// Waits for [`begin_curfew`], and says what that said.
pub async fn curfew() -> Duration {
    let mut receiver = CURFEW.with(watch::Sender::subscribe);
    // An error means that the thread is at its end.
    receiver.wait_for(Option::is_some).await.ok().and_then(|rest| *rest).unwrap_or_default()
}
