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
/// Between two tries while an old answer serves.
const RETRY: Duration = Duration::from_secs(2);
const MAX_NAMES: usize = 4096;

struct Entry {
    addresses: Arc<[IpAddr]>,
    learned: Instant,
    /// When the next lookup is due.
    due: Instant,
}

type Names = HashMap<Box<str>, Entry>;

/// Touched when a connection is made, not when one is used.
fn names() -> MutexGuard<'static, Names> {
    static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At least one address, the families in turn (RFC 8305 §4).
pub async fn resolve(name: &str) -> Result<Arc<[IpAddr]>, Fault> {
    if let Some(addresses) = known(name) {
        return Ok(addresses);
    }
    match lookup(name).await {
        Ok(addresses) => {
            let now = Instant::now();
            let mut names = names();
            if names.len() >= MAX_NAMES {
                names.retain(|_, entry| now < entry.learned + STALE);
            }
            names.insert(name.into(), Entry { addresses: addresses.clone(), learned: now, due: now + FRESH });
            Ok(addresses)
        }
        Err(reason) => stale(name).ok_or_else(|| Fault::detailed(Cause::Dns, format!("{name}: {reason}"))),
    }
}

/// What is fresh; whoever finds it due moves the date on and looks it up for all, while the others use what is known.
fn known(name: &str) -> Option<Arc<[IpAddr]>> {
    let now = Instant::now();
    let mut names = names();
    let entry = names.get_mut(name)?;
    if now < entry.due {
        return Some(entry.addresses.clone());
    }
    entry.due = now + RETRY;
    None
}

fn stale(name: &str) -> Option<Arc<[IpAddr]>> {
    let names = names();
    let entry = names.get(name)?;
    (entry.learned.elapsed() < STALE).then(|| entry.addresses.clone())
}

async fn lookup(name: &str) -> Result<Arc<[IpAddr]>, String> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(in_turn(&addresses).into())
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
    fn an_old_answer_serves_while_one_looks_it_up() {
        let addresses: Arc<[IpAddr]> = ["10.0.0.1".parse().unwrap()].into();
        let now = Instant::now();
        names().insert("old.test".into(), Entry { addresses: addresses.clone(), learned: now, due: now });
        assert_eq!(known("old.test"), None, "the first one finds it due");
        assert_eq!(known("old.test"), Some(addresses.clone()), "the others do not wait");
        assert_eq!(stale("old.test"), Some(addresses));
        assert_eq!(stale("unknown.test"), None);
    }
}
