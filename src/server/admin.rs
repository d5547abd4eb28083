//! The door for `rp reload`, `rp status` and `rp certs`: a unix socket that nobody but this user and root may use. One line of JSON
//! asks, one answers.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::listener;
use crate::diagnostic::terminal::Style;
use crate::model;
use crate::telemetry::identity;
use crate::telemetry::metrics::Form;
use crate::tls::acme::{REASONS, Renew};
use crate::tls::storage::private_folder;

/// Bytes of a request.
const LONGEST: u64 = 4096;
/// For a request to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits: a reload of tens of thousands of sites takes seconds.
const LONGEST_WORK: Duration = Duration::from_secs(120);

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Findings are drawn for the terminal of whoever asks.
    Reload(Style),
    Status,
    Certificates,
    /// Another certificate for a name.
    Renew(Box<str>, Renew),
    /// The end of a name's certificate, and why (RFC 5280, section 5.3.1).
    Revoke(Box<str>, u8),
    /// All numbers as text, for a collector: no question of this socket.
    Metrics(Form),
}

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Ask {
    pub command: Command,
    pub answer: oneshot::Sender<Value>,
}

/// The open door. It closes, and its file goes, when this is dropped.
#[derive(Debug)]
pub struct Admin {
    path: PathBuf,
    task: AbortHandle,
}

impl Admin {
    /// Must be called inside a runtime. An error of [`io::ErrorKind::AddrInUse`] says that another process has it.
    pub fn open(path: &Path, asks: mpsc::Sender<Ask>) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let listener = listener::unix(path)?;
        // Until here others could connect; who they are is asked of the kernel (`is_ours`).
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let listener = UnixListener::from_std(listener)?;
        let task = tokio::spawn(accept(listener, asks)).abort_handle();
        Ok(Self { path: path.to_owned(), task })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the door is, if there is one.
pub fn socket(admin: &model::Admin) -> Option<PathBuf> {
    match admin {
        model::Admin::Off => None,
        model::Admin::At(path) => Some(path.clone()),
        model::Admin::Default => default_socket(),
    }
}

/// `$RUNTIME_DIRECTORY/admin.sock` under a service manager that gives one, else `/run/rp/admin.sock` for root and
/// `$XDG_RUNTIME_DIR/rp/admin.sock` for anybody else.
pub fn default_socket() -> Option<PathBuf> {
    socket_for(&|name| std::env::var_os(name).map(PathBuf::from), identity::is_of_system())
}

fn socket_for(variable: &dyn Fn(&str) -> Option<PathBuf>, root: bool) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("RUNTIME_DIRECTORY") {
        return Some(folder.join("admin.sock"));
    }
    // Root's sessions have an XDG_RUNTIME_DIR where its services have none: they must meet.
    if root { Some("/run/rp/admin.sock".into()) } else { Some(absolute("XDG_RUNTIME_DIR")?.join("rp/admin.sock")) }
}

async fn accept(listener: UnixListener, asks: mpsc::Sender<Ask>) {
    // Given up where there are no file descriptors left, so that whoever asks what is wrong is answered (threat XL05).
    let mut spare = listener.as_fd().try_clone_to_owned().ok();
    loop {
        let accepted = match listener.accept().await {
            // It may be that nobody waits: the kernel wants a descriptor before it looks.
            Err(_) => {
                drop(spare.take());
                listener.accept().now_or_never()
            }
            accepted => Some(accepted),
        };
        match accepted {
            Some(Ok((stream, _))) if !is_ours(&stream) => tracing::warn!("another user tried to use the admin socket"),
            Some(Ok((stream, _))) if spare.is_some() => drop(tokio::spawn(serve(stream, asks.clone()))),
            // One after the other: what the first gives back must not go to clients before it is ours again.
            Some(Ok((stream, _))) => serve(stream, asks.clone()).await,
            // Accepting at once again would not give any.
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            None => {}
        }
        spare = spare.or_else(|| listener.as_fd().try_clone_to_owned().ok());
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw())
}

async fn serve(mut stream: UnixStream, asks: mpsc::Sender<Ask>) {
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(LONGEST));
    if !matches!(timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await, Ok(Ok(1..))) {
        return;
    }
    let answer = match command(&line) {
        Err(why) => json!({ "ok": false, "message": why }),
        Ok(command) => {
            let (answer, answered) = oneshot::channel();
            if asks.send(Ask { command, answer }).await.is_err() {
                return;
            }
            // Nobody answers while the process ends.
            answered.await.unwrap_or_else(|_| json!({ "ok": false, "message": "rp is shutting down" }))
        }
    };
    let _ = timeout(PATIENCE, writer.write_all(format!("{answer}\n").as_bytes())).await;
}

fn command(line: &[u8]) -> Result<Command, String> {
    let request: Value = serde_json::from_slice(line).map_err(|error| format!("this is no line of JSON: {error}"))?;
    let width = request["width"].as_u64().and_then(|width| usize::try_from(width).ok()).unwrap_or(100);
    let style = Style { color: request["color"] == true, width: width.clamp(40, 400) };
    match request["command"].as_str() {
        Some("reload") => Ok(Command::Reload(style)),
        Some("status") => Ok(Command::Status),
        Some("certificates") => Ok(Command::Certificates),
        Some("renew") => {
            let what = if request["force"] == true { Renew::Any } else { Renew::Due };
            Ok(Command::Renew(name(&request)?, what))
        }
        Some("revoke") => Ok(Command::Revoke(name(&request)?, reason(&request)?)),
        _ => Err("`command` is none of \"reload\", \"status\", \"certificates\", \"renew\" and \"revoke\"".to_owned()),
    }
}

fn name(request: &Value) -> Result<Box<str>, String> {
    request["name"].as_str().map(Box::from).ok_or_else(|| "`name` does not say whose certificate is meant".to_owned())
}

fn reason(request: &Value) -> Result<u8, String> {
    let word = request["reason"].as_str().unwrap_or(REASONS[0].0);
    let known = REASONS.iter().find(|(name, _)| *name == word);
    known.map(|(_, code)| *code).ok_or_else(|| format!("`{word}` is no reason for which a certificate is revoked"))
}

/// The client's side: asks the process behind a socket.
pub fn ask(path: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LONGEST_WORK))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    io::BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the answer is none of rp's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_place_depends_on_who_asks() {
        let place = |variables: &[(&str, &str)], root| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            socket_for(&find, root).map(|path: PathBuf| path.display().to_string())
        };
        let session = [("XDG_RUNTIME_DIR", "/run/user/0")];
        assert_eq!(place(&session, true).as_deref(), Some("/run/rp/admin.sock"));
        assert_eq!(place(&session, false).as_deref(), Some("/run/user/0/rp/admin.sock"));
        assert_eq!(place(&[("RUNTIME_DIRECTORY", "/run/a")], false).as_deref(), Some("/run/a/admin.sock"));
        assert_eq!(place(&[("XDG_RUNTIME_DIR", "run")], false), None);
    }

    #[test]
    fn requests_are_read_strictly() {
        let plain = Style { color: false, width: 100 };
        assert_eq!(command(b"{\"command\":\"reload\"}\n"), Ok(Command::Reload(plain)));
        let narrow = Style { color: true, width: 40 };
        assert_eq!(command(br#"{"command":"reload","color":true,"width":1}"#), Ok(Command::Reload(narrow)));
        assert_eq!(command(b"{\"command\":\"status\"}"), Ok(Command::Status));
        assert_eq!(command(b"{\"command\":\"certificates\"}"), Ok(Command::Certificates));
        let renew = |force: &str| command(format!(r#"{{"command":"renew","name":"a.test"{force}}}"#).as_bytes());
        assert_eq!(renew(""), Ok(Command::Renew("a.test".into(), Renew::Due)));
        assert_eq!(renew(r#","force":true"#), Ok(Command::Renew("a.test".into(), Renew::Any)));
        let revoke = |reason: &str| command(format!(r#"{{"command":"revoke","name":"a.test"{reason}}}"#).as_bytes());
        assert_eq!(revoke(""), Ok(Command::Revoke("a.test".into(), 0)));
        assert_eq!(revoke(r#","reason":"key-compromise""#), Ok(Command::Revoke("a.test".into(), 1)));
        assert!(revoke(r#","reason":"boredom""#).is_err());
        for bad in [&b"reload"[..], b"{}", b"{\"command\":\"stop\"}", b"{\"command\":\"renew\"}", b"\xff"] {
            assert!(command(bad).is_err());
        }
    }
}
