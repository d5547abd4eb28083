//! `acme` and `email` in `global`: who signs the certificates of public names.

use std::path::PathBuf;

use super::{Global, chain, challenges, dns};
use crate::check::near::nearest;
use crate::check::value::{Text, Url};
use crate::check::{Arguments, Check, Opt, Reported, known};
use crate::diagnostic::{Code, Mistake, Span};
use crate::directive::tls::demand;
use crate::syntax::tree::{Node, Word};
use crate::tls::acme::dns::Settings;
use crate::tls::acme::{Binding, Issuer, KNOWN, KeyType, Kind, Known, Preference, Terms};

/// Who is asked for certificates, and for which.
#[derive(Debug, Clone)]
pub struct Acme {
    /// In the order in which they are asked; at least one.
    pub issuers: Vec<Issuer>,
    pub key: KeyType,
    pub email: Option<String>,
    /// Files that say whom to believe, with the places that name them.
    pub roots: Vec<(PathBuf, Span)>,
    /// Who changes the zone, so that an authority can look there.
    pub dns: Option<Settings>,
    /// What an authority is shown; `None`: by what rp listens on.
    pub challenges: Option<Vec<Kind>>,
    /// For names that no address names.
    pub demand: Option<Terms>,
    /// The names of a site are asked for in one order.
    pub together: bool,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            issuers: vec![Issuer::default()],
            key: KeyType::default(),
            email: None,
            roots: Vec::new(),
            dns: None,
            challenges: None,
            demand: None,
            together: false,
        }
    }
}

impl Acme {
    /// Whom to ask, with all there is to tell them.
    #[must_use]
    pub fn issuers(&self) -> Vec<Issuer> {
        self.issuers.iter().map(|issuer| Issuer { email: self.email.clone(), ..issuer.clone() }).collect()
    }
}

pub const OPTIONS: &[Opt] = &[
    Opt::many(
        "ca",
        "ca letsencrypt|letsencrypt-staging|zerossl|google|google-staging|URL [{ … }]",
        "an authority, by name or by the URL of its directory; where one fails, the next is asked (Let's Encrypt)",
    )
    .by_default(&["letsencrypt"])
    .with(CA_OPTIONS),
    Opt::once(
        "root",
        "root FILE",
        "the PEM file of whoever signed the authority's own certificate, where it is a private one (the system's authorities)",
    ),
    Opt::once(
        "profile",
        "profile NAME",
        "which of its certificates, where the authority has several kinds (its usual one)",
    ),
    chain::OPTION,
    Opt::once(
        "key_type",
        "key_type p256|p384|rsa2048|rsa4096",
        "of which kind the keys of new certificates are (p256)",
    )
    .by_default(&["p256"]),
    Opt::once(
        "dns",
        dns::SYNTAX,
        "who changes the zone, for the challenge `dns-01`: wildcards have their certificates by it (nobody)",
    )
    .kinds(dns::KINDS)
    .with(dns::OPTIONS),
    challenges::OPTION,
    Opt::once(
        "together",
        "together",
        "one order and one certificate for all names of a site, as long as all of them can be had (each has its own)",
    ),
    demand::OPTION,
];

const CA_OPTIONS: &[Opt] = &[
    Opt::once(
        "eab",
        "eab KEY_ID HMAC",
        "what binds the account to one that was made elsewhere, as the authority hands it out (RFC 8555, section 7.3.4)",
    ),
    Opt::once("root", "root FILE", "the same for this authority alone"),
    Opt::once("profile", "profile NAME", "the same for this authority alone"),
    chain::OF_ONE,
    Opt::once(
        "test",
        "test off|URL",
        "a directory where an order must succeed before this authority is asked again after a refusal (of Let's Encrypt the staging directory)",
    ),
];

/// What `global` says of authorities. `email` may stand before or behind it, so each keeps what the other has read.
pub(super) fn read(node: &Node, global: &mut Global, cx: &mut Check) -> Result<(), Reported> {
    let mut args = Arguments::of(node, "acme { … }");
    if args.keyword("off") {
        args.done_without_block(cx)?;
        global.acme = None;
        return Ok(());
    }
    args.done(cx)?;
    if node.block.is_none() {
        return Err(cx.report(
            Mistake::new(Code::E0025, node.words[0].span, "`acme` wants a block, or `off`")
                .help("write: acme { ca https://ca.example.com/directory }"),
        ));
    }
    let mut acme = global.acme.take().unwrap_or_default();
    let mut named: Vec<(Issuer, Span)> = Vec::new();
    let mut common = Common::default();
    let outcome = cx.options(node, OPTIONS, |option, inner, cx| {
        if option.name == "ca" {
            let (issuer, at) = authority(inner, &mut acme.roots, cx)?;
            twice(&issuer, at, &named, cx)?;
            named.push((issuer, at));
            return Ok(());
        }
        if option.name == "on_demand" {
            acme.demand = Some(demand::read(inner, cx)?);
            return Ok(());
        }
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "root" => common.root = Some(root(&mut args, &mut acme.roots, cx)?),
            "profile" => common.profile = Some(args.expect::<Text>("a name", cx)?.0),
            "chain" => common.chain = chain::read(&mut args, cx)?,
            "dns" => return dns::read(inner, &mut acme, cx),
            "challenges" => acme.challenges = Some(challenges::read(&mut args, cx)?),
            "together" => acme.together = true,
            _ => acme.key = key_type(&mut args, cx)?,
        }
        args.done_without_block(cx)
    });
    if !named.is_empty() {
        acme.issuers = named.into_iter().map(|(issuer, _)| issuer).collect();
    }
    acme.issuers.iter_mut().for_each(|issuer| common.fill(issuer));
    let outcome = outcome.and_then(|()| challenges::need_dns(node, &acme, cx));
    global.acme = Some(acme);
    outcome
}

/// What holds for each authority that does not say otherwise.
#[derive(Default)]
struct Common {
    root: Option<PathBuf>,
    profile: Option<String>,
    chain: Vec<Preference>,
}

impl Common {
    fn fill(&self, issuer: &mut Issuer) {
        issuer.root = issuer.root.take().or_else(|| self.root.clone());
        issuer.profile = issuer.profile.take().or_else(|| self.profile.clone());
        if issuer.chain.is_empty() {
            issuer.chain.clone_from(&self.chain);
        }
    }
}

fn authority(node: &Node, roots: &mut Vec<(PathBuf, Span)>, cx: &mut Check) -> Result<(Issuer, Span), Reported> {
    let mut args = Arguments::of(node, "ca URL [{ … }]");
    let word = args.expect_word("the name of an authority, or the URL of its directory", cx)?;
    let mut issuer = Issuer::at(&directory("ca", word, cx)?);
    args.done(cx)?;
    cx.options(node, CA_OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "eab" => issuer.binding = Some(binding(&mut args, cx)?),
            "root" => issuer.root = Some(root(&mut args, roots, cx)?),
            "profile" => issuer.profile = Some(args.expect::<Text>("a name", cx)?.0),
            "chain" => issuer.chain = chain::read(&mut args, cx)?,
            _ if args.keyword("off") => issuer.test = None,
            _ => {
                let word = args.expect_word("`off`, or the URL of a directory", cx)?;
                issuer.test = Some(directory("test", word, cx)?);
            }
        }
        args.done_without_block(cx)
    })?;
    if let Some(known) = Known::at(&issuer.directory).filter(|known| known.binds && issuer.binding.is_none()) {
        return Err(cx.report(
            Mistake::new(
                Code::E0022,
                word.span,
                format!("`{}` gives certificates only to accounts that are bound to one of its own", known.name),
            )
            .help(format!(
                "make such an account there, and write: ca {} {{ eab {{$EAB_KEY_ID}} {{$EAB_HMAC}} }}",
                known.name
            )),
        ));
    }
    Ok((issuer, word.span))
}

/// What an authority is told goes over TLS (RFC 8555, section 6.1).
fn directory(option: &str, word: &Word, cx: &mut Check) -> Result<String, Reported> {
    let text = cx.value::<Text>(word)?.0;
    if let Some(known) = KNOWN.iter().find(|known| known.name == text) {
        return Ok(known.directory.to_owned());
    }
    let names = || KNOWN.iter().map(|known| known.name);
    if !text.contains(['/', ':', '.']) {
        let mistake = Mistake::new(Code::E0020, word.span, format!("rp knows no authority `{text}`"));
        return Err(cx.report(match nearest(&text, names()) {
            Some(near) => mistake.meant(&text, near).help(format!("write: {option} {near}")),
            None => mistake.help(format!("write the URL of its directory; {}", known("name", names()))),
        }));
    }
    let url = cx.value::<Url>(word)?.0;
    if url.scheme_str() == Some("https") {
        return Ok(url.to_string());
    }
    Err(cx.report(
        Mistake::new(Code::E0020, word.span, "a certificate authority is asked over https alone")
            .help(format!("write: {option} {}", text.replacen("http:", "https:", 1))),
    ))
}

fn twice(issuer: &Issuer, at: Span, named: &[(Issuer, Span)], cx: &mut Check) -> Result<(), Reported> {
    let Some((_, first)) = named.iter().find(|(other, _)| other.directory == issuer.directory) else { return Ok(()) };
    Err(cx.report(
        Mistake::new(Code::E0024, at, "this authority is named twice")
            .other(*first, "first named here")
            .help("remove one of them"),
    ))
}

fn binding(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Binding, Reported> {
    let id = args.expect::<Text>("the id of a key", cx)?.0;
    let word = args.expect_word("the key, as the authority hands it out", cx)?;
    let key = cx.value::<Text>(word)?.0;
    let Some(binding) = Binding::read(&id, &key) else {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, "this is no key: it is not in base64url (RFC 4648, section 5)")
                .help("copy the key as the authority shows it, without spaces"),
        ));
    };
    Ok(binding)
}

fn root(args: &mut Arguments<'_>, roots: &mut Vec<(PathBuf, Span)>, cx: &mut Check) -> Result<PathBuf, Reported> {
    let word = args.expect_word("a file", cx)?;
    let path = PathBuf::from(cx.value::<Text>(word)?.0);
    roots.push((path.clone(), word.span));
    Ok(path)
}

fn key_type(args: &mut Arguments<'_>, cx: &mut Check) -> Result<KeyType, Reported> {
    let word = args.expect_word("a kind of key", cx)?;
    let text = cx.value::<Text>(word)?.0;
    if let Some((_, found)) = KeyType::NAMED.iter().find(|(name, _)| *name == text) {
        return Ok(*found);
    }
    let names = || KeyType::NAMED.iter().map(|(name, _)| *name);
    let mistake = Mistake::new(Code::E0020, word.span, format!("certificates have no key of the kind `{text}`"));
    Err(cx.report(match nearest(&text, names()) {
        Some(near) => mistake.meant(&text, near).help(format!("write: key_type {near}")),
        None => mistake.help(format!("{}; write: key_type p256", known("kind", names()))),
    }))
}

/// An address for an authority that nobody asks.
pub(super) fn idle(node: &Node, global: &Global, cx: &mut Check) {
    let lines = node.block.iter().flat_map(|block| &block.nodes);
    if global.acme.is_none()
        && let Some(email) = lines.into_iter().find(|line| line.name() == "email")
    {
        cx.report(
            Mistake::new(Code::W0009, email.words[0].span, "`acme` is off, so nobody is told this address")
                .help("remove it, or remove `acme off`"),
        );
    }
}

pub(super) fn email(mut args: Arguments<'_>, acme: &mut Option<Acme>, cx: &mut Check) -> Result<(), Reported> {
    let word = args.expect_word("an address", cx)?;
    let text = cx.value::<Text>(word)?.0;
    args.done_without_block(cx)?;
    let is_address = text.split_once('@').is_some_and(|(who, at)| {
        !who.is_empty() && at.contains('.') && !text.contains(|c: char| c.is_whitespace() || ",?&:".contains(c))
    });
    if !is_address {
        return Err(cx.report(
            Mistake::new(Code::E0020, word.span, format!("`{text}` is not an address that mail can be sent to"))
                .help("write: email admin@example.com"),
        ));
    }
    if let Some(acme) = acme {
        acme.email = Some(text);
    }
    Ok(())
}
