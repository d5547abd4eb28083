//! `rp reload` and `rp status`: the running process, asked through its socket.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, Output, complain};
use crate::server::admin;

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    door: Door,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    door: Door,
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

#[derive(Debug, Args)]
pub(super) struct Door {
    /// The admin socket of the process, where its `admin` option names another one than the default
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Reload {
    /// 0: in force. 1: refused, and the old configuration goes on. 2: nobody there.
    pub fn execute(&self) -> Outcome {
        let width: usize = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100);
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let answer = match self.door.ask(&json!({ "command": "reload", "color": color, "width": width })) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        eprint!("{}", answer["findings"].as_str().unwrap_or_default());
        if answer["ok"] == true {
            let changes = answer["changes"].as_array().map_or(&[][..], Vec::as_slice);
            changes.iter().filter_map(Value::as_str).for_each(|change| println!("{change}"));
            let more = answer["changed"].as_u64().unwrap_or_default().saturating_sub(changes.len() as u64);
            if more > 0 {
                println!("… and {more} more changes");
            }
            println!("reloaded: {} in force", counted(&answer["sites"], "site"));
            return Outcome::Clean;
        }
        eprintln!("rp: {}", answer["message"].as_str().unwrap_or("the answer cannot be understood"));
        Outcome::Mistakes
    }
}

impl Status {
    pub fn execute(&self) -> Outcome {
        match self.door.ask(&json!({ "command": "status" })) {
            Ok(answer) if self.format == Output::Json => println!("{answer:#}"),
            Ok(answer) => print!("{}", describe(&answer)),
            Err(outcome) => return outcome,
        }
        Outcome::Clean
    }
}

impl Door {
    /// The same, where it may well be that nobody is there: then there is no answer.
    pub fn ask_whoever_is_there(&self, request: &Value) -> Result<Option<Value>, Outcome> {
        let is_there = |path: PathBuf| std::os::unix::net::UnixStream::connect(path).is_ok();
        if self.socket.is_none() && !admin::default_socket().is_some_and(is_there) {
            return Ok(None);
        }
        self.ask(request).map(Some)
    }

    pub fn ask(&self, request: &Value) -> Result<Value, Outcome> {
        let Some(path) = self.socket.clone().or_else(admin::default_socket) else {
            return Err(complain(
                "there is no XDG_RUNTIME_DIR to find the admin socket in: name it with --socket PATH, or send SIGHUP to the process",
            ));
        };
        admin::ask(&path, request).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => complain(format!(
                "no rp listens on `{}`: start one with `rp run`, or name its socket with --socket PATH",
                path.display()
            )),
            io::ErrorKind::PermissionDenied => complain(format!(
                "this user may not use `{}`: run this as the user that rp runs as, or as root",
                path.display()
            )),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                complain(format!("the rp behind `{}` does not answer", path.display()))
            }
            _ => complain(format!("cannot ask the rp behind `{}`: {error}", path.display())),
        })
    }
}

fn describe(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let listeners: Vec<&str> = status["listeners"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut lines = format!(
        "rp {}, process {}, up {}\nconfig       {} ({})\nlisteners    {}\nconnections  {}, {} under way\nreloads      {} done, {} refused\n",
        text(&status["version"]),
        status["pid"],
        span(status["uptime"].as_u64().unwrap_or_default()),
        text(&status["config"]["path"]),
        text(&status["config"]["hash"]),
        listeners.join(", "),
        status["connections"],
        counted(&status["requests"], "request"),
        status["reloads"]["done"],
        status["reloads"]["refused"],
    );
    let certificates = &status["certificates"];
    if let (Some(name), Some(days)) = (certificates["first"]["name"].as_str(), certificates["first"]["days"].as_i64()) {
        lines.push_str(&format!(
            "certificates {} shown, the first to end is that of {name}, in {days} days\n",
            certificates["shown"]
        ));
    }
    let wrong = |what: &str| certificates[what].as_u64().unwrap_or_default();
    if wrong("missing") + wrong("failing") > 0 {
        lines.push_str(&format!(
            "             {} missing, {} failing: `rp certs` tells why\n",
            wrong("missing"),
            wrong("failing")
        ));
    }
    if let Some(findings) = status["refusal"]["findings"].as_str() {
        lines.push_str("\nThe files are not what is in force. They were refused:\n\n");
        lines.push_str(findings);
    }
    lines
}

fn span(seconds: u64) -> String {
    let time = Duration::from_secs(seconds);
    match seconds {
        0..60 => format!("{time:?}"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn counted(count: &Value, what: &str) -> String {
    if *count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
