//! The real binary, run on an example, at ports that are free.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that is gone when the test is over.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rp-examples-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("temporary folders have plain names").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running rp.
pub struct Rp {
    child: Child,
    ports: Vec<u16>,
    said: Receiver<String>,
    _home: Folder,
}

impl Rp {
    /// Runs `examples/<name>/Proxyfile` with a free port in each of the variables `ports`, and with `variables` beside.
    pub fn example(name: &str, ports: &[&str], variables: &[(&str, &str)]) -> Self {
        // Between choosing a port and listening on it somebody else may take it.
        for _ in 0..5 {
            let home = Folder::new();
            let chosen: Vec<u16> = free_ports(ports.len());
            let mut child = command(&home)
                .args(["run", &format!("examples/{name}/Proxyfile")])
                .envs(ports.iter().copied().zip(chosen.iter().map(u16::to_string)))
                .envs(variables.iter().copied())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("rp can be run");
            let said = lines(child.stderr.take().expect("it is piped"));
            let mut rp = Self { child, ports: chosen, said, _home: home };
            match rp.wait_until_listening() {
                Ok(()) => return rp,
                Err(said) if said.contains("it is taken") => {}
                Err(said) => panic!("example {name} does not start:\n{said}"),
            }
        }
        panic!("example {name}: its ports were taken five times");
    }

    fn wait_until_listening(&mut self) -> Result<(), String> {
        let mut said = String::new();
        let mut missing: Vec<String> = self.ports.iter().map(|port| format!(":{port}")).collect();
        let mut heard = false;
        while !heard || !missing.is_empty() {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else { return Err(said) };
            if line.contains("listening") {
                heard = true;
                missing.retain(|port| !line.contains(port));
            }
            said.push_str(&line);
            said.push('\n');
        }
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The next line of standard error with this in it.
    pub fn says(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left).unwrap_or_else(|_| panic!("rp never said `{part}`"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Asks for a path of `localhost`.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("localhost", &format!("GET {path}"), "", "")
    }

    /// A path of another host.
    pub fn get_of(&self, host: &str, path: &str) -> Answer {
        self.ask(host, &format!("GET {path}"), "", "")
    }

    /// `line` is method and path; `fields` end their lines with CRLF.
    pub fn ask(&self, host: &str, line: &str, fields: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}{length}\r\n{body}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).expect("rp accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        stream.write_all(request.as_bytes()).expect("rp reads");
        Answer::read(stream)
    }
}

impl Drop for Rp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// rp with a home of its own, started where paths of the examples begin.
pub fn command(home: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR"] {
        command.env(variable, &home.0);
    }
    command
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// What rp answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lower case.
    head: String,
    pub body: String,
}

impl Answer {
    pub fn read(mut stream: impl std::io::Read) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer within the time");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
        Self { status, head, body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned() }
    }

    /// The first field of this name, written in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// curl, with its output; what it says of an error is part of the panic.
pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether curl gets an answer.
pub fn tried(arguments: &[&str]) -> bool {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--noproxy", "*"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    output.status.success()
}

/// All of a file, once there is this in it.
pub fn file_with(path: &str, part: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut text = String::new();
        if let Ok(mut file) = std::fs::File::open(path) {
            let _ = file.read_to_string(&mut text);
        }
        if text.contains(part) {
            return text;
        }
        assert!(Instant::now() < end, "{path} never held `{part}`: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
