//! What is known of a snapshot besides its bytes: a line of JSON beside it, `NAME.json`.
//!
//! Nothing depends on it: where it is missing or makes no sense, less is told.

use serde::{Deserialize, Serialize};

use super::{Listed, age};
use crate::core::names::{ClusterId, UnixSeconds};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The cluster that it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<ClusterId>,
    /// That of its newest key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// How large the file is, since it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it last stood a drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<UnixSeconds>,
}

/// No facts are longer.
pub const FACTS_BYTES_MAX: u64 = 1000;

impl Facts {
    /// What a line says; nothing when it makes no sense.
    pub fn read(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_default()
    }

    /// One line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("they are plain data")
    }
}

/// Whether a file of so many bytes is a snapshot that had so many when it was checked: one that was cut since, or of which
/// nothing says that its SHA-256 was looked at, is no backup.
pub fn counts(bytes: u64, checked: Option<u64>) -> bool {
    checked == Some(bytes)
}

/// Where the facts of the snapshot of this name are.
pub fn facts_name(name: &str) -> String {
    format!("{name}.json")
}

/// The newest of those that count.
pub fn newest(listed: &[Listed], now: UnixSeconds) -> Option<&Listed> {
    listed.iter().filter(|one| counts(one.bytes, one.facts.bytes)).max_by_key(|one| (age(one.at, now), &one.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_or_never_checked_does_not_count() {
        assert!(counts(4096, Some(4096)));
        assert!(!counts(4095, Some(4096)) && !counts(4097, Some(4096)) && !counts(2, None) && !counts(4096, None));
    }

    #[test]
    fn what_makes_no_sense_tells_nothing() {
        let facts = Facts { cluster_id: Some(ClusterId(0xcdf8)), revision: Some(7), ..Facts::default() };
        assert_eq!(facts.line(), r#"{"cluster_id":"cdf8","revision":7}"#);
        assert_eq!(Facts::read(&facts.line()), facts);
        assert_eq!(Facts::read(r#"{"revision":7,"later":true}"#), Facts { cluster_id: None, ..facts });
        for line in ["", "{", "[]", r#"{"revision":"x"}"#] {
            assert_eq!(Facts::read(line), Facts::default(), "{line}");
        }
    }
}
