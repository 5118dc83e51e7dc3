//! A snapshot before what cannot be taken back.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{HostName, SnapshotReason};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum SnapshotAction {
    /// Save a snapshot of this member on its host, before an upgrade or another change that cannot be taken back.
    #[serde(rename = "save-snapshot")]
    Save { host: HostName, before: SnapshotReason },
}

impl SnapshotAction {
    pub fn host(&self) -> &HostName {
        let Self::Save { host, .. } = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::Save { .. } => "streams the database from one member (extra disk reads)",
        }
    }

    /// Whether nothing is decided by it: it is there or not by what was saved within the hour, and leaves the cluster as it
    /// is.
    pub fn is_precaution(&self) -> bool {
        match self {
            Self::Save { before: SnapshotReason::Change | SnapshotReason::Restore, .. } => true,
            Self::Save { before: SnapshotReason::Upgrade(_), .. } => false,
        }
    }
}

impl fmt::Display for SnapshotAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save { before: SnapshotReason::Upgrade(version), .. } => {
                write!(f, "save a snapshot before the change to etcd {version}")
            }
            Self::Save { before: SnapshotReason::Change | SnapshotReason::Restore, .. } => {
                f.write_str("save a safety snapshot before the next step")
            }
        }
    }
}
