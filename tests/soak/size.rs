//! How large the process is, and whether it grows.

use std::fmt;
use std::fs;

use crate::stage::Stage;

#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub kilobytes: usize,
    pub descriptors: usize,
    pub threads: usize,
    /// Of clients, as the process itself counts them.
    pub connections: usize,
}

impl Size {
    pub fn of(stage: &Stage) -> Self {
        let process = format!("/proc/{}", stage.proxy.pid());
        let status = fs::read_to_string(format!("{process}/status")).expect("the process is there");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Self {
            kilobytes: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            connections: usize::try_from(stage.ask("status")["connections"].as_u64().unwrap()).unwrap(),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kilobytes, descriptors, threads, connections } = self;
        write!(
            f,
            "{kilobytes} KiB resident, {descriptors} descriptors, {threads} threads, {connections} client connections"
        )
    }
}

/// The middle of each figure.
fn middle(sizes: &[Size]) -> Size {
    let of = |figure: fn(&Size) -> usize| {
        let mut all: Vec<usize> = sizes.iter().map(figure).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Size {
        kilobytes: of(|size| size.kilobytes),
        descriptors: of(|size| size.descriptors),
        threads: of(|size| size.threads),
        connections: of(|size| size.connections),
    }
}

/// Eight parts of the time; the first two are for what is made once.
fn parts(sizes: &[Size]) -> Vec<Size> {
    sizes.chunks(sizes.len().div_ceil(8)).map(middle).collect()
}

pub fn report(sizes: &[Size]) {
    for (at, part) in parts(sizes).iter().enumerate() {
        println!("part {} of 8: {part}", at + 1);
    }
}

/// The last part beside the third: what leaks grows all the time, what is kept for use has been made by then.
pub fn check(sizes: &[Size]) {
    let parts = parts(sizes);
    let (before, after) = (parts[2], parts[parts.len() - 1]);
    let told = format!("{before} → {after}");
    assert!(after.kilobytes <= before.kilobytes + before.kilobytes / 8 + 6 * 1024, "memory grows: {told}");
    // How many are there at a moment is chance; a leak is one for each that came.
    assert!(after.descriptors <= before.descriptors + before.descriptors / 2 + 32, "descriptors are lost: {told}");
    assert!(after.connections <= before.connections + before.connections / 2 + 32, "connections are lost: {told}");
    assert!(after.threads <= before.threads + 4, "threads are lost: {told}");
}
