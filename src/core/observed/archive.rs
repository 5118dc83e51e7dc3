//! The release archive of etcd, as it was found here.

use serde::{Deserialize, Serialize};

use crate::core::names::Digest;

/// A release archive whose digest was checked and that holds what is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    pub sha256: Digest,
    /// What it takes on a host while it is unpacked there: its own bytes, and those of the binaries in it.
    #[serde(default)]
    pub bytes: u64,
}
