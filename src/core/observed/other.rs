//! An etcd on a host that is not our unit's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::names::RemotePath;

/// A process that runs, or what starts one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherEtcd {
    pub runner: Runner,
    /// Volatile. `None` where it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<RemotePath>,
    /// As it calls it itself: in a container that is another folder than on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<RemotePath>,
    /// What it listens on, in the network of the host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<u16>,
    /// It has the data directory, a port or the unit's name that is declared: ours cannot run beside it.
    pub in_our_place: bool,
    /// Its unit is one that quorate keeps, with the data directory that is declared: it is this cluster's own, under a name
    /// that is not declared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_own: bool,
}

/// Who has started it, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// A unit of systemd, by its name. A snap's and k3s' are such, too.
    Unit(String),
    /// A kubelet, as kubeadm has it, by the manifest where that was seen.
    Kubelet(Option<RemotePath>),
    /// An engine for containers, by its name.
    Container(String),
    /// Somebody who has logged in.
    Session,
    Unknown,
}

impl OtherEtcd {
    pub fn runs(&self) -> bool {
        self.pid.is_some()
    }
}
