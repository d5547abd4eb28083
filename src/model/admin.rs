//! `admin` in `global`: where the process is told what to do.

use std::path::PathBuf;

use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake};

/// Where `rp reload` reaches the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    Default,
    Off,
    At(PathBuf),
}

pub const OPTION: Opt = Opt::once(
    "admin",
    "admin off|unix//PATH",
    "the socket on which `rp reload` reaches the process (in the runtime folder of its user)",
);

pub(super) fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Admin, Reported> {
    let word = args.expect_word("`off` or unix//PATH", cx)?;
    match (cx.plain(word)?, cx.plain(word)?.strip_prefix("unix/")) {
        ("off", _) => Ok(Admin::Off),
        (_, Some(path)) if path.starts_with('/') => Ok(Admin::At(path.into())),
        (text, _) => Err(cx.report(
            Mistake::new(
                Code::E0020,
                word.span,
                format!("`{text}` is not a unix socket, and rp is administered through nothing else"),
            )
            .help("write `off`, or `unix//run/rp/admin.sock`"),
        )),
    }
}
