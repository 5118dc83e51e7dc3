//! Scheduled snapshots: the script, its timer, and both taken away.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::{Impact, NO_IMPACT};
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum BackupAction {
    /// Write the script that takes scheduled snapshots.
    #[serde(rename = "install-backup-script")]
    InstallScript { host: HostName },
    /// Have systemd read the timer of scheduled snapshots, and turn it on, now and at boot.
    #[serde(rename = "enable-backup")]
    Enable { host: HostName },
    /// Take the timer, its service, script and certificate off a host. The snapshots stay.
    #[serde(rename = "remove-backup")]
    Remove { host: HostName },
}

impl BackupAction {
    pub fn host(&self) -> &HostName {
        let (Self::InstallScript { host } | Self::Enable { host } | Self::Remove { host }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        Impact::Nothing
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::InstallScript { .. } => NO_IMPACT,
            Self::Enable { .. } => "snapshots start at the next scheduled time",
            Self::Remove { .. } => "no more snapshots on this host; existing ones are kept",
        }
    }
}

impl fmt::Display for BackupAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstallScript { .. } => "install the backup script",
            Self::Enable { .. } => "enable and start the backup timer",
            Self::Remove { .. } => "remove backup timer, script and certificate",
        })
    }
}
