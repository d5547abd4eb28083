//! `dns` in `acme`: who changes the zone, so that the authority can look there.

mod provider;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use provider::PROVIDERS;

use self::provider::Kind;
use super::acme::Acme;
use crate::check::value::{Text, Url};
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong, known, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Node, Word};
use crate::tls::Name;
use crate::tls::acme::dns::Settings;
use crate::tls::acme::dns::settings::{Account, Secret};

pub const SYNTAX: &str = "dns PROVIDER … { … }";

pub const OPTIONS: &[Opt] = &[
    Opt::once("token", "token TOKEN", "what says who asks, for those who host zones and for `webhook`"),
    Opt::once("access_key", "access_key ID", "for `route53`: the id of the key"),
    Opt::once("secret_key", "secret_key KEY", "for `route53`: the key itself"),
    Opt::once("session_token", "session_token TOKEN", "for `route53`: of keys that end by themselves (none)"),
    Opt::once("key", "key NAME", "for `rfc2136`: what the server calls the key that changes are signed with"),
    Opt::once("secret", "secret BASE64", "for `rfc2136`: the key itself"),
    Opt::once(
        "algorithm",
        "algorithm hmac-sha256|hmac-sha384|hmac-sha512",
        "for `rfc2136`: what the key is for (hmac-sha256)",
    )
    .kinds(&[
        ("hmac-sha256", "the usual one"),
        ("hmac-sha384", "a longer one"),
        ("hmac-sha512", "the longest one"),
    ]),
    Opt::many("account", "account SUBDOMAIN USER PASSWORD", "for `acme-dns`: who may change a name there"),
    Opt::once("timeout", "timeout DURATION", "for `exec`: how long the command may take (1m)"),
    Opt::once("zone", "zone NAME", "the zone that is changed (the nearest that there is)"),
    Opt::once("endpoint", "endpoint URL", "where somebody who hosts zones is asked (where it is for everybody)"),
    Opt::once(
        "root",
        "root FILE",
        "the PEM file of whoever signed the certificate of the one who is asked (the system's authorities)",
    ),
    Opt::once(
        "resolvers",
        "resolvers ADDRESS …",
        "who is asked for aliases, zones and name servers (the resolvers of this machine)",
    ),
    Opt::once(
        "servers",
        "servers ADDRESS …",
        "the name servers that must have the text before the authority is told (all those of the zone)",
    ),
    Opt::once("wait", "wait DURATION", "how long it may take until they have it (2m)").by_default(&["2m"]),
];

/// Whoever can be named, with what it is.
pub const KINDS: &[(&str, &str)] = &[
    ("rfc2136", "a name server that takes changes by DNS: BIND, Knot, PowerDNS, Windows"),
    ("cloudflare", "Cloudflare, with a `token` that may edit DNS in the zone"),
    ("route53", "Route 53 of AWS, with an `access_key` and a `secret_key`"),
    ("digitalocean", "DigitalOcean, with a `token` that may write domains"),
    ("hetzner", "the zones in Hetzner's cloud, with a `token` that may read and write"),
    ("desec", "deSEC, with a `token`"),
    ("acme-dns", "the server of acme-dns at the URL behind it, with an `account` for each alias"),
    (
        "exec",
        "the command behind it, which is run with `present NAME VALUE` or `remove NAME VALUE` after its own words",
    ),
    ("webhook", "the URL behind it, which is told by POST"),
];

/// Options for whoever changes the zone.
const OF_ALL: [&str; 3] = ["resolvers", "servers", "wait"];

/// Longer than this, the authority has forgotten the order.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The options as they were read. Whoever changes the zone takes what it needs.
#[derive(Default)]
struct Given {
    zone: Option<Box<str>>,
    resolvers: Vec<SocketAddr>,
    servers: Vec<SocketAddr>,
    wait: Option<Duration>,
    timeout: Option<Duration>,
    endpoint: Option<Box<str>>,
    accounts: Vec<Account>,
    /// All others, each with its place.
    texts: HashMap<&'static str, (String, Span)>,
}

/// What `dns` says.
pub(super) fn read(node: &Node, acme: &mut Acme, cx: &mut Check) -> Result<(), Reported> {
    let mut args = Arguments::of(node, SYNTAX);
    let word = args.expect_word("who changes the zone", cx)?;
    let name = cx.plain(word)?;
    let Some(kind) = PROVIDERS.iter().find(|kind| kind.name == name) else { return Err(unknown(word, name, cx)) };
    let mut args = Arguments::of(node, kind.syntax);
    args.word();
    let mut given = Given::default();
    let read = cx.options(node, OPTIONS, |option, inner, cx| given.option(kind, option, inner, cx));
    let (resolvers, servers) = (std::mem::take(&mut given.resolvers), std::mem::take(&mut given.servers));
    let wait = given.wait.unwrap_or(Settings::WAIT);
    let root_at = given.texts.get("root").map_or(word.span, |(_, at)| *at);
    // What was read wrongly is not missing.
    read?;
    let zone = (kind.build)(&mut args, &mut given, word.span, cx)?;
    args.done(cx)?;
    acme.roots.extend(zone.root().map(|root| (root.to_owned(), root_at)));
    acme.dns = Some(Settings { zone, resolvers, servers, wait });
    Ok(())
}

fn unknown(word: &Word, name: &str, cx: &mut Check) -> Reported {
    let names = || PROVIDERS.iter().map(|kind| kind.name);
    let mistake = Mistake::new(Code::E0020, word.span, format!("rp does not know how `{name}` changes a zone"));
    cx.report(match near::nearest(name, names()) {
        Some(near) => mistake.meant(name, near).help(format!("write: dns {near}")),
        None => mistake.help(known("provider", names())),
    })
}

impl Given {
    fn option(&mut self, kind: &Kind, option: &Opt, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, option.syntax);
        if !OF_ALL.contains(&option.name) && !kind.options.contains(&option.name) {
            let own = kind.options.iter().chain(&OF_ALL).copied();
            let text = format!("`dns {}` has no option `{}`", kind.name, option.name);
            return Err(cx.report(Mistake::new(Code::E0011, node.words[0].span, text).help(known("option", own))));
        }
        match option.name {
            "zone" => self.zone = Some(args.expect::<ZoneName>("the name of a zone", cx)?.0),
            "resolvers" => self.resolvers = servers(&mut args, cx)?,
            "servers" => self.servers = servers(&mut args, cx)?,
            "wait" => self.wait = Some(time(&mut args, cx)?),
            "timeout" => self.timeout = Some(time(&mut args, cx)?),
            "endpoint" => self.endpoint = Some(url(&mut args, cx)?),
            "account" => self.accounts.push(account(&mut args, cx)?),
            _ => {
                let word = args.expect_word("a value", cx)?;
                let text = cx.plain(word)?;
                if text.trim().is_empty() {
                    let text = format!("`{}` is empty", option.name);
                    return Err(
                        cx.report(Mistake::new(Code::E0020, word.span, text).help(format!("write: {}", option.syntax)))
                    );
                }
                self.texts.insert(option.name, (text.to_owned(), word.span));
            }
        }
        args.done_without_block(cx)
    }

    fn take(&mut self, name: &'static str) -> Option<(String, Span)> {
        self.texts.remove(name)
    }

    /// What it does not go without.
    fn need(&mut self, name: &'static str, kind: &str, at: Span, cx: &mut Check) -> Result<String, Reported> {
        if let Some((text, _)) = self.texts.remove(name) {
            return Ok(text);
        }
        let syntax = OPTIONS.iter().find(|option| option.name == name).map_or(name, |option| option.syntax);
        Err(cx.report(
            Mistake::new(Code::E0022, at, format!("`dns {kind}` wants `{name}`"))
                .help(format!("write: dns {kind} {{ {syntax} }}")),
        ))
    }
}

fn time(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Duration, Reported> {
    let word = args.expect_word("a duration", cx)?;
    let time: Duration = cx.value(word)?;
    if time <= LONGEST_WAIT && time >= Duration::from_secs(1) {
        return Ok(time);
    }
    let text = "a change of a zone may take from one second up to an hour";
    Err(cx.report(Mistake::new(Code::E0021, word.span, text).help("write a time between them: `10m`")))
}

/// Secrets go there, so it is over TLS or does not leave this machine.
fn url(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Box<str>, Reported> {
    let word = args.expect_word("a URL", cx)?;
    let url = cx.value::<Url>(word)?.0;
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme_str() == Some("https") || is_here {
        return Ok(url.to_string().trim_end_matches('/').into());
    }
    let text = "who changes a zone is asked over https, unless it is on this machine";
    let help = format!("write: {}", word.plain().unwrap_or_default().replacen("http:", "https:", 1));
    Err(cx.report(Mistake::new(Code::E0020, word.span, text).help(help)))
}

fn account(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Account, Reported> {
    let mut word = |what| Ok(args.expect::<Text>(what, cx)?.0.into_boxed_str());
    let (subdomain, user) = (word("the subdomain")?, word("the user")?);
    Ok(Account { subdomain, user, password: Secret(word("the password")?) })
}

fn servers(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<SocketAddr>, Reported> {
    let servers = args.expect_all::<NameServer>("the address of a name server", cx)?;
    Ok(servers.into_iter().map(|server| server.0).collect())
}

/// Where a name server listens: at port 53, if nothing else is said.
struct NameServer(SocketAddr);

impl Value for NameServer {
    const KIND: &'static str = "the address of a name server";
    const EXAMPLE: &'static str = "10.0.0.53, 127.0.0.1:5353 or [2001:db8::53]:53";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| Wrong::kind())
    }
}

/// A name in DNS, without its final dot.
struct ZoneName(Box<str>);

impl Value for ZoneName {
    const KIND: &'static str = "the name of a zone";
    const EXAMPLE: &'static str = "example.com";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match Name::parse(text) {
            Some(Name::Host(name)) => Ok(Self(name)),
            _ => Err(Wrong::kind()),
        }
    }
}

/// One word, as it is.
fn text(args: &mut Arguments<'_>, what: &str, cx: &mut Check) -> Result<(String, Span), Reported> {
    let word = args.expect_word(what, cx)?;
    Ok((cx.value::<Text>(word)?.0, word.span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_is_explained_and_each_option_is_somebodys() {
        let explained: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let known: Vec<&str> = PROVIDERS.iter().map(|kind| kind.name).collect();
        assert_eq!(explained, known);
        for option in OPTIONS {
            let is_taken = PROVIDERS.iter().any(|kind| kind.options.contains(&option.name));
            assert!(is_taken || OF_ALL.contains(&option.name), "{}", option.name);
        }
    }

    #[test]
    fn name_servers_listen_at_port_53() {
        let read = |text| NameServer::parse(text).map(|server| server.0.to_string()).ok();
        assert_eq!(read("10.0.0.53").as_deref(), Some("10.0.0.53:53"));
        assert_eq!(read("127.0.0.1:5353").as_deref(), Some("127.0.0.1:5353"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]:53"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:53"));
        for bad in ["", "ns.example.com", "10.0.0.53:", "10.0.0.53:x", "[::1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
