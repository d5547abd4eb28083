//! What an attack costs others: how long they wait, and what memory, time and descriptors the process takes.

use std::time::{Duration, Instant};

use crate::harness::{self, Message, Protocol, Proxy, Speaker, eventually};

/// Of those who are served beside an attack nobody waits longer, and half of them not nearly as long, on a machine that is
/// busy with other tests.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const USUAL_WAIT: Duration = Duration::from_millis(500);
/// Of fewer there is no half.
const MANY: usize = 5;
/// Between two that are served beside it.
const PAUSE: Duration = Duration::from_millis(15);
/// Processor time that one of them may take. Unoptimized it is about half a millisecond.
const EACH: Duration = Duration::from_millis(2);

/// What an attack may cost the process.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// KiB that it may grow by.
    memory: u64,
    /// Time of the processor, beyond that for who is served beside it.
    processor: Duration,
}

impl From<u64> for Price {
    /// KiB, and processor time for an attack that is seen through at once. Most take less than a tenth of it, unoptimized;
    /// what grows with the square of what is sent, or turns in a loop, takes seconds.
    fn from(memory: u64) -> Self {
        Self { memory, processor: Duration::from_millis(1500) }
    }
}

impl Price {
    /// The same, for what is work by itself, attack or not.
    pub fn of_work(memory: u64, processor: Duration) -> Self {
        Self { memory, processor }
    }
}

/// Runs an attack while another client is served, again and again. When it has ended, the process is at rest.
pub fn beside<T: Send>(proxy: &Proxy, price: impl Into<Price>, attack: impl FnOnce() -> T + Send) -> T {
    let price = price.into();
    let mut bystander = Bystander::of(proxy);
    // What the first requests allocate stays.
    for _ in 0..10 {
        bystander.ask();
    }
    let (before, spent) = (resident(proxy), processor(proxy));
    let (mut waits, mut highest) = (Vec::new(), 0);
    let outcome = std::thread::scope(|scope| {
        let attack = scope.spawn(attack);
        loop {
            let is_last = attack.is_finished();
            let start = Instant::now();
            bystander.ask();
            waits.push(start.elapsed());
            assert!(
                start.elapsed() < LONGEST_WAIT,
                "who is no part of it waits for {:?}; {} hundredths of a second of processor time",
                start.elapsed(),
                processor(proxy) - spent
            );
            highest = highest.max(resident(proxy).saturating_sub(before));
            assert!(highest < price.memory, "the process grew by {highest} KiB");
            if is_last {
                break attack.join().expect("the attack");
            }
            std::thread::sleep(PAUSE);
        }
    });
    waits.sort();
    let median = waits[waits.len() / 2];
    assert!(
        median < USUAL_WAIT || waits.len() < MANY,
        "half of those who are no part of it wait for more than {median:?}"
    );
    let spent = Duration::from_millis(10 * (processor(proxy) - spent));
    let others = EACH * u32::try_from(waits.len()).unwrap();
    if std::env::var_os("RP_PRICES").is_some() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("{name}: {spent:?}, {highest} KiB; {} others, {median:?}, {:?}", waits.len(), waits.last());
    }
    assert!(spent < price.processor + others, "{spent:?} of processor time, beside {} requests", waits.len());
    at_rest(proxy);
    Bystander::of(proxy).ask();
    outcome
}

/// Waits until the process has nothing to do: no loop goes on for who has gone.
pub fn at_rest(proxy: &Proxy) {
    const LOOK: Duration = Duration::from_millis(100);
    eventually("the processor rests", || {
        let before = processor(proxy);
        std::thread::sleep(LOOK);
        // A fifth of one.
        (processor(proxy) - before <= 2).then_some(())
    });
}

/// Who is no part of an attack: a client of HTTP/1 comes anew each time, one of HTTP/3 stays.
enum Bystander<'a> {
    New(&'a Proxy),
    Kept(Box<Speaker>),
}

impl<'a> Bystander<'a> {
    fn of(proxy: &'a Proxy) -> Self {
        match proxy.speaker() {
            speaker if speaker.protocol == Protocol::Http3 => Self::Kept(Box::new(speaker)),
            _ => Self::New(proxy),
        }
    }

    fn ask(&mut self) {
        let response: Message = match self {
            Self::New(proxy) => proxy.get("/beside"),
            Self::Kept(speaker) => speaker.get("/beside"),
        };
        assert_eq!(response.status(), 200, "who is no part of it is served");
    }
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
    harness::processor(proxy.pid())
}

/// Waits until the process holds no more descriptors than these.
pub fn back_to(proxy: &Proxy, descriptors_before: usize) {
    eventually("all descriptors are given back", || (descriptors(proxy) <= descriptors_before).then_some(()));
}
