//! A word that nobody is shown: passwords and keys of a configuration.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// Two that differ look different, so that a change is seen; what they are is not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// For whoever it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = digest(&SHA256, self.0.as_bytes());
        write!(f, "Secret({:02x}{:02x}{:02x})", sum.as_ref()[0], sum.as_ref()[1], sum.as_ref()[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_apart_and_not_told() {
        let shown = |text: &str| format!("{:?}", Secret::new(text));
        assert_ne!(shown("hunter2"), shown("hunter3"));
        assert!(!shown("hunter2").contains("hunter") && shown("hunter2").len() == 14);
    }
}
