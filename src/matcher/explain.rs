//! Why an expression holds for a request, or does not: question by question.

use std::path::Path;

use http::{HeaderName, Version};

use super::{Atom, Expr, handshake, signature};
use crate::diagnostic::Span;
use crate::http::exchange::Exchange;
use crate::http::placeholder::cookie;

/// One question that was asked of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub at: Span,
    pub holds: bool,
    /// What the request has there: "the path is `/api`".
    pub found: String,
}

impl Expr {
    /// The questions that decide whether this holds, in the order in which they are asked: what is decided already is not
    /// asked. Each is answered by the test that a request meets.
    pub fn reasons(&self, exchange: &mut Exchange) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let captures = exchange.captures.len();
        self.ask(exchange, &mut reasons);
        exchange.captures.truncate(captures);
        reasons
    }

    fn ask(&self, exchange: &mut Exchange, reasons: &mut Vec<Reason>) -> bool {
        match self {
            Expr::Always => true,
            Expr::And(all) => all.iter().all(|one| one.ask(exchange, reasons)),
            Expr::Or(any) => any.iter().any(|one| one.ask(exchange, reasons)),
            Expr::Not(inner) => !inner.ask(exchange, reasons),
            Expr::Is(atom, at) => {
                let found = atom.found(exchange);
                let holds = atom.compile().holds(exchange);
                reasons.push(Reason { at: *at, holds, found });
                holds
            }
        }
    }
}

impl Atom {
    fn found(&self, exchange: &Exchange) -> String {
        match self {
            Atom::Path(_) => format!("the path is `{}`", exchange.target.path()),
            Atom::Host(_) => format!("the host is `{}`", exchange.host.name()),
            Atom::Method(_) => format!("the method is `{}`", exchange.method),
            Atom::Header(name, _) => field(name, exchange),
            Atom::Query(name, _) => named("parameter", name, exchange.target.parameter(name).as_deref()),
            Atom::Cookie(name, _) => named("cookie", name, cookie(exchange, name)),
            Atom::ClientIp(_) => format!("the client is `{}`", exchange.client_ip),
            Atom::Protocol(_) => format!("it is `{}`", protocol(exchange.version)),
            Atom::Signature(signatures) => signature::found(signatures, exchange),
            Atom::Scheme(_) => format!("the scheme is `{}`", exchange.connection.scheme.as_str()),
            Atom::Sni(_) | Atom::Ja4(_) => handshake::found(self, exchange),
            Atom::File(folder) => file(folder, exchange.target.path()),
            Atom::Status(_) => match &exchange.fault {
                Some(fault) => format!("the status is `{}`", fault.status().as_u16()),
                None => "nothing has failed".to_owned(),
            },
            Atom::Compare(compare) => format!("it is `{}`", compare.found(exchange).join("`, `")),
        }
    }
}

fn field(name: &HeaderName, exchange: &Exchange) -> String {
    let values: Vec<_> =
        exchange.headers.get_all(name).iter().map(|value| value.as_bytes().escape_ascii().to_string()).collect();
    named("field", name.as_str(), if values.is_empty() { None } else { Some(values.join("`, `")) }.as_deref())
}

fn named(kind: &str, name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("`{name}` is `{value}`"),
        None => format!("there is no {kind} `{name}`"),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "http/1.0",
        Version::HTTP_2 => "h2",
        Version::HTTP_3 => "h3",
        _ => "http/1.1",
    }
}

fn file(folder: &Path, path: &str) -> String {
    format!("the path is `{path}`, below `{}`", folder.display())
}
