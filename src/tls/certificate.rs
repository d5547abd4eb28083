//! A certificate with its chain and key, read from PEM and checked as far as it can be without a client.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::name::Name;
use super::provider::provider;
use super::trouble::{Held, LARGEST, Notice, Part, Trouble};

/// Lives shorter than this leave half of themselves for renewal.
const SHORT: time::Duration = time::Duration::days(10);

/// A chain and its key that belong together. Times are UTC.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Vec<Name>,
    issuer: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    fingerprint: [u8; 32],
    notices: Vec<Notice>,
}

impl Certificate {
    /// Reads a PEM chain, the site's certificate first, and a PEM key in PKCS #8, SEC 1 or PKCS #1.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Trouble> {
        let (chain, _) = read(certificate, Part::Certificate)?;
        let (secret, metadata) = read(key, Part::Key)?;
        let files = Files { certificate: certificate.display().to_string(), key: key.display().to_string() };
        let mut loaded = Self::build(&chain, &secret, &files, OffsetDateTime::now_utc())?;
        let mode = metadata.permissions().mode() & 0o7777;
        // A group may well be meant to read it (Debian's `ssl-cert`); everybody is not.
        if metadata.is_file() && mode & 0o006 != 0 {
            loaded.notices.push(Notice::ReadableByOthers { file: files.key, mode });
        }
        Ok(loaded)
    }

    /// The same from bytes; messages call them `certificate` and `key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, Trouble> {
        Self::from_named_pem(("certificate", certificate), ("key", key))
    }

    /// The same from bytes, each with what messages call it.
    pub(super) fn from_named_pem(certificate: (&str, &[u8]), key: (&str, &[u8])) -> Result<Self, Trouble> {
        let files = Files { certificate: certificate.0.to_owned(), key: key.0.to_owned() };
        Self::build(certificate.1, key.1, &files, OffsetDateTime::now_utc())
    }

    /// The same from what is no longer text.
    pub(super) fn from_der(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Trouble> {
        let files = Files { certificate: "certificate".to_owned(), key: "key".to_owned() };
        Self::assemble(chain, key, &files, OffsetDateTime::now_utc())
    }

    fn build(chain: &[u8], secret: &[u8], files: &Files, now: OffsetDateTime) -> Result<Self, Trouble> {
        let chain = certificates(chain, &files.certificate)?;
        Self::assemble(chain, private_key(secret, &files.key)?, files, now)
    }

    /// `chain` is not empty.
    fn assemble(
        chain: Vec<CertificateDer<'static>>,
        secret: PrivateKeyDer<'static>,
        files: &Files,
        now: OffsetDateTime,
    ) -> Result<Self, Trouble> {
        let signer = provider()
            .key_provider
            .load_private_key(secret)
            .map_err(|_| Trouble::UnusableKey { file: files.key.clone() })?;
        let leaf = Leaf::read(&chain, &files.certificate, now)?;
        let fingerprint = sha256(&chain[0]);
        let key = CertifiedKey::new(chain, signer);
        match key.keys_match() {
            // `Unknown` is for keys that cannot show their public half, as those in hardware.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(Trouble::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() });
            }
            Err(_) => return Err(Trouble::BadCertificate { file: files.certificate.clone(), number: 1 }),
        }
        let Leaf { names, issuer, not_before, not_after, notices } = leaf;
        Ok(Self { key: Arc::new(key), names, issuer, not_before, not_after, fingerprint, notices })
    }

    /// Chain and key as handshakes use them.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The hosts and addresses under subjectAltName.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.covers(host))
    }

    /// What whoever signed it is called.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// SHA-256 of the site's certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// What is worth a warning.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// When a third of its life is left, of a short life the half: a 90-day certificate has 30 days then, a 6-day one
    /// three, so that there is time to repair what is in the way.
    pub fn renewal(&self) -> OffsetDateTime {
        let life = self.not_after - self.not_before;
        if life < SHORT { self.not_before + life / 2 } else { self.not_after - life / 3 }
    }

    pub fn needs_renewal(&self, now: OffsetDateTime) -> bool {
        now >= self.renewal()
    }
}

/// How messages call the two files.
struct Files {
    certificate: String,
    key: String,
}

/// What is read out of the chain.
struct Leaf {
    names: Vec<Name>,
    issuer: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    notices: Vec<Notice>,
}

impl Leaf {
    fn read(chain: &[CertificateDer<'_>], file: &str, now: OffsetDateTime) -> Result<Self, Trouble> {
        let mut parsed = Vec::with_capacity(chain.len());
        for (index, der) in chain.iter().enumerate() {
            let (_, certificate) = X509Certificate::from_der(der)
                .map_err(|_| Trouble::BadCertificate { file: file.to_owned(), number: index + 1 })?;
            parsed.push(certificate);
        }
        let leaf = &parsed[0];
        let validity = leaf.validity();
        let (not_before, not_after) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
        let names = names(leaf);
        let mut notices = Vec::new();
        let file = file.to_owned();
        if now > not_after {
            notices.push(Notice::Expired { file: file.clone(), on: not_after.date() });
        } else if now < not_before {
            notices.push(Notice::NotYetValid { file: file.clone(), from: not_before.date() });
        }
        if names.is_empty() {
            notices.push(Notice::NoNames { file: file.clone() });
        }
        notices.extend(chain_notice(&parsed, file));
        Ok(Self { names, issuer: common_name(leaf.issuer()), not_before, not_after, notices })
    }
}

/// A chain of one that somebody else issued, or a link that does not hold.
fn chain_notice(chain: &[X509Certificate<'_>], file: String) -> Option<Notice> {
    let leaf = &chain[0];
    if chain.len() == 1 {
        let foreign = leaf.issuer().as_raw() != leaf.subject().as_raw();
        return foreign.then(|| Notice::NoIssuer { file, subject: subject(leaf), issuer: common_name(leaf.issuer()) });
    }
    let broken = chain.windows(2).position(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw())?;
    Some(Notice::Disorder { file, number: broken + 2 })
}

fn subject(leaf: &X509Certificate<'_>) -> String {
    names(leaf).first().map_or_else(|| common_name(leaf.subject()), ToString::to_string)
}

/// Of one that has none, all of it.
pub(super) fn common_name(name: &x509_parser::x509::X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|part| part.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

fn names(leaf: &X509Certificate<'_>) -> Vec<Name> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(general_name).collect()
}

fn general_name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        // An address under DNSName is one for no client (RFC 9525, section 6.2).
        GeneralName::DNSName(host) => Name::parse(host).filter(|name| !matches!(name, Name::Address(_))),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from)).ok().map(Name::Address)
        }
        _ => None,
    }
}

/// All certificates of a PEM file; at least one.
pub(super) fn certificates(bytes: &[u8], file: &str) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_pem(Part::Certificate, file, &error))?;
    if chain.is_empty() {
        return Err(Trouble::NoCertificate { file: file.to_owned(), held: held(bytes) });
    }
    Ok(chain)
}

/// The first key of a PEM file.
pub(super) fn private_key(bytes: &[u8], file: &str) -> Result<PrivateKeyDer<'static>, Trouble> {
    let none = || Trouble::NoKey { file: file.to_owned(), held: held(bytes) };
    // Before PKCS #8 an encrypted key had the plain key's label and a header inside (RFC 1421).
    if held(bytes) == Held::EncryptedKey {
        return Err(none());
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => none(),
        error => bad_pem(Part::Key, file, &error),
    })
}

fn bad_pem(part: Part, file: &str, error: &pem::Error) -> Trouble {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "the `-----END` line is missing",
        pem::Error::IllegalSectionStart { .. } => "a `-----BEGIN` line is damaged",
        pem::Error::Base64Decode(_) => "there are characters that are not base64",
        _ => "it does not read as PEM",
    };
    Trouble::BadPem { part, file: file.to_owned(), why: why.to_owned() }
}

fn held(bytes: &[u8]) -> Held {
    let has = |needle: &str| memchr::memmem::find(bytes, needle.as_bytes()).is_some();
    match () {
        () if bytes.trim_ascii().is_empty() => Held::Nothing,
        () if is_der(bytes) => Held::Der,
        () if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") => Held::EncryptedKey,
        () if has("PRIVATE KEY-----") => Held::Key,
        () if has("BEGIN CERTIFICATE-----") => Held::Certificate,
        () => Held::Other,
    }
}

/// A DER certificate or key is one SEQUENCE (X.690, section 8.1.3). A key on a curve is short enough for a length of one
/// byte, which could begin a text as well, so there it must be that of the file.
fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x81 | 0x82, ..] => true,
        [0x30, length, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

/// A whole file, unless it is too large to be what was meant.
pub(super) fn read(path: &Path, part: Part) -> Result<(Vec<u8>, Metadata), Trouble> {
    let file = || path.display().to_string();
    let mut bytes = Vec::new();
    let metadata = open_and_read(path, &mut bytes).map_err(|why| Trouble::Unreadable { part, file: file(), why })?;
    if bytes.len() as u64 > LARGEST {
        return Err(Trouble::TooLarge { part, file: file() });
    }
    Ok((bytes, metadata))
}

fn open_and_read(path: &Path, bytes: &mut Vec<u8>) -> io::Result<Metadata> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    file.take(LARGEST + 1).read_to_end(bytes)?;
    Ok(metadata)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
pub(super) mod tests;
