//! The commands that read or rewrite what a member has stored: snapshots, and a new cluster from one survivor.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Command, LONG};
use crate::desired::Compression;
use crate::desired::Desired;
use crate::layout;
use crate::live::pki::{Issued, PairText};
use crate::live::ssh::Stdin;
use crate::names::{ClusterId, Occasion, RemotePath};
use crate::observed::File;

/// A script behind the function that takes a snapshot.
macro_rules! saving {
    ($script:literal) => {
        concat!(include_str!("../script/save.sh"), "\n", include_str!(concat!("../script/", $script)))
    };
}

/// The member that a snapshot is taken of.
pub struct Source<'a> {
    /// The folder with the etcdctl of its version.
    pub binaries: &'a RemotePath,
    pub endpoint: &'a str,
    pub client: &'a PairText,
}

impl Source<'_> {
    /// Arguments, and what the script reads: the certificate, then the key.
    fn words(&self, desired: &Desired) -> ([String; 5], Stdin) {
        let (certificate, key) = (&self.client.certificate, self.client.key.expose_secret());
        let ([certificate, key], stdin) = together([certificate, key]);
        let trust = layout::path(desired, File::Trust).to_string();
        ([self.binaries.join("etcdctl").to_string(), self.endpoint.to_owned(), trust, certificate, key], stdin)
    }
}

/// How many bytes each of the texts has, and all of them in a row.
fn together<const N: usize>(texts: [&str; N]) -> ([String; N], Stdin) {
    let mut all = Zeroizing::new(Vec::with_capacity(texts.iter().map(|text| text.len()).sum()));
    texts.iter().for_each(|text| all.extend_from_slice(text.as_bytes()));
    (texts.map(|text| text.len().to_string()), Stdin::Bytes(all))
}

impl Command {
    /// With a certificate and key of ours, which are gone when it ends.
    pub fn snapshot(desired: &Desired, before: Occasion, from: &Source) -> Self {
        let (source, stdin) = from.words(desired);
        let words = [layout::SNAPSHOTS_FOLDER.to_owned(), before.to_string(), desired.paths.data.to_string()];
        let arguments = words.into_iter().chain(source).collect();
        let command = Self::new("saving a snapshot", saving!("snapshot.sh"), arguments);
        Self { stdin, allowed: LONG, ..command }
    }

    /// As [`Command::snapshot`], under a name of its own and compressed.
    pub fn backup(
        desired: &Desired,
        folder: &RemotePath,
        name: &str,
        compression: Compression,
        cluster: ClusterId,
        from: &Source,
    ) -> Self {
        let (source, stdin) = from.words(desired);
        let words = [
            folder.to_string(),
            name.to_owned(),
            compression.program().unwrap_or_default().to_owned(),
            cluster.to_string(),
            desired.paths.data.to_string(),
        ];
        let arguments = words.into_iter().chain(source).collect();
        let command = Self::new(format!("saving {name}"), saving!("backup.sh"), arguments);
        Self { stdin, allowed: LONG, ..command }
    }

    /// Restores the snapshot of this name into a scratch etcd there, by tools in `binaries`. `trust` and `pair` are of an
    /// authority that is for this drill alone.
    pub fn drill(folder: &RemotePath, name: &str, binaries: &RemotePath, trust: &str, pair: &Issued) -> Self {
        let script = concat!(include_str!("../script/unpack.sh"), "\n", include_str!("../script/drill.sh"));
        let (lengths, stdin) = together([trust, &pair.certificate_pem, pair.key_pem.expose_secret()]);
        let words = [folder.to_string(), name.to_owned(), binaries.to_string()];
        let arguments = words.into_iter().chain(lengths).collect();
        let command = Self::new(format!("the drill with {name}"), script, arguments);
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
