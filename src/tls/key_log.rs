//! The keys of sessions, for those who debug with Wireshark: whoever has the file can read the traffic.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustls::KeyLog;

use super::hex::hex;

/// A file in the format of `SSLKEYLOGFILE`, to which lines are added.
pub struct KeyFile(Mutex<File>);

impl KeyFile {
    /// Only its owner may read it, also where it was there before.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = format!("{label} ");
        line.push_str(&hex(client_random));
        line.push(' ');
        line.push_str(&hex(secret));
        line.push('\n');
        // A full disk is no reason to refuse a client.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile")
    }
}
