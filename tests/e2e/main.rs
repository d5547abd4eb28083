//! The real binary between real peers: scripted origins behind it, clients that see every byte before it.

mod harness;

mod answers;
mod core;
mod encode;
mod rate_limit;
mod forwarded;
mod framing;
mod routing;
