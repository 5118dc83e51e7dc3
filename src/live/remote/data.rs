//! The commands that read or rewrite what a member has stored: snapshots, and a new cluster from one survivor.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Command, LONG};
use crate::desired::Desired;
use crate::layout;
use crate::live::pki::PairText;
use crate::live::ssh::Stdin;
use crate::names::{RemotePath, Version};
use crate::observed::File;

impl Command {
    /// With a certificate and key of ours, which are gone when it ends.
    pub fn snapshot(
        desired: &Desired,
        before: Version,
        folder: &RemotePath,
        endpoint: &str,
        client: &PairText,
    ) -> Self {
        let (certificate, key) = (client.certificate.as_bytes(), client.key.expose_secret().as_bytes());
        let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len()));
        both.extend_from_slice(certificate);
        both.extend_from_slice(key);
        let arguments = vec![
            layout::SNAPSHOTS_FOLDER.to_owned(),
            before.to_string(),
            folder.join("etcdctl").to_string(),
            endpoint.to_owned(),
            layout::path(desired, File::Trust).to_string(),
            certificate.len().to_string(),
            key.len().to_string(),
        ];
        let command = Self::new("saving a snapshot", include_str!("../script/snapshot.sh"), arguments);
        Self { stdin: Stdin::Bytes(both), allowed: LONG, ..command }
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
