//! Cases side by side: each lane has a door and a server of its own, so what reaches a server belongs to one case.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cases::Case;
use crate::harness::{Client, lock};
use crate::outcome::Outcome;
use crate::peers::Peer;
use crate::recorder::Recorder;

const LANES: usize = 16;

/// Of silence, and far beyond the times that all are given: who is silent for longer keeps the connection.
const LONGEST: Duration = Duration::from_secs(3);

pub fn run(peer: Peer, cases: &[Case]) -> Vec<Outcome> {
    let recorders: Vec<Recorder> = (0..LANES).map(|_| Recorder::new()).collect();
    let servers: Vec<_> = recorders.iter().map(|recorder| recorder.address).collect();
    let running = peer.start(&servers);
    let next = AtomicUsize::new(0);
    let found = std::sync::Mutex::new(vec![None; cases.len()]);
    std::thread::scope(|scope| {
        for (door, recorder) in running.doors.iter().zip(&recorders) {
            scope.spawn(|| {
                // Looking whether it listens may have brought it a connection.
                recorder.settle();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut client = Client::connect(*door);
                    client.send(&case.bytes);
                    while matches!(client.pipe.fill_within(LONGEST), Ok(1..)) {}
                    let said = std::mem::take(&mut client.pipe.buffer);
                    drop(client);
                    let outcome = Outcome::new(&case.bytes, &said, recorder.settle());
                    lock(&found)[case.number] = Some(outcome);
                }
            });
        }
    });
    found.into_inner().unwrap().into_iter().map(|outcome| outcome.expect("each case has run")).collect()
}
