//! The commands that read or rewrite what a member has stored: snapshots, and a new cluster from one survivor.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Command, LONG};
use crate::desired::Compression;
use crate::desired::Desired;
use crate::layout;
use crate::live::pki::PairText;
use crate::live::ssh::Stdin;
use crate::names::{RemotePath, Version};
use crate::observed::File;

/// A script behind the function that takes a snapshot.
macro_rules! saving {
    ($script:literal) => {
        concat!(include_str!("../script/save.sh"), "\n", include_str!(concat!("../script/", $script)))
    };
}

/// The certificate, then the key.
fn both(client: &PairText) -> ([String; 2], Stdin) {
    let (certificate, key) = (client.certificate.as_bytes(), client.key.expose_secret().as_bytes());
    let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len()));
    both.extend_from_slice(certificate);
    both.extend_from_slice(key);
    ([certificate.len().to_string(), key.len().to_string()], Stdin::Bytes(both))
}

impl Command {
    /// With a certificate and key of ours, which are gone when it ends.
    pub fn snapshot(
        desired: &Desired,
        before: Version,
        folder: &RemotePath,
        endpoint: &str,
        client: &PairText,
    ) -> Self {
        let (lengths, stdin) = both(client);
        let words = [
            layout::SNAPSHOTS_FOLDER.to_owned(),
            before.to_string(),
            folder.join("etcdctl").to_string(),
            endpoint.to_owned(),
            layout::path(desired, File::Trust).to_string(),
        ];
        let arguments = words.into_iter().chain(lengths).collect();
        let command = Self::new("saving a snapshot", saving!("snapshot.sh"), arguments);
        Self { stdin, allowed: LONG, ..command }
    }

    /// As [`Command::snapshot`], under a name of its own and compressed. `binaries` holds the etcdctl of the member.
    pub fn backup(
        desired: &Desired,
        folder: &RemotePath,
        name: &str,
        compression: Compression,
        binaries: &RemotePath,
        endpoint: &str,
        client: &PairText,
    ) -> Self {
        let (lengths, stdin) = both(client);
        let words = [
            folder.to_string(),
            name.to_owned(),
            compression.program().unwrap_or_default().to_owned(),
            binaries.join("etcdctl").to_string(),
            endpoint.to_owned(),
            layout::path(desired, File::Trust).to_string(),
        ];
        let arguments = words.into_iter().chain(lengths).collect();
        let command = Self::new(format!("saving {name}"), saving!("backup.sh"), arguments);
        Self { stdin, allowed: LONG, ..command }
    }

    pub fn force_new_cluster(desired: &Desired, binaries: &RemotePath) -> Self {
        let etcd = binaries.join("etcd");
        let words = [
            desired.paths.service.as_str(),
            etcd.as_str(),
            desired.paths.config.as_str(),
            desired.paths.data.as_str(),
            layout::ACCOUNT,
        ];
        let arguments = words.map(str::to_owned).into();
        let command = Self::new("starting the member alone", include_str!("../script/force.sh"), arguments);
        Self { allowed: LONG, ..command }
    }
}
