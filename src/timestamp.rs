//! A moment in whole seconds, in the form of RFC 3339.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind};

/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;
const SECONDS_PER_DAY: u64 = 86_400;

/// A moment from 1970 to 9999 in whole seconds of UTC, written in the form of RFC 3339: `2026-11-24T03:41:00Z`.
///
/// # Example
///
/// ```
/// use fieldseal::Timestamp;
///
/// let moment: Timestamp = "2026-11-24T03:41:00Z".parse()?;
/// assert!(moment < Timestamp::from(std::time::SystemTime::now() + std::time::Duration::from_secs(4_000_000_000)));
/// assert_eq!(moment.to_string(), "2026-11-24T03:41:00Z");
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Rounds `time` down to a second; what lies outside the range becomes its nearest end.
    pub(crate) fn from_system_time(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LATEST))
    }

    /// Reads the one form that `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
        let days = days_to(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
        let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        let parsed = Self(days * SECONDS_PER_DAY + seconds);
        // Written again, it differs where a separator, a sign or a day or hour that does not exist stood in the text.
        (parsed.0 <= LATEST && parsed.to_string() == text).then_some(parsed)
    }

    /// Returns the earliest second that is certainly `wait` after this moment, of which only the second is known.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(1).saturating_add(wait.as_secs()).min(LATEST))
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads the one form that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let message = "a moment is written like 2026-11-24T03:41:00Z";
        Self::parse(text).ok_or_else(|| Error::new(ErrorKind::InvalidValue, message))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::from_system_time(time)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_secs(timestamp.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / SECONDS_PER_DAY);
        let second = self.0 % SECONDS_PER_DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

/// Days before 1 March of the year 0 of the proleptic Gregorian calendar are counted from there to 1 January 1970.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;

/// The days from 1 January 1970 to a date. Years begin in March, so that a leap day is the last of its year, and eras
/// of 400 years all have the same length.
fn days_to(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_possible = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_possible.then(|| {
        let year = if month > 2 { year } else { year - 1 };
        let year_of_era = year % 400;
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        year / 400 * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
    })
}

/// The inverse of [`days_to`]: year, month, day.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + days / DAYS_PER_ERA * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LATEST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(seconds)), "{text}");
        }
    }

    #[test]
    fn every_day_comes_back_and_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LATEST / SECONDS_PER_DAY {
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(days_to(year, month, day), Some(days));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            day += 1;
            if day > last[usize::try_from(month - 1).unwrap()] {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn other_spellings_and_days_that_do_not_exist_are_refused() {
        for bad in [
            "",
            "2026-11-24",
            "2026-11-24T03:41:00",
            "2026-11-24T03:41:00z",
            "2026-11-24 03:41:00Z",
            "2026-11-24T03:41:00+00:00",
            "2026-11-24T03:41:00.0Z",
            "2026-11-24T03:41:00Z ",
            "+026-11-24T03:41:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T23:60:00Z",
            "2026-11-24T23:59:60Z",
            "1969-12-31T23:59:59Z",
            "1970-02-30T99:99:99Z",
            "9999-12-31T24:00:00Z",
            "2026-11-2é03:41:00Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_clock_outside_the_range_gives_its_nearest_end() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::from_system_time(UNIX_EPOCH - second), Timestamp(0));
        assert_eq!(Timestamp::from_system_time(UNIX_EPOCH + second * 300_000_000), Timestamp(300_000_000));
        assert_eq!(Timestamp::from_system_time(UNIX_EPOCH + Duration::from_secs(LATEST + 1)), Timestamp(LATEST));
    }
}
