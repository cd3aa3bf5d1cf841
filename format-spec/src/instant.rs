//! Signed build times: seconds since 1970 and their one text form (M25).

use crate::error::Error;

/// Seconds of 9999-12-31T23:59:59Z, the last instant with a four-digit year.
pub const LAST: u64 = 253_402_300_799;

/// `YYYY-MM-DDThh:mm:ssZ` for `seconds` since 1970 (UTC, at most [`LAST`], to which later times are cut).
///
/// The calendar arithmetic is the era-based one of H. Hinnant, "chrono-compatible low-level date algorithms".
pub fn to_text(seconds: u64) -> String {
    let seconds = seconds.min(LAST);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days.saturating_add(719_468);
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = day_of_era
        .saturating_sub(day_of_era / 1460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096)
        / 365;
    let before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before); // from 1 March
    let shifted = day_of_year.saturating_mul(5).saturating_add(2) / 153; // month, from March
    let day = day_of_year
        .saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if shifted < 10 {
        shifted.saturating_add(3)
    } else {
        shifted.saturating_sub(9)
    };
    let year = era
        .saturating_mul(400)
        .saturating_add(year_of_era)
        .saturating_add(u64::from(month <= 2));
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads the text form. Whatever [`to_text`] would write differently (a 30 February, a lower-case `z`) is refused.
pub fn from_text(text: &str) -> Result<u64, Error> {
    let fault = || Error::value("build.timestamp", "not of the form YYYY-MM-DDThh:mm:ssZ");
    let number = |at: core::ops::Range<usize>| -> Result<u64, Error> {
        let digits = text
            .get(at)
            .filter(|s| s.bytes().all(|c| c.is_ascii_digit()));
        digits.and_then(|s| s.parse().ok()).ok_or_else(fault)
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) {
        return Err(fault());
    }
    let y = year.saturating_sub(u64::from(month <= 2));
    let (era, year_of_era) = (y / 400, y % 400);
    let shifted = if month > 2 {
        month.saturating_sub(3)
    } else {
        month.saturating_add(9)
    };
    let day_of_year = (shifted.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(day)
        .saturating_sub(1);
    let day_of_era = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100)
        .saturating_add(day_of_year);
    let days = era
        .saturating_mul(146_097)
        .saturating_add(day_of_era)
        .saturating_sub(719_468);
    let seconds = days
        .saturating_mul(86_400)
        .saturating_add(hour.saturating_mul(3600))
        .saturating_add(minute.saturating_mul(60))
        .saturating_add(second);
    // The calendar is checked by writing the instant again: only a real one comes back the same.
    if to_text(seconds) == text {
        Ok(seconds)
    } else {
        Err(fault())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (315_532_800, "1980-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(to_text(seconds), text);
            assert_eq!(from_text(text), Ok(seconds));
        }
    }

    #[test]
    fn only_real_instants_in_one_form() {
        for text in [
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01t00:00:00Z",
            "2025-01-01T00:00:00z",
            "2025-01-01T00:00:00",
            "1969-12-31T23:59:59Z",
            "+025-01-01T00:00:00Z",
            "2025-01-01T00:00:00+00:00",
            "",
            "2025-01-00T00:00:00Z",
        ] {
            assert!(from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn round_trip_over_every_day_of_four_centuries() {
        for day in 0..146_097_u64 {
            let seconds = day * 86_400 + day % 86_400;
            assert_eq!(from_text(&to_text(seconds)), Ok(seconds));
        }
    }
}
