//! Which server is asked: by turns or by load, primaries before backups, and none that is out.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// By turns, in proportion to the weights.
    #[default]
    RoundRobin,
    /// The one with the fewest requests on their way, in proportion to the weights.
    LeastConn,
}

/// Turns longer than this are rounded.
const MAX_TURN: u32 = 4096;

#[derive(Debug)]
pub struct Balancer {
    policy: Policy,
    primaries: Group,
    backups: Group,
}

/// Servers of one rank.
#[derive(Debug)]
struct Group {
    /// Each server as often as its weight says, spread evenly; once where load decides.
    turn: Box<[u16]>,
    next: AtomicUsize,
}

impl Balancer {
    pub fn new(policy: Policy, servers: &[Server]) -> Self {
        Self { policy, primaries: Group::new(policy, servers, false), backups: Group::new(policy, servers, true) }
    }

    /// The server for a request; those to `avoid` were tried already, and the last of them is tried again only where there
    /// is no other.
    pub fn choose(&self, servers: &[Server], avoid: &[u16]) -> Option<u16> {
        // A single server is asked unless checks say that it is down: there is nobody to spare it for.
        if let [server] = servers {
            return (!server.slot.health.is_down()).then_some(0);
        }
        let fit = |at: u16| servers.get(usize::from(at)).is_some_and(Server::is_fit);
        let new = |at: u16| !avoid.contains(&at) && fit(at);
        self.primaries
            .choose(self.policy, servers, new)
            .or_else(|| self.backups.choose(self.policy, servers, new))
            .or_else(|| avoid.last().copied().filter(|at| fit(*at)))
    }
}

impl Group {
    fn new(policy: Policy, servers: &[Server], backup: bool) -> Self {
        let weight = |server: &Server| match policy {
            _ if server.backup != backup => 0,
            Policy::RoundRobin => u32::from(server.weight),
            Policy::LeastConn => u32::from(server.weight.min(1)),
        };
        let weights: Vec<u32> = servers.iter().map(weight).collect();
        Self { turn: spread(&weights), next: AtomicUsize::new(0) }
    }

    fn choose(&self, policy: Policy, servers: &[Server], fit: impl Fn(u16) -> bool) -> Option<u16> {
        let length = self.turn.len();
        let start = match length {
            0 => return None,
            1 => 0,
            _ => self.next.fetch_add(1, Relaxed) % length,
        };
        // From the place whose turn it is, so that equals take turns and the load of one that is out is spread.
        let mut candidates = (0..length).map(|step| self.turn[(start + step) % length]).filter(|at| fit(*at));
        match policy {
            Policy::RoundRobin => candidates.next(),
            Policy::LeastConn => candidates.min_by(|a, b| {
                let load = |at: u16| {
                    let server = &servers[usize::from(at)];
                    (u64::from(server.slot.in_flight()) + 1, u64::from(server.weight))
                };
                let ((load_a, weight_a), (load_b, weight_b)) = (load(*a), load(*b));
                (load_a * weight_b).cmp(&(load_b * weight_a))
            }),
        }
    }
}

/// Smooth weighted turns: at each place the server that is furthest behind its share.
fn spread(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let sum: u32 = weights.iter().map(|weight| weight / divisor).sum();
    let scaled: Vec<i64> = weights
        .iter()
        .map(|weight| {
            let weight = weight / divisor;
            let share = if sum > MAX_TURN {
                (u64::from(weight) * u64::from(MAX_TURN)).div_ceil(u64::from(sum))
            } else {
                weight.into()
            };
            i64::try_from(share).unwrap_or(1)
        })
        .collect();
    let total: i64 = scaled.iter().sum();
    let mut credit = vec![0_i64; scaled.len()];
    (0..total)
        .filter_map(|_| {
            credit.iter_mut().zip(&scaled).for_each(|(credit, weight)| *credit += weight);
            // The first of equals.
            let best = (0..credit.len()).filter(|at| scaled[*at] > 0).min_by_key(|at| -credit[*at])?;
            credit[best] -= total;
            u16::try_from(best).ok()
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_and_in_proportion() {
        assert_eq!(*spread(&[3, 2, 1]), [0, 1, 0, 2, 1, 0]);
        assert_eq!(*spread(&[100, 100]), [0, 1]);
        assert_eq!(*spread(&[0, 7]), [1]);
        assert!(spread(&[]).is_empty());
        let long = spread(&[60_000, 1, 30_001]);
        assert!(long.len() <= MAX_TURN as usize + 3);
        assert_eq!(long.iter().filter(|at| **at == 1).count(), 1, "the least weight is not rounded away");
    }
}
