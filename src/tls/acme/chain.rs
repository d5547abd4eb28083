//! Which of several chains of one certificate is taken, where the authority offers more than one (RFC 8555, section 7.4.2).
//!
//! They differ by the root that they lead to, and so by the clients that believe them.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::LINK;
use http::response::Parts;
use instant_acme::Account;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Failure, patiently};
use crate::tls::certificate::{certificates, common_name};

/// For all chains but the usual one, which is at hand: without an end they could use up the time of the order.
const PATIENCE: Duration = Duration::from_secs(60);
/// Chains that are fetched. Let's Encrypt offers two or three.
const MOST: usize = 8;

/// What a chain should be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preference {
    /// As few certificates as there can be.
    Shortest,
    /// It leads to the root that is called this.
    Under(String),
}

/// A chain as it came, and the names of those who signed its certificates, that of the site's first.
struct Chain {
    pem: String,
    leaf: CertificateDer<'static>,
    issuers: Vec<String>,
}

impl Chain {
    fn read(pem: &[u8]) -> Option<Self> {
        let certificates = certificates(pem, "chain").ok()?;
        let issuer =
            |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| common_name(certificate.issuer()));
        let issuers = certificates.iter().map(|der| issuer(der)).collect::<Option<Vec<String>>>()?;
        let leaf = certificates.into_iter().next()?;
        Some(Self { pem: String::from_utf8(pem.to_vec()).ok()?, leaf, issuers })
    }

    fn leads_to(&self, root: &str) -> bool {
        self.issuers.last().is_some_and(|top| top.eq_ignore_ascii_case(root))
    }

    /// Whoever believes in this one finds a way to it.
    fn passes(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|name| name.eq_ignore_ascii_case(issuer))
    }
}

/// By the first preference that any of them fits, the first of those that fit it.
fn pick<'a>(chains: &'a [Chain], preferences: &[Preference]) -> Option<&'a Chain> {
    preferences.iter().find_map(|preference| match preference {
        Preference::Shortest => chains.iter().min_by_key(|chain| chain.issuers.len()),
        // A root that an older one has signed stands within the chain to that one, too.
        Preference::Under(name) => {
            let passing = || chains.iter().find(|chain| chain.passes(name));
            chains.iter().find(|chain| chain.leads_to(name)).or_else(passing)
        }
    })
}

/// The chain that is preferred of those that the authority offers; `usual` is the one that it sent, `heard` what else it
/// said with it. Whatever goes wrong with the others, this one is good.
pub(super) async fn prefer(
    account: &Account,
    preferences: &[Preference],
    name: &str,
    usual: String,
    heard: Option<Heard>,
) -> String {
    let (Some(first), Some(best)) = (Chain::read(usual.as_bytes()), preferences.first()) else { return usual };
    if matches!(best, Preference::Under(root) if first.leads_to(root)) {
        return usual;
    }
    let mut chains = vec![first];
    let until = Instant::now() + PATIENCE;
    for url in heard.iter().flat_map(|heard| &heard.alternates).take(MOST) {
        let fetched = timeout_at(until, fetch(account, url)).await;
        match fetched.unwrap_or_else(|_| Err(Failure::other("it takes too long"))) {
            Ok(chain) if chain.leaf == chains[0].leaf => chains.push(chain),
            Ok(_) => tracing::warn!(name, url, "what should be another chain is that of another certificate"),
            Err(failure) => tracing::warn!(name, url, reason = %failure, "another chain cannot be fetched"),
        }
    }
    if let Some(chosen) = pick(&chains, preferences) {
        return chosen.pem.clone();
    }
    let roots: Vec<&str> = chains.iter().filter_map(|chain| chain.issuers.last()).map(String::as_str).collect();
    tracing::warn!(name, offered = roots.join(", "), "no chain is a preferred one: the usual one is taken");
    usual
}

/// The library has no question for this. That for an order is the same, a signed one without a payload (section 6.3), with
/// all that belongs to it: nonces, and the key. Only the answer is one that it can't read.
async fn fetch(account: &Account, url: &str) -> Result<Chain, Failure> {
    let (read, heard) = overhear(async { patiently!(account.order(url.to_owned())) }).await;
    let chain = heard.and_then(|heard| Chain::read(&heard.body));
    chain.ok_or_else(|| read.map_or_else(Failure::from, |_| Failure::other("it is no chain")))
}

/// What the library keeps to itself of an answer.
#[derive(Debug, Default)]
pub(super) struct Heard {
    alternates: Vec<String>,
    body: Bytes,
}

tokio::task_local! {
    static HEARD: RefCell<Option<Heard>>;
}

/// Lets the library ask, and says what it was told in the last answer, where that was none of an error.
pub(super) async fn overhear<T>(asking: impl Future<Output = T>) -> (T, Option<Heard>) {
    HEARD.scope(RefCell::default(), async { (asking.await, HEARD.with(RefCell::take)) }).await
}

/// Whoever lets the library ask may want to know of this.
pub(super) fn tell(head: &Parts, body: &Bytes) {
    let fields = || head.headers.get_all(LINK).iter().filter_map(|field| field.to_str().ok());
    let alternates = || fields().flat_map(alternates).map(str::to_owned).collect();
    let heard = || Heard { alternates: alternates(), body: body.clone() };
    // Where nobody does, there is nothing to tell.
    let _ = HEARD.try_with(|last| *last.borrow_mut() = head.status.is_success().then(heard));
}

/// Where a Link field says that the same can be had in another form (RFC 8288, section 3).
fn alternates(field: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), field);
    while let Some((target, behind)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        let mut is_quoted = false;
        let end = behind.find(|c| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        });
        let (parameters, next) = behind.split_at(end.unwrap_or(behind.len()));
        if parameters.split(';').any(is_alternate) {
            found.push(target);
        }
        rest = next;
    }
    found
}

fn is_alternate(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("alternate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_alternates_are_found_among_others() {
        for (field, found) in [
            (r#"<https://ca.test/1>;rel="alternate""#, &["https://ca.test/1"][..]),
            ("<https://ca.test/1> ; REL = Alternate", &["https://ca.test/1"]),
            (
                r#"<https://ca.test/dir>;rel="index", <https://ca.test/1,2;3>;title="a, b";rel="up alternate",<b>;rel=alternate"#,
                &["https://ca.test/1,2;3", "b"],
            ),
            (r#"<https://ca.test/1>;rel="up", <https://ca.test/2>;relation=alternate"#, &[]),
            ("https://ca.test/1;rel=alternate", &[]),
            ("<https://ca.test/1;rel=alternate", &[]),
            ("", &[]),
        ] {
            assert_eq!(alternates(field), found, "{field}");
        }
    }

    #[test]
    fn the_first_preference_that_fits_decides_and_a_chain_that_ends_there_comes_before_one_that_goes_on() {
        let chain = |issuers: &[&str]| Chain {
            pem: issuers.join(" "),
            leaf: CertificateDer::from(vec![0]),
            issuers: issuers.iter().map(|name| (*name).to_owned()).collect(),
        };
        let offered = [chain(&["E1", "New", "Old"]), chain(&["E1", "New"]), chain(&["E2", "Other"])];
        let under = |name: &str| Preference::Under(name.to_owned());
        for (preferences, picked) in [
            (&[under("Old")][..], Some("E1 New Old")),
            (&[under("new")], Some("E1 New")),
            (&[under("E2")], Some("E2 Other")),
            (&[under("Nobody"), under("Other"), under("Old")], Some("E2 Other")),
            (&[Preference::Shortest], Some("E1 New")),
            (&[under("Nobody"), Preference::Shortest], Some("E1 New")),
            (&[under("Nobody")], None),
        ] {
            assert_eq!(pick(&offered, preferences).map(|chain| &*chain.pem), picked, "{preferences:?}");
        }
        assert_eq!(pick(&offered[..1], &[under("New")]).map(|chain| &*chain.pem), Some("E1 New Old"));
    }
}
