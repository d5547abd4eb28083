//! Threats XZ09 and XZ12 over time: good clients and hostile ones, servers that fail in every way, reloads that are good
//! and bad, and certificates that change, all at once. No good request may fail, and nothing may grow.
//!
//! `RP_SOAK_SECONDS` (20) is how long; `RP_BINARY` is another `rp` than the one that was built with the test.
//! `.ci/soak 3600` runs the long form on a release build and prints its figures.

#[path = "../attacks/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "../e2e/harness/mod.rs"]
mod harness;

mod clients;
mod crowd;
mod enemies;
mod operator;
mod servers;
mod size;
mod stage;

use std::time::{Duration, Instant};

use crowd::Crowd;
use size::Size;
use stage::Stage;

fn seconds() -> u64 {
    std::env::var("RP_SOAK_SECONDS").map_or(20, |text| text.parse().expect("RP_SOAK_SECONDS is a number"))
}

#[test]
fn xz09_xz12_nothing_grows_and_no_good_request_fails() {
    let time = Duration::from_secs(seconds());
    let stage = Stage::new();
    let idle = Size::of(&stage);
    let mut crowd = Crowd::new();
    clients::join(&mut crowd, &stage);
    enemies::join(&mut crowd, &stage);
    operator::join(&mut crowd, &stage);
    let sizes = watch(&stage, &crowd, time);
    let counts = crowd.end();
    // What is under way ends, and what is kept for later is given up after its time.
    harness::eventually("all connections end", || (Size::of(&stage).connections == 0).then_some(()));
    harness::eventually("all descriptors are given back", || {
        (Size::of(&stage).descriptors <= idle.descriptors + 8).then_some(())
    });
    println!("at rest before and after: {idle} → {}", Size::of(&stage));
    size::report(&sizes);
    println!("{counts}");
    counts.check();
    size::check(&sizes);
    stage.check_log();
}

/// Looks at the process again and again, and says from time to time what it sees.
fn watch(stage: &Stage, crowd: &Crowd, time: Duration) -> Vec<Size> {
    let start = Instant::now();
    let (every, mut told) = (Duration::from_millis(500).max(time / 600), Duration::ZERO);
    let mut sizes = Vec::new();
    while start.elapsed() < time && !crowd.has_failed() {
        std::thread::sleep(every);
        let size = Size::of(stage);
        if start.elapsed() > told + Duration::from_secs(60) {
            told = start.elapsed();
            println!("{:>5} s: {size}", told.as_secs());
        }
        sizes.push(size);
    }
    sizes
}
