//! Times as text, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_nanos;

/// RFC 3339 with nine digits of the second, so that texts sort by time. A time before 1970 becomes 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    format_rfc3339_nanos(time.max(UNIX_EPOCH)).to_string()
}

/// `YYYYMMDD-HHMMSS`, for names of files.
pub(super) fn stamp(time: SystemTime) -> String {
    let seconds = rfc3339(time).split('.').next().unwrap_or_default().replace(['-', ':'], "");
    seconds.replace('T', "-")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_have_nine_digits_in_text_and_none_in_names() {
        let time = UNIX_EPOCH + Duration::new(1_709_210_096, 12_034);
        assert_eq!(rfc3339(time), "2024-02-29T12:34:56.000012034Z");
        assert_eq!(stamp(time), "20240229-123456");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000000Z");
    }
}
