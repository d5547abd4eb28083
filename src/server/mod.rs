//! What runs: workers that serve, and a control plane that reads, reloads and ends.

mod activation;
pub mod admin;
#[doc(hidden)]
pub mod alone;
mod announced;
mod build;
pub mod certificates;
mod complaint;
mod connection;
mod control;
mod executor;
mod expiry;
mod exporter;
mod frames;
mod framing;
mod gather;
mod handle;
mod head;
mod http3;
mod journey;
mod listener;
mod memory;
mod passage;
mod privileges;
pub mod rehearse;
mod run;
mod seats;
mod secure;
mod service;
mod socket;
mod stamp;
mod stream;
mod watch;
mod watched;
mod worker;
mod world;

pub use build::{Refused, Source, judge};
pub use control::{Loaded, Look, Plane, raise_descriptor_limit};
pub use run::{Settings, Watching, run};
