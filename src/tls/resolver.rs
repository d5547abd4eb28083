//! Which certificate a client gets: by the name that it asks for, else by the address that it came to, else the default.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::demand::Table;
use super::by_name::ByName;
use super::name::Name;

/// A name's certificate where it changes by itself: whoever holds the slot puts the next one in, and no other name
/// notices.
#[derive(Debug)]
pub struct Slot(ArcSwap<CertifiedKey>);

impl Slot {
    pub fn new(key: Arc<CertifiedKey>) -> Arc<Self> {
        Arc::new(Self(ArcSwap::new(key)))
    }

    /// From the next handshake on.
    pub fn put(&self, key: Arc<CertifiedKey>) {
        self.0.store(key);
    }

    /// Shows what a responder says of a certificate beside it, or nothing any more; another certificate is left alone.
    pub(super) fn staple(&self, of: &CertifiedKey, answer: Option<&[u8]>) {
        let shown = self.0.load();
        if shown.cert != of.cert || shown.ocsp.as_deref() == answer {
            return;
        }
        let stapled = CertifiedKey { ocsp: answer.map(<[u8]>::to_vec), ..CertifiedKey::clone(&shown) };
        // Where another certificate has come in between, it stays.
        self.0.compare_and_swap(&shown, Arc::new(stapled));
    }
}

/// Where the certificate of a name is.
#[derive(Debug, Clone)]
enum Place {
    Fixed(Arc<CertifiedKey>),
    Slot(Arc<Slot>),
    /// Of names that become known when somebody comes for them.
    Unnamed(Arc<Table>),
}

impl Place {
    /// For a host.
    fn key(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Fixed(key) => Some(Arc::clone(key)),
            Self::Slot(slot) => Some(slot.0.load_full()),
            Self::Unnamed(table) => {
                let host = host?.trim_end_matches('.');
                table.load().get(host).map(|slot| slot.0.load_full())
            }
        }
    }
}

/// Names and their certificates. Filled once, then only read.
#[derive(Debug, Default)]
pub struct Names(ByName<Place>);

impl Names {
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a name its certificate. The last one given holds.
    pub fn add(&mut self, name: &Name, key: Arc<CertifiedKey>) {
        self.0.add(name, Place::Fixed(key));
    }

    /// The same for a certificate that changes by itself.
    pub fn add_slot(&mut self, name: &Name, slot: Arc<Slot>) {
        self.0.add(name, Place::Slot(slot));
    }

    /// Certificates for names that nobody has named, below a wildcard or at all: those in the table.
    pub fn add_unnamed(&mut self, below: Option<&Name>, table: &Arc<Table>) {
        match below {
            Some(name) => self.0.add(name, Place::Unnamed(Arc::clone(table))),
            None => self.0.set_unknown(Place::Unnamed(Arc::clone(table))),
        }
    }

    /// Whether any name may have its certificate from the table.
    pub fn are_open(&self) -> bool {
        self.0.values().any(|place| matches!(place, Place::Unnamed(_)))
    }

    /// Whether this one may, and it is not there yet.
    pub fn awaits(&self, host: &str) -> bool {
        self.0.find(host).is_some_and(|place| matches!(place, Place::Unnamed(_)) && place.key(Some(host)).is_none())
    }

    /// Whether this very name has a certificate.
    pub fn has(&self, name: &Name) -> bool {
        self.0.of(name).is_some()
    }

    /// What a client gets that asks for an unknown name or for none. Without it such a handshake is refused.
    pub fn set_default(&mut self, key: Arc<CertifiedKey>) {
        self.0.set_unknown(Place::Fixed(Arc::clone(&key)));
        self.0.set_nameless(Place::Fixed(key));
    }

    /// The same for a certificate that changes by itself.
    pub fn set_default_slot(&mut self, slot: &Arc<Slot>) {
        self.0.set_unknown(Place::Slot(Arc::clone(slot)));
        self.0.set_nameless(Place::Slot(Arc::clone(slot)));
    }

    /// Who asks for a name that nobody has gets the certificate of this one, if it has any.
    pub fn show_to_unknown(&mut self, name: &Name) {
        if let Some(place) = self.0.of(name).cloned() {
            self.0.set_unknown(place);
        }
    }

    /// So does who asks for none.
    pub fn show_to_nameless(&mut self, name: &Name) {
        if let Some(place) = self.0.of(name).cloned() {
            self.0.set_nameless(place);
        }
    }

    /// Where one address alone has a certificate, who asks for no name gets it, wherever it arrives.
    pub fn meet_nameless(&mut self) {
        self.0.meet_nameless();
    }

    /// The addresses that have a certificate of their own, for [`Resolver::at`].
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.addresses()
    }

    /// For a name as it came: any case, perhaps with a final dot. Exact before wildcard before default.
    pub fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.0.find(host).and_then(|place| place.key(Some(host)))
    }

    /// For a client that named no host: browsers do so when the URL bears an address (RFC 6066, section 3).
    pub fn find_address(&self, local: Option<IpAddr>) -> Option<Arc<CertifiedKey>> {
        self.0.find_address(local).and_then(|place| place.key(None))
    }
}

/// The names in force. A reload swaps them in place, so listeners and their configurations stay.
#[derive(Debug)]
pub struct Resolver {
    names: ArcSwap<Names>,
}

impl Resolver {
    pub fn new(names: Names) -> Arc<Self> {
        Arc::new(Self { names: ArcSwap::from_pointee(names) })
    }

    /// From the next handshake on.
    pub fn swap(&self, names: Names) {
        self.names.store(Arc::new(names));
    }

    /// What is in force now.
    pub fn names(&self) -> Arc<Names> {
        self.names.load_full()
    }

    /// The same names as seen by connections that came to one local address. rustls does not tell a resolver where a
    /// connection arrived, so a configuration is needed for each address that has a certificate of its own.
    pub fn at(self: &Arc<Self>, local: IpAddr) -> Arc<dyn ResolvesServerCert> {
        Arc::new(At { resolver: Arc::clone(self), local })
    }

    fn choose(&self, host: Option<&str>, local: Option<IpAddr>) -> Option<Arc<CertifiedKey>> {
        let names = self.names.load();
        match host {
            Some(host) => names.find(host),
            None => names.find_address(local),
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), None)
    }
}

#[derive(Debug)]
struct At {
    resolver: Arc<Resolver>,
    local: IpAddr,
}

impl ResolvesServerCert for At {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.resolver.choose(hello.server_name(), Some(self.local))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tls::certificate::Certificate;
    use crate::tls::certificate::tests::World;

    fn key(world: &World) -> Arc<CertifiedKey> {
        let signed = world.sign(&["a.test"]);
        Arc::clone(Certificate::from_pem(signed.chain.as_bytes(), signed.key.as_bytes()).unwrap().key())
    }

    fn names(world: &World, patterns: &[&str]) -> (Names, HashMap<String, Arc<CertifiedKey>>) {
        let (mut names, mut keys) = (Names::new(), HashMap::new());
        for pattern in patterns {
            let key = key(world);
            names.add(&Name::parse(pattern).unwrap(), Arc::clone(&key));
            keys.insert((*pattern).to_owned(), key);
        }
        (names, keys)
    }

    #[test]
    fn exact_before_wildcard_before_default() {
        let world = World::new();
        let (mut names, keys) = names(&world, &["a.test", "*.a.test", "b.a.test"]);
        let check = |names: &Names, host: &str, expected: Option<&Arc<CertifiedKey>>| {
            assert_eq!(names.find(host).as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{host}");
        };
        let long = format!("{}.test", "A".repeat(300));
        for (host, expected) in [
            ("a.test", Some("a.test")),
            ("A.Test.", Some("a.test")),
            ("b.a.test", Some("b.a.test")),
            ("c.a.test", Some("*.a.test")),
            ("C.A.TEST.", Some("*.a.test")),
            ("d.c.a.test", None),
            (".a.test", None),
            ("test", None),
            ("", None),
            (long.as_str(), None),
        ] {
            check(&names, host, expected.map(|name| &keys[name]));
        }
        let default = key(&world);
        names.set_default(Arc::clone(&default));
        for host in ["d.c.a.test", "", "UNKNOWN", long.as_str()] {
            check(&names, host, Some(&default));
        }
        check(&names, "a.test", Some(&keys["a.test"]));
    }

    #[test]
    fn without_a_name_the_local_address_decides() {
        let world = World::new();
        let (mut names, keys) = names(&world, &["10.0.0.1", "::1", "a.test"]);
        let find = |names: &Names, local: &str| names.find_address(local.parse().ok()).as_ref().map(Arc::as_ptr);
        assert_eq!(find(&names, "10.0.0.1"), Some(Arc::as_ptr(&keys["10.0.0.1"])));
        assert_eq!(find(&names, "::ffff:10.0.0.1"), Some(Arc::as_ptr(&keys["10.0.0.1"])));
        assert_eq!(find(&names, "10.0.0.2"), None);
        assert!(names.find_address(None).is_none());
        assert_eq!(names.addresses().count(), 2);
        let default = key(&world);
        names.set_default(Arc::clone(&default));
        assert_eq!(find(&names, "10.0.0.2"), Some(Arc::as_ptr(&default)));
    }

    #[test]
    fn a_slot_changes_alone() {
        let world = World::new();
        let (mut names, keys) = names(&world, &["a.test"]);
        let [before, after] = [key(&world), key(&world)];
        let slot = Slot::new(Arc::clone(&before));
        names.add_slot(&Name::parse("b.test").unwrap(), Arc::clone(&slot));
        let resolver = Resolver::new(names);
        let shown = |host| resolver.choose(Some(host), None).as_ref().map(Arc::as_ptr);
        assert_eq!(shown("b.test"), Some(Arc::as_ptr(&before)));
        slot.put(Arc::clone(&after));
        assert_eq!(shown("b.test"), Some(Arc::as_ptr(&after)));
        assert_eq!(shown("a.test"), Some(Arc::as_ptr(&keys["a.test"])));
    }

    #[test]
    fn a_swap_is_seen_by_all_who_hold_the_resolver() {
        let world = World::new();
        let (before, _) = names(&world, &["a.test"]);
        let (after, _) = names(&world, &["b.test", "127.0.0.1"]);
        let resolver = Resolver::new(before);
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(resolver.choose(Some("a.test"), None).is_some());
        assert!(resolver.choose(None, Some(local)).is_none());
        resolver.swap(after);
        assert!(resolver.choose(Some("a.test"), None).is_none());
        assert!(resolver.choose(Some("b.test"), None).is_some());
        assert!(resolver.choose(None, Some(local)).is_some());
    }
}
