//! `bind`: the interfaces that a site is reached on.

use std::net::IpAddr;
use std::path::PathBuf;

use super::{Directive, Front, Room};
use crate::check::{Arguments, Check, Reported, Value, Wrong};
use crate::diagnostic::Mistake;
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "bind",
    syntax: "bind ADDRESS …",
    summary: "listens on these addresses only",
    doc: "An ADDRESS is an IP address, or `unix//run/rp.sock` for a socket of this machine. Without `bind` a site listens on every interface, IPv4 and IPv6, at the port of its address; a port whose sites are all `localhost` or loopback addresses is opened on the loopback interface only. The port comes from the site's address, with `bind` too.",
    options: &[],
    examples: &["bind 127.0.0.1 ::1", "bind 10.0.0.5"],
    related: &["tls", "global"],
    check,
};

/// An interface by its address, or a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindTo {
    Ip(IpAddr),
    Unix(PathBuf),
}

impl Value for BindTo {
    const KIND: &'static str = "an address to listen on";
    const EXAMPLE: &'static str = "127.0.0.1, ::1 or unix//run/rp.sock";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("unix/") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(Wrong::say(format!("`{text}` has no absolute path"))
                    .help(format!("write two slashes: `unix//{path}`")))
            };
        }
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Err(Wrong::say(format!("`{text}` has a port, and the port comes from the site's address"))
                .instead(format!("{}", address.ip())));
        }
        if let Some(port) = text.strip_prefix("*:").or_else(|| text.strip_prefix(':')).filter(|port| is_port(port)) {
            return Err(Wrong::say(format!("`{text}` is a port, and the port comes from the site's address"))
                .help(format!("remove the statement, and write: http://example.com:{port} {{ … }}")));
        }
        text.trim_start_matches('[').trim_end_matches(']').parse().map(Self::Ip).map_err(|_| Wrong::kind())
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[derive(Debug)]
struct Bind(Vec<BindTo>);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let addresses = args.expect_all("an address", cx)?;
    args.done_without_block(cx)?;
    Ok(Box::new(Bind(addresses)))
}

impl Directive for Bind {
    fn compile(&self, _: &mut Building<'_>) -> Result<(), Mistake> {
        Ok(())
    }

    fn front(&self) -> Option<Front<'_>> {
        Some(Front::Bind(&self.0))
    }
}
