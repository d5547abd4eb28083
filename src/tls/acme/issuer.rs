//! An authority as a configuration names it: where its directory is, and what it wants to know of whoever asks.

use std::fmt;
use std::path::PathBuf;

use super::Preference;

/// The authority that is asked where none is named.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Where Let's Encrypt lets things be tried out, with limits of its own.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Authorities that can be named by a word.
pub const KNOWN: [Known; 5] = [
    Known { name: "letsencrypt", directory: LETS_ENCRYPT, test: Some(LETS_ENCRYPT_STAGING), binds: false },
    Known { name: "letsencrypt-staging", directory: LETS_ENCRYPT_STAGING, test: None, binds: false },
    Known { name: "zerossl", directory: "https://acme.zerossl.com/v2/DV90", test: None, binds: true },
    Known { name: "google", directory: "https://dv.acme-v02.api.pki.goog/directory", test: None, binds: true },
    Known {
        name: "google-staging",
        directory: "https://dv.acme-v02.test-api.pki.goog/directory",
        test: None,
        binds: true,
    },
];

/// What is known of an authority that everybody may ask.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    pub directory: &'static str,
    /// Where an order can be tried out.
    pub test: Option<&'static str>,
    /// Its accounts are bound to ones that are made elsewhere.
    pub binds: bool,
}

impl Known {
    /// By the URL of its directory.
    #[must_use]
    pub fn at(directory: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.directory == directory)
    }
}

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The URL of its directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// The authorities that its own certificate is checked by; `None`: the system's.
    pub root: Option<PathBuf>,
    /// Which of the certificates that it has to offer.
    pub profile: Option<String>,
    /// Which of the chains to a certificate; empty: the one that it sends first.
    pub chain: Vec<Preference>,
    /// Whom it may write to.
    pub email: Option<String>,
    /// What its accounts are bound to.
    pub binding: Option<Binding>,
    /// A directory where an order must succeed before this one is asked again after a failure.
    pub test: Option<String>,
}

impl Issuer {
    #[must_use]
    pub fn at(directory: &str) -> Self {
        let test = Known::at(directory).and_then(|known| known.test).map(str::to_owned);
        let (directory, chain) = (directory.to_owned(), Vec::new());
        Self { directory, root: None, profile: None, chain, email: None, binding: None, test }
    }

    /// The host of its directory, which is what it is called in messages.
    #[must_use]
    pub fn host(&self) -> &str {
        let bare = self.directory.split_once("://").map_or(&*self.directory, |(_, rest)| rest);
        bare.split('/').next().unwrap_or(bare)
    }

    /// Where things are tried out, asked in the same way. Its roots have names of their own, and nobody is shown its chains.
    #[must_use]
    pub fn rehearsal(&self) -> Option<Self> {
        let directory = self.test.clone()?;
        Some(Self { directory, test: None, binding: None, chain: Vec::new(), ..self.clone() })
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::at(LETS_ENCRYPT)
    }
}

/// A key that an authority has given to an account of its own kind (RFC 8555, section 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    pub id: String,
    pub key: Vec<u8>,
}

impl fmt::Debug for Binding {
    /// The key is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Binding {
    /// With the key as authorities hand it out: in base64url (RFC 4648, section 5), some with the signs of base64 or with
    /// padding. `None` for what is neither.
    #[must_use]
    pub fn read(id: &str, key: &str) -> Option<Self> {
        let digits = key.trim_end_matches('=');
        if digits.is_empty() || key.len() - digits.len() > 2 || digits.len() % 4 == 1 {
            return None;
        }
        let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
        let (mut bits, mut count) = (0_u32, 0);
        for digit in digits.bytes() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'-' | b'+' => 62,
                b'_' | b'/' => 63,
                _ => return None,
            };
            bits = (bits << 6 | u32::from(value)) & 0xFFFF;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 0xFF) as u8);
            }
        }
        Some(Self { id: id.to_owned(), key: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_read_and_not_shown() {
        let key = |text: &str| Binding::read("id", text).map(|binding| binding.key);
        assert_eq!(key("_-8A"), Some(vec![0xff, 0xef, 0]));
        assert_eq!(key("/+8A"), key("_-8A"));
        assert_eq!(key("c2VjcmV0"), Some(b"secret".to_vec()));
        assert_eq!(key("c2VjcmU="), Some(b"secre".to_vec()));
        for bad in ["", "=", "A", "c2Vj cmV0", "c2Vj!"] {
            assert_eq!(key(bad), None, "{bad}");
        }
        let shown = format!("{:?}", Binding::read("id", "c2VjcmV0"));
        assert!(shown.contains("id") && !shown.contains("key"), "{shown}");
    }

    #[test]
    fn well_known_authorities_are_found_by_their_directory() {
        let known = Known::at(LETS_ENCRYPT).unwrap();
        assert_eq!((known.name, known.test), ("letsencrypt", Some(LETS_ENCRYPT_STAGING)));
        let issuer = Issuer::default();
        assert_eq!(issuer.host(), "acme-v02.api.letsencrypt.org");
        let rehearsal = issuer.rehearsal().unwrap();
        assert_eq!((&*rehearsal.directory, rehearsal.rehearsal()), (LETS_ENCRYPT_STAGING, None));
        assert_eq!(Issuer::at("https://ca.test:14000/dir").host(), "ca.test:14000");
    }
}
