//! Certificates from an authority that speaks ACME (RFC 8555): asked for when they are missing, shown when they come, and
//! renewed before they end.
//!
//! A name has a [`Slot`](super::Slot) from the moment a configuration names it. What lies in storage is put in at once,
//! else a certificate that nobody trusts, so that the port is open while the authority is asked. Asking is the
//! [`keeper`]'s work, on the control plane's thread.

pub mod account;
pub mod challenge;
pub mod client;
pub mod keeper;
pub mod order;
pub mod placeholder;
pub mod store;
pub mod vault;

pub use challenge::{Challenges, Kind};
pub use keeper::keep;
pub use store::Store;
pub use vault::{Status, Vault, Wishes};

use std::path::PathBuf;

/// The authority that is asked where none is named.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The URL of its directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// The authorities that its own certificate is checked by; `None`: the system's.
    pub root: Option<PathBuf>,
    /// Which of the certificates that it has to offer.
    pub profile: Option<String>,
    /// Whom it may write to.
    pub email: Option<String>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self { directory: LETS_ENCRYPT.to_owned(), root: None, profile: None, email: None }
    }
}

/// Why there is no certificate, in one sentence without an end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    pub reason: String,
    pub kind: FailureKind,
}

/// What a failure says about the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The authority could not see what the challenge wants to be seen: another challenge may do.
    Challenge,
    /// It has had enough for now.
    TooMany,
    /// It does not know the account.
    NoAccount,
    Other,
}

/// Asks again where the authority only wants another nonce (RFC 8555, section 6.5). The library does so twice for each
/// question, which is less than an authority may ask for that has several machines behind one name.
macro_rules! patiently {
    ($question:expr) => {{
        let mut left = 5;
        loop {
            match $question.await {
                Err(instant_acme::Error::Api(problem))
                    if left > 0 && problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce") =>
                {
                    left -= 1;
                }
                outcome => break outcome,
            }
        }
    }};
}
use patiently;

impl Failure {
    fn other(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FailureKind::Other }
    }
}

impl From<instant_acme::Error> for Failure {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => problem.into(),
            instant_acme::Error::Timeout(_) => Self::other("the authority did not decide in time"),
            instant_acme::Error::Json(_) => Self::other("the authority's answer is not what ACME wants it to be"),
            other => Self::other(other.to_string()),
        }
    }
}

impl From<instant_acme::Problem> for Failure {
    fn from(problem: instant_acme::Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(name);
        let kind = match name {
            "rateLimited" => FailureKind::TooMany,
            "accountDoesNotExist" => FailureKind::NoAccount,
            _ => FailureKind::Other,
        };
        let mut reason = format!("the authority refuses ({name})");
        let details = problem.detail.iter().chain(problem.subproblems.iter().filter_map(|sub| sub.detail.as_ref()));
        for detail in details {
            reason.push_str(": ");
            reason.push_str(detail);
        }
        Self { reason, kind }
    }
}
