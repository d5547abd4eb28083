//! Where passwords are checked: away from the workers, a few at a time, and not twice for what has just been proved.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{hmac, rand};
use tokio::sync::oneshot;

use super::hash::Hash;
use crate::http::fault::{Cause, Fault};

/// Passwords that wait for their turn. At 20 ms each, the last one has its answer in about a second.
const QUEUE: usize = 64;
/// How long a proof is remembered. Taking a user out of the Proxyfile forgets them at once, since the tag holds the
/// hash; this bounds how long what is in memory can be used.
const REMEMBERED: Duration = Duration::from_secs(300);
const SHARDS: usize = 16;
/// Proofs in one shard: 8192 in all, at some 50 bytes each.
const MOST: usize = 512;

/// One for the process: however many statements there are, so many hashes are computed at once.
pub struct Guard {
    /// Made anew with each process, so what is in memory tells nothing of the passwords to who has not all of it.
    key: hmac::Key,
    proofs: [Mutex<HashMap<Tag, Instant>>; SHARDS],
    jobs: OnceLock<Option<SyncSender<Job>>>,
}

/// A user with a password, under the key of this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 32]);

struct Job {
    hash: Arc<Hash>,
    password: Box<[u8]>,
    tell: oneshot::Sender<bool>,
}

impl Guard {
    /// # Panics
    /// Where the system has no random numbers, as the standard library's hash maps do.
    #[must_use]
    pub fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let key = key.expect("the system has random numbers");
        Self { key, proofs: std::array::from_fn(|_| Mutex::default()), jobs: OnceLock::new() }
    }

    /// What a proof is remembered by. Each part is preceded by its length, so that no two run together.
    pub fn tag(&self, name: &str, password: &[u8], hash: &Hash) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name.as_bytes(), hash.as_str().as_bytes(), password] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Tag(tag)
    }

    /// A number below `count` that is always the same for this name, and that nobody else can work out.
    pub fn choose(&self, name: &str, count: usize) -> usize {
        let tag = hmac::sign(&self.key, name.as_bytes());
        let first = tag.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(first % count.max(1) as u64).unwrap_or(0)
    }

    pub fn remembers(&self, tag: &Tag, now: Instant) -> bool {
        let proofs = self.shard(tag).lock().unwrap_or_else(PoisonError::into_inner);
        proofs.get(tag).is_some_and(|since| now.saturating_duration_since(*since) < REMEMBERED)
    }

    pub fn remember(&self, tag: Tag, now: Instant) {
        let mut proofs = self.shard(&tag).lock().unwrap_or_else(PoisonError::into_inner);
        if proofs.len() >= MOST {
            proofs.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        }
        if proofs.len() >= MOST
            && let Some(oldest) = proofs.iter().min_by_key(|(_, since)| **since).map(|(tag, _)| *tag)
        {
            proofs.remove(&oldest);
        }
        proofs.insert(tag, now);
    }

    fn shard(&self, tag: &Tag) -> &Mutex<HashMap<Tag, Instant>> {
        &self.proofs[usize::from(tag.0[0]) % SHARDS]
    }

    /// Whether `hash` is of this password. Where too many wait already, the request is turned away at once.
    pub async fn check(&self, hash: Arc<Hash>, password: &[u8]) -> Result<bool, Fault> {
        let overloaded = |why: &str| Fault::detailed(Cause::Overloaded, why);
        let jobs = self.jobs.get_or_init(start).as_ref().ok_or_else(|| overloaded("no thread for passwords"))?;
        let (tell, told) = oneshot::channel();
        let job = Job { hash, password: password.into(), tell };
        jobs.try_send(job).map_err(|_| overloaded("too many passwords wait to be checked"))?;
        told.await.map_err(|_| Cause::Panic.into())
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

/// Half of the cores at most, and four at most: a hash of 19 MiB fills the caches that the workers live from.
fn start() -> Option<SyncSender<Job>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, receiver) = sync_channel(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let spawn = |_| {
        let receiver = receiver.clone();
        std::thread::Builder::new().name("rp-passwords".to_owned()).spawn(move || work(&receiver)).ok()
    };
    let started = (0..(cores / 2).clamp(1, 4)).filter_map(spawn).count();
    (started > 0).then_some(jobs)
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // On Linux this is of the calling thread only: workers come first, so a flood of logins takes what they leave.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { hash, password, tell }) = job else { return };
        // Who left while it waited costs nothing.
        if tell.is_closed() {
            continue;
        }
        let holds = catch_unwind(AssertUnwindSafe(|| hash.is_of(&password))).unwrap_or(false);
        let _ = tell.send(holds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Value as _;

    /// Of `open sesame`, at the lowest cost.
    const CHEAP: &str = "$2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS";

    fn hash() -> Arc<Hash> {
        Arc::new(Hash::parse(CHEAP).unwrap())
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn passwords_are_checked() {
        let guard = Guard::new();
        assert!(run(guard.check(hash(), b"open sesame")).unwrap());
        assert!(!run(guard.check(hash(), b"open")).unwrap());
    }

    #[test]
    fn proofs_are_of_one_user_one_password_and_one_hash() {
        let (guard, hash, now) = (Guard::new(), hash(), Instant::now());
        let tag = guard.tag("ali", b"open sesame", &hash);
        assert!(!guard.remembers(&tag, now));
        guard.remember(tag, now);
        assert!(guard.remembers(&tag, now));
        assert!(guard.remembers(&guard.tag("ali", b"open sesame", &hash), now + Duration::from_secs(299)));
        assert!(!guard.remembers(&tag, now + REMEMBERED));
        let other = Hash::parse(&CHEAP.replace("$2y$", "$2b$")).unwrap();
        for tag in [
            guard.tag("al", b"iopen sesame", &hash),
            guard.tag("ali", b"open sesame ", &hash),
            guard.tag("ali", b"open sesame", &other),
            Guard::new().tag("ali", b"open sesame", &hash),
        ] {
            assert!(!guard.remembers(&tag, now));
        }
    }

    #[test]
    fn xa08_what_is_remembered_is_bounded() {
        let (guard, hash, now) = (Guard::new(), hash(), Instant::now());
        for number in 0..20_000_u32 {
            guard.remember(guard.tag("a", &number.to_le_bytes(), &hash), now + Duration::from_micros(number.into()));
        }
        let count: usize = guard.proofs.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!((MOST * SHARDS / 2..=MOST * SHARDS).contains(&count), "{count}");
        assert!(guard.remembers(&guard.tag("a", &19_999_u32.to_le_bytes(), &hash), now + Duration::from_secs(1)));
        assert!(!guard.remembers(&guard.tag("a", &0_u32.to_le_bytes(), &hash), now), "the oldest go first");
    }

    #[test]
    fn xa08_who_comes_when_the_queue_is_full_is_turned_away_at_once() {
        let guard = Guard::new();
        // A queue whose workers are all held up.
        let (jobs, receiver) = sync_channel(1);
        guard.jobs.set(Some(jobs)).unwrap();
        let mut waiting = Box::pin(guard.check(hash(), b"x"));
        let waker = std::task::Waker::noop();
        assert!(waiting.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        assert_eq!(run(guard.check(hash(), b"y")).unwrap_err().cause, Cause::Overloaded);
        drop(receiver);
        assert_eq!(run(waiting).unwrap_err().cause, Cause::Panic);
    }

    #[test]
    fn xa08_a_name_that_nobody_has_always_gets_the_same_hash() {
        let guard = Guard::new();
        assert_eq!(guard.choose("nobody", 7), guard.choose("nobody", 7));
        let chosen: std::collections::BTreeSet<usize> =
            (0..200).map(|number| guard.choose(&number.to_string(), 7)).collect();
        assert_eq!(chosen.len(), 7, "and names are spread over all of them");
    }
}
