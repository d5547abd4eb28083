//! `strip_prefix` and `add_prefix`: the front of the path, by whole segments.

use std::sync::Arc;

use super::{Directive, Room};
use crate::check::{Arguments, Check, Reported, Value, Wrong};
use crate::diagnostic::Mistake;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::path::canonical;
use crate::http::prefix::Prefixes;
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static STRIP: Room = Room {
    name: "strip_prefix",
    syntax: "strip_prefix /PATH",
    summary: "takes a prefix off the path",
    doc: "`strip_prefix /api` makes `/api/users` into `/users`, and `/api` into `/`. It goes by whole segments: `/apiary` and every other path stay as they are. What is left begins with one slash, whatever was sent.\n\nRedirects that the upstream answers get the prefix back.",
    options: &[],
    examples: &["strip_prefix /api", "route /service-a/* { strip_prefix /service-a; reverse_proxy 127.0.0.1:3000 }"],
    related: &["add_prefix", "rewrite", "route"],
    check: check_strip,
};

pub static ADD: Room = Room {
    name: "add_prefix",
    syntax: "add_prefix /PATH",
    summary: "puts a prefix before the path",
    doc: "`add_prefix /v1` makes `/users` into `/v1/users`, and `/` into `/v1/`. The query stays as it is.\n\nRedirects that the upstream answers lose the prefix again.",
    options: &[],
    examples: &["add_prefix /v1", "strip_prefix /api; add_prefix /v2"],
    related: &["strip_prefix", "rewrite"],
    check: check_add,
};

#[derive(Debug, Clone)]
struct Strip(Arc<str>);

#[derive(Debug, Clone)]
struct Add(Arc<str>);

/// A canonical path without a slash at its end.
struct Prefix(Arc<str>);

impl Value for Prefix {
    const KIND: &'static str = "a path prefix";
    const EXAMPLE: &'static str = "/api or /api/v1";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::say(format!("`{text}` does not start with a slash")).instead(format!("/{text}")));
        }
        let stem = text.strip_suffix("/*").unwrap_or(text);
        let stem = stem.trim_end_matches('/');
        if stem.is_empty() {
            return Err(Wrong::say(format!("`{text}` is the front of every path")).help("name a prefix: `/api`"));
        }
        if let Some(at) = stem.find(['?', '*']) {
            let fixed = stem[..at].trim_end_matches('/');
            return Err(Wrong::say(format!("`{text}` is not a fixed path")).instead(fixed));
        }
        match canonical(stem) {
            Ok(None) if stem == text => Ok(Self(text.into())),
            Ok(None) => {
                Err(Wrong::say(format!("a prefix is whole segments, and `{text}` has more behind them")).instead(stem))
            }
            Ok(Some(form)) => {
                Err(Wrong::say(format!("`{text}` is not the canonical form of a path"))
                    .instead(form.trim_end_matches('/')))
            }
            Err(bad) => Err(Wrong::say(format!("no path begins with `{text}`: it has {}", bad.why()))
                .help("write it as URLs have it: a space is `%20`")),
        }
    }
}

fn prefix(node: &Node, syntax: &'static str, cx: &mut Check) -> Result<Arc<str>, Reported> {
    let mut args = Arguments::of(node, syntax);
    let prefix: Prefix = args.expect("a path", cx)?;
    args.done_without_block(cx)?;
    Ok(prefix.0)
}

fn check_strip(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Ok(Box::new(Strip(prefix(node, STRIP.syntax, cx)?)))
}

fn check_add(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    Ok(Box::new(Add(prefix(node, ADD.syntax, cx)?)))
}

impl Directive for Strip {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Directive for Add {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Filter for Strip {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        if let Some(rest) = Prefixes::without(exchange.target.path(), &self.0) {
            let rest = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
            exchange.target.set_path(&rest)?;
            exchange.prefixes.stripped(&self.0);
        }
        Ok(None)
    }
}

impl Filter for Add {
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        // `OPTIONS *` asks about the server, not about a path.
        if exchange.target.path() != "*" {
            let path = format!("{}{}", self.0, exchange.target.path());
            exchange.target.set_path(&path)?;
            exchange.prefixes.added(&self.0);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::testing::{findings, pass};

    fn check(statements: &str, uri: &str, expected: &str) {
        let mut exchange = Exchange::sample(uri, &[]);
        pass(&format!("{statements}\nrespond 204"), &mut exchange);
        let mut target = Vec::new();
        exchange.target.write(&mut target);
        assert_eq!(String::from_utf8(target).unwrap(), expected, "{statements} at {uri}");
    }

    #[test]
    fn m02_a_prefix_is_stripped_by_whole_segments() {
        check("strip_prefix /service-a", "/service-a/users?x=1", "/users?x=1");
        check("strip_prefix /service-a", "/service-a", "/");
        check("strip_prefix /service-a", "/service-a/", "/");
        check("strip_prefix /service-a", "/service-ab/users", "/service-ab/users");
        check("strip_prefix /service-a", "/x/service-a/users", "/x/service-a/users");
        check("strip_prefix /a/b", "/a/b/caf%C3%A9%2Fx", "/caf%C3%A9%2Fx");
        check("strip_prefix /a; strip_prefix /b", "/a/b/c", "/c");
    }

    #[test]
    fn xp02_what_is_left_is_one_rooted_path() {
        check("strip_prefix /api", "/api//evil.example/x", "/evil.example/x");
        check("strip_prefix /api", "/api/../foo", "/foo");
        check("strip_prefix /api", "/api/%2e%2e/foo", "/foo");
        check("strip_prefix /api", "/api../foo", "/api../foo");
        check("strip_prefix /api", "/api/./", "/");
        check("strip_prefix /api", "/api%2F..%2Ffoo", "/api%2F..%2Ffoo");
    }

    #[test]
    fn m03_a_prefix_is_added() {
        check("add_prefix /api/v1", "/users?a=b", "/api/v1/users?a=b");
        check("add_prefix /api/v1", "/", "/api/v1/");
        check("strip_prefix /api; add_prefix /v2", "/api/users", "/v2/users");
        check("add_prefix /v1", "*", "*");
    }

    #[test]
    fn prefixes_are_fixed_canonical_paths() {
        let said = |prefix: &str| findings(&format!("strip_prefix {prefix}\nrespond 204")).concat();
        assert_eq!(said("api"), "E0020 `api` does not start with a slash; write `/api`");
        assert_eq!(said("/"), "E0020 `/` is the front of every path; name a prefix: `/api`");
        assert!(said("/api/").ends_with("write `/api`"), "{}", said("/api/"));
        assert!(said("/api/*").ends_with("write `/api`"));
        assert!(said("/api/*/x").ends_with("write `/api`"));
        assert!(said("/a/../b").ends_with("write `/b`"));
        assert!(said("/{host}").starts_with("E0029"));
        assert!(said("\"/a b\"").contains("%20"));
    }
}
