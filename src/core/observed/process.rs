//! A process of etcd: the one that runs, and the last one that ended by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::names::{Digest, RemotePath, UnixSeconds};
use crate::core::observed::{File, Role, Seen};

/// The running etcd, and what it loaded when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Volatile.
    pub pid: u32,
    /// Volatile.
    pub started: UnixSeconds,
    /// The file that it was started from.
    pub executable: RemotePath,
    /// That path now leads to another file.
    pub executable_replaced: bool,
    /// Its command line does not name our etcd.yaml.
    pub foreign_config: bool,
    /// The digest of each file as it was when the process read it.
    pub loaded: BTreeMap<File, Digest>,
    /// The serial number of the certificate that its client port (`server`) and its peer port (`peer`) serve now; looked
    /// at only where the member answers. Volatile, but for whether it is the one on disk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub served: BTreeMap<Role, Seen<String>>,
    /// What it was started with; `None` where the unit is quorate's, whose process tells what it has loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_with: Option<StartedWith>,
    /// What it has done since it was started. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

/// The settings that a process of somebody else's service was given, by the names of flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedWith {
    pub flags: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    /// It has its settings from the file that is declared, or its unit takes variables from that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_declared_file: bool,
    /// That file was written after the process had read it, which tells no other setting of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub written_since: bool,
}

impl StartedWith {
    /// A flag goes before a variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.flags.get(name).or_else(|| self.variables.get(name)).map(String::as_str)
    }
}

/// Of a process, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// From disks and from the network.
    pub read_bytes: u64,
    /// Hundredths of a second on a CPU.
    pub cpu_ticks: u64,
    /// From disks alone: what was in memory already does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// How large the database is that it is to read; told only while it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_bytes: Option<u64>,
}

/// The end of a process that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What tells it from every other one: of a static pod, of whose processes no id stays, the inode of its log.
    pub pid: u32,
    /// How long it ran.
    pub ran_ms: Option<u64>,
}
