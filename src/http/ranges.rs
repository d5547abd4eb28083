//! Networks as sorted ranges: a list of ten thousand is asked in fourteen steps.

use std::net::IpAddr;

use crate::check::value::Network;

/// Addresses of both families, each in order and without overlap.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    #[must_use]
    pub fn of(networks: &[Network]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Network(network) in networks {
            match (network.network(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                _ => {}
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => holds(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => holds(&self.v6, ip.to_bits()),
        }
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= value);
    behind.checked_sub(1).is_some_and(|at| value <= ranges[at].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::Value as _;

    #[test]
    fn s10_both_families_and_their_edges() {
        let ranges = Ranges::of(
            &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "0.0.0.0/32", "255.255.255.255"]
                .map(|text| Network::parse(text).unwrap()),
        );
        for (ip, expected) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("0.0.0.0", true),
            ("255.255.255.255", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(ranges.contains(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    proptest! {
        #[test]
        fn ranges_hold_what_networks_do(
            networks in prop::collection::vec((any::<u8>(), 0_u8..=32), 0..30),
            asked in prop::collection::vec(any::<u8>(), 20),
        ) {
            let networks: Vec<Network> = networks
                .into_iter()
                .map(|(first, length)| Network(ipnet::Ipv4Net::new([10, first, 0, 0].into(), length).unwrap().trunc().into()))
                .collect();
            let ranges = Ranges::of(&networks);
            for byte in asked {
                let ip = IpAddr::from([10, byte, 0, byte]);
                prop_assert_eq!(ranges.contains(ip), networks.iter().any(|network| network.contains(ip)));
            }
        }
    }
}
