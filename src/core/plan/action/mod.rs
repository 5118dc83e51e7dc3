//! The closed list of things that quorate can do, and where each is described, checked and predicted.
//!
//! An [`Action`] is one observable change, on one host or beside cluster.toml. It is safe to repeat, and being cut off
//! in the middle leaves a state that the next plan understands.
//!
//! Actions come in families, a file each: what one part of the program performs. A family says of its actions on which host
//! they are done, what a running etcd notices, and how they are called. All else is derived from that.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::core::content;
use crate::core::names::{Digest, HostName, MemberId};
use crate::core::observed::File;

mod auth;
mod authority;
mod backup;
mod certificate;
mod consumer;
mod data;
mod departure;
mod file;
mod host;
mod impact;
mod node_ca;
mod member;
mod raft_log;
mod recovery;
mod restore;
mod saved;
mod service;
mod snapshot;

pub use auth::AuthAction;
pub use authority::AuthorityAction;
pub use backup::BackupAction;
pub use certificate::{CertificateAction, SignedBy, Trust};
pub use consumer::ConsumerAction;
pub use data::DataAction;
pub use departure::DepartureAction;
pub use file::FileAction;
pub use host::HostAction;
pub use impact::{Impact, NO_IMPACT};
pub use member::{MemberAction, Removal};
pub use node_ca::NodeCaAction;
pub use raft_log::RaftLogAction;
pub use recovery::RecoveryAction;
pub use restore::RestoreAction;
pub use service::ServiceAction;
pub use snapshot::SnapshotAction;

/// The sum of the families, and what is the same for each of them: a family that is on the list is forgotten nowhere.
macro_rules! families {
    ($($family:ident($type:ident),)+) => {
        /// In JSON, families do not show: each action is a tag of its own and its fields.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Action {
            $($family($type),)+
        }

        impl Action {
            /// What it does to a running etcd; risk, effect and margin follow from it.
            pub fn impact(&self) -> Impact {
                match self { $(Self::$family(action) => action.impact(),)+ }
            }

            /// What a running etcd notices, in a few words.
            pub fn effect(&self) -> &'static str {
                match self { $(Self::$family(action) => action.effect(),)+ }
            }
        }

        /// What is done, without the host: the words of a step.
        impl fmt::Display for Action {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$family(action) => fmt::Display::fmt(action, f),)+ }
            }
        }

        impl<'de> Deserialize<'de> for Action {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                static TAGS: LazyLock<Vec<&str>> = LazyLock::new(|| [$(saved::tags::<$type>()),+].concat());
                let value = Value::deserialize(from)?;
                let saved::Tagged { action: tag } = saved::Tagged::deserialize(&value).map_err(D::Error::custom)?;
                $(if saved::tags::<$type>().contains(&tag.as_str()) {
                    return $type::deserialize(value).map(Self::$family).map_err(D::Error::custom);
                })+
                Err(D::Error::unknown_variant(&tag, &TAGS))
            }
        }

        impl JsonSchema for Action {
            fn schema_name() -> Cow<'static, str> {
                "Action".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                saved::one_of([$($type::json_schema(generator)),+])
            }
        }
    };
}

families! {
    Authority(AuthorityAction),
    NodeCa(NodeCaAction),
    Host(HostAction),
    Certificate(CertificateAction),
    File(FileAction),
    Service(ServiceAction),
    Data(DataAction),
    Member(MemberAction),
    Departure(DepartureAction),
    Recovery(RecoveryAction),
    Snapshot(SnapshotAction),
    RaftLog(RaftLogAction),
    Restore(RestoreAction),
    Consumer(ConsumerAction),
    Backup(BackupAction),
    Auth(AuthAction),
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
    /// Whether the authority signs for it, or is made or moved: its key is needed.
    pub fn is_signed(&self) -> bool {
        matches!(
            self,
            Self::Certificate(CertificateAction::Issue { .. })
                | Self::Consumer(_)
                | Self::Authority(_)
                | Self::NodeCa(_)
        )
    }

    /// The host that it changes; `None` for the machine that quorate runs on, and for the cluster as a whole.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::Authority(_) | Self::Auth(_) => None,
            Self::NodeCa(action) => Some(action.host()),
            Self::Host(action) => Some(action.host()),
            Self::Certificate(action) => Some(action.host()),
            Self::File(action) => Some(action.host()),
            Self::Service(action) => Some(action.host()),
            Self::Data(action) => Some(action.host()),
            Self::Member(action) => Some(action.host()),
            Self::Departure(action) => Some(action.host()),
            Self::Recovery(action) => Some(action.host()),
            Self::Snapshot(action) => Some(action.host()),
            Self::RaftLog(action) => Some(action.host()),
            Self::Restore(action) => action.host(),
            Self::Consumer(action) => Some(action.host()),
            Self::Backup(action) => Some(action.host()),
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

    /// Whether it is done to one member after the other, the leader last.
    pub fn waits_for_its_turn(&self) -> bool {
        match self.impact() {
            Impact::Restart | Impact::Stop | Impact::Membership { voters: true } => true,
            Impact::Nothing
            | Impact::Start
            | Impact::Membership { voters: false }
            | Impact::Access { .. }
            | Impact::Outage
            | Impact::Replacement => false,
        }
    }

    /// The member that the cluster no longer counts afterwards.
    pub fn removed_member(&self) -> Option<MemberId> {
        if let Self::Member(action) = self { action.removed() } else { None }
    }

    /// Who may be shut out by it, or let in.
    pub fn who_feels_it(&self) -> Option<&'static str> {
        if let Self::Auth(action) = self { action.who_feels_it() } else { None }
    }

    /// What the cluster no longer has afterwards.
    pub fn loses(&self) -> Option<&'static str> {
        match self {
            Self::Recovery(action) => Some(action.loses()),
            Self::Restore(action) => action.loses(),
            Self::Authority(_)
            | Self::NodeCa(_)
            | Self::Host(_)
            | Self::Certificate(_)
            | Self::File(_)
            | Self::Service(_)
            | Self::Data(_)
            | Self::Member(_)
            | Self::Departure(_)
            | Self::Snapshot(_)
            | Self::RaftLog(_)
            | Self::Consumer(_)
            | Self::Backup(_)
            | Self::Auth(_) => None,
        }
    }

    /// The text that it puts into a file, whole.
    pub fn written(&self) -> Option<(&HostName, File, &str)> {
        match self {
            Self::File(FileAction::Write { host, file, text }) => Some((host, *file, text)),
            Self::Service(
                ServiceAction::LayManifest { host, text } | ServiceAction::ReplaceManifest { host, text },
            ) => Some((host, File::Settings, text)),
            _ => None,
        }
    }

    /// Whether nothing is decided by it.
    pub fn is_precaution(&self) -> bool {
        if let Self::Snapshot(action) = self { action.is_precaution() } else { false }
    }

    /// What makes two actions the same: all that is done by them.
    pub fn identity(&self) -> String {
        self.named(|_, text| Digest::of(text))
    }

    /// What makes two actions the same decision: without a token, which is made anew until one is on a host.
    pub fn decision(&self) -> String {
        match self {
            Self::Restore(RestoreAction::RestoreData { host, digest, .. }) => format!("restore-data {host} {digest}"),
            other => other.named(|file, text| Digest::of(content::without_token(file, text))),
        }
    }

    fn named(&self, digest_of: impl Fn(File, &str) -> Digest) -> String {
        match self {
            Self::File(FileAction::Write { host, file, text }) => {
                format!("write-file {host} {} {}", file.name_in_id(), digest_of(*file, text))
            }
            Self::Service(ServiceAction::LayManifest { host, text }) => {
                format!("lay-manifest {host} {}", digest_of(File::Settings, text))
            }
            Self::Service(ServiceAction::ReplaceManifest { host, text }) => {
                format!("replace-manifest {host} {}", digest_of(File::Settings, text))
            }
            // Which follower it is taken from depends on who leads.
            Self::Snapshot(SnapshotAction::Save { before, .. }) => format!("save-snapshot before {before}"),
            Self::RaftLog(RaftLogAction::Fill { before, .. }) => format!("fill-log before {before}"),
            // All that is saved of it: no two actions are taken for one.
            other => serde_json::to_string(other).expect("an action is plain data"),
        }
    }
}
