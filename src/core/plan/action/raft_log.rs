//! The raft log, before a version that cannot read old entries.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{HostName, Version};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RaftLogAction {
    /// Write entries that change nothing through this member, until every member has cut its raft log.
    #[serde(rename = "fill-log")]
    Fill { host: HostName, before: Version },
}

impl RaftLogAction {
    pub fn host(&self) -> &HostName {
        let Self::Fill { host, .. } = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "deletes a nonexistent key about 10,000 times; data and revision are unchanged",
        }
    }
}

impl fmt::Display for RaftLogAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill { before, .. } => {
                write!(f, "flush old entries from the raft log before the change to etcd {before}")
            }
        }
    }
}
