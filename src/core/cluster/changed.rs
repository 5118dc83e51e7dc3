//! What the new text of a unit changes, setting by setting, in the words of a reason: `RestartSec: 5 → 2`.

use crate::core::count::{count, size};
use crate::core::desired::{Desired, Place};

/// More are counted: the difference of the file has them all.
const CHANGES_SHOWN: usize = 4;
/// Longer values are in the difference, too.
const VALUE_SHOWN_BYTES: usize = 64;

/// The settings of a systemd unit that differ; empty where only comments and its description do.
pub fn settings(before: &str, after: &str) -> Vec<String> {
    let (old, new) = (differing(before, after), differing(after, before));
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in new.iter().chain(&old) {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let value = |of: &[(&str, &str)], key: &str| {
        let values: Vec<_> = of.iter().filter(|(is, _)| *is == key).map(|(_, value)| *value).collect();
        if values.is_empty() { "none".to_owned() } else { values.join(", ") }
    };
    let change = |key: &&str| {
        let (old, new) = (value(&old, key), value(&new, key));
        let name = named(key);
        match old.len().max(new.len()) <= VALUE_SHOWN_BYTES {
            true => format!("{name}: {old} → {new}"),
            false => format!("{name} differs"),
        }
    };
    let mut changes: Vec<_> = keys.iter().take(CHANGES_SHOWN).map(change).collect();
    if let Some(more) = keys.len().checked_sub(CHANGES_SHOWN).filter(|more| *more > 0) {
        changes.push(format!("and {} more", count(more, "setting")));
    }
    changes
}

/// The lines of `text` that `other` does not have, as keys and values.
fn differing<'a>(text: &'a str, other: &str) -> Vec<(&'a str, &'a str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !other.lines().any(|is| is == *line));
    let settings = lines.filter_map(|line| line.strip_prefix("Environment=").unwrap_or(line).split_once('='));
    // It repeats in words what another setting says.
    settings.filter(|(key, _)| *key != "Description").collect()
}

/// Our own variables as cluster.toml calls what is in them.
fn named(key: &str) -> String {
    key.strip_prefix("QUORATE_").map_or_else(|| key.to_owned(), |key| key.to_ascii_lowercase().replace('_', "-"))
}

/// The value of a setting with its unit, where it has one: `4.0 GiB`.
pub fn readable(key: &str, value: &str) -> String {
    match (key, value.parse()) {
        (_, Ok(bytes)) if key.ends_with("-bytes") => size(bytes),
        ("heartbeat-interval" | "election-timeout", Ok(_)) => format!("{value} ms"),
        _ => value.to_owned(),
    }
}

/// Where in cluster.toml a key of etcd.yaml comes from.
pub fn declared_at<'a>(desired: &Desired, key: &'a str) -> Place<'a> {
    match key {
        "quota-backend-bytes" => Place::QuotaBackend,
        "heartbeat-interval" => Place::HeartbeatInterval,
        "election-timeout" => Place::ElectionTimeout,
        "auto-compaction-mode" | "auto-compaction-retention" => Place::AutoCompaction,
        "listen-client-urls" | "advertise-client-urls" => Place::ClientPort,
        "listen-peer-urls" | "initial-advertise-peer-urls" => Place::PeerPort,
        "listen-metrics-urls" => Place::MetricsPort,
        "data-dir" => Place::PathsData,
        "cert-file" | "key-file" | "trusted-ca-file" => Place::PathsCertificates,
        key if desired.etcd.extra.contains_key(key) => Place::EtcdExtraKey(key),
        _ => Place::Etcd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_its_old_and_its_new_value() {
        let before =
            "# ours\n[Service]\nRestartSec=5\nNice=3\nEnvironment=QUORATE_KEEP=14\nOnCalendar=a\nOnCalendar=b\n";
        let after = "# theirs\n[Service]\nRestartSec=2\nEnvironment=QUORATE_KEEP=7\nOnCalendar=c\nExecStart=x\n";
        let expected =
            ["RestartSec: 5 → 2", "keep: 14 → 7", "OnCalendar: a, b → c", "ExecStart: none → x", "and 1 setting more"];
        assert_eq!(settings(before, after), expected);
        assert_eq!(settings("# a\nX=1\n", "# b\nDescription=b\nX=1\n"), [""; 0]);
        let long = "y".repeat(65);
        assert_eq!(settings("X=1\n", &format!("X={long}\n")), ["X differs"]);
    }
}
