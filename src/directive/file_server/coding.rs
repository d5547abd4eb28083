//! Which precompressed form a client prefers (RFC 9110, section 12.5.3).

use http::HeaderMap;
use http::header::{self, HeaderValue};
use smallvec::SmallVec;

use crate::check::{Value, Wrong};

/// A content coding for which a file may have a compressed sibling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

/// The best one first.
pub type Wanted = SmallVec<[Coding; 3]>;

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the sibling's name has more.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

impl Value for Coding {
    const KIND: &'static str = "`br`, `zstd` or `gzip`";
    const EXAMPLE: &'static str = "br";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            "gzip" => Ok(Self::Gzip),
            "brotli" => Err(Wrong::kind().instead("br")),
            "gz" => Err(Wrong::kind().instead("gzip")),
            "zst" => Err(Wrong::kind().instead("zstd")),
            _ => Err(Wrong::kind().help("write `br`, `zstd` or `gzip`, the one you prefer first")),
        }
    }
}

/// Of what is offered, what the client takes: in its order of preference, then in the order of the offer.
pub fn wanted(headers: &HeaderMap, offered: &[Coding]) -> Wanted {
    if offered.is_empty() || !headers.contains_key(header::ACCEPT_ENCODING) {
        return Wanted::new();
    }
    let weights = Weights::read(headers);
    let plain = weights.identity.unwrap_or(0);
    let mut graded: SmallVec<[(u16, Coding); 3]> = offered
        .iter()
        .map(|coding| (weights.of(*coding), *coding))
        .filter(|(weight, _)| *weight > 0 && *weight >= plain)
        .collect();
    graded.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    graded.into_iter().map(|(_, coding)| coding).collect()
}

/// What the client says of each coding, in thousandths.
#[derive(Default)]
struct Weights {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    others: Option<u16>,
}

impl Weights {
    fn read(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        for item in lines.flat_map(|line| line.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let place = match name.len() {
                1 if name == "*" => &mut weights.others,
                2 if is("br") => &mut weights.brotli,
                4 if is("zstd") => &mut weights.zstd,
                4 if is("gzip") => &mut weights.gzip,
                6 if is("x-gzip") => &mut weights.gzip,
                8 if is("identity") => &mut weights.identity,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            *place = Some(weight.map_or(1_000, |weight| thousandths(weight).unwrap_or(0)));
        }
        weights
    }

    fn of(&self, coding: Coding) -> u16 {
        let own = match coding {
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        own.or(self.others).unwrap_or(0)
    }
}

/// `0`, `0.5`, `1.000`
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: &[Coding]) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        let all = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
        assert_eq!(wanted(&headers, &all).as_slice(), expected, "{accept}");
    }

    #[test]
    fn the_client_weighs_and_the_server_breaks_ties() {
        use Coding::{Brotli, Gzip, Zstd};
        check("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip]);
        check("gzip;q=1, br;q=0.5", &[Gzip, Brotli]);
        check("br;q=0, *", &[Zstd, Gzip]);
        check("*;q=0.1, gzip", &[Gzip, Brotli, Zstd]);
        check("GZIP ; q=0.001", &[Gzip]);
        check("x-gzip", &[Gzip]);
        check("identity, gzip;q=0.5", &[]);
        check("gzip;q=2", &[]);
        check("gzip;q=0.0001", &[]);
        check("", &[]);
        check("deflate", &[]);
        assert!(wanted(&HeaderMap::new(), &[Gzip]).is_empty());
    }
}
