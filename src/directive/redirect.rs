//! `redirect`: sends the client elsewhere.

use futures_util::future::{LocalBoxFuture, ready};
use http::header;
use http::{HeaderValue, Response, StatusCode};

use super::{Directive, Room};
use crate::check::value::Status;
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::rooted::rooted;
use crate::http::step::{Answer, Answers};
use crate::http::template::{ValueTemplate, When};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "redirect",
    syntax: "redirect TARGET [STATUS|permanent|temporary]",
    summary: "sends the client to another URL",
    doc: "Without a status: 302, which no client keeps. `permanent` is 308 and `temporary` 307: unlike 301 and 302 they keep the method and the body of the request.\n\nA target that takes something from the request can't become `//elsewhere`: doubled slashes at its start are made one.",
    options: &[],
    examples: &["redirect https://{host}{uri} permanent", "redirect /new{path} 301"],
    related: &["rewrite", "respond"],
    check,
};

#[derive(Debug, Clone)]
struct Redirect {
    target: ValueTemplate,
    status: StatusCode,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let target = args.expect_word("a target", cx)?;
    let status = if args.keyword("permanent") {
        StatusCode::PERMANENT_REDIRECT
    } else if args.keyword("temporary") {
        StatusCode::TEMPORARY_REDIRECT
    } else if let Some(word) = args.word() {
        let status: Status = cx.value(word)?;
        if !matches!(status.0.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Err(cx.report(
                Mistake::new(Code::E0021, word.span, format!("`{}` sends no client anywhere", status.0.as_u16()))
                    .help("write `301`, `302`, `303`, `307` or `308`"),
            ));
        }
        status.0
    } else {
        StatusCode::FOUND
    };
    args.done_without_block(cx)?;
    Ok(Box::new(Redirect { target: ValueTemplate::check(target, When::Request, cx)?, status }))
}

impl Directive for Redirect {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.answer(self.clone());
        Ok(())
    }

    fn always_answers(&self) -> bool {
        true
    }
}

impl Answers for Redirect {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        let target = here(self.target.value(exchange, None));
        let mut answer = Response::new(Body::Empty);
        *answer.status_mut() = self.status;
        answer.headers_mut().insert(header::LOCATION, target);
        Box::pin(ready(Ok(answer)))
    }
}

/// The target, where it is no URL of another host.
fn here(target: HeaderValue) -> HeaderValue {
    match rooted(target.as_bytes()) {
        Some(rooted) => HeaderValue::from_bytes(&rooted).unwrap_or_else(|_| HeaderValue::from_static("/")),
        None => target,
    }
}
