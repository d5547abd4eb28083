//! `10MiB`, `64KiB`, `1GB`: bytes.

use super::{Value, Wrong, split_number};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl Value for Size {
    const KIND: &'static str = "a size";
    const EXAMPLE: &'static str = "64KiB, 10MiB or 1GiB";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (number, unit) = split_number(text);
        let number: u64 = number.parse().map_err(|_| Wrong::kind())?;
        if unit.is_empty() {
            return Err(Wrong::say(format!("`{text}` has no unit"))
                .help(format!("write `{text}B` for bytes, or `{text}KiB`, `{text}MiB`, `{text}GiB`")));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(number, unit));
        };
        number
            .checked_mul(*factor)
            .map(Size)
            .ok_or_else(|| Wrong::range(format!("`{text}` is more bytes than there are")).help("write a smaller size"))
    }
}

fn unknown_unit(number: u64, unit: &str) -> Wrong {
    let wrong = Wrong::say(format!("`{unit}` is not a unit of size"));
    match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
        Some('B') => wrong.help(format!("write `{number}B`")),
        Some(letter @ ('K' | 'M' | 'G' | 'T')) => wrong.help(format!("write `{number}{letter}iB`")),
        _ => wrong.help("the units are `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB` and `TiB`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_only() {
        assert_eq!(Size::parse("10MiB"), Ok(Size(10 << 20)));
        assert_eq!(Size::parse("1KB"), Ok(Size(1000)));
        assert_eq!(Size::parse("10m").unwrap_err().help.as_deref(), Some("write `10MiB`"));
        assert_eq!(
            Size::parse("10").unwrap_err().help.as_deref(),
            Some("write `10B` for bytes, or `10KiB`, `10MiB`, `10GiB`")
        );
        assert!(Size::parse("99999999999TiB").unwrap_err().range);
        assert!(Size::parse("1.5MiB").is_err());
    }
}
