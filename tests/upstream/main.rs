//! Upstreams against origins that say exactly what a test tells them to.

mod balance;
mod connections;
mod faults;
mod http2;
mod origin;
mod requests;
mod retries;
