//! How many connections each client has, where that is limited: counted in shards, once a connection, and not at all where it
//! is not.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::telemetry::every::Every;
use crate::telemetry::metrics;

/// One client: an address, or the /64 that a client of IPv6 has all addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    V4(u32),
    V6(u64),
}

impl Key {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

type Shard = Mutex<HashMap<Key, usize>>;

struct Seats {
    /// Keyed: nobody can choose addresses that fall into one shard (threat XL09).
    hasher: RandomState,
    shards: [Shard; 64],
}

static SEATS: LazyLock<Seats> =
    LazyLock::new(|| Seats { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) });

fn shard(key: Key) -> MutexGuard<'static, HashMap<Key, usize>> {
    let seats = &*SEATS;
    let at = usize::try_from(seats.hasher.hash_one(key) % 64).unwrap_or_default();
    seats.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a client, for as long as it lasts.
#[derive(Debug)]
pub struct Seat(Key);

/// A seat for a client that has fewer than `most`; `None` where it has not.
pub fn take(ip: IpAddr, most: usize) -> Option<Seat> {
    let key = Key::of(ip);
    let mut shard = shard(key);
    let taken = shard.entry(key).or_insert(0);
    if *taken >= most {
        drop(shard);
        refused(ip);
        return None;
    }
    *taken += 1;
    Some(Seat(key))
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shard = shard(self.0);
        if let Some(taken) = shard.get_mut(&self.0) {
            *taken -= 1;
            // Who has none leaves no trace: made-up clients fill no memory (threat XL10).
            if *taken == 0 {
                shard.remove(&self.0);
            }
        }
    }
}

fn refused(ip: IpAddr) {
    static EVERY: Every = Every::second();
    metrics::global().connections_refused.add(1);
    if let Some(suppressed) = EVERY.pass() {
        tracing::info!(peer = %ip, suppressed, "a client with as many connections as it may have is refused another");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xl10_a_network_of_ipv6_is_one_client_and_nothing_stays() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = take(ip("2001:db8:77:1::1"), 2).unwrap();
        let second = take(ip("2001:db8:77:1:ffff::2"), 2).unwrap();
        assert!(take(ip("2001:db8:77:1::3"), 2).is_none());
        let other = take(ip("2001:db8:77:2::3"), 2).unwrap();
        drop(first);
        assert!(take(ip("2001:db8:77:1::3"), 2).is_some(), "and it is given back");
        drop((second, other));
        let mapped = take(ip("::ffff:192.0.2.77"), 1).unwrap();
        assert!(take(ip("192.0.2.77"), 1).is_none());
        drop(mapped);
        for text in ["2001:db8:77:1::", "2001:db8:77:2::", "192.0.2.77"] {
            let key = Key::of(ip(text));
            assert!(!shard(key).contains_key(&key), "{text}");
        }
    }
}
