//! Which etcd versions are whole on a host, by the record that was made when each was unpacked.
//!
//! ```text
//! b8a1… archive
//! 0f3c… 25174016 etcd
//! 77aa… 18219008 etcdctl
//! ```

use std::collections::BTreeMap;

use super::Answer;
use crate::core::desired::{Binaries, Desired};
use crate::core::names::{Digest, Version};
use crate::core::observed::Installed;

/// The name of the record in a version's folder.
pub const RECORD: &str = "quorate.sha256";

pub(super) fn installed(desired: &Desired, answer: &Answer) -> BTreeMap<Version, Installed> {
    if let Binaries::Preinstalled { .. } = desired.binaries {
        let said = answer.value("host", "preinstalled");
        let version = said.and_then(|line| line.strip_prefix("etcd Version: ")?.trim().parse().ok());
        return version.into_iter().map(|version| (version, Installed { archive: None })).collect();
    }
    let version_of = |folder: &str| folder.rsplit_once('/')?.1.parse::<Version>().ok();
    let folders = answer.values("host", "folder").filter_map(|folder| Some((folder, version_of(folder)?)));
    folders.map(|(folder, version)| (version, Installed { archive: archive(answer, folder) })).collect()
}

/// The archive that the folder was unpacked from; `None` when we did not, or when it was changed since.
fn archive(answer: &Answer, folder: &str) -> Option<Digest> {
    let record = core::str::from_utf8(answer.bodies.get(format!("{folder}/{RECORD}").as_str())?).ok()?;
    let mut lines = record.lines();
    let archive = lines.next()?.strip_suffix(" archive")?.parse().ok()?;
    let mut names = Vec::new();
    for line in lines {
        let [digest, bytes, name] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let path = format!("{folder}/{name}");
        let is_whole = answer.stats.get(path.as_str())?.bytes == bytes.parse::<u64>().ok()?;
        // Taken only when the file is younger than the record.
        let sum = answer.sums.get(path.as_str());
        let is_same = sum.is_none_or(|sum| Ok(*sum) == digest.parse());
        if !is_whole || !is_same {
            return None;
        }
        names.push(name);
    }
    ["etcd", "etcdctl"].iter().all(|name| names.contains(name)).then_some(archive)
}
