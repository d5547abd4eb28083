//! What the fuzzer tries, and what `cargo test` tries again: a case for each parser that strangers can reach. Each takes any
//! bytes, and panics where what it promises does not hold.
//!
//! It is the library of the fuzz targets, and a module of `tests/corpus.rs`.

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::signal::unix::{SignalKind, signal};

pub mod announced;
pub mod check;
pub mod chunks;
pub mod connection;
pub mod format;
pub mod frames;
pub mod hello;
pub mod hpack;
pub mod ocsp;
pub mod parse;
pub mod path;
pub mod request;
pub mod response;
mod strict;
mod through;

/// A runtime in which a write to somebody who has gone is an error, as it is in rp, and not the end of the process: the
/// fuzzer's `main` is not Rust's, which ignores the signal.
fn runtime() -> LocalRuntime {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async { drop(signal(SignalKind::pipe())) });
    runtime
}

/// A case, by the name of its target.
pub type Case = (&'static str, fn(&[u8]));

/// All of them. `.ci/run` fuzzes each; the files in `fuzz/corpus/NAME` are what was found so far.
pub const ALL: &[Case] = &[
    ("parse", parse::run),
    ("format", format::run),
    ("check", check::run),
    ("path", path::run),
    ("request", request::run),
    ("response", response::run),
    ("chunks", chunks::run),
    ("announced", announced::run),
    ("hello", hello::run),
    ("connection", connection::run),
    ("frames", frames::run),
    ("hpack", hpack::run),
    ("ocsp", ocsp::run),
];
