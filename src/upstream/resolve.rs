//! Names to addresses, through the system's resolver and a cache of the process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::fault::{Cause, Fault};

/// The system's resolver does not tell how long an answer holds.
const FRESH: Duration = Duration::from_secs(30);
/// An old answer is better than none: a name server that is away should not take the site with it.
const STALE: Duration = Duration::from_mins(5);
/// Before a name that was not found is looked up again.
const RETRY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(4);
const MAX_NAMES: usize = 4096;
/// Addresses that are taken from an answer, of each family: a name server may give thousands of them, and each is a server to
/// be tried (threat XZ06). Of a name with more than that, those that the resolver prefers are as good as all of them.
const MAX_ADDRESSES: usize = 64;

struct Entry {
    addresses: Option<Arc<[IpAddr]>>,
    /// Why the last lookup failed.
    reason: Box<str>,
    learned: Instant,
    /// When the next lookup is due.
    due: Instant,
    /// Held by the one that looks the name up for all who have nothing to go by.
    gate: Arc<Gate>,
}

type Gate = tokio::sync::Mutex<()>;
type Addresses = Result<Arc<[IpAddr]>, Fault>;

/// Touched when a connection is made, not when one is used.
fn names() -> MutexGuard<'static, HashMap<Box<str>, Entry>> {
    static NAMES: LazyLock<Mutex<HashMap<Box<str>, Entry>>> = LazyLock::new(Mutex::default);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At least one address, the families in turn (RFC 8305 §4).
pub async fn resolve(name: &str) -> Addresses {
    match known(name, Instant::now()) {
        Known::Answer(answer) => answer,
        Known::Due => ask(name).await,
        Known::Nothing(gate) => {
            let _held = gate.lock().await;
            match known(name, Instant::now()) {
                Known::Answer(answer) => answer,
                Known::Due | Known::Nothing(_) => ask(name).await,
            }
        }
    }
}

enum Known {
    Answer(Addresses),
    /// Whoever is told so looks the name up, while all others go by what is known.
    Due,
    Nothing(Arc<Gate>),
}

fn known(name: &str, now: Instant) -> Known {
    let mut names = names();
    let entry = names.entry(name.into()).or_insert_with(|| Entry::new(now));
    let usable = entry.usable(now);
    if now < entry.due {
        return Known::Answer(usable.ok_or_else(|| Fault::detailed(Cause::Dns, format!("{name}: {}", entry.reason))));
    }
    if usable.is_none() {
        return Known::Nothing(entry.gate.clone());
    }
    entry.due = now + PATIENCE;
    Known::Due
}

async fn ask(name: &str) -> Addresses {
    let found = match tokio::time::timeout(PATIENCE, lookup(name)).await {
        Ok(found) => found,
        Err(_) => Err("no answer from the name server".to_owned()),
    };
    let now = Instant::now();
    let mut names = names();
    if names.len() > MAX_NAMES {
        names.retain(|_, entry| entry.usable(now).is_some());
    }
    let entry = names.entry(name.into()).or_insert_with(|| Entry::new(now));
    entry.learn(found, now);
    entry.usable(now).ok_or_else(|| Fault::detailed(Cause::Dns, format!("{name}: {}", entry.reason)))
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self { addresses: None, reason: "".into(), learned: now, due: now, gate: Arc::default() }
    }

    fn usable(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        self.addresses.clone().filter(|_| now < self.learned + STALE)
    }

    fn learn(&mut self, found: Result<Arc<[IpAddr]>, String>, now: Instant) {
        match found {
            Ok(addresses) => {
                self.addresses = Some(addresses);
                self.learned = now;
                self.due = now + FRESH;
            }
            Err(reason) => {
                self.reason = reason.into();
                self.due = now + RETRY;
            }
        }
    }
}

async fn lookup(name: &str) -> Result<Arc<[IpAddr]>, String> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    let addresses = bounded(found.map(|address| address.ip()));
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(in_turn(&addresses).into())
}

/// Each once, in the resolver's order.
fn bounded(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut addresses, mut counts) = (Vec::new(), [0; 2]);
    for address in found {
        let count = &mut counts[usize::from(address.is_ipv6())];
        if *count < MAX_ADDRESSES && !addresses.contains(&address) {
            *count += 1;
            addresses.push(address);
        }
    }
    addresses
}

/// Keeps the resolver's order within each family and begins with the one that it prefers.
fn in_turn(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (preferred, other): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|ip| ip.is_ipv6() == first);
    let mut turn = Vec::with_capacity(addresses.len());
    for at in 0..preferred.len().max(other.len()) {
        turn.extend(preferred.get(at));
        turn.extend(other.get(at));
    }
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let ips = |text: &str| text.split(' ').map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(in_turn(&ips("::1 ::2 ::3 1.1.1.1")), ips("::1 1.1.1.1 ::2 ::3"));
        assert_eq!(in_turn(&ips("1.1.1.1 1.1.1.2 ::1")), ips("1.1.1.1 ::1 1.1.1.2"));
    }

    #[test]
    fn xz06_an_answer_without_measure_is_cut_in_both_families() {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let v4 = |at: u32| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + at));
        let v6 = |at: u32| IpAddr::from(Ipv6Addr::from_bits(u128::from(at) + (0xfd << 120)));
        let found = (0..10_000).map(v6).chain((0..10_000).map(v4));
        let expected: Vec<IpAddr> = (0..64).map(v6).chain((0..64).map(v4)).collect();
        assert_eq!(bounded(found), expected);
        let twice = (0..3).chain(0..3).map(v4);
        assert_eq!(bounded(twice), (0..3).map(v4).collect::<Vec<_>>());
        assert!(bounded(std::iter::empty()).is_empty());
    }

    #[test]
    fn an_old_answer_serves_while_one_looks_it_up() {
        let addresses: Arc<[IpAddr]> = ["10.0.0.1".parse().unwrap()].into();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let answer = |seconds| match known("old.test", at(seconds)) {
            Known::Answer(answer) => Some(answer.ok()),
            Known::Due | Known::Nothing(_) => None,
        };
        assert!(matches!(known("old.test", start), Known::Nothing(_)));
        names().get_mut("old.test").unwrap().learn(Ok(addresses.clone()), start);
        assert_eq!(answer(29), Some(Some(addresses.clone())));
        assert!(matches!(known("old.test", at(30)), Known::Due), "the first one finds it due");
        assert_eq!(answer(31), Some(Some(addresses.clone())), "the others do not wait");
        names().get_mut("old.test").unwrap().learn(Err("away".to_owned()), at(299));
        assert_eq!(answer(299), Some(Some(addresses)));
        names().get_mut("old.test").unwrap().learn(Err("away".to_owned()), at(300));
        assert_eq!(answer(300), Some(None), "too old, and not to be asked for again so soon");
        assert!(matches!(known("old.test", at(301)), Known::Nothing(_)));
    }
}
