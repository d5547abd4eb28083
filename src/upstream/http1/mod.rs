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
pub use exchange::{Ask, Exchange, Failure, Reply, Tunnel};
pub use outbound::Outbound;
pub(super) use parse::is_reserved;

#[cfg(test)]
mod tests;
