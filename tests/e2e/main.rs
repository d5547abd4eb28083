//! The real binary between real peers: scripted origins behind it, clients that see every byte before it.

mod harness;

mod announced;
mod answers;
mod auth;
mod balancing;
mod browsers;
mod change;
mod client_auth;
mod core;
mod encode;
mod failures;
mod files;
mod forwarded;
mod framing;
mod http3;
mod limit;
mod manipulation;
mod mending;
mod metrics;
mod passthrough;
mod placements;
mod policies;
mod rate_limit;
mod refused;
mod require;
mod resumption;
mod retries;
mod routing;
mod slow;
mod staple;
mod streaming;
mod tls;
mod websockets;
