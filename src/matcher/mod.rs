//! Questions about a request: a corridor of rooms like the directives'.
//!
//! An expression is read from the words behind `route`, `when` or `@name`, reasoned about by the checker, and compiled
//! to a [`Test`](crate::http::step::Test).

mod compare;
mod compile;
mod contradictions;
mod define;
mod explain;
mod handshake;
mod lists;
mod loops;
mod parse;
mod path;
mod proof;
mod protocol;
mod signature;
mod signs;

pub use compare::{Compare, Op, SIGNS};
pub use define::define_all;
pub use explain::Reason;
pub use handshake::Ja4;
pub use parse::check;
pub use path::PathPattern;
pub use protocol::Protocol;
pub use signature::Signature;

use std::path::PathBuf;

use http::{HeaderName, Method};

use crate::check::value::{HostPattern, Network, StatusMatch};
use crate::diagnostic::Span;
use crate::http::connection::Scheme;

/// What a matcher tells of itself.
#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    pub syntax: &'static str,
    pub doc: &'static str,
    /// A whole expression, as it stands behind `route`.
    pub example: &'static str,
}

/// How matchers stand together: some paragraphs.
pub const DOC: &str = "A matcher is a question about a request. It stands behind `route`, `when` and `@name`, and nowhere else. Several values behind one matcher mean any of them: `method GET HEAD`.\n\n\
    Matchers are joined by `and`, `or`, `not` and parentheses: `not` binds tighter than `and`, and `and` tighter than `or`.\n\n\
    `@name EXPRESSION` gives an expression a name, and `@name` asks it again. It stands at the top level or in a site, and holds in the block it stands in.\n\n\
    `{placeholder} SIGN VALUE` compares what a request brings with a value. Numbers are compared by `<`, `<=`, `>` and `>=`, texts by the other signs; what is not a number is neither less nor greater.\n\n\
    A field, a cookie or a parameter may come several times, and who sends it does not say which of them a server takes. So `=`, `~`, `^=`, `$=`, `<`, `<=`, `>` and `>=` hold where one of the values fits, a field's also as one text, joined by `, `; `!=` and `!~` hold where none does what they negate. Each comparison looks for itself: `{query.n} > 1 and {query.n} < 5` takes `?n=0&n=9`. To ask that all values are of one form, ask that none holds anything else: `{query.n} !~ \"[^0-9]\"`. What is not there is an empty text.";

/// Whole statements that show [`DOC`], as they stand in a site.
pub const EXAMPLES: &[&str] = &[
    "route /admin/* and not client_ip 10.0.0.0/8 { respond 403 }",
    "route (host a.example.com or host b.example.com) and method GET { reverse_proxy 127.0.0.1:3000 }",
    "@beta header X-Beta or cookie beta on\nroute @beta { reverse_proxy 127.0.0.1:3001 }",
    "route {query.page} > 100 { respond 404 }",
    "route {path} ~ `^/v(?<version>[0-9]+)/` { respond \"this is version {param.version}\" }",
];

/// All matchers, in the order of the manual.
pub static ROOMS: &[Room] = &[
    Room {
        name: "path",
        syntax: "path PATTERN …",
        doc: "the path in its canonical form: `/a` is exact, `/a/*` is `/a` and all below it, `/img/*.png` fits within one segment, `/users/:id` captures a segment as `{param.id}`. A pattern that starts with `/` needs no `path` before it",
        example: "/api/* /users/:id",
    },
    Room {
        name: "host",
        syntax: "host HOST …",
        doc: "the host that the request names; `*.example.com` is any one label before it",
        example: "host example.com *.example.com",
    },
    Room { name: "method", syntax: "method METHOD …", doc: "the request's method", example: "method GET HEAD" },
    Room {
        name: "header",
        syntax: "header NAME [VALUE …]",
        doc: "a field is there, or has one of these values: as a whole, in the same case",
        example: "header X-Canary 1",
    },
    Room {
        name: "query",
        syntax: "query NAME [VALUE …]",
        doc: "a query parameter is there, or has one of these values",
        example: "query format json xml",
    },
    Room {
        name: "cookie",
        syntax: "cookie NAME [VALUE …]",
        doc: "a cookie is there, or has one of these values",
        example: "not cookie session",
    },
    Room {
        name: "client_ip",
        syntax: "client_ip NETWORK …",
        doc: "the client's address, seen through trusted proxies, is in one of these; `client_ip {lines./etc/rp/office.txt}` takes them from a file, one a line",
        example: "client_ip 10.0.0.0/8 2001:db8::/32",
    },
    Room {
        name: "protocol",
        syntax: "protocol http/1.0|http/1.1|h2|h3|websocket|grpc …",
        doc: "how the client speaks; `h3` is HTTP/3",
        example: "protocol websocket",
    },
    Room {
        name: "signature",
        syntax: "signature crawlers|scanners|tools|probes|sqli …",
        doc: "what the request gives away. By what it calls itself: `crawlers` of search engines, archives, previews and models (Googlebot, bingbot, GPTBot); `scanners` for weaknesses (sqlmap, nikto); `tools`, programs and libraries of HTTP, headless browsers and clients without a name (curl, python-requests). By its path: `probes` for what other servers leave open (`/.env`, `/.git/`, `/wp-login.php`). By its query, seen through escapes and comments: `sqli`, a way into SQL. Who means harm can call itself anything: this keeps noise out, and no more",
        example: "signature scanners probes",
    },
    Room {
        name: "scheme",
        syntax: "scheme http|https",
        doc: "whether the client came over TLS",
        example: "scheme https",
    },
    Room {
        name: "sni",
        syntax: "sni HOST …",
        doc: "the name that the client asked for when it shook hands; `*.example.com` is any one label before it. What came without TLS, or without a name, has none",
        example: "not sni example.com *.example.com",
    },
    Room {
        name: "ja4",
        syntax: "ja4 FINGERPRINT …",
        doc: "how the client's first message of TLS is made, which tells programs from each other: the JA4 fingerprint that `{tls.ja4}` has, or what it begins with and a `*`. One program has two: over TCP it begins with `t`, over QUIC (HTTP/3) with `q`. Plain HTTP has none",
        example: "ja4 t13d1516h2_8daaf6152771_e5627efa2ab1 q13d0312h3_* t12*",
    },
    Room {
        name: "file",
        syntax: "file FOLDER",
        doc: "the path names a file that is there, below this folder",
        example: "file /var/www",
    },
    Room {
        name: "status",
        syntax: "status STATUS|CLASS …",
        doc: "inside `handle_errors`: the status of what went wrong",
        example: "status 404 5xx",
    },
];

/// A matcher expression.
#[derive(Debug, Clone)]
pub enum Expr {
    /// Every request.
    Always,
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// As it is written there.
    Is(Atom, Span),
}

impl Expr {
    /// Asking it may leave something to be known as `{param.name}`.
    #[must_use]
    pub fn captures(&self) -> bool {
        match self {
            Expr::And(all) | Expr::Or(all) => all.iter().any(Expr::captures),
            Expr::Not(inner) => inner.captures(),
            Expr::Is(Atom::Path(patterns), _) => patterns.iter().any(PathPattern::captures),
            Expr::Is(Atom::Compare(compare), _) => compare.captures(),
            Expr::Always | Expr::Is(..) => false,
        }
    }
}

/// One question.
#[derive(Debug, Clone)]
pub enum Atom {
    Path(Vec<PathPattern>),
    Host(Vec<HostPattern>),
    Method(Vec<Method>),
    /// Without values: it is there.
    Header(HeaderName, Vec<String>),
    Query(String, Vec<String>),
    Cookie(String, Vec<String>),
    ClientIp(Vec<Network>),
    Protocol(Vec<Protocol>),
    Signature(Vec<Signature>),
    Scheme(Scheme),
    Sni(Vec<HostPattern>),
    Ja4(Vec<Ja4>),
    File(PathBuf),
    Status(Vec<StatusMatch>),
    Compare(Compare),
}
