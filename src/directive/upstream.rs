//! `upstream`: a pool of servers by name. Stands at the top level.

use super::Line;
use super::reverse_proxy::pool::{self, PoolModel};
use super::reverse_proxy::secure;
use super::reverse_proxy::server::ServerModel;
use crate::check::value::Text;
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Written};
use crate::syntax::tree::Node;

pub const SYNTAX: &str = "upstream NAME { server ADDRESS … }";

pub const OPTIONS: &[Opt] = &[
    Opt::many(
        "server",
        "server ADDRESS [weight COUNT] [backup]",
        "a server; a weight (1) is its share among the others, a backup is asked when all others are out",
    ),
    pool::TIMEOUT,
    pool::KEEPALIVE,
    pool::BALANCE,
    pool::HOST,
    pool::PROXY_PROTOCOL,
    secure::TLS,
];

/// Reads an `upstream` block; its name has been defined already.
pub fn check(node: &Node, cx: &mut Check) -> Result<PoolModel, Reported> {
    let mut args = Arguments::of(node, SYNTAX);
    let at = node.words.get(1).map_or(node.span, |word| word.span);
    let name = args.expect::<Text>("a name", cx)?.0;
    if let (Some(server), None) = (args.peek(), &node.block) {
        let text = "the servers of an upstream stand in its block";
        let help = format!("write: upstream {name} {{ server {} }}", server.written());
        return Err(cx.report(Mistake::new(Code::E0025, server.span, text).help(help)));
    }
    args.done(cx)?;
    let mut pool = PoolModel::new(&name, at);
    pool.lines = Line::of(node);
    let outcome = cx.options(node, OPTIONS, |option, inner, cx| match option.name {
        "server" => {
            pool.servers.push(server(inner, option.syntax, cx)?);
            Ok(())
        }
        name => pool.option(name, inner, cx),
    });
    if outcome.is_ok() && pool.servers.is_empty() {
        cx.report(
            Mistake::new(
                Code::W0010,
                at,
                format!("upstream `{name}` has no server, so every request to it is answered 503"),
            )
            .help("add one: server 10.0.0.1:3000"),
        );
    }
    if outcome.is_ok() && !pool.servers.is_empty() && pool.servers.iter().all(|server| server.backup) {
        cx.report(
            Mistake::new(
                Code::W0009,
                at,
                format!("upstream `{name}` has backups only, and no server that they could stand in for"),
            )
            .help("take `backup` from those that should be asked first"),
        );
    }
    outcome?;
    pool.settle(cx)?;
    twice(&pool, cx);
    Ok(pool)
}

fn server(node: &Node, syntax: &'static str, cx: &mut Check) -> Result<ServerModel, Reported> {
    let mut args = Arguments::of(node, syntax);
    let at = node.words.get(1).map_or(node.span, |word| word.span);
    let mut server = ServerModel::new(args.expect("an address", cx)?, at);
    while let Some(word) = args.word() {
        match word.plain() {
            Some("backup") => server.backup = true,
            Some("weight") => {
                let at = args.peek().map_or(word.span, |word| word.span);
                server.weight_at = Written(Some(word.span.to(at)));
                let weight = args.expect::<crate::check::value::Count>("a weight", cx)?.0;
                server.weight = u16::try_from(weight).ok().filter(|weight| *weight <= 1000).ok_or_else(|| {
                    cx.report(
                        Mistake::new(Code::E0021, at, format!("`{weight}` is more than any weight needs"))
                            .help("write a weight from `1` to `1000`"),
                    )
                })?;
            }
            _ => {
                let text = word.plain().unwrap_or_default();
                let mistake = Mistake::new(Code::E0023, word.span, format!("`server` knows no `{text}`"));
                let name = node.words[1].plain().unwrap_or_default();
                let help = match text.split_once('=').unwrap_or((text, "")) {
                    ("weight", weight) if !weight.is_empty() => format!("write `weight {weight}`"),
                    (
                        "check" | "max_fails" | "fail_timeout" | "slow_start" | "inter" | "rise" | "fall" | "maxconn",
                        _,
                    ) => "remove it: rp has no such setting for a server yet".to_owned(),
                    (",", _) => "write each server on a line of its own".to_owned(),
                    ("down" | "disabled", _) => "put a `#` before the whole statement".to_owned(),
                    // Other servers give each a name first.
                    _ if !name.contains(['.', ':']) && text.contains(['.', ':']) => format!("write: server {text}"),
                    _ => format!("write: {syntax}"),
                };
                return Err(cx.report(mistake.help(help)));
            }
        }
    }
    crate::check::no_block(node, cx)?;
    Ok(server)
}

fn twice(pool: &PoolModel, cx: &mut Check) {
    for (index, server) in pool.servers.iter().enumerate() {
        if let Some(first) = pool.servers[..index].iter().find(|first| first.target == server.target) {
            cx.report(
                Mistake::new(Code::E0024, server.at, format!("`{}` stands twice in this upstream", server.target))
                    .other(first.at, "first here")
                    .help("remove one of them, or give the other a weight: `weight 2`"),
            );
        }
    }
}
