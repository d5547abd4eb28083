//! What the client said when it shook hands: `sni` and `ja4`.

use super::Atom;
use crate::check::value::HostPattern;
use crate::check::{Value, Wrong};
use crate::http::connection::ask_for_ja4;
use crate::http::exchange::Exchange;
use crate::http::step::Test;

/// A JA4 fingerprint, or what it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ja4 {
    /// Without the `*` at its end.
    text: Box<str>,
    whole: bool,
}

/// A readable part, a digest of the cipher suites, a digest of the extensions: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
const PARTS: [usize; 3] = [10, 12, 12];

impl Ja4 {
    fn holds(&self, ja4: &str) -> bool {
        if self.whole { *ja4 == *self.text } else { ja4.starts_with(&*self.text) }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        if self.whole { self == other } else { other.text.starts_with(&*self.text) }
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl Value for Ja4 {
    const KIND: &'static str = "a JA4 fingerprint";
    const EXAMPLE: &'static str = "t13d1516h2_8daaf6152771_e5627efa2ab1, or what it begins with: t13d1516h2_*";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (start, whole) = text.strip_suffix('*').map_or((text, true), |start| (start, false));
        let mut places = PARTS.iter().enumerate().flat_map(|(part, length)| {
            let mark = (part > 0).then_some(None);
            mark.into_iter().chain(std::iter::repeat_n(Some(part), *length))
        });
        let fits = |(at, sign): (usize, char)| match places.next() {
            None => false,
            Some(None) => sign == '_',
            // For TCP and QUIC.
            Some(Some(0)) if at == 0 => matches!(sign, 't' | 'q'),
            Some(Some(0)) => sign.is_ascii_digit() || sign.is_ascii_lowercase(),
            Some(Some(_)) => matches!(sign, '0'..='9' | 'a'..='f'),
        };
        if !start.chars().enumerate().all(fits) || start.is_empty() || (whole && places.next().is_some()) {
            return Err(Wrong::kind());
        }
        Ok(Self { text: start.into(), whole })
    }
}

pub(super) struct Names(pub Vec<HostPattern>);

impl Test for Names {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        sni(exchange).is_some_and(|name| self.0.iter().any(|pattern| pattern.holds(name)))
    }
}

pub(super) struct Fingerprints(Vec<Ja4>);

impl Fingerprints {
    /// From now on handshakes are read for it.
    pub fn of(all: Vec<Ja4>) -> Self {
        ask_for_ja4();
        Self(all)
    }
}

impl Test for Fingerprints {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        ja4(exchange).is_some_and(|ja4| self.0.iter().any(|wanted| wanted.holds(ja4)))
    }
}

fn sni(exchange: &Exchange) -> Option<&str> {
    exchange.connection.tls.as_ref()?.sni.as_deref()
}

fn ja4(exchange: &Exchange) -> Option<&str> {
    exchange.connection.tls.as_ref()?.ja4.as_deref()
}

/// What a request has there, for [`super::Reason`].
pub(super) fn found(atom: &Atom, exchange: &Exchange) -> String {
    let (what, value) = match atom {
        Atom::Sni(_) => ("the name asked for by TLS", sni(exchange)),
        _ => ("the fingerprint", ja4(exchange)),
    };
    value.map_or_else(|| format!("{what} is not known"), |value| format!("{what} is `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_whole_or_say_that_they_are_not() {
        for good in [
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
            "t13*",
            "t13d1516h2_*",
            "t13d1516h2_8daaf6152771_e5*",
            "q13d0312h3_55b375c5d22e_06cda9e17597",
            "q*",
        ] {
            assert!(Ja4::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "t13",
            "x13*",
            "d13*",
            "t13d1516h2_8daaf6152771_e5627efa2ab",
            "t13d1516h2-*",
            "T13*",
            "t13d*516*",
            "t13d1516h2_8daaf6152771_e5627efa2ab1a",
            "t13d1516h2_8daaf6152771_e5627efa2ab1_*",
            "t13d1516h2_g*",
        ] {
            assert!(Ja4::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_covers_what_begins_as_it_does() {
        let ja4 = |text| Ja4::parse(text).unwrap();
        let whole = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        assert!(ja4("t13*").covers(&ja4("t13d*")) && !ja4("t13d*").covers(&ja4("t13*")));
        assert!(ja4("t13*").covers(&ja4(whole)) && ja4("t13*").holds(whole) && ja4(whole).holds(whole));
        assert!(!ja4("t12*").holds(whole) && !ja4("t12*").meets(&ja4(whole)) && ja4("t13d*").meets(&ja4("t13*")));
    }
}
