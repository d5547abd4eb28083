//! `reverse_proxy`: passes a request to an upstream, and its answer back.

mod answer;
mod goodbye;
mod location;
pub mod pool;
pub mod secure;
pub mod server;
mod tunnel;

use std::time::Duration;

use self::answer::ReverseProxy;
use self::pool::PoolModel;
use self::server::ServerModel;
use super::{Directive, Effect, Room};
use crate::check::value::{StatusMatch, Switch};
use crate::check::{Arguments, Check, Opt, Reported, habit, known, near};
use crate::diagnostic::{Code, Mistake};
use crate::http::forwarded::ForwardedField;
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "reverse_proxy",
    syntax: "reverse_proxy UPSTREAM|ADDRESS … [{ … }]",
    summary: "passes the request to a server, and its answer back",
    doc: "UPSTREAM is the name of an `upstream`. An ADDRESS is `app.internal:3000`, `http://app.internal`, `https://app.internal` (its certificate is verified, and HTTP/2 is spoken where the server offers it), `h2c://10.0.0.1:50051` (HTTP/2 without TLS) or `unix//run/app.sock`. Of several, each is asked in its turn.\n\n\
          Bodies stream both ways; trailers, server-sent events, WebSocket and gRPC need no setting.\n\n\
          The server is told who asks by `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Port`, `X-Real-IP` and `X-Request-Id`. What a client wrote there itself is replaced, unless it is one of the `trusted_proxies` of `global`.\n\n\
          A request that can't have had an effect (no connection, or one that was dead already) is tried once more.",
    options: OPTIONS,
    examples: &[
        "reverse_proxy 127.0.0.1:3000",
        "reverse_proxy api { timeout total 5m }",
        "reverse_proxy https://10.0.0.7:8443 { tls { name internal.example; ca /etc/rp/ca.pem } }",
        "reverse_proxy 127.0.0.1:4000 { timeout idle 8h }",
    ],
    related: &["upstream", "strip_prefix", "header", "handle_errors"],
    check,
};

const OPTIONS: &[Opt] = &[
    pool::TIMEOUT,
    pool::KEEPALIVE,
    pool::BALANCE,
    pool::HOST,
    pool::PROXY_PROTOCOL,
    secure::TLS,
    Opt::once("forwarded", "forwarded on|off", "also sends the `Forwarded` field of RFC 7239 (off)")
        .by_default(&["off"]),
    Opt::once(
        "intercept",
        "intercept STATUS|CLASS …",
        "treats such answers of the server as failures, so that `handle_errors` answers in their place",
    ),
];

#[derive(Debug)]
struct Model {
    to: To,
    forwarded: ForwardedField,
    intercept: Vec<StatusMatch>,
    total: Option<Duration>,
}

/// Where requests go.
#[derive(Debug)]
pub enum To {
    Named(String),
    Pool(Box<PoolModel>),
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    habits(node, cx)?;
    let first = args.expect_word("an upstream or an address", cx)?;
    let text = cx.plain(first)?;
    let mut pool = PoolModel::new(text, first.span);
    let named = args.peek().is_none() && cx.use_upstream(text);
    let mut outcome = Ok(());
    if !named {
        if args.peek().is_none() && looks_like_name(text) {
            return Err(unknown_upstream(ROOM.name, text, first.span, cx));
        }
        for word in std::iter::once(first).chain(args.rest()) {
            match cx.value(word) {
                Ok(target) => pool.servers.push(ServerModel::new(target, word.span)),
                Err(reported) => outcome = Err(reported),
            }
        }
    }
    let (mut forwarded, mut intercept) = (ForwardedField::Off, Vec::new());
    let mut shared: Option<(&'static str, crate::diagnostic::Span)> = None;
    let options = cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "forwarded" => {
                forwarded =
                    if args.expect::<Switch>("on or off", cx)?.0 { ForwardedField::On } else { ForwardedField::Off };
                args.done_without_block(cx)
            }
            "intercept" => {
                intercept = args.expect_all("a status", cx)?;
                args.done_without_block(cx)
            }
            _ => {
                let total = inner.words.get(1).and_then(|word| word.plain()) == Some("total");
                if !total {
                    shared = shared.or(Some((option.name, inner.words[0].span)));
                }
                pool.option(option.name, inner, cx)
            }
        }
    });
    if let (true, Some((name, at))) = (named, shared) {
        return Err(cx.report(pool::belongs_to(text, name, at)));
    }
    outcome.and(options)?;
    pool.settle(cx)?;
    let total = pool.total;
    let to = if named { To::Named(text.to_owned()) } else { To::Pool(Box::new(pool)) };
    Ok(Box::new(Model { to, forwarded, intercept, total }))
}

/// What other servers take: servers in the block, and a scheme before the name of an upstream.
fn habits(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    if let Some((servers, options)) = servers_inside(node) {
        let text = "the servers of `reverse_proxy` stand before its block";
        let help = format!("write: reverse_proxy {servers} {{ … }}");
        let reported = cx.report(Mistake::new(Code::E0022, node.words[0].span, text).help(help));
        cx.options(&options, OPTIONS, |_, _, _| Ok(()))?;
        return Err(reported);
    }
    let [_, only] = node.words.as_slice() else { return Ok(()) };
    match only.plain().and_then(|text| text.strip_prefix("http://")).filter(|name| cx.use_upstream(name)) {
        None => Ok(()),
        Some(name) => Err(cx.report(
            Mistake::new(Code::E0020, only.span, format!("upstream `{name}` is named without a scheme"))
                .help(format!("write: reverse_proxy {name}")),
        )),
    }
}

/// `reverse_proxy { to 127.0.0.1:3000 }`: the servers, and the statement without them.
fn servers_inside(node: &Node) -> Option<(String, Node)> {
    let inside = &node.block.as_ref().filter(|_| node.words.len() == 1)?.nodes;
    let to = inside.iter().find(|inner| inner.name() == "to")?;
    let mut options = node.clone();
    options.block.as_mut()?.nodes.retain(|inner| inner.name() != "to");
    Some((habit::arguments(&to.words[1..]).join(" "), options))
}

/// `api`, but not `api:3000`, `10.0.0.1` or `http://api`.
pub(super) fn looks_like_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !text.bytes().all(|byte| byte.is_ascii_digit())
        && text != "localhost"
}

pub(super) fn unknown_upstream(directive: &str, name: &str, at: crate::diagnostic::Span, cx: &mut Check) -> Reported {
    let mistake = Mistake::new(Code::E0014, at, format!("there is no upstream `{name}`"));
    let there_are_none = cx.upstream_names().next().is_none();
    let mut names: Vec<String> = Vec::new();
    if cx.may_suggest(cx.upstream_names().count()) {
        names.extend(cx.upstream_names().map(str::to_owned));
        names.sort();
    }
    let near = near::nearest(name, names.iter().map(String::as_str));
    // That it is unused would be the same mistake, told a second time.
    near.map(|near| cx.use_upstream(near));
    cx.report(match near {
        Some(near) => mistake.meant(name, near).help(format!("write: {directive} {near}")),
        None if there_are_none => mistake.help(format!(
            "define it: upstream {name} {{ server 10.0.0.1:3000 }}, or write an address with its port: `{name}:3000`"
        )),
        None if names.is_empty() => mistake.help("write the name of one of the upstreams of this configuration"),
        None => mistake.help(format!(
            "{}; an address has a port: `{name}:3000`",
            known("upstream", names.iter().map(String::as_str))
        )),
    })
}

impl Directive for Model {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let upstream = match &self.to {
            To::Named(name) => site.supplies.upstreams[name].clone(),
            To::Pool(pool) => pool.build(site.supplies)?,
        };
        site.answer(ReverseProxy::new(upstream, self.forwarded, self.intercept.clone(), self.total));
        Ok(())
    }

    fn effect(&self) -> Effect<'_> {
        Effect::Forwards(&self.to)
    }

    fn always_answers(&self) -> bool {
        true
    }
}
