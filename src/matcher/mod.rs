//! Questions about a request: a corridor of rooms like the directives'.
//!
//! An expression is read from the words behind `route`, `when` or `@name`, reasoned about by the checker, and compiled
//! to a [`Test`](crate::http::step::Test).

mod compare;
mod compile;
mod explain;
mod loops;
mod parse;
mod path;
mod proof;

pub use compare::{Compare, Op};
pub use explain::Reason;
pub use parse::{check, define_all};
pub use path::PathPattern;

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
}

/// All matchers, in the order of the manual.
pub static ROOMS: &[Room] = &[
    Room {
        name: "path",
        syntax: "path PATTERN …",
        doc: "the canonical path; `/a` is exact, `/a/*` is `/a` and all below it, `/:id` captures a segment as {param.id}. A pattern that starts with `/` needs no `path` before it",
    },
    Room {
        name: "host",
        syntax: "host HOST …",
        doc: "the host that the request names; `*.example.com` is any one label before it",
    },
    Room { name: "method", syntax: "method METHOD …", doc: "the request's method" },
    Room { name: "header", syntax: "header NAME [VALUE …]", doc: "a field is there, or has one of these values" },
    Room {
        name: "query",
        syntax: "query NAME [VALUE …]",
        doc: "a query parameter is there, or has one of these values",
    },
    Room { name: "cookie", syntax: "cookie NAME [VALUE …]", doc: "a cookie is there, or has one of these values" },
    Room {
        name: "client_ip",
        syntax: "client_ip NETWORK …",
        doc: "the client's address, seen through trusted proxies, is in one of these",
    },
    Room {
        name: "protocol",
        syntax: "protocol http/1.0|http/1.1|h2|h3|websocket|grpc …",
        doc: "how the client speaks",
    },
    Room { name: "scheme", syntax: "scheme http|https", doc: "whether the client came over TLS" },
    Room { name: "file", syntax: "file FOLDER", doc: "the path names a file below this folder" },
    Room {
        name: "status",
        syntax: "status STATUS|CLASS …",
        doc: "inside `handle_errors`: the status of what went wrong",
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
    Scheme(Scheme),
    File(PathBuf),
    Status(Vec<StatusMatch>),
    Compare(Compare),
}

/// What `protocol` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http10,
    Http11,
    Http2,
    Http3,
    WebSocket,
    Grpc,
}
