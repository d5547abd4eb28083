//! How a client speaks: what `protocol` and `scheme` take.

use crate::check::{Value, Wrong};
use crate::http::connection::Scheme;

/// What `protocol` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http10,
    Http11,
    Http2,
    Http3,
    WebSocket,
    Grpc,
}

impl Protocol {
    /// A version of HTTP, of which a request has one; the others are spoken over several.
    #[must_use]
    pub fn is_version(self) -> bool {
        !matches!(self, Self::WebSocket | Self::Grpc)
    }
}

impl Value for Protocol {
    const KIND: &'static str = "a protocol";
    const EXAMPLE: &'static str = "http/1.1, h2, h3, websocket or grpc";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Ok(match text {
            "http/1.0" => Self::Http10,
            "http/1.1" => Self::Http11,
            "h2" => Self::Http2,
            "h3" => Self::Http3,
            "websocket" => Self::WebSocket,
            "grpc" => Self::Grpc,
            _ => return Err(Wrong::kind()),
        })
    }
}

impl Value for Scheme {
    const KIND: &'static str = "a scheme";
    const EXAMPLE: &'static str = "http or https";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(Wrong::kind()),
        }
    }
}
