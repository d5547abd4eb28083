//! Credentials that would go over the open internet in plain text.

use std::collections::HashMap;

use super::Model;
use super::address::is_public;
use crate::check::Check;
use crate::check::value::HostPattern;
use crate::diagnostic::{Code, Mistake};
use crate::directive::header::{How, Touch};
use crate::directive::reverse_proxy::To;
use crate::directive::reverse_proxy::pool::PoolModel;
use crate::directive::reverse_proxy::server::ServerModel;
use crate::directive::{Body, Effect, SECRET_FIELDS, Statement};
use crate::upstream::{Address, Scheme};

/// What gave each of [`SECRET_FIELDS`] its value, on the way to a statement.
type Carried<'m> = [Option<&'m Touch>; SECRET_FIELDS.len()];

/// Of the named upstreams, the servers to which what is sent can be read.
type Exposed<'m> = HashMap<&'m str, &'m ServerModel>;

/// Warns of sites that give a request credentials and send it to a public address without TLS.
pub(super) fn exposed(model: &Model, cx: &mut Check) {
    let named = model.upstreams.iter().filter_map(|pool| Some((pool.name.as_str(), server(pool)?))).collect();
    for site in &model.sites {
        walk(&site.body, Carried::default(), &named, cx);
    }
}

fn walk<'m>(body: &'m Body, mut carried: Carried<'m>, named: &Exposed<'_>, cx: &mut Check) {
    for statement in &body.statements {
        match statement.directive.effect() {
            Effect::Fields(changes) if changes.of_request => {
                changes.touches.iter().for_each(|touch| take(touch, &mut carried));
            }
            Effect::Forwards(to) => {
                let server = match to {
                    To::Named(name) => named.get(name.as_str()).copied(),
                    To::Pool(pool) => server(pool),
                };
                if let (Some(server), Some(secret)) = (server, carried.iter().flatten().next()) {
                    cx.report(in_the_open(statement, server, secret));
                }
            }
            _ => {}
        }
        for inner in statement.directive.blocks() {
            walk(inner, carried, named, cx);
        }
    }
}

fn take<'m>(touch: &'m Touch, carried: &mut Carried<'m>) {
    for (name, given) in SECRET_FIELDS.iter().zip(carried) {
        match touch.how {
            How::Sets | How::Adds | How::SetsIfAbsent if *name == &*touch.name => *given = Some(touch),
            How::Removes if *name == &*touch.name => *given = None,
            How::RemovesBelow if name.starts_with(&*touch.name) => *given = None,
            _ => {}
        }
    }
}

fn server(pool: &PoolModel) -> Option<&ServerModel> {
    pool.servers.iter().find(|server| is_exposed(server))
}

/// Whether whatever is sent to it can be read on its way through the internet.
fn is_exposed(server: &ServerModel) -> bool {
    if server.target.scheme == Scheme::Https {
        return false;
    }
    match &server.target.address {
        Address::Unix(_) => false,
        Address::Ip(address) => is_public(&HostPattern::Exact(address.ip().to_string().into())),
        Address::Host { name, .. } => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            is_delegated(&name) && is_public(&HostPattern::Exact(name.into()))
        }
    }
}

/// Ends as the names of the internet do. Clusters have names of their own, such as `web.shop` and `web.shop.svc`, and
/// private networks names below a public one.
fn is_delegated(name: &str) -> bool {
    const GENERIC: [&str; 14] =
        ["com", "net", "org", "info", "biz", "edu", "gov", "mil", "dev", "app", "cloud", "site", "online", "xyz"];
    let top = name.rsplit('.').next().unwrap_or_default();
    let country = top.len() == 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    (country || GENERIC.contains(&top)) && !name.ends_with(".ts.net")
}

fn in_the_open(statement: &Statement, server: &ServerModel, secret: &Touch) -> Mistake {
    let (address, head) = (server.target.to_string(), statement.head);
    let bare = address.split_once("://").map_or(address.as_str(), |(_, bare)| bare);
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    let field = &secret.shown;
    let sentence = format!("`{address}` is asked without TLS, so all on the way to it can read its `{field}`");
    let written_here = server.at.file == head.file && (head.start..head.end).contains(&server.at.start);
    let mistake = if written_here {
        Mistake::new(Code::W0020, server.at, sentence)
    } else {
        Mistake::new(Code::W0020, head, sentence).other(server.at, "this server")
    };
    mistake
        .other(secret.at, "each request is given one here")
        .help(format!("write `https://{host}`, with a port behind it if that is not 443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_internet_are_told_from_those_of_a_cluster() {
        for name in ["api.example.com", "example.de", "a.b.co.uk", "x.dev"] {
            assert!(is_delegated(name), "{name}");
        }
        for name in ["web", "web.shop", "web.shop.svc", "web.service.consul", "box.tail1234.ts.net", "db.internal"] {
            assert!(!is_delegated(name), "{name}");
        }
    }
}
