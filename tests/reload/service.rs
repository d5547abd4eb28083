//! The service manager: what it is told, and the sockets that it opens.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Folder, PATIENCE, command, get};
use crate::running::{Running, placed, saying};

/// What stands where the service manager listens.
struct Manager {
    socket: UnixDatagram,
    place: Folder,
}

impl Manager {
    fn new() -> Self {
        let place = Folder::new();
        let socket = UnixDatagram::bind(place.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, place }
    }

    fn path(&self) -> String {
        self.place.path().join("notify").display().to_string()
    }

    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn the_manager_is_told_of_every_turn() {
    let manager = Manager::new();
    let mut placed = placed(&saying("one"));
    placed.setup = placed.setup.with("NOTIFY_SOCKET", manager.path());
    let mut proxy = placed.start_in_place();
    let ready = manager.told();
    assert!(ready.starts_with("READY=1\nSTATUS=serving configuration "), "{ready}");
    for (config, status) in [(saying("two"), "serving configuration "), ("}".to_owned(), "that is refused")] {
        proxy.rewrite(&config);
        proxy.signal(Signal::HUP);
        let reloading = manager.told();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        let done = manager.told();
        assert!(done.starts_with("READY=1\n") && done.contains(status), "{done}");
    }
    proxy.signal(Signal::TERM);
    assert!(manager.told().starts_with("STOPPING=1\n"));
    assert!(proxy.wait().success());
}

#[test]
fn a_watchdog_hears_from_us_in_time() {
    let manager = Manager::new();
    let mut placed = placed(&saying("one"));
    placed.setup = placed.setup.with("NOTIFY_SOCKET", manager.path()).with("WATCHDOG_USEC", 400_000);
    let proxy = placed.start_in_place();
    assert!(manager.told().starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
    drop(proxy);
}

/// Gives its standard sockets to rp as the service manager would: from descriptor 3 on.
const LAUNCHER: &str = "
import os, sys
given = [int(number) for number in sys.argv[1].split(',')]
high = [os.dup(number) for number in given]
high = [os.dup2(number, 50 + index) for index, number in enumerate(high)]
for index, number in enumerate(high):
    os.dup2(number, 3 + index, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(given)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=':'.join('web' for _ in given))
os.execv(sys.argv[2], sys.argv[2:])
";

struct Launched(Child);

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockets_that_were_opened_for_us_are_used() {
    let folder = Folder::new();
    let sockets = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let unix = folder.path().join("site.sock");
    let unix_socket = std::os::unix::net::UnixListener::bind(&unix).unwrap();
    let [first, second] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let site = |port: u16, text: &str| format!(":{port} {{\n    bind 127.0.0.1\n    respond {text}\n}}\n");
    let config =
        format!("global {{ admin off }}\n{}unix/{} {{ respond unix }}\n", site(first.port(), "one"), unix.display());
    let file = folder.write("Proxyfile", &config);
    let numbers = [sockets[0].as_raw_fd(), sockets[1].as_raw_fd(), unix_socket.as_raw_fd()];
    for socket in &sockets {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    rustix::io::fcntl_setfd(&unix_socket, rustix::io::FdFlags::empty()).unwrap();
    let rp = command(&folder);
    let mut python = Command::new("python3");
    for (name, value) in rp.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let child = python
        .args(["-c", LAUNCHER, &numbers.map(|number| number.to_string()).join(",")])
        .arg(rp.get_program())
        .arg("run")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Launched(child);
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    // While it starts, connections wait: nobody is refused.
    assert_eq!(get(first, "a", "/").text(), "one");
    assert!(log.any(|line| line.contains("no site listens on") && line.contains(&second.to_string())));
    // Unused so far, asked for by a reload. Our own descriptors still hold both ports: they can't have been bound anew.
    std::fs::write(&file, config.clone() + &site(second.port(), "two")).unwrap();
    assert!(log.any(|line| line.contains("configuration reloaded")));
    assert_eq!(get(second, "a", "/").text(), "two");
    let mut stream = std::os::unix::net::UnixStream::connect(&unix).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.ends_with("unix"), "{answer}");
    // Its file is the manager's: it stays when the site goes.
    std::fs::write(&file, format!("global {{ admin off }}\n{}", site(first.port(), "one"))).unwrap();
    assert!(log.any(|line| line.contains("configuration reloaded")));
    assert!(unix.exists());
}
