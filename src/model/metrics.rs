//! `metrics` in `global`: where the numbers of the process are collected.

use crate::check::value::ListenAddress;
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};

pub const OPTION: Opt = Opt::once(
    "metrics",
    "metrics ADDRESS",
    "where Prometheus and its like collect what the process counts, by plain HTTP under `/metrics` (nowhere)",
);

/// Whoever reaches it can read which names there are and how much they are asked for, so an address that is every
/// interface has to be written out.
pub(super) fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<(ListenAddress, Span), Reported> {
    let word = args.expect_word("an address to listen on", cx)?;
    match cx.value::<ListenAddress>(word)? {
        ListenAddress::Any(port) => Err(cx.report(
            Mistake::new(Code::E0020, word.span, "whoever reaches any address of this machine could read the metrics")
                .help(format!("write: metrics 127.0.0.1:{port}; or [::]:{port} if everybody may")),
        )),
        address => Ok((address, word.span)),
    }
}
