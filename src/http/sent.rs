//! How large the head is that a client has sent: what `limit` goes by, whatever has become of it since.

use http::HeaderMap;

/// The size of a head's fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Each value counts, though several be of one name.
    pub fields: u32,
    /// Of their names and values.
    pub bytes: u32,
}

impl Sent {
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        Self::new(headers.len(), bytes)
    }

    /// Larger ones than it can tell were refused long before.
    #[must_use]
    pub fn new(fields: usize, bytes: usize) -> Self {
        let counted = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self { fields: counted(fields), bytes: counted(bytes) }
    }
}
