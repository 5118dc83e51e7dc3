//! etcd as a service of a host.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT, UNTIL_START};
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ServiceAction {
    /// Have systemd read the unit files again.
    ReloadUnits { host: HostName },
    /// Start at boot.
    #[serde(rename = "enable-service")]
    Enable { host: HostName },
    /// Start etcd and wait until it serves.
    Start { host: HostName },
    /// Hand leadership over if it leads, restart etcd and wait until it serves.
    Restart { host: HostName },
    /// Write the manifest of a static pod that is not to run yet, where the kubelet does not look.
    LayManifest { host: HostName, text: String },
    /// Change settings or the image in the manifest of a static pod, which has the kubelet restart etcd, and wait until it serves.
    ReplaceManifest { host: HostName, text: String },
    /// Stop etcd, and do not start it at boot any more.
    Stop { host: HostName },
}

impl ServiceAction {
    pub fn host(&self) -> &HostName {
        let (Self::ReloadUnits { host }
        | Self::Enable { host }
        | Self::Start { host }
        | Self::Restart { host }
        | Self::LayManifest { host, .. }
        | Self::ReplaceManifest { host, .. }
        | Self::Stop { host }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        match self {
            Self::ReloadUnits { .. } | Self::Enable { .. } | Self::LayManifest { .. } => Impact::Nothing,
            Self::Start { .. } => Impact::Start,
            Self::Restart { .. } | Self::ReplaceManifest { .. } => Impact::Restart,
            Self::Stop { .. } => Impact::Stop,
        }
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::ReloadUnits { .. } | Self::Enable { .. } => NO_IMPACT,
            Self::LayManifest { .. } => UNTIL_START,
            Self::Start { .. } => "starts etcd",
            Self::Restart { .. } => "restarts etcd; transfers leadership first if it is the leader",
            Self::ReplaceManifest { .. } => {
                "the kubelet restarts etcd, which takes up to a minute; transfers leadership first if it is the leader"
            }
            Self::Stop { .. } => "stops etcd",
        }
    }
}

impl fmt::Display for ServiceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReloadUnits { .. } => "reload systemd units (daemon-reload)",
            Self::Enable { .. } => "enable the service at boot",
            Self::Start { .. } => "start etcd",
            Self::Restart { .. } => "restart etcd",
            Self::LayManifest { .. } => "write etcd's manifest",
            Self::ReplaceManifest { .. } => "change etcd's manifest",
            Self::Stop { .. } => "stop and disable etcd",
        })
    }
}
