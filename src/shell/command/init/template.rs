//! The text of a new cluster.toml: the values that are known, and every other key with its default, commented out. Its
//! comments are those of the table of keys.

use std::collections::BTreeMap;

use super::archive::Archive;
use crate::core::cluster::adoption::DeclaredNode;
use crate::core::desired::ArchiveLocation;
use crate::core::desired::keys::{self, Default, Key};
use crate::core::names::Version;

/// What is known about the cluster.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// What a reader of the file is to know first: plain sentences.
    pub preface: String,
    pub name: String,
    pub version: Version,
    pub nodes: Vec<DeclaredNode>,
    /// The values of other keys, as they are written in TOML, by section and key.
    pub known: Known,
    pub archive: Option<Archive>,
}

impl Sketch {
    /// With nothing known but what every cluster.toml says.
    pub fn new(name: String, version: Version, nodes: Vec<DeclaredNode>) -> Self {
        Self { preface: String::new(), name, version, nodes, known: Known::new(), archive: None }
    }
}

pub(super) type Known = BTreeMap<(&'static str, &'static str), String>;

/// The text, which `parse` accepts for every sound sketch.
pub(super) fn text(sketch: &Sketch) -> String {
    let mut text = String::from(HEAD);
    if !sketch.preface.is_empty() {
        text.push_str(&format!("#\n{}", comment(&sketch.preface)));
    }
    text.push('\n');
    text.push_str(&cluster(sketch));
    text.push_str(&nodes(sketch));
    let known = &sketch.known;
    for path in ["ports", "ssh", "etcd"] {
        text.push_str(&section(path, Head::Declared, &[], known));
    }
    text.push_str(&archive(sketch.archive.as_ref(), known));
    text.push_str(&section("ca", Head::Declared, &OF_OTHER_CAS, known));
    for path in ["certificates", "paths"] {
        text.push_str(&section(path, Head::Declared, &[], known));
    }
    for path in ["auth", "users.NAME", "consumers.NAME", "backup"] {
        let head = if known.keys().any(|(section, _)| *section == path) { Head::Declared } else { Head::Commented };
        text.push_str(&section(path, head, &ALTERNATIVES, known));
    }
    text.pop();
    text
}

/// The keys of [ca] that the default source does not take, or that few need: the section's comment tells of the others.
const OF_OTHER_CAS: [&str; 14] = [
    "certificate",
    "key",
    "passphrase",
    "age",
    "reader",
    "client",
    "client-key",
    "address",
    "role",
    "mount",
    "namespace",
    "vault-ca",
    "token",
    "approle",
];

/// The key of [etcd] that static pods alone take.
const OF_PODS: &str = "image";

/// What cannot stand beside the first of several keys.
const ALTERNATIVES: [&str; 2] = ["permissions", "roles"];

fn cluster(sketch: &Sketch) -> String {
    let known = keys::section("cluster").expect("it is in the table");
    let mut text = String::from("[cluster]\n");
    for key in known.keys {
        text.push_str(&match key.name {
            "name" => setting("name", &quoted(&sketch.name), ""),
            "version" => setting("version", &quoted(&sketch.version.to_string()), key.about),
            name => match sketch.known.get(&("cluster", name)) {
                Some(value) => setting(name, value, key.about),
                None => commented(key),
            },
        });
    }
    text + "\n"
}

fn nodes(sketch: &Sketch) -> String {
    let known = keys::section("nodes.NAME").expect("it is in the table");
    let mut text = comment(known.about);
    for (index, node) in sketch.nodes.iter().enumerate() {
        text.push_str(&format!("[nodes.{}]\n", bare(&node.name)));
        for key in known.keys {
            let about = if index == 0 { key.about } else { "" };
            match (key.name, &node.ssh) {
                ("hostname", _) if node.hostname.is_some() => {
                    let hostname = node.hostname.as_deref().unwrap_or_default();
                    text.push_str(&setting("hostname", &quoted(hostname), about));
                }
                ("address", _) => text.push_str(&setting("address", &quoted(&node.address), about)),
                ("ssh", Some(ssh)) => text.push_str(&setting("ssh", &quoted(ssh), about)),
                ("peer-names", _) if !node.peer_names.is_empty() => {
                    let names: Vec<_> = node.peer_names.iter().map(|name| quoted(name)).collect();
                    text.push_str(&setting("peer-names", &format!("[{}]", names.join(", ")), about));
                }
                _ if index == 0 => text.push_str(&commented(key)),
                _ => {}
            }
        }
        text.push('\n');
    }
    text
}

/// Whether the header stands in a comment, as the section is not there without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Declared,
    Commented,
}

/// A section with all its keys but some, each in a comment unless its value is known and not the default.
fn section(path: &'static str, head: Head, without: &[&str], known: &Known) -> String {
    let section = keys::section(path).expect("it is in the table");
    let is_adopted = known.contains_key(&("cluster", "layout"));
    let mut text = comment(if is_adopted && path == "etcd" { KEPT_SETTINGS } else { section.about });
    let mark = if head == Head::Commented { "# " } else { "" };
    text.push_str(&format!("{mark}[{}]\n", path.replace("NAME", "app")));
    for key in section.keys.iter().filter(|key| key.name != OF_PODS) {
        // Other layouts have other paths by default.
        let has_own = path == "paths" && is_adopted;
        let is_default =
            |value: &&String| matches!(key.default, Default::Value(default) if default == value.as_str()) && !has_own;
        match known.get(&(path, key.name)).filter(|value| !is_default(value)) {
            Some(value) => text.push_str(&setting(key.name, value, key.about)),
            None if without.contains(&key.name) => {}
            None => text.push_str(&commented(key)),
        }
    }
    text + "\n"
}

/// Of `[etcd]`, where somebody else has set it up.
const KEPT_SETTINGS: &str = "etcd's own settings. What is left out stays as it is in the file on each host. A change is a \
                             rolling restart, one member at a time.";

fn archive(archive: Option<&Archive>, known: &Known) -> String {
    let section = keys::section("etcd.archive").expect("it is in the table");
    let key = |name: &str| section.key(name).expect("it is in the table");
    let mut text = comment(section.about);
    if let Some(folder) = known.get(&("etcd.archive", "preinstalled")) {
        return text + "[etcd.archive]\n" + &setting("preinstalled", folder, key("preinstalled").about) + "\n";
    }
    let Some(archive) = archive else {
        text.push_str("# [etcd.archive]\n");
        for name in ["url", "sha256"] {
            text.push_str(&commented(key(name)));
        }
        return text + "\n";
    };
    text.push_str("[etcd.archive]\n");
    text.push_str(&match &archive.location {
        ArchiveLocation::Url(url) => setting("url", &quoted(url), ""),
        ArchiveLocation::Path(path) => setting("path", &quoted(path), ""),
    });
    for (architecture, digest) in &archive.sha256 {
        text.push_str(&setting(&format!("sha256.{architecture}"), &quoted(&digest.to_string()), ""));
    }
    text.push_str(&commented(key("via")));
    text + "\n"
}

/// `# key = value` with its note: what it means, what it can be, and what holds without it where that is not the value.
fn commented(key: &Key) -> String {
    let mut note = key.about.to_owned();
    if let Some(choices) = key.shape.choices() {
        note.push_str(&format!(": {choices}"));
    }
    if let Default::Words(words) = key.default {
        note.push_str(&format!("; default: {words}"));
    }
    setting(&format!("# {}", key.name), &key.shown().replace(&"0".repeat(64), "SHA-256"), &note)
}

/// `key = value` with its note in the column where all notes stand, or above it where both are long.
fn setting(key: &str, value: &str, note: &str) -> String {
    let setting = format!("{key} = {value}");
    match note {
        "" => format!("{setting}\n"),
        note if setting.len() > COLUMN && setting.len() + note.len() > WIDTH => format!("# {note}:\n{setting}\n"),
        note if setting.len() + 2 > COLUMN => format!("{setting}  # {note}\n"),
        note => format!("{setting:<COLUMN$}# {note}\n"),
    }
}

const COLUMN: usize = 34;
const WIDTH: usize = 120;

/// `text` as comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name as a bare key where TOML allows one.
fn bare(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain { name.to_owned() } else { quoted(name) }
}

const HEAD: &str = "\
# What this etcd cluster should be. `quorate plan` shows what would change, `quorate apply` changes it.
#
# A line such as `# client = 2379` shows a key and its default, or an example where it says so.
# Durations and sizes carry their unit: \"100ms\", \"8h\", \"365d\", \"8GiB\". Paths start in the folder of this file.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::desired::Desired;
    use crate::core::desired::read::{parse, render};

    fn sketch(nodes: &[(&str, &str)]) -> Sketch {
        let nodes = nodes.iter().map(|(name, address)| DeclaredNode::new(*name, *address));
        Sketch::new("prod".to_owned(), Version::new(3, 6, 16), nodes.collect())
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

    /// What a comment line says when it is a key of a section: prose has no ` = ` after its first word.
    fn uncommented(line: &str) -> Option<&str> {
        line.strip_prefix("# ").filter(|rest| rest.split(' ').nth(1) == Some("="))
    }

    #[test]
    fn every_commented_default_is_the_default() {
        let text = text(&three());
        let as_written = read(&text);
        let mut section = "";
        let mut count = 0;
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("# [").or(line.strip_prefix('[')) {
                section = header.trim_end_matches(']');
            }
            let is_there = !text.contains(&format!("# [{section}]"));
            let Some(setting) = uncommented(line).filter(|_| is_there) else { continue };
            let known = keys::section(section).and_then(|section| section.key(setting.split(' ').next()?));
            if !known.is_some_and(|key| matches!(key.default, Default::Value(_))) {
                continue;
            }
            let mut changed = read(&text.replacen(line, setting, 1));
            changed.places = as_written.places.clone();
            assert_eq!(changed, as_written, "{line}");
            count += 1;
        }
        assert!(count >= 15, "{count} defaults");
    }

    #[test]
    fn every_commented_line_can_be_uncommented() {
        let text = text(&three());
        let mut all = String::new();
        for line in text.lines() {
            let header = line.strip_prefix("# ").filter(|rest| rest.starts_with('[') && rest.ends_with(']'));
            all.push_str(header.or(uncommented(line)).unwrap_or(line));
            all.push('\n');
        }
        let desired = read(&all.replace("SHA-256", &"0".repeat(64)));
        assert_eq!(desired.etcd.heartbeat_interval_ms, Some(100));
        assert_eq!(desired.ssh.known_hosts.as_deref(), Some(Path::new("/ops/known_hosts")));
        assert!(desired.auth.is_some() && desired.backup.is_some() && desired.consumers.len() == 1);
    }

    #[test]
    fn what_ssh_needs_takes_the_place_of_the_examples() {
        let ssh = [("user", "admin"), ("config", "/ops/ssh"), ("known-hosts", "/ops/hosts")];
        let known = ssh.map(|(name, value)| (("ssh", name), quoted(value))).into();
        let text = text(&Sketch { known, ..three() });
        let read = read(&text).ssh;
        assert_eq!(read.user.as_deref(), Some("admin"));
        assert_eq!(read.config.as_deref(), Some(Path::new("/ops/ssh")));
        assert_eq!(read.known_hosts.as_deref(), Some(Path::new("/ops/hosts")));
        assert!(!text.contains("# user = \"ops\""), "{text}");
    }

    #[test]
    fn the_notes_stand_in_one_column() {
        for line in text(&three()).lines() {
            assert!(line.len() <= 160, "{line}");
            if let Some(column) = line.rfind("  # ") {
                let is_long = line[..column].trim_end().len() > 32;
                assert!(column == 32 || is_long, "{line}");
            }
        }
    }
}
