//! The text of the files that quorate keeps on a host: etcd.yaml, what starts etcd, and the new-data marker.
//!
//! Same declaration, same bytes: a difference in text is a difference in meaning, or someone's hand.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::core::desired::{CompactionMode, Desired};
use crate::core::names::{Digest, HostName, PeerUrl, Token};
use crate::core::observed::File;
use crate::core::url;

pub mod adopted;
pub mod backup;
pub mod declared;
pub mod duration;
pub mod form;
pub mod kubeadm;
pub mod layout;
pub mod runtime;
pub mod settings;
mod systemd;

const BANNER: &str =
    "# Kept by quorate from cluster.toml: what is changed here by hand is put back by the next apply.\n";

/// Whether a file is one that we keep.
pub fn is_kept(text: &str) -> bool {
    text.starts_with(BANNER)
}

/// The part of etcd.yaml that etcd reads only while it has no data directory.
///
/// Once a member has data these lines mean nothing, so they are kept as they are on each host: adding a node must not
/// rewrite the files of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    /// `name=https://address:2380,…`
    pub cluster: String,
    /// `new` or `existing`.
    pub state: String,
    pub token: Token,
}

impl Initial {
    /// For the first start of a cluster of all declared nodes.
    pub fn new_cluster(desired: &Desired, token: Token) -> Self {
        Self { cluster: declared_members(desired), state: "new".to_owned(), token }
    }

    /// Whether a cluster begins with it.
    pub fn is_new(&self) -> bool {
        self.state == "new"
    }

    /// For a member that is in the cluster already, and whose file must be written again.
    pub fn member(desired: &Desired) -> Self {
        let token = Token::new(desired.cluster.name.as_str());
        Self { cluster: declared_members(desired), state: "existing".to_owned(), token }
    }

    /// For a member that joins a cluster: etcd compares this with the member list, by URL and count.
    pub fn joining(desired: &Desired, members: &BTreeMap<PeerUrl, HostName>) -> Self {
        let members: Vec<_> = members.iter().map(|(url, name)| format!("{name}={url}")).collect();
        let token = Token::new(desired.cluster.name.as_str());
        Self { cluster: members.join(","), state: "existing".to_owned(), token }
    }

    /// From an etcd.yaml on a host; `None` unless all three lines are there.
    pub fn read(text: &str) -> Option<Self> {
        Some(Self {
            cluster: value_of(MEMBERS_KEY, text)?.to_owned(),
            state: value_of("initial-cluster-state", text)?.to_owned(),
            token: Token::new(value_of(TOKEN_KEY, text)?),
        })
    }
}

/// The peer URL that a member with this etcd.yaml answers at.
pub fn advertised_peer_url(text: &str) -> Option<&str> {
    value_of("initial-advertise-peer-urls", text)
}

/// Whether a member with this etcd.yaml shows the certificates that are declared, and not others.
pub fn names_declared_pairs(desired: &Desired, host: &HostName, text: &str) -> bool {
    let value = |line: &str| {
        let (key, value) = line.trim_start().split_once(':')?;
        ["cert-file", "key-file"].contains(&key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let named: BTreeSet<_> = text.lines().filter_map(value).collect();
    let files = [File::ServerCertificate, File::ServerKey, File::PeerCertificate, File::PeerKey];
    named == files.map(|file| layout::path(desired, host, file).to_string()).into()
}

/// The quota in this file of settings, in bytes; `None` where etcd's default holds.
pub fn quota_backend(desired: &Desired, text: &str) -> Option<i64> {
    adopted::setting(desired, text, "quota-backend-bytes")?.parse().ok()
}

/// The election timeout in this file of settings, in milliseconds; `None` where etcd's default holds.
pub fn election_timeout(desired: &Desired, text: &str) -> Option<u64> {
    adopted::setting(desired, text, "election-timeout")?.parse().ok()
}

/// From the first line `key: value`.
fn value_of<'a>(key: &str, text: &'a str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().trim_matches('"')))
}

/// A name as YAML takes it for text. Go's YAML reads a bare `no` or `3` as something else, and etcd does not start: "cannot
/// unmarshal number into … name of type string" (3.5.30). All others stay bare, as they always were.
fn yaml_text(name: &str) -> Cow<'_, str> {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_word = || WORDS.iter().any(|word| name.eq_ignore_ascii_case(word));
    let digits = name.replace('_', "").to_ascii_lowercase();
    let is_based = || {
        let digits = ["0x", "0o", "0b"].iter().find_map(|base| digits.strip_prefix(base));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let is_number = || name.starts_with(|c: char| c.is_ascii_digit()) && (digits.parse::<f64>().is_ok() || is_based());
    if is_word() || is_number() { Cow::Owned(format!("\"{name}\"")) } else { Cow::Borrowed(name) }
}

const TOKEN_KEY: &str = "initial-cluster-token";

const MEMBERS_KEY: &str = "initial-cluster";

fn declared_members(desired: &Desired) -> String {
    let members: Vec<_> = desired.nodes.keys().map(|host| format!("{host}={}", desired.peer_url(host))).collect();
    members.join(",")
}

/// etcd.yaml for one host. The file is complete: with `--config-file` etcd reads neither flags nor environment.
pub fn etcd_yaml(desired: &Desired, host: &HostName, initial: &Initial) -> String {
    let address = &desired.nodes[host].address;
    let mut text = String::from(BANNER);
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{key}: {value}").expect("a String takes every write");
    };
    line("name", &yaml_text(host.as_str()));
    line("data-dir", &desired.paths.data);
    line("listen-client-urls", &client_listen_urls(address, desired.ports.client));
    line("advertise-client-urls", &desired.client_url(host));
    line("listen-peer-urls", &listen_url(address, desired.ports.peer));
    line("initial-advertise-peer-urls", &desired.peer_url(host));
    // Metrics carry no secret, but need no certificate either: on loopback only, as kubeadm has it.
    line("listen-metrics-urls", &format!("http://127.0.0.1:{}", desired.ports.metrics));
    line(MEMBERS_KEY, &initial.cluster);
    line("initial-cluster-state", &initial.state);
    line(TOKEN_KEY, &yaml_text(initial.token.as_str()));
    text + &transport_security(desired, host) + &etcd_section(desired)
}

/// The part of etcd.yaml that `[etcd]` declares.
fn etcd_section(desired: &Desired) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{key}: {value}").expect("a String takes every write");
    };
    let settings = &desired.etcd;
    for (key, value) in [
        ("quota-backend-bytes", settings.quota_backend_bytes),
        ("heartbeat-interval", settings.heartbeat_interval_ms),
        ("election-timeout", settings.election_timeout_ms),
    ] {
        if let Some(value) = value {
            line(key, &value);
        }
    }
    if let Some(compaction) = &settings.auto_compaction {
        let mode = match compaction.mode {
            CompactionMode::Periodic => "periodic",
            CompactionMode::Revision => "revision",
        };
        line("auto-compaction-mode", &mode);
        line("auto-compaction-retention", &format_args!("\"{}\"", compaction.retention));
    }
    if !settings.extra.is_empty() {
        text.push_str(&yaml_serde::to_string(&settings.extra).expect("settings are plain data"));
    }
    text
}

/// The part of etcd.yaml that names the files of certificates.
pub fn transport_security(desired: &Desired, host: &HostName) -> String {
    let path = |file| layout::path(desired, host, file);
    let section = |name: &str, certificate: File, key: File| {
        format!(
            "{name}:\n  cert-file: {}\n  key-file: {}\n  client-cert-auth: true\n  trusted-ca-file: {}\n",
            path(certificate),
            path(key),
            path(File::Trust)
        )
    };
    section("client-transport-security", File::ServerCertificate, File::ServerKey)
        + &section("peer-transport-security", File::PeerCertificate, File::PeerKey)
}

/// A client port answers on loopback too, for etcdctl on the host itself.
fn client_listen_urls(address: &str, port: u16) -> String {
    let own = listen_url(address, port);
    match loopback(address) {
        Some(loopback) => format!("{own},{}", url::https(loopback, port)),
        None => own,
    }
}

/// The loopback address to listen on beside this one; `None` where that is included.
fn loopback(address: &str) -> Option<&'static str> {
    match address.parse() {
        Ok(core::net::IpAddr::V4(ip)) if !ip.is_loopback() => Some("127.0.0.1"),
        Ok(core::net::IpAddr::V6(ip)) if !ip.is_loopback() => Some("::1"),
        _ => None,
    }
}

/// etcd binds to addresses only: where a DNS name is declared, to all of them.
fn listen_url(address: &str, port: u16) -> String {
    match address.parse::<core::net::IpAddr>() {
        Ok(ip) => url::https(&ip.to_string(), port),
        Err(_) => url::https("0.0.0.0", port),
    }
}

/// A cluster's life that begins with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restoration {
    /// The SHA-256 that the snapshot ends in.
    pub digest: Digest,
    pub token: Token,
}

/// No cluster makes as many revisions in a second, for as long as one life of it may take.
const REVISIONS_A_SECOND: u64 = 10_000;

/// For a token that does not end in a time: etcd's own documentation says that this is enough.
const REVISIONS_AHEAD: u64 = 1_000_000_000;

impl Restoration {
    /// By how much the revisions go on, the same for all members: beyond all that clients have seen, also of the cluster
    /// that a restore of the same snapshot made before. So it grows with the time, which the token ends in.
    pub fn revisions_ahead(&self) -> u64 {
        let begun = self.token.as_str().rsplit('-').next().and_then(|begun| begun.parse::<u64>().ok());
        // Dates of this century and the next, whatever a token may end in.
        let begun = begun.filter(|begun| (1_500_000_000..7_000_000_000).contains(begun));
        begun.map_or(REVISIONS_AHEAD, |begun| begun * REVISIONS_A_SECOND)
    }
}

/// What lies on a host while a restore is under way, of these members.
pub fn restore_note(desired: &Desired, restoration: &Restoration) -> String {
    let note = restored_from("# A restore is under way: `quorate restore` goes on with it.", restoration);
    format!("{note}{MEMBERS_KEY}: {}\n", declared_members(desired))
}

/// Whether the restore that is noted was begun for the members that are declared. One of others would make a cluster of
/// another id, though under the same token: etcd makes the id from both.
pub fn is_restore_of(desired: &Desired, note: &str) -> bool {
    value_of(MEMBERS_KEY, note) == Some(declared_members(desired).as_str())
}

/// What lies beside the data that was restored.
pub fn restore_mark(restoration: &Restoration) -> String {
    restored_from("# quorate restored this data.", restoration)
}

fn restored_from(banner: &str, Restoration { digest, token }: &Restoration) -> String {
    format!("{banner}\nsnapshot: {digest}\n{TOKEN_KEY}: {token}\n")
}

/// `None` unless both lines are there.
pub fn read_restoration(text: &str) -> Option<Restoration> {
    let token = token_of_marker(value_of(TOKEN_KEY, text)?)?;
    Some(Restoration { digest: value_of("snapshot", text)?.parse().ok()?, token })
}

/// The marker carries the token of the life that it is for.
pub fn new_data_marker(token: &Token) -> String {
    format!("{token}\n")
}

/// The token in a marker that was found on a host.
pub fn token_of_marker(text: &str) -> Option<Token> {
    let token = text.trim();
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Token::new(token))
}

/// `text` with the token blotted out: a token is made anew for every plan until one is on a host, and must not make two
/// plans of the same change differ.
pub fn without_token(file: File, text: &str) -> String {
    match file {
        File::NewDataMarker => String::new(),
        _ => {
            let says = |line: &str| line.trim_start_matches([' ', '-']).starts_with(TOKEN_KEY);
            let kept = text.lines().filter(|line| !says(line));
            kept.flat_map(|line| [line, "\n"]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::ClusterName;
    use crate::laws::sample;

    /// As go-yaml has them: each of the first was tried with etcd 3.5.30, which started with none of them.
    #[test]
    fn a_name_that_yaml_takes_for_something_else_is_quoted() {
        for name in ["3", "1e3", "0x1f", "1_000", "1.5", "010", "no", "Y", "off", "null"] {
            assert_eq!(yaml_text(name), format!("\"{name}\""), "{name}");
        }
        for name in ["etcd-1", "3a", "10-1", "1.2.3", "e3", "inf", "nope", "2001-01-01", "a_1"] {
            assert_eq!(yaml_text(name), name);
        }
        let mut desired = sample::desired(1);
        let node = desired.nodes.values().next().expect("one is declared").clone();
        desired.nodes = [(HostName::new("3"), node)].into();
        desired.cluster.name = ClusterName::new("1e3");
        let text = etcd_yaml(&desired, &HostName::new("3"), &Initial::member(&desired));
        assert!(text.starts_with(&format!("{BANNER}name: \"3\"\n")), "{text}");
        assert!(text.contains("\ninitial-cluster-token: \"1e3\"\n"), "{text}");
        assert_eq!(Initial::read(&text), Some(Initial::member(&desired)));
    }
}
