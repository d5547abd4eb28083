//! Small files that a worker read less than a second ago, ready to be sent again.
//!
//! Opening, asking for the size and time, reading and closing cost more than all else that a small file's answer takes.
//! What is kept is a snapshot with its own fields, so fields and content always belong together.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::asset::{Asset, Content};
use super::coding::Coding;

/// How long a file may be served as it was: a change shows at the latest after this time.
pub const FRESH: Duration = Duration::from_secs(1);

const PLACES: usize = 1_024;
/// Content on one worker's shelf, in bytes.
const MOST: usize = 16 << 20;
/// Places that are looked at for stale content whenever something is put on the shelf. Without it, what nobody asks for
/// again stays until its place is wanted: with each reload one copy more of every file in use.
const SWEPT: usize = 16;

/// Whose file, and which of its representations.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub struct Key<'a> {
    /// One for each `file_server` of each configuration.
    pub server: u64,
    /// The canonical path.
    pub path: &'a str,
    /// What the client takes, in its order.
    pub wanted: &'a [Coding],
}

/// A place for each hash: whoever comes later takes it over. So neither order nor age has to be kept, and what a hash
/// costs at worst is one more look at the file system.
struct Shelf {
    places: Box<[Option<Kept>]>,
    hashes: RandomState,
    bytes: usize,
    /// Where the next search for something to throw away begins.
    hand: usize,
}

struct Kept {
    server: u64,
    path: Box<str>,
    wanted: Box<[Coding]>,
    since: Instant,
    asset: Rc<Asset>,
}

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::new(Shelf::new());
}

/// What was put under this key less than [`FRESH`] before `now`.
pub fn find(key: Key<'_>, now: Instant) -> Option<Rc<Asset>> {
    SHELF.with_borrow_mut(|shelf| shelf.find(key, now))
}

/// Keeps an asset that was loaded at `now`, if its content is in memory.
pub fn keep(key: Key<'_>, asset: &Rc<Asset>, now: Instant) {
    if let Content::Memory(bytes) = &asset.content {
        SHELF.with_borrow_mut(|shelf| shelf.keep(key, asset, bytes.len(), now));
    }
}

impl Shelf {
    fn new() -> Self {
        let places = std::iter::repeat_with(|| None).take(PLACES).collect();
        Self { places, hashes: RandomState::new(), bytes: 0, hand: 0 }
    }

    fn place(&self, key: Key<'_>) -> usize {
        usize::try_from(self.hashes.hash_one(key) % PLACES as u64).unwrap_or(0)
    }

    fn find(&mut self, key: Key<'_>, now: Instant) -> Option<Rc<Asset>> {
        let place = self.place(key);
        let kept = self.places[place].as_ref()?;
        if !kept.is(key) {
            return None;
        }
        if kept.is_stale(now) {
            self.clear(place);
            return None;
        }
        Some(Rc::clone(&kept.asset))
    }

    fn keep(&mut self, key: Key<'_>, asset: &Rc<Asset>, length: usize, now: Instant) {
        let place = self.place(key);
        self.clear(place);
        for _ in 0..SWEPT {
            self.sweep(now);
        }
        while self.bytes + length > MOST {
            self.clear(self.hand);
            self.hand = (self.hand + 1) % PLACES;
        }
        self.bytes += length;
        self.places[place] = Some(Kept {
            server: key.server,
            path: key.path.into(),
            wanted: key.wanted.into(),
            since: now,
            asset: Rc::clone(asset),
        });
    }

    fn sweep(&mut self, now: Instant) {
        if self.places[self.hand].as_ref().is_some_and(|kept| kept.is_stale(now)) {
            self.clear(self.hand);
        }
        self.hand = (self.hand + 1) % PLACES;
    }

    fn clear(&mut self, place: usize) {
        if let Some(Content::Memory(bytes)) = self.places[place].take().map(|kept| kept.asset.content.clone()) {
            self.bytes -= bytes.len();
        }
    }
}

impl Kept {
    fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= FRESH
    }

    fn is(&self, key: Key<'_>) -> bool {
        self.server == key.server && *self.path == *key.path && *self.wanted == *key.wanted
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn asset(size: usize) -> Rc<Asset> {
        let content = Content::Memory(Bytes::from(vec![0; size]));
        Rc::new(Asset { fields: HeaderMap::new(), modified: None, size: size as u64, content })
    }

    fn key(path: &str) -> Key<'_> {
        Key { server: 1, path, wanted: &[] }
    }

    #[test]
    fn what_is_kept_is_found_for_a_second() {
        let mut shelf = Shelf::new();
        let now = Instant::now();
        shelf.keep(key("/a"), &asset(7), 7, now);
        assert!(shelf.find(key("/a"), now + FRESH / 2).is_some());
        assert!(shelf.find(key("/b"), now).is_none());
        assert!(shelf.find(Key { server: 2, ..key("/a") }, now).is_none());
        assert!(shelf.find(Key { wanted: &[Coding::Gzip], ..key("/a") }, now).is_none());
        assert!(shelf.find(key("/a"), now + FRESH).is_none());
        assert_eq!(shelf.bytes, 0);
    }

    #[test]
    fn the_shelf_is_bounded() {
        let mut shelf = Shelf::new();
        let now = Instant::now();
        for n in 0..4 * PLACES {
            shelf.keep(key(&format!("/{n}")), &asset(MOST / 64), MOST / 64, now);
            assert!(shelf.bytes <= MOST);
        }
        let counted: u64 = shelf.places.iter().flatten().map(|kept| kept.asset.size).sum();
        assert_eq!(counted, shelf.bytes as u64);
        assert_eq!(shelf.places.iter().flatten().count(), 64);
    }
    #[test]
    fn xz09_what_nobody_asks_for_again_does_not_stay() {
        let mut shelf = Shelf::new();
        let start = Instant::now();
        // As after reloads: the same file under a new key each time.
        for turn in 0..4 * PLACES as u64 {
            let now = start + FRESH * u32::try_from(turn).unwrap();
            shelf.keep(Key { server: turn, ..key("/a") }, &asset(10), 10, now);
        }
        assert!(shelf.bytes <= 10 * PLACES / SWEPT, "{}", shelf.bytes);
    }
}
