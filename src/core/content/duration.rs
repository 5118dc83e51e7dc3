//! Spans of time as Go writes them: flags and variables of etcd have them in this form, its config file in nanoseconds.

/// The nanoseconds of `1h30m`, `1.5s` or `100ms`; `None` of what Go's `time.ParseDuration` refuses.
pub fn nanoseconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum: i128 = 0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        sum = sum.checked_add(scaled(number, factor(&after[..unit])?)?)?;
        rest = &after[unit..];
        if rest.is_empty() {
            return i64::try_from(sign * sum).ok();
        }
    }
}

fn factor(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `1.5` times `factor`, cut off below one nanosecond.
fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + part.len() == 0 || whole.len() > 19 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are below a nanosecond of an hour.
    let part = part.get(..part.len().min(18))?;
    let below = if part.is_empty() {
        0
    } else {
        part.parse::<i128>().ok()? * factor / 10_i128.pow(u32::try_from(part.len()).ok()?)
    };
    whole.checked_mul(factor)?.checked_add(below)
}

/// As Go's `Duration.String` has it: `1m30s`, `1.5s`, `100ms`.
pub(super) fn text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let words = match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{all}ns"),
        1_000..1_000_000 => in_unit(all, 1_000, "µs"),
        1_000_000..1_000_000_000 => in_unit(all, 1_000_000, "ms"),
        _ => {
            let minutes = all / 60_000_000_000;
            let before = match minutes {
                0 => String::new(),
                1..60 => format!("{minutes}m"),
                _ => format!("{}h{}m", minutes / 60, minutes % 60),
            };
            before + &in_unit(all % 60_000_000_000, 1_000_000_000, "s")
        }
    };
    format!("{sign}{words}")
}

fn in_unit(all: u64, unit: u64, name: &str) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", all / unit, all % unit);
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's own tests of `ParseDuration` and `String` have them.
    #[test]
    fn durations_are_as_go_has_them() {
        for (words, expected) in [
            ("0", "0s"),
            ("5s", "5s"),
            ("30s", "30s"),
            ("5000000000ns", "5s"),
            ("1478s", "24m38s"),
            ("-5s", "-5s"),
            ("+5s", "5s"),
            ("5.", ""),
            ("5.s", "5s"),
            (".5s", "500ms"),
            ("1.004s", "1.004s"),
            ("100.00100s", "1m40.001s"),
            ("10ns", "10ns"),
            ("11us", "11µs"),
            ("12µs", "12µs"),
            ("1.5ms", "1.5ms"),
            ("3h30m", "3h30m0s"),
            ("300s", "5m0s"),
            ("10.5s4m", "4m10.5s"),
            ("1h0m0s", "1h0m0s"),
            ("3000000h", ""),
            ("", ""),
            ("3", ""),
            ("-", ""),
            ("s", ""),
            (".s", ""),
            ("1x", ""),
            ("1 s", ""),
        ] {
            let read = nanoseconds(words).map(text).unwrap_or_default();
            assert_eq!(read, expected, "{words}");
            if !expected.is_empty() {
                assert_eq!(nanoseconds(expected), nanoseconds(words), "{words}");
            }
        }
        assert_eq!(text(i64::MIN), "-2562047h47m16.854775808s");
        assert_eq!(text(i64::MAX), "2562047h47m16.854775807s");
    }
}
