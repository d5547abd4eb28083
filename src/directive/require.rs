//! `require`: what a request must be before it goes further.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::encode::MediaRange;
use super::{Directive, Room};
use crate::check::value::{FieldName, MethodName};
use crate::check::{Arguments, Check, Opt, Reported, Value, Wrong};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "require",
    syntax: "require { methods METHOD …; content_types TYPE …; headers NAME … }",
    summary: "refuses requests that the server has no use for",
    doc: "A request by another method is answered 405, with those that are taken in `Allow`; where GET is taken, HEAD is. One whose body is of another type, or of none that it names, is answered 415; a request without a body needs no type. One that lacks a field, or has it empty, is answered 400. They are asked in this order, before a byte of the body is read, and `handle_errors` may answer instead.\n\n\
          It looks at the request's head only: that a body which is called JSON is JSON is for the server to find out. A `route` limits it to paths; where methods lead to different servers, write `route /path and method POST { … }`.\n\n\
          Browsers ask for permission by OPTIONS, which `cors` above answers by itself.",
    options: OPTIONS,
    examples: &[
        "require { methods GET POST }",
        "route /api/* { require { content_types application/json; headers X-Api-Version }; reverse_proxy 127.0.0.1:3000 }",
    ],
    related: &["route", "max_body", "cors"],
    check,
};

static OPTIONS: &[Opt] = &[
    Opt::once("methods", "methods METHOD …", "the methods that are taken; others are answered 405"),
    Opt::once(
        "content_types",
        "content_types TYPE …",
        "the types that a body may have: `application/json`, `image/*`, `+json`; others are answered 415",
    ),
    Opt::once("headers", "headers NAME …", "the fields that a request must have; without one, it is answered 400"),
];

#[derive(Debug, Clone, Default)]
struct Require {
    /// With the `Allow` that tells of them; empty: any.
    methods: Vec<Method>,
    allow: Option<HeaderValue>,
    types: Vec<MediaRange>,
    headers: Vec<HeaderName>,
}

/// The type of a body.
struct BodyType(MediaRange);

impl Value for BodyType {
    const KIND: &'static str = MediaRange::KIND;
    const EXAMPLE: &'static str = "application/json, image/* or +json";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if matches!(text, "*" | "*/*") {
            return Err(Wrong::say(format!("`{text}` is every type")).help("remove it: without types, any is taken"));
        }
        MediaRange::parse(text).map(Self)
    }
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Arguments::of(node, ROOM.syntax).done(cx)?;
    let mut model = Require::default();
    cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        match option.name {
            "methods" => model.take(args.expect_all::<MethodName>("a method", cx)?),
            "content_types" => {
                let types = args.expect_all::<BodyType>("a media type", cx)?;
                model.types = types.into_iter().map(|kind| kind.0).collect();
            }
            _ => {
                let names = args.expect_all::<FieldName>("the name of a field", cx)?;
                model.headers = names.into_iter().map(|name| name.0).collect();
            }
        }
        args.done_without_block(cx)
    })?;
    if model.methods.is_empty() && model.types.is_empty() && model.headers.is_empty() {
        return Err(cx.report(
            Mistake::new(Code::E0022, node.words[0].span, "`require` does not say what it requires")
                .help("write: require { methods GET POST }"),
        ));
    }
    Ok(Box::new(model))
}

impl Require {
    fn take(&mut self, names: Vec<MethodName>) {
        self.methods = names.into_iter().map(|name| name.0).collect();
        // A server that answers GET answers HEAD (RFC 9110, section 9.1).
        if self.methods.contains(&Method::GET) && !self.methods.contains(&Method::HEAD) {
            self.methods.push(Method::HEAD);
        }
        let allow: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        self.allow = HeaderValue::try_from(allow.join(", ")).ok();
    }

    fn takes_type(&self, headers: &HeaderMap) -> bool {
        let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
        // Of two, nobody knows which one the server goes by.
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        self.types.iter().any(|range| range.holds(field.as_bytes()))
    }
}

impl Directive for Require {
    fn guards(&self) -> bool {
        true
    }

    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Filter for Require {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        if !self.methods.is_empty() && !self.methods.contains(&exchange.method) {
            return Err(Cause::MethodNotAllowed.into());
        }
        let has_body = exchange.body.length() != Some(0);
        if !self.types.is_empty() && has_body && !self.takes_type(&exchange.headers) {
            return Err(Cause::MediaType.into());
        }
        let lacks = |name: &&HeaderName| exchange.headers.get(*name).is_none_or(HeaderValue::is_empty);
        if let Some(name) = self.headers.iter().find(lacks) {
            return Err(Fault::detailed(Cause::BadRequest, format!("no {name}")));
        }
        Ok(None)
    }

    fn has_response_side(&self) -> bool {
        self.allow.is_some()
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    /// A 405 says what would be taken (RFC 9110, section 15.5.6): that of a statement or server below says so itself.
    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let refused = exchange.notes.error.as_ref().is_some_and(|fault| fault.cause == Cause::MethodNotAllowed);
        let is_told = answer.headers().contains_key(header::ALLOW);
        if let (Some(allow), StatusCode::METHOD_NOT_ALLOWED, true, false) =
            (&self.allow, answer.status(), refused, is_told)
        {
            answer.headers_mut().insert(header::ALLOW, allow.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::testing::{findings, pass};
    use crate::http::body::Body;

    fn ask(site: &str, method: Method, body: &'static str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
        let body = if body.is_empty() { Body::Empty } else { Body::from(body) };
        let mut exchange = Exchange { method, body, ..Exchange::sample("/", fields) };
        let answer = pass(site, &mut exchange);
        let allow = answer.headers().get(header::ALLOW).map(|allow| allow.to_str().unwrap().to_owned());
        (answer.status().as_u16(), allow)
    }

    #[test]
    fn a09_methods() {
        let site = "require { methods GET POST }\nrespond 204";
        for method in [Method::GET, Method::POST, Method::HEAD] {
            assert_eq!(ask(site, method, "", &[]), (204, None));
        }
        for method in [Method::PUT, Method::OPTIONS] {
            assert_eq!(ask(site, method, "", &[]), (405, Some("GET, POST, HEAD".to_owned())));
        }
        assert_eq!(ask("require { methods POST }\nrespond 204", Method::HEAD, "", &[]).0, 405);
        // Elsewhere a 405 is none of ours.
        assert_eq!(ask("require { methods GET }\nrespond 405", Method::GET, "", &[]), (405, None));
        let page = "require { methods GET }\nrespond 204\nhandle_errors 405 { respond no }";
        assert_eq!(ask(page, Method::PUT, "", &[]), (405, Some("GET, HEAD".to_owned())));
    }

    #[test]
    fn a09_types_of_bodies() {
        let site = "require { content_types application/json +json image/* }\nrespond 204";
        let with = |kind: &str| ask(site, Method::POST, "{}", &[("content-type", kind)]).0;
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", "image/png"] {
            assert_eq!(with(kind), 204, "{kind}");
        }
        for kind in ["text/plain", "application/jsonx", "", "text/plain; application/json"] {
            assert_eq!(with(kind), 415, "{kind}");
        }
        assert_eq!(ask(site, Method::POST, "{}", &[]).0, 415);
        assert_eq!(ask(site, Method::POST, "", &[]).0, 204, "nothing has no type");
        let two = [("content-type", "application/json"), ("content-type", "text/plain")];
        assert_eq!(ask(site, Method::POST, "{}", &two).0, 415);
    }

    #[test]
    fn a09_fields() {
        let site = "require { headers X-Version X-Client }\nrespond 204";
        assert_eq!(ask(site, Method::GET, "", &[("x-version", "1"), ("x-client", "a")]).0, 204);
        assert_eq!(ask(site, Method::GET, "", &[("x-version", "1"), ("x-client", "")]).0, 400);
        assert_eq!(ask(site, Method::GET, "", &[("x-version", "1")]).0, 400);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |options: &str| findings(&format!("require {{ {options} }}\nrespond ok")).join("\n");
        assert!(findings("require\nrespond ok")[0].starts_with("E0022 `require` does not say what it requires"));
        assert!(said("methods get").contains("`GET`"));
        assert!(said("content_types */*").contains("is every type"));
        assert!(said("content_types json").starts_with("E0020"));
        assert!(said("headers X-A:").contains("without the colon"));
    }
}
