//! Who else works on a host just now.

use serde::{Deserialize, Serialize};

use crate::core::names::UnixSeconds;

/// The holder of a host's lock, who is not this run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockHolder {
    /// `ops@laptop`
    pub operator: String,
    /// `apply of plan 3fa94c01be77`
    pub purpose: String,
    /// By the clock of the holder's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixSeconds>,
}
