//! Which servers the process knows, whatever configuration names them. A server that a reload names again keeps its
//! slot, and with it its idle connections and its health.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::health::Health;

/// One server: a place in every thread's pool, and what is known of its health.
#[derive(Debug)]
pub struct Slot {
    key: Box<str>,
    /// Small numbers, used again once nothing refers to the slot.
    pub(super) index: u32,
    /// Tells this use of the index from earlier ones.
    pub(super) generation: u32,
    pub health: Health,
    in_flight: AtomicU32,
}

impl Slot {
    /// The slot of the server with this identity: scheme, address and TLS settings in one text.
    pub fn adopt(key: &str) -> Arc<Self> {
        let mut registry = lock();
        if let Some(slot) = registry.slots.get(key).and_then(|(_, slot)| slot.upgrade()) {
            return slot;
        }
        registry.generation += 1;
        let generation = registry.generation;
        let index = registry.free.pop().unwrap_or_else(|| {
            registry.used += 1;
            registry.used - 1
        });
        let slot = Arc::new(Self {
            key: key.into(),
            index,
            generation,
            health: Health::default(),
            in_flight: AtomicU32::new(0),
        });
        registry.slots.insert(key.into(), (generation, Arc::downgrade(&slot)));
        slot
    }

    /// Requests on their way, where they are counted.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut registry = lock();
        // Another may have taken the name since the last reference went.
        if registry.slots.get(&self.key).is_some_and(|(generation, _)| *generation == self.generation) {
            registry.slots.remove(&self.key);
        }
        registry.free.push(self.index);
    }
}

/// One request that a server has not finished with.
#[derive(Debug)]
pub struct InFlight(Arc<Slot>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[derive(Default)]
struct Registry {
    slots: HashMap<Box<str>, (u32, Weak<Slot>)>,
    free: Vec<u32>,
    used: u32,
    generation: u32,
}

/// Touched by reloads alone.
fn lock() -> MutexGuard<'static, Registry> {
    static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_adopted_while_it_is_referred_to_and_freed_after() {
        let first = Slot::adopt("registry test a");
        let again = Slot::adopt("registry test a");
        assert!(Arc::ptr_eq(&first, &again));
        let other = Slot::adopt("registry test b");
        assert_ne!(first.index, other.index);
        let (index, generation) = (first.index, first.generation);
        let in_flight = first.enter();
        assert_eq!(again.in_flight(), 1);
        drop((first, again, in_flight));
        let new = Slot::adopt("registry test a");
        assert_ne!(new.generation, generation);
        // Other tests may have taken the index first.
        assert!(new.index <= index || new.index != other.index);
    }
}
