//! What QUIC is sealed and signed with: kept in storage, so that a process that begins anew is believed by the clients of the
//! one before it, and by those of the others that share its storage.
//!
//! A client whose connection is gone is told so by a reset that it can check (RFC 9000, section 10.3) instead of waiting 30
//! seconds for an answer, and one that was asked to show where it is (section 8.1.2) need not be asked again.
//!
//! What is stored may be shared; the key of resets must not be (section 21.11). Who holds the id of a live connection could
//! show it to another address or instance, which does not know it, and would be handed the very token that ends it. So each
//! address of each machine has a key of its own, and a new process that listens where the old one did finds it again.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use aws_lc_rs::{hkdf, hmac};

use crate::tls::Trouble;
use crate::tls::storage::{Place, Storage, wait};

const FOLDER: &str = "quic";
const KEY: &str = "quic/key";
const LENGTH: usize = 32;
/// So long one of several processes that begin at once waits for another to keep its key.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all workers of the process have: a client's token is good with every one of them.
pub struct Secrets {
    reset: hkdf::Prk,
    pub token: Arc<hkdf::Prk>,
}

static SECRETS: OnceLock<Secrets> = OnceLock::new();

/// Takes over the key that is kept at this place, the usual one without it, or makes one that is kept there from now on. Where
/// that cannot be, it is good for as long as the process lives. Only the first call counts.
pub fn settle(place: Option<&Place>) {
    if SECRETS.get().is_some() {
        return;
    }
    let storage = place.map_or_else(|| Ok(Storage::default()), Storage::open);
    let found = storage.and_then(|storage| Ok((kept(&storage)?, storage)));
    let key = match found {
        Ok((Some(key), _)) => Some(key),
        Ok((None, storage)) => made(storage),
        Err(trouble) => return untold(&trouble),
    };
    if let Some(key) = key {
        let _ = SECRETS.set(Secrets::of(&key));
    }
}

fn untold(trouble: &Trouble) {
    tracing::info!(%trouble, "the key of QUIC is not kept: clients will notice the next start late");
}

pub fn secrets() -> io::Result<&'static Secrets> {
    if let Some(secrets) = SECRETS.get() {
        return Ok(secrets);
    }
    let key = fresh().ok_or_else(|| io::Error::other("the system gives no random numbers"))?;
    Ok(SECRETS.get_or_init(|| Secrets::of(&key)))
}

fn kept(storage: &Storage) -> Result<Option<Vec<u8>>, Trouble> {
    Ok(wait(storage.load(KEY))?.filter(|key| key.len() == LENGTH))
}

/// Nobody waits until it is kept: a disk may take seconds to say that it is.
fn made(storage: Storage) -> Option<Vec<u8>> {
    let key = fresh()?;
    let copy = key.clone();
    let begun = thread::Builder::new().name("quic key".to_owned()).spawn(move || {
        if let Err(trouble) = keep(&storage, &copy) {
            untold(&trouble);
        }
    });
    if let Err(error) = begun {
        tracing::info!(%error, "the key of QUIC is not kept: clients will notice the next start late");
    }
    Some(key)
}

/// Keeps a key, unless another process has been quicker: then that one's is taken at the next start.
fn keep(storage: &Storage, key: &[u8]) -> Result<(), Trouble> {
    storage.prepare(FOLDER)?;
    let lock = storage.lock_within(FOLDER, PATIENCE)?;
    let outcome = kept(storage).and_then(|known| match known {
        Some(_) => Ok(()),
        None => wait(storage.store(KEY, key)),
    });
    wait(storage.release(lock));
    outcome
}

fn fresh() -> Option<Vec<u8>> {
    let mut key = vec![0; LENGTH];
    aws_lc_rs::rand::fill(&mut key).ok()?;
    Some(key)
}

impl Secrets {
    fn of(key: &[u8]) -> Self {
        let derived = |what: &[u8]| hkdf::Salt::new(hkdf::HKDF_SHA256, what).extract(key);
        Self { reset: derived(b"stateless reset"), token: Arc::new(derived(b"address validation")) }
    }

    /// What the endpoints at an address sign resets with.
    pub fn reset(&self, at: SocketAddr) -> io::Result<Arc<hmac::Key>> {
        self.reset_of(at, machine()).ok_or_else(|| io::Error::other("no key for resets"))
    }

    fn reset_of(&self, at: SocketAddr, machine: &[u8]) -> Option<Arc<hmac::Key>> {
        // With the scope of a link-local one: the same address of another link is another. It has no zero in it, so no two
        // places read alike.
        let at = at.to_string();
        let place = [at.as_bytes(), &[0], machine];
        let key = self.reset.expand(&place, hmac::HMAC_SHA256).ok()?;
        Some(Arc::new(hmac::Key::from(key)))
    }
}

/// What tells this machine from the others that share its storage, the same after a restart. Neither part does that alone:
/// containers may have no id, or one of their image, and differ in their names; machines that nobody has named are all
/// `localhost`. Where either changes, clients of the process before wait until their own patience ends: the harmless side.
fn machine() -> &'static [u8] {
    static MACHINE: OnceLock<Vec<u8>> = OnceLock::new();
    MACHINE.get_or_init(|| {
        // Not every system has one.
        let id = fs::read("/etc/machine-id").unwrap_or_default();
        [rustix::system::uname().nodename().to_bytes(), &[0], &id].concat()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What a key comes to: a signature, and bytes that are derived.
    fn shown(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let secrets = Secrets::of(key);
        let mut token = vec![0; 32];
        secrets.token.expand(&[&b"x"[..]], hkdf::HKDF_SHA256).unwrap().fill(&mut token).unwrap();
        (signed(&secrets, "127.0.0.1:443", b"here"), token)
    }

    fn signed(secrets: &Secrets, at: &str, machine: &[u8]) -> Vec<u8> {
        let key = secrets.reset_of(at.parse().unwrap(), machine).unwrap();
        hmac::sign(&key, b"x").as_ref().to_vec()
    }

    #[test]
    fn xh10_a_reset_is_signed_for_one_address_of_one_machine() {
        let secrets = Secrets::of(&fresh().unwrap());
        let places = [
            ("0.0.0.0:443", &b"here"[..]),
            ("0.0.0.0:4433", b"here"),
            ("0.0.0.0:443", b"there"),
            ("[::]:443", b"here"),
            ("[fe80::1%2]:443", b"here"),
            ("[fe80::1%3]:443", b"here"),
        ];
        let all: HashSet<Vec<u8>> = places.iter().map(|(at, machine)| signed(&secrets, at, machine)).collect();
        assert_eq!(all.len(), places.len());
        for (at, machine) in places {
            assert_eq!(signed(&secrets, at, machine), signed(&secrets, at, machine), "the next process finds it again");
        }
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = std::env::temp_dir().join(format!("rp-quic-{}", std::process::id()));
        let storage = Storage::file(&folder);
        let (key, other) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!(kept(&storage).unwrap(), None);
        keep(&storage, &key).unwrap();
        keep(&storage, &other).unwrap();
        assert_eq!(kept(&storage).unwrap().as_ref(), Some(&key), "the first one stays");
        // Half a key is none.
        wait(storage.store(KEY, &key[..7])).unwrap();
        keep(&storage, &other).unwrap();
        assert_eq!(kept(&storage).unwrap().as_ref(), Some(&other));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(shown(&key), shown(&key));
        let (one, two) = (shown(&key), shown(&other));
        assert!(one.0 != two.0 && one.1 != two.1 && one.0 != one.1);
    }
}
