//! What a client takes: the `Accept-Encoding` field (RFC 9110, section 12.5.3), read without allocation.

use http::header::{self, HeaderMap, HeaderValue};

/// An encoding that we can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// In the order in which they are offered where nothing else is said: zstd makes the same size for the least CPU.
    pub(super) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    pub(super) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// A weight in thousandths, as RFC 9110 section 12.4.2 bounds it.
type Weight = u16;

const FULL: Weight = 1000;

/// What stands in the field. `None`: the client does not say.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    codings: [Option<Weight>; 3],
    identity: Option<Weight>,
    /// `*`: every coding that is not named.
    others: Option<Weight>,
}

impl Accepted {
    pub fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            for element in value.as_bytes().split(|byte| *byte == b',') {
                accepted.take(element);
            }
        }
        accepted
    }

    fn take(&mut self, element: &[u8]) {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight_parameter).unwrap_or(FULL);
        let known = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let slot = if known("gzip") || known("x-gzip") {
            &mut self.codings[Coding::Gzip as usize]
        } else if known("br") {
            &mut self.codings[Coding::Brotli as usize]
        } else if known("zstd") {
            &mut self.codings[Coding::Zstd as usize]
        } else if known("identity") {
            &mut self.identity
        } else if name == b"*" {
            &mut self.others
        } else {
            return;
        };
        // `x-gzip` and `gzip` are one coding: whoever takes it by one of the names takes it.
        *slot = Some(slot.unwrap_or(0).max(weight));
    }

    /// The one that the client likes best; of those that it likes as much, the one that is offered first. A client
    /// that says it would rather have the bytes as they are gets them so.
    pub fn best<T: Copy>(&self, offered: &[T], coding: impl Fn(&T) -> Coding) -> Option<T> {
        let mut best: Option<(Weight, T)> = None;
        for offer in offered {
            let weight = self.codings[coding(offer) as usize].or(self.others).unwrap_or(0);
            if weight > best.map_or(0, |(best, _)| best) {
                best = Some((weight, *offer));
            }
        }
        best.filter(|(weight, _)| self.identity.is_none_or(|identity| identity <= *weight)).map(|(_, offer)| offer)
    }
}

/// The weight in `q=0.5`. One that can't be read refuses: what is not understood is not asked for.
fn weight_parameter(parameter: &[u8]) -> Option<Weight> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    Some(weight(value).unwrap_or(0))
}

fn weight(value: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let whole = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    let mut unit = FULL;
    let mut thousandths = whole;
    for decimal in decimals {
        unit /= 10;
        thousandths += unit * Weight::from(decimal.is_ascii_digit().then(|| decimal - b'0')?);
    }
    (thousandths <= FULL).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[&str], expected: Option<Coding>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_str(field).unwrap());
        }
        assert_eq!(Accepted::of(&headers).best(&Coding::ALL, |coding| *coding), expected, "{fields:?}");
    }

    #[test]
    fn m11_the_client_decides_and_we_break_ties() {
        check(&["gzip, deflate, br, zstd"], Some(Coding::Zstd));
        check(&["gzip, br"], Some(Coding::Brotli));
        check(&["gzip;q=1.0, br;q=0.9, zstd;q=0.8"], Some(Coding::Gzip));
        check(&["gzip;q=0.5,br;q=0.501"], Some(Coding::Brotli));
        check(&["gzip", "zstd"], Some(Coding::Zstd));
        check(&["x-gzip"], Some(Coding::Gzip));
        check(&["X-GZIP;q=0.5, gzip;q=0"], Some(Coding::Gzip));
        check(&["GZip ; Q=1"], Some(Coding::Gzip));
    }

    #[test]
    fn m11_what_is_not_asked_for_is_not_sent() {
        check(&[], None);
        check(&[""], None);
        check(&["identity"], None);
        check(&["deflate, compress"], None);
        check(&["gzip;q=0, br;q=0.0, zstd;q=0.000"], None);
        check(&["gzip;q=0.5, identity"], None);
        check(&["gzip, identity;q=0.5"], Some(Coding::Gzip));
        check(&["identity;q=0"], None);
    }

    #[test]
    fn a_star_stands_for_what_is_not_named() {
        check(&["*"], Some(Coding::Zstd));
        check(&["*;q=0"], None);
        check(&["*;q=0, gzip"], Some(Coding::Gzip));
        check(&["zstd;q=0, *;q=0.1"], Some(Coding::Brotli));
        check(&["gzip;q=0.2, *;q=0.1"], Some(Coding::Gzip));
    }

    #[test]
    fn weights_that_can_not_be_read_refuse() {
        for bad in ["gzip;q=", "gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=a", "gzip;q=0x1"] {
            check(&[bad], None);
        }
        check(&["gzip;foo=bar"], Some(Coding::Gzip));
        check(&["gzip;q=1.000"], Some(Coding::Gzip));
        check(&[",,gzip,,"], Some(Coding::Gzip));
        check(&[";q=1,;"], None);
    }
}
