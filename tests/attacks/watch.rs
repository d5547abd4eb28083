//! What an attack costs others: how long they wait, and what memory, time and descriptors the process takes.

use std::time::{Duration, Instant};

use crate::harness::{Proxy, eventually};

/// Nobody waits longer beside an attack, on a machine that is busy with other tests.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Runs an attack while another client is served, again and again; the process may grow by so many KiB.
pub fn beside<T: Send>(proxy: &Proxy, most: u64, attack: impl FnOnce() -> T + Send) -> T {
    // What the first requests allocate stays.
    for _ in 0..10 {
        assert_eq!(proxy.get("/beside").status(), 200);
    }
    let before = resident(proxy);
    let outcome = std::thread::scope(|scope| {
        let attack = scope.spawn(attack);
        loop {
            let is_last = attack.is_finished();
            let start = Instant::now();
            assert_eq!(proxy.get("/beside").status(), 200, "who is no part of it is served");
            assert!(start.elapsed() < LONGEST_WAIT, "and quickly: {:?}", start.elapsed());
            let growth = resident(proxy).saturating_sub(before);
            assert!(growth < most, "the process grew by {growth} KiB");
            if is_last {
                break attack.join().expect("the attack");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(proxy.get("/beside").status(), 200);
    outcome
}

/// KiB of memory that the process has.
pub fn resident(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Files and sockets that it holds open.
pub fn descriptors(proxy: &Proxy) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().count()
}

/// Processor time that it has taken, in hundredths of a second.
pub fn processor(proxy: &Proxy) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).unwrap();
    // Behind the name, which may hold anything: state is field 3, time of user and system are 14 and 15.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Waits until the process holds no more descriptors than these.
pub fn back_to(proxy: &Proxy, descriptors_before: usize) {
    eventually("all descriptors are given back", || (descriptors(proxy) <= descriptors_before).then_some(()));
}
