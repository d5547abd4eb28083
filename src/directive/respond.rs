//! `respond`: a fixed answer.

use futures_util::future::{LocalBoxFuture, ready};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::{Directive, Room};
use crate::check::value::Status;
use crate::check::{Check, Reported, Value};
use crate::diagnostic::{Code, Mistake};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::step::{Answer, Answers};
use crate::http::template::{Template, When};
use crate::site::Building;
use crate::syntax::tree::{Node, Style, Word};

pub static ROOM: Room = Room {
    name: "respond",
    syntax: "respond [STATUS] [TEXT]",
    summary: "answers with a status and a text",
    doc: "Without a status: 200, or inside `handle_errors` the status of what failed. The text is served as HTML if it begins with `<`, as JSON if it begins with `{` or `[`, else as plain text; `header set Content-Type …` above it says otherwise.",
    options: &[],
    examples: &["respond 204", "respond 403 \"not for you\"", "respond \"hello {client_ip}\""],
    related: &["redirect", "header", "handle_errors"],
    check,
};

#[derive(Debug, Clone)]
struct Respond {
    status: StatusCode,
    text: Option<Template>,
    kind: HeaderValue,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = crate::check::Arguments::of(node, ROOM.syntax);
    let Some(first) = args.word() else { return Err(args.missing("a status or a text", cx)) };
    let (status, text) = match first.plain().filter(|_| first.style == Style::Bare).map(Status::parse) {
        Some(Ok(status)) => (Some(status.0), args.word()),
        Some(Err(wrong)) if wrong.range => {
            return Err(cx.value::<Status>(first).err().unwrap_or_else(|| args.missing("a status", cx)));
        }
        _ => (None, Some(first)),
    };
    one_text(node, args.rest(), cx)?;
    args.done_without_block(cx)?;
    let bodiless = status.filter(|status| matches!(status.as_u16(), 204 | 205 | 304));
    if let (Some(text), Some(status)) = (text, bodiless) {
        return Err(cx.report(
            Mistake::new(Code::E0028, text.span, format!("an answer with status {} has no text", status.as_u16()))
                .help("remove the text, or choose another status"),
        ));
    }
    let kind = content_type(text);
    let text = text.map(|word| Template::check(word, When::Request, cx)).transpose()?;
    Ok(Box::new(Respond { status: status.unwrap_or(StatusCode::OK), text, kind }))
}

/// `respond Hello World`, and `respond Hello 200` as other servers have it.
fn one_text(node: &Node, rest: &[Word], cx: &mut Check) -> Result<(), Reported> {
    let [_, words @ ..] = node.words.as_slice() else { return Ok(()) };
    let Some(last) = rest.last().filter(|_| node.block.is_none()) else { return Ok(()) };
    let is_status =
        |word: &&Word| word.style == Style::Bare && word.plain().is_some_and(|text| Status::parse(text).is_ok());
    let (status, texts): (Vec<&Word>, Vec<&Word>) = words.iter().partition(is_status);
    let text = texts.iter().map(|word| word.written()).collect::<Vec<_>>().join(" ");
    let status = status.first().map_or(String::new(), |word| format!("{} ", word.written()));
    let mistake = Mistake::new(Code::E0023, rest[0].span.to(last.span), "`respond` takes a status and one text");
    Err(cx.report(match text {
        text if text.len() > 60 || text.contains(['"', '\\', '`', '\n']) => {
            mistake.help(format!("write: {}", ROOM.syntax))
        }
        text => mistake.help(format!("write: respond {status}\"{text}\"")),
    }))
}

fn content_type(text: Option<&Word>) -> HeaderValue {
    let first = text.and_then(|word| match word.parts.first() {
        Some(crate::syntax::tree::Part::Text(text)) => text.trim_start().bytes().next(),
        _ => None,
    });
    HeaderValue::from_static(match first {
        Some(b'<') => "text/html; charset=utf-8",
        Some(b'{' | b'[') => "application/json",
        _ => "text/plain; charset=utf-8",
    })
}

impl Directive for Respond {
    fn guards(&self) -> bool {
        self.status.is_client_error()
    }

    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.answer(self.clone());
        Ok(())
    }

    fn always_answers(&self) -> bool {
        true
    }
}

impl Answers for Respond {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        let body = match &self.text {
            None => Body::Empty,
            Some(text) => Body::Full(text.render(exchange, None).into()),
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = self.status;
        if self.text.is_some() {
            answer.headers_mut().insert(header::CONTENT_TYPE, self.kind.clone());
        }
        Box::pin(ready(Ok(answer)))
    }
}
