//! Why there is no certificate, and what that says about the next attempt.

use std::time::Duration;

use super::client::{Busy, Unreached};

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
    /// It has had enough for now, and may say for how long.
    TooMany {
        after: Option<Duration>,
    },
    /// It does not know the account.
    NoAccount,
    /// It does not want to.
    Refused,
    /// Nobody wants a certificate for this name any more.
    Unwanted,
    /// There is no way to it, or it is down: it has heard of nothing, so nothing counts as asked.
    Unreached,
    /// It lacks what was asked for; nothing is wrong.
    Unsupported,
    /// It has not even been asked: what is kept cannot be seen.
    Storage,
    /// There was no end to an order for several names. For fewer there may be.
    Late,
    Other,
}

impl FailureKind {
    /// For whoever counts them.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::TooMany { .. } => "too_many",
            Self::NoAccount => "no_account",
            Self::Refused => "refused",
            Self::Unwanted => "unwanted",
            Self::Unreached => "unreached",
            Self::Unsupported => "unsupported",
            Self::Storage => "storage",
            Self::Late | Self::Other => "other",
        }
    }

    /// Whether one of several names may be to blame, so that the others can be had without it. Anything else would happen to
    /// each of them, too.
    pub(super) const fn is_of_one(self) -> bool {
        matches!(self, Self::Challenge | Self::Refused | Self::Late)
    }
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
pub(super) use patiently;

impl Failure {
    pub(super) fn other(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FailureKind::Other }
    }

    /// The same where something has been asked before: what cannot be reached now was reached then, and has counted it.
    pub(super) fn midway(self) -> Self {
        let kind = if self.kind == FailureKind::Unreached { FailureKind::Other } else { self.kind };
        Self { kind, ..self }
    }
}

impl From<instant_acme::Error> for Failure {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => problem.into(),
            instant_acme::Error::Timeout(_) => Self::other("the authority did not decide in time"),
            instant_acme::Error::Json(_) => Self::other("the authority's answer is not what ACME wants it to be"),
            instant_acme::Error::Unsupported(what) => {
                Self { reason: format!("the authority does not offer {what}"), kind: FailureKind::Unsupported }
            }
            instant_acme::Error::Other(other) => {
                let kind = match other.downcast_ref::<Busy>() {
                    Some(busy) => FailureKind::TooMany { after: Some(busy.after) },
                    None if other.is::<Unreached>() => FailureKind::Unreached,
                    None => FailureKind::Other,
                };
                Self { reason: other.to_string(), kind }
            }
            other => Self::other(other.to_string()),
        }
    }
}

impl From<instant_acme::Problem> for Failure {
    fn from(problem: instant_acme::Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(name);
        let kind = match name {
            "rateLimited" => FailureKind::TooMany { after: None },
            "accountDoesNotExist" => FailureKind::NoAccount,
            // Its own mistake, and a nonce it takes from nobody: it has not come to what was asked for.
            "serverInternal" | "badNonce" => FailureKind::Other,
            _ => FailureKind::Refused,
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
