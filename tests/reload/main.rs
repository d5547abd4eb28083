//! Reloads of the real binary: how files are written, what is refused, what lives on, and what the world is told.

#[path = "../e2e/harness/mod.rs"]
mod harness;

mod certificates;
mod command;
mod internal;
mod load;
mod ports;
mod running;
mod service;
mod shutdown;
mod state;
mod writing;
