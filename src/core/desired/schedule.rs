//! When snapshots are taken, as declared and as systemd takes it.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::core::names::UnixSeconds;

/// When snapshots are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// As declared.
    pub cron: String,
    /// For `OnCalendar=`, one line each; the timer fires at any of them. One or two.
    pub calendar: Vec<String>,
}

impl Schedule {
    /// The first slot after `at`.
    pub fn first_after(&self, at: UnixSeconds) -> Option<UnixSeconds> {
        let cron = parser().parse(&self.cron).ok()?;
        let at = Timestamp::from_second(at.0).ok()?.to_zoned(TimeZone::UTC);
        let next = cron.find_next_occurrence(&at, false).ok()?;
        Some(UnixSeconds(next.timestamp().as_second()))
    }
}

/// Five fields, and names such as `@daily`.
pub fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slot_comes_after_and_in_utc() {
        let first = |cron: &str, at: &str| {
            let at = UnixSeconds(at.parse::<Timestamp>().expect("a time").as_second());
            let schedule = Schedule { cron: cron.to_owned(), calendar: Vec::new() };
            let first = schedule.first_after(at).expect("there is one");
            Timestamp::from_second(first.0).expect("a time").to_string()
        };
        assert_eq!(first("0 * * * *", "2026-11-29T15:11:59Z"), "2026-11-29T16:00:00Z");
        assert_eq!(first("*/15 * * * *", "2026-11-29T15:00:00Z"), "2026-11-29T15:15:00Z");
        assert_eq!(first("30 2 * * 1-5", "2026-11-27T03:00:00Z"), "2026-11-30T02:30:00Z", "a Friday, then a Monday");
        // Where cron has both it means either.
        assert_eq!(first("0 4 1 * 0", "2026-11-29T05:00:00Z"), "2026-12-01T04:00:00Z");
    }
}
