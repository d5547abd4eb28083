//! The memory budget: measured by the control plane four times a second, and asked by every worker. Above it new requests are
//! answered 503 and new connections wait; what is under way goes on, and gives back what it holds.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::telemetry::metrics;

/// How often it is measured: at 1 GiB/s, a quarter of it comes between two looks.
pub const EVERY: Duration = Duration::from_millis(250);

static SHORT: AtomicBool = AtomicBool::new(false);

/// Whether nothing new is begun.
#[inline]
pub fn is_short() -> bool {
    SHORT.load(Relaxed)
}

/// What the process may take, and what it was found to hold.
#[derive(Debug)]
pub struct Budget {
    /// What may be had in all; `None`: nobody knows how much there is.
    available: Option<u64>,
    /// What stays when nothing is under way: no client has a part in it, and no refusal gives it back.
    base: u64,
    /// Requests under way when it was passed.
    passed_at: Option<u64>,
}

impl Budget {
    #[must_use]
    pub fn new() -> Self {
        Self { available: available(), base: 0, passed_at: None }
    }

    /// Measures, and tells the workers. `setting` as in `limit memory`: `None` is four fifths of what there is.
    pub fn look(&mut self, setting: Option<u64>) {
        let Some(resident) = resident() else { return };
        metrics::global().memory_resident.set(resident);
        let most = setting.or(self.available.map(|all| all / 5 * 4)).unwrap_or(u64::MAX);
        let active = metrics::global().requests_active.value();
        let short = self.judge(resident, most, active);
        if SHORT.swap(short, Relaxed) == short {
            return;
        }
        if short {
            tracing::warn!(resident, most, active, "memory above its budget: new requests are answered 503");
        } else {
            tracing::info!(resident, most, active, "memory within its budget again");
        }
    }

    /// Whether it is too much. Nine tenths of those who were under way having gone, what is left is the base: the system's
    /// allocator keeps some of what was given back, and what it keeps is used again before more is asked for.
    fn judge(&mut self, resident: u64, most: u64, active: u64) -> bool {
        if active <= self.passed_at.unwrap_or_default() / 10 {
            self.base = resident;
        }
        let short = resident > most.max(self.base.saturating_add(most / 8));
        self.passed_at = short.then(|| self.passed_at.unwrap_or(active).max(1));
        short
    }
}

/// Bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// What the machine has, or the control groups that this process is in allow.
fn available() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let limit = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let second = root.join(own);
    let second = second.ancestors().take_while(|folder| folder.starts_with(root));
    let second = second.filter_map(|folder| limit(&folder.join("memory.max")));
    let first = limit(&root.join("memory/memory.limit_in_bytes"));
    second.chain(first).chain(machine()).min()
}

fn machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xz09_what_is_too_much_is_told_from_what_stays() {
        let mut budget = Budget { available: None, base: 0, passed_at: None };
        let mut judge = |resident, active| budget.judge(resident, 800, active);
        assert!(!judge(20, 0));
        assert!(!judge(800, 100), "up to the last byte");
        assert!(judge(801, 100));
        assert!(judge(900, 60), "they go");
        assert!(!judge(700, 50));
        assert!(judge(900, 50));
        // All have gone, and the allocator keeps it: refusing more requests would give nothing back.
        assert!(!judge(850, 5));
        assert!(!judge(900, 60));
        assert!(judge(1000, 60), "an eighth of the budget above that");
        assert!(!judge(820, 0));
        assert!(!judge(100, 0));
        assert!(judge(801, 3), "and when it is given back, the budget holds");
    }

    #[test]
    fn the_system_tells() {
        let (resident, available) = (resident().unwrap(), available().unwrap());
        assert!(resident > 1024 * 1024 && resident < available, "{resident} of {available}");
    }
}
