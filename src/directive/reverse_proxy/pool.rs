//! What an upstream is made of: servers and how to reach them. Read from an `upstream` block and from `reverse_proxy`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::secure::TlsModel;
use super::server::ServerModel;
use crate::check::value::Count;
use crate::check::{Arguments, Check, Opt, Reported, Value, one_of};
use crate::diagnostic::{Code, Mistake, Span, Written};
use crate::directive::Line;
use crate::http::proxy_protocol::Version;
use crate::site::Supplies;
use crate::syntax::tree::{Node, Word};
use crate::upstream::{
    Address, HostField, Limits, Policy, Scheme, ServerSettings, Settings, Target, Timeouts, Tls, Upstream,
};

pub const TIMEOUT: Opt =
    Opt::many("timeout", "timeout connect|first_byte|read|send|idle|total DURATION", "how long to wait for the server")
        .by_default(&["connect 5s", "first_byte 60s", "read 60s", "send 30s", "idle 1h"])
        .kinds(&[
            ("connect", "for a connection, with the look-up of its name and TLS (5s)"),
            ("first_byte", "for the head of the answer (60s)"),
            ("read", "between two pieces of the answer (60s)"),
            ("send", "until the server takes more of the request (30s)"),
            ("idle", "in place of `read` for server-sent events, gRPC and tunnels, which may be silent (1h)"),
            ("total", "for all of it (no limit)"),
        ]);
pub const KEEPALIVE: Opt =
    Opt::once("keepalive", "keepalive COUNT|off [{ … }]", "idle connections kept for each server and worker (32)")
        .by_default(&["32"])
        .with(KEEPALIVE_OPTIONS);
pub const BALANCE: Opt = Opt::once(
    "balance",
    "balance round_robin|least_conn",
    "who is asked next: by turns and weight, or the one with the fewest requests under way (`round_robin`)",
)
.by_default(&["round_robin"]);
pub const HOST: Opt =
    Opt::once("host", "host client|server", "the `Host` that the server sees: the client's, or its own (`client`)")
        .by_default(&["client"]);
pub const PROXY_PROTOCOL: Opt = Opt::once(
    "proxy_protocol",
    "proxy_protocol v1|v2",
    "tells servers by the PROXY protocol who the client is; each request has a connection of its own then, of HTTP/1",
);
const KEEPALIVE_OPTIONS: &[Opt] = &[
    Opt::once("idle", "idle DURATION", "closes a connection that was not used for so long (50s)").by_default(&["50s"]),
    Opt::once("requests", "requests COUNT", "closes a connection after so many requests (10000)")
        .by_default(&["10000"]),
    Opt::once("lifetime", "lifetime DURATION", "closes a connection of this age (1h)").by_default(&["1h"]),
];

/// A pool of servers, checked.
#[derive(Debug, Clone)]
pub struct PoolModel {
    pub name: String,
    pub at: Span,
    pub servers: Vec<ServerModel>,
    pub balance: Policy,
    pub balance_at: Written,
    pub timeouts: Timeouts,
    pub total: Option<Duration>,
    pub limits: Limits,
    pub host: HostField,
    pub announce: Option<Version>,
    /// Where that is written, and where `keepalive` is.
    pub announce_at: Written,
    pub keepalive_at: Written,
    pub tls: TlsModel,
    pub tls_at: Option<Span>,
    /// As it was written.
    pub lines: Box<[Line]>,
}

impl PoolModel {
    #[must_use]
    pub fn new(name: &str, at: Span) -> Self {
        Self {
            name: name.to_owned(),
            at,
            servers: Vec::new(),
            balance: Policy::default(),
            balance_at: Written::default(),
            timeouts: Timeouts::default(),
            total: None,
            limits: Limits::default(),
            host: HostField::default(),
            announce: None,
            announce_at: Written::default(),
            keepalive_at: Written::default(),
            tls: TlsModel::default(),
            tls_at: None,
            lines: Box::default(),
        }
    }

    /// Reads one of the options that `upstream` and `reverse_proxy` share.
    pub fn option(&mut self, name: &str, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        match name {
            "timeout" => self.timeout(node, cx),
            "keepalive" => self.keepalive(node, cx),
            "proxy_protocol" => {
                self.announce_at = Written(Some(node.span));
                let versions = [("v1", Version::V1), ("v2", Version::V2)];
                self.announce = Some(choice(node, PROXY_PROTOCOL.syntax, &versions, cx)?);
                Ok(())
            }
            "balance" => {
                self.balance_at = Written(Some(node.span));
                self.balance = choice(
                    node,
                    BALANCE.syntax,
                    &[("round_robin", Policy::RoundRobin), ("least_conn", Policy::LeastConn)],
                    cx,
                )?;
                Ok(())
            }
            "host" => {
                self.host =
                    choice(node, HOST.syntax, &[("client", HostField::Kept), ("server", HostField::Server)], cx)?;
                Ok(())
            }
            _ => {
                self.tls_at = Some(node.words[0].span);
                self.tls.read(node, cx)
            }
        }
    }

    fn timeout(&mut self, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, TIMEOUT.syntax);
        let kind = args.expect_word("which timeout", cx)?;
        let text = cx.plain(kind)?.to_owned();
        let mut total = Duration::ZERO;
        let slot = match text.as_str() {
            "connect" => &mut self.timeouts.connect,
            "first_byte" => &mut self.timeouts.first_byte,
            "read" => &mut self.timeouts.read,
            "send" => &mut self.timeouts.send,
            "idle" => &mut self.timeouts.stream,
            "total" => &mut total,
            _ => {
                return Err(unknown_word(
                    kind,
                    &text,
                    "timeout",
                    &["connect", "first_byte", "read", "send", "idle", "total"],
                    cx,
                ));
            }
        };
        let word = args.expect_word("a duration", cx)?;
        *slot = cx.value(word)?;
        if slot.is_zero() {
            return Err(cx.report(
                Mistake::new(Code::E0021, word.span, "a timeout of no time lets nothing through")
                    .help("write a longer time: `30s`"),
            ));
        }
        if text == "total" {
            self.total = Some(total);
        }
        args.done_without_block(cx)
    }

    fn keepalive(&mut self, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, KEEPALIVE.syntax);
        self.keepalive_at = Written(Some(node.span));
        self.limits.idle = if args.keyword("off") { 0 } else { args.expect::<Count>("a count", cx)?.0 };
        args.done(cx)?;
        let limits = &mut self.limits;
        let off = (limits.idle == 0).then(|| node.words[0].span.to(node.words[node.words.len() - 1].span));
        cx.options(node, KEEPALIVE_OPTIONS, |option, inner, cx| {
            if let Some(off) = off {
                let sentence = format!("`{}` says how long connections are kept, and none is", option.name);
                let mistake = Mistake::new(Code::W0009, inner.span, sentence).other(off, "this says so");
                cx.report(mistake.help("remove it, or write how many to keep: keepalive 32 { … }"));
            }
            let mut args = Arguments::of(inner, option.syntax);
            match option.name {
                "idle" => limits.idle_timeout = args.expect("a duration", cx)?,
                "requests" => limits.requests = args.expect::<Count>("a count", cx)?.0,
                _ => limits.lifetime = args.expect("a duration", cx)?,
            }
            args.done_without_block(cx)
        })
    }

    /// What only all options together can tell.
    pub fn settle(&mut self, cx: &mut Check) -> Result<(), Reported> {
        let https = self.servers.iter().any(|server| server.target.scheme == Scheme::Https);
        if let (Some(at), false) = (self.tls_at, https || self.servers.is_empty()) {
            cx.report(
                Mistake::new(Code::W0009, at, "none of these servers speaks TLS")
                    .help("write `https://` before their addresses, or remove `tls`"),
            );
        }
        self.of_one(cx);
        self.announced(cx)?;
        self.tls.settle(cx);
        Ok(())
    }

    /// What a connection that begins with a client's name can't be: kept for another client, or shared by several.
    fn announced(&self, cx: &mut Check) -> Result<(), Reported> {
        let Some(at) = self.announce_at.0 else { return Ok(()) };
        if let (Some(kept), true) = (self.keepalive_at.0, self.limits.idle > 0) {
            cx.report(
                Mistake::new(
                    Code::W0009,
                    kept,
                    "with `proxy_protocol` no connection is kept: it is said of one client",
                )
                .other(at, "this one")
                .help("remove `keepalive`"),
            );
        }
        let Some(server) = self.servers.iter().find(|server| server.target.scheme == Scheme::H2c) else {
            return Ok(());
        };
        let sentence = "this server speaks HTTP/2, whose connections are shared by clients, and `proxy_protocol` is said of one client";
        Err(cx.report(
            Mistake::new(Code::E0028, server.at, sentence)
                .other(at, "this one")
                .help("write `http://` in place of `h2c://`, or remove `proxy_protocol`"),
        ))
    }

    /// What tells servers apart does nothing where there is one.
    fn of_one(&self, cx: &mut Check) {
        let [server] = self.servers.as_slice() else { return };
        let options =
            [(self.balance_at.0, "there is nothing to balance"), (server.weight_at.0, "its weight changes nothing")];
        for (at, sentence) in options {
            let Some(at) = at else { continue };
            cx.report(
                Mistake::new(Code::W0009, at, format!("with one server {sentence}"))
                    .other(server.at, "the only server")
                    .help("remove it, or add another server"),
            );
        }
    }

    /// Resolves nothing and connects to nothing: a server that is down is no reason not to start.
    pub fn build(&self, supplies: &mut Supplies) -> Result<Arc<Upstream>, Mistake> {
        let https = self.servers.iter().any(|server| server.target.scheme == Scheme::Https);
        let client = if https { Some(self.tls.client(self.at, supplies)?) } else { None };
        let servers = self
            .servers
            .iter()
            .map(|server| {
                let tls = match (&client, server.target.scheme) {
                    (Some((client, key)), Scheme::Https) => {
                        let name =
                            client.server_name(&host(&server.target)).map_err(|trouble| trouble.at(server.at))?;
                        Some(Tls { config: client.config().clone(), name, key: key.as_str().into() })
                    }
                    _ => None,
                };
                Ok(ServerSettings { target: server.target.clone(), weight: server.weight, backup: server.backup, tls })
            })
            .collect::<Result<Vec<_>, Mistake>>()?;
        Ok(Arc::new(Upstream::new(Settings {
            name: self.name.as_str().into(),
            servers,
            balance: self.balance,
            timeouts: self.timeouts,
            limits: self.limits,
            host: self.host,
            announce: self.announce,
        })))
    }
}

/// An option that stands where an upstream is named.
pub fn belongs_to(upstream: &str, option: &str, at: Span) -> Mistake {
    Mistake::new(Code::E0028, at, format!("`{option}` belongs to the servers, and upstream `{upstream}` has its own"))
        .help(format!("move it into the block of `upstream {upstream}`"))
}

/// What its certificate is asked to name. A unix socket's server is on this machine.
fn host(target: &Target) -> Cow<'_, str> {
    match &target.address {
        Address::Host { name, .. } => Cow::Borrowed(name),
        Address::Ip(address) => Cow::Owned(address.ip().to_string()),
        Address::Unix(_) => Cow::Borrowed("localhost"),
    }
}

fn choice<T: Copy>(
    node: &Node,
    syntax: &'static str,
    choices: &[(&'static str, T)],
    cx: &mut Check,
) -> Result<T, Reported> {
    let mut args = Arguments::of(node, syntax);
    let word = args.expect_word(&one_of(choices.iter().map(|(name, _)| *name)), cx)?;
    let text = cx.plain(word)?;
    let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) else {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        return Err(unknown_word(word, text, node.name(), &names, cx));
    };
    args.done_without_block(cx)?;
    Ok(*value)
}

fn unknown_word(word: &Word, text: &str, option: &str, names: &[&str], cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0020, word.span, format!("`{option}` knows no `{text}`"));
    cx.report(match crate::check::near::nearest(text, names.iter().copied()) {
        Some(near) => mistake.meant(text, near).help(format!("write `{near}`")),
        // A timeout without its kind, most likely.
        None if Duration::parse(text).is_ok() => {
            mistake.help(format!("say which one: {option} {} {text}", names.get(2).unwrap_or(&"")))
        }
        None => mistake.help(format!("write {}", one_of(names.iter().copied()))),
    })
}
