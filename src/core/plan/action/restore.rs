//! A cluster made anew from a snapshot.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{Digest, HostName, Token};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RestoreAction {
    /// Copy a snapshot to a host, to be restored there.
    PushSnapshot { host: HostName, digest: Digest },
    /// Give the data directory of a member another name, before a snapshot is restored in its place.
    SetOldDataAside { host: HostName },
    /// Make the data directory of this member from a snapshot that was pushed there.
    RestoreData { host: HostName, digest: Digest, token: Token },
    /// Compare what the members hold, and forget that a restore is under way.
    #[serde(rename = "confirm-restore")]
    Confirm,
}

impl RestoreAction {
    /// `None` for the cluster as a whole.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::PushSnapshot { host, .. } | Self::SetOldDataAside { host } | Self::RestoreData { host, .. } => {
                Some(host)
            }
            Self::Confirm => None,
        }
    }

    pub fn impact(&self) -> Impact {
        match self {
            Self::PushSnapshot { .. } | Self::Confirm => Impact::Nothing,
            Self::SetOldDataAside { .. } | Self::RestoreData { .. } => Impact::Replacement,
        }
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::PushSnapshot { .. } => "none yet: the file is stored next to the data directory",
            Self::SetOldDataAside { .. } => "nothing is deleted: the directory is renamed",
            Self::RestoreData { .. } => "new data directory with a new cluster id and new member ids",
            Self::Confirm => "nothing restarts; the copied snapshots are deleted",
        }
    }

    /// What the cluster no longer has afterwards.
    pub fn loses(&self) -> Option<&'static str> {
        match self {
            Self::RestoreData { .. } => Some("writes since the snapshot remain only in the old data directory"),
            Self::PushSnapshot { .. } | Self::SetOldDataAside { .. } | Self::Confirm => None,
        }
    }
}

impl fmt::Display for RestoreAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PushSnapshot { digest, .. } => write!(f, "store snapshot {}", digest.short()),
            Self::SetOldDataAside { .. } => f.write_str("move the old data directory aside"),
            Self::RestoreData { digest, .. } => write!(f, "restore the data from snapshot {}", digest.short()),
            Self::Confirm => f.write_str("verify that all members hold the same data, then finish the restore"),
        }
    }
}
