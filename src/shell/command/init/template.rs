//! The text of a new cluster.toml: the values that are known, and every other key with its default, commented out.

use super::NamedNode;
use super::archive::Archive;
use crate::core::desired::ArchiveLocation;
use crate::core::names::Version;

/// What the user said about the cluster.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub name: String,
    pub version: Version,
    pub nodes: Vec<NamedNode>,
    pub ssh_user: Option<String>,
    pub archive: Option<Archive>,
}

/// The text, which `parse` accepts for every sound sketch.
pub(super) fn text(sketch: &Sketch) -> String {
    let mut text = String::from(HEAD);
    text.push_str("[cluster]\n");
    text.push_str(&line("name", &quoted(&sketch.name), ""));
    text.push_str(&line("version", &quoted(&sketch.version.to_string()), "the etcd to run: 3.4, 3.5, 3.6 or 3.7"));
    text.push_str(CLUSTER);
    for (index, node) in sketch.nodes.iter().enumerate() {
        text.push_str(&format!("[nodes.{}]\n", key(&node.name)));
        let first = index == 0;
        let note = if first { "the IP address or DNS name that peers and clients use" } else { "" };
        text.push_str(&line("address", &quoted(&node.address), note));
        if first {
            let note = "host, alias of your ssh config, or user@host:port; default: the address";
            text.push_str(&line("# ssh", &quoted("etcd-1.example"), note));
        }
        text.push('\n');
    }
    text.push_str(PORTS);
    text.push_str("[ssh]\n");
    let user = sketch.ssh_user.as_deref();
    text.push_str(&line(
        if user.is_some() { "user" } else { "# user" },
        &quoted(user.unwrap_or("ops")),
        "default: what your ssh config says, or your own name",
    ));
    text.push_str(SSH_AND_ETCD);
    text.push_str(&archive(sketch.archive.as_ref()));
    text.push_str(REST);
    text
}

fn archive(archive: Option<&Archive>) -> String {
    let Some(archive) = archive else { return ARCHIVE_UNKNOWN.to_owned() };
    let mut text = format!("{ARCHIVE_INTRODUCTION}[etcd.archive]\n");
    text.push_str(&match &archive.location {
        ArchiveLocation::Url(url) => line("url", &quoted(url), ""),
        ArchiveLocation::Path(path) => line("path", &quoted(path), ""),
    });
    for (architecture, digest) in &archive.sha256 {
        text.push_str(&line(&format!("sha256.{architecture}"), &quoted(&digest.to_string()), ""));
    }
    text.push_str(ARCHIVE_VIA);
    text
}

/// `key = value` with its note in the column where all notes stand.
fn line(key: &str, value: &str, note: &str) -> String {
    let setting = format!("{key} = {value}");
    if note.is_empty() { format!("{setting}\n") } else { format!("{setting:<34}# {note}\n") }
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name as a bare key where TOML allows one.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { name.to_owned() } else { quoted(name) }
}

const HEAD: &str = "\
# What this etcd cluster should be. `quorate plan` shows what would change, `quorate apply` changes it.
#
# A line such as `# client = 2379` shows a key and its default, or an example where it says so.
# Durations and sizes carry their unit: \"100ms\", \"8h\", \"365d\", \"8GiB\". Paths start beside this file.

";

const CLUSTER: &str = "\
# downtime = \"never\"              # or \"allowed\": clusters of one or two members cannot restart one without it
# layout = \"default\"              # which paths: default, or canonical (Canonical Kubernetes)
# runtime = \"systemd\"             # what runs etcd on the hosts
# topology = \"external\"           # etcd is not a part of Kubernetes' own pods

# One section for each member: the section's name is the member's name.
";

const PORTS: &str = "\
[ports]
# client = 2379
# peer = 2380
# metrics = 2381                  # /metrics and /health

";

const SSH_AND_ETCD: &str = "\
# config = \"~/.ssh/config\"        # default: your own, and the system's
# known-hosts = \"known_hosts\"     # default: your own; a key that is unknown or changed is refused
# sudo = true                     # `sudo -n`; default: only when the user is not root
# etcd-access = \"tunnel\"          # through the ssh connection, or \"direct\" to the client port

# etcd's own settings. Without a line etcd's default holds, which the examples show.
[etcd]
# quota-backend = \"2GiB\"          # the largest database; etcd advises at most 8GiB
# heartbeat-interval = \"100ms\"
# election-timeout = \"1s\"         # at least five heartbeats, and at most 50s
# auto-compaction = { mode = \"periodic\", retention = \"8h\" }    # default: none, as Kubernetes compacts by itself
# extra = { max-request-bytes = 1572864 }    # any other key of etcd's config file

";

const ARCHIVE_INTRODUCTION: &str = "\
# Where the binaries come from: a release archive, checked here and sent over ssh; the hosts need no internet.
";

const ARCHIVE_VIA: &str = "\
# [etcd.archive.via]              # the stops of an upgrade over more than one minor version
# \"3.6.16\" = { amd64 = \"SHA-256\" }

";
const ARCHIVE_UNKNOWN: &str = "\
# Where the binaries come from: a release archive, checked here and sent over ssh; the hosts need no internet.
# Until this is filled in, etcd must be on the hosts already, below [paths] binaries.
# The digest is in SHA256SUMS beside the archive, or: curl -sL URL | sha256sum
# [etcd.archive]
# url = \"https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz\"
# sha256 = { amd64 = \"…\" }

";

const REST: &str = "\
# Who signs the certificates.
# generated: ca.crt and ca.key (0600) are made in `dir`, once, and are yours to back up.
# files:     `certificate` and `key` of an authority that you have, such as kubeadm's; with `passphrase` if it is encrypted.
# external:  `certificate` alone; each node names its own pairs, and `client` and `client-key` are for our connection.
# vault:     Vault's PKI engine at `address` signs by `role`; `token` or `approle` say as whom we come.
# node:      ca.crt and ca.key (0600) lie on every node, in the folder of the certificates or at `certificate` and `key`.
[ca]
# source = \"generated\"
# dir = \"pki\"

[certificates]
# validity = \"365d\"
# renew-before = \"90d\"            # default: 90 days, or a quarter of the validity if that is less
# server-names = []               # more names for every server certificate, such as \"etcd.example\"

# Where things lie on the hosts. The defaults are the layout's.
[paths]
# config = \"/etc/etcd/etcd.yaml\"
# data = \"/var/lib/etcd\"
# certificates = \"/etc/etcd/pki\"
# service = \"etcd.service\"
# binaries = \"/opt/etcd\"          # one folder for each version

# Who may do what with which keys. A user is known by the common name of its client certificate. Without [auth], users
# and authentication stay as they are.
# [auth]
# enabled = true
# [users.app]
# prefix = \"/app/\"                # or permissions = [{ prefix = \"/app/\", access = \"read\" }], or roles = [\"root\"]

# Clients of the cluster whose certificates are kept with its own: issued, renewed and rotated.
# [consumers.app]
# host = \"app-1.example\"          # a node, or what ssh connects to
# user = \"app\"                    # the common name; default: the name of the section
# certificate = \"/etc/app/etcd.crt\"
# key = \"/etc/app/etcd.key\"
# ca = \"/etc/app/etcd-ca.crt\"     # where it reads whom to trust; leave it out if that is kept otherwise
# owner = \"root\"
# reload = \"systemctl reload app\"

# Snapshots on a schedule: every named node stands ready, and one of them takes each. Without [backup], none are taken.
# [backup]
# schedule = \"0 * * * *\"          # cron, in UTC: minute, hour, day of the month, month, day of the week
# keep = 14                       # the newest ones that stay, on each node
# compression = \"zstd\"            # or \"gzip\", or \"none\"; the program must be on the nodes
# directory = \"/var/backups/etcd\"
# nodes = [\"etcd-1\"]              # default: all
# max-age = \"2h\"                  # default: none; a last snapshot that is older is told by plan and status
# metrics = \"/var/lib/prometheus/node-exporter\"    # for node exporter's textfile collector; default: there, if it exists
# offsite = \"s3://bucket/prefix\"  # default: none; or \"file:///srv/etcd\"
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::desired::{Desired, parse, render};

    fn sketch(nodes: &[(&str, &str)]) -> Sketch {
        let nodes = nodes.iter().map(|(name, address)| NamedNode { name: (*name).into(), address: (*address).into() });
        Sketch {
            name: "prod".to_owned(),
            version: Version::new(3, 6, 16),
            nodes: nodes.collect(),
            ssh_user: None,
            archive: None,
        }
    }

    fn three() -> Sketch {
        sketch(&[("etcd-1", "10.0.0.11"), ("etcd-2", "10.0.0.12"), ("etcd-3", "10.0.0.13")])
    }

    fn read(text: &str) -> Desired {
        parse(text, "cluster.toml", Path::new("/ops"), Some(Path::new("/root")))
            .unwrap_or_else(|problems| panic!("{}\n{text}", render(&problems, text, "cluster.toml", false)))
    }

    #[test]
    fn it_parses_for_clusters_of_every_size_and_kind_of_address() {
        for nodes in [
            &[("one", "127.0.0.1")] as &[_],
            &[("a.b", "fd00::11"), ("b_c", "etcd-2.example"), ("3", "10.0.0.3")],
            &[("a", "h1"), ("b", "h2"), ("c", "h3"), ("d", "h4"), ("e", "h5")],
        ] {
            let desired = read(&text(&sketch(nodes)));
            let found: Vec<_> =
                desired.nodes.iter().map(|(name, node)| (name.as_str(), node.address.as_str())).collect();
            let mut expected = nodes.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn every_commented_default_is_the_default() {
        let text = text(&three());
        let as_written = read(&text);
        for line in text.lines() {
            // What it uncomments to; prose has no ` = ` after its first word.
            let Some(setting) = line.strip_prefix("# ").filter(|rest| rest.split(' ').nth(1) == Some("=")) else {
                continue;
            };
            let key = setting.split(' ').next().unwrap_or_default();
            let no_default = [
                "ssh",
                "user",
                "config = \"~",
                "known-hosts",
                "sudo",
                "auto-compaction",
                "extra",
                "url",
                "sha256",
                "enabled",
                "prefix",
                "host",
                "certificate =",
                "key",
                "ca =",
                "owner",
                "reload",
            ];
            // What belongs to a section that is not there.
            let backups = ["schedule", "keep", "compression", "directory", "nodes", "max-age", "metrics", "offsite"];
            let etcds = ["quota-backend", "heartbeat-interval", "election-timeout"];
            if no_default.iter().chain(&etcds).chain(&backups).any(|other| key == *other || setting.starts_with(other))
            {
                continue;
            }
            let mut changed = read(&text.replacen(line, setting, 1));
            changed.places = as_written.places.clone();
            assert_eq!(changed, as_written, "{line}");
        }
    }

    #[test]
    fn every_commented_line_can_be_uncommented() {
        let text = text(&three());
        let mut uncommented = String::new();
        for line in text.lines() {
            let setting = line.strip_prefix("# ").filter(|rest| {
                let word = rest.split(' ').nth(1);
                let headings = ["[etcd.archive]", "[auth]", "[users.app]", "[consumers.app]", "[backup]"];
                word == Some("=") || headings.contains(rest)
            });
            uncommented.push_str(setting.unwrap_or(line));
            uncommented.push('\n');
        }
        let desired = read(&uncommented.replace('…', &"0".repeat(64)));
        assert_eq!(desired.etcd.heartbeat_interval_ms, Some(100));
        assert_eq!(desired.ssh.known_hosts.as_deref(), Some(Path::new("/ops/known_hosts")));
        let backup = desired.backup.expect("it is declared");
        let bare = read(&text.replace("# [backup]\n# schedule", "[backup]\nschedule")).backup.expect("it is declared");
        assert_eq!(
            (backup.keep, backup.compression, &backup.directory),
            (bare.keep, bare.compression, &bare.directory)
        );
    }

    #[test]
    fn the_notes_stand_in_one_column() {
        for line in text(&three()).lines() {
            if let Some(column) = line.rfind("  # ") {
                let is_long = line[..column].trim_end().len() > 32;
                assert!(column == 32 || is_long, "{line}");
            }
        }
    }
}
