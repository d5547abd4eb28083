//! The proxies that are compared, each configured as its own manual does for a plain reverse proxy, with short times.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Folder, Proxy, eventually, free_port, of};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Rp,
    Nginx,
    Haproxy,
    Caddy,
}

/// One of them that runs, with a door for each server.
pub struct Running {
    pub doors: Vec<SocketAddr>,
    _ours: Vec<Proxy>,
    _theirs: Option<Program>,
}

/// A program that ends with its test.
pub struct Program(Child, #[allow(dead_code)] Folder);

impl Program {
    pub fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    pub fn all() -> [Self; 4] {
        [Self::Rp, Self::Nginx, Self::Haproxy, Self::Caddy]
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rp => "rp",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
        }
    }

    /// As it says itself.
    pub fn version(self) -> String {
        let (program, argument) = match self {
            Self::Rp => return env!("CARGO_PKG_VERSION").to_owned(),
            Self::Nginx => ("nginx", "-v"),
            Self::Haproxy => ("haproxy", "-v"),
            Self::Caddy => ("caddy", "version"),
        };
        let output = Command::new(installed(program, program)).arg(argument).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let digits = text.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| word.matches('.').count() == 2);
        digits.unwrap_or_else(|| panic!("no version in {text:?}")).to_owned()
    }

    /// Before these servers.
    pub fn start(self, servers: &[SocketAddr]) -> Running {
        if self == Self::Rp {
            let ours: Vec<Proxy> = servers.iter().map(|server| rp(*server)).collect();
            return Running { doors: ours.iter().map(Proxy::address).collect(), _ours: ours, _theirs: None };
        }
        let doors = ports(servers.len());
        let folder = Folder::new();
        let program = match self {
            Self::Nginx => nginx(folder, &doors, servers),
            Self::Haproxy => haproxy(folder, &doors, servers),
            _ => caddy(folder, &doors, servers),
        };
        listening(&doors, program)
    }
}

fn listening(doors: &[SocketAddr], mut program: Program) -> Running {
    for door in doors {
        eventually("a proxy that listens", || {
            assert!(program.has_ended().is_none(), "the proxy has ended");
            TcpStream::connect(door).ok()
        });
    }
    Running { doors: doors.to_vec(), _ours: Vec::new(), _theirs: Some(program) }
}

/// For programs that can't be asked which ports they chose.
pub fn ports(count: usize) -> Vec<SocketAddr> {
    (0..count).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect()
}

/// Where the program is; `/usr/sbin` is not in everybody's path.
pub fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: apt-get install {package}, or run .ci/test"))
}

pub fn spawn(folder: Folder, command: &mut Command) -> Program {
    let child = command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Program(child, folder)
}

fn rp(server: SocketAddr) -> Proxy {
    let times = "timeout header 500ms; timeout body 500ms; timeout idle 100ms";
    of(&format!(
        "global {{ {times}; log off; workers 1 }}
         :0 {{ bind 127.0.0.1; reverse_proxy {{$ORIGIN}} {{ keepalive off }} }}"
    ))
    .with("ORIGIN", server)
    .start()
}

/// What each server block says, once for each lane.
fn each(
    doors: &[SocketAddr],
    servers: &[SocketAddr],
    block: impl Fn(usize, SocketAddr, SocketAddr) -> String,
) -> String {
    doors.iter().zip(servers).enumerate().map(|(at, (door, server))| block(at, *door, *server)).collect()
}

fn nginx(folder: Folder, doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |_, door, server| {
        format!("server {{ listen {door}; location / {{ proxy_pass http://{server}; }} }}\n")
    });
    start_nginx(
        folder,
        &format!(
            "client_header_timeout 500ms; client_body_timeout 500ms; keepalive_timeout 100ms; lingering_time 1s;
             lingering_timeout 500ms; client_header_buffer_size 32k; large_client_header_buffers 4 32k;
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n{blocks}"
        ),
    )
}

pub fn start_nginx(folder: Folder, http: &str) -> Program {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .collect();
    let config = folder.write(
        "nginx.conf",
        format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;
             events {{ worker_connections 1024; }}\nhttp {{ access_log off;\n{temporary}{http} }}\n"
        ),
    );
    let mut command = Command::new(installed("nginx", "nginx"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(config).arg("-e").arg(folder.path().join("error.log"));
    spawn(folder, &mut command)
}

fn haproxy(folder: Folder, doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |at, door, server| {
        format!("listen lane{at}\n    bind {door}\n    http-reuse never\n    server one {server}\n")
    });
    let config = folder.write(
        "haproxy.cfg",
        format!(
            "global\n    nbthread 1\ndefaults\n    mode http\n    option http-server-close\n    timeout connect 2s
    timeout server 5s\n    timeout client 500ms\n    timeout http-request 500ms\n    timeout http-keep-alive 100ms\n{blocks}"
        ),
    );
    let mut command = Command::new(installed("haproxy", "haproxy"));
    command.arg("-db").arg("-f").arg(config);
    spawn(folder, &mut command)
}

fn caddy(folder: Folder, doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |_, door, server| {
        format!(
            "http://:{} {{\n bind 127.0.0.1\n reverse_proxy {server} {{\n  transport http {{\n   keepalive off\n  }}\n }}\n}}\n",
            door.port()
        )
    });
    let times = "timeouts {\n read_header 500ms\n read_body 500ms\n idle 100ms\n }";
    let config =
        folder.write("Caddyfile", format!("{{\n admin off\n auto_https off\n servers {{\n {times}\n }}\n}}\n{blocks}"));
    let mut command = Command::new(installed("caddy", "caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    spawn(folder, &mut command)
}
