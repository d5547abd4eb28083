//! Log lines leave the request path here: a buffer for each thread, a bounded channel, and one writer thread a target.
//!
//! Nothing on the request path waits for a disk or a pipe. What the writer cannot take is dropped and counted.

mod archive;
mod desk;
mod output;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use self::desk::Desk;
use self::output::Output;
use super::metrics;

/// How many bytes a thread gathers before it hands them over: some 40 lines for one send and one write.
const CHUNK: usize = 16 * 1024;
/// How many chunks may wait: 4 MiB, a fifth of a second at 50,000 requests a second.
const WAITING: usize = 256;
/// How long dropping a [`Writer`] waits for a target that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl Target {
    /// Whether it could be opened, as far as that can be told without making anything.
    pub fn judge(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(()),
            Err(_) => {
                let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
                if fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// When a file is put away, and what becomes of the older ones. Means nothing for what is no regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes after which a new file begins; a disk that fills up is the most common way for a log to do harm.
    pub size: Option<u64>,
    /// How long one file is written to, counted from 1970: a day begins at midnight UTC.
    pub age: Option<Duration>,
    /// How many older files stay.
    pub keep: usize,
    /// Whether older files are compressed.
    pub gzip: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: Some(100 * 1024 * 1024), age: None, keep: 10, gzip: true }
    }
}

/// Takes lines for one target. Clones are cheap and may be used on any thread; each thread has its own buffer.
#[derive(Debug, Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sender: SyncSender<Message>,
    control: Arc<Control>,
}

#[derive(Debug)]
enum Message {
    Lines {
        bytes: Vec<u8>,
        count: u64,
    },
    /// Look at [`Control`]. It need not arrive when the channel is full: then the writer looks anyway.
    Wake,
}

/// What is asked of a writer thread, and what it has lost.
#[derive(Debug, Default)]
struct Control {
    reopen: AtomicBool,
    stop: AtomicBool,
    rotation: Mutex<Option<Rotation>>,
    dropped: AtomicU64,
}

impl Control {
    fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
        metrics::global().log_lines_dropped.add(lines);
    }
}

impl Sink {
    /// Appends one line, its newline included, to this thread's buffer. Never waits.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let kept = BUFFERS.try_with(|buffers| {
            let mut buffers = buffers.try_borrow_mut().ok()?;
            buffers.of(self).push(write);
            Some(())
        });
        // The thread is ending, or `write` itself logs to a sink: neither has a buffer to offer.
        if !matches!(kept, Ok(Some(()))) {
            self.shared.control.lost(1);
        }
    }

    /// How many lines this target has lost since it was opened.
    pub fn dropped(&self) -> u64 {
        self.shared.control.dropped.load(Relaxed)
    }
}

/// Hands over what this thread has gathered for all its sinks. A worker calls it every 250 ms, and before it ends.
pub fn flush() {
    // Where there are no buffers any more, there is nothing left to hand over.
    let _ = BUFFERS.try_with(|buffers| {
        if let Ok(mut buffers) = buffers.try_borrow_mut() {
            // A buffer that nothing came into since the last time goes, and with it the hold on a sink that no site
            // uses any more.
            buffers.0.retain_mut(Buffer::hand_over);
        }
    });
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers(Vec::new())) };
}

struct Buffers(Vec<Buffer>);

impl Buffers {
    fn of(&mut self, sink: &Sink) -> &mut Buffer {
        // One or two logs are usual, so that a search costs less than a map.
        let known = self.0.iter().position(|buffer| Arc::ptr_eq(&buffer.sink.shared, &sink.shared));
        let at = known.unwrap_or_else(|| {
            self.0.push(Buffer { sink: sink.clone(), bytes: Vec::new(), count: 0 });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

struct Buffer {
    sink: Sink,
    bytes: Vec<u8>,
    count: u64,
}

impl Buffer {
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(CHUNK + CHUNK / 4);
        }
        write(&mut self.bytes);
        self.count += 1;
        if self.bytes.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Whether there was anything to hand over.
    fn hand_over(&mut self) -> bool {
        if self.count == 0 {
            return false;
        }
        let count = std::mem::take(&mut self.count);
        let message = Message::Lines { bytes: std::mem::take(&mut self.bytes), count };
        if let Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) =
            self.sink.shared.sender.try_send(message)
        {
            self.sink.shared.control.lost(count);
            if let Message::Lines { mut bytes, .. } = refused {
                bytes.clear();
                self.bytes = bytes;
            }
        }
        true
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// The writer thread of one target. It ends, everything written, when its last [`Sink`] is gone or it is shut down.
#[derive(Debug)]
pub struct Writer {
    target: Target,
    control: Arc<Control>,
    shared: Weak<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Writer {
    /// Opens the target and starts its thread.
    pub fn open(target: Target, rotation: Rotation) -> io::Result<(Self, Sink)> {
        let output = Output::open(&target, rotation)?;
        let (sender, receiver) = sync_channel(WAITING);
        let (alive, ended) = channel();
        let control = Arc::new(Control::default());
        let desk = Desk::new(&target, output, receiver, Arc::clone(&control));
        let thread = Builder::new().name("log".into()).spawn(move || {
            desk.run();
            drop(alive);
        })?;
        let shared = Arc::new(Shared { sender, control: Arc::clone(&control) });
        let writer = Self { target, control, shared: Arc::downgrade(&shared), thread: Some(thread), ended };
        Ok((writer, Sink { shared }))
    }

    /// Another sink, unless all are gone and the thread is ending.
    pub fn sink(&self) -> Option<Sink> {
        self.shared.upgrade().map(|shared| Sink { shared })
    }

    /// Opens the file anew under its name, as somebody who has moved it away asks for.
    pub fn reopen(&self) {
        self.control.reopen.store(true, Relaxed);
        self.wake();
    }

    pub fn rotate_by(&self, rotation: Rotation) {
        *self.control.rotation.lock().unwrap_or_else(PoisonError::into_inner) = Some(rotation);
        self.wake();
    }

    /// Writes what has been handed over, and ends. Other threads must have called [`flush`] before. Gives false when
    /// the target took nothing for so long that its lines were given up.
    pub fn shutdown(mut self, patience: Duration) -> bool {
        self.end(patience)
    }

    fn wake(&self) {
        if let Some(shared) = self.shared.upgrade() {
            // Full means that the writer is awake, disconnected that it has ended.
            let _ = shared.sender.try_send(Message::Wake);
        }
    }

    fn end(&mut self, patience: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        flush();
        self.control.stop.store(true, Relaxed);
        self.wake();
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(log = %self.target, "the access log takes no lines; its last ones are lost");
            return false;
        }
        thread.join().is_ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(PATIENCE);
    }
}

/// All writers of the process, by target: sites that log to one file share it, and a reload adopts it.
#[derive(Debug, Default)]
pub struct Writers {
    open: HashMap<Target, Writer>,
}

impl Writers {
    /// The sink of a target, which is opened if nobody uses it yet. Relative paths are taken from where rp was started.
    /// A target whose sinks are all gone closes by itself.
    pub fn sink(&mut self, target: Target, rotation: Rotation) -> io::Result<Sink> {
        let target = match target {
            Target::File(path) => Target::File(std::path::absolute(path)?),
            stream => stream,
        };
        if let Some(writer) = self.open.get(&target)
            && let Some(sink) = writer.sink()
        {
            writer.rotate_by(rotation);
            return Ok(sink);
        }
        // The old thread, if any, writes its last lines before a new one begins.
        self.open.retain(|known, writer| *known != target && writer.sink().is_some());
        let (writer, sink) = Writer::open(target.clone(), rotation)?;
        self.open.insert(target, writer);
        Ok(sink)
    }

    pub fn reopen(&self) {
        self.open.values().for_each(Writer::reopen);
    }

    /// Shuts all down; see [`Writer::shutdown`].
    pub fn shutdown(self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut is_written = true;
        for writer in self.open.into_values() {
            // Each is shut down, whatever became of those before it.
            is_written &= writer.shutdown(deadline.saturating_duration_since(Instant::now()));
        }
        is_written
    }
}

#[cfg(test)]
mod tests;
