//! What `backup` prints: a snapshot that was taken.

use crate::core::render::pretty;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::palette::Palette;
use super::{clean, table};
use crate::core::count::size;
use crate::core::names::{ClusterId, ClusterName, HostName};
use crate::core::span;

/// What `backup run --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate backup run")]
pub struct Taken {
    pub format_version: u64,
    pub cluster: ClusterName,
    /// Whose database it is.
    pub member: HostName,
    /// Where it lies; `null` for this machine.
    pub node: Option<HostName>,
    pub path: String,
    /// The address of its copy off-site, which was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsite: Option<String>,
    /// Of the cluster that it was taken of, in hexadecimal.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// That of its newest key; `null` when it lies on a node.
    #[serde(default)]
    pub revision: Option<i64>,
    /// `zstd`, `gzip` or `none`.
    pub compression: String,
    /// With the SHA-256 at its end; `null` when it lies on a node.
    pub database_bytes: Option<u64>,
    /// As it lies on the disk; `null` when it lies on a node.
    pub file_bytes: Option<u64>,
    /// The SHA-256 that the database ends in; `null` when it lies on a node.
    pub sha256: Option<String>,
    pub seconds: Option<f64>,
}

/// What `backup list --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate backup list")]
pub struct Document {
    pub format_version: u64,
    pub cluster: ClusterName,
    /// RFC 3339, in UTC.
    pub at: String,
    /// In hexadecimal, as its members tell it; `null` when none answers.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// The oldest first.
    pub snapshots: Vec<Row>,
    /// What has the name of a snapshot and does not count as one of this cluster, as `why_not` of each says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Row>,
    /// Why nodes, or the place off-site, could not be seen.
    pub unseen: Vec<String>,
}

/// A snapshot in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    pub name: String,
    /// `null` off-site, and for the folder in which quorate was started.
    pub node: Option<HostName>,
    /// Whether it lies in the place off-site.
    pub offsite: bool,
    pub path: String,
    pub bytes: u64,
    /// RFC 3339, in UTC: when it was begun, as its name says.
    pub at: String,
    /// That of its newest key; `null` when it is not known.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Of the cluster that it was taken of, in hexadecimal; `null` when it is not known.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// RFC 3339, in UTC: when it last stood a drill; `null` when it has not.
    #[serde(default)]
    pub verified: Option<String>,
    /// Why it does not count as a snapshot of this cluster; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// The table, and what could not be seen. Ends with a newline.
pub fn list(document: &Document, palette: Palette) -> String {
    let cells = |row: &Row| {
        let elsewhere = if row.offsite { "off-site" } else { "here" };
        let place = row.node.as_ref().map_or_else(|| elsewhere.to_owned(), HostName::to_string);
        let revision = row.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let cluster = row.cluster_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let verified = row.verified.clone().unwrap_or_else(|| "no".to_owned());
        [clean(&row.name), place, size(row.bytes), revision, cluster, verified]
    };
    let rows: Vec<_> = document.snapshots.iter().map(cells).collect();
    let (heading, lines) = table::lines(["SNAPSHOT", "WHERE", "SIZE", "REVISION", "CLUSTER ID", "VERIFIED"], &rows);
    let style = palette.heading;
    let mut out = format!("{style}{heading}{style:#}\n");
    for line in lines.iter().map(String::as_str).chain(document.unseen.iter().map(String::as_str)) {
        out.push_str(line);
        out.push('\n');
    }
    for other in &document.others {
        let why = clean(other.why_not.as_deref().unwrap_or_default());
        let place = other.node.as_ref().map_or(if other.offsite { "off-site" } else { "here" }, HostName::as_str);
        let _ = writeln!(out, "not counted: {} ({place}): {why}", clean(&other.name));
    }
    out
}

/// What `backup verify --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate backup verify")]
pub struct Verified {
    pub format_version: u64,
    pub cluster: ClusterName,
    pub snapshot: String,
    /// Where the drill was held; `null` for this machine.
    #[serde(default)]
    pub node: Option<HostName>,
    /// RFC 3339, in UTC: when the drill was held.
    pub at: String,
    pub database_bytes: u64,
    /// The SHA-256 that it ends in.
    pub sha256: String,
    pub revision: i64,
    /// Keys at that revision, without their history.
    pub keys: i64,
    /// Everything that `etcdutl snapshot status` counts: history, leases and users, too.
    pub entries: i64,
    /// etcd's hash of all keys and their history.
    pub hash: u32,
    /// The peer URLs of the members that it knows of.
    pub members: Vec<String>,
    pub live: Live,
    pub seconds: f64,
}

/// How the live cluster compares at the snapshot's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Live {
    EqualHash,
    /// Compacted since, but with as many keys at that revision.
    EqualKeys,
    /// It does not have that revision any more.
    Gone,
    /// It has begun anew since, under another cluster id.
    BegunAnew,
    /// No member answers.
    Unseen,
}

/// Two lines: that it is good, and how the live cluster compares.
pub fn verified(verified: &Verified) -> String {
    let Verified { snapshot, node, revision, keys, database_bytes, seconds, live, .. } = verified;
    let place = node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
    let compares = match live {
        Live::EqualHash => "matches the live cluster at that revision (same hash)",
        Live::EqualKeys => "the live cluster has been compacted since; its key count at that revision is the same",
        Live::Gone => "not compared: the live cluster no longer has that revision",
        Live::BegunAnew => {
            "not compared: the live cluster has been restored or recreated since, under a different \
                            cluster id"
        }
        Live::Unseen => "not compared: no member of the live cluster answers",
    };
    format!(
        "{}: test restore passed{place}: revision {revision}, {keys} keys, {}, in {}\n{compares}\n",
        clean(snapshot),
        size(*database_bytes),
        span::measured(*seconds)
    )
}

/// The document as text, indented, with a newline at its end.
pub fn json<T: Serialize>(document: &T) -> String {
    pretty(document)
}

/// One line, the path first.
pub fn taken(taken: &Taken) -> String {
    let Taken { member, node, path, database_bytes, file_bytes, seconds, offsite, .. } = taken;
    let place = node.as_ref().map_or_else(String::new, |node| format!("{node}:"));
    let sizes = match (file_bytes, database_bytes) {
        (Some(file), Some(database)) if file != database => format!(", {} of {}", size(*file), size(*database)),
        (Some(file), _) => format!(", {}", size(*file)),
        (None, _) => String::new(),
    };
    let took = seconds.map_or_else(String::new, |seconds| format!(", in {}", span::measured(seconds)));
    let copied = offsite.as_ref().map_or_else(String::new, |url| format!("{}: copied and verified\n", clean(url)));
    format!("{place}{}: snapshot of {member}{sizes}{took}, SHA-256 verified\n{copied}", clean(path))
}
