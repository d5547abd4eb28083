//! Threat XZ10: what a process that root started keeps of root.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{Folder, Proxy, command, eventually, get, of};

const NOBODY: u32 = 65534;

/// A port that only root may listen on, and nobody does.
fn low_port() -> u16 {
    (600..1024).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port below 1024")
}

/// What the kernel says of each thread.
fn threads(proxy: &Proxy) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok()).collect()
}

fn line<'s>(status: &'s str, name: &str) -> Vec<&'s str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} of {status}"));
    line.split_whitespace().collect()
}

fn owners(folder: &Path, into: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        into.push((entry.path().display().to_string(), entry.metadata().unwrap().uid()));
        if entry.path().is_dir() {
            owners(&entry.path(), into);
        }
    }
}

/// Leaves out what needs root, where it can't be had.
const WITHOUT_ROOT: &str = "RP_WITHOUT_ROOT";

/// Runs a test of this file where we are root: a namespace of users, with the subordinate ids that this one may have, and a
/// network of its own, whose low ports are that root's.
fn as_root_of_its_own(test: &str) {
    if std::env::var_os(WITHOUT_ROOT).is_some() {
        // Past what the harness keeps back of tests that pass.
        let _ = writeln!(std::io::stderr(), "left out, as {WITHOUT_ROOT} says: {test}");
        return;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--map-auto", "--net", "--"])
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output()
        .expect("unshare is here");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test} needs root, or `unshare` with subordinate ids (newuidmap, /etc/subuid); {WITHOUT_ROOT}=1 leaves it out. \
         It said:\n{said}"
    );
}

#[test]
fn xz10_root_is_given_up_by_every_thread_and_a_reload_needs_it_no_more() {
    let site = "https://localhost:0 {\n bind 127.0.0.1\n respond secure\n}";
    let config = format!("global {{ user nobody; storage file {{$STORAGE}}; log file {{$LOG}} }}\n{site}");
    if !rustix::process::geteuid().is_root() {
        return as_root_of_its_own("privileges::xz10_root_is_given_up_by_every_thread_and_a_reload_needs_it_no_more");
    }
    let kept = Folder::new();
    let (storage, logs) = (kept.path().join("storage"), kept.path().join("logs"));
    fs::create_dir(&logs).unwrap();
    std::os::unix::fs::chown(&logs, Some(NOBODY), None).unwrap();
    let log = logs.join("access.log");
    let proxy = of(&config).with("STORAGE", storage.display()).with("LOG", log.display()).start();
    proxy.said("root is given up");
    let port = low_port();
    let text = format!("{config}\nhttp://127.0.0.1:{port} {{ respond low }}");
    proxy.folder.write("Proxyfile", text);
    proxy.said("configuration reloaded");
    let door = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(get(door, "127.0.0.1", "/").text(), "low", "a port of root's, after root");
    let all = threads(&proxy);
    assert!(all.len() > 2, "workers and more: {}", all.len());
    for status in &all {
        assert_eq!(line(status, "Uid:"), ["65534"; 4], "{status}");
        assert_eq!(line(status, "Gid:"), ["65534"; 4], "{status}");
        assert_eq!(line(status, "Groups:"), ["65534"], "{status}");
        // CAP_NET_BIND_SERVICE is bit 10.
        for set in ["CapPrm:", "CapEff:"] {
            assert_eq!(line(status, set), ["0000000000000400"], "{status}");
        }
        for set in ["CapInh:", "CapAmb:"] {
            assert_eq!(line(status, set), ["0000000000000000"], "{status}");
        }
        assert_eq!(line(status, "NoNewPrivs:"), ["1"], "{status}");
    }
    let mut made = Vec::new();
    owners(&storage, &mut made);
    assert!(!made.is_empty() && made.iter().all(|(_, owner)| *owner == NOBODY), "{made:?}");
    eventually("the log", || fs::read_to_string(&log).ok().filter(|text| text.contains("127.0.0.1")));
    assert_eq!(fs::metadata(&log).unwrap().uid(), NOBODY);
    for order in ["reload", "status"] {
        let output = command(&proxy.folder).arg(order).output().unwrap();
        assert!(output.status.success(), "{order}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn xz10_who_is_not_root_is_told_so() {
    let folder = Folder::new();
    let file = folder.write("Proxyfile", "global { user daemon }\nhttp://127.0.0.1:0 { respond ok }");
    // Whoever may read all that the test needs, and is not root.
    for path in [folder.path(), &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = command(&folder);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.arg("run").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("only root can become another user"), "{said}");
}

#[test]
fn xz10_nothing_may_be_gained_by_what_is_started_though_nothing_is() {
    let proxy = of(":0 {\n bind 127.0.0.1\n respond ok\n}").start();
    for status in threads(&proxy) {
        assert_eq!(line(&status, "NoNewPrivs:"), ["1"], "{status}");
    }
}

#[test]
fn xz10_who_cannot_become_somebody_does_not_serve() {
    let folder = Folder::new();
    let run = |config: &str, mode: u32| {
        let file = folder.write("Proxyfile", config);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let output = command(&folder).arg("run").arg(file).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let site = "http://127.0.0.1:0 { respond ok }";
    let said = run(&format!("global {{ user nobody-of-that-name }}\n{site}"), 0o644);
    assert!(said.contains("E0055") && said.contains("no user `nobody-of-that-name`"), "{said}");
    let said = run(&format!("global {{ user nobody:no-group-of-that-name }}\n{site}"), 0o644);
    assert!(said.contains("no group `no-group-of-that-name`"), "{said}");
    // A file that root alone may read could never be read again.
    let said = run(&format!("global {{ user nobody }}\n{site}"), 0o600);
    let expected =
        if rustix::process::geteuid().is_root() { "so no reload could" } else { "only root can become another user" };
    assert!(said.contains("E0055") && said.contains(expected), "{said}");
}
