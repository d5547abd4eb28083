//! rp: a reverse proxy that is configured by a Proxyfile.

pub mod diagnostic;
pub mod http;
pub mod syntax;
pub mod upstream;
