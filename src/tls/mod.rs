//! TLS machinery: certificates and who gets which, the internal authority, and both ends of a handshake.
//!
//! No directive is known here. What goes wrong is a [`Trouble`]; the rooms turn it into a finding at the user's word.

pub mod accept;
pub mod acme;
mod anybody;
mod by_name;
pub mod certificate;
pub mod client;
pub mod clients;
pub mod folder;
pub mod hello;
mod hex;
pub mod internal;
pub mod key_log;
pub mod name;
pub mod pair;
pub mod provider;
pub mod quic;
pub mod resolver;
pub mod server;
pub mod sigv4;
pub mod staple;
pub mod storage;
pub mod subject;
pub mod tickets;
pub mod trouble;
pub mod trust;

pub use accept::{TlsFacts, accept, accept_after, accept_by, overhear};
pub use by_name::ByName;
pub use certificate::Certificate;
pub use client::{Client, ClientOptions, SystemRoots, Verify, reason, reason_of_quic};
pub use hex::hex;
pub use internal::{Authority, Issued};
pub use name::Name;
pub use pair::Pair;
pub use provider::{Alpn, Group, Suite, Version, install_provider};
pub use resolver::{Names, Resolver, Slot};
pub use server::{Options, server_config};
pub use storage::{Storage, default_storage};
pub use tickets::{Ring, Tickets};
pub use trouble::{Notice, Part, Trouble};
