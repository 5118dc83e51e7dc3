//! Where a member keeps its data.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{HostName, RemotePath};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum DataAction {
    /// Hand leadership over if it leads, stop etcd, and bring its data to another directory: renamed within a file system,
    /// else copied, compared and the old one kept aside. It is not started.
    #[serde(rename = "move-data")]
    Move { host: HostName, from: RemotePath, to: RemotePath },
}

impl DataAction {
    pub fn host(&self) -> &HostName {
        let Self::Move { host, .. } = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Stop
    }

    pub fn effect(&self) -> &'static str {
        "stops etcd until its start; transfers leadership first if it is the leader"
    }
}

impl fmt::Display for DataAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Move { from, to, .. } = self;
        write!(f, "stop etcd and move its data from {from} to {to}")
    }
}
