//! `client_auth`: the certificates that clients show.

use std::path::PathBuf;

use crate::check::value::Text;
use crate::check::{Arguments, Check, Opt, Reported, near, one_of};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::{Node, Word};
use crate::tls::clients::{Mode, Revocation};

pub const SYNTAX: &str = "client_auth [require|optional|unverified] { … }";

pub const OPTIONS: &[Opt] = &[
    Opt::once("ca", "ca FILE …", "PEM files of the authorities that vouch for clients: these and no others"),
    Opt::once(
        "crl",
        "crl FILE … [{ … }]",
        "lists of certificates that were revoked, in PEM or DER, read again when they change (none)",
    )
    .with(CRL_OPTIONS),
];

const CRL_OPTIONS: &[Opt] = &[
    Opt::once(
        "check",
        "check chain|leaf",
        "whether the authorities between the client and the one in `ca` are looked up as well (chain)",
    )
    .by_default(&["chain"]),
    Opt::once(
        "expired",
        "expired refuse|accept",
        "whether a list that should have been replaced by now refuses all whom it could tell of (refuse)",
    )
    .by_default(&["refuse"]),
    Opt::once(
        "unknown",
        "unknown refuse|accept",
        "whether certificates are refused whose issuer has no list here (refuse)",
    )
    .by_default(&["refuse"]),
];

/// Who is asked for a certificate, and whose are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientsModel {
    pub mode: Mode,
    pub ca: Vec<(PathBuf, Span)>,
    pub crl: Vec<(PathBuf, Span)>,
    pub revocation: Revocation,
}

impl ClientsModel {
    pub fn read(node: &Node, cx: &mut Check) -> Result<Self, Reported> {
        let mut args = Arguments::of(node, SYNTAX);
        let mode = args.word().map(|word| (mode(word, cx), word.span));
        args.done(cx)?;
        let mode_at = mode.as_ref().map(|(_, at)| *at);
        let mode = mode.map_or(Ok(Mode::default()), |(mode, _)| mode)?;
        let mut clients = Self { mode, ca: Vec::new(), crl: Vec::new(), revocation: Revocation::default() };
        cx.options(node, OPTIONS, |option, inner, cx| {
            let mut args = Arguments::of(inner, option.syntax);
            let files = files(&mut args, cx)?;
            match (option.name, mode_at) {
                (name, Some(at)) if mode == Mode::Unverified => {
                    let mistake = Mistake::new(Code::E0028, inner.span, format!("`{name}` says whom to believe"));
                    let mistake = mistake.other(at, "this says to believe anybody");
                    Err(cx.report(mistake.help("remove `unverified`, or write `optional` in its place")))
                }
                ("ca", _) => {
                    clients.ca = files;
                    args.done_without_block(cx)
                }
                _ => {
                    clients.crl = files;
                    clients.revocation(inner, cx)
                }
            }
        })?;
        if clients.ca.is_empty() && mode != Mode::Unverified {
            let at = node.words[0].span;
            return Err(cx.report(
                Mistake::new(Code::E0022, at, "`client_auth` wants the authorities that vouch for clients")
                    .help("write: client_auth { ca /etc/ssl/clients.pem }"),
            ));
        }
        Ok(clients)
    }

    fn revocation(&mut self, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let how = &mut self.revocation;
        cx.options(node, CRL_OPTIONS, |option, inner, cx| {
            let mut args = Arguments::of(inner, option.syntax);
            let choices = if option.name == "check" { ["chain", "leaf"] } else { ["refuse", "accept"] };
            let word = args.expect_word(&one_of(choices), cx)?;
            let second = choice(word, &choices, cx)? == 1;
            match option.name {
                "check" => how.leaf_only = second,
                "expired" => how.expired_accepted = second,
                _ => how.unknown_accepted = second,
            }
            args.done_without_block(cx)
        })
    }
}

/// What other servers call the modes.
const ELSEWHERE: [(&str, &str); 7] = [
    ("on", "require"),
    ("required", "require"),
    ("require_and_verify", "require"),
    ("verify", "require"),
    ("verify_if_given", "optional"),
    ("request", "unverified"),
    ("optional_no_ca", "unverified"),
];

fn mode(word: &Word, cx: &mut Check) -> Result<Mode, Reported> {
    const NAMES: [&str; 3] = ["require", "optional", "unverified"];
    let text = cx.plain(word)?;
    if let Some((_, known)) = ELSEWHERE.iter().find(|(name, _)| *name == text) {
        let mistake = Mistake::new(Code::E0020, word.span, format!("`{text}` is no way to ask for a certificate here"));
        return Err(cx.report(mistake.instead(text, *known)));
    }
    Ok([Mode::Require, Mode::Optional, Mode::Unverified][choice(word, &NAMES, cx)?])
}

/// The place of a word among those that it may be.
fn choice(word: &Word, names: &[&'static str], cx: &mut Check) -> Result<usize, Reported> {
    let text = cx.plain(word)?;
    if let Some(at) = names.iter().position(|name| *name == text) {
        return Ok(at);
    }
    let known = one_of(names.iter().copied());
    let mistake = Mistake::new(Code::E0020, word.span, format!("`{text}` is not {known}"));
    Err(cx.report(match near::nearest(text, names.iter().copied()) {
        Some(near) => mistake.meant(text, near).help(format!("write `{near}`")),
        None => mistake.help(format!("write {known}")),
    }))
}

fn files(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<(PathBuf, Span)>, Reported> {
    let first = args.expect_word("a file", cx)?;
    let mut files = Vec::new();
    for word in std::iter::once(first).chain(std::iter::from_fn(|| args.word())) {
        files.push((cx.value::<Text>(word)?.0.into(), word.span));
    }
    Ok(files)
}
