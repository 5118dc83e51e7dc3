//! Spans of time, as every message writes them: a space before the unit.

use std::time::Duration;

/// One that was measured: `0.4 s`, `12 s`, `3 min 20 s`.
pub fn measured(seconds: f64) -> String {
    // Rounding first, so that 59.96 does not print as `60.0 s`.
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

/// One that was set, to the millisecond: `0.5 s`, `90 s`, `5 min`, `2 min 30 s`.
pub fn limit(of: Duration) -> String {
    match (of.as_secs(), of.subsec_millis()) {
        (seconds @ 120.., 0) if seconds % 60 == 0 => format!("{} min", seconds / 60),
        (seconds @ 120.., 0) => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} s", of.as_millis() as f64 / 1000.0),
    }
}

/// How long ago something was: `26 h`, in the largest unit of which there are two.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

const DAY_SECONDS: i64 = 24 * 3600;

/// The days that are left of some seconds. Of ten or more the nearest number: a certificate of 365 days that was issued a
/// minute ago has 365. Of fewer those that are whole, so that nothing is said to last longer than it does.
pub fn days_left(seconds: i64) -> i64 {
    let whole = seconds.div_euclid(DAY_SECONDS);
    if whole < 9 { whole } else { seconds.saturating_add(DAY_SECONDS / 2).div_euclid(DAY_SECONDS) }
}

/// `1 day`, `365 days`, and from five years on `10 years`: what is left until something ends.
pub fn days(seconds: i64) -> String {
    match days_left(seconds) {
        1 => "1 day".to_owned(),
        days @ YEARS_FROM_DAYS.. => format!("{} years", (days * 2 + 365) / 730),
        days => format!("{days} days"),
    }
}

/// Leap days make no difference to the nearest number of years.
const YEARS_FROM_DAYS: i64 = 5 * 365;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_span_is_as_exact_as_an_operator_needs() {
        let shown = [0.04, 1.23, 9.96, 12.4, 59.96, 200.0, -1.0].map(measured);
        assert_eq!(shown, ["0.0 s", "1.2 s", "10 s", "12 s", "1 min 0 s", "3 min 20 s", "0.0 s"]);
    }

    #[test]
    fn a_limit_is_exact() {
        let shown = [500, 3000, 90_000, 120_000, 150_000, 300_000, 150_500].map(Duration::from_millis).map(limit);
        assert_eq!(shown, ["0.5 s", "3 s", "90 s", "2 min", "2 min 30 s", "5 min", "150.5 s"]);
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([119, 120, 7199, 7200, 172_800].map(age), ["119 s", "2 min", "119 min", "2 h", "2 d"]);
        assert_eq!([days(86_399), days(86_400), days(200_000)], ["0 days", "1 day", "2 days"]);
    }

    #[test]
    fn what_was_just_issued_has_all_of_its_days() {
        const DAY: i64 = 86_400;
        // A minute after the issue, and an hour before the end of the last whole day.
        let left = [365 * DAY - 60, 90 * DAY - 60, 2 * DAY - 3600, 9 * DAY - 1, -60].map(days);
        assert_eq!(left, ["365 days", "90 days", "1 day", "8 days", "-1 days"]);
        let left = [3650 * DAY - 60, 3652 * DAY, 1825 * DAY, 1824 * DAY, 2008 * DAY].map(days);
        assert_eq!(left, ["10 years", "10 years", "5 years", "1824 days", "6 years"]);
        assert_eq!([365 * DAY - 60, 10 * DAY - 1, 9 * DAY - 1, -1].map(days_left), [365, 10, 8, -1]);
    }
}
