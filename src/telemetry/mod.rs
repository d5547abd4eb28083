//! What rp says about itself: the access log, the runtime log, counters, and the ids that tie them together.
//!
//! It knows nothing of requests: whoever answers one fills in an [`access::Record`] and hands it over.

pub mod access;
pub mod clock;
pub mod every;
pub mod id;
pub mod identity;
pub mod metrics;
pub mod redact;
pub mod runtime;
mod text;
pub mod writer;
