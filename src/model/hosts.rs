//! Matchers that ask for a host which the site around them never answers for.

use super::SiteAddress;
use crate::check::Check;
use crate::check::value::HostPattern;
use crate::diagnostic::{Code, Mistake};
use crate::directive::{Body, Statement};
use crate::matcher::{Atom, Expr};

/// Warns of each `route` and `when` whose host belongs to other sites.
pub(super) fn foreign(addresses: &[SiteAddress], body: &Body, cx: &mut Check) {
    // An address without a host takes any.
    let hosts: Option<Vec<&HostPattern>> = addresses.iter().map(|address| address.host.as_ref()).collect();
    if let (Some(hosts), Some(first)) = (hosts, addresses.first()) {
        walk(&hosts, first, body, cx);
    }
}

fn walk(hosts: &[&HostPattern], first: &SiteAddress, body: &Body, cx: &mut Check) {
    // What a snippet brings may hold in the other sites that use it.
    for statement in body.statements.iter().filter(|statement| statement.used_at.0.is_none()) {
        if let Some(asked) = statement.directive.asks().and_then(|expr| unanswered(expr, hosts, cx)) {
            cx.report(never_comes(statement, asked, first));
            continue;
        }
        statement.directive.blocks().into_iter().for_each(|inner| walk(hosts, first, inner, cx));
    }
}

/// A host that must be asked for, and none of which comes here.
fn unanswered<'e>(expr: &'e Expr, hosts: &[&HostPattern], cx: &mut Check) -> Option<&'e HostPattern> {
    match expr {
        Expr::Is(Atom::Host(asked), _) => {
            let patience = cx.patience();
            let mut pairs = asked.iter().flat_map(|asked| hosts.iter().map(move |host| (asked, host)));
            let comes = pairs.any(|(asked, host)| !patience.spend() || asked.meets(host));
            asked.first().filter(|_| !comes)
        }
        Expr::And(all) => all.iter().find_map(|one| unanswered(one, hosts, cx)),
        Expr::Or(any) => {
            let first = unanswered(any.first()?, hosts, cx)?;
            any[1..].iter().all(|one| unanswered(one, hosts, cx).is_some()).then_some(first)
        }
        Expr::Always | Expr::Not(_) | Expr::Is(..) => None,
    }
}

fn never_comes(statement: &Statement, asked: &HostPattern, first: &SiteAddress) -> Mistake {
    let sentence = format!("no request for `{asked}` comes here: this site does not answer for it");
    Mistake::new(Code::W0008, statement.head, sentence)
        .other(first.at, "its addresses are here")
        .help(format!("add it to them: {}, {asked} {{ … }}; or give it a site of its own: {asked} {{ … }}", first.text))
}
