//! What can be wrong with certificates, keys and the internal authority, in words that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use time::Date;

use crate::diagnostic::{Code, Mistake, Span, plain};

/// Which of the two files is meant, so that the caller underlines the right word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}

/// Why a certificate cannot be used. The text is lower case and ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{}", unreadable(file, why))]
    Unreadable { part: Part, file: String, why: io::Error },
    #[error("`{file}` is larger than {} KiB, which no PEM file is: write the path of the {} itself", LARGEST / 1024, part.word())]
    TooLarge { part: Part, file: String },
    #[error("`{file}` is broken PEM ({why}): copy it again, with its `-----BEGIN` and `-----END` lines")]
    BadPem { part: Part, file: String, why: String },
    #[error("{}", no_certificate(file, *held))]
    NoCertificate { file: String, held: Held },
    #[error("certificate {number} in `{file}` cannot be read: get it again from whoever issued it")]
    BadCertificate { file: String, number: usize },
    #[error("{}", no_key(file, *held))]
    NoKey { file: String, held: Held },
    #[error(
        "the key in `{file}` is not one that TLS can use: make one of RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519"
    )]
    UnusableKey { file: String },
    #[error(
        "the key in `{key}` does not belong to the certificate in `{certificate}`: name the key that the certificate was requested with"
    )]
    Mismatch { certificate: String, key: String },
    #[error(
        "`{file}` is no list of revoked certificates: write the path of one that the authority has signed, in PEM or DER"
    )]
    BadRevocations { file: String },
    #[error(
        "`{file}` is a list of revoked certificates in the old form, version 1: issue it in version 2, for which `openssl ca -gencrl` wants a `crlnumber` file"
    )]
    OldFormOfRevocations { file: String },
    #[error("{}", unreadable_folder(folder, why))]
    UnreadableFolder { folder: String, why: io::Error },
    #[error(
        "there is no certificate in `{folder}`: put a PEM file with a certificate and its key there, with the ending `.pem`"
    )]
    EmptyFolder { folder: String },
    #[error("`{certificate}` has no key in it, and there is none beside it: put the key there as `{key}`")]
    NoKeyBeside { certificate: String, key: String },
    #[error("no certificate in `{folder}` is for `{name}`: put one there, with its key")]
    NoneFor { folder: String, name: String },
    #[error("{}", storage(path, why))]
    Storage { path: PathBuf, why: io::Error },
    #[error("the storage `{place}` cannot be reached ({why}): start it, or name another one under `storage`")]
    Unreachable { place: String, why: String },
    #[error("the storage `{place}` refuses ({why}): give rp's user there the rights that it needs")]
    Refused { place: String, why: String },
    #[error("this is no archive of a storage ({0}): name a file that `rp storage export` wrote")]
    Archive(String),
    #[error("`{place}` is held by another process: wait until it is done, or end it")]
    Locked { place: String },
    #[error(
        "`{root}` is there, but its key `root.key` is not: restore the key, or remove `root.crt` to begin a new authority"
    )]
    RootWithoutKey { root: String },
    #[error(
        "the internal authority in `{folder}` cannot be used ({why}): restore `root.crt` and `root.key` from one backup, or remove both to begin a new authority"
    )]
    BadRoot { folder: String, why: String },
    #[error("`{name}` is no host that TLS can ask for: write a host name or an address")]
    BadName { name: String },
    #[error("no certificate can be issued for nothing: name at least one host or address")]
    NoNames,
    #[error(
        "signing failed ({0}): this is not a mistake in the configuration; start rp again, and report it if it stays"
    )]
    Signing(String),
    #[error(
        "no trusted authorities were found on this system ({0}): install the package `ca-certificates`, or name a file of authorities"
    )]
    NoSystemRoots(String),
    #[error(
        "the TLS options leave nothing to offer ({0}): allow one version, one group and one cipher suite that belong together"
    )]
    NothingOffered(String),
}

/// No PEM file of a chain or a key is larger, in bytes. A bundle of all public roots has 220 KiB.
pub(super) const LARGEST: u64 = 1024 * 1024;

/// What a file held instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Certificate,
    Key,
    EncryptedKey,
    Der,
    Nothing,
    Other,
}

impl Trouble {
    pub fn code(&self) -> Code {
        match self {
            Self::Mismatch { .. } => Code::E0051,
            _ => Code::E0050,
        }
    }

    /// The finding at the user's word.
    pub fn at(&self, span: Span) -> Mistake {
        finding(self.code(), span, &self.to_string())
    }

    /// The file to point at.
    pub fn part(&self) -> Part {
        match self {
            Self::Unreadable { part, .. } | Self::TooLarge { part, .. } | Self::BadPem { part, .. } => *part,
            Self::NoKey { .. } | Self::UnusableKey { .. } | Self::Mismatch { .. } => Part::Key,
            _ => Part::Certificate,
        }
    }
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
        }
    }
}

/// What is worth a warning and stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Expired {
        file: String,
        on: Date,
    },
    NotYetValid {
        file: String,
        from: Date,
    },
    /// The chain ends at the leaf.
    NoIssuer {
        file: String,
        subject: String,
        issuer: String,
    },
    /// Certificate `number` is not the issuer of the one before it.
    Disorder {
        file: String,
        number: usize,
    },
    /// No host and no address under subjectAltName; clients have ignored the common name since 2017.
    NoNames {
        file: String,
    },
    ReadableByOthers {
        file: String,
        mode: u32,
    },
    /// The time of a list of revoked certificates is over.
    OldRevocations {
        file: String,
        on: Date,
    },
}

impl Notice {
    pub fn code(&self) -> Code {
        match self {
            Self::ReadableByOthers { .. } => Code::W0011,
            Self::OldRevocations { .. } => Code::W0031,
            Self::Expired { .. } | Self::NotYetValid { .. } => Code::W0012,
            Self::NoIssuer { .. } | Self::Disorder { .. } | Self::NoNames { .. } => Code::W0013,
        }
    }

    /// The finding at the user's word.
    pub fn at(&self, span: Span) -> Mistake {
        finding(self.code(), span, &self.to_string())
    }

    pub fn part(&self) -> Part {
        match self {
            Self::ReadableByOthers { .. } => Part::Key,
            _ => Part::Certificate,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { file, on } => write!(f, "the certificate in `{file}` expired on {on}: renew it"),
            Self::NotYetValid { file, from } => write!(
                f,
                "the certificate in `{file}` is not valid before {from}: set this machine's clock, or use the certificate from then on"
            ),
            Self::NoIssuer { file, subject, issuer } => write!(
                f,
                "`{file}` holds the certificate of `{subject}` without that of its issuer `{issuer}`, so many clients will refuse it: \
                 append the issuer's certificate, or name the file with the full chain"
            ),
            Self::Disorder { file, number } => write!(
                f,
                "certificate {number} in `{file}` did not issue the one before it, so some clients will refuse the chain: \
                 put the site's certificate first and each issuer behind what it issued"
            ),
            Self::NoNames { file } => write!(
                f,
                "the certificate in `{file}` names no host, so every browser will refuse it: request one with a subject alternative name"
            ),
            Self::OldRevocations { file, on } => write!(
                f,
                "the list in `{file}` should have been replaced on {on}, so every client that it could tell of is refused: \
                 get the authority's newest list, or write `crl {file} {{ expired accept }}`"
            ),
            Self::ReadableByOthers { file, mode } => {
                write!(
                    f,
                    "every user of this machine can read the key in `{file}` (mode {mode:04o}): run `chmod 600 {file}`"
                )
            }
        }
    }
}

/// Every sentence here is what is wrong, a colon, and what to do.
fn finding(code: Code, at: Span, sentence: &str) -> Mistake {
    match sentence.rsplit_once(": ") {
        Some((wrong, help)) => Mistake::new(code, at, wrong).help(help),
        None => Mistake::new(code, at, sentence),
    }
}

fn unreadable(file: &str, why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::NotFound => format!("there is no file `{file}`: write the path of a PEM file"),
        io::ErrorKind::PermissionDenied => {
            format!(
                "rp is not allowed to read `{file}`: give its user the right to read the file and to enter its folders"
            )
        }
        io::ErrorKind::IsADirectory => format!("`{file}` is a folder: write the path of a PEM file in it"),
        _ => format!("`{file}` cannot be read ({}): write the path of a PEM file", plain(why)),
    }
}

fn unreadable_folder(folder: &str, why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::NotFound => format!("there is no folder `{folder}`: write the path of one with PEM files in it"),
        io::ErrorKind::NotADirectory => {
            format!(
                "`{folder}` is no folder: write the file's path without a slash at its end, and its key's behind it"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("rp is not allowed to read `{folder}`: give its user the right to read the folder")
        }
        _ => format!("`{folder}` cannot be read ({}): write the path of a folder of PEM files", plain(why)),
    }
}

fn no_certificate(file: &str, held: Held) -> String {
    match held {
        Held::Key | Held::EncryptedKey => {
            format!(
                "`{file}` holds a key and no certificate: write the certificate's path first and the key's behind it"
            )
        }
        Held::Der => format!(
            "`{file}` is not PEM but DER: convert it with `openssl x509 -inform der -in {file} -out certificate.pem`"
        ),
        Held::Nothing => {
            format!("`{file}` is empty: write the path of a PEM file with the certificate and its issuers")
        }
        Held::Certificate | Held::Other => {
            format!("`{file}` holds no certificate: write the path of a PEM file with a `BEGIN CERTIFICATE` line")
        }
    }
}

fn no_key(file: &str, held: Held) -> String {
    match held {
        Held::Certificate => {
            format!(
                "`{file}` holds a certificate and no key: write the certificate's path first and the key's behind it"
            )
        }
        Held::EncryptedKey => format!(
            "the key in `{file}` is encrypted, and rp has nobody to ask for the password: decrypt it with `openssl pkey -in {file} -out key.pem`"
        ),
        Held::Der => {
            format!("`{file}` is not PEM but DER: convert it with `openssl pkey -inform der -in {file} -out key.pem`")
        }
        Held::Nothing => format!("`{file}` is empty: write the path of a PEM file with the key"),
        Held::Key | Held::Other => {
            format!("`{file}` holds no key: write the path of a PEM file with a `BEGIN PRIVATE KEY` line")
        }
    }
}

fn storage(path: &std::path::Path, why: &io::Error) -> String {
    let path = path.display();
    match why.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("rp is not allowed to use `{path}`: give its user that folder, or set another one under `storage`")
        }
        _ => format!("`{path}` cannot be used ({}): set another folder under `storage`", plain(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_its_advice_apart() {
        let trouble = Trouble::Mismatch { certificate: "a.pem".to_owned(), key: "a.key".to_owned() };
        let span = Span::new(0, 3, 8);
        let mistake = trouble.at(span);
        assert_eq!((mistake.code, mistake.at), (Code::E0051, span));
        assert_eq!(mistake.text, "the key in `a.key` does not belong to the certificate in `a.pem`");
        assert_eq!(mistake.help.as_deref(), Some("name the key that the certificate was requested with"));
    }

    #[test]
    fn every_notice_has_advice() {
        let file = || "a.pem".to_owned();
        let day = Date::MIN;
        for (notice, code) in [
            (Notice::Expired { file: file(), on: day }, Code::W0012),
            (Notice::NotYetValid { file: file(), from: day }, Code::W0012),
            (Notice::NoIssuer { file: file(), subject: "a".to_owned(), issuer: "b".to_owned() }, Code::W0013),
            (Notice::Disorder { file: file(), number: 2 }, Code::W0013),
            (Notice::NoNames { file: file() }, Code::W0013),
            (Notice::OldRevocations { file: file(), on: day }, Code::W0031),
            (Notice::ReadableByOthers { file: file(), mode: 0o644 }, Code::W0011),
        ] {
            let mistake = notice.at(Span::default());
            assert_eq!(mistake.code, code);
            assert!(mistake.help.is_some_and(|help| !help.is_empty()), "{}", mistake.text);
        }
    }
}
