//! Expressions to tests.

use std::path::{Path, PathBuf};

use http::header;
use http::{HeaderName, Method, Version};

use super::handshake::{Fingerprints, Names};
use super::signature::Signatures;
use super::{Atom, Compare, Expr, PathPattern, Protocol, Signature};
use crate::check::value::{HostPattern, StatusMatch};
use crate::http::connection::Scheme;
use crate::http::exchange::{Exchange, Upgrade};
use crate::http::path;
use crate::http::placeholder::cookies;
use crate::http::ranges::Ranges;
use crate::http::step::Test;
use crate::site::{Doubt, Folded, Question, Stake};

impl Expr {
    /// Ready to be asked of requests.
    #[must_use]
    pub fn compile(&self) -> Box<dyn Test> {
        match self {
            Expr::Always => Box::new(Always),
            Expr::And(all) => Box::new(All(all.iter().map(Expr::compile).collect())),
            Expr::Or(any) => Box::new(Any(any.iter().map(Expr::compile).collect())),
            Expr::Not(inner) => Box::new(Not(inner.compile())),
            Expr::Is(atom, _) => atom.compile(),
        }
    }

    /// The same for a statement that takes requests or leaves them, by the path if it is asked for it.
    #[must_use]
    pub fn question(&self, stake: Stake) -> Question {
        let doubt = || Doubt { stake, folded: if stake == Stake::Guards { self.folded() } else { None } };
        Question::new(self.compile(), self.reads(&Atom::reads_path).then(doubt))
    }

    fn reads(&self, what: &dyn Fn(&Atom) -> bool) -> bool {
        match self {
            Expr::Always => false,
            Expr::And(all) | Expr::Or(all) => all.iter().any(|expr| expr.reads(what)),
            Expr::Not(inner) => inner.reads(what),
            Expr::Is(atom, _) => what(atom),
        }
    }

    /// For paths in lower case. A comparison has no such form: whoever writes one says which letters.
    fn folded(&self) -> Option<Folded> {
        if self.reads(&|atom| matches!(atom, Atom::Compare(compare) if compare.reads_path())) {
            return None;
        }
        let differs = self.reads(
            &|atom| matches!(atom, Atom::Path(patterns) if patterns.iter().any(|pattern| pattern.folded() != *pattern)),
        );
        Some(Folded { test: self.in_lower_case().compile(), differs })
    }

    fn in_lower_case(&self) -> Self {
        match self {
            Expr::Always => Expr::Always,
            Expr::And(all) => Expr::And(all.iter().map(Expr::in_lower_case).collect()),
            Expr::Or(any) => Expr::Or(any.iter().map(Expr::in_lower_case).collect()),
            Expr::Not(inner) => Expr::Not(Box::new(inner.in_lower_case())),
            Expr::Is(Atom::Path(patterns), at) => {
                Expr::Is(Atom::Path(patterns.iter().map(PathPattern::folded).collect()), *at)
            }
            Expr::Is(atom, at) => Expr::Is(atom.clone(), *at),
        }
    }
}

impl Atom {
    fn reads_path(&self) -> bool {
        match self {
            Atom::Path(_) => true,
            Atom::Compare(compare) => compare.reads_path(),
            _ => false,
        }
    }

    pub(super) fn compile(&self) -> Box<dyn Test> {
        match self.clone() {
            Atom::Path(patterns) if patterns.iter().any(PathPattern::captures) => Box::new(Capturing(patterns)),
            Atom::Path(patterns) => Box::new(Paths(patterns)),
            Atom::Host(hosts) => Box::new(Hosts(hosts)),
            Atom::Method(methods) => Box::new(Methods(methods)),
            Atom::Header(name, values) => Box::new(Header(name, values)),
            Atom::Query(name, values) => Box::new(Query(name, values)),
            Atom::Cookie(name, values) => Box::new(Cookie(name, values)),
            Atom::ClientIp(networks) => Box::new(ClientIp(Ranges::of(&networks))),
            Atom::Protocol(protocols) => Box::new(Protocols(protocols)),
            Atom::Signature(all) => Box::new(Signatures(all.into_iter().map(Signature::ready).collect())),
            Atom::Scheme(scheme) => Box::new(OverScheme(scheme)),
            Atom::Sni(names) => Box::new(Names(names)),
            Atom::Ja4(all) => Box::new(Fingerprints::of(all)),
            Atom::File(folder) => Box::new(File(folder)),
            Atom::Status(statuses) => Box::new(Statuses(statuses)),
            Atom::Compare(compare) => Box::new(compare),
        }
    }
}

struct Always;
struct All(Vec<Box<dyn Test>>);
struct Any(Vec<Box<dyn Test>>);
struct Not(Box<dyn Test>);
struct Paths(Vec<PathPattern>);
struct Capturing(Vec<PathPattern>);
struct Hosts(Vec<HostPattern>);
struct Methods(Vec<Method>);
struct Header(HeaderName, Vec<String>);
struct Query(String, Vec<String>);
struct Cookie(String, Vec<String>);
struct ClientIp(Ranges);
struct Protocols(Vec<Protocol>);
struct OverScheme(Scheme);
struct File(PathBuf);
struct Statuses(Vec<StatusMatch>);

impl Test for Always {
    fn holds(&self, _: &mut Exchange) -> bool {
        true
    }
}

impl Test for All {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().all(|test| test.holds(exchange))
    }
}

impl Test for Any {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|test| test.holds(exchange))
    }
}

impl Test for Not {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        !self.0.holds(exchange)
    }
}

impl Test for Paths {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|pattern| pattern.holds(exchange.target.path()))
    }
}

impl Test for Capturing {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        let Exchange { target, captures, .. } = exchange;
        self.0.iter().any(|pattern| pattern.capture(target.path(), captures))
    }
}

impl Test for Hosts {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|host| host.holds(exchange.host.name()))
    }
}

impl Test for Methods {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.contains(&exchange.method)
    }
}

impl Test for Header {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        let mut values = exchange.headers.get_all(&self.0).iter();
        if self.1.is_empty() {
            values.next().is_some()
        } else {
            values.any(|value| self.1.iter().any(|wanted| wanted.as_bytes() == value.as_bytes()))
        }
    }
}

impl Test for Query {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        exchange.target.parameters(&self.0).any(|value| self.1.is_empty() || self.1.contains(&value))
    }
}

impl Test for Cookie {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        cookies(exchange, &self.0).any(|value| self.1.is_empty() || self.1.iter().any(|wanted| wanted == value))
    }
}

impl Test for ClientIp {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.contains(exchange.client_ip)
    }
}

impl Test for Protocols {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|protocol| match protocol {
            Protocol::Http10 => exchange.version == Version::HTTP_10,
            Protocol::Http11 => exchange.version == Version::HTTP_11,
            Protocol::Http2 => exchange.version == Version::HTTP_2,
            Protocol::Http3 => exchange.version == Version::HTTP_3,
            Protocol::WebSocket => !matches!(exchange.upgrade, Upgrade::No),
            Protocol::Grpc => exchange
                .headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")),
        })
    }
}

impl Test for OverScheme {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        exchange.connection.scheme == self.0
    }
}

impl Test for File {
    /// One `stat`, answered from the kernel's cache as a rule. Links are followed, but not out of the folder.
    fn holds(&self, exchange: &mut Exchange) -> bool {
        path::decode(exchange.target.path()).is_some_and(|path| is_file(&self.0, &path))
    }
}

fn is_file(folder: &Path, path: &str) -> bool {
    if path.contains('\0') || path.ends_with('/') {
        return false;
    }
    let file = folder.join(path.trim_start_matches('/'));
    let inside = || Some(file.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    file.is_file() && inside() == Some(true)
}

impl Test for Statuses {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        exchange.fault.as_ref().is_some_and(|fault| self.0.iter().any(|status| status.holds(fault.status())))
    }
}

impl Test for Compare {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        Compare::holds(self, exchange)
    }
}
