//! The way from a member to another one, for raft's messages.

use serde::{Deserialize, Serialize};

/// As the member from which it leads tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Peer {
    pub is_active: bool,
    /// Whether its host reaches the other's peer port. Tried only where it is not active, between members that are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_reached: Option<bool>,
    /// How many messages could not be sent since the member started. Volatile.
    #[serde(default)]
    pub failures: u64,
    /// From a message to its answer: half of those that were measured since the member started took no longer. `None`
    /// before any was. Volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
}
