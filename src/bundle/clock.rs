//! The time of day as text, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, cut up for printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
    nanosecond: u32,
}

impl Moment {
    /// Now; a clock set before 1970 counts as 1970.
    pub(super) fn now() -> Self {
        Self::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn since_epoch(time: Duration) -> Self {
        let (year, month, day) = date(time.as_secs() / 86_400);
        Self { year, month, day, second_of_day: time.as_secs() % 86_400, nanosecond: time.subsec_nanos() }
    }

    /// RFC 3339 with all nine digits, so that order as text is order in time.
    pub(super) fn rfc3339(self) -> String {
        let Self { year, month, day, nanosecond, .. } = self;
        let (hour, minute, second) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}Z")
    }

    /// `YYYYMMDD-HHMMSS`, for names of files.
    pub(super) fn stamp(self) -> String {
        let Self { year, month, day, .. } = self;
        let (hour, minute, second) = self.clock();
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }

    fn clock(self) -> (u64, u64, u64) {
        (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60)
    }
}

/// The date so many days after 1 January 1970, found by counting years, then months.
fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The left column is what `date -u -d @SECONDS` of GNU coreutils prints.
    #[test]
    fn moments_print_as_gnu_date_does() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("1972-12-31T23:59:59.000000000Z", 94_694_399),
            ("2000-02-29T00:00:00.000000000Z", 951_782_400),
            ("2024-02-29T12:34:56.000000000Z", 1_709_210_096),
            ("2024-12-31T00:00:00.000000000Z", 1_735_603_200),
            ("2100-03-01T00:00:00.000000000Z", 4_107_542_400),
        ] {
            assert_eq!(Moment::since_epoch(Duration::from_secs(seconds)).rfc3339(), text);
        }
    }

    #[test]
    fn parts_of_a_second_are_kept() {
        let moment = Moment::since_epoch(Duration::new(1_709_210_096, 12_034));
        assert_eq!(moment.rfc3339(), "2024-02-29T12:34:56.000012034Z");
        assert_eq!(moment.stamp(), "20240229-123456");
    }

    #[test]
    fn later_moments_sort_behind_as_text() {
        let mut previous = String::new();
        for step in 0..5_000 {
            let text = Moment::since_epoch(Duration::new(step * 777_777, 1)).rfc3339();
            assert!(previous < text, "{previous} and {text}");
            previous = text;
        }
    }
}
