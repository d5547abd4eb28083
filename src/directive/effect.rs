//! What a statement does, as far as the checker must know it to prove that it does nothing.

use super::header::Changes;
use super::limit::Ceiling;
use super::rate_limit::Bound;
use super::reverse_proxy::To;

#[derive(Debug)]
pub enum Effect<'a> {
    /// Anything: requests may be answered, refused or changed here.
    Other,
    /// Fields change; every request goes on below.
    Fields(&'a Changes),
    /// The bodies of answers change; every request goes on below.
    Bodies,
    /// Bodies of requests may be so long; every request goes on below.
    MaxBody,
    /// Requests with larger heads are refused.
    Ceiling(Ceiling),
    /// Too many requests of one key are refused.
    Limits(Bound<'a>),
    /// Requests are sent there.
    Forwards(&'a To),
}

impl Effect<'_> {
    /// Every request that comes here goes on below.
    #[must_use]
    pub fn lets_all_pass(&self) -> bool {
        matches!(self, Self::Fields(_) | Self::Bodies | Self::MaxBody)
    }

    /// Nothing happens here but to answers that are given below.
    #[must_use]
    pub fn is_for_answers(&self) -> bool {
        match self {
            Self::Fields(changes) => !changes.of_request,
            Self::Bodies => true,
            _ => false,
        }
    }
}
