//! Counts, percentages and ports.

use super::{Value, Wrong};

/// A whole number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u32);

impl Value for Count {
    const KIND: &'static str = "a whole number";
    const EXAMPLE: &'static str = "1 or 100";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text.parse::<u32>() {
            Ok(0) => Err(Wrong::range("`0` is too small").help("write `1` or more")),
            Ok(number) => Ok(Count(number)),
            Err(_) if text.len() > 9 && text.bytes().all(|b| b.is_ascii_digit()) => {
                Err(Wrong::range(format!("`{text}` is too large")).help("write a number below 4294967296"))
            }
            Err(_) => Err(Wrong::kind()),
        }
    }
}

/// Hundredths of a percent, from 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u16);

impl Value for Percent {
    const KIND: &'static str = "a percentage";
    const EXAMPLE: &'static str = "5% or 0.5%";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let Some(number) = text.strip_suffix('%') else {
            return Err(if text.parse::<f32>().is_ok() {
                Wrong::kind().instead(format!("{text}%"))
            } else {
                Wrong::kind()
            });
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::kind().help("a percentage has two decimals at most"));
        }
        let whole: u16 = whole.parse().map_err(|_| Wrong::kind())?;
        let hundredths: u16 = format!("{fraction:0<2}").parse().map_err(|_| Wrong::kind())?;
        match whole.checked_mul(100).and_then(|whole| whole.checked_add(hundredths)) {
            Some(value) if value <= 10_000 => Ok(Percent(value)),
            _ => Err(Wrong::range(format!("`{text}` is more than all")).help("write `100%` or less")),
        }
    }
}

/// A TCP port, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub u16);

impl Value for Port {
    const KIND: &'static str = "a port";
    const EXAMPLE: &'static str = "443 or 8080";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text.parse::<u32>() {
            Ok(port @ 1..=65_535) => Ok(Port(u16::try_from(port).unwrap_or(u16::MAX))),
            Ok(_) => Err(Wrong::range(format!("there is no port {text}")).help("ports go from 1 to 65535")),
            Err(_) => Err(Wrong::kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_ranges() {
        assert_eq!(Count::parse("7"), Ok(Count(7)));
        assert!(Count::parse("0").unwrap_err().range);
        assert!(Count::parse("99999999999").unwrap_err().range);
        assert_eq!(Percent::parse("0.5%"), Ok(Percent(50)));
        assert_eq!(Percent::parse("100%"), Ok(Percent(10_000)));
        assert!(Percent::parse("101%").unwrap_err().range);
        assert_eq!(Percent::parse("5").unwrap_err().help.as_deref(), Some("write `5%`"));
        assert_eq!(Port::parse("443"), Ok(Port(443)));
        assert!(Port::parse("65536").unwrap_err().range);
    }
}
