//! What of etcd's programs lies on a host.

use serde::{Deserialize, Serialize};

use crate::core::names::{Digest, RemotePath};

/// One version in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The digest of the archive it was unpacked from, as recorded beside it; `None` for a folder that we did not fill.
    pub archive: Option<Digest>,
}

/// `/usr/local/bin/etcdctl`, so that an operator on the host finds the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tools {
    Absent,
    /// A symbolic link into `paths.binaries`.
    Link(RemotePath),
    /// Someone else's; left alone.
    Foreign,
}
