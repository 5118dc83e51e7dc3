//! The member list, changed through the etcd API of any healthy voter.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::impact::Impact;
use crate::core::names::{HostName, MemberId, PeerUrl};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum MemberAction {
    /// Add the member of this host as a learner, by its peer URL.
    #[serde(rename = "add-member")]
    Add { host: HostName, peer_url: PeerUrl },
    /// Make the learner of this host a voter.
    Promote { host: HostName },
    /// Tell the members at which URL the member of this host answers its peers.
    UpdatePeerUrl { host: HostName, member: MemberId, peer_url: PeerUrl },
    /// Hand leadership over if it leads, and take a member out of the cluster.
    #[serde(rename = "remove-member")]
    Remove { host: HostName, member: MemberId, removal: Removal },
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

impl MemberAction {
    /// The host of the member that it is about; nothing is done there.
    pub fn host(&self) -> &HostName {
        let (Self::Add { host, .. }
        | Self::Promote { host }
        | Self::UpdatePeerUrl { host, .. }
        | Self::Remove { host, .. }) = self;
        host
    }

    pub fn impact(&self) -> Impact {
        match self {
            Self::Add { .. } | Self::UpdatePeerUrl { .. } => Impact::Membership { voters: false },
            Self::Promote { .. } | Self::Remove { .. } => Impact::Membership { voters: true },
        }
    }

    pub fn effect(&self) -> &'static str {
        match self {
            Self::Add { .. } => "one more learner (non-voting); nothing restarts",
            Self::Promote { .. } => "one more voter, after it has caught up; nothing restarts",
            Self::UpdatePeerUrl { .. } => {
                "the other members connect to the new URL; the member listens there after its next restart"
            }
            Self::Remove { .. } => "one fewer member; transfers leadership first if it is the leader; nothing restarts",
        }
    }

    /// The member that the cluster no longer counts afterwards.
    pub fn removed(&self) -> Option<MemberId> {
        match self {
            Self::Remove { member, .. } => Some(*member),
            Self::Add { .. } | Self::Promote { .. } | Self::UpdatePeerUrl { .. } => None,
        }
    }
}

impl fmt::Display for MemberAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { .. } => f.write_str("add the member as a learner"),
            Self::Promote { .. } => f.write_str("promote the learner to voter"),
            Self::UpdatePeerUrl { peer_url, .. } => write!(f, "change the member's peer URL to {peer_url}"),
            // One that has never started has no name of its own.
            Self::Remove { host, member, .. } if host.as_str() == format!("member-{member}") => {
                write!(f, "remove member {member} from the cluster")
            }
            Self::Remove { host, member, .. } => write!(f, "remove member {host} (id {member}) from the cluster"),
        }
    }
}
