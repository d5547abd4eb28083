//! `acme` and `email` in `global`: who signs the certificates of public names.

use super::Global;
use crate::check::value::{Text, Url};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::Node;
use crate::tls::acme::Issuer;

pub const OPTIONS: &[Opt] = &[
    Opt::once("ca", "ca URL", "the directory of the authority (Let's Encrypt)")
        .by_default(&["https://acme-v02.api.letsencrypt.org/directory"]),
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
];

/// What `global` says of the authority. `email` may stand before or behind it, so each keeps what the other has read.
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
    let mut issuer = global.acme.take().unwrap_or_default();
    let outcome = cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "ca" => issuer.directory = directory(&mut args, cx)?,
            "root" => {
                let word = args.expect_word("a file", cx)?;
                issuer.root = Some(cx.value::<Text>(word)?.0.into());
                global.acme_root_at = word.span;
            }
            _ => issuer.profile = Some(args.expect::<Text>("a name", cx)?.0),
        }
        args.done_without_block(cx)
    });
    global.acme = Some(issuer);
    outcome
}

/// What an authority is told goes over TLS (RFC 8555, section 6.1).
fn directory(args: &mut Arguments<'_>, cx: &mut Check) -> Result<String, Reported> {
    let word = args.expect_word("the URL of a directory", cx)?;
    let url = cx.value::<Url>(word)?.0;
    if url.scheme_str() == Some("https") {
        return Ok(url.to_string());
    }
    let text = word.plain().unwrap_or_default();
    Err(cx.report(
        Mistake::new(Code::E0020, word.span, "a certificate authority is asked over https alone")
            .help(format!("write: ca {}", text.replacen("http:", "https:", 1))),
    ))
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

pub(super) fn email(mut args: Arguments<'_>, acme: &mut Option<Issuer>, cx: &mut Check) -> Result<(), Reported> {
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
    if let Some(issuer) = acme {
        issuer.email = Some(text);
    }
    Ok(())
}
