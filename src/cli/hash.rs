//! `rp hash`: the hash of a password, to be written into a Proxyfile.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Outcome, complain};
use crate::directive::basic_auth::hash::Hash as PasswordHash;

/// A login that sends more has other things in mind.
const LONGEST: usize = 4096;

#[derive(Debug, Args)]
pub struct Hash {}

impl Hash {
    pub fn execute(self) -> Outcome {
        let Self {} = self;
        let password = match if io::stdin().is_terminal() { ask() } else { piped(&mut io::stdin().lock()) } {
            Ok(password) => password,
            Err(error) => return complain(error),
        };
        match PasswordHash::make(&password) {
            Ok(hash) => {
                println!("{hash}");
                Outcome::Clean
            }
            Err(error) => complain(format!("cannot hash the password: {error}")),
        }
    }
}

/// The first line of what is piped in; nothing may follow it, since of two lines nobody knows which one is meant.
fn piped(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(LONGEST as u64 + 2).read_to_end(&mut bytes)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    usable(bytes)
}

fn usable(password: Vec<u8>) -> io::Result<Vec<u8>> {
    let why = match () {
        () if password.is_empty() => "the password is empty".to_owned(),
        () if password.len() > LONGEST => format!("the password is longer than {LONGEST} bytes"),
        // RFC 7617, section 2: no control characters. A login with one would never be taken.
        () if password.iter().any(u8::is_ascii_control) => {
            "the password holds a line break or another control character".to_owned()
        }
        () if str::from_utf8(&password).is_err() => "the password is not UTF-8".to_owned(),
        () => return Ok(password),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Asks twice: what is not seen is easily mistyped.
fn ask() -> io::Result<Vec<u8>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let first = usable(unseen(&terminal, "Password: ")?)?;
    let second = unseen(&terminal, "Once more: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the two passwords differ: try again"))
    }
}

fn unseen(mut terminal: &File, prompt: &str) -> io::Result<Vec<u8>> {
    terminal.write_all(prompt.as_bytes())?;
    let quiet = Quiet::new(terminal)?;
    let typed = line(&mut &*terminal);
    drop(quiet);
    terminal.write_all(b"\n")?;
    typed
}

/// A terminal that shows nothing, until it is dropped. Its keys for signals are read as bytes meanwhile: a process that
/// one of them ends would leave the terminal as it is.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn new(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// What is typed up to the end of the line, with the keys that people correct themselves by.
fn line(keys: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut typed = Vec::new();
    let mut key = [0];
    loop {
        if keys.read(&mut key)? == 0 {
            return Ok(typed);
        }
        match key[0] {
            b'\r' | b'\n' | 0x04 => return Ok(typed),
            // Ctrl-C and Ctrl-\.
            0x03 | 0x1c => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up")),
            // Backspace takes a whole character, Ctrl-U the line.
            0x7f | 0x08 => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => typed.clear(),
            byte if typed.len() <= LONGEST => typed.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_and_mended() {
        let typed = |mut keys: &[u8]| line(&mut keys).map_err(|error| error.to_string());
        assert_eq!(typed(b"secret\rmore"), Ok(b"secret".to_vec()));
        assert_eq!(typed("sä\u{7f}ecrex\u{8}t\n".as_bytes()), Ok(b"secret".to_vec()));
        assert_eq!(typed(b"wrong\x15right"), Ok(b"right".to_vec()));
        assert_eq!(typed(b"\x7f\x7fx\n"), Ok(b"x".to_vec()));
        assert_eq!(typed(b"sec\x03"), Err("given up".to_owned()));
    }

    #[test]
    fn one_line_is_piped() {
        let piped = |mut bytes: &[u8]| piped(&mut bytes).map_err(|error| error.to_string());
        assert_eq!(piped(b"secret"), Ok(b"secret".to_vec()));
        assert_eq!(piped(b"secret\r\n"), Ok(b"secret".to_vec()));
        assert_eq!(piped(b" with spaces \n"), Ok(b" with spaces ".to_vec()));
        assert_eq!(piped(b"\n"), Err("the password is empty".to_owned()));
        assert!(piped(b"one\ntwo\n").unwrap_err().contains("line break"));
        assert!(piped(&[b'x'; LONGEST + 1]).unwrap_err().contains("longer than 4096 bytes"));
        assert_eq!(piped(&[b'x'; LONGEST]).unwrap().len(), LONGEST);
        assert!(piped(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
