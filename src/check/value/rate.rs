//! `10/s`, `100/m`, `5/10s`: events in a window.

use std::time::Duration;

use super::{Value, Wrong};

/// So many events in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub events: u32,
    pub window: Duration,
}

impl Value for Rate {
    const KIND: &'static str = "a rate";
    const EXAMPLE: &'static str = "10/s, 100/m, 1000/h or 5/10s";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let Some((events, window)) = text.split_once('/') else {
            return Err(if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
                Wrong::say(format!("`{text}` does not say in what time"))
                    .help(format!("write `{text}/s`, `{text}/m` or `{text}/h`"))
            } else {
                Wrong::kind()
            });
        };
        let events: u32 = events.parse().map_err(|_| Wrong::kind())?;
        if events == 0 {
            return Err(Wrong::range("a rate of 0 lets nothing pass").help("write `respond 403` to refuse everything"));
        }
        let window = match window {
            "s" | "m" | "h" | "d" => Duration::parse(&format!("1{window}"))?,
            "sec" | "second" | "min" | "minute" | "hour" | "day" | "r" => {
                return Err(
                    Wrong::say(format!("`{window}` is not a window")).instead(format!("{events}/{}", &window[..1]))
                );
            }
            _ => Duration::parse(window).map_err(|_| Wrong::kind())?,
        };
        if window.is_zero() {
            return Err(Wrong::range("a window of no time holds no events").help("write a longer one: `10/s`"));
        }
        Ok(Rate { events, window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_events_over_a_window() {
        assert_eq!(Rate::parse("10/s"), Ok(Rate { events: 10, window: Duration::from_secs(1) }));
        assert_eq!(Rate::parse("5/10s"), Ok(Rate { events: 5, window: Duration::from_secs(10) }));
        assert_eq!(Rate::parse("10").unwrap_err().help.as_deref(), Some("write `10/s`, `10/m` or `10/h`"));
        assert_eq!(Rate::parse("10/min").unwrap_err().help.as_deref(), Some("write `10/m`"));
        for bad in ["", "/s", "0/s", "-1/s", "1/0s", "1/", "x/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
