//! A real server, on a socket of its own.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::super::tests::{Scratch, keeps};
use super::super::{Copy, Place, Storage, wait};
use super::*;

/// It ends with the test.
struct Running {
    child: Child,
    scratch: Scratch,
}

impl Running {
    fn start(options: &[&str]) -> Self {
        let scratch = Scratch::new();
        let mut running = Self { child: Self::spawn(&scratch, options), scratch };
        running.await_socket();
        running
    }

    fn spawn(scratch: &Scratch, options: &[&str]) -> Child {
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--dir"]).arg(&scratch.0).arg("--unixsocket").arg(scratch.path("s"));
        server.args(options).stdin(Stdio::null()).stdout(Stdio::null());
        server.spawn().unwrap_or_else(|error| panic!("redis-server: {error} (the package is `redis-server`)"))
    }

    fn await_socket(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(self.scratch.path("s")).is_err() {
            assert!(Instant::now() < end && self.child.try_wait().unwrap().is_none(), "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    fn restart(&mut self) {
        self.stop();
        self.child = Self::spawn(&self.scratch, &[]);
        self.await_socket();
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.scratch.path("s"));
    }

    fn server(&self) -> Server {
        Server {
            address: Address::Unix(self.scratch.path("s")),
            username: None,
            password: None,
            database: 0,
            prefix: "rp:".into(),
            timeout: Duration::from_secs(5),
            lease: Duration::from_secs(20),
        }
    }

    fn storage(&self) -> Storage {
        open(self.server())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open(server: Server) -> Storage {
    Storage::open(&Place::Redis { server, copy: Copy::Off }).unwrap()
}

#[test]
fn it_keeps_what_any_storage_does() {
    let running = Running::start(&[]);
    keeps(&running.storage());
}

#[test]
fn prefixes_and_databases_keep_apart() {
    let running = Running::start(&[]);
    let odd = open(Server { prefix: "r*[p]:".into(), ..running.server() });
    let two = open(Server { database: 2, ..running.server() });
    for storage in [&running.storage(), &odd, &two] {
        assert!(wait(storage.list("")).unwrap().is_empty());
        wait(storage.store("acme/ca/*.a.test/certificate.pem", b"1")).unwrap();
        assert_eq!(wait(storage.list("acme/ca/*.a.test")).unwrap(), ["acme/ca/*.a.test/certificate.pem"]);
        wait(storage.store("acme/ca/b.a.test/certificate.pem", b"1")).unwrap();
        assert_eq!(wait(storage.list("acme/ca/*.a.test")).unwrap().len(), 1);
    }
}

#[test]
fn who_has_lost_a_lock_stores_nothing() {
    let running = Running::start(&[]);
    let short = open(Server { lease: Duration::from_millis(30), ..running.server() });
    let lock = wait(short.lock("a")).unwrap().unwrap();
    // It is gone, and nobody has taken it: nothing is lost.
    wait(short.delete("lock/a")).unwrap();
    assert!(wait(short.store_under(&lock, "k", b"1")).unwrap());
    let other = running.storage();
    let taken = other.lock_within("a", Duration::from_secs(10)).unwrap();
    assert!(!wait(short.store_under(&lock, "k", b"2")).unwrap());
    assert_eq!(wait(other.load("k")).unwrap().as_deref(), Some(&b"1"[..]));
    // Nor does it give up what is another's.
    wait(short.release(lock));
    assert!(wait(short.lock("a")).unwrap().is_none());
    assert!(wait(other.store_under(&taken, "k", b"3")).unwrap());
}

#[test]
fn a_lease_is_begun_anew_while_there_is_work() {
    let running = Running::start(&[]);
    let short = open(Server { lease: Duration::from_secs(1), ..running.server() });
    let other = running.storage();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let locks = [short.lock("a").await.unwrap().unwrap(), short.lock("b").await.unwrap().unwrap()];
        let work = async {
            let end = Instant::now() + Duration::from_millis(2500);
            while Instant::now() < end {
                for name in ["a", "b"] {
                    assert!(other.lock(name).await.unwrap().is_none(), "{name}");
                }
                tokio::task::yield_now().await;
            }
        };
        short.during(&locks, work).await;
    });
}

#[test]
fn a_server_that_comes_back_is_spoken_with_again() {
    let mut running = Running::start(&[]);
    let storage = running.storage();
    wait(storage.store("k", b"1")).unwrap();
    running.stop();
    let trouble = wait(storage.load("k")).unwrap_err().to_string();
    let place = format!("unix/{}/0/rp:", running.scratch.path("s").display());
    assert!(trouble.starts_with(&format!("the storage `{place}` cannot be reached (")), "{trouble}");
    running.restart();
    let end = Instant::now() + Duration::from_secs(10);
    while wait(storage.store("k", b"2")).is_err() {
        assert!(Instant::now() < end, "it is back");
        std::thread::yield_now();
    }
    assert_eq!(wait(storage.load("k")).unwrap().as_deref(), Some(&b"2"[..]));
    // A connection that died between two questions costs nothing.
    running.restart();
    wait(storage.store("k", b"3")).unwrap();
}

#[test]
fn passwords_are_asked_for_and_not_told() {
    let running = Running::start(&["--requirepass", "hunter2", "--user", "rp", "on", ">swordfish", "~rp:*", "+@all"]);
    let trouble = wait(running.storage().load("k")).unwrap_err().to_string();
    assert!(trouble.contains("refuses (Authentication required"), "{trouble}");
    let with = |username: Option<&str>, password: &str| {
        let server =
            Server { username: username.map(Into::into), password: Some(Secret::new(password)), ..running.server() };
        assert!(!format!("{server:?} {server}").contains(password));
        let storage = open(server);
        assert!(!format!("{storage:?}").contains(password));
        wait(storage.store("k", b"1")).map_err(|trouble| trouble.to_string())
    };
    assert_eq!(with(None, "hunter2"), Ok(()));
    assert_eq!(with(Some("rp"), "swordfish"), Ok(()));
    let trouble = with(None, "hunter3").unwrap_err();
    assert!(trouble.contains("refuses (") && !trouble.contains("hunter3"), "{trouble}");
}
