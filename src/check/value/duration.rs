//! `30s`, `1h30m`, `250ms`, `7d`.

use std::time::Duration;

use super::{Value, Wrong, split_number};

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// A hundred years: what is longer is a slip of the keyboard, and would overflow a deadline.
const LONGEST: u64 = 100 * 365 * 86_400_000;

impl Value for Duration {
    const KIND: &'static str = "a duration";
    const EXAMPLE: &'static str = "250ms, 30s, 1h30m or 7d";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::kind());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Wrong::say(format!("`{text}` has no unit"))
                .help(format!("write `{text}s` for seconds, or `{text}ms`, `{text}m`, `{text}h`, `{text}d`")));
        }
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, behind) = split_number(rest);
            let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at(letters);
            let number: u64 = number.parse().map_err(|_| Wrong::kind())?;
            let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(unknown_unit(number, unit));
            };
            total = number
                .checked_mul(*factor)
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= LONGEST)
                .ok_or_else(|| {
                    Wrong::range(format!("`{text}` is longer than a hundred years")).help("write a shorter time")
                })?;
            rest = behind;
        }
        Ok(Duration::from_millis(total))
    }
}

fn unknown_unit(number: u64, unit: &str) -> Wrong {
    let wrong = Wrong::say(format!("`{unit}` is not a unit of time"));
    let lower = unit.to_ascii_lowercase();
    let meant = match lower.strip_suffix('s').unwrap_or(&lower) {
        _ if lower == "ms" => "ms",
        "" | "sec" | "second" => "s",
        "msec" | "milli" | "millisecond" => "ms",
        "m" | "min" | "minute" => "m",
        "hr" | "h" | "hour" => "h",
        "d" | "day" => "d",
        "w" | "week" => "w",
        _ => return wrong.help("the units are `ms`, `s`, `m`, `h`, `d` and `w`"),
    };
    if unit.is_empty() { wrong.help("end it with a unit") } else { wrong.help(format!("write `{number}{meant}`")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_only() {
        let ms = |text| <Duration as Value>::parse(text).map(|d| d.as_millis());
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("7d"), Ok(604_800_000));
        assert_eq!(
            ms("30").unwrap_err().help.as_deref(),
            Some("write `30s` for seconds, or `30ms`, `30m`, `30h`, `30d`")
        );
        assert_eq!(ms("5mins").unwrap_err().help.as_deref(), Some("write `5m`"));
        for bad in ["", "s", "-1s", "1.5s", "1y", "99999999999999999999s", "9999999999w", "1s ", "1s2"] {
            assert!(ms(bad).is_err(), "{bad}");
        }
    }
}
