//! What the data of the members hashes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::names::{HostName, MemberId};

/// One question to every voter: the hash of all keys and their history up to one revision. It reads the whole database of
/// each, so it is asked only where something depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub revision: i64,
    /// Of those that could tell.
    pub hashes: BTreeMap<MemberId, MemberHash>,
    /// Those that could not, and why.
    pub missed: BTreeMap<HostName, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHash {
    pub host: HostName,
    /// etcd's HashKV.
    pub hash: u32,
}
