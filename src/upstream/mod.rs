//! The side of the proxy that faces servers: pools, dialing, the choice of a server, retries, and the two protocols
//! spoken to them. One [`Upstream`] is shared by all threads; connections never leave theirs.

pub mod body;
mod health;
pub mod http1;
pub mod pool;
mod registry;
pub mod stream;
