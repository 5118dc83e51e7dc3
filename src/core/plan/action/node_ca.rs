//! The CA where `[ca] source = "node"`: its pair stays on the nodes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT};
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum NodeCaAction {
    /// Make ca.crt and ca.key on a node, where they stay.
    #[serde(rename = "create-authority-on")]
    CreateAuthority { host: HostName },
    /// Put the authority's key on a node that lacks it, for root alone.
    #[serde(rename = "install-authority-key")]
    InstallKey { host: HostName },
}

impl NodeCaAction {
    pub fn host(&self) -> &HostName {
        let (Self::CreateAuthority { host } | Self::InstallKey { host }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        NO_IMPACT
    }
}

impl fmt::Display for NodeCaAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateAuthority { .. } => "create the CA",
            Self::InstallKey { .. } => "install the CA key",
        })
    }
}
