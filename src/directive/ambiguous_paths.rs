//! `ambiguous_paths`: whether paths are taken that servers may read as others.

use super::{Directive, Room};
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "ambiguous_paths",
    syntax: "ambiguous_paths refuse|allow",
    summary: "says whether a path is taken that servers may read as another one",
    doc: "rp takes a path as RFC 3986 does, and some servers take liberties: they decode `%2F` before they cut a path into segments, or decode it twice, or find dots once they have cut off parameters, so that `/x%2F..%2Fadmin` and `/x/..;/admin` are `/admin` to them. Unless this says `allow`, each `route` and `when` below that looks at the path is asked of all these readings, and where one of them would be answered otherwise the request is refused: 400, `bad_path`. A path that all rules take alike is passed on as it is, whatever it holds.\n\n\
          Of a `route` or `when` that keeps somebody out (by `basic_auth`, `require`, `respond 403` and the like, or because it answers nothing) more readings are asked: without what stands behind a `;` in a segment, without what stands behind `%3F` or `%23`, and without regard to case, since there are servers to which `/ADMIN`, `/admin;x` and `/admin%3Fx` are `/admin`. A comparison such as `{path} ~ …` is asked in the case it is written in. One that keeps nobody out, but takes requests past what does so behind it, is asked without `;` too: `/admin;.css` must not pass `route /*.css { … }` above a `basic_auth`. The end of a block where nothing has answered keeps out as well.\n\n\
          `allow` is for servers that are known to read paths as rp does, where an escaped slash is data: `/projects/group%2Fname` for `/projects/:id`. It holds for what stands below it in its block.",
    options: &[],
    examples: &[
        "ambiguous_paths allow",
        "route /projects/* { ambiguous_paths allow; route /projects/:id { reverse_proxy 127.0.0.1:3000 } }",
    ],
    related: &["route", "when", "rewrite"],
    check,
};

#[derive(Debug, Clone, Copy)]
struct AmbiguousPaths {
    allowed: bool,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let allowed = args.keyword("allow");
    if !allowed && !args.keyword("refuse") {
        return Err(match args.word() {
            Some(word) => cx.report(
                Mistake::new(Code::E0020, word.span, format!("`{}` is neither `refuse` nor `allow`", word.written()))
                    .help(format!("write: {}", ROOM.syntax)),
            ),
            None => args.missing("`refuse` or `allow`", cx),
        });
    }
    args.done_without_block(cx)?;
    Ok(Box::new(AmbiguousPaths { allowed }))
}

impl Directive for AmbiguousPaths {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(*self);
        Ok(())
    }
}

impl Filter for AmbiguousPaths {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        exchange.target.ambiguous = self.allowed;
        Ok(None)
    }
}
