//! `cors`: which pages of other origins may read the answers.

mod filter;
mod origin;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use self::filter::Cors;
use self::origin::OriginPattern;
use super::{Directive, Room};
use crate::check::value::{FieldName, MethodName, Switch};
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake, Span};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "cors",
    syntax: "cors { origins ORIGIN …; … }",
    summary: "lets pages of other origins read the answers",
    doc: "A browser keeps what a server answers from the scripts of other origins, unless the answer names theirs. `cors` answers what a browser asks beforehand (`OPTIONS` with `Access-Control-Request-Method`) by itself, with 204, and names the origin in every answer given below it in its block: errors too, so a script can tell a 404 from a network that is down. What the server sent of these fields is replaced, and a cache is told that the answer depends on `Origin`.\n\n\
          An origin is scheme, host and port, as in `https://app.example.com`, compared as a whole; `https://*.example.com` is all below that name, itself not. `*` is everybody, and can't be combined with `credentials on`, for then any page could act as its visitor. `null`, which is what files and frames in a sandbox have, is refused unless it is named.\n\n\
          `cors` opens a door in browsers, and closes none: a request of another origin is served as before, and only its answer is kept from the script. WebSockets are no matter of CORS; an application checks their `Origin` itself.\n\n\
          Browsers ask beforehand without credentials, so write it above `basic_auth`.",
    options: OPTIONS,
    examples: &[
        "cors { origins https://app.example.com }",
        "cors { origins https://example.com https://*.example.com; methods GET POST PUT DELETE; headers Content-Type Authorization; credentials on }",
        "route /fonts/* { cors { origins * }; file_server /srv }",
    ],
    related: &["header", "security_headers", "basic_auth"],
    check,
};

static OPTIONS: &[Opt] = &[
    Opt::once(
        "origins",
        "origins ORIGIN …",
        "whose pages may read the answers: `https://app.example.com`, `https://*.example.com`, `*`, `null`",
    ),
    Opt::once(
        "methods",
        "methods METHOD …",
        "by which methods they may ask (GET HEAD POST, which a browser lets through anyhow)",
    )
    .by_default(&["GET HEAD POST"]),
    Opt::once(
        "headers",
        "headers NAME …",
        "which fields they may send, beside those that a browser lets through anyhow (Content-Type, for JSON)",
    )
    .by_default(&["Content-Type"]),
    Opt::once(
        "expose",
        "expose NAME …",
        "which fields of the answer they may read, beside those that a browser shows anyhow",
    ),
    Opt::once("credentials", "credentials on|off", "whether cookies and logins may go with their requests (off)")
        .by_default(&["off"]),
    Opt::once("max_age", "max_age DURATION", "how long a browser need not ask again; some do after two hours (10m)")
        .by_default(&["10m"]),
];

#[derive(Debug)]
struct Model {
    origins: Vec<(OriginPattern, Span)>,
    methods: Vec<http::Method>,
    headers: Vec<HeaderName>,
    expose: Vec<HeaderName>,
    credentials: bool,
    max_age: Duration,
    /// The first `*` for methods or fields, with what it stands for.
    star: Option<(&'static str, Span)>,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Arguments::of(node, ROOM.syntax).done(cx)?;
    let mut model = Model {
        origins: Vec::new(),
        methods: vec![http::Method::GET, http::Method::HEAD, http::Method::POST],
        headers: vec![http::header::CONTENT_TYPE],
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(600),
        star: None,
    };
    cx.options(node, OPTIONS, |option, inner, cx| model.read(option, inner, cx))?;
    if model.origins.is_empty() {
        return Err(cx.report(
            Mistake::new(Code::E0022, node.words[0].span, "`cors` names no origin")
                .help("write: cors { origins https://app.example.com }"),
        ));
    }
    model.excluded(cx)?;
    Ok(Box::new(model))
}

impl Model {
    fn read(&mut self, option: &Opt, node: &Node, cx: &mut Check) -> Result<(), Reported> {
        let mut args = Arguments::of(node, option.syntax);
        if let Some(star) = args.rest().iter().find(|word| word.plain() == Some("*"))
            && self.star.is_none()
        {
            match option.name {
                "methods" => self.star = Some(("a method", star.span)),
                "headers" | "expose" => self.star = Some(("a field", star.span)),
                _ => {}
            }
        }
        match option.name {
            "origins" => {
                let first = args.expect_word("an origin", cx)?;
                let words = std::iter::once(first).chain(args.rest());
                let read: Vec<_> = words.map(|word| Ok((cx.value(word)?, word.span))).collect();
                self.origins = read.into_iter().collect::<Result<_, _>>()?;
                while args.word().is_some() {}
            }
            "methods" => {
                self.methods = args.expect_all::<MethodName>("a method", cx)?.into_iter().map(|name| name.0).collect();
            }
            "headers" => self.headers = names(&mut args, cx)?,
            "expose" => self.expose = names(&mut args, cx)?,
            "credentials" => self.credentials = args.expect::<Switch>("`on` or `off`", cx)?.0,
            _ => self.max_age = args.expect("a duration", cx)?,
        }
        args.done_without_block(cx)
    }

    /// What can't stand beside each other.
    fn excluded(&self, cx: &mut Check) -> Result<(), Reported> {
        let mut exclude =
            |at: Span, sentence: &str, help: &str| Err(cx.report(Mistake::new(Code::E0028, at, sentence).help(help)));
        let find = |wanted: OriginPattern| self.origins.iter().find(|(origin, _)| *origin == wanted);
        if let Some((_, at)) = find(OriginPattern::Any) {
            if self.credentials {
                return exclude(
                    *at,
                    "with `credentials on`, `*` would let any page on the web act as its visitor",
                    "name the origins that you trust, or remove `credentials on`",
                );
            }
            if self.origins.len() > 1 {
                return exclude(*at, "`*` is every origin, so the others say nothing", "remove `*`, or the others");
            }
        }
        if let (Some((_, at)), true) = (find(OriginPattern::Null), self.credentials) {
            return exclude(
                *at,
                "with `credentials on`, `null` would let any page act as its visitor, from a frame in a sandbox",
                "remove `null`, or `credentials on`",
            );
        }
        if let (Some((what, at)), true) = (self.star, self.credentials) {
            let sentence = format!("with `credentials on`, browsers take `*` for the name of {what}");
            return exclude(at, &sentence, "name each one");
        }
        Ok(())
    }
}

fn names(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<HeaderName>, Reported> {
    Ok(args.expect_all::<FieldName>("the name of a field", cx)?.into_iter().map(|name| name.0).collect())
}

/// Tokens, joined as a field has them.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> HeaderValue {
    let names: Vec<&str> = names.into_iter().collect();
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Directive for Model {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(Cors {
            origins: self.origins.iter().map(|(origin, _)| origin.clone()).collect(),
            methods: list(self.methods.iter().map(http::Method::as_str)),
            headers: list(self.headers.iter().map(HeaderName::as_str)),
            expose: (!self.expose.is_empty()).then(|| list(self.expose.iter().map(HeaderName::as_str))),
            credentials: self.credentials,
            max_age: HeaderValue::from(self.max_age.as_secs()),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
