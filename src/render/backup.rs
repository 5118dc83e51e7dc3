//! What `backup` prints: a snapshot that was taken.

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{clean, words};
use crate::names::{ClusterName, HostName};

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

/// The document as text, indented, with a newline at its end.
pub fn json<T: Serialize>(document: &T) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("it is plain data");
    text.push('\n');
    text
}

/// One line, the path first.
pub fn taken(taken: &Taken) -> String {
    let Taken { member, node, path, database_bytes, file_bytes, seconds, .. } = taken;
    let place = node.as_ref().map_or_else(String::new, |node| format!("{node}:"));
    let sizes = match (file_bytes, database_bytes) {
        (Some(file), Some(database)) if file != database => format!(", {} of {}", size(*file), size(*database)),
        (Some(file), _) => format!(", {}", size(*file)),
        (None, _) => String::new(),
    };
    let took = seconds.map_or_else(String::new, |seconds| format!(", in {}", words::seconds(seconds)));
    format!("{place}{}: snapshot of {member}{sizes}{took}, SHA-256 checked\n", clean(path))
}

/// `12.3 MiB`
pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}
