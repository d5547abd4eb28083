//! `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`: sets of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Value, Wrong};

/// A CIDR block; a single address is one of full length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Network {
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }
}

impl Value for Network {
    const KIND: &'static str = "an address or a CIDR block";
    const EXAMPLE: &'static str = "10.0.0.0/8, 192.0.2.7 or 2001:db8::/32";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Network(IpNet::from(ip)));
        }
        let net: IpNet = text.parse().map_err(|_| Wrong::kind())?;
        if net.trunc() != net {
            return Err(Wrong::say(format!("`{text}` has bits beyond its mask")).help(format!(
                "write `{}`, or `{}` for that one address",
                net.trunc(),
                net.addr()
            )));
        }
        Ok(Network(net))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_exact() {
        assert!(Network::parse("10.0.0.0/8").unwrap().contains("10.9.9.9".parse().unwrap()));
        assert!(Network::parse("::1").unwrap().contains("::1".parse().unwrap()));
        assert_eq!(
            Network::parse("10.0.0.1/8").unwrap_err().help.as_deref(),
            Some("write `10.0.0.0/8`, or `10.0.0.1` for that one address")
        );
        assert!(Network::parse("10.0.0.0/33").is_err());
        assert!(Network::parse("10.0.0/8").is_err());
    }
}
