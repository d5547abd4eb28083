//! `global`: what belongs to the process rather than to a site.

use std::path::PathBuf;
use std::time::Duration;

use super::acme::{self, Acme};
use super::admin::{self, Admin};
use super::limits::{self, Limits, Timeouts};
use super::metrics;
use super::storage;
use super::strangers::{self, Names};
use super::user::{self, User};
use crate::check::value::{Count, ListenAddress, Network, Port};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::log::{self, LogModel};
use crate::http::forwarded::Trusted;
use crate::syntax::tree::Node;
use crate::tls::storage::Place;

/// What holds for the whole process.
#[derive(Debug, Clone)]
pub struct Global {
    pub at: Option<Span>,
    /// `None`: one for each core that this process may use.
    pub workers: Option<usize>,
    /// `None`: the default place; `Some(None)`: off.
    pub admin: Admin,
    pub log: LogModel,
    /// `None`: the usual folder.
    /// Whom the process becomes.
    pub user: Option<User>,
    pub storage: Option<Place>,
    /// Whether it has the keys of session tickets, too.
    pub share_tickets: bool,
    /// Where its `root` is named.
    pub storage_root_at: Span,
    pub trusted: Trusted,
    /// Peers whose connections begin with a PROXY header.
    pub announcers: Trusted,
    pub http_port: u16,
    pub https_port: u16,
    /// Sites with certificates are also reached by http, and sent on from there.
    pub redirect: bool,
    /// HTTP/3 beside TLS, at the same ports.
    pub http3: bool,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// How long a shutdown waits for requests that are under way.
    pub grace: Duration,
    /// Who signs certificates of public names; `None`: nobody is asked.
    pub acme: Option<Acme>,
    pub names: Names,
    /// Where the keys of TLS sessions are written, for those who debug; `None`: nowhere.
    pub key_log: Option<(PathBuf, Span)>,
    /// Whether responders are asked what to show beside certificates.
    pub ocsp: Ocsp,
    /// Where the numbers of the process are collected; `None`: nowhere.
    pub metrics: Option<(ListenAddress, Span)>,
}

/// Whether responders are asked what they say of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ocsp {
    Asked,
    Off,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            at: None,
            workers: None,
            admin: Admin::Default,
            log: LogModel::default(),
            user: None,
            storage: None,
            share_tickets: false,
            storage_root_at: Span::default(),
            trusted: Trusted::default(),
            announcers: Trusted::default(),
            http_port: 80,
            https_port: 443,
            redirect: true,
            http3: true,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            grace: Duration::from_secs(30),
            acme: Some(Acme::default()),
            names: Names::default(),
            key_log: None,
            ocsp: Ocsp::Asked,
            metrics: None,
        }
    }
}

pub const SYNTAX: &str = "global { … }";

pub const OPTIONS: &[Opt] = &[
    Opt::once("workers", "workers COUNT", "threads that serve (one for each core)"),
    admin::OPTION,
    Opt::once("log", "log [off|json|text] [stdout|stderr|file PATH] [{ … }]", "the access log of all sites (stdout)")
        .by_default(&["stdout"])
        .with(log::OPTIONS),
    Opt::once(
        "user",
        "user NAME[:GROUP]",
        "whom a process that root started becomes, once it has read its configuration (nobody else)",
    ),
    Opt::once(
        "storage",
        storage::SYNTAX,
        "where certificates and rp's own authority are: a folder, or a server that several instances share (`/var/lib/rp` for root, else `~/.local/share/rp`)",
    )
    .with(storage::OPTIONS),
    Opt::once(
        "trusted_proxies",
        "trusted_proxies NETWORK … [unix]",
        "peers whose `X-Forwarded-For` is believed, and with `unix` those that come over a unix socket (none)",
    ),
    Opt::once(
        "proxy_protocol",
        "proxy_protocol NETWORK … [unix]",
        "peers that say who the client is by the PROXY protocol, version 1 or 2, before anything else; their connections must begin with it, and nobody else's may (none)",
    ),
    Opt::once("http_port", "http_port PORT", "the port of `http://` addresses that name none (80)").by_default(&["80"]),
    Opt::once("https_port", "https_port PORT", "the port of `https://` addresses that name none (443)")
        .by_default(&["443"]),
    Opt::once(
        "https_redirect",
        "https_redirect on|off",
        "sends those who come by HTTP to an HTTPS site on to HTTPS, with 308 (on)",
    )
    .by_default(&["on"]),
    Opt::once("http3", "http3 on|off", "speaks HTTP/3 by UDP at every port that speaks TLS, and tells clients so (on)")
        .by_default(&["on"]),
    Opt::many("timeout", "timeout handshake|header|body|idle|write DURATION", "how long to wait for a client")
        .by_default(&["handshake 10s", "header 10s", "body 30s", "write 30s"])
        .kinds(&[
            ("handshake", "for the TLS handshake (10s)"),
            ("header", "for the head of a request (10s)"),
            ("body", "between two pieces of its body (30s)"),
            ("idle", "between two requests (75s, over HTTP/2 and HTTP/3 180s)"),
            ("write", "until it takes more of an answer (30s)"),
        ]),
    Opt::many(
        "limit",
        "limit header|uri SIZE, limit fields|requests|streams|connections|connections_per_address COUNT, limit lifetime DURATION, limit memory SIZE|off",
        "how much clients may ask for",
    )
    .by_default(&["header 32KiB", "uri 8KiB", "fields 100", "requests 10000", "lifetime 1h", "streams 100"])
    .kinds(&[
        ("header", "the size of a request's head (32KiB)"),
        ("uri", "the size of its URI (8KiB)"),
        ("fields", "how many fields it has (100)"),
        ("requests", "how many requests come on one connection (10000)"),
        ("lifetime", "how old it gets, give or take a tenth; the request that comes then is its last (1h)"),
        ("streams", "how many of them at once, over HTTP/2 and HTTP/3 (100)"),
        (
            "connections",
            "how many connections there are in all (80 % of the file descriptors that the process may have)",
        ),
        (
            "connections_per_address",
            "how many of them are of one address, or one /64 of IPv6; others are closed, and those of `trusted_proxies` are not counted (no limit)",
        ),
        (
            "memory",
            "how much memory the process takes before new requests are answered 503 and new connections wait; `off` is no limit (80 % of what the machine or its control group has)",
        ),
    ]),
    strangers::DEFAULT,
    strangers::FALLBACK,
    strangers::KEY_LOG,
    Opt::once(
        "ocsp",
        "ocsp on|off",
        "shows beside a certificate what its authority's responder says of it, where it names one (on)",
    )
    .by_default(&["on"]),
    metrics::OPTION,
    Opt::once("grace", "grace DURATION", "how long a shutdown waits for what is under way (30s)").by_default(&["30s"]),
    Opt::once("email", "email ADDRESS", "whom the certificate authority may write to (nobody)"),
    Opt::once(
        "acme",
        "acme off, acme { … }",
        "who signs the certificates of public names, by the protocol ACME (Let's Encrypt)",
    )
    .with(acme::OPTIONS),
];

pub(super) fn check(node: &Node, global: &mut Global, cx: &mut Check) {
    let at = node.words[0].span;
    if let Some(first) = global.at {
        cx.report(
            Mistake::new(Code::E0024, at, "there are two `global` blocks")
                .other(first, "the first is here")
                .help("put both into one block"),
        );
        return;
    }
    global.at = Some(at);
    if Arguments::of(node, SYNTAX).done(cx).is_err() {
        return;
    }
    if node.block.is_none() {
        cx.report(Mistake::new(Code::E0025, at, "`global` wants a block").help(format!("write: {SYNTAX}")));
    }
    // Everything it reports has been reported.
    let _ = cx.options(node, OPTIONS, |option, inner, cx| self::option(global, option, inner, cx));
    acme::idle(node, global, cx);
}

fn option(global: &mut Global, option: &Opt, node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let mut args = Arguments::of(node, option.syntax);
    match option.name {
        "workers" => global.workers = Some((args.expect::<Count>("a count", cx)?.0 as usize).min(1024)),
        "admin" => global.admin = admin::read(&mut args, cx)?,
        "log" => {
            global.log = log::read(node, cx)?;
            return Ok(());
        }
        "user" => global.user = Some(user::read(&mut args, cx)?),
        "storage" => return storage::read(node, global, cx),
        "trusted_proxies" => global.trusted = trusted(&mut args, cx)?,
        "proxy_protocol" => global.announcers = trusted(&mut args, cx)?,
        "http_port" => global.http_port = args.expect::<Port>("a port", cx)?.0,
        "https_port" => global.https_port = args.expect::<Port>("a port", cx)?.0,
        "https_redirect" => global.redirect = args.expect::<crate::check::value::Switch>("on or off", cx)?.0,
        "http3" => global.http3 = args.expect::<crate::check::value::Switch>("on or off", cx)?.0,
        "timeout" => limits::timeout(&mut global.timeouts, &mut args, cx)?,
        "limit" => limits::limit(&mut global.limits, &mut args, cx)?,
        "grace" => global.grace = args.expect("a duration", cx)?,
        "default_sni" | "fallback_sni" => global.names.read(option.name, &mut args, cx)?,
        "key_log" => global.key_log = Some(strangers::key_log(node, &mut args, cx)?),
        "ocsp" => {
            let on = args.expect::<crate::check::value::Switch>("on or off", cx)?.0;
            global.ocsp = if on { Ocsp::Asked } else { Ocsp::Off };
        }
        "metrics" => global.metrics = Some(metrics::read(&mut args, cx)?),
        "acme" => return acme::read(node, global, cx),
        _ => return acme::email(args, &mut global.acme, cx),
    }
    args.done_without_block(cx)
}

fn trusted(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Trusted, Reported> {
    let (mut networks, mut unix) = (Vec::new(), false);
    let first = args.expect_word("a network", cx)?;
    for word in std::iter::once(first).chain(std::iter::from_fn(|| args.word())) {
        if word.plain() == Some("unix") {
            unix = true;
        } else {
            networks.push(cx.value::<Network>(word)?.0);
        }
    }
    Ok(Trusted::new(networks, unix))
}
