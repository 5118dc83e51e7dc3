//! What is free where something is written on a host.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::core::names::RemotePath;

// Where each is stands in `content::layout`.
/// What is written on a host, by the folder that it is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    Data,
    /// A snapshot that is to be restored, and what is set aside.
    BesideData,
    /// The data of a member that is not in the declared directory.
    DataElsewhere,
    Binaries,
    Config,
    Certificates,
    Units,
    Programs,
    /// What is saved before an upgrade or another change.
    Snapshots,
    /// The snapshots of `[backup]`.
    Backups,
}

impl Stored {
    pub const ALL: &[Self] = Self::VARIANTS;
}

/// The file system of a folder, or, before that is made, of the nearest one above it. Volatile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub mount: RemotePath,
    /// The same for all folders that share what is free: `8:1`
    pub device: String,
    pub available_bytes: u64,
    /// What root alone may use besides.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reserved_bytes: u64,
    pub used_bytes: u64,
    pub available_inodes: u64,
    /// 0 where the file system does not count them.
    pub inodes: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}

impl Room {
    /// The same for folders that share what is free. A quota of a project has figures of its own on the same device.
    pub fn pool(&self) -> (&str, u64, u64) {
        (&self.device, self.available_bytes, self.used_bytes)
    }

    /// As `df` counts it: what is reserved for root is neither used nor available to etcd's user.
    pub fn used_percent(&self) -> u64 {
        percent(self.used_bytes, self.available_bytes)
    }

    pub fn used_inodes_percent(&self) -> u64 {
        percent(self.inodes.saturating_sub(self.available_inodes), self.available_inodes)
    }

    pub fn has_inodes(&self, count: u64) -> bool {
        self.inodes == 0 || self.available_inodes >= count
    }
}

/// Rounded up, as `df` does it.
fn percent(used: u64, available: u64) -> u64 {
    let all = u128::from(used) + u128::from(available);
    if all == 0 { 0 } else { u64::try_from((u128::from(used) * 100).div_ceil(all)).unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_counted_as_df_does() {
        let of = |used, available| percent(used, available);
        assert_eq!((of(0, 0), of(0, 7), of(7, 0), of(1, 199), of(850, 150), of(849, 151)), (0, 0, 100, 1, 85, 85));
        assert_eq!(of(u64::MAX, u64::MAX), 50);
    }
}
