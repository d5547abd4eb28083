//! rp: a reverse proxy that is configured by a Proxyfile.

pub mod check;
pub mod cli;
pub mod diagnostic;
pub mod directive;
pub mod http;
pub mod lsp;
pub mod matcher;
pub mod model;
pub mod server;
pub mod site;
pub mod syntax;
pub mod telemetry;
pub mod tls;
pub mod upstream;
