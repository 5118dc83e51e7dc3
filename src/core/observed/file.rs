//! The files and folders that quorate keeps on a host.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::core::names::Digest;

// What is to be known of each stands in `content::layout`.
/// The folders that a member needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Folder {
    Config,
    Certificates,
    Data,
}

impl Folder {
    pub const ALL: &[Self] = Self::VARIANTS;
}

// What is to be known of each stands in `content::layout`.
/// The files that quorate keeps on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum File {
    /// etcd.yaml.
    Config,
    /// The file with the settings of a service that somebody else has set up: /etc/etcd.env.
    Settings,
    /// The systemd unit.
    Unit,
    /// ca.crt: the authorities that etcd trusts, for clients and peers alike.
    Trust,
    ServerCertificate,
    ServerKey,
    PeerCertificate,
    PeerKey,
    HealthcheckCertificate,
    HealthcheckKey,
    /// Lets etcd create a new data directory; removed by the unit once the member has served.
    #[serde(rename = "permit")]
    NewDataMarker,
    /// The members that are leaving, so that a removal that was cut off is finished by the next run.
    Departures,
    /// A restore that was begun, so that it is finished by the next run.
    RestoreNote,
    /// In the data directory: the snapshot that the data was restored from.
    RestoreMark,
    /// What takes a scheduled snapshot, and the units that run it.
    BackupScript,
    BackupService,
    BackupTimer,
    BackupCertificate,
    BackupKey,
}

impl File {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Its name in the id of a plan. Saved plans hold ids, so it stays when a variant is renamed.
    pub fn name_in_id(self) -> String {
        match self {
            Self::NewDataMarker => "Permit".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// What a certificate is for. The names of its files are kubeadm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Server,
    Peer,
    HealthcheckClient,
    /// Only where scheduled snapshots are taken.
    BackupClient,
}

impl Role {
    pub const ALL: &[Self] = Self::VARIANTS;
    /// Those of every member under an authority of ours.
    pub const OF_MEMBERS: [Role; 3] = [Self::Server, Self::Peer, Self::HealthcheckClient];

    /// Whether etcd shows it to who connects.
    pub fn is_served(self) -> bool {
        matches!(self, Self::Server | Self::Peer)
    }

    pub fn certificate(self) -> File {
        match self {
            Self::Server => File::ServerCertificate,
            Self::Peer => File::PeerCertificate,
            Self::HealthcheckClient => File::HealthcheckCertificate,
            Self::BackupClient => File::BackupCertificate,
        }
    }

    pub fn key(self) -> File {
        match self {
            Self::Server => File::ServerKey,
            Self::Peer => File::PeerKey,
            Self::HealthcheckClient => File::HealthcheckKey,
            Self::BackupClient => File::BackupKey,
        }
    }

    /// `server`, as in server.crt.
    pub fn file_stem(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Peer => "peer",
            Self::HealthcheckClient => "healthcheck-client",
            Self::BackupClient => "backup-client",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.file_stem())
    }
}

/// Who may read and write a file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Access {
    /// The permission bits in octal without a leading zero, as `stat -c %a` prints them: `600`.
    pub mode: String,
    pub owner: String,
    pub group: String,
}

impl Access {
    pub fn new(mode: &str, owner: &str, group: &str) -> Self {
        Self { mode: mode.to_owned(), owner: owner.to_owned(), group: group.to_owned() }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.mode, self.owner, self.group)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    pub access: Access,
    pub digest: Digest,
    /// The whole content, for files that hold no secret and are compared as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
