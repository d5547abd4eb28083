//! `https://auth.example.com/validate`: absolute URLs.

use http::Uri;

use super::{Value, Wrong};

/// An absolute `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub Uri);

impl Value for Url {
    const KIND: &'static str = "a URL";
    const EXAMPLE: &'static str = "https://example.com/path";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let uri: Uri = text.parse().map_err(|_| Wrong::kind())?;
        match uri.scheme_str() {
            Some("http" | "https") => Ok(Url(uri)),
            Some(other) => {
                Err(Wrong::say(format!("`{other}` is neither http nor https")).help("write `http://…` or `https://…`"))
            }
            None => Err(Wrong::say(format!("`{text}` does not say http or https")).instead(format!("https://{text}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute() {
        assert!(Url::parse("https://a.example/x?y").is_ok());
        assert_eq!(Url::parse("a.example").unwrap_err().help.as_deref(), Some("write `https://a.example`"));
        assert!(Url::parse("ftp://a").is_err());
        assert!(Url::parse("http://").is_err());
    }
}
