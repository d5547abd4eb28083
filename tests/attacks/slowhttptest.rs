//! slowhttptest, by which servers are judged that slow clients bring down: each of its four modes, beside a client that is
//! served throughout. rp ends the connections of those who are too slow, and gives back what they took.

use std::process::Command;

use crate::harness::{Folder, Proxy, of};
use crate::watch::{back_to, beside, descriptors};

const CONNECTIONS: usize = 60;
/// KiB that all of them may cost.
const LITTLE: u64 = 16 * 1024;

/// A site of this statement whose patience is short.
fn site(statement: &str, folder: &Folder) -> Proxy {
    of(&format!(
        "global {{ workers 1; timeout header 2s; timeout body 2s; timeout write 2s }}\n\
         :0 {{\n bind 127.0.0.1\n {statement}\n}}"
    ))
    .with("FOLDER", folder.path().display())
    .start()
}

/// What slowhttptest counted at its end: connections that were closed, and those still open. It was served throughout.
fn attack(proxy: &Proxy, path: &str, mode: &[&str]) -> (usize, usize) {
    let open = descriptors(proxy);
    let (counts, served) = beside(proxy, LITTLE, || {
        let folder = Folder::new();
        let count = CONNECTIONS.to_string();
        let url = format!("http://{}{path}", proxy.address());
        let output = Command::new("slowhttptest")
            .current_dir(folder.path())
            .args(["-c", &count, "-r", &count, "-l", "10", "-p", "5", "-g", "-o", "slow", "-u", &url])
            .args(mode)
            .output()
            .expect("slowhttptest is here");
        assert!(output.status.success(), "{output:?}");
        let table = std::fs::read_to_string(folder.path().join("slow.csv")).unwrap();
        let rows: Vec<Vec<usize>> = table.lines().skip(1).map(numbers).collect();
        let last = rows.last().expect("a row for each second");
        // Seconds, closed, pending, connected, and whether its own client was served.
        assert!(last.len() == 5, "{table}");
        ((last[1], last[2] + last[3]), rows.iter().all(|row| row[4] > 0))
    });
    assert!(served, "its own client is served, too");
    back_to(proxy, open);
    counts
}

fn numbers(row: &str) -> Vec<usize> {
    row.split(',').map(|cell| cell.trim().parse().unwrap_or_else(|_| panic!("{row}"))).collect()
}

#[test]
fn xl01_slowhttptest_heads_that_trickle_are_ended() {
    let proxy = site("respond ok", &Folder::new());
    assert_eq!(attack(&proxy, "/", &["-H", "-i", "1", "-x", "8"]), (CONNECTIONS, 0));
}

#[test]
fn xl02_slowhttptest_bodies_that_trickle_are_ended() {
    let origin = crate::harness::Origin::saying("ok");
    let folder = Folder::new();
    let proxy = site(&format!("reverse_proxy {}", origin.address), &folder);
    assert_eq!(attack(&proxy, "/", &["-B", "-i", "4", "-s", "8192", "-x", "8"]), (CONNECTIONS, 0));
}

#[test]
fn xl03_slowhttptest_answers_that_are_not_taken_are_ended() {
    let folder = Folder::new();
    folder.write("beside", "ok");
    folder.write("large", "x".repeat(8 * 1024 * 1024));
    let proxy = site("file_server {$FOLDER}", &folder);
    assert_eq!(attack(&proxy, "/large", &["-X", "-w", "16", "-y", "64", "-n", "1", "-z", "8"]), (CONNECTIONS, 0));
}

#[test]
fn xl03_slowhttptest_ranges_by_the_thousand_cost_no_memory() {
    let folder = Folder::new();
    folder.write("beside", "ok");
    folder.write("large", "x".repeat(1024 * 1024));
    let proxy = site("file_server {$FOLDER}", &folder);
    let (closed, open) = attack(&proxy, "/large", &["-R", "-a", "1", "-b", "3000", "-t", "HEAD"]);
    assert_eq!(closed + open, CONNECTIONS);
}
