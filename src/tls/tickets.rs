//! Stateless session tickets: sealed under a key that turns every 12 hours, good for one hour.
//!
//! rustls' own ticketer lets a ticket live as long as its keys. Here the time of issue is sealed into the ticket, so that
//! a resumption never reaches further back than an hour while the key need not turn as often. Keys come from the [`Ring`]
//! that instances share; where it has none, each process makes its own.

mod ring;

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

use ring::{Master, Masters};
pub use ring::{Ring, share};

/// Seconds for which a ticket is taken back.
const LIFETIME: u32 = 60 * 60;
/// Seconds for which one key seals; the one before it still opens.
const ROTATION: u64 = 12 * 60 * 60;

const NAME: usize = 16;
const NONCE: usize = 12;
const ISSUED: usize = 8;

/// The keys of one scope. Sites with different demands on clients must not share one: what was resumed skips the
/// demand for a client's certificate (CVE-2025-23419). Keep it across reloads, so that clients still resume.
pub struct Tickets {
    scope: Box<str>,
    ring: Arc<Ring>,
    /// What the ring gives to this scope.
    shared: ArcSwap<Shared>,
    /// Of this process alone.
    own: ArcSwap<Keys>,
}

/// Keys that other instances have, too.
struct Shared {
    from: Arc<Masters>,
    /// Each with the period in which it seals.
    keys: Vec<(u64, Key)>,
}

impl Tickets {
    /// Of this process alone.
    pub fn new() -> Arc<Self> {
        Self::of(&Arc::default(), "")
    }

    /// Of a ring. `scope` is all that clients had to meet: what is sealed for one scope opens in no other, whoever has the
    /// ring.
    pub fn of(ring: &Arc<Ring>, scope: &str) -> Arc<Self> {
        Arc::new(Self {
            scope: scope.into(),
            ring: Arc::clone(ring),
            shared: ArcSwap::from_pointee(Shared { from: Arc::default(), keys: Vec::new() }),
            own: ArcSwap::from_pointee(Keys { current: None, previous: None, until: 0 }),
        })
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let shared = self.shared();
        if let Some((_, key)) = shared.keys.iter().find(|(period, _)| *period == now / ROTATION) {
            return key.seal(plain, now);
        }
        self.keys_at(now)?.current.as_ref()?.seal(plain, now)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let shared = self.shared();
        if let Some((_, key)) = shared.keys.iter().find(|(_, key)| key.name == *name) {
            return key.open(rest, now);
        }
        let keys = self.keys_at(now)?;
        [&keys.current, &keys.previous].into_iter().flatten().find(|key| key.name == *name)?.open(rest, now)
    }

    /// The keys of the ring, derived once whenever it has changed: some microseconds, and nobody waits.
    fn shared(&self) -> Guard<Arc<Shared>> {
        let (shared, masters) = (self.shared.load(), self.ring.masters());
        if Arc::ptr_eq(&shared.from, &masters) {
            return shared;
        }
        let keys = masters.iter().filter_map(|master| Some((master.period, Key::derive(master, &self.scope)?)));
        self.shared.store(Arc::new(Shared { keys: keys.collect(), from: masters }));
        self.shared.load()
    }

    /// The keys for this moment. Whoever comes first after the turn makes the new key; the others see it or make
    /// one that is thrown away.
    fn keys_at(&self, now: u64) -> Option<Guard<Arc<Keys>>> {
        let keys = self.own.load();
        if now < keys.until {
            return Some(keys);
        }
        let next = Arc::new(keys.next(now)?);
        self.own.compare_and_swap(&keys, next);
        Some(self.own.load())
    }
}

struct Keys {
    current: Option<Arc<Key>>,
    previous: Option<Arc<Key>>,
    until: u64,
}

impl Keys {
    fn next(&self, now: u64) -> Option<Self> {
        // Without traffic nothing turns; a key whose last ticket has run out is forgotten, not kept.
        let needed = now < self.until.saturating_add(u64::from(LIFETIME));
        let previous = self.current.clone().filter(|_| needed);
        Some(Self { current: Some(Arc::new(Key::generate()?)), previous, until: now.saturating_add(ROTATION) })
    }
}

struct Key {
    name: [u8; NAME],
    seal: RandomizedNonceKey,
}

impl Key {
    fn generate() -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], [0; 32]);
        aws_lc_rs::rand::fill(&mut name).ok()?;
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        Self::of(name, &secret)
    }

    /// Neither the name nor the secret of one scope says anything of those of another (RFC 5869).
    fn derive(master: &Master, scope: &str) -> Option<Self> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                NAME + 32
            }
        }
        let mut bytes = [0; NAME + 32];
        let secret = Salt::new(HKDF_SHA256, b"rp session tickets").extract(&master.secret);
        secret.expand(&[scope.as_bytes()], Length).ok()?.fill(&mut bytes).ok()?;
        let (name, secret) = bytes.split_first_chunk::<NAME>()?;
        Self::of(*name, secret)
    }

    fn of(name: [u8; NAME], secret: &[u8]) -> Option<Self> {
        let seal = RandomizedNonceKey::new(&AES_256_GCM, secret).ok()?;
        Some(Self { name, seal })
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(ISSUED + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&now.to_be_bytes());
        sealed.extend_from_slice(plain);
        let nonce = self.seal.seal_in_place_append_tag(Aad::from(self.name), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE + sealed.len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    /// What was sealed, behind the key's name.
    fn open(&self, rest: &[u8], now: u64) -> Option<Vec<u8>> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.seal.open_in_place(nonce, Aad::from(self.name), &mut sealed).ok()?;
        let (issued, plain) = opened.split_first_chunk::<ISSUED>()?;
        let fresh = now.saturating_sub(u64::from_be_bytes(*issued)) <= u64::from(LIFETIME);
        fresh.then(|| plain.to_vec())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, UnixTime::now().as_secs())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_800_000_000;

    #[test]
    fn a_ticket_lives_an_hour() {
        let tickets = Tickets::new();
        let ticket = tickets.seal(b"session", BEGIN).unwrap();
        assert_eq!(tickets.open(&ticket, BEGIN).unwrap(), b"session");
        assert_eq!(tickets.open(&ticket, BEGIN + 3600).unwrap(), b"session");
        assert_eq!(tickets.open(&ticket, BEGIN + 3601), None);
        assert_eq!(tickets.lifetime(), 3600);
    }

    #[test]
    fn the_key_turns_and_the_one_before_still_opens() {
        let tickets = Tickets::new();
        let name = |ticket: &[u8]| ticket[..NAME].to_vec();
        let first = tickets.seal(b"1", BEGIN).unwrap();
        let late = tickets.seal(b"2", BEGIN + ROTATION - 1).unwrap();
        assert_eq!(name(&first), name(&late));
        let second = tickets.seal(b"3", BEGIN + ROTATION).unwrap();
        assert_ne!(name(&first), name(&second));
        assert_eq!(tickets.open(&late, BEGIN + ROTATION + 1).unwrap(), b"2");
        // Two turns later its key is gone, whatever the clock says.
        tickets.seal(b"4", BEGIN + 2 * ROTATION).unwrap();
        assert_eq!(tickets.open(&late, BEGIN + ROTATION), None);
    }

    #[test]
    fn a_key_that_slept_through_its_turn_is_forgotten() {
        let tickets = Tickets::new();
        tickets.seal(b"1", BEGIN).unwrap();
        tickets.seal(b"2", BEGIN + 3 * ROTATION).unwrap();
        assert!(tickets.own.load().previous.is_none());
    }

    #[test]
    fn forged_and_foreign_tickets_are_refused() {
        let tickets = Tickets::new();
        let ticket = tickets.seal(b"session", BEGIN).unwrap();
        for index in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[index] ^= 1;
            assert_eq!(tickets.open(&forged, BEGIN), None, "{index}");
            assert_eq!(tickets.open(&ticket[..index], BEGIN), None, "{index}");
        }
        assert_eq!(Tickets::new().open(&ticket, BEGIN), None);
        assert_ne!(ticket, tickets.seal(b"session", BEGIN).unwrap());
    }

    #[test]
    fn xt01_who_has_the_ring_resumes_in_the_same_scope_and_in_no_other() {
        let period = BEGIN / ROTATION;
        let ring = |masters: &[(u64, u8)]| {
            let ring = Arc::new(Ring::default());
            ring.hold(masters.iter().map(|(period, byte)| Master { period: *period, secret: [*byte; 32] }).collect());
            ring
        };
        let (here, there) = (ring(&[(period, 1)]), ring(&[(period, 1), (period + 1, 2)]));
        let ticket = Tickets::of(&here, "a").seal(b"session", BEGIN).unwrap();
        let other = Tickets::of(&there, "a");
        assert_eq!(other.open(&ticket, BEGIN).unwrap(), b"session");
        assert_eq!(Tickets::of(&there, "b").open(&ticket, BEGIN), None, "another scope");
        assert_eq!(Tickets::of(&ring(&[(period, 3)]), "a").open(&ticket, BEGIN), None, "another ring");
        // The key turned, and the one before it still opens.
        let turn = (period + 1) * ROTATION;
        let late = Tickets::of(&here, "a").seal(b"late", turn - 1).unwrap();
        let next = other.seal(b"next", turn).unwrap();
        assert_ne!(late[..NAME], next[..NAME]);
        assert_eq!(other.open(&late, turn + 60).unwrap(), b"late");
        // A ring that has not followed seals with a key of this process, which nobody else opens.
        let own = Tickets::of(&here, "a");
        let alone = own.seal(b"alone", turn).unwrap();
        assert_eq!((own.open(&alone, turn).as_deref(), other.open(&alone, turn)), (Some(&b"alone"[..]), None));
        // Once it has, it seals with the shared one, and what it sealed alone still opens.
        here.hold(there.masters().to_vec());
        assert_eq!(own.seal(b"x", turn).unwrap()[..NAME], next[..NAME]);
        assert_eq!(own.open(&alone, turn).as_deref(), Some(&b"alone"[..]));
    }
}
