//! The proxies that are compared, each configured as its own manual does for a plain reverse proxy, with short times.

use std::net::SocketAddr;
use std::process::Command;

use crate::harness::{Folder, Program, Proxy, door, installed, of};

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
        let doors: Vec<SocketAddr> = servers.iter().map(|_| door()).collect();
        let program = match self {
            Self::Nginx => nginx(&doors, servers),
            Self::Haproxy => haproxy(&doors, servers),
            _ => caddy(&doors, servers),
        };
        Running { doors, _ours: Vec::new(), _theirs: Some(program) }
    }
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

fn nginx(doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |_, door, server| {
        format!("server {{ listen {door}; location / {{ proxy_pass http://{server}; }} }}\n")
    });
    Program::nginx(
        Folder::new(),
        doors,
        &format!(
            "client_header_timeout 500ms; client_body_timeout 500ms; keepalive_timeout 100ms; lingering_time 1s;
             lingering_timeout 500ms; client_header_buffer_size 32k; large_client_header_buffers 4 32k;
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n{blocks}"
        ),
    )
}

fn haproxy(doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |at, door, server| {
        format!("listen lane{at}\n    bind {door}\n    http-reuse never\n    server one {server}\n")
    });
    Program::haproxy(
        doors,
        &format!(
            "global\n    nbthread 1\ndefaults\n    mode http\n    option http-server-close\n    timeout connect 2s
    timeout server 5s\n    timeout client 500ms\n    timeout http-request 500ms\n    timeout http-keep-alive 100ms\n{blocks}"
        ),
    )
}

fn caddy(doors: &[SocketAddr], servers: &[SocketAddr]) -> Program {
    let blocks = each(doors, servers, |_, door, server| {
        format!(
            "http://:{} {{\n bind 127.0.0.1\n reverse_proxy {server} {{\n  transport http {{\n   keepalive off\n  }}\n }}\n}}\n",
            door.port()
        )
    });
    let times = "timeouts {\n read_header 500ms\n read_body 500ms\n idle 100ms\n }";
    let folder = Folder::new();
    let config =
        folder.write("Caddyfile", format!("{{\n admin off\n auto_https off\n servers {{\n {times}\n }}\n}}\n{blocks}"));
    let mut command = Command::new(installed("caddy", "caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    Program::start(folder, &mut command, doors)
}
