//! The usual folder, what a key may be, and what every backend has to do.

use std::fs;

use super::*;

/// A folder that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rp-test-{}", random().unwrap()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn storage(&self) -> Storage {
        Storage::file(&*self.0)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(variables: &[(&str, &str)], root: bool, expected: &str) {
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    assert_eq!(storage_for(&variable, root), Path::new(expected));
}

#[test]
fn storage_follows_the_base_directories() {
    check(&[("HOME", "/home/a")], false, "/home/a/.local/share/rp");
    check(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")], false, "/data/rp");
    check(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")], false, "/home/a/.local/share/rp");
    check(&[("HOME", "/root")], true, "/var/lib/rp");
    check(&[("HOME", "/root"), ("XDG_DATA_HOME", "/data")], true, "/data/rp");
    check(&[], false, "/var/lib/rp");
}

#[test]
fn a_key_leads_nowhere_else() {
    for key in ["a", "acme/ca.test-dir/a.test/certificate.pem", "acme/x/*.a.test/certificate.pem", "..a/b.."] {
        assert!(is_key(key), "{key}");
    }
    for key in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a b", "a\0", "ä", &"a".repeat(901)] {
        assert!(!is_key(key), "{key}");
    }
}

/// What is promised of any backend.
pub fn keeps(storage: &Storage) {
    let load = |key| wait(storage.load(key)).unwrap();
    assert_eq!(load("a/b/c.pem"), None);
    assert!(wait(storage.list("")).unwrap().is_empty());
    wait(storage.store("a/b/c.pem", b"one")).unwrap();
    wait(storage.store("a/b/c.pem", b"two\0\xff")).unwrap();
    wait(storage.store("a/bc/d.pem", b"")).unwrap();
    wait(storage.store("e.json", b"{}")).unwrap();
    assert_eq!(load("a/b/c.pem").as_deref(), Some(&b"two\0\xff"[..]));
    assert_eq!(load("a/bc/d.pem").as_deref(), Some(&b""[..]));
    assert_eq!(load("a"), None);
    let list = |folder| wait(storage.list(folder)).unwrap();
    assert_eq!(list(""), ["a/b/c.pem", "a/bc/d.pem", "e.json"]);
    assert_eq!(list("a"), ["a/b/c.pem", "a/bc/d.pem"]);
    assert_eq!(list("a/b"), ["a/b/c.pem"]);
    assert!(list("b").is_empty());
    assert!(wait(storage.exists("e.json")).unwrap());
    for _ in 0..2 {
        wait(storage.delete("a/b/c.pem")).unwrap();
        assert!(!wait(storage.exists("a/b/c.pem")).unwrap());
    }

    let lock = |name| wait(storage.lock(name)).unwrap();
    let held = lock("acme/ca/a.test").unwrap();
    assert!(lock("acme/ca/a.test").is_none());
    let other = lock("acme/ca/b.test").unwrap();
    assert!(wait(storage.store_under(&held, "e.json", b"under")).unwrap());
    assert_eq!(load("e.json").as_deref(), Some(&b"under"[..]));
    wait(storage.release(held));
    let again = lock("acme/ca/a.test").unwrap();
    wait(storage.release(again));
    wait(storage.release(other));
    assert_eq!(list(""), ["a/bc/d.pem", "e.json"], "locks are nothing that is kept");
    let trouble = {
        let _held = lock("x").unwrap();
        storage.lock_within("x", Duration::from_millis(120)).unwrap_err().to_string()
    };
    assert!(trouble.contains("/x` is held by another process"), "{trouble}");
}
