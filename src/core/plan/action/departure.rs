//! What a member that was removed leaves on its host.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum DepartureAction {
    /// Give the data directory of a member that was removed another name.
    SetDataAside { host: HostName },
    /// Take away what a former member leaves: data (kept under another name), unit, etcd.yaml, certificates and keys.
    Retire { host: HostName },
}

impl DepartureAction {
    pub fn host(&self) -> &HostName {
        let (Self::SetDataAside { host } | Self::Retire { host }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::SetDataAside { .. } => "nothing is deleted: the directory is renamed",
            Self::Retire { .. } => "the data directory is renamed; private keys are deleted",
        }
    }
}

impl fmt::Display for DepartureAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SetDataAside { .. } => "move the data directory aside",
            Self::Retire { .. } => "clean up what is left of the removed member",
        })
    }
}
