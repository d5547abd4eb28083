//! Stateless session tickets: sealed under a key that turns every 12 hours, good for one hour.
//!
//! rustls' own ticketer lets a ticket live as long as its keys. Here the time of issue is sealed into the ticket, so that
//! a resumption never reaches further back than an hour while the key need not turn as often.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

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
    keys: ArcSwap<Keys>,
}

impl Tickets {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { keys: ArcSwap::from_pointee(Keys { current: None, previous: None, until: 0 }) })
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let keys = self.keys_at(now)?;
        let key = keys.current.as_ref()?;
        let mut sealed = Vec::with_capacity(ISSUED + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&now.to_be_bytes());
        sealed.extend_from_slice(plain);
        let nonce = key.seal.seal_in_place_append_tag(Aad::from(key.name), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE + sealed.len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let keys = self.keys_at(now)?;
        let key = [&keys.current, &keys.previous].into_iter().flatten().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.seal.open_in_place(nonce, Aad::from(key.name), &mut sealed).ok()?;
        let (issued, plain) = opened.split_first_chunk::<ISSUED>()?;
        let fresh = now.saturating_sub(u64::from_be_bytes(*issued)) <= u64::from(LIFETIME);
        fresh.then(|| plain.to_vec())
    }

    /// The keys for this moment. Whoever comes first after the turn makes the new key; the others see it or make
    /// one that is thrown away.
    fn keys_at(&self, now: u64) -> Option<Guard<Arc<Keys>>> {
        let keys = self.keys.load();
        if now < keys.until {
            return Some(keys);
        }
        let next = Arc::new(keys.next(now)?);
        self.keys.compare_and_swap(&keys, next);
        Some(self.keys.load())
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
        let seal = RandomizedNonceKey::new(&AES_256_GCM, &secret).ok()?;
        Some(Self { name, seal })
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
        assert!(tickets.keys.load().previous.is_none());
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
}
