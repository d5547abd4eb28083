//! slowhttptest, by which servers are judged that slow clients bring down: each of its four modes, beside a client that is
//! served throughout. rp ends the connections of those who are too slow, and gives back what they took.

use std::process::{Child, Command, Stdio};

use crate::harness::{Folder, Origin, Proxy, eventually, of};
use crate::watch::{back_to, beside, descriptors};

const CONNECTIONS: usize = 60;
/// KiB that all of them may cost: hyper keeps up to 400 KiB of an answer for each client that does not take it.
const LITTLE: u64 = 32 * 1024;

/// A site of this statement whose patience is short.
fn site(statement: &str, folder: &Folder) -> Proxy {
    of(&format!(
        "global {{ workers 1; timeout header 2s; timeout body 2s; timeout write 2s }}\n\
         :0 {{\n bind 127.0.0.1\n {statement}\n}}"
    ))
    .with("FOLDER", folder.path().display())
    .start()
}

/// Runs it, and says how it ended. Its own client was served throughout, as another one was.
fn attack(proxy: &Proxy, path: &str, mode: &[&str], meanwhile: impl FnOnce(&mut Child) + Send) -> String {
    // What the first request opens stays open.
    assert_eq!(proxy.get("/beside").status(), 200);
    let open = descriptors(proxy);
    let end = beside(proxy, LITTLE, || {
        let folder = Folder::new();
        let count = CONNECTIONS.to_string();
        let url = format!("http://{}{path}", proxy.address());
        let mut child = Command::new("slowhttptest")
            .current_dir(folder.path())
            .args(["-c", &count, "-r", &count, "-l", "10", "-p", "5", "-g", "-o", "slow", "-u", &url])
            .args(mode)
            .stdout(Stdio::piped())
            .spawn()
            .expect("slowhttptest is here");
        let mut said = child.stdout.take().unwrap();
        let output = std::thread::spawn(move || std::io::read_to_string(&mut said).unwrap());
        meanwhile(&mut child);
        assert!(child.wait().unwrap().success());
        let table = std::fs::read_to_string(folder.path().join("slow.csv")).unwrap();
        // Seconds, closed, pending, connected, and whether its own client was served.
        let served = |row: &str| row.rsplit(',').next().is_some_and(|served| served.trim() != "0");
        // One line at least: ranges are answered before a second is over.
        assert!(table.lines().count() > 1 && table.lines().skip(1).all(served), "{table}");
        output.join().unwrap()
    });
    back_to(proxy, open);
    end
}

/// It would have gone on for ten seconds.
const ENDED: &str = "No open connections left";

#[test]
fn xl01_slowhttptest_heads_that_trickle_are_ended() {
    let proxy = site("respond ok", &Folder::new());
    let end = attack(&proxy, "/", &["-H", "-i", "1", "-x", "8"], |_| {});
    assert!(end.contains(ENDED), "{end}");
}

#[test]
fn xl02_slowhttptest_bodies_that_trickle_are_ended() {
    let origin = Origin::saying("ok");
    let proxy = site(&format!("reverse_proxy {}", origin.address), &Folder::new());
    let end = attack(&proxy, "/", &["-B", "-i", "4", "-s", "8192", "-x", "8"], |_| {});
    assert!(end.contains(ENDED), "{end}");
}

#[test]
fn xl03_slowhttptest_answers_that_are_not_taken_are_ended() {
    let folder = Folder::new();
    folder.write("beside", "ok");
    folder.write("large", "x".repeat(8 * 1024 * 1024));
    let proxy = site("file_server {$FOLDER}", &folder);
    let before = descriptors(&proxy);
    // The client would see the end of a connection only behind what it does not read: it is rp that has to let go.
    let let_go = |child: &mut Child| {
        eventually("all connections", || (descriptors(&proxy) >= before + CONNECTIONS).then_some(()));
        eventually("the end of them", || (descriptors(&proxy) < before + CONNECTIONS / 4).then_some(()));
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
    };
    attack(&proxy, "/large", &["-X", "-w", "16", "-y", "64", "-n", "1", "-z", "8"], let_go);
}

#[test]
fn xl03_slowhttptest_ranges_by_the_thousand_cost_no_memory() {
    let folder = Folder::new();
    folder.write("beside", "ok");
    folder.write("large", "x".repeat(1024 * 1024));
    let proxy = site("file_server {$FOLDER}", &folder);
    let end = attack(&proxy, "/large", &["-R", "-a", "1", "-b", "3000", "-t", "HEAD"], |_| {});
    assert!(end.contains(ENDED), "{end}");
}
