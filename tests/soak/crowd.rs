//! Threads that do the same thing again and again, each at its pace, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::lock;

/// More failures than these tell nothing new.
const ENOUGH: usize = 10;

pub struct Crowd {
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<Counts>>,
    threads: Vec<JoinHandle<()>>,
}

/// What was done, and what went wrong.
#[derive(Default, Clone)]
pub struct Counts {
    /// For each kind: how often, and the longest time that it took.
    done: BTreeMap<&'static str, (usize, Duration)>,
    failures: Vec<String>,
}

impl Crowd {
    pub fn new() -> Self {
        Self { stop: Arc::default(), counts: Arc::default(), threads: Vec::new() }
    }

    /// One more, that does what `make` gives it, with a pause after each time. A panic is a failure, and whoever had
    /// one begins anew.
    pub fn add<S: FnMut()>(
        &mut self,
        kind: &'static str,
        pause: Duration,
        make: impl Fn() -> S + Send + 'static,
    ) -> &mut Self {
        // Who grows it? `RP_SOAK_ONLY=tunnel,operator` leaves out all others.
        let only = std::env::var("RP_SOAK_ONLY").unwrap_or_default();
        if !only.split(',').any(|part| kind.contains(part)) {
            return self;
        }
        let (stop, counts) = (self.stop.clone(), self.counts.clone());
        self.threads.push(std::thread::spawn(move || {
            let mut step = None;
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                let outcome = catch_unwind(AssertUnwindSafe(|| step.get_or_insert_with(&make)()));
                let failure = outcome.err().map(|why| {
                    step = None;
                    let text = why.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    text.or_else(|| why.downcast_ref::<String>().cloned()).unwrap_or_default()
                });
                let took = start.elapsed();
                lock(&counts).add(kind, took, failure);
                // A machine that is slow because of others is not given more than it can do.
                std::thread::sleep(pause.max(took));
            }
        }));
        self
    }

    pub fn has_failed(&self) -> bool {
        lock(&self.counts).failures.len() >= ENOUGH
    }

    pub fn end(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("failures are counted, not passed on");
        }
        lock(&self.counts).clone()
    }
}

impl Counts {
    fn add(&mut self, kind: &'static str, took: Duration, failure: Option<String>) {
        let (count, longest) = self.done.entry(kind).or_default();
        *count += 1;
        *longest = took.max(*longest);
        if let Some(failure) = failure.filter(|_| self.failures.len() < ENOUGH) {
            self.failures.push(format!("{kind}: {failure}"));
        }
    }

    /// Everyone did something, and nothing went wrong.
    pub fn check(&self) {
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
        assert!(!self.done.is_empty() && self.done.values().all(|(count, _)| *count > 1), "{self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<44}{:>10}{:>14}{:>10}", "who", "times", "longest", "failed")?;
        for (kind, (count, longest)) in &self.done {
            let failed = self.failures.iter().filter(|failure| failure.starts_with(kind)).count();
            writeln!(f, "{kind:<44}{count:>10}{:>11} ms{failed:>10}", longest.as_millis())?;
        }
        Ok(())
    }
}
