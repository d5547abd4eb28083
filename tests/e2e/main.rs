//! The real binary between real peers: scripted origins behind it, clients that see every byte before it.

mod harness;

mod answers;
mod balancing;
mod core;
mod encode;
mod rate_limit;
mod failures;
mod forwarded;
mod framing;
mod routing;
mod tls;
