//! The configuration in force: swapped by the control plane, seen by each worker without a lock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::check::value::ListenAddress;
use crate::model::{Door, World};

/// Where the control plane puts a new configuration.
#[derive(Debug)]
pub struct Shared {
    world: ArcSwap<World>,
    /// Grows with each swap. Reading it costs a request nothing: its cache line changes only on a reload.
    generation: AtomicU64,
}

impl Shared {
    #[must_use]
    pub fn new(world: World) -> Arc<Self> {
        Arc::new(Self { world: ArcSwap::from_pointee(world), generation: AtomicU64::new(0) })
    }

    pub fn swap(&self, world: World) {
        self.world.store(Arc::new(world));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Those in force on this worker.
    #[must_use]
    pub fn timeouts(&self) -> crate::model::Timeouts {
        held(self).1.global.timeouts
    }

    #[must_use]
    pub fn world(&self) -> Arc<World> {
        self.world.load_full()
    }
}

/// The configuration as a request holds it: counted on this thread alone, so that no two cores fight for one counter.
#[allow(clippy::redundant_allocation, reason = "the outer count is local, the inner one is shared")]
pub type Hold = Rc<Arc<World>>;

thread_local! {
    /// This worker's hold on the configuration: requests count references without touching other cores' caches.
    static HELD: RefCell<Option<(u64, Hold)>> = const { RefCell::new(None) };
}

fn held(shared: &Shared) -> (u64, Hold) {
    let generation = shared.generation.load(Ordering::Acquire);
    HELD.with(|held| {
        let mut held = held.borrow_mut();
        match &*held {
            Some((known, world)) if *known == generation => (generation, world.clone()),
            _ => {
                let world = Rc::new(shared.world());
                *held = Some((generation, world.clone()));
                (generation, world)
            }
        }
    })
}

/// Lets go of a configuration that has been replaced, though no request came since.
pub fn refresh(shared: &Shared) {
    held(shared);
}

/// A connection's view: the configuration, and the door that it came through.
pub struct View {
    shared: Arc<Shared>,
    listen: ListenAddress,
    seen: Cell<u64>,
    door: RefCell<Option<HeldDoor>>,
}

/// A door as a request holds it: see [`Hold`].
#[allow(clippy::redundant_allocation, reason = "the outer count is local, the inner one is shared")]
pub type HeldDoor = Rc<Arc<Door>>;

impl View {
    #[must_use]
    pub fn new(shared: Arc<Shared>, listen: ListenAddress) -> Self {
        Self { shared, listen, seen: Cell::new(u64::MAX), door: RefCell::new(None) }
    }

    /// As of this request. A connection outlives its door: what comes through it until it ends in good order finds what
    /// was behind the door last.
    #[must_use]
    pub fn now(&self) -> (Hold, Option<HeldDoor>) {
        let (generation, world) = held(&self.shared);
        if self.seen.replace(generation) != generation
            && let Some(door) = world.doors.get(&self.listen)
        {
            *self.door.borrow_mut() = Some(Rc::new(door.clone()));
        }
        (world, self.door.borrow().clone())
    }
}
