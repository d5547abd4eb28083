//! The language server: what the checker, the formatter and the tables know, told to an editor over standard input and
//! output.

mod actions;
mod complete;
mod configuration;
mod cursor;
mod diagnose;
mod hover;
mod names;
mod navigate;
mod place;
mod session;
mod symbols;
#[cfg(test)]
mod testing;
mod tokens;
mod uri;
mod workspace;

use std::io;
use std::time::{Duration, Instant};

use lsp_server::{Connection, Message};

use session::Session;

/// How long typing must pause before the file is checked, and how long a check is put off at most.
const PAUSE: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_millis(150);

/// Serves the editor that started this process, until it says `exit` or goes away.
pub fn serve() -> io::Result<()> {
    let (connection, threads) = Connection::stdio();
    talk(&connection)?;
    // The writer ends with the connection.
    drop(connection);
    threads.join()
}

fn talk(connection: &Connection) -> io::Result<()> {
    let greeting = serde_json::json!({
        "capabilities": session::capabilities(),
        "serverInfo": { "name": "rp", "version": env!("CARGO_PKG_VERSION") },
    });
    let (id, _) = connection.initialize_start().map_err(io::Error::other)?;
    connection.initialize_finish(id, greeting).map_err(io::Error::other)?;
    let mut session = Session::default();
    // Since when there is something to check.
    let mut due: Option<Instant> = None;
    loop {
        let message = match due {
            None => connection.receiver.recv().ok(),
            Some(since) => {
                match connection.receiver.recv_timeout(PAUSE.min(PATIENCE.saturating_sub(since.elapsed()))) {
                    Ok(message) => Some(message),
                    Err(error) if error.is_timeout() => {
                        due = None;
                        for notification in session.diagnose() {
                            send(connection, notification.into())?;
                        }
                        continue;
                    }
                    Err(_) => None,
                }
            }
        };
        match message {
            // An editor that was killed says nothing.
            None => return Ok(()),
            Some(Message::Request(request)) => {
                if connection.handle_shutdown(&request).map_err(io::Error::other)? {
                    return Ok(());
                }
                send(connection, session.request(request).into())?;
            }
            Some(Message::Notification(notification)) if notification.method == "exit" => return Ok(()),
            Some(Message::Notification(notification)) => {
                if session.notified(notification) {
                    due = due.or_else(|| Some(Instant::now()));
                }
            }
            Some(Message::Response(_)) => {}
        }
    }
}

fn send(connection: &Connection, message: Message) -> io::Result<()> {
    connection.sender.send(message).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}
