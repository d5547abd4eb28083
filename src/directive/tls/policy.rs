//! The options of `tls`: what a site demands of the handshakes that ask for it.

use super::clients::ClientsModel;
use super::demand;
use crate::check::value::Switch;
use crate::check::{Arguments, Check, Opt, Reported, Value};
use crate::diagnostic::{Code, Mistake, Span, Written, placeless};
use crate::syntax::tree::Node;
use crate::tls::acme::Terms;
use crate::tls::{Alpn, Group, Options, Suite, Version};

pub const OPTIONS: &[Opt] = &[
    Opt::once("versions", "versions 1.2|1.3 …", "the versions of TLS that are spoken (1.2 1.3)")
        .by_default(&["1.2 1.3"]),
    Opt::once(
        "suites",
        "suites SUITE …",
        "the cipher suites that may be agreed on, by their IANA names; of those that both have, the client's first is taken (all that are safe: AEAD, with keys that are thrown away)",
    ),
    Opt::once("curves", "curves CURVE …", "how keys are agreed on, the preferred one first (x25519mlkem768 x25519 p256 p384)")
        .by_default(&["x25519mlkem768 x25519 p256 p384"]),
    Opt::once(
        "alpn",
        "alpn h2|http/1.1 …",
        "the protocols that may be agreed on, the preferred one first; a client that asks for none speaks HTTP/1.1 (h2 http/1.1)",
    )
    .by_default(&["h2 http/1.1"]),
    Opt::once("client_auth", super::clients::SYNTAX, "asks clients for a certificate (nobody is asked)")
        .with(super::clients::OPTIONS)
        .kinds(&[
            ("require", "a handshake without a good one fails"),
            ("optional", "it may be left out, but what is shown must be good"),
            ("unverified", "it may be left out, and nobody has to vouch for what is shown: for those who know it by its fingerprint"),
        ]),
    Opt::once(
        "strict_sni",
        "strict_sni on|off",
        "answers a request 421 unless the handshake asked for the very host that it names, be another host's certificate good for both; without it that is so only where the sites' options differ (off)",
    )
    .by_default(&["off"]),
    demand::OF_SITE,
];

/// Under which terms names of a site get certificates that no address names, and where that is said.
pub type DemandModel = Option<(Terms, Span)>;

/// What a site demands. Equal ones share one configuration, one set of tickets, and connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyModel {
    pub min: Version,
    pub max: Version,
    /// `None`: rp's own list.
    pub suites: Option<Vec<Suite>>,
    pub groups: Option<Vec<Group>>,
    pub alpn: Vec<Alpn>,
    pub clients: Option<ClientsModel>,
    pub strict: bool,
    /// Where something of it is said.
    pub at: Written,
}

impl Default for PolicyModel {
    fn default() -> Self {
        let Options { alpn, min, max, groups, suites, .. } = Options::default();
        Self { min, max, suites, groups, alpn, clients: None, strict: false, at: Written(None) }
    }
}

/// Where each option stands, for what only all of them together can tell.
#[derive(Default)]
struct Places {
    versions: Option<Span>,
    suites: Option<Span>,
    curves: Option<Span>,
}

impl PolicyModel {
    /// Reads the block of `tls`, if it has one.
    pub fn read(node: &Node, cx: &mut Check) -> Result<(Self, DemandModel), Reported> {
        let (mut policy, mut places, mut on_demand) = (Self::default(), Places::default(), None);
        if let Some(block) = &node.block {
            policy.at = Written(Some(node.words[0].span));
            if block.nodes.is_empty() && node.words.len() == 1 {
                return Err(Arguments::of(node, super::ROOM.syntax).missing("an option in its block", cx));
            }
        }
        cx.options(node, OPTIONS, |option, inner, cx| {
            if option.name == "client_auth" {
                policy.clients = Some(ClientsModel::read(inner, cx)?);
                return Ok(());
            }
            if option.name == "on_demand" {
                on_demand = Some((demand::read(inner, cx)?, inner.words[0].span));
                return Ok(());
            }
            let mut args = Arguments::of(inner, option.syntax);
            let at = inner.words[0].span.to(inner.words[inner.words.len() - 1].span);
            match option.name {
                "versions" => {
                    let versions = several::<Version>(&mut args, cx)?;
                    let range = || versions.iter().copied();
                    policy.min = range().min().unwrap_or(policy.min);
                    policy.max = range().max().unwrap_or(policy.max);
                    places.versions = Some(at);
                }
                "suites" => {
                    policy.suites = Some(several(&mut args, cx)?);
                    places.suites = Some(at);
                }
                "curves" => {
                    let groups = several(&mut args, cx)?;
                    policy.groups = (groups != Group::ALL).then_some(groups);
                    places.curves = Some(at);
                }
                "alpn" => policy.alpn = several(&mut args, cx)?,
                _ => policy.strict = args.expect::<Switch>("on or off", cx)?.0,
            }
            args.done_without_block(cx)
        })?;
        policy.settle(&places, cx)?;
        Ok((policy, on_demand))
    }

    /// What makes it what it is, as text: the same for all that demand the same.
    #[must_use]
    pub fn key(&self) -> String {
        placeless(|| format!("{:?}", Self { strict: false, ..self.clone() }))
    }

    /// Whether it demands nothing of its own.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.key() == Self::default().key()
    }

    /// What a handshake is configured by; who may come is not said in it.
    #[must_use]
    pub fn options(&self) -> Options {
        let (groups, suites) = (self.groups.clone(), self.suites.clone());
        Options { alpn: self.alpn.clone(), min: self.min, max: self.max, groups, suites, ..Options::default() }
    }

    /// What can never be agreed on.
    fn settle(&self, places: &Places, cx: &mut Check) -> Result<(), Reported> {
        let suites = |version: Version| {
            self.suites.as_ref().is_none_or(|suites| suites.iter().any(|suite| suite.version() == version))
        };
        // The hybrid is defined for TLS 1.3 alone.
        let curves = |version: Version| {
            version == Version::Tls13
                || self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| *group != Group::X25519MlKem768))
        };
        let spoken: Vec<Version> =
            [Version::Tls12, Version::Tls13].into_iter().filter(|v| (self.min..=self.max).contains(v)).collect();
        for (at, what, serves) in
            [(places.suites, "suites", &suites as &dyn Fn(Version) -> bool), (places.curves, "curves", &curves)]
        {
            let Some(at) = at else { continue };
            let idle: Vec<Version> = spoken.iter().copied().filter(|version| !serves(*version)).collect();
            let [first, ..] = idle.as_slice() else { continue };
            let number = number(*first);
            if idle.len() == spoken.len() {
                let mistake = Mistake::new(Code::E0028, at, format!("none of these {what} belongs to TLS {number}"));
                let mistake = match places.versions {
                    Some(versions) => mistake.other(versions, "no other version is spoken"),
                    None => mistake,
                };
                return Err(cx.report(mistake.help(format!("add one of TLS {number}, or remove `{what}`"))));
            }
            let other = if *first == Version::Tls12 { "1.3" } else { "1.2" };
            let mistake = Mistake::new(
                Code::W0009,
                at,
                format!("TLS {number} is spoken, and none of these {what} belongs to it"),
            );
            cx.report(mistake.help(format!("write: versions {other}; or add one of TLS {number}")));
        }
        Ok(())
    }
}

fn number(version: Version) -> &'static str {
    match version {
        Version::Tls12 => "1.2",
        Version::Tls13 => "1.3",
    }
}

/// All that is left, each once.
pub fn several<V: Value + PartialEq>(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<V>, Reported> {
    let mut values: Vec<V> = Vec::new();
    let first = args.expect_word(V::KIND, cx)?;
    for word in std::iter::once(first).chain(std::iter::from_fn(|| args.word())) {
        let value = cx.value(word)?;
        if values.contains(&value) {
            let text = word.plain().unwrap_or_default();
            let mistake = Mistake::new(Code::E0024, word.span, format!("`{text}` is said twice"));
            return Err(cx.report(mistake.help("remove one of them").fix(text, "")));
        }
        values.push(value);
    }
    Ok(values)
}
