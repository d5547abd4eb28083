//! What other proxies have fallen to, tried on the real binary: bytes that no client library would send, before a server
//! that records all that it is sent. Each test bears the id of its threat; docs/security.md is made from their names.

#[path = "../e2e/harness/mod.rs"]
mod harness;

mod announced;
mod budget;
mod conformance;
mod demands;
mod fields;
mod flood;
mod flood3;
mod frames;
mod framing;
mod gone;
mod gone_streams;
mod handshakes;
mod helpers;
mod http3;
mod initials;
mod paths;
mod privileges;
mod process;
mod slow;
mod slowhttptest;
mod tls;
mod translation;
mod watch;
