//! The closed list of things that quorate can do, and where each is described, checked and predicted.
//!
//! An [`Action`] is one observable change, on one host or beside cluster.toml. It is safe to repeat, and being cut off
//! in the middle leaves a state that the next plan understands.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::content::{self, layout};
use crate::core::names::{
    self, Architecture, ConsumerName, Digest, HostName, MemberId, Occasion, PeerUrl, RoleName, Token, UserName, Version,
};
use crate::core::observed::auth::Permission;
use crate::core::observed::{File, Folder, Role};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Make ca.crt and ca.key beside cluster.toml.
    CreateAuthority,
    /// Make ca.crt and ca.key on a node, where they stay.
    CreateAuthorityOn { host: HostName },
    /// Put the authority's key on a node that lacks it, for root alone.
    InstallAuthorityKey { host: HostName },
    /// Create the account and the folders that are missing, with their owners and modes.
    PrepareHost { host: HostName },
    /// Unpack an etcd version into its own folder.
    InstallBinaries { host: HostName, version: Version, architecture: Architecture },
    /// Point etcdctl and etcdutl on the PATH to a version.
    LinkTools { host: HostName, version: Version },
    /// Make the authority that is to take the place of the one that there is, beside it.
    CreateNextAuthority,
    /// See that no member takes a certificate of the old authority any more, and put the new one in its place.
    AdoptAuthority,
    /// Write ca.crt.
    InstallTrust {
        host: HostName,
        #[serde(default, skip_serializing_if = "Trust::is_current")]
        trust: Trust,
    },
    /// Issue a certificate with a new key and write both.
    IssueCertificate {
        host: HostName,
        role: Role,
        /// Addresses that it must name for as long as the member is still reached there.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        also: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "SignedBy::is_current")]
        by: SignedBy,
    },
    /// Put a certificate and its key in place as they are given.
    InstallCertificate { host: HostName, role: Role },
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
    /// Add the member of this host as a learner, by its peer URL.
    AddMember { host: HostName, peer_url: PeerUrl },
    /// Make the learner of this host a voter.
    Promote { host: HostName },
    /// Tell the members at which URL the member of this host answers its peers.
    UpdatePeerUrl { host: HostName, member: MemberId, peer_url: PeerUrl },
    /// Hand leadership over if it leads, and take a member out of the cluster.
    RemoveMember { host: HostName, member: MemberId, removal: Removal },
    /// Stop etcd, and do not start it at boot any more.
    Stop { host: HostName },
    /// Give the data directory of a member that was removed another name.
    SetDataAside { host: HostName },
    /// Take away what a former member leaves: data (kept under another name), unit, etcd.yaml, certificates and keys.
    Retire { host: HostName },
    /// Remove a file that has served its purpose.
    RemoveFile { host: HostName, file: File },
    /// Save a snapshot of this member on its host, before an upgrade or another change that cannot be taken back.
    SaveSnapshot { host: HostName, before: Occasion },
    /// Write entries that change nothing through this member, until every member has cut its raft log.
    FillLog { host: HostName, before: Version },
    /// Start a cluster of this member alone from its data, once.
    ForceNewCluster { host: HostName },
    /// Copy a snapshot to a host, to be restored there.
    PushSnapshot { host: HostName, digest: Digest },
    /// Give the data directory of a member another name, before a snapshot is restored in its place.
    SetOldDataAside { host: HostName },
    /// Make the data directory of this member from a snapshot that was pushed there.
    RestoreData { host: HostName, digest: Digest, token: Token },
    /// Compare what the members hold, and forget that a restore is under way.
    ConfirmRestore,
    /// Write the files of a consumer that are not as they should be, and tell it.
    KeepConsumer {
        host: HostName,
        consumer: ConsumerName,
        /// Whether a certificate is issued with a new key.
        issue: bool,
        #[serde(default, skip_serializing_if = "Trust::is_current")]
        trust: Trust,
        #[serde(default, skip_serializing_if = "SignedBy::is_current")]
        by: SignedBy,
    },
    /// Write the script that takes scheduled snapshots.
    InstallBackupScript { host: HostName },
    /// Have systemd read the timer of scheduled snapshots, and turn it on, now and at boot.
    EnableBackup { host: HostName },
    /// Take the timer, its service, script and certificate off a host. The snapshots stay.
    RemoveBackup { host: HostName },
    /// Make a role, grant it what it lacks, and take from it what is not declared.
    KeepRole { role: RoleName, permissions: BTreeSet<Permission> },
    /// Make a user, grant it the roles that it lacks, and take those from it that are not declared.
    KeepUser {
        user: UserName,
        roles: BTreeSet<RoleName>,
        /// Whether it has a password besides its certificate. What it is, only apply asks.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        password: bool,
    },
    /// Take a user out that is not declared.
    RemoveUser { user: UserName },
    /// Take a role out that only such a user has.
    RemoveRole { role: RoleName, with: UserName },
    /// Have etcd ask who comes.
    EnableAuth,
    /// Have etcd ask nobody any more.
    DisableAuth,
}

/// Why a member is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// It is not declared any more.
    Undeclared,
    /// It has failed, and a new member takes its place.
    Failed,
}

/// What an action does to a running etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// No running service notices.
    Nothing,
    /// A member that does not serve is started.
    Start,
    /// A member restarts.
    Restart,
    /// A member is stopped, and stays so.
    Stop,
    /// The member list changes; `voters`: also who votes.
    Membership { voters: bool },
    /// Who may do what in the cluster changes; `felt`: clients may be shut out, or let in.
    Access { felt: bool },
    /// Nobody serves meanwhile, and what only others had seen is lost.
    Outage,
    /// The data of a member that is stopped is replaced: the cluster begins anew from it.
    Replacement,
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
    /// The host that it changes; `None` for the machine that quorate runs on, and for the cluster as a whole.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::CreateAuthority
            | Self::CreateNextAuthority
            | Self::AdoptAuthority
            | Self::KeepRole { .. }
            | Self::KeepUser { .. }
            | Self::RemoveUser { .. }
            | Self::RemoveRole { .. }
            | Self::EnableAuth
            | Self::DisableAuth
            | Self::ConfirmRestore => None,
            Self::CreateAuthorityOn { host }
            | Self::InstallAuthorityKey { host }
            | Self::PrepareHost { host }
            | Self::InstallBinaries { host, .. }
            | Self::LinkTools { host, .. }
            | Self::InstallTrust { host, .. }
            | Self::IssueCertificate { host, .. }
            | Self::InstallCertificate { host, .. }
            | Self::WriteFile { host, .. }
            | Self::RestoreFileAccess { host, .. }
            | Self::RestoreFolderAccess { host, .. }
            | Self::ReloadUnits { host }
            | Self::EnableService { host }
            | Self::Start { host }
            | Self::Restart { host }
            | Self::AddMember { host, .. }
            | Self::Promote { host }
            | Self::UpdatePeerUrl { host, .. }
            | Self::RemoveMember { host, .. }
            | Self::Stop { host }
            | Self::SetDataAside { host }
            | Self::Retire { host }
            | Self::RemoveFile { host, .. }
            | Self::SaveSnapshot { host, .. }
            | Self::FillLog { host, .. }
            | Self::ForceNewCluster { host }
            | Self::PushSnapshot { host, .. }
            | Self::SetOldDataAside { host }
            | Self::RestoreData { host, .. }
            | Self::KeepConsumer { host, .. }
            | Self::InstallBackupScript { host }
            | Self::EnableBackup { host }
            | Self::RemoveBackup { host } => Some(host),
        }
    }

    /// What it does to a running etcd: said here once for every action; risk, effect and margin follow from it.
    pub fn impact(&self) -> Impact {
        match self {
            Self::CreateAuthority
            | Self::CreateAuthorityOn { .. }
            | Self::InstallAuthorityKey { .. }
            | Self::CreateNextAuthority
            | Self::AdoptAuthority
            | Self::PrepareHost { .. }
            | Self::InstallBinaries { .. }
            | Self::LinkTools { .. }
            | Self::InstallTrust { .. }
            | Self::IssueCertificate { .. }
            | Self::InstallCertificate { .. }
            | Self::WriteFile { .. }
            | Self::RestoreFileAccess { .. }
            | Self::RestoreFolderAccess { .. }
            | Self::ReloadUnits { .. }
            | Self::EnableService { .. }
            | Self::SetDataAside { .. }
            | Self::Retire { .. }
            | Self::RemoveFile { .. }
            | Self::SaveSnapshot { .. }
            | Self::FillLog { .. }
            | Self::PushSnapshot { .. }
            | Self::ConfirmRestore
            | Self::KeepConsumer { .. }
            | Self::InstallBackupScript { .. }
            | Self::EnableBackup { .. }
            | Self::RemoveBackup { .. } => Impact::Nothing,
            Self::Start { .. } => Impact::Start,
            Self::Restart { .. } => Impact::Restart,
            Self::Stop { .. } => Impact::Stop,
            Self::AddMember { .. } | Self::UpdatePeerUrl { .. } => Impact::Membership { voters: false },
            Self::Promote { .. } | Self::RemoveMember { .. } => Impact::Membership { voters: true },
            Self::KeepRole { .. } | Self::KeepUser { .. } | Self::RemoveRole { .. } => Impact::Access { felt: false },
            Self::RemoveUser { .. } | Self::EnableAuth | Self::DisableAuth => Impact::Access { felt: true },
            Self::SetOldDataAside { .. } | Self::RestoreData { .. } => Impact::Replacement,
            Self::ForceNewCluster { .. } => Impact::Outage,
        }
    }

    /// Whether it is done through the etcd API of any healthy voter, and not on its own host.
    pub fn changes_members(&self) -> bool {
        matches!(self.impact(), Impact::Membership { .. })
    }

    /// Whether it changes who may do what in the cluster, through the etcd API of any healthy voter.
    pub fn changes_access(&self) -> bool {
        matches!(self.impact(), Impact::Access { .. })
    }

    /// Whether a running etcd notices.
    pub fn touches_service(&self) -> bool {
        match self.impact() {
            Impact::Start | Impact::Restart | Impact::Outage | Impact::Membership { .. } => true,
            Impact::Nothing | Impact::Stop | Impact::Access { .. } | Impact::Replacement => false,
        }
    }

    /// Whether nothing is decided by it: it is there or not by what was saved within the hour, and leaves the cluster as it is.
    pub fn is_precaution(&self) -> bool {
        matches!(self, Self::SaveSnapshot { before: Occasion::Change, .. })
    }

    /// What makes two actions the same decision. Volatile parts (a token not yet chosen) are left out.
    pub fn identity(&self) -> String {
        match self {
            Self::WriteFile { host, file, text } => {
                let text = content::without_token(*file, text);
                format!("write-file {host} {file:?} {}", Digest::of(text))
            }
            // Which follower it is taken from depends on who leads.
            Self::SaveSnapshot { before, .. } => format!("save-snapshot before {before}"),
            Self::FillLog { before, .. } => format!("fill-log before {before}"),
            Self::RestoreData { host, digest, .. } => format!("restore-data {host} {digest}"),
            other => serde_json::to_string(other).expect("an action is plain data"),
        }
    }
}

/// What is done, without the host: the words of a step.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateAuthority => f.write_str("create the CA on this machine"),
            Self::CreateAuthorityOn { .. } => f.write_str("create the CA"),
            Self::InstallAuthorityKey { .. } => f.write_str("install the CA key"),
            Self::PrepareHost { .. } => f.write_str("create the etcd user and directories"),
            Self::InstallBinaries { version, .. } => write!(f, "install etcd {version}"),
            Self::LinkTools { version, .. } => write!(f, "point etcdctl at {version}"),
            Self::CreateNextAuthority => f.write_str("create the new CA"),
            Self::AdoptAuthority => f.write_str("verify that the old CA is rejected, then make the new CA current"),
            Self::InstallTrust { trust: Trust::Current, .. } => f.write_str("install ca.crt"),
            Self::InstallTrust { trust: Trust::Both, .. } => f.write_str("install ca.crt with the old and the new CA"),
            Self::InstallTrust { trust: Trust::Next, .. } => f.write_str("install ca.crt with only the new CA"),
            Self::IssueCertificate { role, by: SignedBy::Next, .. } => {
                write!(f, "issue {role}.crt with a new key, signed by the new CA")
            }
            Self::IssueCertificate { role, .. } => write!(f, "issue {role}.crt with a new key"),
            Self::InstallCertificate { role, .. } => write!(f, "install the provided {role}.crt and its key"),
            Self::WriteFile { file, .. } => f.write_str(layout::row(*file).title),
            Self::RestoreFileAccess { file, .. } => {
                write!(f, "restore owner and mode of {}", layout::row(*file).word)
            }
            Self::RestoreFolderAccess { folder, .. } => {
                write!(f, "restore owner and mode of the {} directory", layout::folder_row(*folder).word)
            }
            Self::ReloadUnits { .. } => f.write_str("reload systemd units (daemon-reload)"),
            Self::EnableService { .. } => f.write_str("enable the service at boot"),
            Self::Start { .. } => f.write_str("start etcd"),
            Self::Restart { .. } => f.write_str("restart etcd"),
            Self::AddMember { .. } => f.write_str("add the member as a learner"),
            Self::Promote { .. } => f.write_str("promote the learner to voter"),
            Self::UpdatePeerUrl { peer_url, .. } => write!(f, "change the member's peer URL to {peer_url}"),
            Self::RemoveMember { member, .. } => write!(f, "remove the member (id {member}) from the cluster"),
            Self::Stop { .. } => f.write_str("stop and disable etcd"),
            Self::SetDataAside { .. } => f.write_str("move the data directory aside"),
            Self::Retire { .. } => f.write_str("clean up what is left of the removed member"),
            Self::RemoveFile { file, .. } => write!(f, "remove {}", layout::row(*file).word),
            Self::SaveSnapshot { before: Occasion::Upgrade(version), .. } => {
                write!(f, "save a snapshot before the change to etcd {version}")
            }
            Self::SaveSnapshot { before: Occasion::Change, .. } => f.write_str(
                "save a safety snapshot before the next \
                                                                                step",
            ),
            Self::FillLog { before, .. } => write!(
                f,
                "flush old entries from the raft log before the change to etcd \
                                                       {before}"
            ),
            Self::ForceNewCluster { .. } => f.write_str(
                "force a new one-member cluster from this member's data \
                                                         (--force-new-cluster)",
            ),
            Self::PushSnapshot { digest, .. } => write!(f, "store snapshot {}", digest.short()),
            Self::SetOldDataAside { .. } => f.write_str("move the old data directory aside"),
            Self::RestoreData { digest, .. } => write!(f, "restore the data from snapshot {}", digest.short()),
            Self::ConfirmRestore => f.write_str("verify that all members hold the same data, then finish the restore"),
            Self::KeepConsumer { consumer, issue: true, by: SignedBy::Current, .. } => {
                write!(f, "issue the certificate of {consumer} with a new key")
            }
            Self::KeepConsumer { consumer, issue: true, .. } => {
                write!(f, "issue the certificate of {consumer} with a new key, signed by the new CA")
            }
            Self::KeepConsumer { consumer, trust, .. } => match trust {
                Trust::Current => write!(f, "install the CA certificate for {consumer}"),
                Trust::Both => write!(f, "install the old and the new CA certificate for {consumer}"),
                Trust::Next => write!(f, "install only the new CA certificate for {consumer}"),
            },
            Self::InstallBackupScript { .. } => f.write_str("install the backup script"),
            Self::EnableBackup { .. } => f.write_str("enable and start the backup timer"),
            Self::RemoveBackup { .. } => f.write_str("remove backup timer, script and certificate"),
            Self::KeepRole { role, permissions } if permissions.is_empty() => write!(f, "keep role {role}"),
            Self::KeepRole { role, permissions } => write!(f, "keep role {role}: {}", names::listed(permissions)),
            Self::KeepUser { user, roles, .. } if roles.is_empty() => write!(f, "keep user {user} without a role"),
            Self::KeepUser { user, roles, .. } => write!(f, "keep user {user}: role {}", names::listed(roles)),
            Self::RemoveUser { user } => write!(f, "remove user {user}"),
            Self::RemoveRole { role, with } => write!(f, "remove role {role}, which only user {with} has"),
            Self::EnableAuth => f.write_str("enable authentication"),
            Self::DisableAuth => f.write_str("disable authentication"),
        }
    }
}

/// Which authorities a ca.crt holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The one that there is.
    #[default]
    Current,
    /// That, and the one that is to take its place.
    Both,
    /// The one that is to take its place, alone.
    Next,
}

impl Trust {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

/// The authority that signs a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBy {
    /// The one that there is.
    #[default]
    Current,
    /// The one that is to take its place.
    Next,
}

impl SignedBy {
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}
