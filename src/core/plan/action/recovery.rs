//! A cluster that has lost its quorum for good.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RecoveryAction {
    /// Start a cluster of this member alone from its data, once.
    ForceNewCluster { host: HostName },
}

impl RecoveryAction {
    pub fn host(&self) -> &HostName {
        let Self::ForceNewCluster { host } = self;
        host
    }

    pub fn impact(&self) -> Impact {
        match self {
            Self::ForceNewCluster { .. } => Impact::Outage,
        }
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::ForceNewCluster { .. } => "restarts etcd from its own data as the only member of the cluster",
        }
    }

    /// What the cluster no longer has afterwards.
    pub fn loses(&self) -> &'static str {
        match self {
            Self::ForceNewCluster { .. } => "writes that only the lost members had are lost",
        }
    }
}

impl fmt::Display for RecoveryAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForceNewCluster { .. } => {
                "force a new one-member cluster from this member's data (--force-new-cluster)"
            }
        })
    }
}
