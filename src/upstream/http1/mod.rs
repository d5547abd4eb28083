//! An HTTP/1.1 client without task and channel: a request is written and its response read by the one task that asked.

mod connection;
mod decode;
mod exchange;
mod head;
mod outbound;
mod parse;
mod spare;

pub use connection::Connection;
pub use decode::Step;
pub use exchange::{Ask, Exchange, Failure, MAX_INTERIM, Reply, Tunnel, too_many_interim};
pub use head::Fields;
pub use outbound::Outbound;
pub use parse::Values;
pub(super) use parse::is_reserved;

/// The codec by itself, to be fuzzed and measured.
pub mod wire {
    pub use super::decode::{Decoder, Step};
    pub use super::head::{Fields, Framing, write};
    pub use super::parse::{Asked, Head, Values, parse};
}

#[cfg(test)]
mod tests;
