//! What became of one case at one proxy.

use std::fmt;

use crate::readers::{self, READERS, Request};

#[derive(Debug, Clone)]
pub struct Outcome {
    /// Of all answers that the client got.
    statuses: Vec<u16>,
    /// What each connection brought to the server.
    connections: Vec<Vec<u8>>,
    /// Whether it is what was sent, but for what belongs to a hop.
    is_unchanged: bool,
}

/// What the table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As it came.
    Passed,
    /// In other words.
    Rewritten,
    /// Some of it, and then an error.
    Partly,
    /// With more than one reading.
    Ambiguous,
    Refused(u16),
    /// The connection ends without a word.
    Dropped,
}

impl Outcome {
    pub fn new(sent: &[u8], said: &[u8], connections: Vec<Vec<u8>>) -> Self {
        let mut outcome = Self { statuses: statuses(said), connections, is_unchanged: false };
        outcome.is_unchanged =
            heads(sent) == outcome.connections.iter().flat_map(|bytes| heads(bytes)).collect::<Vec<_>>();
        outcome
    }

    pub fn doubts(&self) -> Vec<String> {
        self.connections.iter().flat_map(|bytes| readers::doubts(bytes)).collect()
    }

    pub fn passes(&self) -> bool {
        !self.connections.is_empty()
    }

    pub fn kind(&self) -> Kind {
        let refusal = self.statuses.iter().copied().find(|status| *status >= 400);
        match (self.passes(), refusal) {
            (true, _) if !self.doubts().is_empty() => Kind::Ambiguous,
            (true, Some(_)) => Kind::Partly,
            (true, None) if self.is_unchanged => Kind::Passed,
            (true, None) => Kind::Rewritten,
            (false, Some(status)) => Kind::Refused(status),
            // Answered without asking the server.
            (false, None) => self.statuses.last().map_or(Kind::Dropped, |status| Kind::Refused(*status)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passes"),
            Self::Rewritten => f.write_str("rewrites"),
            Self::Partly => f.write_str("passes a part"),
            Self::Ambiguous => f.write_str("**passes what has two readings**"),
            Self::Refused(status) => write!(f, "{status}"),
            Self::Dropped => f.write_str("closes"),
        }
    }
}

fn statuses(said: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(said);
    let status = |part: &str| part.get(2..5).and_then(|digits| digits.parse().ok());
    text.split("HTTP/1.").skip(1).filter_map(status).filter(|status| *status >= 200).collect()
}

/// Method, target, host, fields and body.
type Content = (String, String, String, Vec<(String, String)>, Vec<u8>);

/// What the strictest reader finds: request lines, the fields that belong to the request, and bodies. Fields that a
/// proxy adds are left out.
fn heads(bytes: &[u8]) -> Vec<Content> {
    const OF_A_HOP: [&str; 12] = [
        "connection",
        "keep-alive",
        "host",
        "content-length",
        "transfer-encoding",
        "expect",
        "via",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "user-agent",
    ];
    const ADDED: [&str; 4] = ["x-forwarded-port", "x-real-ip", "accept-encoding", "date"];
    let about = |request: Request| {
        let mut fields = request.fields;
        fields.retain(|(name, _)| !OF_A_HOP.contains(&&**name) && !ADDED.contains(&&**name));
        fields.sort();
        (request.method, request.target, request.host, fields, request.body)
    };
    READERS[0].read(bytes).into_iter().filter_map(|request| request.ok().map(about)).collect()
}
