//! Why a service does not run, from the end of its log.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<String>;

    const SHELL: &'static str = include_str!("complaint.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_service", of.desired.paths.service.clone())])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<String>, Trouble> {
        Ok(complaint(answer.lines("complaint")))
    }
}

/// A line is cut to this many letters.
const LETTERS_MAX: usize = 300;

/// The last thing that etcd called an error, else its last line. etcd logs one JSON object a line (3.4 does so only
/// when told to).
fn complaint<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find_map(|line| error(line));
    let words = error.or_else(|| lines.last().map(|line| (*line).to_owned()))?;
    Some(words.chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect())
}

/// `{"level":"fatal","msg":"discovery failed","error":"…"}` → `discovery failed: …`
fn error(line: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str);
    if !matches!(text("level")?, "error" | "fatal" | "panic" | "dpanic") {
        return None;
    }
    let message = text("msg").unwrap_or("an error without a message");
    Some(text("error").map_or_else(|| message.to_owned(), |error| format!("{message}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_it_died_of() {
        let lines = [
            r#"{"level":"error","msg":"old"}"#,
            r#"{"level":"fatal","ts":"2026","msg":"discovery failed","error":"--initial-cluster has etcd-9"}"#,
            r#"{"level":"info","msg":"closing"}"#,
        ];
        assert_eq!(complaint(lines.into_iter()).as_deref(), Some("discovery failed: --initial-cluster has etcd-9"));
        assert_eq!(complaint(["first", "sh: no such file", ""].into_iter()).as_deref(), Some("sh: no such file"));
        assert_eq!(complaint([].into_iter()), None);
    }
}
