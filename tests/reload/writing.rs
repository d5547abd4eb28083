//! However a file is written, what it says is put in force; what is wrong never is.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Folder, eventually};
use crate::running::{Running, saying, start};

/// Longer than the time for which it must be quiet before files are looked at.
const NOTHING_COMES: Duration = Duration::from_millis(700);

/// For what must not happen there is no event to wait for.
fn assert_nothing_comes(proxy: &crate::harness::Proxy) {
    let (reloads, refusals) = (proxy.reloads(), proxy.refusals());
    std::thread::sleep(NOTHING_COMES);
    assert_eq!((proxy.reloads(), proxy.refusals()), (reloads, refusals));
}

#[test]
fn every_way_of_saving_is_noticed() {
    let proxy = start(&saying("one"));
    assert_eq!(proxy.says(), "one");
    // Truncate and write.
    proxy.rewrite(&saying("two"));
    proxy.reloaded(1);
    assert_eq!(proxy.says(), "two");
    // As vim saves: the old file moves away, a new one is written, the old one is removed.
    let backup = proxy.folder.path().join("Proxyfile~");
    fs::rename(&proxy.config, &backup).unwrap();
    fs::write(&proxy.config, saying("three")).unwrap();
    fs::remove_file(&backup).unwrap();
    proxy.reloaded(2);
    assert_eq!(proxy.says(), "three");
    // As `sed -i` and most editors save: another file takes the name. Twice, since a watch on the file would now be
    // on one that has gone.
    for (count, text) in [(3, "four"), (4, "five")] {
        fs::rename(proxy.folder.write(".Proxyfile.new", saying(text)), &proxy.config).unwrap();
        proxy.reloaded(count);
        assert_eq!(proxy.says(), text);
    }
    let status = Command::new("sed").args(["-i", "s/five/six/"]).arg(&proxy.config).status().unwrap();
    assert!(status.success());
    proxy.reloaded(5);
    assert_eq!(proxy.says(), "six");
    assert_eq!(proxy.refusals(), 0);
}

#[test]
fn a_file_that_says_the_same_changes_nothing() {
    let proxy = start(&saying("one"));
    proxy.rewrite(&saying("one"));
    proxy.folder.write("neighbour", "x");
    Command::new("touch").arg(&proxy.config).status().unwrap();
    assert_nothing_comes(&proxy);
    assert_eq!(proxy.reloads(), 0);
}

#[test]
fn links_that_turn_as_in_a_container_are_noticed() {
    let mount = Folder::new();
    mount.write("..1/sites.conf", "respond one\n");
    mount.write("..2/sites.conf", "respond two\n");
    symlink("..1", mount.path().join("..data")).unwrap();
    symlink("..data/sites.conf", mount.path().join("sites.conf")).unwrap();
    let config = format!(":0 {{\n    bind 127.0.0.1\n    import {}\n}}\n", mount.path().join("sites.conf").display());
    let proxy = start(&config);
    assert_eq!(proxy.says(), "one");
    symlink("..2", mount.path().join("..data_tmp")).unwrap();
    fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    proxy.reloaded(1);
    assert_eq!(proxy.says(), "two");
    // The new target is what is watched now.
    mount.write("..2/sites.conf", "respond three\n");
    proxy.reloaded(2);
    assert_eq!(proxy.says(), "three");
}

#[test]
fn what_is_wrong_is_reported_once_and_never_put_in_force() {
    let proxy = start(&saying("one"));
    let bad = format!("{}\nexample.org {{ reverse_porxy x }}\n", saying("two"));
    proxy.rewrite(&bad);
    proxy.refused(1);
    proxy.shows("E0010");
    proxy.rewrite(&bad);
    assert_nothing_comes(&proxy);
    assert_eq!(proxy.says(), "one");
    // Wrong in another way is another report.
    proxy.rewrite("}");
    proxy.refused(2);
    assert_eq!(proxy.says(), "one");
    // Nothing at all is no configuration: what an editor leaves for a moment must not close the ports.
    proxy.rewrite("");
    proxy.refused(3);
    assert_eq!(proxy.says(), "one");
    // Back to what is in force: nothing to do.
    proxy.rewrite(&saying("one"));
    proxy.said("the files are again what is in force");
    assert_eq!(proxy.reloads(), 0);
    proxy.rewrite(&saying("two"));
    proxy.reloaded(1);
    assert_eq!(proxy.says(), "two");
}

#[test]
fn a_deleted_file_is_reported_and_awaited() {
    let proxy = start(&saying("one"));
    fs::remove_file(&proxy.config).unwrap();
    proxy.refused(1);
    proxy.shows("cannot read");
    assert_eq!(proxy.says(), "one");
    proxy.rewrite(&saying("two"));
    proxy.reloaded(1);
    assert_eq!(proxy.says(), "two");
}

#[test]
fn imports_are_followed_those_of_a_refused_file_too() {
    let config = ":0 {\n    bind 127.0.0.1\n    import answer.conf\n}\n";
    let proxy = start(&saying("one"));
    // The import is not there yet.
    proxy.rewrite(config);
    proxy.refused(1);
    proxy.folder.write("answer.conf", "respond two\n");
    proxy.reloaded(1);
    assert_eq!(proxy.says(), "two");
    proxy.folder.write("answer.conf", "respon two\n");
    proxy.refused(2);
    proxy.folder.write("answer.conf", "respond three\n");
    proxy.reloaded(2);
    assert_eq!(proxy.says(), "three");
}

#[test]
fn a_file_that_a_pattern_finds_is_put_in_force() {
    let proxy = start(&format!("{}\nimport sites/*/*.conf\n", saying("one")));
    let site = |name: &str| format!("http://{name}:0 {{\n    bind 127.0.0.1\n    respond {name}\n}}\n");
    let answer = |host: &str| crate::harness::get(proxy.address(), host, "/");
    assert_eq!(answer("a.test").text(), "one");
    // Not even the folders are there.
    proxy.folder.write("sites/a/site.conf", site("a.test"));
    eventually("the site of a new file", || (answer("a.test").text() == "a.test").then_some(()));
    std::fs::create_dir(proxy.folder.path().join("sites/b")).unwrap();
    assert_nothing_comes(&proxy);
    for name in ["b.test", "c.test"] {
        proxy.folder.write(&format!("sites/b/{name}.conf"), site(name));
        eventually("another site", || (answer(name).text() == name).then_some(()));
    }
    fs::remove_file(proxy.folder.path().join("sites/a/site.conf")).unwrap();
    eventually("the end of the site", || (answer("a.test").text() == "one").then_some(()));
    assert_eq!(proxy.refusals(), 0);
}

#[test]
fn a_folder_that_is_exchanged_whole_is_noticed() {
    let place = Folder::new();
    let answer = |text: &str| format!("respond {text}\n");
    place.write("conf/answer.conf", answer("one"));
    let config = format!(":0 {{\n    bind 127.0.0.1\n    import {}/conf/answer.conf\n}}\n", place.path().display());
    let proxy = start(&config);
    place.write("next/answer.conf", answer("two"));
    fs::rename(place.path().join("conf"), place.path().join("last")).unwrap();
    fs::rename(place.path().join("next"), place.path().join("conf")).unwrap();
    eventually("the new folder", || (proxy.says() == "two").then_some(()));
}

#[test]
fn a_secret_that_changes_is_put_in_force() {
    let place = Folder::new();
    let secret = place.write("secret", "one\n");
    let config = format!(":0 {{\n    bind 127.0.0.1\n    respond \"{{file.{}}}\"\n}}\n", secret.display());
    let proxy = start(&config);
    assert_eq!(proxy.says(), "one");
    place.write("secret", "two\n");
    // Not at the first reload: a file that is as young as the look at it is looked at twice.
    eventually("the new secret", || (proxy.says() == "two").then_some(()));
}
