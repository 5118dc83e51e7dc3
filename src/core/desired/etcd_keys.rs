//! The keys of etcd's config file: which version knows which, and which of them are ours to write.
//!
//! etcd reads its file without complaint about unknown keys, so a slip would silently do nothing.
//! Source: the `json` tags of `Config` and `configJSON` in embed/config.go at 3.4.15, 3.5.0, 3.5.5, 3.5.7 to 3.5.12, 3.5.15,
//! 3.5.16, 3.5.35, 3.6.0, 3.6.16, 3.7.0 and 3.7.3; the tags inside the 3.4.23 binary; the change logs for patches between.

use super::{EtcdSettings, Setting};
use crate::core::names::Version;
use Kind::{Bool, Integer, Nanoseconds, Table, Text, Texts, Unsigned};

/// What Go's decoder takes for a key. etcd does not start when a value is of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Integer,
    Unsigned,
    /// A `time.Duration`, which has no text form in JSON and so none in etcd's YAML.
    Nanoseconds,
    Text,
    Texts,
    Table,
}

pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// The first patch of 3.4, 3.5, 3.6 and 3.7 that knows it.
    since: [u16; 4],
}

impl Key {
    pub fn is_known_to(&self, version: Version) -> bool {
        let first = usize::from(version.minor).checked_sub(4).and_then(|minor| self.since.get(minor));
        first.is_some_and(|&first| version.patch >= first)
    }

    /// `3.5.8 and newer 3.5, 3.6, 3.7`.
    pub fn versions(&self) -> String {
        let minors = self.since.iter().zip(4..).filter(|&(&first, _)| first != N);
        let named = minors.map(|(&first, minor)| match first {
            0 => format!("3.{minor}"),
            patch => format!("3.{minor} from 3.{minor}.{patch}"),
        });
        named.collect::<Vec<_>>().join(", ")
    }
}

impl Kind {
    /// Whether Go decodes `setting` into this kind.
    pub fn takes(self, setting: &Setting) -> bool {
        match (self, setting) {
            (Bool, Setting::Bool(_))
            | (Integer | Nanoseconds, Setting::Integer(_))
            | (Text, Setting::Text(_))
            | (Table, Setting::Table(_)) => true,
            (Unsigned, Setting::Integer(number)) => *number >= 0,
            (Texts, Setting::List(texts)) => texts.iter().all(|text| matches!(text, Setting::Text(_))),
            (Bool | Integer | Unsigned | Nanoseconds | Text | Texts | Table, _) => false,
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Bool => "true or false",
            Integer => "a whole number",
            Unsigned => "a whole number, not below zero",
            Nanoseconds => "a number of nanoseconds",
            Text => "text",
            Texts => "a list of strings",
            Table => "a table",
        }
    }
}

impl EtcdSettings {
    /// A declared setting that `version` would not understand.
    pub fn unknown_to(&self, version: Version) -> Option<&str> {
        self.extra.keys().map(String::as_str).find(|name| !is_known_to(name, version))
    }
}

/// Every key that `extra` takes, with what it takes and the versions that know it, in words.
pub(crate) fn settings() -> impl Iterator<Item = (&'static str, Kind, String)> {
    KEYS.iter().map(|key| (key.name, key.kind, key.versions()))
}

/// Flags of etcd that are neither among [`KEYS`] nor named by [`owner`]: of TLS, and some that only flags have.
const FLAGS: [&str; 26] = [
    "auto-tls",
    "cert-file",
    "client-cert-allowed-hostname",
    "client-cert-auth",
    "client-cert-file",
    "client-crl-file",
    "client-key-file",
    "config-file",
    "discovery-endpoints",
    "discovery-fallback",
    "key-file",
    "peer-auto-tls",
    "peer-cert-allowed-cn",
    "peer-cert-allowed-hostname",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-crl-file",
    "peer-key-file",
    "peer-skip-client-san-verification",
    "peer-trusted-ca-file",
    "proxy",
    "socket-reuse-address",
    "socket-reuse-port",
    "trusted-ca-file",
];

/// Those that take true or false, and of which [`KEYS`] says nothing.
const SWITCHES: [&str; 10] = [
    "auto-tls",
    "client-cert-auth",
    "force-new-cluster",
    "peer-auto-tls",
    "peer-client-cert-auth",
    "peer-skip-client-san-verification",
    "socket-reuse-address",
    "socket-reuse-port",
    "strict-reconfig-check",
    "unsafe-no-fsync",
];

/// What etcd takes for the setting of that name, in whichever version; `None` where it has no such setting.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    if let Some(key) = find(name) {
        return Some(key.kind);
    }
    match name {
        _ if SWITCHES.contains(&name) => Some(Bool),
        "heartbeat-interval" | "election-timeout" | "self-signed-cert-validity" => Some(Unsigned),
        "quota-backend-bytes" => Some(Integer),
        "client-cert-allowed-hostname" | "peer-cert-allowed-cn" | "peer-cert-allowed-hostname" => Some(Texts),
        "client-transport-security" | "peer-transport-security" => Some(Table),
        _ => (owner(name).is_some() || FLAGS.contains(&name)).then_some(Text),
    }
}

/// Whether etcd has a setting of that name, in whichever version.
pub(crate) fn is_setting(name: &str) -> bool {
    kind(name).is_some()
}

/// Whether etcd takes only true or false for the setting of that name, in whichever version.
pub(crate) fn is_boolean(name: &str) -> bool {
    kind(name) == Some(Bool)
}

/// The key of that name, in whichever version.
/// Whether etcd of that version knows a setting. What is not in the table counts as known.
pub(crate) fn is_known_to(name: &str, version: Version) -> bool {
    find(name).is_none_or(|key| key.is_known_to(version))
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

pub(super) fn known_to(version: Version) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.is_known_to(version))
}

/// Why `name` cannot stand in `extra` although etcd knows it: what sets it, or what it would break.
pub fn owner(name: &str) -> Option<&'static str> {
    Some(match name {
        "name" | "initial-cluster" | "initial-advertise-peer-urls" | "advertise-client-urls" => {
            "it is derived from [nodes] and [ports]"
        }
        "listen-peer-urls" | "listen-client-urls" | "listen-client-http-urls" | "listen-metrics-urls" => {
            "it is derived from [ports]"
        }
        "initial-cluster-state" | "initial-cluster-token" | "force-new-cluster" => {
            "quorate decides whether a cluster is new"
        }
        "discovery" | "discovery-config" | "discovery-proxy" | "discovery-srv" | "discovery-srv-name" => {
            "[nodes] lists all members"
        }
        "client-transport-security" | "peer-transport-security" | "self-signed-cert-validity" => {
            "it is derived from [ca] and [certificates]"
        }
        "data-dir" => "set `data` in [paths]",
        "wal-dir" => "a separate directory for the log is not supported",
        "quota-backend-bytes" => "set `quota-backend` in [etcd]",
        "heartbeat-interval" => "set `heartbeat-interval` in [etcd]",
        "election-timeout" => "set `election-timeout` in [etcd]",
        "auto-compaction-mode" | "auto-compaction-retention" => "set `auto-compaction` in [etcd]",
        "strict-reconfig-check" => "quorate relies on etcd to refuse changes that would lose quorum",
        "unsafe-no-fsync" => "it loses acknowledged writes when a host stops",
        "grpc-additional-server-options" => "it only exists for programs that embed etcd",
        _ => return None,
    })
}

const fn key(name: &'static str, kind: Kind, since: [u16; 4]) -> Key {
    Key { name, kind, since }
}

/// Never in that minor version.
const N: u16 = u16::MAX;

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("auth-token", Text, [0, 0, 0, 0]),
    key("auth-token-ttl", Unsigned, [10, 0, 0, 0]),
    key("backend-batch-interval", Nanoseconds, [0, 0, 0, 0]),
    key("backend-batch-limit", Integer, [0, 0, 0, 0]),
    key("backend-bbolt-freelist-type", Text, [N, 0, 0, 0]),
    key("bcrypt-cost", Unsigned, [0, 0, 0, 0]),
    key("bootstrap-defrag-threshold-megabytes", Unsigned, [N, N, 0, 0]),
    key("cipher-suites", Texts, [0, 0, 0, 0]),
    key("compact-hash-check-time", Nanoseconds, [N, N, 0, 0]),
    key("compaction-batch-limit", Integer, [N, N, 0, 0]),
    key("compaction-sleep-interval", Nanoseconds, [N, N, 0, 0]),
    key("corrupt-check-time", Nanoseconds, [N, N, 0, 0]),
    key("cors", Text, [0, 0, 0, 0]),
    key("debug", Bool, [0, N, N, N]),
    key("distributed-tracing-address", Text, [N, N, 0, 0]),
    key("distributed-tracing-instance-id", Text, [N, N, 0, 0]),
    key("distributed-tracing-sampling-rate", Integer, [N, N, 0, 0]),
    key("distributed-tracing-service-name", Text, [N, N, 0, 0]),
    key("downgrade-check-time", Nanoseconds, [N, N, 0, 0]),
    key("enable-distributed-tracing", Bool, [N, N, 0, 0]),
    key("enable-grpc-gateway", Bool, [0, 0, 0, 0]),
    key("enable-log-rotation", Bool, [N, 0, 0, 0]),
    key("enable-pprof", Bool, [0, 0, 0, 0]),
    key("enable-v2", Bool, [0, 0, N, N]),
    key("experimental-backend-bbolt-freelist-type", Text, [0, N, N, N]),
    key("experimental-bootstrap-defrag-threshold-megabytes", Unsigned, [N, 0, 0, N]),
    key("experimental-compact-hash-check-enabled", Bool, [N, 5, 0, N]),
    key("experimental-compact-hash-check-time", Nanoseconds, [N, 5, 0, N]),
    key("experimental-compaction-batch-limit", Integer, [0, 0, 0, N]),
    key("experimental-compaction-sleep-interval", Nanoseconds, [N, 16, 0, N]),
    key("experimental-corrupt-check-time", Nanoseconds, [0, 0, 0, N]),
    key("experimental-distributed-tracing-address", Text, [N, 0, 0, N]),
    key("experimental-distributed-tracing-instance-id", Text, [N, 0, 0, N]),
    key("experimental-distributed-tracing-sampling-rate", Integer, [N, 11, 0, N]),
    key("experimental-distributed-tracing-service-name", Text, [N, 0, 0, N]),
    key("experimental-downgrade-check-time", Nanoseconds, [N, 0, 0, N]),
    key("experimental-enable-distributed-tracing", Bool, [N, 0, 0, N]),
    key("experimental-enable-lease-checkpoint", Bool, [0, 0, 0, N]),
    key("experimental-enable-lease-checkpoint-persist", Bool, [20, 2, 0, N]),
    key("experimental-enable-v2v3", Text, [0, 0, N, N]),
    key("experimental-initial-corrupt-check", Bool, [0, 0, 0, N]),
    key("experimental-memory-mlock", Bool, [N, 0, 0, N]),
    key("experimental-peer-skip-client-san-verification", Bool, [N, N, 0, N]),
    key("experimental-snapshot-catch-up-entries", Unsigned, [N, 13, 0, N]),
    key("experimental-stop-grpc-service-on-defrag", Bool, [N, 13, 0, N]),
    key("experimental-txn-mode-write-with-shared-buffer", Bool, [N, 0, 0, N]),
    key("experimental-warning-apply-duration", Nanoseconds, [16, 0, 0, N]),
    key("experimental-warning-unary-request-duration", Nanoseconds, [N, N, 0, N]),
    key("experimental-watch-progress-notify-interval", Nanoseconds, [11, 0, 0, N]),
    key("feature-gates", Text, [N, N, 0, 0]),
    key("grpc-keepalive-interval", Nanoseconds, [0, 0, 0, 0]),
    key("grpc-keepalive-min-time", Nanoseconds, [0, 0, 0, 0]),
    key("grpc-keepalive-timeout", Nanoseconds, [0, 0, 0, 0]),
    key("host-whitelist", Text, [0, 0, 0, 0]),
    key("initial-election-tick-advance", Bool, [0, 0, 0, 0]),
    key("log-format", Text, [N, N, 0, 0]),
    key("log-level", Text, [0, 0, 0, 0]),
    key("log-output", Texts, [0, N, N, N]),
    key("log-outputs", Texts, [0, 0, 0, 0]),
    key("log-package-levels", Text, [0, N, N, N]),
    key("log-rotation-config-json", Text, [N, 0, 0, 0]),
    key("logger", Text, [0, 0, 0, 0]),
    key("max-concurrent-streams", Unsigned, [20, 5, 0, 0]),
    key("max-learners", Integer, [N, N, 0, 0]),
    key("max-request-bytes", Unsigned, [0, 0, 0, 0]),
    key("max-snapshots", Unsigned, [0, 0, 0, 0]),
    key("max-txn-ops", Unsigned, [0, 0, 0, 0]),
    key("max-wals", Unsigned, [0, 0, 0, 0]),
    key("memory-mlock", Bool, [N, N, 0, 0]),
    key("metrics", Text, [0, 0, 0, 0]),
    key("pre-vote", Bool, [0, 0, 0, 0]),
    key("snapshot-catchup-entries", Unsigned, [N, N, 0, 0]),
    key("snapshot-count", Unsigned, [0, 0, 0, 0]),
    key("socket-options", Table, [N, 10, 0, 0]),
    key("tls-max-version", Text, [25, 8, 0, 0]),
    key("tls-min-version", Text, [25, 8, 0, 0]),
    key("v2-deprecation", Text, [N, 0, 0, 0]),
    key("warning-apply-duration", Nanoseconds, [N, N, 0, 0]),
    key("warning-unary-request-duration", Nanoseconds, [N, N, 0, 0]),
    key("watch-progress-notify-interval", Nanoseconds, [N, N, 0, 0]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_named_once() {
        assert!(FLAGS.is_sorted() && SWITCHES.is_sorted());
        for flag in FLAGS {
            assert!(find(flag).is_none() && owner(flag).is_none(), "{flag}");
        }
        for switch in SWITCHES {
            assert!(is_setting(switch) && find(switch).is_none(), "{switch}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_holds_nothing_of_ours() {
        assert!(KEYS.is_sorted_by_key(|key| key.name));
        for key in KEYS {
            assert_eq!(owner(key.name), None, "{}", key.name);
            assert!(key.since.iter().any(|&first| first != N), "{}", key.name);
        }
    }

    #[test]
    fn a_key_is_known_from_its_first_patch_on() {
        let key = find("tls-min-version").unwrap();
        assert!(!key.is_known_to(Version::new(3, 5, 7)));
        assert!(key.is_known_to(Version::new(3, 5, 8)));
        assert!(key.is_known_to(Version::new(3, 7, 0)));
        assert_eq!(key.versions(), "3.4 from 3.4.25, 3.5 from 3.5.8, 3.6, 3.7");
        assert!(!find("feature-gates").unwrap().is_known_to(Version::new(3, 5, 35)));
        assert!(!key.is_known_to(Version::new(3, 8, 0)));
    }

    #[test]
    fn each_minor_version_knows_as_many_keys_as_were_counted() {
        let counts =
            [(4, 23), (5, 35), (6, 16), (7, 3)].map(|(minor, patch)| known_to(Version::new(3, minor, patch)).count());
        assert_eq!(counts, [38, 55, 74, 51]);
    }
}
