//! The binary under test, for as long as a test lasts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::Client;
use super::message::Message;
use super::protocol::Protocol;
use super::speaker::{Ask, Speaker};
use super::{Folder, eventually, lock};

/// What to start. `{$NAME}` in the configuration stands for what was given by [`Setup::with`].
pub struct Setup {
    config: String,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    files: Vec<(String, String)>,
    doors: usize,
    over: Protocol,
}

pub struct Proxy {
    child: Child,
    over: Protocol,
    pub folder: Folder,
    pub config: PathBuf,
    output: Lines,
    log: Lines,
    /// Where it listens, in the order in which it said so.
    pub doors: Vec<SocketAddr>,
    /// The files that a test made for it.
    pub kept: Vec<Folder>,
}

/// A configuration, to be started.
pub fn of(config: &str) -> Setup {
    Setup {
        config: config.to_owned(),
        environment: BTreeMap::new(),
        arguments: Vec::new(),
        files: Vec::new(),
        doors: 1,
        over: Protocol::Plain,
    }
}

impl Setup {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Another configuration in place of the one that it began with.
    #[must_use]
    pub fn config(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// More for the command line of `rp run`.
    #[must_use]
    pub fn arguments(mut self, more: &[&str]) -> Self {
        self.arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Another file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// What its speakers speak. The configuration must be one for that: see [`Protocol::of`].
    #[must_use]
    pub fn over(mut self, protocol: Protocol) -> Self {
        self.over = protocol;
        self
    }

    /// How many addresses it will listen on.
    #[must_use]
    pub fn doors(mut self, count: usize) -> Self {
        self.doors = count;
        self
    }

    pub fn start(self) -> Proxy {
        let folder = Folder::new();
        let config = folder.write("Proxyfile", &self.config);
        for (name, content) in &self.files {
            folder.write(name, content);
        }
        let mut child = command(&folder)
            .arg("run")
            .arg(&config)
            .args(&self.arguments)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Lines::of(child.stdout.take().unwrap());
        let log = Lines::of(child.stderr.take().unwrap());
        let over = self.over;
        let mut proxy = Proxy { child, over, folder, config, output, log, doors: Vec::new(), kept: Vec::new() };
        proxy.doors = eventually("listening", || {
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("rp ended with {status}");
            }
            let lines = proxy.log_lines();
            let doors: Vec<SocketAddr> = lines
                .iter()
                .filter(|line| line["message"] == "listening")
                // A unix socket has no address of this kind.
                .map(|line| line["address"].as_str().unwrap().parse().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into()))
                .collect();
            (doors.len() >= self.doors).then_some(doors)
        });
        proxy
    }
}

/// `rp` with nothing of this machine around it. `RP_BINARY` is another one than the one that was built with the test.
pub fn command(folder: &Folder) -> Command {
    let mut command = Command::new(std::env::var_os("RP_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_rp").into()));
    command.current_dir(folder.path()).env("HOME", folder.path()).env_remove("NOTIFY_SOCKET");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, folder.path().join(name.to_ascii_lowercase()));
    }
    // Of the same user there may be others that run, and they would share the default admin socket.
    command.env("RUNTIME_DIRECTORY", folder.path().join("runtime"));
    std::fs::create_dir_all(folder.path().join("xdg_runtime_dir")).unwrap();
    command
}

/// A port that nobody listens on, for what cannot be port 0. It is below those that a system gives to who asks for any,
/// so nothing that runs beside takes it in the meantime; each process begins to look at another place.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 12_000 + u16::try_from(turn % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Proxy {
    /// One site for any host, with these statements; `{$ORIGIN}` is the origin.
    pub fn site(statements: &str, origin: impl Display) -> Self {
        of(&format!(":0 {{\n bind 127.0.0.1\n {statements}\n}}")).with("ORIGIN", origin).start()
    }

    /// Everything goes to this server.
    pub fn to(origin: impl Display) -> Self {
        Self::site("reverse_proxy {$ORIGIN}", origin)
    }

    /// The first door, by way of the loopback interface.
    pub fn address(&self) -> SocketAddr {
        self.door(0)
    }

    pub fn door(&self, index: usize) -> SocketAddr {
        let mut address = self.doors[index];
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        address
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A connection of the protocol that it was started for.
    pub fn speaker(&self) -> Speaker {
        Speaker::connect(self.address(), self.over)
    }

    /// The same, to a site of this name.
    pub fn speaker_for(&self, name: &str) -> Speaker {
        Speaker::connect_as(self.address(), self.over, name)
    }

    /// One GET on a connection of its own.
    pub fn get(&self, target: &str) -> Message {
        self.speaker().get(target)
    }

    /// One request on a connection of its own.
    pub fn request(&self, ask: Ask) -> Message {
        self.speaker().ask(ask)
    }

    /// The access log's line of this request.
    pub fn logged(&self, id: &str) -> Value {
        eventually(&format!("a log line of {id}"), || self.access_lines().into_iter().find(|line| line["id"] == id))
    }

    /// The line of the request that this is the answer to.
    pub fn logged_for(&self, response: &Message) -> Value {
        self.logged(response.field("x-request-id").expect("an id"))
    }

    /// The first access line that is like this.
    pub fn logged_where(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("a log line {what}"), || self.access_lines().into_iter().find(|line| holds(line)))
    }

    pub fn access_lines(&self) -> Vec<Value> {
        let lines = lock(&self.output.0);
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }

    /// The runtime log; lines that are not JSON are left out (findings are shown to people).
    pub fn log_lines(&self) -> Vec<Value> {
        lock(&self.log.0).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Standard error as it came.
    pub fn log_text(&self) -> String {
        lock(&self.log.0).join("\n")
    }

    /// Waits until the runtime log says so, and gives the line.
    pub fn said(&self, message: &str) -> Value {
        eventually(&format!("`{message}` in the log"), || {
            self.log_lines()
                .into_iter()
                .find(|line| line["message"].as_str().is_some_and(|said| said.contains(message)))
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A child that was not waited for keeps its pid: it can only be ours.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- standard error of rp\n{}", self.log_text());
            eprintln!("--- standard output of rp\n{}\n---", lock(&self.output.0).join("\n"));
        }
    }
}

/// What a stream has said so far.
#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let shared = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                lock(&shared.0).push(line);
            }
        });
        lines
    }
}
