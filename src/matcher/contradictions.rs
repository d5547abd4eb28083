//! Expressions that no request can meet.

use super::{Atom, Expr, Ja4, PathPattern};
use crate::check::value::HostPattern;
use crate::check::{Check, Patience};
use crate::diagnostic::{Code, Mistake, Span};

/// So many matchers of one `and`, and values of one matcher, are looked at: people contradict themselves in less.
const MOST: usize = 64;

/// Warns of what no request can be, here or in one of several alternatives.
pub(super) fn report(expr: &Expr, at: Span, cx: &mut Check) {
    if let Some(why) = impossible(expr, cx.patience()) {
        let mistake = Mistake::new(Code::W0008, at, format!("no request can be all of this: {why}"));
        cx.report(match why {
            CANCELLED => mistake.help("remove one of them, or narrow what stands behind `not`"),
            COMPARED => mistake.help("join them with `or`, or write other values"),
            ANY_ADDRESS => mistake.help("remove the `not`, or name fewer networks"),
            _ => mistake.help("join them with `or`, or put them into one list"),
        });
        return;
    }
    if let Expr::Or(any) = expr {
        for one in any.iter().take(MOST) {
            report(one, place(one).unwrap_or(at), cx);
        }
    }
}

const CANCELLED: &str = "`not` takes away what the rest asks for";
const COMPARED: &str = "no value fits both comparisons";
const ANY_ADDRESS: &str = "every address is in one of these networks";

/// From its first question to its last, where all of it is written in one place.
fn place(expr: &Expr) -> Option<Span> {
    match expr {
        Expr::Always => None,
        Expr::Is(_, at) => Some(*at),
        Expr::Not(inner) => place(inner),
        Expr::And(all) | Expr::Or(all) => {
            let (first, last) = (place(all.first()?)?, place(all.last()?)?);
            (first.file == last.file && first.start <= last.start).then(|| first.to(last))
        }
    }
}

/// Why no request can meet an expression, if that can be shown.
fn impossible(expr: &Expr, patience: &mut Patience) -> Option<&'static str> {
    if let Expr::Not(inner) = expr {
        return matches!(&**inner, Expr::Is(Atom::ClientIp(networks), _) if all_addresses(networks))
            .then_some(ANY_ADDRESS);
    }
    let Expr::And(_) = expr else { return None };
    let mut all = Vec::new();
    flatten(expr, &mut all);
    if let Some(why) = all.iter().filter(|one| matches!(one, Expr::Not(_))).find_map(|one| impossible(one, patience)) {
        return Some(why);
    }
    for (at, a) in all.iter().enumerate() {
        for b in &all[at + 1..] {
            let why = match (a, b) {
                (Expr::Is(a, _), Expr::Is(b, _)) => exclude(a, b),
                (Expr::Not(out), one) | (one, Expr::Not(out)) if out.covers(one, patience) => Some(CANCELLED),
                _ => None,
            };
            if why.is_some() {
                return why;
            }
        }
    }
    None
}

/// What must all hold: an `and` inside an `and`, by a name, is a part of it.
fn flatten<'e>(expr: &'e Expr, into: &mut Vec<&'e Expr>) {
    match expr {
        Expr::And(all) => all.iter().for_each(|one| flatten(one, into)),
        one if into.len() < MOST => into.push(one),
        _ => {}
    }
}

fn all_addresses(networks: &[crate::check::value::Network]) -> bool {
    let whole =
        |v4: bool| networks.iter().any(|network| network.0.prefix_len() == 0 && network.0.addr().is_ipv4() == v4);
    whole(true) && whole(false)
}

/// Why no request can be both.
fn exclude(a: &Atom, b: &Atom) -> Option<&'static str> {
    match (a, b) {
        (Atom::Method(a), Atom::Method(b)) if disjoint(a, b, PartialEq::eq) => Some("a request has one method"),
        (Atom::Scheme(a), Atom::Scheme(b)) if a != b => Some("a request has one scheme"),
        (Atom::Path(a), Atom::Path(b)) if disjoint(a, b, |a: &PathPattern, b| !a.excludes(b)) => {
            Some("no path fits both patterns")
        }
        (Atom::Host(a), Atom::Host(b)) if disjoint(a, b, HostPattern::meets) => Some("a request has one host"),
        (Atom::Sni(a), Atom::Sni(b)) if disjoint(a, b, HostPattern::meets) => Some("a handshake names one host"),
        (Atom::Ja4(a), Atom::Ja4(b)) if disjoint(a, b, Ja4::meets) => Some("a client has one fingerprint"),
        (Atom::ClientIp(a), Atom::ClientIp(b)) if disjoint(a, b, |a, b| a.0.contains(&b.0) || b.0.contains(&a.0)) => {
            Some("no address is in both networks")
        }
        (Atom::Protocol(a), Atom::Protocol(b))
            if a.iter().chain(b).all(|one| one.is_version()) && disjoint(a, b, PartialEq::eq) =>
        {
            Some("a request has one version")
        }
        (Atom::Status(a), Atom::Status(b)) if disjoint(a, b, |a, b| a.covers(*b) || b.covers(*a)) => {
            Some("an answer has one status")
        }
        (Atom::Compare(a), Atom::Compare(b)) if a.excludes(b) => Some(COMPARED),
        _ => None,
    }
}

fn disjoint<T>(a: &[T], b: &[T], meet: impl Fn(&T, &T) -> bool) -> bool {
    a.len().max(b.len()) <= MOST && !a.iter().any(|a| b.iter().any(|b| meet(a, b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::exchange::Exchange;
    use crate::syntax;

    fn read(expr: &str) -> Expr {
        let mut sources = crate::diagnostic::Sources::default();
        let text = format!("route {expr} {{ }}");
        let file = sources.add(std::path::Path::new("Proxyfile"), &text);
        let (tree, mistakes) = syntax::parse(file, &text);
        assert!(mistakes.is_empty(), "{text}: {mistakes:?}");
        let mut cx = Check::default();
        let node = &tree.nodes[0];
        super::super::check(node, &node.words[1..], &mut cx).unwrap_or_else(|_| panic!("{text}: {:?}", cx.finish()))
    }

    fn question() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("/a"),
            Just("/a/*"),
            Just("/*"),
            Just("/a /b"),
            Just("/:x"),
            Just("method GET"),
            Just("method GET POST"),
            Just("method POST"),
            Just("header X-A"),
            Just("header X-A 1"),
            Just("header X-A 1 2"),
            Just("query q 1"),
            Just("host example.com"),
            Just("host *.com"),
            Just("host example.net"),
            Just("scheme http"),
            Just("scheme https"),
            Just("client_ip 0.0.0.0/0 ::/0"),
            Just("client_ip 127.0.0.0/8"),
            Just("client_ip 10.0.0.0/8"),
            Just("{query.q} ~ `^1`"),
            Just("{query.q} !~ `^1`"),
        ];
        let sign =
            prop_oneof![Just("="), Just("!="), Just("^="), Just("$="), Just("<"), Just("<="), Just(">"), Just(">="),];
        let comparison = (sign, 0..13).prop_map(|(sign, value)| format!("{{query.q}} {sign} {value}"));
        let one = prop_oneof![name.prop_map(str::to_owned), comparison];
        (prop::bool::ANY, one).prop_map(|(turned, one)| if turned { format!("not {one}") } else { one })
    }

    proptest! {
        #[test]
        fn what_is_impossible_never_holds(
            all in prop::collection::vec(question(), 1..4), any in prop::collection::vec(question(), 1..3),
            path in "/[ab]?(/c)?", value in 0..13, second in prop::option::of(0..13), field in prop::option::of("[123]"), bare in prop::bool::ANY,
        ) {
            let expr = read(&format!("{} and not ({})", all.join(" and "), any.join(" or ")));
            let second = second.map(|second| format!("&q={second}")).unwrap_or_default();
            let mut exchange = if let Some(field) = &field {
                Exchange::sample(&format!("{path}?q={value}{second}"), &[("x-a", field)])
            } else if bare {
                Exchange::sample(&path, &[])
            } else {
                Exchange::sample(&format!("{path}?q={value}{second}"), &[])
            };
            if impossible(&expr, &mut Patience::default()).is_some() {
                prop_assert!(!expr.compile().holds(&mut exchange), "{expr:?}");
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_seen() {
        let seen = |expr: &str| impossible(&read(expr), &mut Patience::default());
        assert_eq!(seen("{port} < 2 and {port} > 3"), Some(COMPARED));
        assert_eq!(seen("{port} < 3 and {port} > 2"), None);
        assert_eq!(seen("{host} = 12 and {host} $= 3"), Some(COMPARED));
        // There may be several.
        assert_eq!(seen("{query.q} < 2 and {query.q} > 3"), None);
        assert_eq!(seen("{query.q} = 12 and {query.q} $= 3"), None);
        assert_eq!(seen("{cookie.q} = 12 and {cookie.q} != 12"), Some(COMPARED));
        assert_eq!(seen("{header.q} !~ `^1` and {header.q} = 12"), Some(COMPARED));
        assert_eq!(seen("(/a and method GET) and (not header X-A and not /a/*)"), Some(CANCELLED));
        assert_eq!(seen("not client_ip ::/0"), None);
    }
}
