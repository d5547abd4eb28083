//! Request ids: 128 bits, laid out as UUID version 7 (RFC 9562 section 5.7), so that they sort by time.
//!
//! They are no secrets: nothing may be granted because somebody knows one. They only must not collide.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime};

use super::clock::since_epoch;

/// A new id as 32 hexadecimal digits, made `now`.
pub fn next(now: Instant) -> [u8; 32] {
    thread_local! {
        static GENERATOR: Cell<Generator> = Cell::new(Generator::seeded());
    }
    let millis = millis(now);
    let (high, low) = GENERATOR
        .try_with(|cell| {
            let mut generator = cell.get();
            let drawn = (generator.draw(), generator.draw());
            cell.set(generator);
            drawn
        })
        .unwrap_or_else(|_| {
            // The thread is ending; there is no generator any more, and this is rare enough for a new one.
            let mut generator = Generator::seeded();
            (generator.draw(), generator.draw())
        });
    hex(layout(millis, high, low))
}

/// The wall clock at `now`, in milliseconds since 1970. The caller has read one clock already; the other is read once a
/// second, so an adjustment of it shows that late.
fn millis(now: Instant) -> u64 {
    thread_local! {
        static ANCHOR: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
    }
    let since = |anchor: Instant| {
        let time = now.saturating_duration_since(anchor);
        time.as_secs() * 1000 + u64::from(time.subsec_millis())
    };
    let anchor = ANCHOR.try_with(Cell::get).ok().flatten();
    if let Some((anchor, millis)) = anchor.filter(|(anchor, _)| since(*anchor) < 1000) {
        return millis + since(anchor);
    }
    let millis = u64::try_from(since_epoch(SystemTime::now()).as_millis()).unwrap_or(u64::MAX >> 1);
    // Without it the clock is only read more often.
    let _ = ANCHOR.try_with(|cell| cell.set(Some((now, millis))));
    millis
}

/// Whether an id that a client sent may be passed on: 1 to 128 of `[A-Za-z0-9._-]`.
pub fn acceptable(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// 48 bits of milliseconds, version 7, 12 random bits, variant 10, 62 random bits.
fn layout(millis: u64, high: u64, low: u64) -> u128 {
    let upper = (millis << 16) | 0x7000 | (high & 0x0FFF);
    let lower = (0b10 << 62) | (low >> 2);
    (u128::from(upper) << 64) | u128::from(lower)
}

fn hex(id: u128) -> [u8; 32] {
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

fn digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

/// xoshiro256++ (Blackman and Vigna): 256 bits of state, a few instructions a number, all statistical tests passed.
#[derive(Clone, Copy)]
struct Generator([u64; 4]);

impl Generator {
    fn seeded() -> Self {
        let mut seed = [0_u8; 32];
        let seeded = aws_lc_rs::rand::fill(&mut seed).is_ok();
        let mut state = [0_u64; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, &b| (word << 8) | u64::from(b));
        }
        if !seeded || state == [0; 4] {
            // Each `RandomState` has keys of its own, drawn from the system when the process began.
            state = std::array::from_fn(|at| RandomState::new().hash_one((at, std::thread::current().id())) | 1);
        }
        Self(state)
    }

    fn draw(&mut self) -> u64 {
        let state = &mut self.0;
        let drawn = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        // The first numbers of the published reference from this state; the first is (1 + 4) rotated by 23, plus 1.
        let mut generator = Generator([1, 2, 3, 4]);
        let drawn: Vec<u64> = (0..4).map(|_| generator.draw()).collect();
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn bits_lie_where_rfc_9562_wants_them() {
        // Appendix A.6 of the RFC: the same time and random bits.
        let id = layout(0x017F_22E2_79B0, 0xCC3, 0x18C4_DC0C_0C07_398F << 2);
        assert_eq!(std::str::from_utf8(&hex(id)).unwrap(), "017f22e279b07cc398c4dc0c0c07398f");
    }

    #[test]
    fn ids_are_acceptable_to_ourselves_and_bear_the_time() {
        let id = next(Instant::now());
        assert!(acceptable(&id));
        let millis = u128::from_str_radix(std::str::from_utf8(&id[..12]).unwrap(), 16).unwrap();
        let now = since_epoch(SystemTime::now()).as_millis();
        assert!(millis <= now && now - millis < 60_000, "{millis} is near {now}");
    }

    #[test]
    fn threads_do_not_collide() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..20_000).map(|_| next(Instant::now())).collect::<Vec<_>>()))
            .collect();
        let all: HashSet<[u8; 32]> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 80_000);
    }

    #[test]
    fn inbound_ids() {
        for good in ["a", "0193e2b7-7cc3.A_b", &"x".repeat(128)] {
            assert!(acceptable(good.as_bytes()), "{good}");
        }
        for bad in ["", "a b", "a\n", "a\"b", "\u{e9}", "a/b", "a:b", "a\0", &"x".repeat(129)] {
            assert!(!acceptable(bad.as_bytes()), "{bad}");
        }
    }
}
