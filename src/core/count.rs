//! Numbers with their nouns, as every message writes them: `1 step`, `2 steps`.

/// `1 step`, `2 steps`; for nouns that take an s.
pub fn count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Whole days of some seconds: `1 day`, `60 days`.
pub fn days(seconds: i64) -> String {
    match seconds.div_euclid(24 * 3600) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([count(0, "host"), count(1, "host"), count(2, "host")], ["0 hosts", "1 host", "2 hosts"]);
        assert_eq!([days(86_399), days(86_400), days(200_000)], ["0 days", "1 day", "2 days"]);
    }
}
