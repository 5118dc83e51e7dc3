//! The closed list of things that quorate can do, and where each is described, checked and predicted.
//!
//! An [`Action`] is one observable change, on one host or beside cluster.toml. It is safe to repeat, and being cut off
//! in the middle leaves a state that the next plan understands.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::{access, authority, certificates, config, prepare, service, version};
use crate::content;
use crate::desired::Desired;
use crate::names::{Architecture, Digest, HostName, Version};
use crate::observed::{File, Folder, Observed, Role};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Make ca.crt and ca.key beside cluster.toml.
    CreateAuthority,
    /// Create the account and the folders that are missing, with their owners and modes.
    PrepareHost { host: HostName },
    /// Unpack an etcd version into its own folder.
    InstallBinaries { host: HostName, version: Version, architecture: Architecture },
    /// Point etcdctl and etcdutl on the PATH to a version.
    LinkTools { host: HostName, version: Version },
    /// Write ca.crt.
    InstallTrust { host: HostName },
    /// Issue a certificate with a new key and write both.
    IssueCertificate { host: HostName, role: Role },
    /// Write etcd.yaml, the unit or the permit whole, and have systemd read the unit.
    WriteFile { host: HostName, file: File, text: String },
    /// Put owner, group and mode of a file back.
    RestoreFileAccess { host: HostName, file: File },
    /// Put owner, group and mode of a folder back.
    RestoreFolderAccess { host: HostName, folder: Folder },
    /// Have systemd read the unit files again.
    ReloadUnits { host: HostName },
    /// Start at boot.
    EnableService { host: HostName },
    /// Start etcd and wait until it serves.
    Start { host: HostName },
    /// Hand leadership over if it leads, restart etcd and wait until it serves.
    Restart { host: HostName },
}

/// Whether an action is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// What it would bring about is there.
    Done,
    Ready,
    /// It must not be done now, and why.
    Refused(String),
}

impl Action {
    /// The host that it changes; `None` for the machine that quorate runs on.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::CreateAuthority => None,
            Self::PrepareHost { host }
            | Self::InstallBinaries { host, .. }
            | Self::LinkTools { host, .. }
            | Self::InstallTrust { host }
            | Self::IssueCertificate { host, .. }
            | Self::WriteFile { host, .. }
            | Self::RestoreFileAccess { host, .. }
            | Self::RestoreFolderAccess { host, .. }
            | Self::ReloadUnits { host }
            | Self::EnableService { host }
            | Self::Start { host }
            | Self::Restart { host } => Some(host),
        }
    }

    /// Whether a running etcd notices.
    pub fn touches_service(&self) -> bool {
        matches!(self, Self::Start { .. } | Self::Restart { .. })
    }

    /// What makes two actions the same decision. Volatile parts (a token not yet chosen) are left out.
    pub fn identity(&self) -> String {
        match self {
            Self::WriteFile { host, file, text } => {
                let text = content::without_token(*file, text);
                format!("write-file {host} {file:?} {}", Digest::of(text))
            }
            other => serde_json::to_string(other).expect("an action is plain data"),
        }
    }

    pub fn readiness(&self, desired: &Desired, observed: &Observed) -> Readiness {
        match self {
            Self::CreateAuthority => authority::readiness(observed),
            Self::PrepareHost { host } => prepare::readiness(observed, host),
            Self::InstallBinaries { host, version, architecture } => {
                version::readiness(observed, host, *version, *architecture)
            }
            Self::LinkTools { host, version } => version::tools_readiness(desired, observed, host, *version),
            Self::InstallTrust { host } => certificates::trust_readiness(observed, host),
            Self::IssueCertificate { host, role } => certificates::readiness(desired, observed, host, *role),
            Self::WriteFile { host, file, text } => config::readiness(observed, host, *file, text),
            Self::RestoreFileAccess { host, file } => access::readiness(observed, host, *file),
            Self::RestoreFolderAccess { host, folder } => access::folder_readiness(observed, host, *folder),
            Self::ReloadUnits { host } => service::reload_readiness(observed, host),
            Self::EnableService { host } => service::enable_readiness(observed, host),
            Self::Start { host } => service::start_readiness(observed, host),
            Self::Restart { host } => service::restart_readiness(desired, observed, host),
        }
    }

    /// What will be seen once the action is done.
    pub fn effect(&self, desired: &Desired, observed: &mut Observed) {
        match self {
            Self::CreateAuthority => authority::effect(observed),
            Self::PrepareHost { host } => prepare::effect(observed, host),
            Self::InstallBinaries { host, version, architecture } => {
                version::effect(desired, observed, host, *version, *architecture);
            }
            Self::LinkTools { host, .. } => version::tools_effect(desired, observed, host),
            Self::InstallTrust { host } => certificates::trust_effect(observed, host),
            Self::IssueCertificate { host, role } => certificates::effect(desired, observed, host, *role),
            Self::WriteFile { host, file, text } => config::effect(observed, host, *file, text),
            Self::RestoreFileAccess { host, file } => access::effect(observed, host, *file),
            Self::RestoreFolderAccess { host, folder } => access::folder_effect(observed, host, *folder),
            Self::ReloadUnits { host } => service::reload_effect(observed, host),
            Self::EnableService { host } => service::enable_effect(observed, host),
            Self::Start { host } | Self::Restart { host } => service::start_effect(desired, observed, host),
        }
    }
}

/// What is done, without the host: the words of a step.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateAuthority => f.write_str("create the certificate authority"),
            Self::PrepareHost { .. } => f.write_str("prepare account and folders"),
            Self::InstallBinaries { version, .. } => write!(f, "install etcd {version}"),
            Self::LinkTools { version, .. } => write!(f, "link etcdctl to {version}"),
            Self::InstallTrust { .. } => f.write_str("install ca.crt"),
            Self::IssueCertificate { role, .. } => write!(f, "issue {role}.crt with a new key"),
            Self::WriteFile { file: File::Unit, .. } => f.write_str("write the systemd unit"),
            Self::WriteFile { file: File::Permit, .. } => f.write_str("permit a new data directory"),
            Self::WriteFile { .. } => f.write_str("write etcd.yaml"),
            Self::RestoreFileAccess { file, .. } => write!(f, "restore owner and mode of {}", access::word(*file)),
            Self::RestoreFolderAccess { folder, .. } => {
                write!(f, "restore owner and mode of the {} folder", access::folder_word(*folder))
            }
            Self::ReloadUnits { .. } => f.write_str("have systemd read the unit again"),
            Self::EnableService { .. } => f.write_str("enable the service at boot"),
            Self::Start { .. } => f.write_str("start etcd"),
            Self::Restart { .. } => f.write_str("restart etcd"),
        }
    }
}
