//! `challenges` in `acme`: what an authority is shown so that it believes whose name it is.

use super::acme::Acme;
use crate::check::{Arguments, Check, Opt, Reported, known};
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::Node;
use crate::tls::acme::Kind;

pub const OPTION: Opt = Opt::once(
    "challenges",
    "challenges http-01|tls-alpn-01|dns-01 …",
    "what the authority is shown for names that are no wildcards, the first one first (`http-01` where rp listens on port 80, then `tls-alpn-01`)",
)
.kinds(&[
    ("http-01", "a token on port 80"),
    ("tls-alpn-01", "a certificate on port 443"),
    ("dns-01", "a text in the zone, by `dns`"),
]);

pub(super) fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<Kind>, Reported> {
    let mut kinds = Vec::new();
    let first = args.expect_word("a challenge", cx)?;
    for word in std::iter::once(first).chain(std::iter::from_fn(|| args.word())) {
        let kind = match cx.plain(word)? {
            "http-01" => Kind::Http01,
            "tls-alpn-01" => Kind::TlsAlpn01,
            "dns-01" => Kind::Dns01,
            other => {
                let mistake = Mistake::new(Code::E0020, word.span, format!("there is no challenge `{other}`"));
                return Err(cx.report(mistake.help(known("challenge", ["http-01", "tls-alpn-01", "dns-01"]))));
            }
        };
        if kinds.contains(&kind) {
            let mistake = Mistake::new(Code::E0024, word.span, format!("`{kind}` is said twice"));
            return Err(cx.report(mistake.help("remove one of them").fix(&kind.to_string(), "")));
        }
        kinds.push(kind);
    }
    Ok(kinds)
}

/// Without anybody who changes the zone, nobody could put the text there.
pub(super) fn need_dns(node: &Node, acme: &Acme, cx: &mut Check) -> Result<(), Reported> {
    let wants = acme.challenges.as_ref().is_some_and(|kinds| kinds.contains(&Kind::Dns01));
    let lines = node.block.iter().flat_map(|block| &block.nodes);
    let line = lines.into_iter().find(|line| line.name() == "challenges");
    match (line, wants && acme.dns.is_none()) {
        (Some(line), true) => Err(cx.report(
            Mistake::new(Code::E0022, line.words[0].span, "`dns-01` wants somebody who changes the zone")
                .help("write, in `acme`: dns PROVIDER { … }; `rp help global` lists whom rp knows"),
        )),
        _ => Ok(()),
    }
}
