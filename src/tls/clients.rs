//! Who may come: the authorities that vouch for clients, and what they have revoked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::anybody::Anybody;
use super::certificate::read;
use super::client::add_authorities;
use super::hex::hex;
use super::provider::provider;
use super::trouble::{Notice, Part, Trouble};

/// What a client without a good certificate may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    #[default]
    Require,
    /// It may come without any.
    Optional,
    /// It may come without any, or with one that nobody vouches for.
    Unverified,
}

/// How lists of revoked certificates are read. The default is the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revocation {
    /// The authorities between the client and the root are not looked up.
    pub leaf_only: bool,
    /// A list whose time is over still counts.
    pub expired_accepted: bool,
    /// An issuer without a list has revoked nothing.
    pub unknown_accepted: bool,
}

/// Collects what files hold, one after the other, so that each trouble is one of a file.
pub struct Clients {
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
    /// Of all that was read.
    digest: aws_lc_rs::digest::Context,
    pub notices: Vec<Notice>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients({} authorities, {} lists)", self.roots.len(), self.lists.len())
    }
}

impl Default for Clients {
    fn default() -> Self {
        let digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        Self { roots: RootCertStore::empty(), lists: Vec::new(), digest, notices: Vec::new() }
    }
}

impl Clients {
    /// Adds the authorities of a PEM file; there is at least one, or it is an error: never a reason to believe others
    /// (CVE-2026-27586).
    pub fn add_authorities(&mut self, path: &Path) -> Result<(), Trouble> {
        self.digest.update(&add_authorities(&mut self.roots, path)?);
        Ok(())
    }

    /// Adds the lists of a file: PEM, or one in DER, as authorities publish them.
    pub fn add_revoked(&mut self, path: &Path, how: Revocation) -> Result<(), Trouble> {
        let file = path.display().to_string();
        let (bytes, _) = read(path, Part::Certificate)?;
        let mut lists: Vec<CertificateRevocationListDer<'static>> =
            CertificateRevocationListDer::pem_slice_iter(&bytes)
                .collect::<Result<_, _>>()
                .map_err(|_| Trouble::BadRevocations { file: file.clone() })?;
        if lists.is_empty() {
            lists.push(bytes.clone().into());
        }
        for list in lists {
            let (_, parsed) = CertificateRevocationList::from_der(&list)
                .map_err(|_| Trouble::BadRevocations { file: file.clone() })?;
            // No version stands for the first, which has no extensions: nothing says which list is the newer one, or what
            // it covers. Authorities must issue the second (RFC 5280, section 5.1.2.1).
            if parsed.version().is_none() {
                return Err(Trouble::OldFormOfRevocations { file });
            }
            // What rustls cannot read is found now, not by the first client.
            let alone = self.builder().with_crls([list.clone()]).build();
            alone.map_err(|_| Trouble::BadRevocations { file: file.clone() })?;
            let until = parsed.next_update().map(|until| until.to_datetime());
            if let Some(until) = until.filter(|until| *until < OffsetDateTime::now_utc() && !how.expired_accepted) {
                self.notices.push(Notice::OldRevocations { file: file.clone(), on: until.date() });
            }
            self.lists.push(list);
        }
        self.digest.update(&bytes);
        Ok(())
    }

    fn builder(&self) -> rustls::server::ClientCertVerifierBuilder {
        let roots = Arc::new(self.roots.clone());
        WebPkiClientVerifier::builder_with_provider(roots, provider())
    }

    /// What handshakes ask, and a digest of what it stands on: sessions are resumed only while that stays the same, so
    /// that who was revoked does not come in by an old ticket.
    pub fn verifier(&self, mode: Mode, how: Revocation) -> Result<(Arc<dyn ClientCertVerifier>, String), Trouble> {
        let digest = self.digest.clone().finish();
        let digest = hex(digest.as_ref());
        if mode == Mode::Unverified {
            return Ok((Arc::new(Anybody), digest));
        }
        let mut builder = self.builder().with_crls(self.lists.iter().cloned());
        if mode == Mode::Optional {
            builder = builder.allow_unauthenticated();
        }
        if how.leaf_only {
            builder = builder.only_check_end_entity_revocation();
        }
        if how.unknown_accepted {
            builder = builder.allow_unknown_revocation_status();
        }
        if !how.expired_accepted {
            builder = builder.enforce_revocation_expiration();
        }
        let verifier = builder.build().map_err(|error| Trouble::NothingOffered(error.to_string()))?;
        Ok((verifier, digest))
    }
}
