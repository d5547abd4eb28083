//! A server of a pool, and how its address is read.

use crate::check::{Value, Wrong};
use crate::diagnostic::{Span, Written};
use crate::upstream::Target;

/// One server.
#[derive(Debug, Clone)]
pub struct ServerModel {
    pub target: Target,
    pub weight: u16,
    /// Where the weight is written.
    pub weight_at: Written,
    pub backup: bool,
    pub at: Span,
}

impl ServerModel {
    #[must_use]
    pub fn new(target: Target, at: Span) -> Self {
        Self { target, weight: 1, weight_at: Written::default(), backup: false, at }
    }
}

impl Value for Target {
    const KIND: &'static str = "the address of a server";
    const EXAMPLE: &'static str = "127.0.0.1:3000, https://app.internal, h2c://10.0.0.1:50051 or unix//run/app.sock";

    fn parse(text: &str) -> Result<Self, Wrong> {
        text.parse::<Self>().map_err(|error| {
            let said = error.to_string();
            let (what, help) = said.split_once("; ").unwrap_or((&said, ""));
            let wrong = Wrong::say(format!("`{text}` is no address of a server: {what}"));
            if let Some(meant) = meant(text) {
                let wrong = if text.contains('/') && !text.contains(',') {
                    wrong
                } else {
                    Wrong::say(format!("`{text}` is no address of a server"))
                };
                return wrong.help(meant);
            }
            if help.is_empty() { wrong } else { wrong.help(help) }
        })
    }
}

/// What to write for what habits of other programs bring: `3000`, `80:3000`, `http://app:3000/api`, `a:80,b:80`.
fn meant(text: &str) -> Option<String> {
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    let ports = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let is_server = |text: &str| text.parse::<Target>().is_ok();
    if ports && !port.is_empty() {
        return Some(format!("write `127.0.0.1:{port}`"));
    }
    if text.contains(',') && text.split(',').all(is_server) {
        return Some(format!("write a space for each comma: `{}`", text.replace(',', " ")));
    }
    let host = text.find("://").map_or(0, |at| at + 3);
    let (server, path) = text.split_at(host + text.get(host..)?.find('/')?);
    let path = path.trim_end_matches('/');
    match path {
        _ if !is_server(server) => None,
        "" => Some(format!("write `{server}`")),
        _ => Some(format!("write `{server}`, and above the statement: add_prefix {path}")),
    }
}
