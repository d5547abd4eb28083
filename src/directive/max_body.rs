//! `max_body`: how much a client may send.

use super::{Directive, Effect, Room};
use crate::check::value::Size;
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::Mistake;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "max_body",
    syntax: "max_body SIZE|off",
    summary: "limits the size of what clients send",
    doc: "A request whose `Content-Length` says more is answered 413 before a byte of its body is read; one that does not say is cut off with 413 once more has come.\n\nOf several, the last one that a request meets holds, so a route for uploads may allow more than its site does.\n\nWithout any, a body may have any size: rp passes it on as it comes and keeps none of it, so a large one costs no memory.",
    options: &[],
    examples: &["max_body 10MiB", "route /upload/* { max_body 5GiB; reverse_proxy 127.0.0.1:3000 }"],
    related: &["rate_limit", "global"],
    check,
};

#[derive(Debug, Clone, Copy)]
struct MaxBody(u64);

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let most = if args.keyword("off") { u64::MAX } else { args.expect::<Size>("a size", cx)?.0 };
    args.done_without_block(cx)?;
    Ok(Box::new(MaxBody(most)))
}

impl Directive for MaxBody {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(*self);
        Ok(())
    }

    fn effect(&self) -> Effect<'_> {
        Effect::MaxBody
    }
}

impl Filter for MaxBody {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        exchange.max_body = self.0;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::directive::testing::pass;
    use crate::http::exchange::Exchange;

    fn limit(site: &str) -> u64 {
        let mut exchange = Exchange::sample("/upload/x", &[]);
        pass(site, &mut exchange);
        exchange.max_body
    }

    #[test]
    fn n07_the_last_limit_on_the_way_holds() {
        assert_eq!(limit("respond 204"), u64::MAX);
        assert_eq!(limit("max_body 1KiB\nrespond 204"), 1024);
        assert_eq!(limit("max_body 1KiB\nroute /upload/* { max_body 1GiB; respond 204 }"), 1 << 30);
        assert_eq!(limit("max_body 1KiB\nroute /other/* { max_body 1GiB; respond 204 }"), 1024);
        assert_eq!(limit("max_body 1KiB\nwhen /upload/* { max_body off }\nrespond 204"), u64::MAX);
    }
}
