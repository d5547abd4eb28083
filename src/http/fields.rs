//! Field maps used again: a map of ten fields is 1.3 KB, beyond what the allocator keeps at hand, and two of them were a
//! tenth of what a proxied request spent in it.

use std::cell::RefCell;

use http::HeaderMap;

/// More lie unused after a burst than any request needs.
const MOST: usize = 32;
/// A map that grew beyond this is not worth its memory.
const LARGEST: usize = 128;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room for at least `fields`.
#[must_use]
pub fn take(fields: usize) -> HeaderMap {
    let mut map = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    map.reserve(fields);
    map
}

/// Takes back a map that nobody needs any more; its fields are dropped.
pub fn give(mut map: HeaderMap) {
    if map.capacity() == 0 || map.capacity() > LARGEST {
        return;
    }
    map.clear();
    // The table is gone only while the thread ends.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MOST {
            spare.push(map);
        }
    });
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn a_map_comes_back_empty_and_with_its_room() {
        let mut map = take(20);
        let room = map.capacity();
        map.insert(header::HOST, HeaderValue::from_static("example.com"));
        give(map);
        let again = take(1);
        assert!(again.is_empty());
        assert_eq!(again.capacity(), room);
    }
}
