//! The writer thread of one target: it takes lines from the channel, keeps the file in order, and says what was lost.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::output::Output;
use super::{Control, Message, Target};
use crate::telemetry::every::Every;

/// How often the writer looks after its file when nothing comes.
const TICK: Duration = Duration::from_secs(1);
/// Where a writer thread sits.
pub struct Desk {
    target: String,
    output: Output,
    receiver: Receiver<Message>,
    control: Arc<Control>,
    /// How many lost lines the runtime log knows of.
    told: u64,
    /// Why the last ones were lost; none where they did not even reach this thread.
    error: Option<io::Error>,
    /// One line a minute about each kind of trouble is enough.
    loss: Every,
    trouble: Every,
}

impl Desk {
    pub fn new(target: &Target, output: Output, receiver: Receiver<Message>, control: Arc<Control>) -> Self {
        let (loss, trouble) = (Every::millis(60_000), Every::millis(60_000));
        Self { target: target.to_string(), output, receiver, control, told: 0, error: None, loss, trouble }
    }

    pub fn run(mut self) {
        let mut next_look = Instant::now();
        while !self.control.stop.load(Relaxed) {
            let patience = if self.output.is_compressing() { Duration::ZERO } else { TICK };
            match self.receiver.recv_timeout(patience) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.obey();
            if Instant::now() >= next_look {
                next_look = Instant::now() + TICK;
                let tended = self.output.tend(SystemTime::now());
                self.tell(tended);
            }
            let compressed = self.output.compress();
            self.tell(compressed);
            if self.has_news() && self.loss.pass().is_some() {
                self.tell_loss();
            }
        }
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        if self.has_news() {
            self.tell_loss();
        }
        self.output.close();
    }

    fn take(&mut self, message: Message) {
        let Message::Lines { bytes, count } = message else { return };
        let (written, rotated) = self.output.write(&bytes, SystemTime::now());
        self.tell(rotated);
        if let Err(lost) = written {
            self.control.lost(lost.lines.min(count));
            self.error = Some(lost.error);
        }
    }

    fn obey(&mut self) {
        let rotation = self.control.rotation.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rotation) = rotation {
            self.output.rotate_by(rotation);
        }
        if self.control.reopen.swap(false, Relaxed) {
            let reopened = self.output.reopen();
            self.tell(reopened);
        }
    }

    fn has_news(&self) -> bool {
        self.control.dropped.load(Relaxed) > self.told
    }

    fn tell_loss(&mut self) {
        let dropped = self.control.dropped.load(Relaxed);
        let lines = dropped - self.told;
        self.told = dropped;
        if let Some(error) = self.error.take() {
            tracing::warn!(log = %self.target, lines, %error, "the access log cannot be written; lines were dropped");
        } else {
            tracing::warn!(log = %self.target, lines, "the access log is too slow; lines were dropped");
        }
    }

    fn tell(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome
            && let Some(suppressed) = self.trouble.pass()
        {
            tracing::warn!(log = %self.target, suppressed, %error, "the access log cannot be rotated or reopened");
        }
    }
}
