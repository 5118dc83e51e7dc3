//! How a cluster is, in the few facts that a headline is made of.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::names::{HostName, Version};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    pub state: State,
    /// The hosts that the state is about, where it is not about all of them.
    pub hosts: Vec<HostName>,
    /// How many of the members that answer run each version of etcd.
    pub running: BTreeMap<Version, usize>,
    /// How many voters there are, as members say that cannot reach a quorum; `null` where none says so.
    pub voters: Option<usize>,
    /// The host whose member leads; `null` where none does, or it is none that is declared.
    #[serde(default)]
    pub leader: Option<HostName>,
    /// The alarms under which etcd refuses to write.
    #[serde(default)]
    pub refused_for: BTreeSet<String>,
    /// Two members that are healthy and not connected to each other, in words; `null` where all are.
    #[serde(default)]
    pub not_connected: Option<String>,
    /// How many of the hosts that were not seen answered, and could not be looked at: for want of a login, of sudo, or of
    /// something there.
    #[serde(default)]
    pub not_looked_at: usize,
    /// Somebody else set etcd up: of its files, only the settings are compared.
    #[serde(default)]
    pub adopted: bool,
}

/// What life a cluster is in, as far as it could be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A quorum of the voters is healthy, or one voter that is has read through a quorum.
    Serving,
    /// Members answer, and none of them reads through a quorum. `hosts`: where.
    NoQuorum,
    /// etcd runs, and does not answer. `hosts`: where.
    Silent,
    /// etcd runs, and nobody asked it: what is needed for that is missing here. `hosts`: where.
    NotAsked,
    /// Members' data is there, and etcd runs nowhere.
    Stopped,
    /// There were members, and the data of every one that was seen is gone. `hosts`: where.
    DataLost,
    /// No host that was seen is, or was, a member. `hosts`: those that hold nothing.
    Bare,
    /// A restore is unfinished. `hosts`: where.
    RestoreUnfinished,
    /// Another program runs etcd in this one's place. `hosts`: where.
    OtherEtcd,
    /// No host was seen.
    Unreachable,
}
