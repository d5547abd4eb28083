//! `404`, `5xx`, and lists of both.

use http::StatusCode;

use super::{Value, Wrong};

/// A status that a final answer can have: 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub StatusCode);

impl Value for Status {
    const KIND: &'static str = "a status";
    const EXAMPLE: &'static str = "200, 404 or 503";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let number: u16 = text.parse().map_err(|_| Wrong::kind())?;
        match StatusCode::from_u16(number) {
            Ok(status) if (200..600).contains(&number) => Ok(Status(status)),
            _ => Err(Wrong::range(format!("`{text}` is not the status of an answer"))
                .help("an answer's status is from 200 to 599")),
        }
    }
}

/// `1xx` to `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusClass(pub u16);

/// One status or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMatch {
    One(StatusCode),
    Class(StatusClass),
}

impl StatusMatch {
    #[must_use]
    pub fn holds(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => status.as_u16() / 100 == class.0,
        }
    }

    /// Every status that `other` takes, this takes too.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self == other || matches!(other, Self::One(status) if self.holds(status))
    }
}

impl Value for StatusMatch {
    const KIND: &'static str = "a status or a class of statuses";
    const EXAMPLE: &'static str = "404 or 5xx";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text.as_bytes() {
            [digit @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Ok(Self::Class(StatusClass(u16::from(digit - b'0')))),
            _ => match Status::parse(text) {
                Ok(status) => Ok(Self::One(status.0)),
                Err(wrong) if wrong.range => Err(wrong),
                Err(_) => Err(Wrong::kind()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_all_of_its_statuses() {
        let fives = StatusMatch::parse("5xx").unwrap();
        assert!(fives.holds(StatusCode::BAD_GATEWAY) && !fives.holds(StatusCode::NOT_FOUND));
        assert_eq!(StatusMatch::parse("404"), Ok(StatusMatch::One(StatusCode::NOT_FOUND)));
        assert!(Status::parse("700").unwrap_err().range);
        assert!(Status::parse("100").unwrap_err().range);
        assert!(StatusMatch::parse("6xx").is_err());
    }
}
