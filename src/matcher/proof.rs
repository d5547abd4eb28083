//! What can be known of expressions before any request: which covers which, and which can't hold.

use super::{Atom, Expr, PathPattern};
use crate::check::Patience;

impl Expr {
    /// Every request for which `other` holds, this holds for too. May say no where yes is true, never the reverse.
    #[must_use]
    pub fn covers(&self, other: &Expr, patience: &mut Patience) -> bool {
        patience.spend()
            && match (self, other) {
                (Expr::Always, _) => true,
                (_, Expr::Or(any)) => any.iter().all(|one| self.covers(one, patience)),
                (Expr::And(all), _) => all.iter().all(|one| one.covers(other, patience)),
                (Expr::Or(any), _) if any.iter().any(|one| one.covers(other, patience)) => true,
                (_, Expr::And(all)) => all.iter().any(|one| self.covers(one, patience)),
                (Expr::Not(mine), Expr::Not(theirs)) => theirs.covers(mine, patience),
                (Expr::Is(mine, _), Expr::Is(theirs, _)) => mine.covers(theirs, patience),
                _ => false,
            }
    }
}

impl Atom {
    fn covers(&self, other: &Atom, patience: &mut Patience) -> bool {
        match (self, other) {
            (Atom::Path(mine), Atom::Path(theirs)) => all_in(theirs, mine, patience, PathPattern::covers),
            (Atom::Host(mine), Atom::Host(theirs)) => all_in(theirs, mine, patience, |mine, theirs| {
                mine == theirs || matches!(theirs, crate::check::value::HostPattern::Exact(name) if mine.holds(name))
            }),
            (Atom::Method(mine), Atom::Method(theirs)) => all_in(theirs, mine, patience, PartialEq::eq),
            (Atom::Header(name, mine), Atom::Header(other, theirs)) => {
                name == other && values_cover(mine, theirs, patience)
            }
            (Atom::Query(name, mine), Atom::Query(other, theirs))
            | (Atom::Cookie(name, mine), Atom::Cookie(other, theirs)) => {
                name == other && values_cover(mine, theirs, patience)
            }
            (Atom::ClientIp(mine), Atom::ClientIp(theirs)) => {
                all_in(theirs, mine, patience, |mine, theirs| mine.0.contains(&theirs.0))
            }
            (Atom::Protocol(mine), Atom::Protocol(theirs)) => all_in(theirs, mine, patience, PartialEq::eq),
            (Atom::Scheme(mine), Atom::Scheme(theirs)) => mine == theirs,
            (Atom::File(mine), Atom::File(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

fn all_in<T>(theirs: &[T], mine: &[T], patience: &mut Patience, covers: impl Fn(&T, &T) -> bool) -> bool {
    theirs.iter().all(|theirs| mine.iter().any(|mine| patience.spend() && covers(mine, theirs)))
}

/// No value means "is there".
fn values_cover(mine: &[String], theirs: &[String], patience: &mut Patience) -> bool {
    mine.is_empty() || (!theirs.is_empty() && all_in(theirs, mine, patience, PartialEq::eq))
}

/// So many matchers of one `and`, and values of one matcher, are looked at: people contradict themselves in less.
const MOST: usize = 64;

/// Why no request can meet an expression, if that can be shown.
#[must_use]
pub fn impossible(expr: &Expr) -> Option<&'static str> {
    let Expr::And(all) = expr else { return None };
    let atoms: Vec<&Atom> =
        all.iter().filter_map(|one| if let Expr::Is(atom, _) = one { Some(atom) } else { None }).take(MOST).collect();
    let pairs = atoms.iter().enumerate().flat_map(|(at, a)| atoms[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.into_iter().find_map(|(a, b)| match (a, b) {
        (Atom::Method(a), Atom::Method(b)) if disjoint(a, b, PartialEq::eq) => Some("a request has one method"),
        (Atom::Scheme(a), Atom::Scheme(b)) if a != b => Some("a request has one scheme"),
        (Atom::Path(a), Atom::Path(b)) if disjoint(a, b, |a: &PathPattern, b| !a.excludes(b)) => {
            Some("no path fits both patterns")
        }
        (Atom::Host(a), Atom::Host(b)) if disjoint(a, b, |a, b| a == b || wild(a) || wild(b)) => {
            Some("a request has one host")
        }
        (Atom::ClientIp(a), Atom::ClientIp(b)) if disjoint(a, b, |a, b| a.0.contains(&b.0) || b.0.contains(&a.0)) => {
            Some("no address is in both networks")
        }
        _ => None,
    })
}

fn wild(host: &crate::check::value::HostPattern) -> bool {
    matches!(host, crate::check::value::HostPattern::Below(_))
}

fn disjoint<T>(a: &[T], b: &[T], meet: impl Fn(&T, &T) -> bool) -> bool {
    a.len().max(b.len()) <= MOST && !a.iter().any(|a| b.iter().any(|b| meet(a, b)))
}
