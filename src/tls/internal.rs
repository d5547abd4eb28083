//! The internal authority: certificates for `localhost` and names that no public authority would sign.
//!
//! A root of ten years is kept in the storage folder, and people trust that one. It signs an issuer of 30 days whose key
//! never leaves memory, and that signs certificates of 7 days. So the root's key is used about once a month, and what
//! leaks from a running process is soon worthless.

mod issued;

use std::sync::{Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;

pub use issued::{Issued, Last, Opened, renew};

use super::certificate::Certificate;
use super::name::Name;
use super::storage::{Storage, wait};
use super::trouble::Trouble;

const ROOT_LIFE: Duration = Duration::days(3652);
const ISSUER_LIFE: Duration = Duration::days(30);
const LEAF_LIFE: Duration = Duration::days(7);
/// Of what is shown while there is no authority.
const PASSING_LIFE: Duration = Duration::minutes(5);
/// Clocks of clients that run behind by less than this still accept a new certificate.
const BACKDATED: Duration = Duration::minutes(5);
/// A root of ours with less than this left is replaced: whoever trusts it has to be told in time anyway.
const ROOT_REMAINDER: Duration = Duration::days(60);
const ROOT_NAME: &str = "rp local authority";

const FOLDER: &str = "internal";
const CERTIFICATE: &str = "internal/root.crt";
const KEY: &str = "internal/root.key";
/// For another process to make a root.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A root in storage and an issuer in memory.
pub struct Authority {
    place: String,
    root_pem: String,
    root: Issuer<'static, KeyPair>,
    issuer: Mutex<Option<Intermediate>>,
}

struct Intermediate {
    certified: CertifiedIssuer<'static, KeyPair>,
    until: OffsetDateTime,
}

impl Authority {
    /// Opens the authority in storage, under `internal/root.crt` and `internal/root.key`. It is made when it is not
    /// there. Of several processes that do so at once, one makes it and the others wait and read.
    pub fn open(storage: &Storage) -> Result<Self, Trouble> {
        Self::open_at(storage, OffsetDateTime::now_utc())
    }

    fn open_at(storage: &Storage, now: OffsetDateTime) -> Result<Self, Trouble> {
        storage.prepare(FOLDER)?;
        let lock = storage.lock_within(FOLDER, PATIENCE)?;
        let opened = Root::open(storage, now);
        wait(storage.release(lock));
        let Root { pem, issuer, .. } = opened?;
        Ok(Self { place: storage.name_of(FOLDER), root_pem: pem, root: issuer, issuer: Mutex::new(None) })
    }

    /// A new certificate and key, good for 7 days.
    pub fn issue(&self, names: &[Name]) -> Result<Certificate, Trouble> {
        self.issue_at(names, OffsetDateTime::now_utc())
    }

    /// A certificate of an authority that is forgotten at once, for some minutes.
    pub fn passing(names: &[Name]) -> Result<Certificate, Trouble> {
        let now = OffsetDateTime::now_utc();
        let key = KeyPair::generate().map_err(signing)?;
        let signed = leaf(names, now, now + PASSING_LIFE)?.self_signed(&key).map_err(signing)?;
        let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Certificate::from_der(vec![signed.into()], secret)
    }

    fn issue_at(&self, names: &[Name], now: OffsetDateTime) -> Result<Certificate, Trouble> {
        let until = now + LEAF_LIFE;
        let params = leaf(names, now, until)?;
        let key = KeyPair::generate().map_err(signing)?;
        // What a panic could leave behind is an issuer or none; both are fine.
        let mut issuer = self.issuer.lock().unwrap_or_else(PoisonError::into_inner);
        let current = match issuer.take().filter(|issuer| issuer.until >= until) {
            Some(current) => current,
            None => self.intermediate(now)?,
        };
        let current = issuer.insert(current);
        let signed = params.signed_by(&key, &current.certified).map_err(signing)?;
        let chain = vec![signed.into(), current.certified.der().clone()];
        drop(issuer);
        Certificate::from_der(chain, PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }

    fn intermediate(&self, now: OffsetDateTime) -> Result<Intermediate, Trouble> {
        let until = now + ISSUER_LIFE;
        let mut params = params("rp local issuer", now, until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(signing)?;
        let certified = CertifiedIssuer::signed_by(params, key, &self.root).map_err(signing)?;
        Ok(Intermediate { certified, until })
    }

    /// What clients are told to trust, if there is one by now.
    pub fn kept_root(storage: &Storage) -> Result<Option<String>, Trouble> {
        wait(storage.load_text(CERTIFICATE))
    }

    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A root that was just made.
struct NewRoot {
    certificate: String,
    key: String,
}

/// A root as it was read.
struct Root {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    until: OffsetDateTime,
    /// Not one that the user put there.
    is_ours: bool,
}

impl Root {
    /// Under the lock.
    fn open(storage: &Storage, now: OffsetDateTime) -> Result<Self, Trouble> {
        let kept = Self::read(storage)?;
        match kept {
            Some(root) if !root.is_ours || root.until - now >= ROOT_REMAINDER => Ok(root),
            _ => {
                Self::create(now)?.store(storage)?;
                let gone = || Trouble::BadRoot { folder: storage.name_of(FOLDER), why: "it is gone".to_owned() };
                Self::read(storage)?.ok_or_else(gone)
            }
        }
    }

    fn create(now: OffsetDateTime) -> Result<NewRoot, Trouble> {
        let mut params = params(&format!("{ROOT_NAME} {}", now.year()), now, now + ROOT_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(signing)?;
        let certificate = params.self_signed(&key).map_err(signing)?.pem();
        Ok(NewRoot { certificate, key: key.serialize_pem() })
    }

    /// `None` where there is none: a key alone is what a crash left behind.
    fn read(storage: &Storage) -> Result<Option<Self>, Trouble> {
        let bad = |why: String| Trouble::BadRoot { folder: storage.name_of(FOLDER), why };
        let Some(pem) = wait(storage.load_text(CERTIFICATE))? else { return Ok(None) };
        let Some(secret) = wait(storage.load_text(KEY))? else {
            return Err(Trouble::RootWithoutKey { root: storage.name_of(CERTIFICATE) });
        };
        let checked = Certificate::from_named_pem(("root.crt", pem.as_bytes()), ("root.key", secret.as_bytes()))
            .map_err(|trouble| bad(trouble.to_string().split(": ").next().unwrap_or_default().to_owned()))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let (_, parsed) =
            x509_parser::certificate::X509Certificate::from_der(&der).map_err(|error| bad(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(bad("the certificate is not one of an authority".to_owned()));
        }
        let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        let is_ours = name.starts_with(ROOT_NAME);
        let key = KeyPair::from_pem(&secret).map_err(|error| bad(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| bad(error.to_string()))?;
        Ok(Some(Self { issuer, until: checked.not_after(), is_ours, pem }))
    }
}

impl NewRoot {
    /// The key first: after a crash between the two there is no certificate, and both are made again.
    fn store(&self, storage: &Storage) -> Result<(), Trouble> {
        wait(storage.store(KEY, self.key.as_bytes()))?;
        wait(storage.store(CERTIFICATE, self.certificate.as_bytes()))
    }
}

fn leaf(names: &[Name], now: OffsetDateTime, until: OffsetDateTime) -> Result<CertificateParams, Trouble> {
    let first = names.first().ok_or(Trouble::NoNames)?.to_string();
    // The common name is for people only, and ends at 64 characters (RFC 5280, appendix A.1).
    let mut params = params(if first.len() <= 64 { &first } else { "rp" }, now, until)?;
    params.subject_alt_names = names.iter().map(alternative).collect::<Result<_, _>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn alternative(name: &Name) -> Result<SanType, Trouble> {
    match name {
        Name::Address(address) => Ok(SanType::IpAddress(*address)),
        host => host.to_string().try_into().map(SanType::DnsName).map_err(signing),
    }
}

/// What all three have in common: name, validity, and 128 random bits as the number.
fn params(common_name: &str, now: OffsetDateTime, until: OffsetDateTime) -> Result<CertificateParams, Trouble> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Trouble::Signing("no random bytes".to_owned()))?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = now - BACKDATED;
    params.not_after = until;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn signing(error: rcgen::Error) -> Trouble {
    Trouble::Signing(error.to_string())
}

#[cfg(test)]
mod tests;
