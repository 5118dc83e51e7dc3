//! A cron schedule, and the same in the words of systemd's `OnCalendar=`.
//!
//! `30 2 * * 1-5` → `Mon..Fri *-*-* 02:30:00 UTC`. In UTC on every node: they must mean the same moment, and so do the
//! names of the snapshots.

use croner::{Cron, errors::CronError};

use super::problem::Problem;
use super::value::Value;
use crate::core::desired::{Schedule, parser};

const EXAMPLE: &str = "minute, hour, day of the month, month, day of the week: \"0 * * * *\" is every hour, in UTC";

pub(super) fn schedule(value: &Value) -> Result<Schedule, Problem> {
    let text = value.text()?;
    let cron = parser().parse(text).map_err(|error| {
        value.problem(format!("{text:?} is not a valid cron schedule")).label(complaint(&error)).hint(EXAMPLE)
    })?;
    let calendar = calendar(&cron, text).map_err(|(what, hint)| value.problem(what).hint(hint))?;
    Ok(Schedule { cron: text.to_owned(), calendar })
}

/// `text` again, if it is a cron schedule of five fields.
///
/// # Errors
/// Why it is none.
pub fn is_schedule(text: &str) -> Result<String, String> {
    parser().parse(text).map_err(|error| format!("{}; {EXAMPLE}", complaint(&error)))?;
    Ok(text.to_owned())
}

fn complaint(error: &CronError) -> String {
    match error {
        CronError::InvalidPattern(_) => "it must have five fields".to_owned(),
        CronError::ComponentError(what) | CronError::IllegalCharacters(what) => {
            let what = what.trim_end_matches('.');
            let mut letters = what.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidDate | CronError::InvalidTime | CronError::TimeSearchLimitExceeded => error.to_string(),
    }
}

/// The lines for systemd, or what it cannot say and what to write instead.
fn calendar(cron: &Cron, text: &str) -> Result<Vec<String>, (String, &'static str)> {
    let pattern = &cron.pattern;
    let fields = [&pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week];
    if fields.iter().any(|field| field.has_modifiers()) {
        let hint = "systemd timers do not support `L`, `W` and `#`: list days of the month or of the week";
        return Err((format!("{text:?} depends on the length of the month"), hint));
    }
    let (minutes, hours) = (pattern.minutes.values(), pattern.hours.values());
    let (days, months) = (pattern.days.values(), pattern.months.values());
    // Sunday is 0 and 7 to cron.
    let mut weekdays: Vec<u16> = pattern.days_of_week.values().into_iter().map(|day| day % 7).collect();
    weekdays.sort_unstable();
    weekdays.dedup();

    let every_day = days.len() == 31;
    let every_weekday = weekdays.len() == 7;
    let exists = |&day: &u16| months.iter().any(|&month| day <= longest(month));
    if (every_weekday || pattern.matches_dom_and_dow()) && !days.iter().any(exists) {
        return Err((format!("{text:?} never occurs"), "these months have no such day"));
    }

    let time = format!("{}:{}:00 UTC", numbers(&hours, 0, 23), numbers(&minutes, 0, 59));
    let date = |days: &[u16]| format!("*-{}-{}", numbers(&months, 1, 12), numbers(days, 1, 31));
    let on_days = format!("{} {time}", date(&days));
    let all_days: Vec<u16> = (1..=31).collect();
    let on_weekdays = format!("{} {} {time}", names(&weekdays), date(&all_days));
    Ok(match (every_day, every_weekday) {
        (_, true) => vec![on_days],
        (true, false) => vec![on_weekdays],
        (false, false) if pattern.matches_dom_and_dow() => vec![format!("{} {on_days}", names(&weekdays))],
        // Where cron has both it means either, but for crons that mean both when one starts with a star.
        (false, false) => {
            let starred = |field: usize| text.split_whitespace().nth(field).is_some_and(|field| field.starts_with('*'));
            if starred(2) || starred(4) {
                let hint = "some crons require both the day of the month and the day of the week, others either: set one of \
                     them to `*`";
                return Err((format!("{text:?} means different days in different crons"), hint));
            }
            vec![on_days, on_weekdays]
        }
    })
}

/// The days of `month` in a leap year.
fn longest(month: u16) -> u16 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `*` for all of them, or runs and single values: `00..05,12`.
fn numbers(values: &[u16], min: u16, max: u16) -> String {
    if values.len() == usize::from(max - min) + 1 {
        "*".to_owned()
    } else {
        runs(values, |value| format!("{value:02}"))
    }
}

fn names(weekdays: &[u16]) -> String {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    // systemd's week starts on Monday; a range may not pass its end.
    let mut from_monday: Vec<u16> = weekdays.iter().map(|day| (day + 6) % 7).collect();
    from_monday.sort_unstable();
    runs(&from_monday, |day| NAMES[usize::from(day)].to_owned())
}

/// Sorted values with every run of three or more as `first..last`.
fn runs(values: &[u16], name: impl Fn(u16) -> String) -> String {
    let mut parts = Vec::new();
    let mut rest = values;
    while let Some((&first, _)) = rest.split_first() {
        let length = rest.iter().zip(first..).take_while(|&(&value, expected)| value == expected).count();
        let (run, after) = rest.split_at(length);
        match run {
            [_, _, .., last] => parts.push(format!("{}..{}", name(first), name(*last))),
            _ => parts.extend(run.iter().map(|&value| name(value))),
        }
        rest = after;
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, (String, &'static str)> {
        calendar(&parser().parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), text)
    }

    const TRANSLATIONS: &[(&str, &[&str])] = &[
        ("* * * * *", &["*-*-* *:*:00 UTC"]),
        ("0 * * * *", &["*-*-* *:00:00 UTC"]),
        ("*/20 * * * *", &["*-*-* *:00,20,40:00 UTC"]),
        ("30 2 * * *", &["*-*-* 02:30:00 UTC"]),
        ("30 2 * * 1-5", &["Mon..Fri *-*-* 02:30:00 UTC"]),
        ("0 3 * * 0", &["Sun *-*-* 03:00:00 UTC"]),
        ("0 3 * * 7", &["Sun *-*-* 03:00:00 UTC"]),
        ("0 3 * * SAT,SUN", &["Sat,Sun *-*-* 03:00:00 UTC"]),
        ("0 3 * * 6-7", &["Sat,Sun *-*-* 03:00:00 UTC"]),
        ("0 0 1,15 */3 *", &["*-01,04,07,10-01,15 00:00:00 UTC"]),
        ("0 0 1 JAN *", &["*-01-01 00:00:00 UTC"]),
        ("0 0-6/2,12 * * *", &["*-*-* 00,02,04,06,12:00:00 UTC"]),
        ("0 0 13 * 5", &["*-*-13 00:00:00 UTC", "Fri *-*-* 00:00:00 UTC"]),
        ("0 0 29 2 *", &["*-02-29 00:00:00 UTC"]),
        ("@daily", &["*-*-* 00:00:00 UTC"]),
        ("@hourly", &["*-*-* *:00:00 UTC"]),
    ];

    #[test]
    fn each_schedule_has_its_words_for_systemd() {
        for (cron, expected) in TRANSLATIONS {
            assert_eq!(
                lines(cron).as_deref(),
                Ok(&expected.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()[..]),
                "{cron}"
            );
        }
    }

    #[test]
    fn what_systemd_cannot_say_is_refused() {
        for text in
            ["0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 * * 5L", "0 0 30 2 *", "0 0 31 4,6 *", "0 0 */2 * 1"]
        {
            assert!(lines(text).is_err(), "{text}");
        }
    }

    /// systemd's own reading of the lines against the cron library's reading of the schedule.
    #[test]
    fn systemd_means_the_same_moments() {
        const MOMENTS: usize = 40;
        let base: jiff::civil::DateTime = "2026-01-30T22:59:30".parse().expect("it is a moment");
        let analyze = |line: &str| {
            let mut command = std::process::Command::new("systemd-analyze");
            command.args(["calendar", "--iterations=40", "--base-time=2026-01-30 22:59:30 UTC", line]);
            command.env("TZ", "UTC").env("LC_ALL", "C").output()
        };
        if analyze("daily").is_err() {
            eprintln!("systemd-analyze is not on this machine: not compared");
            return;
        }
        for (text, lines) in TRANSLATIONS {
            let mut found = std::collections::BTreeSet::new();
            for line in *lines {
                let output = analyze(line).expect("it ran before");
                let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "{line}: {stdout}{}", String::from_utf8_lossy(&output.stderr));
                let moments: Vec<_> = stdout.lines().filter_map(moment).collect();
                assert_eq!(moments.len(), MOMENTS, "{line}: {stdout}");
                found.extend(moments);
            }
            let expected: Vec<_> = parser().parse(text).expect("it is good").iter_after(base).take(MOMENTS).collect();
            assert_eq!(found.into_iter().take(MOMENTS).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    /// `       Next elapse: Sat 2026-01-31 00:00:00 UTC`
    fn moment(line: &str) -> Option<jiff::civil::DateTime> {
        let (label, rest) = line.split_once(": ")?;
        let label = label.trim();
        let [_, date, time, _] = rest.split(' ').collect::<Vec<_>>().try_into().ok()?;
        (label == "Next elapse" || label.starts_with("Iter")).then(|| format!("{date}T{time}").parse().ok())?
    }
}
