//! When the nodes take snapshots, how, and how many are kept, as declared.

use std::collections::BTreeSet;
use std::fmt;

use super::schedule::Schedule;
use crate::core::names::{HostName, RemotePath};

/// The policy, the same on every node that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub schedule: Schedule,
    /// How many snapshots each node keeps. At least one.
    pub keep: u32,
    pub compression: Compression,
    /// The folder on the nodes. Root's alone: a snapshot holds everything.
    pub directory: RemotePath,
    /// Whether that folder must be on a mount of its own: where it is not, no snapshot is taken.
    pub mount: bool,
    /// The nodes that stand ready for every snapshot; one of them takes it. At least one, all of them declared.
    pub nodes: BTreeSet<HostName>,
    /// How old the last good snapshot may be.
    pub max_age_seconds: Option<u64>,
    /// Where the metrics for Prometheus' node exporter go; `None`: into [`METRICS_FOLDER`] where that exists.
    pub metrics: Option<RemotePath>,
    pub offsite: Option<Offsite>,
}

/// Where Debian's node exporter looks for text files.
pub const METRICS_FOLDER: &str = "/var/lib/prometheus/node-exporter";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Zstd,
    Gzip,
    None,
}

impl Compression {
    /// `zstd`, as in cluster.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }

    /// `.zst`, the end of a snapshot's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// The program that the nodes need for it.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Zstd => Some("zstd"),
            Self::Gzip => Some("gzip"),
            Self::None => None,
        }
    }
}

/// Where copies go: `s3://BUCKET/PREFIX` or `file:///FOLDER`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsite {
    pub url: String,
}

impl fmt::Display for Offsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.url)
    }
}
