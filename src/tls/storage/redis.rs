//! Redis, or Valkey, as storage: plain keys below a prefix, and locks that end by themselves.
//!
//! Everything here may be done twice with the same outcome, so that a connection that was dead before it was used is
//! simply replaced.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, cmd};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

use super::clerk::{Clerk, Lost};
use super::secret::Secret;
use super::{Backend, Held, Lock, Work, random};
use crate::diagnostic::plain;
use crate::tls::client::{Client, ClientOptions, SystemRoots, Verify, reason};
use crate::tls::trouble::Trouble;

/// A challenge that nobody took back is gone after this.
const CHALLENGE: Duration = Duration::from_secs(3600);

/// Takes the lock, or finds that it has it already.
const TAKE: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";
/// Gives it up, unless it has become another's.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";
/// Writes, unless the lock has become another's.
const STORE: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1";

/// Which server, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub address: Address,
    pub username: Option<Box<str>>,
    pub password: Option<Secret>,
    pub database: u16,
    /// Before every key.
    pub prefix: Box<str>,
    /// Of one question.
    pub timeout: Duration,
    /// How long a lock outlives whoever died with it.
    pub lease: Duration,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp {
        host: Box<str>,
        port: u16,
    },
    /// The authorities that its certificate is checked by; `None`: the system's.
    Tls {
        host: Box<str>,
        port: u16,
        root: Option<PathBuf>,
    },
    Unix(PathBuf),
}

/// As it is written, without who asks.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (database, prefix) = (self.database, &self.prefix);
        match &self.address {
            Address::Tcp { host, port } => write!(f, "redis://{host}:{port}/{database}/{prefix}"),
            Address::Tls { host, port, .. } => write!(f, "rediss://{host}:{port}/{database}/{prefix}"),
            Address::Unix(path) => write!(f, "unix/{}/{database}/{prefix}", path.display()),
        }
    }
}

/// A server, spoken with over one connection.
pub(super) struct Redis {
    line: Arc<Line>,
    clerk: Clerk,
}

struct Line {
    server: Server,
    tls: Option<Client>,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// Connects to nothing yet.
    pub fn new(server: &Server) -> Result<Self, Trouble> {
        let tls = match &server.address {
            Address::Tls { root, .. } => {
                let verify = root.clone().map_or(Verify::System, Verify::Authorities);
                let options = ClientOptions { verify, alpn: Vec::new(), ..ClientOptions::default() };
                Some(Client::build(&options, &SystemRoots::default())?)
            }
            _ => None,
        };
        let failed = |error: std::io::Error| unreachable(server, error.to_string());
        let clerk = Clerk::start(server.timeout).map_err(failed)?;
        Ok(Self { line: Arc::new(Line { server: server.clone(), tls, open: Mutex::default() }), clerk })
    }

    async fn ask<T: FromRedisValue + Send + 'static>(&self, question: Cmd) -> Result<T, Trouble> {
        let line = Arc::clone(&self.line);
        let asked = self.clerk.send(async move { line.ask(&question).await }).await;
        asked.map_err(|lost| match lost {
            Lost::Unreachable(why) => unreachable(&self.line.server, why),
            Lost::Refused(why) => Trouble::Refused { place: self.line.server.to_string(), why },
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.line.server.prefix)
    }

    fn lock_key(&self, name: &str) -> String {
        self.key(&format!("lock/{name}"))
    }

    /// A script over the lock's key.
    fn under(&self, script: &str, name: &str, token: &str, more: (Option<&str>, &[u8])) -> Cmd {
        let mut question = cmd("EVAL");
        question.arg(script).arg(1 + usize::from(more.0.is_some())).arg(self.lock_key(name));
        if let Some(key) = more.0 {
            question.arg(self.key(key));
        }
        question.arg(token).arg(more.1);
        question
    }

    fn lease_in_ms(&self) -> String {
        self.line.server.lease.as_millis().to_string()
    }

    async fn scan(&self, folder: &str) -> Result<Vec<String>, Trouble> {
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let pattern = format!("{}*", escaped(&self.key(&below)));
        let (mut keys, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut question = cmd("SCAN");
            question.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(500);
            let (next, found): (String, Vec<String>) = self.ask(question).await?;
            let prefix = self.line.server.prefix.len();
            keys.extend(found.into_iter().map(|key| key[prefix..].to_owned()));
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        keys.retain(|key| !key.starts_with("lock/"));
        keys.sort();
        // A key may come twice while the server makes room.
        keys.dedup();
        Ok(keys)
    }
}

fn unreachable(server: &Server, why: String) -> Trouble {
    Trouble::Unreachable { place: server.to_string(), why }
}

/// What means something in a pattern is escaped: names of wildcards begin with a star.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for sign in text.chars() {
        if "*?[]\\^".contains(sign) {
            escaped.push('\\');
        }
        escaped.push(sign);
    }
    escaped
}

impl Line {
    async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, Lost> {
        let mut again = true;
        loop {
            let (mut connection, is_new) = self.connection().await?;
            match question.query_async(&mut connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_unrecoverable_error() || error.is_io_error() => {
                    *self.open.lock().await = None;
                    if is_new || !again {
                        return Err(lost(&error));
                    }
                    again = false;
                }
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    /// The connection, and whether it was made just now. Of several that need one, one makes it.
    async fn connection(&self) -> Result<(MultiplexedConnection, bool), Lost> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok((connection.clone(), false));
        }
        let connection = self.connect().await?;
        Ok((open.insert(connection).clone(), true))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Lost> {
        let failed = |error: std::io::Error| Lost::Unreachable(plain(&error));
        match &self.server.address {
            Address::Unix(path) => self.greet(UnixStream::connect(path).await.map_err(failed)?).await,
            Address::Tcp { host, port } => {
                self.greet(TcpStream::connect((bare(host), *port)).await.map_err(failed)?).await
            }
            Address::Tls { host, port, .. } => {
                let tcp = TcpStream::connect((bare(host), *port)).await.map_err(failed)?;
                let Some(tls) = &self.tls else { return Err(Lost::Refused("no TLS".to_owned())) };
                let name = tls.server_name(host).map_err(|trouble| Lost::Refused(trouble.to_string()))?;
                let secured = tls.connect(tcp, name).await;
                self.greet(secured.map_err(|error| Lost::Unreachable(reason(&error).to_owned()))?).await
            }
        }
    }

    /// Says who asks, and which database is meant.
    async fn greet<S>(&self, stream: S) -> Result<MultiplexedConnection, Lost>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut info = RedisConnectionInfo::default().set_db(self.server.database.into()).set_skip_set_lib_name();
        if let Some(username) = &self.server.username {
            info = info.set_username(username);
        }
        if let Some(password) = &self.server.password {
            info = info.set_password(password.expose());
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.server.timeout));
        let greeted = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = greeted.map_err(|error| lost(&error))?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn lost(error: &RedisError) -> Lost {
    let why = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let is_away = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
    // One that still reads its file, or follows another, answers later.
    let is_loading = matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "READONLY" | "BUSY"));
    if is_away || is_loading { Lost::Unreachable(why) } else { Lost::Refused(why) }
}

impl Backend for Redis {
    fn load<'a>(&'a self, key: &'a str) -> Work<'a, Option<Vec<u8>>> {
        let mut question = cmd("GET");
        question.arg(self.key(key));
        Box::pin(self.ask(question))
    }

    fn store<'a>(&'a self, key: &'a str, bytes: &'a [u8], lock: Option<&'a Lock>) -> Work<'a, bool> {
        Box::pin(async move {
            if let Some((lock, token)) = lock.and_then(|lock| Some((lock, lock.token()?))) {
                let stored: u8 = self.ask(self.under(STORE, &lock.name, token, (Some(key), bytes))).await?;
                return Ok(stored == 1);
            }
            let mut question = cmd("SET");
            question.arg(self.key(key)).arg(bytes);
            if key.starts_with("challenges/") {
                question.arg("PX").arg(CHALLENGE.as_millis().to_string());
            }
            self.ask::<()>(question).await.map(|()| true)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Work<'a, ()> {
        let mut question = cmd("DEL");
        question.arg(self.key(key));
        Box::pin(self.ask(question))
    }

    fn list<'a>(&'a self, folder: &'a str) -> Work<'a, Vec<String>> {
        Box::pin(self.scan(folder))
    }

    fn lock<'a>(&'a self, name: &'a str) -> Work<'a, Option<Lock>> {
        Box::pin(async move {
            let token = random()?;
            let question = self.under(TAKE, name, &token, (None, self.lease_in_ms().as_bytes()));
            let taken: u8 = self.ask(question).await?;
            Ok((taken == 1).then(|| Lock { name: name.to_owned(), held: Held::Token(token) }))
        })
    }

    fn extend<'a>(&'a self, lock: &'a Lock) -> Work<'a, bool> {
        Box::pin(async move {
            let token = lock.token().unwrap_or_default();
            let question = self.under(TAKE, &lock.name, token, (None, self.lease_in_ms().as_bytes()));
            Ok(self.ask::<u8>(question).await? == 1)
        })
    }

    fn release(&self, lock: Lock) -> Work<'_, ()> {
        Box::pin(async move {
            let token = lock.token().unwrap_or_default();
            self.ask::<u8>(self.under(RELEASE, &lock.name, token, (None, b""))).await.map(drop)
        })
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.line.server.lease)
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.line.server)
    }
}

#[cfg(test)]
mod tests;
