//! `passthrough`: a connection goes to a server as it comes, by the name that the client asks for, and its TLS with it.

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, ready};

use super::reverse_proxy::pool::{self, PoolModel};
use super::reverse_proxy::server::ServerModel;
use super::reverse_proxy::{To, looks_like_name, unknown_upstream};
use super::{Directive, Front, Room};
use crate::check::value::Network;
use crate::check::{Arguments, Check, Opt, Reported, Value as _};
use crate::diagnostic::{Code, Mistake, Span};
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::ranges::Ranges;
use crate::http::step::{Answer, Answers};
use crate::site::{Building, Passes};
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "passthrough",
    syntax: "passthrough UPSTREAM|ADDRESS … [{ … }]",
    summary: "passes connections for this name to a server as they come, TLS and all",
    doc: "The first message of a TLS handshake says in the clear whom the client asks for (SNI). If that is a name of this site, the connection goes to the server with every byte that was read of it, and back come the bytes of the server: the client sees the server's own certificate, and rp has no key, asks for no certificate, and can't read or change what is said. Any protocol that begins with TLS will do, HTTP or not.\n\n\
          The statement is the whole of its site, beside `bind` and `log`: all others look at requests, and there are none to be seen. The site's addresses are names or wildcards, on a port of https; other sites at that port are served as ever, the most specific name first. A request for such a name that comes over a connection to another site is answered 421.\n\n\
          UPSTREAM is the name of an `upstream`, and its policy, weights, backups, `timeout connect`, `timeout idle` and `proxy_protocol` hold here too. An ADDRESS is `10.0.6.1:5432`, `db.internal:5432` or `unix//run/db.sock`. Where a server can't be reached, the next one is tried, up to three in all; then the client gets the alert `internal_error`.\n\n\
          The handshake's first message has the time of `timeout handshake` in `global`, and 16 KiB. Clients that name nobody, and names that no site has, are met as at any other port. HTTP/3 is not passed through, and is refused for such a name. Nothing is redirected from port 80, as what is spoken here may not be HTTP: if it is, write `http://example.com { redirect https://{host}{uri} permanent }`. With encrypted ClientHello, the name in the clear counts.\n\n\
          The access log has one line for each connection, when it ends: name, client, server, bytes both ways, time and how it ended.",
    options: OPTIONS,
    examples: &[
        "passthrough 10.0.6.1:5432",
        "passthrough 10.0.6.1:443 10.0.6.2:443 { balance least_conn; proxy_protocol v2 }",
        "passthrough db.internal:5432 { allow 10.0.0.0/8 192.0.2.7; timeout idle 8h }",
    ],
    related: &["upstream", "reverse_proxy", "bind", "log"],
    check,
};

const OPTIONS: &[Opt] = &[
    Opt::many("timeout", "timeout connect|idle DURATION", "how long to wait")
        .by_default(&["connect 5s", "idle 1h"])
        .kinds(&[
            ("connect", "for a connection to a server, with the look-up of its name (5s)"),
            ("idle", "while nothing moves either way (1h); a minute at most once one end has closed"),
        ]),
    Opt::once(
        "balance",
        "balance round_robin|least_conn",
        "who is next: by turns and weight, or the server with the fewest connections (`round_robin`)",
    )
    .by_default(&["round_robin"]),
    Opt::once(
        "allow",
        "allow NETWORK …",
        "only clients at these addresses; others get the alert `access_denied` (everybody may come)",
    ),
    Opt::once("proxy_protocol", "proxy_protocol v1|v2", "tells servers by the PROXY protocol who the client is"),
];

/// Where the connections of a site go.
#[derive(Debug)]
pub struct PassthroughModel {
    pub at: Span,
    pub to: To,
    /// Whose connections; `None`: everybody's.
    pub allow: Option<Vec<Network>>,
}

#[derive(Debug)]
struct Passthrough(PassthroughModel);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let at = node.words[0].span;
    let first = args.expect_word("an upstream or an address", cx)?;
    let text = cx.plain(first)?;
    let is_alone = args.peek().is_none();
    if is_alone && cx.use_upstream(text) {
        let allow = named(node, text, cx)?;
        return Ok(Box::new(Passthrough(PassthroughModel { at, to: To::Named(text.to_owned()), allow })));
    }
    if is_alone && looks_like_name(text) {
        return Err(unknown_upstream("passthrough", text, first.span, cx));
    }
    let mut pool = PoolModel::new(text, first.span);
    let mut outcome = Ok(());
    for word in std::iter::once(first).chain(args.rest()) {
        match server(word, cx) {
            Ok(server) => pool.servers.push(server),
            Err(reported) => outcome = Err(reported),
        }
    }
    let mut allow = None;
    let options = cx.options(node, OPTIONS, |option, inner, cx| match option.name {
        "allow" => {
            allow = Some(networks(inner, option, cx)?);
            Ok(())
        }
        "timeout" => timeout(inner, cx).and_then(|()| pool.option(option.name, inner, cx)),
        name => pool.option(name, inner, cx),
    });
    outcome.and(options)?;
    pool.settle(cx)?;
    Ok(Box::new(Passthrough(PassthroughModel { at, to: To::Pool(Box::new(pool)), allow })))
}

/// What an upstream says of its servers is not said again here.
fn named(node: &Node, name: &str, cx: &mut Check) -> Result<Option<Vec<Network>>, Reported> {
    let mut allow = None;
    cx.options(node, OPTIONS, |option, inner, cx| {
        if option.name != "allow" {
            return Err(cx.report(pool::belongs_to(name, option.name, inner.words[0].span)));
        }
        allow = Some(networks(inner, option, cx)?);
        Ok(())
    })?;
    Ok(allow)
}

fn networks(node: &Node, option: &Opt, cx: &mut Check) -> Result<Vec<Network>, Reported> {
    let mut args = Arguments::of(node, option.syntax);
    let all = args.expect_all("an address or a network", cx)?;
    args.done_without_block(cx)?;
    Ok(all)
}

/// A scheme would say what is spoken, and a port that is left out what is usual for that.
fn server(word: &Word, cx: &mut Check) -> Result<ServerModel, Reported> {
    let text = cx.plain(word)?;
    if let Some(path) = text.strip_prefix("unix+h2c/") {
        return Err(cx.report(says_a_protocol(text, &format!("unix/{path}"), word.span)));
    }
    let has_port = |text: &str| text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if let Some((_, bare)) = text.split_once("://") {
        let bare = bare.trim_end_matches('/');
        let instead = if has_port(bare) { bare.to_owned() } else { format!("{bare}:443") };
        return Err(cx.report(says_a_protocol(text, &instead, word.span)));
    }
    let target = cx.value(word)?;
    if !text.starts_with("unix") && !has_port(text) {
        let help = format!("write it behind the address: `{text}:443`");
        let text = format!("`{text}` has no port, and none is usual for what is passed through");
        return Err(cx.report(Mistake::new(Code::E0020, word.span, text).help(help)));
    }
    Ok(ServerModel::new(target, word.span))
}

fn says_a_protocol(text: &str, instead: &str, at: Span) -> Mistake {
    let sentence = format!("`{text}` says what is spoken, and what is passed through is the client's own");
    Mistake::new(Code::E0020, at, sentence).help(format!("write `{instead}`"))
}

/// Of the times that an upstream has, those that there are without requests.
fn timeout(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let Some((kind, text)) = node.words.get(1).and_then(|word| Some((word, word.plain()?))) else { return Ok(()) };
    let (sentence, help) = match text {
        "first_byte" | "read" | "send" | "total" => (
            format!("`timeout {text}` is for requests, and none is seen in what is passed through"),
            "write `timeout connect` or `timeout idle`".to_owned(),
        ),
        _ if Duration::parse(text).is_ok() => {
            (format!("`timeout` knows no `{text}`"), format!("say which one: timeout idle {text}"))
        }
        _ => return Ok(()),
    };
    Err(cx.report(Mistake::new(Code::E0020, kind.span, sentence).help(help)))
}

impl Directive for Passthrough {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        let upstream = match &self.0.to {
            To::Named(name) => site.supplies.upstreams[name].clone(),
            To::Pool(pool) => pool.build(site.supplies)?,
        };
        site.passes = Some(Passes { to: upstream, of: self.0.allow.as_deref().map(Ranges::of) });
        site.answer(Unseen);
        Ok(())
    }

    fn always_answers(&self) -> bool {
        true
    }

    fn front(&self) -> Option<Front<'_>> {
        Some(Front::Passthrough(&self.0))
    }
}

/// Connections for the name leave before there is any request.
struct Unseen;

impl Answers for Unseen {
    fn answer<'a>(&'a self, _: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        let why = "connections for this name are passed through: no request of theirs is seen here";
        Box::pin(ready(Err(Fault::detailed(Cause::Misdirected, why))))
    }
}
