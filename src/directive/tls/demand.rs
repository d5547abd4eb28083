//! `on_demand`, in `tls` and under `acme` in `global`: certificates for names that no address names.

use std::time::Duration;

use crate::check::value::{Count, Rate, Url};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::syntax::tree::Node;
use crate::tls::acme::Terms;

/// As `global` has it, for all sites.
pub const OPTION: Opt = Opt::once(
    "on_demand",
    "on_demand { … }",
    "certificates for the names of `*.example.com` and of sites for any host, when somebody comes for them (none)",
)
.with(OPTIONS);

/// As a site has it, for itself.
pub const OF_SITE: Opt = Opt::once(
    "on_demand",
    "on_demand { … }",
    "the same as under `acme` in `global`, for the names of this site alone (what `global` says)",
)
.with(OPTIONS);

const OPTIONS: &[Opt] = &[
    Opt::once(
        "ask",
        "ask URL",
        "who says whether a name may have a certificate: GET URL?domain=NAME, where 200 is yes; it must be given",
    ),
    Opt::once("limit", "limit RATE", "how many certificates are asked for in what time (10/m)"),
    Opt::once("names", "names COUNT", "how many names may be known at once (10000)"),
];

/// Without anybody to ask, whoever makes up names would have certificates asked for until an authority has had enough
/// (threat XT12).
pub fn read(node: &Node, cx: &mut Check) -> Result<Terms, Reported> {
    Arguments::of(node, "on_demand { … }").done(cx)?;
    let (mut ask, mut limit, mut most) = (None, (10, Duration::from_secs(60)), 10_000);
    cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "ask" => ask = Some(args.expect::<Url>("a URL", cx)?.0),
            "limit" => {
                let rate = args.expect::<Rate>("a rate", cx)?;
                limit = (rate.events, rate.window);
            }
            _ => most = args.expect::<Count>("a count", cx)?.0 as usize,
        }
        args.done_without_block(cx)
    })?;
    let Some(ask) = ask else {
        return Err(cx.report(
            Mistake::new(
                Code::E0022,
                node.words[0].span,
                "anybody can come for any name, so somebody must say which of them may have certificates",
            )
            .help("write: on_demand { ask http://127.0.0.1:9000/may-have-a-certificate }"),
        ));
    };
    Ok(Terms { ask, limit, most })
}
