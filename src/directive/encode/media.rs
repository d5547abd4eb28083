//! Which types are worth encoding.

use crate::check::{Value, Wrong};

/// `text/*`, `application/json` or `+json`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaRange {
    /// `text/`
    Below(Box<str>),
    Exact(Box<str>),
    /// `+json` (RFC 6839)
    Suffix(Box<str>),
}

/// What compresses well and is asked for often. Pictures, films, archives and fonts in WOFF2 are compressed already.
pub(super) const COMMON: &[&str] =
    &["text/*", "+json", "+xml", "application/json", "application/javascript", "application/xml", "application/wasm"];

impl MediaRange {
    /// Whether a `Content-Type` is in the range. Its parameters don't matter.
    pub fn holds(&self, content_type: &[u8]) -> bool {
        let kind = essence(content_type);
        match self {
            Self::Below(start) => {
                kind.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
            }
            Self::Exact(name) => kind.eq_ignore_ascii_case(name.as_bytes()),
            Self::Suffix(end) => {
                let tail = kind.len().checked_sub(end.len()).map(|at| &kind[at..]);
                tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
            }
        }
    }
}

/// The type without its parameters.
pub(super) fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

impl Value for MediaRange {
    const KIND: &'static str = "a media type";
    const EXAMPLE: &'static str = "text/*, application/json or +json";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        let text = text.to_ascii_lowercase();
        if let Some(suffix) = text.strip_prefix('+') {
            return if token(suffix) { Ok(Self::Suffix(text.into())) } else { Err(Wrong::kind()) };
        }
        match text.split_once('/') {
            Some(("*", _)) => Err(Wrong::say("not everything gets smaller by encoding")
                .help("write the types: `types text/* application/json +json +xml`")),
            Some((major, "*")) if token(major) => Ok(Self::Below(format!("{major}/").into())),
            Some((major, minor)) if token(major) && token(minor) => Ok(Self::Exact(text.into())),
            Some(_) => Err(Wrong::kind()),
            None => Err(match text.as_str() {
                "*" => Wrong::say("not everything gets smaller by encoding")
                    .help("write the types: `types text/* application/json +json +xml`"),
                "text" => Wrong::kind().instead("text/*"),
                "json" | "xml" => Wrong::kind().instead(format!("application/{text} +{text}")),
                "js" | "javascript" => Wrong::kind().instead("text/javascript application/javascript"),
                "html" | "css" | "csv" => Wrong::kind().instead(format!("text/{text}")),
                "svg" => Wrong::kind().instead("image/svg+xml"),
                "wasm" => Wrong::kind().instead("application/wasm"),
                _ => Wrong::kind(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(content_type: &str) -> bool {
        COMMON.iter().any(|range| MediaRange::parse(range).unwrap().holds(content_type.as_bytes()))
    }

    #[test]
    fn m11_the_common_types_are_text_json_js_xml_svg_and_wasm() {
        for kind in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "text/event-stream",
            "application/json",
            "application/json;charset=utf-8",
            "application/problem+json",
            "application/manifest+json ; x=y",
            "application/javascript",
            "image/svg+xml",
            "application/xml",
            "application/wasm",
        ] {
            assert!(common(kind), "{kind}");
        }
        for kind in ["image/png", "video/mp4", "font/woff2", "application/zip", "application/octet-stream", "", "text"]
        {
            assert!(!common(kind), "{kind}");
        }
    }

    #[test]
    fn habits_get_the_right_form() {
        assert_eq!(MediaRange::parse("Text/*"), Ok(MediaRange::Below("text/".into())));
        assert_eq!(MediaRange::parse("json").unwrap_err().help.as_deref(), Some("write `application/json +json`"));
        for bad in ["", "*", "*/*", "text/", "/html", "te xt/html", "+", "text/html;x=y"] {
            assert!(MediaRange::parse(bad).is_err(), "{bad}");
        }
    }
}
