//! `default_sni`, `fallback_sni` and `key_log` in `global`: what clients see that ask for nobody here, and who else sees it.

use std::path::PathBuf;

use super::{Global, SiteModel, Transport};
use crate::check::value::{HostPattern, Text};
use crate::check::{Arguments, Check, Opt, Reported, near};
use crate::diagnostic::{Code, Mistake, Span};
use crate::syntax::tree::Node;

pub const DEFAULT: Opt = Opt::once(
    "default_sni",
    "default_sni HOST",
    "the site whose certificate clients see that ask for no name (none: their handshake fails, unless the address has a site)",
);
pub const FALLBACK: Opt = Opt::once(
    "fallback_sni",
    "fallback_sni HOST",
    "the site whose certificate clients see that ask for a name that no site has (none: their handshake fails)",
);
pub const KEY_LOG: Opt = Opt::once(
    "key_log",
    "key_log FILE",
    "writes the keys of all TLS sessions of clients to a file, so that Wireshark can read what they say: only to debug (nowhere)",
);

/// Whose certificate is shown where nobody was asked for that any site has. `None`: no handshake.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// To clients that name nobody.
    pub default: Option<(HostPattern, Span)>,
    /// To those that ask for a name that no site has.
    pub fallback: Option<(HostPattern, Span)>,
}

impl Names {
    pub(super) fn read(&mut self, option: &str, args: &mut Arguments<'_>, cx: &mut Check) -> Result<(), Reported> {
        let word = args.expect_word("the host of a site", cx)?;
        let host = (cx.value(word)?, word.span);
        if option == "default_sni" {
            self.default = Some(host);
        } else {
            self.fallback = Some(host);
        }
        Ok(())
    }
}

pub(super) fn key_log(node: &Node, args: &mut Arguments<'_>, cx: &mut Check) -> Result<(PathBuf, Span), Reported> {
    let word = args.expect_word("a file", cx)?;
    let path = cx.value::<Text>(word)?.0.into();
    let text = "whoever can read this file can read what clients of this process say, and what they are told";
    cx.report(Mistake::new(Code::W0030, node.span, text).help("remove `key_log` as soon as you have seen enough"));
    Ok((path, word.span))
}

/// Sites that are named in `global` to be seen in place of others, and that are not there.
pub(super) fn stand_ins(sites: &[SiteModel], global: &Global, cx: &mut Check) {
    let with_tls = || {
        let addresses = sites.iter().filter(|site| site.passes_to().is_none()).flat_map(|site| &site.addresses);
        addresses.filter(|address| address.transport == Transport::Tls).filter_map(|address| address.host.as_ref())
    };
    for (host, at) in [&global.names.default, &global.names.fallback].into_iter().flatten() {
        if with_tls().any(|known| known == host) {
            continue;
        }
        let passed = sites.iter().filter(|site| site.passes_to().is_some()).flat_map(|site| &site.addresses);
        if let Some(address) = passed.into_iter().find(|address| address.host.as_ref() == Some(host)) {
            let text = format!("`{host}` shows no certificate of rp's: its connections are passed through");
            let mistake = Mistake::new(Code::E0020, *at, text).other(address.at, "by this site");
            cx.report(mistake.help("write the host of a site that has a certificate here"));
            continue;
        }
        let (text, known) = (host.to_string(), with_tls().map(HostPattern::to_string).collect::<Vec<_>>());
        let mistake = Mistake::new(Code::E0020, *at, format!("there is no site `{text}` with TLS here"));
        cx.report(match near::nearest(&text, known.iter().map(String::as_str)) {
            Some(near) => mistake.meant(&text, near).help(format!("write `{near}`")),
            None => mistake.help(format!("write the host of a site, or add one: {text} {{ … }}")),
        });
    }
}
