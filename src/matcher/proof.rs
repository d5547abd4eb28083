//! What can be known of expressions before any request: which covers which.

use super::{Atom, Expr, Ja4, PathPattern};
use crate::check::Patience;
use crate::check::value::HostPattern;

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
            (Atom::Host(mine), Atom::Host(theirs)) | (Atom::Sni(mine), Atom::Sni(theirs)) => {
                all_in(theirs, mine, patience, HostPattern::covers)
            }
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
            (Atom::Signature(mine), Atom::Signature(theirs)) => all_in(theirs, mine, patience, PartialEq::eq),
            (Atom::Ja4(mine), Atom::Ja4(theirs)) => all_in(theirs, mine, patience, Ja4::covers),
            (Atom::Scheme(mine), Atom::Scheme(theirs)) => mine == theirs,
            (Atom::File(mine), Atom::File(theirs)) => mine == theirs,
            (Atom::Status(mine), Atom::Status(theirs)) => {
                all_in(theirs, mine, patience, |mine, theirs| mine.covers(*theirs))
            }
            (Atom::Compare(mine), Atom::Compare(theirs)) => mine.is_same(theirs),
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
