//! The account with an authority: its key is kept, or none is made.

use std::path::PathBuf;

use crate::authority::Pebble;
use crate::harness::{Folder, eventually};
use crate::issuers::errand;
use crate::{served, site};

/// Where the account of an authority is kept.
fn place(pebble: &Pebble, storage: &Folder) -> PathBuf {
    let authority = pebble.directory().trim_start_matches("https://").replace([':', '/'], "-");
    storage.path().join("acme").join(authority).join("account.json")
}

#[test]
fn where_its_key_cannot_be_kept_no_account_is_made() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let place = place(&pebble, &storage);
    // No file can take the name of a folder.
    std::fs::create_dir_all(place.join("in-the-way")).unwrap();
    let proxy = site(&pebble, &storage);
    let failed = proxy.said("certificate not obtained");
    assert!(failed["reason"].as_str().unwrap().contains("account.json"), "{failed}");
    assert_eq!(pebble.asked("/sign-me-up"), 0, "nobody is asked for what would be lost");
    std::fs::remove_dir_all(&place).unwrap();
    eventually("the admin socket", || storage.path().join("admin.sock").exists().then_some(()));
    let (code, said) = errand(&proxy, &storage, &["renew", "example.com"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(pebble.asked("There are now 1 accounts in memory"), 1);
}

#[test]
fn what_cannot_be_read_of_an_account_is_set_aside() {
    let (pebble, storage) = (Pebble::start(), Folder::new());
    let place = place(&pebble, &storage);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, "half of an acc").unwrap();
    let proxy = site(&pebble, &storage);
    proxy.said("what is kept of the account cannot be read: it is set aside, and another is made");
    assert_eq!(served(&pebble, "example.com"), "secure");
    assert_eq!(std::fs::read_to_string(place.with_extension("json.broken")).unwrap(), "half of an acc");
    assert!(std::fs::read_to_string(place).unwrap().contains("credentials"));
}
