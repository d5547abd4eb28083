//! What end-to-end tests are made of: the binary under test, scripted origins, and clients that trust nothing.
//!
//! A test of another folder takes it over with `#[path = "../e2e/harness/mod.rs"] mod harness;`.
// Each suite uses its part.
#![allow(dead_code, unused_imports)]

mod client;
mod folder;
pub mod h2;
pub mod h3;
mod message;
pub mod origin;
mod pipe;
mod program;
pub mod protocol;
mod proxy;
mod responder;
mod socket;
pub mod speaker;
mod tls;
mod websocket;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use client::{Client, get};
pub use folder::Folder;
pub use h2::{H2, H2Response, run};
pub use h3::{H3, H3Response};
pub use message::{Framing, Message};
pub use origin::{Origin, Wire};
pub use pipe::Pipe;
pub use program::{Program, door, installed, processor};
pub use protocol::{Protocol, SECURE, each, each_of, together};
pub use proxy::{Proxy, Setup, command, free_port, of};
pub use responder::{Responder, status};
pub use socket::Socket;
pub use speaker::{Ask, Speaker, Stream};
pub use tls::{Authority, Identity, client_config, responder_at, sites};
pub use websocket::{Frame, Opcode, WebSocket};

/// No event of a test may take longer.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `found` finds what it looks for; it is asked again and again, not just after some time.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same for a test that has tasks to go on with meanwhile.
pub async fn soon<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A thread that failed with the lock held fails its own test, not this one.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
