//! Sites whose connections are passed through: what may stand beside `passthrough`, and which addresses and servers fit it.

use std::collections::{HashMap, HashSet};

use super::{Model, SiteAddress, Transport};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::bind::BindTo;
use crate::directive::reverse_proxy::To;
use crate::directive::reverse_proxy::pool::PoolModel;
use crate::directive::{Body, Effect, Front, Statement};
use crate::tls::Name;
use crate::upstream::Scheme;

/// Reports all that would have to look into what is passed through, and addresses that no handshake names.
pub(super) fn alone(addresses: &[SiteAddress], body: &Body, cx: &mut Check) {
    nested(body, cx);
    let mut all = body.statements.iter().filter(|statement| is_passthrough(statement));
    let Some(first) = all.next() else { return };
    for again in all {
        let mistake = Mistake::new(Code::E0024, again.at, "`passthrough` is said twice").other(first.at, "first here");
        cx.report(mistake.help("name all servers in one: passthrough ADDRESS ADDRESS"));
    }
    for statement in &body.statements {
        if let Some(mistake) = beside(statement, first.at) {
            cx.report(mistake);
        }
    }
    for address in addresses {
        if let Some((sentence, help)) = unnamed(address) {
            cx.report(Mistake::new(Code::E0028, address.at, sentence).other(first.at, "by this one").help(help));
        }
    }
}

fn is_passthrough(statement: &Statement) -> bool {
    matches!(statement.directive.front(), Some(Front::Passthrough(_)))
}

/// Inside of a block there is a request already.
fn nested(body: &Body, cx: &mut Check) {
    for statement in &body.statements {
        for inner in statement.directive.blocks() {
            for found in inner.statements.iter().filter(|inner| is_passthrough(inner)) {
                let text = format!(
                    "`passthrough` stands inside of `{}`, where there is a request already",
                    statement.room.name
                );
                let help = "put it into a site of its own: db.example.com { passthrough 10.0.0.1:443 }";
                cx.report(
                    Mistake::new(Code::E0027, found.at, text).other(statement.at, "it asks about requests").help(help),
                );
            }
            nested(inner, cx);
        }
    }
}

/// What is wrong with a statement beside it.
fn beside(statement: &Statement, passthrough: Span) -> Option<Mistake> {
    let name = statement.room.name;
    let (sentence, help) = match statement.directive.front() {
        Some(Front::Bind(to)) if to.iter().any(|to| matches!(to, BindTo::Unix(_))) => (
            "a unix socket has no TLS here, so nobody says on it whom he asks for".to_owned(),
            "bind it to an address of a network, or remove `bind`".to_owned(),
        ),
        Some(Front::Tls(_)) => (
            "the handshake is the server's, and rp shows no certificate of this site".to_owned(),
            "remove `tls`; or have rp end TLS: reverse_proxy https://ADDRESS".to_owned(),
        ),
        Some(Front::Bind(_) | Front::Log(_) | Front::Passthrough(_)) => return None,
        None if statement.directive.always_answers() => (
            format!("`{name}` answers requests, and none is seen in what is passed through"),
            "keep one of the two: `passthrough` is the whole of its site".to_owned(),
        ),
        None if statement.directive.asks().is_some() => (
            format!("`{name}` asks about requests, and none is seen in what is passed through"),
            "remove it; who may come is said by `passthrough` itself: passthrough ADDRESS { allow 10.0.0.0/8 }"
                .to_owned(),
        ),
        None => (
            format!("`{name}` looks at requests, and none is seen in what is passed through"),
            format!(
                "remove it; or have rp end TLS, in place of `passthrough`: {name} …; reverse_proxy https://ADDRESS"
            ),
        ),
    };
    Some(Mistake::new(Code::E0028, statement.at, sentence).other(passthrough, "passed through by this one").help(help))
}

/// Why no handshake names this address, and what to write.
fn unnamed(address: &SiteAddress) -> Option<(String, &'static str)> {
    const NAMED: &str = "write a name: db.example.com { passthrough ADDRESS }";
    let text = &address.text;
    if address.transport == Transport::Plain {
        let help = "write the name alone, or with `https://` before it: db.example.com { passthrough ADDRESS }";
        return Some((
            format!("`{text}` is reached without TLS, and a handshake says whose connections are passed through"),
            help,
        ));
    }
    match address.name() {
        None => Some((format!("`{text}` names nobody, and connections are passed through by name"), NAMED)),
        Some(Name::Address(_)) => Some((
            format!("`{text}` is an address, and a handshake names none: connections are passed through by name"),
            NAMED,
        )),
        Some(Name::Host(_) | Name::Wildcard(_)) => None,
    }
}

/// Upstreams by name that get connections: those that say what is spoken with their servers, and options for requests.
pub(super) fn servers(model: &Model, cx: &mut Check) {
    let mut passing: HashMap<&str, Span> = HashMap::new();
    for passthrough in model.sites.iter().filter_map(|site| site.passes_to()) {
        if let To::Named(name) = &passthrough.to {
            passing.entry(name).or_insert(passthrough.at);
        }
    }
    if passing.is_empty() {
        return;
    }
    let mut asked = HashSet::new();
    model.sites.iter().for_each(|site| forwards(&site.body, &mut asked));
    for pool in &model.upstreams {
        let Some(at) = passing.get(&*pool.name) else { continue };
        if !asked.contains(&*pool.name) {
            idle(pool, *at, cx);
        }
        speaking(pool, *at, cx);
    }
}

/// The upstreams that requests go to.
fn forwards<'m>(body: &'m Body, asked: &mut HashSet<&'m str>) {
    for statement in &body.statements {
        if let Effect::Forwards(To::Named(name)) = statement.directive.effect() {
            asked.insert(name);
        }
        statement.directive.blocks().into_iter().for_each(|inner| forwards(inner, asked));
    }
}

fn idle(pool: &PoolModel, passthrough: Span, cx: &mut Check) {
    for line in &pool.lines {
        let words: Vec<&str> = line.text.split(' ').take(2).collect();
        let name = match words[..] {
            ["timeout", kind @ ("first_byte" | "read" | "send" | "total")] => format!("timeout {kind}"),
            [name @ ("keepalive" | "host"), ..] => name.to_owned(),
            _ => continue,
        };
        let text = format!("`{name}` is for requests, and this upstream gets what is passed through, and nothing else");
        let mistake = Mistake::new(Code::W0009, line.at, text).other(passthrough, "by this one");
        cx.report(mistake.help("remove it"));
    }
}

fn speaking(pool: &PoolModel, passthrough: Span, cx: &mut Check) {
    for server in pool.servers.iter().filter(|server| server.target.scheme != Scheme::Http) {
        let address = server.target.to_string();
        let bare = address.split_once("://").map_or(address.as_str(), |(_, bare)| bare);
        let text = format!(
            "rp speaks a protocol of its own choice with `{address}`, and what is passed through is the client's"
        );
        let mistake = Mistake::new(Code::E0028, server.at, text).other(passthrough, "passed through by this one");
        cx.report(mistake.help(format!("write an upstream of its own for them: server {bare}")));
    }
}
