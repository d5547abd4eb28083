//! `rp reload`, `rp status` and the socket behind them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::harness::{Folder, command, eventually, of};
use crate::running::{Running, placed, saying, start};

#[test]
fn reload_says_what_came_of_it() {
    let proxy = start(&saying("one"));
    let output = proxy.ask(&["reload"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "reloaded: 1 site in force\n");
    proxy.rewrite("http://a.test { reverse_porxy 127.0.0.1:1 }");
    let output = proxy.ask(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let findings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(findings.contains("E0010") && findings.contains("did you mean `reverse_proxy`?"), "{findings}");
    assert!(findings.contains("the old one goes on"), "{findings}");
    assert_eq!(proxy.says(), "one");
}

#[test]
fn reload_works_where_files_are_not_watched() {
    let config = saying("one");
    let mut placed = placed(&config);
    placed.setup = placed.setup.arguments(&["--no-watch"]);
    let proxy = placed.start_in_place();
    proxy.rewrite(&saying("two"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((proxy.says().as_str(), proxy.reloads()), ("one", 0));
    assert_eq!(proxy.ask(&["reload"]).status.code(), Some(0));
    assert_eq!(proxy.says(), "two");
}

#[test]
fn status_tells_what_runs_and_what_was_refused() {
    let proxy = start(&saying("one"));
    let status = proxy.status();
    assert_eq!(status["pid"], proxy.pid());
    assert_eq!(status["listeners"][0], proxy.address().to_string());
    assert_eq!(status["config"]["path"], proxy.config.display().to_string());
    assert!(status["refusal"].is_null());
    let hash = status["config"]["hash"].clone();
    proxy.rewrite("}");
    proxy.refused(1);
    let status = proxy.status();
    assert_eq!(status["config"]["hash"], hash);
    assert_eq!(status["reloads"]["refused"], 1);
    assert!(status["refusal"]["findings"].as_str().unwrap().contains("E0001"), "{status:#}");
    let text = proxy.ask(&["status"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("E0001"));
    proxy.rewrite(&saying("two"));
    proxy.reloaded(1);
    let status = proxy.status();
    assert_ne!(status["config"]["hash"], hash);
    assert_eq!(status["reloads"]["done"], 1);
    assert!(status["refusal"].is_null());
}

#[test]
fn nobody_there_is_another_exit_code() {
    let folder = Folder::new();
    let output = command(&folder).args(["reload", "--socket"]).arg(folder.path().join("none")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no rp listens on"), "{output:?}");
}

#[test]
fn xz04_the_socket_is_its_owners_and_a_second_process_goes_without() {
    let place = Folder::new();
    let config = |text: &str| saying(text);
    let first = of(&config("one")).with("PLACE", place.path().display()).start();
    let socket = place.path().join("admin.sock");
    // It is opened once the sites are served.
    let made = eventually("the socket", || socket.metadata().ok());
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    let mut second = of(&config("two")).with("PLACE", place.path().display()).start();
    second.said("another process has the admin socket");
    second.signal(rustix::process::Signal::TERM);
    assert!(second.wait().success());
    // The first one still has it.
    let mut ask = command(&place);
    let output = ask.args(["status", "--format", "json", "--socket"]).arg(&socket).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["pid"], first.pid());
}

#[test]
fn a_socket_moves_with_the_configuration() {
    let proxy = start(&saying("one"));
    let place = proxy.kept[0].path().to_owned();
    proxy.rewrite(&saying("two").replace("admin.sock", "other.sock"));
    // By this, or by the watch that was faster.
    assert!(matches!(proxy.ask(&["reload"]).status.code(), Some(0 | 2)));
    let mut other = command(&proxy.folder);
    other.args(["reload", "--socket"]).arg(place.join("other.sock"));
    eventually("the other socket", || (other.output().unwrap().status.code() == Some(0)).then_some(()));
    assert_eq!(proxy.ask(&["reload"]).status.code(), Some(2));
    assert!(!place.join("admin.sock").exists());
}

#[test]
fn whoever_says_nonsense_is_told_so() {
    use std::io::{Read as _, Write as _};
    let proxy = start(&saying("one"));
    let socket = proxy.kept[0].path().join("admin.sock");
    for nonsense in [&b"reload\n"[..], b"{\"command\":\"stop\"}\n", &[0xff; 5000]] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        stream.write_all(nonsense).unwrap();
        let mut answer = String::new();
        // What is longer than a request is not read to its end, so the answer may come with a reset behind it.
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("{\"message\"") && answer.contains("\"ok\":false"), "{answer}");
    }
    assert_eq!(proxy.says(), "one");
}

#[test]
fn a_folder_and_a_server_need_no_file() {
    let folder = Folder::new();
    folder.write("with {brace} and \"quote\"/hello.txt", "hello");
    let printed = command(&folder)
        .args(["serve", "with {brace} and \"quote\"", "--listen", "127.0.0.1:0", "--browse", "--print"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let proxy = of(&String::from_utf8(printed.stdout).unwrap()).start();
    assert_eq!(proxy.get("/hello.txt").text(), "hello");
    assert!(proxy.get("/").text().contains("hello.txt"));

    let origin = crate::harness::Origin::saying("from the server");
    let printed = command(&folder)
        .args(["proxy", "--from", "127.0.0.1:0", "--print", "--to"])
        .arg(origin.address.to_string())
        .output()
        .unwrap();
    let proxy = of(&String::from_utf8(printed.stdout).unwrap()).start();
    assert_eq!(proxy.says(), "from the server");
    let wrong = command(&folder).args(["proxy", "--from", ":0", "--to", "http://a/b"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("has no path"), "{wrong:?}");
}
