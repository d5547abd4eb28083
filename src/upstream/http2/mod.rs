//! HTTP/2 to servers, through hyper: few connections, many requests on each, one task a connection.

mod client;
mod incoming;
mod interim;
mod io;
mod upload;

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

pub use self::client::{Client, Failure};
pub use self::incoming::Incoming;
use super::pool::Limits;
use super::registry::Slot;

/// Streams beyond what the server allows at once wait on a further connection, up to so many.
const MAX_CONNECTIONS: usize = 8;

/// The connections of one thread to one server.
#[derive(Default)]
pub struct Shelf {
    clients: Vec<Client>,
    /// As the last handshake showed.
    speaks: Option<Speaks>,
    /// Somebody is making a connection.
    dialing: Option<Rc<Notify>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

/// What to do for a connection.
pub enum Next {
    Use(Client),
    /// Another request makes one already; ask again when told.
    Wait(Rc<Notify>),
    Dial,
}

impl Shelf {
    /// A connection with room for a stream, or the way to one.
    pub fn next(&mut self, limits: Limits) -> Next {
        self.clients.retain(|client| !client.is_closed());
        let idlest = self.clients.iter().min_by_key(|client| client.streams());
        if let Some(client) = idlest
            && (client.has_room() || self.clients.len() >= MAX_CONNECTIONS)
        {
            client.renew(limits);
            return Next::Use(client.clone());
        }
        match &self.dialing {
            Some(notify) if self.speaks != Some(Speaks::Http1) => Next::Wait(notify.clone()),
            _ => Next::Dial,
        }
    }

    /// A connection is being made; those who wait for it are told when the guard is dropped.
    pub fn begin_dial(&mut self, slot: &Arc<Slot>) -> Dialing {
        let told = Rc::<Notify>::default();
        self.dialing.get_or_insert_with(|| told.clone());
        Dialing { slot: slot.clone(), told }
    }

    pub fn learned(&mut self, speaks: Speaks) {
        self.speaks = Some(speaks);
    }

    pub fn add(&mut self, client: Client) {
        if self.clients.len() < MAX_CONNECTIONS {
            self.clients.push(client);
        }
    }

    /// No further request is to begin on a connection that failed, or may hang.
    pub fn retire(&mut self, client: &Client) {
        self.clients.retain(|known| !known.is_same(client));
    }

    pub fn sweep(&mut self, now: u32) {
        self.clients.retain(|client| client.is_worth_keeping(now));
    }
}

pub struct Dialing {
    slot: Arc<Slot>,
    told: Rc<Notify>,
}

impl Drop for Dialing {
    fn drop(&mut self) {
        super::pool::http2(&self.slot, |shelf| {
            shelf.dialing.take_if(|dialing| Rc::ptr_eq(dialing, &self.told));
        });
        self.told.notify_waiters();
    }
}
