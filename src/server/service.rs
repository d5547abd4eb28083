//! What the service manager is told (`sd_notify`): ready, reloading, stopping, and that we are alive.

use std::time::Duration;

use sd_notify::NotifyState;

/// A configuration is in force.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A new configuration is being read. [`ready`] must follow, whatever comes of it.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
}

pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said: twice in the time that the manager waits (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2).filter(|time| !time.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    // Without a manager this does nothing. One that can't be reached is no reason to stop serving.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be reached");
    }
}
