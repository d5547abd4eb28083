//! Values by the name that a client asks for: the name itself before a wildcard, both before what is for everybody else.

use std::collections::HashMap;
use std::net::IpAddr;

use super::name::Name;

/// Filled once, then only read.
#[derive(Debug)]
pub struct ByName<T> {
    hosts: HashMap<Box<str>, T>,
    wildcards: HashMap<Box<str>, T>,
    addresses: HashMap<IpAddr, T>,
    /// For a name that nobody has.
    unknown: Option<T>,
    /// For a client that names none, at an address that nobody has.
    nameless: Option<T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        let (hosts, wildcards, addresses) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { hosts, wildcards, addresses, unknown: None, nameless: None }
    }
}

impl<T> ByName<T> {
    /// The last value given holds.
    pub fn add(&mut self, name: &Name, value: T) {
        match name {
            Name::Host(host) => self.hosts.insert(host.clone(), value),
            Name::Wildcard(rest) => self.wildcards.insert(rest.clone(), value),
            Name::Address(address) => self.addresses.insert(*address, value),
        };
    }

    pub fn set_unknown(&mut self, value: T) {
        self.unknown = Some(value);
    }

    pub fn set_nameless(&mut self, value: T) {
        self.nameless = Some(value);
    }

    /// All there are, for names.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.hosts.values().chain(self.wildcards.values()).chain(&self.unknown)
    }

    /// The addresses that have a value of their own.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.keys().copied()
    }

    /// What stands under this very name, wildcards as such.
    pub fn of(&self, name: &Name) -> Option<&T> {
        match name {
            Name::Host(host) => self.hosts.get(host),
            Name::Wildcard(rest) => self.wildcards.get(rest),
            Name::Address(address) => self.addresses.get(address),
        }
    }

    /// For a name as it came: any case, perhaps with a final dot.
    pub fn find(&self, host: &str) -> Option<&T> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            // rustls lower-cases what it hands us, so this is for other callers; names end at 253 bytes.
            let mut buffer = [0; 253];
            let lower = buffer.get_mut(..host.len()).and_then(|lower| {
                lower.copy_from_slice(host.as_bytes());
                lower.make_ascii_lowercase();
                std::str::from_utf8(lower).ok()
            });
            return lower.and_then(|lower| self.known(lower)).or(self.unknown.as_ref());
        }
        self.known(host).or(self.unknown.as_ref())
    }

    fn known(&self, host: &str) -> Option<&T> {
        self.hosts.get(host).or_else(|| {
            let (label, rest) = host.split_once('.')?;
            self.wildcards.get(rest).filter(|_| !label.is_empty())
        })
    }

    /// For a client that named no host: browsers do so when the URL bears an address (RFC 6066, section 3).
    pub fn find_address(&self, local: Option<IpAddr>) -> Option<&T> {
        local.and_then(|local| self.addresses.get(&local.to_canonical())).or(self.nameless.as_ref())
    }

    /// Where one address alone is known, it is met wherever a client arrives: behind an address translation, the address
    /// that it came to is another one.
    pub fn meet_nameless(&mut self)
    where
        T: Clone,
    {
        let mut all = self.addresses.values();
        if let (None, Some(only), None) = (&self.nameless, all.next(), all.next()) {
            self.nameless = Some(only.clone());
        }
    }

    /// For what a client said and where it came to.
    pub fn choose(&self, host: Option<&str>, local: Option<IpAddr>) -> Option<&T> {
        match host {
            Some(host) => self.find(host),
            None => self.find_address(local),
        }
    }
}
