//! The commands that read or rewrite what a member has stored: snapshots, and a new cluster from one survivor.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Command, LONG, scaled};
use crate::core::cluster::snapshot::Listed;
use crate::core::content::layout;
use crate::core::desired::Compression;
use crate::core::desired::Desired;
use crate::core::names::{RemotePath, SnapshotReason};
use crate::core::observed::File;
use crate::shell::live::pki::{Issued, PairText};
use crate::shell::live::ssh::Stdin;

/// A script behind the function that takes a snapshot.
macro_rules! saving {
    ($script:literal) => {
        concat!(
            include_str!("../../../core/content/mounted.sh"),
            "\n",
            include_str!("../script/save.sh"),
            "\n",
            include_str!(concat!("../script/", $script))
        )
    };
}

/// The member that a snapshot is taken of.
pub struct Source {
    /// The folder with the etcdctl of its version.
    pub binaries: RemotePath,
    pub endpoint: String,
    pub client: PairText,
    /// How large its database is, if it was told.
    pub database_bytes: Option<u64>,
}

/// As large as a database should be by etcd's own words: one whose size is not known is given the time of such a one.
pub const LARGE_BYTES: u64 = 8 << 30;

impl Source {
    /// Arguments, and what the script reads: the certificate, then the key.
    fn words(&self, desired: &Desired) -> ([String; 5], Stdin) {
        let (certificate, key) = (&self.client.certificate, self.client.key.expose_secret());
        let ([certificate, key], stdin) = together([certificate, key]);
        let trust = layout::common_path(desired, File::Trust).to_string();
        ([self.binaries.join("etcdctl").to_string(), self.endpoint.clone(), trust, certificate, key], stdin)
    }

    fn allowed(&self) -> Duration {
        scaled(LONG, self.database_bytes.unwrap_or(LARGE_BYTES))
    }
}

/// How large the database in it may be.
fn unpacked_bytes(listed: &Listed) -> u64 {
    // Keys and values that are much alike pack so well.
    const PACKED_TO_MAX: u64 = 32;
    let is_bare = listed.name.ends_with(".db");
    if is_bare { listed.bytes } else { listed.bytes.saturating_mul(PACKED_TO_MAX).min(LARGE_BYTES).max(listed.bytes) }
}

/// How many bytes each of the texts has, and all of them in a row.
fn together<const N: usize>(texts: [&str; N]) -> ([String; N], Stdin) {
    let mut all = Zeroizing::new(Vec::with_capacity(texts.iter().map(|text| text.len()).sum()));
    texts.iter().for_each(|text| all.extend_from_slice(text.as_bytes()));
    (texts.map(|text| text.len().to_string()), Stdin::Bytes(all))
}

/// What a script is told of whether this folder must be on a mount of its own.
pub(super) fn mount_wanted(desired: &Desired, folder: &RemotePath) -> String {
    let declared = desired.backup.as_ref().is_some_and(|backup| backup.mount && backup.directory == *folder);
    if declared { "yes".to_owned() } else { String::new() }
}

impl Command {
    /// With a certificate and key of ours, which are gone when it ends.
    pub fn snapshot(desired: &Desired, before: SnapshotReason, from: &Source) -> Self {
        let (source, stdin) = from.words(desired);
        let folder = layout::SNAPSHOTS_FOLDER;
        let mount = mount_wanted(desired, &RemotePath::new(folder));
        let words = [folder.to_owned(), before.to_string(), desired.paths.data.to_string(), mount];
        let arguments = words.into_iter().chain(source).collect();
        let command = Self::new("saving a snapshot", saving!("snapshot.sh"), arguments);
        Self { stdin, allowed: from.allowed(), ..command }
    }

    /// As [`Command::snapshot`], under a name of its own and compressed.
    pub fn backup(desired: &Desired, folder: &RemotePath, name: &str, compression: Compression, from: &Source) -> Self {
        let (source, stdin) = from.words(desired);
        let words = [
            folder.to_string(),
            name.to_owned(),
            compression.program().unwrap_or_default().to_owned(),
            desired.paths.data.to_string(),
            mount_wanted(desired, folder),
        ];
        let arguments = words.into_iter().chain(source).collect();
        let command = Self::new(format!("saving {name}"), saving!("backup.sh"), arguments);
        Self { stdin, allowed: from.allowed(), ..command }
    }

    /// Restores a snapshot into a scratch etcd there, by tools in `binaries`. `trust` and `pair` are of an authority that is
    /// for this drill alone.
    pub fn drill(folder: &RemotePath, listed: &Listed, binaries: &RemotePath, trust: &str, pair: &Issued) -> Self {
        let name = &listed.name;
        let script = concat!(include_str!("../script/unpack.sh"), "\n", include_str!("../script/drill.sh"));
        let (lengths, stdin) = together([trust, &pair.certificate_pem, pair.key_pem.expose_secret()]);
        let words = [folder.to_string(), name.to_owned(), binaries.to_string()];
        let arguments = words.into_iter().chain(lengths).collect();
        let command = Self::new(format!("the test restore of {name}"), script, arguments);
        Self { stdin, allowed: scaled(LONG, unpacked_bytes(listed)), ..command }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::snapshot::Facts;
    use crate::core::names::UnixSeconds;
    use crate::laws::sample;

    #[test]
    fn a_large_database_is_given_more_time() {
        let desired = sample::desired(1);
        let folder = RemotePath::new("/var/backups/etcd");
        let of = |database_bytes| {
            let client = PairText { certificate: String::new(), key: String::new().into() };
            let (binaries, endpoint) = (folder.clone(), "https://10.0.0.1:2379".to_owned());
            let from = Source { binaries, endpoint, client, database_bytes };
            let backup = Command::backup(&desired, &folder, "x.db", Compression::Zstd, &from);
            [Command::snapshot(&desired, SnapshotReason::Change, &from).allowed, backup.allowed]
        };
        assert_eq!(of(Some(0)), [LONG; 2]);
        assert!(of(Some(4 << 30)).into_iter().all(|allowed| allowed > LONG + Duration::from_secs(4000)));
        assert!(of(None)[0] > of(Some(4 << 30))[0]);
    }

    #[test]
    fn a_packed_snapshot_is_larger_than_its_file() {
        let of = |name: &str, bytes| {
            unpacked_bytes(&Listed { name: name.to_owned(), at: UnixSeconds(0), bytes, facts: Facts::default() })
        };
        assert_eq!(of("a.db", 1 << 30), 1 << 30);
        assert_eq!(of("a.db.zst", 1 << 20), 32 << 20);
        assert_eq!((of("a.db.gz", 1 << 30), of("a.db.gz", 9 << 30)), (LARGE_BYTES, 9 << 30));
    }
}
