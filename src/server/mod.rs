//! What runs: workers that serve, and a control plane that reads, reloads and ends.

mod connection;
mod control;
mod executor;
mod handle;
mod journey;
mod listener;
mod watched;
mod worker;
mod world;

pub use control::{Plane, Refused, Source, raise_descriptor_limit, signals};
