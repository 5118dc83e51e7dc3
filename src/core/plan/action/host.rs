//! What a machine needs before it can be a member: the account, the folders and etcd's programs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT};
use crate::core::names::{Architecture, HostName, Version};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum HostAction {
    /// Create the account and the folders that are missing, with their owners and modes.
    #[serde(rename = "prepare-host")]
    Prepare { host: HostName },
    /// Create the folders that are missing, where etcd runs as root.
    MakeFolders { host: HostName },
    /// Unpack an etcd version into its own folder.
    InstallBinaries { host: HostName, version: Version, architecture: Architecture },
    /// Have the node fetch the image of a static pod, so that the kubelet finds it there.
    PullImage { host: HostName, image: String },
    /// Point etcdctl and etcdutl on the PATH to a version.
    LinkTools { host: HostName, version: Version },
}

impl HostAction {
    pub fn host(&self) -> &HostName {
        let (Self::Prepare { host }
        | Self::MakeFolders { host }
        | Self::InstallBinaries { host, .. }
        | Self::PullImage { host, .. }
        | Self::LinkTools { host, .. }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        NO_IMPACT
    }
}

impl fmt::Display for HostAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { .. } => f.write_str("create the etcd user and directories"),
            Self::MakeFolders { .. } => f.write_str("create etcd's directories"),
            Self::InstallBinaries { version, .. } => write!(f, "install etcd {version}"),
            Self::PullImage { image, .. } => write!(f, "pull the image {image}"),
            Self::LinkTools { version, .. } => write!(f, "point etcdctl at {version}"),
        }
    }
}
