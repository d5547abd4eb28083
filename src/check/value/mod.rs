//! The kinds of value. Each has one reader, and each reader says what to write instead.

mod address;
mod base64;
mod duration;
mod host;
mod network;
mod number;
mod rate;
mod size;
mod status;
mod text;
mod url;

pub use address::ListenAddress;
pub use base64::base64;
pub use host::HostPattern;
pub use network::Network;
pub use number::{Count, Percent, Port};
pub use rate::Rate;
pub use size::Size;
pub use status::{Status, StatusClass, StatusMatch};
pub use text::{FieldName, MethodName, Pattern, Switch, Text, WholePattern};
pub use url::Url;

/// A kind of value that can be written as one word.
pub trait Value: Sized {
    /// With its article: `a duration`.
    const KIND: &'static str;
    /// One or two that can be pasted: `30s or 1h30m`.
    const EXAMPLE: &'static str;

    fn parse(text: &str) -> Result<Self, Wrong>;
}

/// Why a word is not of its kind. What is left out is filled in from the kind's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    /// The whole sentence; by default "`word` is not KIND".
    pub text: Option<String>,
    /// By default "KIND looks like EXAMPLE".
    pub help: Option<String>,
    /// What to write in its place, where that is sure.
    pub instead: Option<String>,
    /// It is of the kind, but too small or too large.
    pub range: bool,
}

impl Wrong {
    #[must_use]
    pub fn kind() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn say(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    #[must_use]
    pub fn range(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), range: true, ..Self::default() }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The help says to write this, and an editor can.
    #[must_use]
    pub fn instead(mut self, with: impl Into<String>) -> Self {
        let with = with.into();
        self.help = Some(format!("write `{with}`"));
        self.instead = Some(with);
        self
    }
}

/// Splits `10MiB` into `10` and `MiB`; the number may have a fraction.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}
