//! The wall clock as text, formatted once a second for each thread and copied for every request.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::text::digit;

/// The last second of the year 9999: both forms have four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// What a `Date` field holds (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(now: SystemTime) -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [0; 29])) };
    }
    cached(&LAST, since_epoch(now).as_secs(), write_http_date)
}

/// RFC 3339 in UTC, with milliseconds: `1994-11-06T08:49:37.123Z`.
pub fn rfc3339(now: SystemTime) -> [u8; 24] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 24])> = const { Cell::new((u64::MAX, [0; 24])) };
    }
    let since = since_epoch(now);
    let mut stamp = cached(&LAST, since.as_secs(), write_rfc3339);
    let millis = u64::from(since.subsec_millis());
    stamp[20..23].copy_from_slice(&[digit(millis / 100), digit(millis / 10 % 10), digit(millis % 10)]);
    stamp
}

/// The time of day in UTC: `08:49:37.123`.
pub fn time_of_day(now: SystemTime) -> [u8; 12] {
    let mut time = [0; 12];
    time.copy_from_slice(&rfc3339(now)[11..23]);
    time
}

/// A clock before 1970 or after 9999 is wrong anyway; the log then says so by showing the nearest end.
pub(super) fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::new(LAST_SECOND, 999_999_999))
}

fn cached<T: Copy>(last: &'static std::thread::LocalKey<Cell<(u64, T)>>, second: u64, make: fn(&Moment) -> T) -> T {
    let (known, text) = last.get();
    if known == second {
        return text;
    }
    let text = make(&Moment::of(second));
    last.set((second, text));
    text
}

/// A second of UTC, taken apart. `weekday` counts from Thursday, which the first of January 1970 was.
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// The Gregorian calendar in eras of 400 years (146,097 days) that begin on the first of March, so that the leap
    /// day is the last of its year.
    fn of(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: shifted / 146_097 * 400 + year_of_era + u64::from(month < 3),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            weekday: days % 7,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

fn write_http_date(at: &Moment) -> [u8; 29] {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut text = *b"Xxx, 00 Xxx 0000 00:00:00 GMT";
    text[..3].copy_from_slice(DAYS[usize::try_from(at.weekday).unwrap_or(0)]);
    two(&mut text[5..7], at.day);
    let month = usize::try_from(at.month - 1).unwrap_or(0) * 3;
    text[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    two(&mut text[12..14], at.year / 100);
    two(&mut text[14..16], at.year % 100);
    time(&mut text[17..25], at);
    text
}

fn write_rfc3339(at: &Moment) -> [u8; 24] {
    let mut text = *b"0000-00-00T00:00:00.000Z";
    two(&mut text[..2], at.year / 100);
    two(&mut text[2..4], at.year % 100);
    two(&mut text[5..7], at.month);
    two(&mut text[8..10], at.day);
    time(&mut text[11..19], at);
    text
}

fn time(to: &mut [u8], at: &Moment) {
    two(&mut to[..2], at.hour);
    two(&mut to[3..5], at.minute);
    two(&mut to[6..8], at.second);
}

fn two(to: &mut [u8], number: u64) {
    to.copy_from_slice(&[digit(number / 10), digit(number % 10)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::format_description;

    fn at(seconds: u64, millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)
    }

    fn check(when: SystemTime, http: &str, stamp: &str) {
        assert_eq!(std::str::from_utf8(&http_date(when)).unwrap(), http);
        assert_eq!(std::str::from_utf8(&rfc3339(when)).unwrap(), stamp);
        assert_eq!(std::str::from_utf8(&time_of_day(when)).unwrap(), &stamp[11..23]);
    }

    #[test]
    fn the_example_of_rfc_9110() {
        check(at(784_111_777, 5), "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.005Z");
    }

    #[test]
    fn the_ends() {
        check(at(0, 0), "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z");
        check(UNIX_EPOCH - Duration::from_secs(9), "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z");
        check(at(LAST_SECOND + 9, 0), "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_second_that_is_kept_still_gets_its_milliseconds() {
        check(at(1_709_164_800, 999), "Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00.999Z");
        check(at(1_709_164_800, 1), "Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00.001Z");
        check(at(1_709_251_200, 0), "Fri, 01 Mar 2024 00:00:00 GMT", "2024-03-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn others_count_the_days_alike(seconds in 0..=LAST_SECOND) {
            let when = at(seconds, 0);
            prop_assert_eq!(String::from_utf8(http_date(when).to_vec()).unwrap(), httpdate::fmt_http_date(when));
            let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
            let other = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap();
            prop_assert_eq!(String::from_utf8(rfc3339(when).to_vec()).unwrap(), other.format(&format).unwrap());
        }
    }
}
