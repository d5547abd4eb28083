//! Hashes of passwords: read, made and compared.

use std::str::FromStr as _;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher as _, PasswordVerifier as _};

use crate::check::{Value, Wrong};

/// The hash of a password: argon2id as a PHC string, or bcrypt.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Argon2(Box<str>),
    Bcrypt(Box<str>),
}

/// Memory that is gone through for one hash, in KiB: about two seconds of one core. What costs more would let a few
/// logins keep all others waiting.
const MOST_ARGON2: u64 = 2 * 1024 * 1024;
const MOST_MEMORY: u32 = 1024 * 1024;
/// Each step doubles the time; this is some five seconds.
const MOST_BCRYPT: u32 = 16;

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl Value for Hash {
    const KIND: &'static str = "the hash of a password";
    const EXAMPLE: &'static str = "what `rp hash` prints: $argon2id$v=19$m=19456,t=2,p=1$…";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("$argon2id$") {
            argon2id(text)
        } else if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| text.starts_with(prefix)) {
            bcrypt(text)
        } else {
            Err(Wrong::say(other(text)).help("hash the password with `rp hash`, and write what it prints"))
        }
    }
}

fn argon2id(text: &str) -> Result<Hash, Wrong> {
    let broken = || {
        Wrong::say("this is not a whole argon2id hash").help("write all that `rp hash` printed, from `$argon2id$` on")
    };
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    let params = Params::try_from(&hash).map_err(|_| broken())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(broken());
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if work > MOST_ARGON2 || params.m_cost() > MOST_MEMORY {
        return Err(Wrong::range("one login with this hash takes more than two seconds or 1 GiB of memory")
            .help("hash the password anew with `rp hash`"));
    }
    Ok(Hash(Kind::Argon2(text.into())))
}

fn bcrypt(text: &str) -> Result<Hash, Wrong> {
    let parts = ::bcrypt::HashParts::from_str(text).map_err(|_| {
        Wrong::say("this is not a whole bcrypt hash").help("one has 60 characters: write all of it, or use `rp hash`")
    })?;
    match parts.get_cost() {
        4..=MOST_BCRYPT => Ok(Hash(Kind::Bcrypt(text.into()))),
        cost => Err(Wrong::range(format!("bcrypt with a cost of {cost} is not taken"))
            .help(format!("hash the password with a cost of at most {MOST_BCRYPT}, or with `rp hash`"))),
    }
}

/// What somebody wrote in place of a hash. A password is not shown: messages end up in logs.
fn other(text: &str) -> &'static str {
    if text.starts_with("$argon2") {
        "of the kinds of argon2, only argon2id is taken"
    } else if text.starts_with("$apr1$") || text.starts_with("$1$") {
        "a hash by MD5 is broken in no time, and not taken"
    } else if text.starts_with("{SHA")
        || text.starts_with("{SSHA")
        || text.starts_with("$5$")
        || text.starts_with("$6$")
    {
        "a hash by SHA is not taken: it is made to be fast"
    } else {
        "this is neither an argon2id nor a bcrypt hash, and passwords are not written in plain text"
    }
}

impl Hash {
    /// Hashes `password` with argon2id and a new salt, as a PHC string. Costs are those that OWASP recommends: 19 MiB,
    /// two passes, one lane.
    pub fn make(password: &[u8]) -> Result<String, String> {
        Argon2::default().hash_password(password).map(|hash| hash.to_string()).map_err(|error| error.to_string())
    }

    /// Whether `password` is the one that was hashed. Takes dozens of milliseconds, the same for any password.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Argon2(text) => {
                PasswordHash::new(text).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
            }
            // bcrypt knows the first 72 bytes of a password only, here as everywhere.
            Kind::Bcrypt(text) => ::bcrypt::verify(password, text).unwrap_or(false),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Argon2(text) | Kind::Bcrypt(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let Wrong { text, help, range, .. } = Hash::parse(text).unwrap_err();
        format!("{}; {}{}", text.unwrap_or_default(), help.unwrap_or_default(), if range { " (range)" } else { "" })
    }

    #[test]
    fn a05_what_is_made_is_read_and_holds() {
        let made = Hash::make("pässword".as_bytes()).unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert_ne!(made, Hash::make("pässword".as_bytes()).unwrap(), "each has a salt of its own");
        let hash = Hash::parse(&made).unwrap();
        assert!(hash.is_of("pässword".as_bytes()));
        assert!(!hash.is_of(b"password") && !hash.is_of(b""));
        assert_eq!(format!("{hash:?}"), "Hash(…)");
    }

    #[test]
    fn a05_hashes_of_other_tools_hold() {
        // By Apache's htpasswd -B and by the argon2 command of the reference implementation.
        for (hash, password) in [
            ("$2y$05$q5/FlRSmS9sjBNkpBmyCWeE9/L5eBiEwwiB2GOHj4hKSBX.NM1R4m", "open sesame"),
            ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
        ] {
            let read = Hash::parse(hash).unwrap();
            assert!(read.is_of(password.as_bytes()), "{hash}");
            assert!(!read.is_of(b"other"), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        for text in ["hunter2", "", "$apr1$x$y", "{SHA}x", "$6$x$y", "$argon2i$v=19$m=1,t=1,p=1$c$d", "$1$a$b"] {
            assert!(wrong(text).ends_with("hash the password with `rp hash`, and write what it prints"), "{text}");
        }
        assert!(!wrong("hunter2").contains("hunter2"));
        assert!(wrong("$2y$05$short").contains("not a whole bcrypt hash"));
        for text in ["$argon2id$v=19$m=19456,t=2,p=1", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ"] {
            assert!(wrong(text).contains("not a whole argon2id hash"), "{text}");
        }
    }

    #[test]
    fn xa08_a_hash_that_takes_seconds_is_refused() {
        let behind = "$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(wrong(&format!("$argon2id$v=19$m=4194304,t=1,p=1{behind}")).ends_with("(range)"));
        assert!(wrong(&format!("$argon2id$v=19$m=65536,t=64,p=1{behind}")).ends_with("(range)"));
        assert!(wrong("$2y$31$yE7U3IHiNGJ2OZbQbFLfaOmLwjXNtRROWrvrIOd8GMeblTSI5X8Fi").ends_with("(range)"));
    }
}
