//! Buffers that lie ready for the next exchange of this thread, so that idle connections hold none and busy ones
//! seldom ask the allocator.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

/// One read takes a small response whole.
pub const READ: usize = 16 * 1024;
/// What must be left in a used buffer for it to serve on.
const ENOUGH: usize = 8 * 1024;
/// Bounds what a burst leaves behind: half a megabyte a thread.
const MAX_SPARE: usize = 32;
/// How many are asked whether nobody reads them any more.
const FIRST: usize = 3;
const MAX_WRITE: usize = 8 * 1024;

thread_local! {
    static READS: RefCell<VecDeque<BytesMut>> = const { RefCell::new(VecDeque::new()) };
    static WRITES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for at least [`ENOUGH`] bytes.
pub fn read() -> BytesMut {
    READS
        .with_borrow_mut(|spare| {
            // The last one is warm, but its bytes may still be on their way to the client; those of the first ones hardly are.
            if spare.back_mut()?.try_reclaim(ENOUGH) {
                return spare.pop_back();
            }
            let first = spare.iter_mut().take(FIRST).position(|buffer| buffer.try_reclaim(ENOUGH))?;
            spare.remove(first)
        })
        .unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Takes back what was had from [`read`].
pub fn put_read(mut buffer: BytesMut) {
    if buffer.capacity() == 0 {
        return;
    }
    buffer.clear();
    READS.with_borrow_mut(|spare| {
        if spare.len() == MAX_SPARE {
            // The one that has waited for its readers longest. A slow client must not keep this list from serving others.
            spare.pop_front();
        }
        spare.push_back(buffer);
    });
}

pub fn write() -> Vec<u8> {
    WRITES.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(1024))
}

pub fn put_write(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MAX_WRITE {
        return;
    }
    buffer.clear();
    WRITES.with_borrow_mut(|spare| {
        if spare.len() < MAX_SPARE {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_serves_again_once_nothing_refers_to_it() {
        let mut first = read();
        first.extend_from_slice(&[1; READ - 64]);
        let start = first.as_ptr();
        let held = first.split().freeze();
        put_read(first);
        let other = read();
        assert_ne!(other.as_ptr(), start, "its bytes are still in use");
        drop(held);
        assert_eq!(read().as_ptr(), start);
    }

    #[test]
    fn a_buffer_serves_several_small_responses_whose_bytes_are_still_on_their_way() {
        let mut held = Vec::new();
        let mut buffers = std::collections::BTreeSet::new();
        for _ in 0..12 {
            let mut buffer = read();
            buffer.extend_from_slice(&[1; 1200]);
            let head = buffer.split_to(200).freeze();
            buffers.insert(head.as_ptr() as usize / READ);
            held.push(head);
            held.push(buffer.split_to(1000).freeze());
            put_read(buffer);
        }
        assert!(buffers.len() <= 4, "{}", buffers.len());
    }
}
