//! The runtime log on standard error: what rp does and what fails, never one line for each request.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};
use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

pub use tracing::level_filters::LevelFilter;

use super::clock;
use super::text::{self, Escaped, Spelling};

/// How the lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12:00:01 info  listening on :443 site=example.com`, coloured where standard error is a terminal and
    /// `NO_COLOR` is not set.
    Terminal,
    /// One object a line.
    Json,
}

impl Format {
    /// The form for people where somebody watches, JSON where a machine does.
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Terminal } else { Self::Json }
    }
}

/// Why the runtime log could not be started or turned: there is one already, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the runtime log was started twice")]
    Started,
    #[error("the runtime log was not started")]
    NotStarted,
}

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts the log for the whole process, once.
///
/// The level is a plain `LevelFilter`: tracing keeps it in one atomic, so that what is not logged costs one load.
/// Filters by span and target were measured at 7 % of a proxy's time even where they filter everything.
pub fn start(format: Format, level: LevelFilter) -> Result<(), Error> {
    let (filter, handle) = reload::Layer::new(level);
    let lines = Lines { look: Look::of(format) };
    tracing::subscriber::set_global_default(Registry::default().with(filter).with(lines))
        .map_err(|_| Error::Started)?;
    LEVEL.set(handle).map_err(|_| Error::Started)
}

/// Changes the level of the running log.
pub fn turn_to(level: LevelFilter) -> Result<(), Error> {
    let handle = LEVEL.get().ok_or(Error::NotStarted)?;
    handle.modify(|now| *now = level).map_err(|_| Error::NotStarted)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Json,
    Plain,
    Coloured,
}

impl Look {
    fn of(format: Format) -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match format {
            Format::Json => Self::Json,
            Format::Terminal if is_wanted && std::io::stderr().is_terminal() => Self::Coloured,
            Format::Terminal => Self::Plain,
        }
    }
}

struct Lines {
    look: Look,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event, self.look, SystemTime::now());
        // One write for the whole line, so that lines of several threads stay whole. When standard error is gone
        // there is nobody left to tell.
        let _ = std::io::stderr().lock().write_all(&line);
    }
}

fn line(event: &Event<'_>, look: Look, now: SystemTime) -> Vec<u8> {
    let mut fields = Fields { look, message: Vec::new(), rest: Vec::new() };
    event.record(&mut fields);
    let mut line = Vec::with_capacity(64 + fields.message.len() + fields.rest.len());
    let level = *event.metadata().level();
    if look == Look::Json {
        line.extend_from_slice(b"{\"time\":\"");
        line.extend_from_slice(&clock::rfc3339(now));
        line.extend_from_slice(b"\",\"level\":\"");
        line.extend_from_slice(name(level).trim_end().as_bytes());
        line.extend_from_slice(b"\",\"target\":\"");
        text::push(&mut line, event.metadata().target().as_bytes(), Spelling::Json);
        line.extend_from_slice(b"\",\"message\":\"");
        line.extend_from_slice(&fields.message);
        line.push(b'"');
        line.extend_from_slice(&fields.rest);
        line.push(b'}');
    } else {
        let (dim, colour, end) = paint(look, level);
        line.extend_from_slice(dim.as_bytes());
        line.extend_from_slice(&clock::time_of_day(now)[..8]);
        line.extend_from_slice(end.as_bytes());
        line.push(b' ');
        line.extend_from_slice(colour.as_bytes());
        line.extend_from_slice(name(level).as_bytes());
        line.extend_from_slice(end.as_bytes());
        line.push(b' ');
        line.extend_from_slice(&fields.message);
        line.extend_from_slice(&fields.rest);
    }
    line.push(b'\n');
    line
}

/// Five characters, so that messages stand below each other.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn ",
        Level::INFO => "info ",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn paint(look: Look, level: Level) -> (&'static str, &'static str, &'static str) {
    if look != Look::Coloured {
        return ("", "", "");
    }
    let colour = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    };
    ("\x1b[2m", colour, "\x1b[0m")
}

/// Collects an event's message, and its other fields as they will stand behind it.
struct Fields {
    look: Look,
    message: Vec<u8>,
    rest: Vec<u8>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: fmt::Arguments<'_>, kind: Kind) {
        let spelling = if self.look == Look::Json { Spelling::Json } else { Spelling::Plain };
        if field.name() == "message" {
            // Writing to a Vec cannot fail; a `Debug` that fails says less, and that is all.
            let _ = write!(Escaped { to: &mut self.message, spelling }, "{value}");
            return;
        }
        let mut text = Vec::new();
        let _ = write!(Escaped { to: &mut text, spelling }, "{value}");
        match self.look {
            Look::Json => {
                self.rest.extend_from_slice(b",\"");
                self.rest.extend_from_slice(field.name().as_bytes());
                // The line has these already, and a name must not stand twice in an object.
                if matches!(field.name(), "time" | "level" | "target") {
                    self.rest.push(b'_');
                }
                self.rest.extend_from_slice(b"\":");
                quoted(&mut self.rest, &text, kind == Kind::Text);
            }
            Look::Plain | Look::Coloured => {
                self.rest.push(b' ');
                self.rest.extend_from_slice(field.name().as_bytes());
                self.rest.push(b'=');
                quoted(&mut self.rest, &text, text.is_empty() || text.contains(&b' '));
            }
        }
    }
}

/// How JSON shows a value: in quotes, or bare as numbers and truth values are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bare,
}

fn quoted(to: &mut Vec<u8>, text: &[u8], quotes: bool) {
    let quote: &[u8] = if quotes { b"\"" } else { b"" };
    to.extend_from_slice(quote);
    to.extend_from_slice(text);
    to.extend_from_slice(quote);
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format_args!("{value:?}"), Kind::Text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, format_args!("{value}"), Kind::Text);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.push(field, format_args!("{value}"), Kind::Text);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, format_args!("{value}"), Kind::Bare);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, format_args!("{value}"), Kind::Bare);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        self.push(field, format_args!("{value:?}"), if value.is_finite() { Kind::Bare } else { Kind::Text });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, format_args!("{value}"), Kind::Bare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};

    /// Keeps the lines of one look instead of printing them.
    struct Kept(Look, Arc<Mutex<Vec<u8>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let now = UNIX_EPOCH + Duration::from_millis(784_111_777_005);
            self.1.lock().unwrap().extend(line(event, self.0, now));
        }
    }

    fn check(look: Look, speak: impl FnOnce(), expected: &str) {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let subscriber = Registry::default().with(Kept(look, Arc::clone(&kept)));
        tracing::subscriber::with_default(subscriber, speak);
        assert_eq!(String::from_utf8(kept.lock().unwrap().clone()).unwrap(), expected);
    }

    fn speak() {
        tracing::info!(target: "rp", site = "example.com", workers = 2, "listening on {}", ":443");
        let error = std::io::Error::other("a\x1b[31m \"b\"\n");
        tracing::warn!(target: "rp", ok = false, time = -1, error = %error, empty = "", note = ?"x", "line\r\nfeed");
    }

    #[test]
    fn for_people() {
        check(
            Look::Plain,
            speak,
            concat!(
                "08:49:37 info  listening on :443 site=example.com workers=2\n",
                "08:49:37 warn  line\\r\\nfeed ok=false time=-1 error=\"a\\x1b[31m \"b\"\\n\" empty=\"\" note=\"x\"\n",
            ),
        );
    }

    #[test]
    fn for_machines() {
        check(
            Look::Json,
            speak,
            concat!(
                r#"{"time":"1994-11-06T08:49:37.005Z","level":"info","target":"rp","message":"listening on :443","#,
                r#""site":"example.com","workers":2}"#,
                "\n",
                r#"{"time":"1994-11-06T08:49:37.005Z","level":"warn","target":"rp","message":"line\r\nfeed","#,
                r#""ok":false,"time_":-1,"error":"a\u001b[31m \"b\"\n","empty":"","note":"\"x\""}"#,
                "\n",
            ),
        );
    }

    #[test]
    fn colours() {
        check(
            Look::Coloured,
            || tracing::error!(target: "rp", "gone"),
            "\x1b[2m08:49:37\x1b[0m \x1b[31merror\x1b[0m gone\n",
        );
    }

    #[test]
    fn machine_lines_are_json() {
        check(Look::Json, || (), "");
        let kept = Arc::new(Mutex::new(Vec::new()));
        let subscriber = Registry::default().with(Kept(Look::Json, Arc::clone(&kept)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(ratio = 0.5, infinite = f64::INFINITY, wide = u128::MAX, "\u{9b}\"\\");
        });
        let read: serde_json::Value = serde_json::from_slice(&kept.lock().unwrap()).unwrap();
        assert_eq!(read["message"], "\u{9b}\"\\");
        assert_eq!(read["ratio"], 0.5);
        assert_eq!(read["infinite"], "inf");
        assert_eq!(read["wide"], u128::MAX.to_string());
    }

    #[test]
    fn the_level_turns_while_it_runs() {
        // The one test that starts the global log; others use a subscriber of their own thread.
        assert_eq!(turn_to(LevelFilter::INFO), Err(Error::NotStarted));
        start(Format::Json, LevelFilter::ERROR).unwrap();
        assert!(!tracing::enabled!(Level::WARN));
        turn_to(LevelFilter::WARN).unwrap();
        assert!(tracing::enabled!(Level::WARN) && !tracing::enabled!(Level::INFO));
        turn_to(LevelFilter::ERROR).unwrap();
        assert!(!tracing::enabled!(Level::WARN));
        assert_eq!(start(Format::Json, LevelFilter::INFO), Err(Error::Started));
    }
}
