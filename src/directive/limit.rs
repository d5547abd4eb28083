//! `limit`: how much of a head a request may have here.

use super::{Directive, Effect, Room};
use crate::check::value::{Count, Size};
use crate::check::{Arguments, Check, Reported, near};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::fault::{Cause, Fault};
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "limit",
    syntax: "limit header|uri SIZE, limit fields COUNT",
    summary: "limits the size of a request's head",
    doc: "- `uri`: bytes of the path and the query, as the client sent them. A longer one is answered 414.\n\
          - `header`: bytes of the names and values of all fields. More are answered 431.\n\
          - `fields`: how many fields there are; each line of one name counts, and over HTTP/2 and HTTP/3 each piece of a cookie. More are answered 431.\n\n\
          A limit refuses where it stands, before a byte of the body is read, and `handle_errors` may answer instead. It goes by what the client sent: what statements above it have changed or added makes no difference. Of several on a request's way, the strictest holds, so a route can allow less than its site, and never more: what holds for all is said in the site, or by `limit` in `global`, which holds for every connection before any site is known (8KiB, 32KiB and 100 fields). Where one can refuse nothing that has not been refused before, that is a finding.\n\n\
          How long a body may be is said by `max_body`.",
    options: &[],
    examples: &[
        "limit uri 2KiB",
        "limit header 8KiB",
        "route /api/* { limit fields 40; limit uri 512B; reverse_proxy 127.0.0.1:3000 }",
    ],
    related: &["max_body", "require", "rate_limit", "global"],
    check,
};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Uri,
    Header,
    Fields,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Uri, Self::Header, Self::Fields];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Header => "header",
            Self::Fields => "fields",
        }
    }
}

/// So much of a kind, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    pub kind: Kind,
    pub most: usize,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let word = args.expect_word("which limit", cx)?;
    let name = cx.plain(word)?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
        return Err(cx.report(unknown(word, name)));
    };
    let most = match kind {
        Kind::Fields => args.expect::<Count>("a count", cx)?.0 as usize,
        Kind::Uri | Kind::Header => {
            let word = args.expect_word("a size", cx)?;
            match cx.value::<Size>(word)?.0 {
                0 => return Err(cx.report(nothing_passes(word))),
                size => usize::try_from(size).unwrap_or(usize::MAX),
            }
        }
    };
    args.done_without_block(cx)?;
    Ok(Box::new(Ceiling { kind, most }))
}

/// What `limit` takes in `global` alone.
const OF_CONNECTIONS: [&str; 6] =
    ["requests", "lifetime", "streams", "connections", "connections_per_address", "memory"];

fn unknown(word: &Word, name: &str) -> Mistake {
    let mistake = Mistake::new(Code::E0020, word.span, format!("there is no limit `{name}` of a request"));
    if OF_CONNECTIONS.contains(&name) {
        return mistake
            .label("it is one of connections, which no site has for itself")
            .help(format!("put it where it holds for all: global {{ limit {name} … }}"));
    }
    if name.contains('/') {
        return mistake.help(format!("how often somebody may ask is said by: rate_limit {name}"));
    }
    if matches!(name, "body" | "size") {
        return mistake.help("how long a body may be is said by: max_body 10MiB");
    }
    match near::nearest(name, Kind::ALL.iter().map(|kind| kind.as_str())) {
        Some(near) => mistake.meant(name, near).help(format!("write `{near}`")),
        None => mistake.help(crate::check::known("limit", Kind::ALL.iter().map(|kind| kind.as_str()))),
    }
}

fn nothing_passes(word: &Word) -> Mistake {
    let text = word.plain().unwrap_or_default();
    Mistake::new(Code::E0021, word.span, format!("every request has more than `{text}`"))
        .help("write a larger size: `1KiB`")
}

impl Directive for Ceiling {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(*self);
        Ok(())
    }

    fn effect(&self) -> Effect<'_> {
        Effect::Ceiling(*self)
    }
}

impl Filter for Ceiling {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        let (has, cause) = match self.kind {
            Kind::Uri => (exchange.target.original().len(), Cause::UriTooLong),
            Kind::Header => (exchange.sent.bytes as usize, Cause::FieldsTooLarge),
            Kind::Fields => (exchange.sent.fields as usize, Cause::FieldsTooLarge),
        };
        if has <= self.most {
            return Ok(None);
        }
        let (kind, most) = (self.kind.as_str(), self.most);
        Err(Fault::detailed(cause, format!("{has} above `limit {kind}`, which is {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::testing::{findings, pass};

    fn ask(site: &str, uri: &str, fields: &[(&str, &str)]) -> u16 {
        pass(site, &mut Exchange::sample(uri, fields)).status().as_u16()
    }

    #[test]
    fn s14_each_limit_is_met_to_the_byte() {
        let uri = |uri: &str| ask("limit uri 8B\nrespond 204", uri, &[]);
        assert_eq!((uri("/1234567"), uri("/12345678"), uri("/1?34567"), uri("/1?345678")), (204, 414, 204, 414));
        // It counts what was sent, not what is meant by it.
        assert_eq!(uri("/a/b/../c"), 414);
        // `Host: example.com` is 15 bytes.
        let header = |value: &str| ask("limit header 20B\nrespond 204", "/", &[("x-a", value)]);
        assert_eq!((header("12"), header("123")), (204, 431));
        let fields = |fields: &[(&str, &str)]| ask("limit fields 2\nrespond 204", "/", fields);
        assert_eq!((fields(&[("a", "")]), fields(&[("a", ""), ("a", "")])), (204, 431));
    }

    #[test]
    fn s14_what_statements_add_is_not_counted() {
        let site = "header request set X-Long 0123456789\nheader request remove X-A\nlimit fields 2\nlimit header 20B\nrespond 204";
        assert_eq!(ask(site, "/", &[("x-a", "12")]), 204);
        assert_eq!(ask(site, "/", &[("x-a", "123")]), 431);
    }

    #[test]
    fn s14_a_route_may_allow_less() {
        let site = "limit fields 3\nroute /api/* { limit fields 2; respond 204 }\nrespond 204\nhandle_errors 431 { respond 400 }";
        let three = [("a", ""), ("b", "")];
        assert_eq!((ask(site, "/", &three), ask(site, "/api/x", &three)), (204, 400));
        assert_eq!(ask(site, "/", &[("a", ""), ("b", ""), ("c", "")]), 400);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |limit: &str| findings(&format!("limit {limit}\nrespond ok")).join("\n");
        assert!(said("urii 1KiB").contains("write `uri`"));
        assert!(said("connections 5").contains("global { limit connections … }"));
        assert!(said("10/s").contains("rate_limit 10/s"));
        assert!(said("body 1MiB").contains("max_body"));
        assert!(said("uri 0B").starts_with("E0021 every request has more"));
        assert!(said("fields 0").starts_with("E0021"));
        assert!(said("uri 100").starts_with("E0020"));
        assert!(said("header").starts_with("E0022"));
    }
}
